/* rclip's query conventions: weights, pictures by path, sums of unit vectors. */
#include "search/query.h"
#include "core/mem.h"
#include "search/expr.h"
#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Digits with at most one point, then ':': as rclip's pattern. Returns what follows, or arg. */
static const char *split_weight(const char *arg, double *weight)
{
    const char *p = arg;
    double value = 0, unit = 1;
    int digits = 0;
    *weight = 1;
    for (; *p >= '0' && *p <= '9'; p++, digits++)
        value = value * 10 + (*p - '0');
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++, digits++)
            value += (*p - '0') * (unit /= 10);
    if (!digits || *p != ':' || !p[1])
        return arg;
    *weight = value;
    return p + 1;
}

static bool is_path(const char *s)
{
    return !strncmp(s, "/", 1) || !strncmp(s, "./", 2) || !strncmp(s, "../", 3) ||
           !strncmp(s, "~/", 2);
}

static bool is_blank(const char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    return !*s;
}

enum status query_add(struct query *q, const char *arg, int sign, struct error *err)
{
    double weight;
    const char *text = split_weight(arg, &weight);
    if (is_blank(text))
        return error_set(err, ST_USAGE, "empty query");
    if (!(weight > 0 && weight <= 1e6))
        return error_set(err, ST_USAGE, "\"%.80s\": a weight must be above 0 and at most 1e6", arg);
    if (q->n >= QUERY_MAX_TERMS)
        return error_set(err, ST_USAGE, "more than %d queries are combined", QUERY_MAX_TERMS);
    struct query_term *terms = mem_realloc_array(q->terms, q->n + 1, sizeof *terms);
    if (!terms)
        return error_set(err, ST_NOMEM, "out of memory");
    q->terms = terms;
    char *copy = mem_strdup(text);
    if (!copy)
        return error_set(err, ST_NOMEM, "out of memory");
    q->terms[q->n++] = (struct query_term){
        .kind = is_path(text) ? QUERY_IMAGE : QUERY_TEXT,
        .weight = (float)(sign < 0 ? -weight : weight),
        .text = copy,
    };
    return ST_OK;
}

static bool has_space(const char *s)
{
    for (; *s; s++)
        if (isspace((unsigned char)*s))
            return true;
    return false;
}

static enum status join(struct query_term *t, const char *word, struct error *err)
{
    char *joined = mem_printf("%s %s", t->text, word);
    if (!joined)
        return error_set(err, ST_NOMEM, "out of memory");
    mem_free(t->text);
    t->text = joined;
    return ST_OK;
}

enum status query_add_words(struct query *q, const char *const *args, size_t n, struct error *err)
{
    bool open = false; /* the last term was made of single words */
    enum status rc = ST_OK;
    for (size_t i = 0; !rc && i < n; i++) {
        double weight;
        bool weighted = split_weight(args[i], &weight) != args[i];
        bool word = !has_space(args[i]) && *args[i] && !is_path(args[i]);
        if (open && word && !weighted) {
            rc = join(&q->terms[q->n - 1], args[i], err);
            continue;
        }
        rc = query_add(q, args[i], +1, err);
        open = !rc && word && q->terms[q->n - 1].kind == QUERY_TEXT;
    }
    return rc;
}

enum status query_conditions(struct query *q, struct error *err)
{
    bool any_bare = q->n == 0;
    enum status rc = ST_OK;
    for (size_t i = 0; !rc && i < q->n; i++) {
        struct query_term *t = &q->terms[i];
        struct db_expr *where = NULL;
        char *sentence = NULL;
        bool bare = true;
        if (t->kind == QUERY_TEXT && t->weight > 0 &&
            !(rc = expr_parse(t->text, &sentence, &where, &bare, err))) {
            mem_free(t->text);
            t->text = sentence;
            rc = expr_and(q->where, where, &q->where, err);
        }
        any_bare |= bare;
    }
    q->only_conditions = !any_bare;
    return rc;
}

void query_release(struct query *q)
{
    expr_free(q->where);
    for (size_t i = 0; i < q->n; i++)
        mem_free(q->terms[i].text);
    mem_free(q->terms);
    *q = (struct query){0};
}

static double length_of(const float *v, size_t dim)
{
    double s = 0;
    for (size_t i = 0; i < dim; i++)
        s += (double)v[i] * v[i];
    return sqrt(s);
}

enum status query_combine(const struct query *q, const float *vecs, size_t dim, float *out,
                          struct error *err)
{
    double *sum = mem_zarray(dim, sizeof *sum), total = 0, length = 0;
    if (!sum)
        return error_set(err, ST_NOMEM, "out of memory");
    enum status rc = ST_OK;
    if (q->n == 0)
        rc = error_set(err, ST_USAGE, "empty query");
    for (size_t i = 0; !rc && i < q->n; i++) {
        const float *v = vecs + i * dim;
        double l = length_of(v, dim);
        if (!(l > 0 && isfinite(l))) {
            rc = error_set(err, ST_FORMAT, "\"%.80s\" has no direction", q->terms[i].text);
            break;
        }
        for (size_t j = 0; j < dim; j++)
            sum[j] += q->terms[i].weight * (v[j] / l);
        total += fabs((double)q->terms[i].weight);
    }
    for (size_t j = 0; j < dim; j++)
        length += sum[j] * sum[j];
    length = sqrt(length);
    if (!rc && !(length > 1e-6 * total))
        rc = error_set(err, ST_USAGE, "the queries cancel each other out");
    for (size_t j = 0; !rc && j < dim; j++)
        out[j] = (float)(sum[j] / length);
    mem_free(sum);
    return rc;
}
