/* The tables behind --help, for what is made of them: completion scripts and man pages.
 *
 *     struct described d;
 *     describe_command(&cmd_search, &d);
 *     for (const struct option_def *o = d.own; o->name; o++) ...
 *
 * The command is run with app.describe set, so that its app_begin hands over its table and nothing
 * else happens. */
#ifndef EIDETIC_APP_DESCRIBE_H
#define EIDETIC_APP_DESCRIBE_H

#include "app/app.h"

struct described {
    const struct command *command;
    const struct option_def *common, *own; /* never NULL */
};
void describe_command(const struct command *c, struct described *d);

/* What may follow an option, by what the help calls its value. */
enum value_kind { VALUE_NONE, VALUE_ANY, VALUE_FILE, VALUE_FOLDER, VALUE_WORDS };
enum value_kind describe_value(const struct option_def *o);

#endif
