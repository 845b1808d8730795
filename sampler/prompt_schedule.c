/* Which text a prompt is at which step: [from:to:when] and [a|b].
 *
 * The prompt is read once into a tree over its bytes. Surprising: a bracket that forms no group is
 * text, but only at the top; inside of a group it breaks that group. Whether a group starts at a
 * place does not depend on what is around it, so failures are remembered, and hostile runs of
 * brackets cost linear time. */
#include "core/arena.h"
#include "core/buf.h"
#include "core/mem.h"
#include "sampler/prompt_int.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 200 };

enum node_kind { TEXT, SCHEDULED, ALTERNATE, BRACKETS };

/* A piece of a sequence. The brackets of BRACKETS are TEXT beside it. */
struct node {
    enum node_kind kind;
    const char *start, *end; /* TEXT */
    struct seq *child;       /* else: the first of its sequences, linked by next_option */
    int when;                /* SCHEDULED */
    struct node *next;
};
struct seq {
    struct node *first, **last;
    struct seq *next_option;
};

struct parser {
    const char *text;
    int steps;
    bool *failed; /* [len] no group starts here */
    bool *ends;   /* [steps + 1] a text ends at this step */
    struct arena arena;
    bool no_memory;
    int depth;
};

static struct seq *new_seq(struct parser *p)
{
    struct seq *s = arena_alloc(&p->arena, sizeof *s);
    if (s)
        *s = (struct seq){.last = &s->first};
    p->no_memory |= !s;
    return s;
}

static struct node *add(struct parser *p, struct seq *s, enum node_kind kind)
{
    struct node *n = s ? arena_alloc(&p->arena, sizeof *n) : NULL;
    if (!n) {
        p->no_memory = true;
        return NULL;
    }
    *n = (struct node){.kind = kind};
    *s->last = n;
    s->last = &n->next;
    return n;
}

static void add_text(struct parser *p, struct seq *s, const char *start, const char *end)
{
    struct node *n = start < end ? add(p, s, TEXT) : NULL;
    if (n) {
        n->start = start;
        n->end = end;
    }
}

/* The end of plain text at c: anything but \[]():| , or a backslash with what follows. */
static const char *plain_end(const char *c)
{
    while (*c && !strchr("[]():|", *c)) {
        if (*c == '\\' && (c[1] == '\0' || c[1] == '\n'))
            break;
        c += *c == '\\' ? 2 : 1;
    }
    return c;
}

static const char *group(struct parser *p, struct seq *into, const char *c);

/* Reads pieces into a new sequence until something that is none; *end: there. */
static struct seq *sequence(struct parser *p, const char *c, const char **end)
{
    struct seq *s = new_seq(p);
    while (s && !p->no_memory) {
        const char *next = plain_end(c);
        if (next > c)
            add_text(p, s, c, next);
        else if (*c == '[' || *c == '(')
            next = group(p, s, c);
        if (!next || next == c)
            break;
        c = next;
    }
    *end = c;
    return s;
}

/* " 0.5 ]" at c: behind it, and the step; NULL when it is something else. */
static const char *number_and_close(const struct parser *p, const char *c, int *when)
{
    while (*c == ' ' || (*c >= '\t' && *c <= '\r'))
        c++;
    const char *start = c, *digits;
    bool dot = false;
    c += *c == '+' || *c == '-';
    digits = c;
    while ((*c >= '0' && *c <= '9') || (*c == '.' && !dot))
        dot |= *c++ == '.';
    if (c - digits - dot < 1)
        return NULL;
    if (*c == 'e' || *c == 'E') {
        const char *e = c + 1 + (c[1] == '+' || c[1] == '-');
        if (*e < '0' || *e > '9')
            return NULL;
        for (c = e; *c >= '0' && *c <= '9';)
            c++;
    }
    double v = strtod(start, NULL);
    if (memchr(start, '.', (size_t)(c - start)))
        v *= p->steps;
    *when = v >= p->steps ? p->steps : v > -1e9 ? (int)v : -1;
    while (*c == ' ' || (*c >= '\t' && *c <= '\r'))
        c++;
    return *c == ']' ? c + 1 : NULL;
}

/* "|b|c]" behind the first option at c. */
static const char *options(struct parser *p, struct seq *first, const char *c)
{
    struct seq *last = first;
    while (*c == '|') {
        struct seq *s = sequence(p, c + 1, &c);
        if (!s)
            return NULL;
        last->next_option = s;
        last = s;
    }
    return *c == ']' ? c + 1 : NULL;
}

static void mark_ends(struct parser *p, const struct node *n)
{
    if (n->kind == SCHEDULED && n->when >= 1)
        p->ends[n->when] = true;
    for (int i = 1; n->kind == ALTERNATE && i <= p->steps; i++)
        p->ends[i] = true;
}

static void place(struct parser *p, struct seq *into, enum node_kind kind, struct seq *child,
                  int when)
{
    struct node *n = add(p, into, kind);
    if (n) {
        n->child = child;
        n->when = when;
    }
}

static const char *square(struct parser *p, struct seq *into, const char *c)
{
    const char *end, *close;
    int when;
    struct seq *a = sequence(p, c + 1, &end);
    if (!a)
        return NULL;
    if (*end == ']') {
        add_text(p, into, c, c + 1);
        place(p, into, BRACKETS, a, 0);
        add_text(p, into, end, end + 1);
        return end + 1;
    }
    if (*end == '|') {
        close = options(p, a, end);
        if (close)
            place(p, into, ALTERNATE, a, 0);
        return close;
    }
    if (*end != ':')
        return NULL;
    struct seq *before = NULL;
    close = number_and_close(p, end + 1, &when);
    if (!close) { /* there is a `from` as well */
        before = a;
        a = sequence(p, end + 1, &end);
        close = a && *end == ':' ? number_and_close(p, end + 1, &when) : NULL;
    }
    if (!close)
        return NULL;
    a->next_option = before;
    place(p, into, SCHEDULED, a, when);
    return close;
}

static const char *round_group(struct parser *p, struct seq *into, const char *c)
{
    const char *end, *colon = NULL;
    struct seq *a = sequence(p, c + 1, &end), *b = NULL;
    if (a && *end == ':') {
        colon = end;
        b = sequence(p, end + 1, &end);
    }
    if (!a || *end != ')')
        return NULL;
    add_text(p, into, c, c + 1);
    place(p, into, BRACKETS, a, 0);
    if (colon) {
        add_text(p, into, colon, colon + 1);
        place(p, into, BRACKETS, b, 0);
    }
    add_text(p, into, end, end + 1);
    return end + 1;
}

/* The group that starts at c, into the sequence; NULL and nothing added when there is none. */
static const char *group(struct parser *p, struct seq *into, const char *c)
{
    if (p->failed[c - p->text] || p->depth == MAX_DEPTH)
        return NULL;
    p->depth++;
    const char *end = *c == '[' ? square(p, into, c) : round_group(p, into, c);
    p->depth--;
    p->failed[c - p->text] = !end;
    return p->no_memory ? NULL : end;
}

static void mark_all(struct parser *p, const struct seq *s)
{
    for (; s; s = s->next_option)
        for (const struct node *n = s->first; n; n = n->next) {
            mark_ends(p, n);
            mark_all(p, n->child);
        }
}

static void show(struct buf *b, const struct seq *s, int step);

static void show_node(struct buf *b, const struct node *n, int step)
{
    const struct seq *s = n->child;
    int count = 0;
    switch (n->kind) {
    case TEXT:
        buf_append(b, n->start, (size_t)(n->end - n->start));
        break;
    case SCHEDULED: /* the child is `to`, the option behind it `from` or none */
        show(b, step <= n->when ? s->next_option : s, step);
        break;
    case ALTERNATE:
        for (const struct seq *o = s; o; o = o->next_option)
            count++;
        for (int i = (step - 1) % count; i > 0; i--)
            s = s->next_option;
        show(b, s, step);
        break;
    case BRACKETS:
        show(b, s, step);
        break;
    }
}

static void show(struct buf *b, const struct seq *s, int step)
{
    for (const struct node *n = s ? s->first : NULL; n; n = n->next)
        show_node(b, n, step);
}

/* The whole prompt; NULL where the grammar has no place for something. */
static struct seq *whole(struct parser *p)
{
    const char *c = p->text;
    struct seq *all = new_seq(p);
    while (all && !p->no_memory && *c) {
        const char *end;
        struct seq *s = sequence(p, c, &end);
        if (s)
            place(p, all, BRACKETS, s, 0);
        c = end;
        if (*c == '|' || *c == '\\')
            return NULL;
        if (*c) /* a bracket or colon that belongs to nothing */
            add_text(p, all, c, c + 1);
        c += *c != '\0';
    }
    return all;
}

enum status prompt_schedule(struct prompt_list *out, const char *text, int steps, struct error *err)
{
    size_t len = strlen(text);
    struct parser p = {.text = text, .steps = steps};
    p.failed = mem_zarray(len + 1, sizeof *p.failed);
    p.ends = mem_zarray((size_t)steps + 1, sizeof *p.ends);
    p.no_memory = !p.failed || !p.ends;
    struct seq *tree = p.no_memory ? NULL : whole(&p);
    if (tree)
        mark_all(&p, tree);
    for (int step = 1; step <= steps && !p.no_memory; step++) {
        if (step < steps && !p.ends[step])
            continue;
        struct buf b;
        buf_init(&b, SIZE_MAX);
        if (tree)
            show(&b, tree, step);
        else
            buf_append(&b, text, len);
        char *line = buf_take(&b);
        struct prompt_item *item = line ? prompt_list_add(out, line, strlen(line)) : NULL;
        mem_free(line);
        if (item)
            item->end_step = step;
        p.no_memory = !item;
    }
    arena_release(&p.arena);
    mem_free(p.failed);
    mem_free(p.ends);
    return p.no_memory ? prompt_no_memory(out, err) : ST_OK;
}
