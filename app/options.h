/* Options of a command as one table: parsed by getopt_long, preset from the config file, and
 * printed as help.
 *
 *     static const struct option_def defs[] = {
 *         {"top", 't', OPT_INT, offsetof(struct search_args, top), "N", "how many results (10)"},
 *         {0}};
 *
 * The same table serves the three, so that none can forget an option. Values land at `offset` of
 * the command's argument struct, which holds the defaults before. */
#ifndef EIDETIC_APP_OPTIONS_H
#define EIDETIC_APP_OPTIONS_H

#include "core/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum option_kind {
    OPT_FLAG,    /* bool: set to true */
    OPT_INT,     /* int >= 0 */
    OPT_NUMBER,  /* double */
    OPT_TEXT,    /* const char * */
    OPT_LIST,    /* struct option_list: repeatable */
    OPT_PAIR,    /* struct option_list of "tag" + value: order among several options kept */
    OPT_OPTIONAL /* const char *, "" where no =VALUE was given */
};

struct option_def {
    const char *name; /* NULL ends a table */
    char letter;      /* 0 = none */
    enum option_kind kind;
    size_t offset;
    const char *value; /* what the help calls the value, NULL for a flag */
    const char *help;
};

struct option_item {
    const char *value;
    const char *name; /* the option's long name; "" for a plain argument */
};
struct option_list {
    struct option_item *item;
    size_t n;
};
void option_list_release(struct option_list *l);

/* Parses argv[1..] by both tables (the first into common, the second into args); what is left over
 * goes to `rest`, in order. OPT_PAIR options also keep their order among the rest, as rclip's --add
 * and --subtract need. `--help` anywhere sets *help. */
struct option_tables {
    const struct option_def *common, *own;
    void *common_args, *own_args;
};
enum status options_parse(const struct option_tables *t, int argc, char **argv,
                          struct option_list *rest, bool *help, struct error *err);
/* Sets one option by its long name from the config file. A flag is true, yes or 1, else false, no
 * or 0; so may an OPT_OPTIONAL be, as without a value and as not given. ST_NOT_FOUND: no such
 * option in the tables. */
enum status options_set(const struct option_tables *t, const char *name, const char *value,
                        struct error *err);
/* Sets what the lines `key = value` of a file say; "#" begins a comment line. Absent: ST_OK. *text,
 * of size bytes, is what the values point into: mem_free it when they are done with, also after a
 * failure. */
enum status options_read_file(const struct option_tables *t, const char *path, char **text,
                              size_t *size, struct error *err);
void options_print(FILE *out, const struct option_def *defs);

#endif
