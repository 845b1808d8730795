/* Options by table over getopt_long. */
#include "app/options.h"
#include "core/mem.h"
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 128, FIRST_CODE = 1000 };

static enum status list_add(struct option_list *l, const char *name, const char *value,
                            struct error *err)
{
    struct option_item *grown = mem_realloc_array(l->item, l->n + 1, sizeof *grown);
    if (!grown)
        return error_set(err, ST_NOMEM, "out of memory");
    l->item = grown;
    l->item[l->n++] = (struct option_item){value, name};
    return ST_OK;
}

void option_list_release(struct option_list *l)
{
    mem_free(l->item);
    *l = (struct option_list){0};
}

static enum status set_number(const struct option_def *d, void *at, const char *value,
                              struct error *err)
{
    char *end;
    errno = 0;
    if (d->kind == OPT_INT) {
        long v = strtol(value, &end, 10);
        if (errno || end == value || *end || v < 0 || v > INT_MAX)
            return error_set(err, ST_USAGE, "--%s needs a whole number, not \"%.40s\"", d->name,
                             value);
        *(int *)at = (int)v;
    } else {
        double v = strtod(value, &end);
        if (errno || end == value || *end || !isfinite(v))
            return error_set(err, ST_USAGE, "--%s needs a number, not \"%.40s\"", d->name, value);
        *(double *)at = v;
    }
    return ST_OK;
}

static enum status set_value(const struct option_def *d, void *args, struct option_list *rest,
                             const char *value, struct error *err)
{
    void *at = (char *)args + d->offset;
    switch (d->kind) {
    case OPT_FLAG:
        *(bool *)at = true;
        return ST_OK;
    case OPT_INT:
    case OPT_NUMBER:
        return set_number(d, at, value, err);
    case OPT_TEXT:
        *(const char **)at = value;
        return ST_OK;
    case OPT_OPTIONAL:
        *(const char **)at = value ? value : "";
        return ST_OK;
    case OPT_LIST:
        return list_add(at, d->name, value, err);
    case OPT_PAIR:
        if (!rest)
            return error_set(err, ST_USAGE, "%s belongs on the command line", d->name);
        return list_add(rest, d->name, value, err);
    }
    return error_set(err, ST_INTERNAL, "option --%s has no kind", d->name);
}

/* Option number i of the two tables counted through; *args is where its value belongs. */
static const struct option_def *nth(const struct option_tables *t, int i, void **args)
{
    const struct option_def *d = t->common;
    for (; d && d->name; d++)
        if (i-- == 0) {
            *args = t->common_args;
            return d;
        }
    for (d = t->own; d && d->name; d++)
        if (i-- == 0) {
            *args = t->own_args;
            return d;
        }
    return NULL;
}

static void fill(const struct option_tables *t, struct option *longs, char *shorts)
{
    const struct option_def *d;
    void *args;
    *shorts++ = '-'; /* plain arguments are returned in order, as code 1 */
    *shorts++ = ':';
    int n = 0;
    for (; n < MAX_OPTIONS && (d = nth(t, n, &args)); n++) {
        int has = d->kind == OPT_FLAG       ? no_argument
                  : d->kind == OPT_OPTIONAL ? optional_argument
                                            : required_argument;
        longs[n] = (struct option){d->name, has, NULL, FIRST_CODE + n};
        if (d->letter) {
            *shorts++ = d->letter;
            if (has != no_argument)
                *shorts++ = ':';
            if (has == optional_argument)
                *shorts++ = ':';
        }
    }
    longs[n++] = (struct option){"help", no_argument, NULL, 'h'};
    longs[n] = (struct option){0};
    *shorts++ = 'h';
    *shorts = 0;
}

static const struct option_def *by_code(const struct option_tables *t, int code, void **args)
{
    const struct option_def *d;
    if (code >= FIRST_CODE)
        return nth(t, code - FIRST_CODE, args);
    for (int i = 0; (d = nth(t, i, args)); i++)
        if (d->letter == code)
            return d;
    return NULL;
}

/* getopt's complaint as a sentence. It tells the option by optopt, or, where it knows none by that
 * name, by the word it has just passed. */
static enum status complain(const struct option_tables *t, int code, const char *word,
                            struct error *err)
{
    void *args;
    const struct option_def *d = optopt ? by_code(t, optopt, &args) : NULL;
    if (code == ':' && d)
        return error_set(err, ST_USAGE, "--%s needs a value", d->name);
    if (d || optopt == 'h')
        return error_set(err, ST_USAGE, "--%s takes no value", d ? d->name : "help");
    if (optopt)
        return error_set(err, ST_USAGE, "unknown option -%c (see --help)", optopt);
    return error_set(err, ST_USAGE, "unknown or ambiguous option %s (see --help)", word);
}

enum status options_parse(const struct option_tables *t, int argc, char **argv,
                          struct option_list *rest, bool *help, struct error *err)
{
    struct option longs[MAX_OPTIONS + 2];
    char shorts[3 * MAX_OPTIONS + 4];
    enum status st = ST_OK;
    int code;
    fill(t, longs, shorts);
    optind = 0; /* GNU: start anew */
    while (!st && (code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        void *args = NULL;
        const struct option_def *d = by_code(t, code, &args);
        if (code == 1)
            st = list_add(rest, "", optarg, err);
        else if (code == 'h')
            *help = true;
        else if (code == ':' || code == '?')
            st = complain(t, code, argv[optind - 1], err);
        else
            st = set_value(d, args, rest, optarg, err);
    }
    for (; !st && optind < argc; optind++) /* behind "--" */
        st = list_add(rest, "", argv[optind], err);
    return st;
}

static bool is_one_of(const char *s, const char *a, const char *b, const char *c)
{
    return !strcmp(s, a) || !strcmp(s, b) || !strcmp(s, c);
}

enum status options_set(const struct option_tables *t, const char *name, const char *value,
                        struct error *err)
{
    const struct option_def *d;
    void *args;
    for (int i = 0; (d = nth(t, i, &args)); i++) {
        if (strcmp(d->name, name) != 0)
            continue;
        bool on = is_one_of(value, "1", "true", "yes"), off = is_one_of(value, "0", "false", "no");
        if (d->kind == OPT_FLAG) {
            if (!on && !off)
                return error_set(err, ST_USAGE, "%s is true or false, not \"%.40s\"", name, value);
            *(bool *)((char *)args + d->offset) = on;
            return ST_OK;
        }
        if (d->kind == OPT_OPTIONAL && on)
            value += strlen(value); /* "", and still of the file's text */
        if (d->kind == OPT_OPTIONAL && off) {
            *(const char **)((char *)args + d->offset) = NULL;
            return ST_OK;
        }
        return set_value(d, args, NULL, value, err);
    }
    return error_set(err, ST_NOT_FOUND, "unknown option %s", name);
}

void options_print(FILE *out, const struct option_def *defs)
{
    for (const struct option_def *d = defs; d->name; d++) {
        char left[64];
        int n = snprintf(left, sizeof left, "  %c%c%s--%s", d->letter ? '-' : ' ',
                         d->letter ? d->letter : ' ', d->letter ? ", " : "  ", d->name);
        if (d->value && n > 0 && (size_t)n < sizeof left)
            snprintf(left + n, sizeof left - (size_t)n, d->kind == OPT_OPTIONAL ? "[=%s]" : " %s",
                     d->value);
        fprintf(out, "%-32s %s\n", left, d->help);
    }
}
