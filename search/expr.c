/* Reading conditions, by recursive descent; depth and number of terms are limited. */
#include "search/expr.h"
#include "core/buf.h"
#include "core/mem.h"
#include "db/images.h"
#include <string.h>

enum { DEPTH = 32, TERMS = 100 };

enum token_kind { END, OPEN, CLOSE, AND, OR, NOT, PHRASE, WORD, FIELD };
struct token {
    enum token_kind kind;
    enum db_expr_kind field;
    const char *text;
    size_t n;
};
struct parser {
    const char *at;
    struct token t;
    int depth, terms;
    struct buf said, named; /* bare words and phrases; words of other conditions */
    bool has_bare;
    struct error *err;
};

static const struct {
    const char *name;
    enum db_expr_kind kind;
} fields[] = {{"tag:", DB_TAG},
              {"path:", DB_PATH},
              {"caption:", DB_CAPTION},
              {"camera:", DB_CAMERA},
              {"date:", DB_DATE}};

void expr_free(struct db_expr *x)
{
    while (x) { /* chains of AND may be long, on the left */
        struct db_expr *a = x->a;
        expr_free(x->b);
        mem_free(x->text);
        mem_free(x);
        x = a;
    }
}

struct db_expr *expr_new(enum db_expr_kind kind, const char *text, size_t n)
{
    struct db_expr *x = mem_zalloc(sizeof *x);
    if (!x)
        return NULL;
    x->kind = kind;
    if (text && !(x->text = mem_strndup(text, n))) {
        mem_free(x);
        return NULL;
    }
    return x;
}

static enum status join(enum db_expr_kind kind, struct db_expr *a, struct db_expr *b,
                        struct db_expr **out, struct error *err)
{
    *out = expr_new(kind, NULL, 0);
    if (!*out) {
        expr_free(a);
        expr_free(b);
        return error_set(err, ST_NOMEM, "out of memory");
    }
    (*out)->a = a;
    (*out)->b = b;
    return ST_OK;
}

enum status expr_and(struct db_expr *a, struct db_expr *b, struct db_expr **out, struct error *err)
{
    if (a && b)
        return join(DB_AND, a, b, out, err);
    *out = a ? a : b;
    return ST_OK;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_end(char c)
{
    return !c || is_space(c) || c == '(' || c == ')' || c == '"';
}

static size_t field_of(const char *s, enum db_expr_kind *kind)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        size_t n = strlen(fields[i].name);
        if (!strncmp(s, fields[i].name, n) && s[n] && !is_space(s[n])) {
            *kind = fields[i].kind;
            return n;
        }
    }
    return 0;
}

static enum token_kind operator_of(const char *s, size_t n)
{
    if (n == 3 && !memcmp(s, "AND", 3))
        return AND;
    if (n == 2 && !memcmp(s, "OR", 2))
        return OR;
    return n == 3 && !memcmp(s, "NOT", 3) ? NOT : WORD;
}

/* Is there anything in it that is more than a sentence? */
static bool is_expression(const char *s)
{
    enum db_expr_kind kind;
    if (strchr(s, '"'))
        return true;
    for (bool start = true; *s; s++) {
        if (start && field_of(s, &kind))
            return true;
        size_t n = 0;
        while (start && !is_end(s[n]))
            n++;
        if (start && n && operator_of(s, n) != WORD)
            return true;
        start = is_space(*s) || *s == '(';
    }
    return false;
}

static enum status quoted(struct parser *p)
{
    const char *end = strchr(p->at + 1, '"');
    if (!end)
        return error_set(p->err, ST_USAGE, "a quote is not closed: %.80s", p->at);
    p->t.text = p->at + 1;
    p->t.n = (size_t)(end - p->t.text);
    p->at = end + 1;
    for (size_t i = 0; i < p->t.n; i++)
        if (!is_space(p->t.text[i]))
            return ST_OK;
    return error_set(p->err, ST_USAGE, "there is nothing between two quotes");
}

static enum status next(struct parser *p)
{
    while (is_space(*p->at))
        p->at++;
    p->t = (struct token){.kind = WORD, .text = p->at};
    switch (*p->at) {
    case 0:
        p->t.kind = END;
        return ST_OK;
    case '(':
    case ')':
        p->t.kind = *p->at++ == '(' ? OPEN : CLOSE;
        return ST_OK;
    case '"':
        p->t.kind = PHRASE;
        return quoted(p);
    }
    size_t n = field_of(p->at, &p->t.field);
    if (n) {
        p->t.kind = FIELD;
        p->at += n;
        p->t.text = p->at;
        if (*p->at == '"')
            return quoted(p);
    }
    while (!is_end(*p->at))
        p->at++;
    p->t.n = (size_t)(p->at - p->t.text);
    if (p->t.kind == FIELD && !p->t.n)
        return error_set(p->err, ST_USAGE, "a condition without a value: %.80s", p->t.text - n);
    if (p->t.kind == WORD)
        p->t.kind = operator_of(p->t.text, p->t.n);
    return ST_OK;
}

static void say(struct buf *b, const struct token *t)
{
    if (b->len)
        buf_putc(b, ' ');
    buf_append(b, t->text, t->n);
}

/* 2019, 2019-05..2019-07, "last summer" */
static enum status read_date(struct parser *p, struct db_expr *x)
{
    char *dots = strstr(x->text, "..");
    if (dots)
        *dots = 0;
    int64_t now = db_wall_clock(), other;
    if (!db_parse_when(x->text, now, &x->from, &other) ||
        !db_parse_when(dots ? dots + 2 : x->text, now, &other, &x->to))
        return error_set(p->err, ST_USAGE,
                         "date: takes a date such as 2019 or 2019-05..2019-07, not \"%.40s\"",
                         x->text);
    if (x->from > x->to)
        return error_set(p->err, ST_USAGE, "date: ends before it begins: %.40s..%.40s", x->text,
                         dots ? dots + 2 : "");
    return ST_OK;
}

static enum status read_or(struct parser *p, bool soft, struct db_expr **out);

/* soft: bare words only rank. *out NULL: nothing but such words. */
static enum status read_term(struct parser *p, bool soft, bool negated, struct db_expr **out)
{
    struct token t = p->t;
    bool word = t.kind == WORD, phrase = t.kind == PHRASE;
    *out = NULL;
    if (++p->terms > TERMS)
        return error_set(p->err, ST_USAGE, "more than %d terms in a query", TERMS);
    if (!negated && (word || phrase))
        say(&p->said, &t);
    else if (!negated && (t.field == DB_TAG || t.field == DB_CAPTION))
        say(&p->named, &t);
    p->has_bare |= word && !negated;
    if (!(word && soft) && !(*out = expr_new(word || phrase ? DB_PHRASE : t.field, t.text, t.n)))
        return error_set(p->err, ST_NOMEM, "out of memory");
    enum status st = *out && (*out)->kind == DB_DATE ? read_date(p, *out) : ST_OK;
    return st ? st : next(p);
}

static enum status read_unary(struct parser *p, bool soft, bool negated, struct db_expr **out)
{
    enum status st;
    *out = NULL;
    if (p->depth > DEPTH)
        return error_set(p->err, ST_USAGE, "parentheses or NOTs nested too deeply");
    switch (p->t.kind) {
    case NOT: {
        struct db_expr *inner = NULL;
        p->depth++;
        st = next(p);
        if (!st)
            st = read_unary(p, false, !negated, &inner);
        p->depth--;
        if (st) {
            expr_free(inner);
            return st;
        }
        return join(DB_NOT, inner, NULL, out, p->err);
    }
    case OPEN:
        p->depth++;
        st = next(p);
        /* What is said within NOT ( ... ) is not what is looked for. */
        size_t said = p->said.len, named = p->named.len;
        bool had_bare = p->has_bare;
        if (!st)
            st = read_or(p, soft, out);
        if (negated && p->said.data)
            p->said.data[p->said.len = said] = 0;
        if (negated && p->named.data)
            p->named.data[p->named.len = named] = 0;
        if (negated)
            p->has_bare = had_bare;
        p->depth--;
        if (!st && p->t.kind != CLOSE)
            st = error_set(p->err, ST_USAGE, "a parenthesis is not closed");
        return st ? st : next(p);
    case PHRASE:
    case WORD:
    case FIELD:
        return read_term(p, soft, negated, out);
    default:
        return error_set(p->err, ST_USAGE, "%s in a query: a term is missing",
                         p->t.kind == CLOSE ? "\")\""
                         : p->t.kind == END ? "the end"
                                            : "AND or OR");
    }
}

static enum status read_and(struct parser *p, bool soft, struct db_expr **out)
{
    enum status st = read_unary(p, soft, false, out);
    while (!st && p->t.kind != OR && p->t.kind != CLOSE && p->t.kind != END) {
        struct db_expr *more = NULL;
        if (p->t.kind == AND)
            st = next(p);
        if (!st)
            st = read_unary(p, soft, false, &more);
        if (st)
            expr_free(more);
        else if ((st = expr_and(*out, more, out, p->err)))
            *out = NULL;
    }
    return st;
}

/* Does an OR follow at this level? Only then are bare words conditions. */
static bool has_or(const struct parser *p)
{
    struct parser look = *p;
    look.err = NULL;
    int depth = 0;
    while (look.t.kind != END) {
        depth += (look.t.kind == OPEN) - (look.t.kind == CLOSE);
        if (depth < 0 || next(&look))
            return false;
        if (depth == 0 && look.t.kind == OR)
            return true;
    }
    return false;
}

static enum status read_or(struct parser *p, bool soft, struct db_expr **out)
{
    soft = soft && !has_or(p);
    enum status st = read_and(p, soft, out);
    while (!st && p->t.kind == OR) {
        struct db_expr *more = NULL;
        st = next(p);
        if (!st)
            st = read_and(p, soft, &more);
        if (st)
            expr_free(more);
        else if ((st = join(DB_OR, *out, more, out, p->err)))
            *out = NULL;
    }
    return st;
}

static enum status parse_all(struct parser *p, struct db_expr **where)
{
    enum status st = next(p);
    if (!st)
        st = read_or(p, true, where);
    if (!st && p->t.kind != END)
        st = error_set(p->err, ST_USAGE, "a \")\" without a \"(\"");
    return st;
}

enum status expr_parse(const char *text, char **sentence, struct db_expr **where, bool *bare,
                       struct error *err)
{
    struct parser p = {.at = text, .err = err};
    enum status st = ST_OK;
    *where = NULL;
    *bare = true;
    buf_init(&p.said, 1 << 20);
    buf_init(&p.named, 1 << 20);
    if (is_expression(text)) {
        st = parse_all(&p, where);
        *bare = p.has_bare;
        const char *words = p.said.len ? p.said.data : p.named.len ? p.named.data : "a photo";
        *sentence = st || p.said.failed || p.named.failed ? NULL : mem_strdup(words);
    } else {
        *sentence = mem_strdup(text);
    }
    buf_release(&p.said);
    buf_release(&p.named);
    if (!st && !*sentence)
        st = error_set(err, ST_NOMEM, "out of memory");
    if (st) {
        expr_free(*where);
        *where = NULL;
        *sentence = NULL;
    }
    return st;
}
