/* Axes: names, lists of values, and what a value changes. */
#include "app/generate_axis.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES_MOST = 1000 };

/* AUTOMATIC1111's names of axes, and others' spellings of options. */
static const struct {
    const char *option, *label, *aliases;
} names[] = {
    {"steps", "Steps", ""},
    {"cfg-scale", "CFG Scale", "cfg guidance guidancescale"},
    {"seed", "Seed", ""},
    {"sampler", "Sampler", "solver"},
    {"schedule", "Schedule type", "scheduler"},
    {"clip-skip", "Clip skip", ""},
    {"checkpoint", "Checkpoint name", "checkpoint model"},
    {"strength", "Denoising", "denoisingstrength"},
    {"variation-seed", "Var. seed", "var.seed"},
    {"variation-strength", "Var. strength", "var.strength"},
    {"hires-steps", "Hires steps", ""},
    {"hires-upscaler", "Hires upscaler", ""},
    {"vae", "VAE", ""},
    {NULL, "Prompt S/R", "prompts/r promptsr s/r"},
};
static const char *const no_axes[] = {"output", "grid", "from", "no-file", "batch-count", "x", "y"};

static const struct option_def *find_option(const char *name)
{
    for (size_t i = 0; i < sizeof no_axes / sizeof *no_axes; i++)
        if (schedule_name_is(name, no_axes[i], ""))
            return NULL;
    for (const struct option_def *d = generate_defs; d->name; d++)
        if (schedule_name_is(name, d->name, ""))
            return d;
    return NULL;
}

static int read_name(struct app *a, struct generate_axis *x, const char *option, const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool own = names[i].option && schedule_name_is(name, names[i].option, "");
        if (!own && !schedule_name_is(name, names[i].label, names[i].aliases))
            continue;
        x->label = names[i].label;
        x->def = names[i].option ? find_option(names[i].option) : NULL;
        return 0;
    }
    x->def = find_option(name);
    if (!x->def)
        return app_usage(a,
                         "--%s: \"%.40s\" is no option with values to compare; there are steps, "
                         "cfg-scale, sampler, schedule, seed, \"prompt s/r\", checkpoint and more",
                         option, name);
    x->label = x->def->name;
    return 0;
}

static int add(struct app *a, struct generate_axis *x, char *value)
{
    char **grown = value && x->n < VALUES_MOST
                       ? mem_realloc_array(x->value, (size_t)x->n + 1, sizeof *grown)
                       : NULL;
    if (!grown) {
        bool many = value != NULL && x->n >= VALUES_MOST;
        mem_free(value);
        return many ? app_usage(a, "more than %d values for %s", (int)VALUES_MOST, x->label)
                    : app_no_memory(a);
    }
    x->value = grown;
    x->value[x->n++] = value;
    return 0;
}

static bool is_seed(const struct generate_axis *x)
{
    return x->def && (!strcmp(x->def->name, "seed") || !strcmp(x->def->name, "variation-seed"));
}

static bool is_whole(const struct generate_axis *x)
{
    return is_seed(x) || (x->def && x->def->kind == OPT_INT);
}

/* "from-to", "from-to (+step)", "from-to [count]". */
struct range {
    double from, to, step;
    int count; /* 0 = by the step */
};

static bool read_range(struct range *r, const char *s)
{
    char *end;
    *r = (struct range){.from = strtod(s, &end)};
    if (end == s)
        return false;
    s = end + strspn(end, " ");
    if (*s++ != '-')
        return false;
    r->to = strtod(s, &end);
    if (end == s)
        return false;
    r->step = r->to < r->from ? -1 : 1;
    s = end + strspn(end, " ");
    const char *inner = s + 1, *close = *s == '(' ? ")" : *s == '[' ? "]" : NULL;
    if (!close)
        return !*s;
    if (*s == '(')
        r->step = strtod(inner, &end);
    else
        r->count = (int)strtol(inner, &end, 10);
    bool fine = end != inner && *end == *close && !end[1 + strspn(end + 1, " ")];
    return fine && (*s == '[' ? r->count >= 1 : r->step * (r->to - r->from) >= 0 && r->step != 0);
}

static int add_range(struct app *a, struct generate_axis *x, const struct range *r)
{
    int failed = 0;
    double steps = floor((r->to - r->from) / r->step + 1e-9) + 1;
    if (!(steps <= VALUES_MOST) || r->count > VALUES_MOST)
        return app_usage(a, "more than %d values for %s", (int)VALUES_MOST, x->label);
    int n = r->count ? r->count : (int)steps;
    for (int i = 0; i < n && !failed; i++) {
        double v = r->from + i * r->step;
        if (r->count)
            v = n > 1 ? r->from + (r->to - r->from) * i / (n - 1) : r->from;
        failed = add(a, x, is_whole(x) ? mem_printf("%.0f", trunc(v)) : mem_printf("%.10g", v));
    }
    return failed;
}

static int add_value(struct app *a, struct generate_axis *x, char *value)
{
    struct range r;
    bool number = is_whole(x) || (x->def && x->def->kind == OPT_NUMBER);
    if (!value)
        return app_no_memory(a);
    if (number && read_range(&r, value)) {
        mem_free(value);
        return add_range(a, x, &r);
    }
    if (is_seed(x)) { /* a random one is the same for the whole row */
        uint64_t seed = 0;
        int failed = generate_seed(a, x->def->name, value, &seed);
        mem_free(value);
        return failed ? failed : add(a, x, mem_printf("%" PRIu64, seed));
    }
    return add(a, x, value);
}

/* The text up to the next comma that stands in no quotes, without quotes and blanks around it. */
static char *next_value(const char **s)
{
    struct buf b;
    bool quoted = false;
    const char *p = *s + strspn(*s, " ");
    buf_init(&b, 1 << 16);
    buf_puts(&b, "");
    for (; *p && (quoted || *p != ','); p++) {
        if (*p != '"')
            buf_putc(&b, *p);
        else if (quoted && p[1] == '"')
            buf_putc(&b, *p++);
        else
            quoted = !quoted;
    }
    while (b.len && b.data[b.len - 1] == ' ')
        b.data[--b.len] = 0;
    *s = *p ? p + 1 : p;
    return buf_take(&b);
}

int generate_axis_read(struct app *a, struct generate_axis *x, const char *option, const char *text)
{
    *x = (struct generate_axis){.n = 1};
    if (!text)
        return 0;
    const char *equals = strchr(text, '=');
    if (!equals || !equals[1])
        return app_usage(a, "--%s is an option and its values, as in --%s steps=10,20,30", option,
                         option);
    char *name = mem_strndup(text, (size_t)(equals - text));
    x->n = 0;
    x->text = equals + 1;
    int failed = name ? read_name(a, x, option, name) : app_no_memory(a);
    mem_free(name);
    for (const char *s = x->text; *s && !failed;)
        failed = add_value(a, x, next_value(&s));
    return failed;
}

/* text with `from` replaced by `to` everywhere; NULL = no memory. */
static char *replace(const char *text, const char *from, const char *to)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (const char *at; *from && (at = strstr(text, from)); text = at + strlen(from)) {
        buf_append(&b, text, (size_t)(at - text));
        buf_puts(&b, to);
    }
    buf_puts(&b, text);
    return buf_take(&b);
}

static int put_text(struct app *a, struct generate_axis_text *t, const char **text,
                    const char *from, const char *to)
{
    int i = 0;
    while (t->owned[i])
        i++;
    t->owned[i] = replace(*text, from, to);
    if (!t->owned[i])
        return app_no_memory(a);
    *text = t->owned[i];
    return 0;
}

int generate_axis_apply(struct app *a, const struct generate_axis *x, int i,
                        struct generate_args *g, struct generate_axis_text *t)
{
    struct option_tables own = {.own = generate_defs, .own_args = g};
    if (!x->label)
        return 0;
    if (x->def)
        return options_set(&own, x->def->name, x->value[i], &a->err) ? app_fail(a, APP_USAGE) : 0;
    const char *from = x->value[0];
    if (!strstr(t->prompt, from) && !(g->negative && strstr(g->negative, from)))
        return app_usage(a, "\"%.80s\" stands in neither prompt, so that nothing can replace it",
                         from);
    return put_text(a, t, &t->prompt, from, x->value[i]) ||
           (g->negative && put_text(a, t, &g->negative, from, x->value[i]));
}

char *generate_axis_label(const struct generate_axis *x, int i)
{
    bool plain = !x->def || !strcmp(x->def->name, "checkpoint");
    const char *value = x->value[i];
    if (x->def && !strcmp(x->def->name, "checkpoint"))
        value = path_base(value);
    return plain ? mem_strdup(value) : mem_printf("%s: %s", x->label, value);
}

void generate_axis_release(struct generate_axis *x)
{
    for (int i = 0; x->value && i < x->n; i++)
        mem_free(x->value[i]);
    mem_free(x->value);
    *x = (struct generate_axis){0};
}

void generate_axis_text_release(struct generate_axis_text *t)
{
    for (int i = 0; i < 4; i++)
        mem_free(t->owned[i]);
    *t = (struct generate_axis_text){0};
}
