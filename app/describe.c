/* The tables behind --help. */
#include "app/describe.h"
#include <ctype.h>
#include <string.h>

static const struct option_def none[] = {{0}};

void describe_command(const struct command *c, struct described *d)
{
    char name[32];
    char *argv[] = {name, NULL};
    struct app a = {.describe = d};
    *d = (struct described){c, none, none};
    snprintf(name, sizeof name, "%s", c->name);
    c->run(&a, 1, argv);
    app_close(&a);
    d->own = d->own ? d->own : none;
}

static bool has_word(const char *value, const char *word)
{
    const char *at = strstr(value, word);
    return at && (at == value || !isalpha((unsigned char)at[-1])) &&
           !isalpha((unsigned char)at[strlen(word)]);
}

enum value_kind describe_value(const struct option_def *o)
{
    const char *v = o->value;
    if (o->kind == OPT_FLAG || !v)
        return VALUE_NONE;
    if (has_word(v, "DIR"))
        return VALUE_FOLDER;
    if (has_word(v, "FILE") || has_word(v, "PATH") || has_word(v, "F") || has_word(v, "PNG"))
        return VALUE_FILE;
    for (const char *s = v; *s; s++)
        if (!islower((unsigned char)*s) && !isdigit((unsigned char)*s) && !strchr("|_+-", *s))
            return VALUE_ANY;
    return strchr(v, '|') ? VALUE_WORDS : VALUE_ANY;
}
