/* What was typed to weighted terms, and terms to one vector; rclip's conventions.
 *
 *     struct query q = {0};
 *     query_add(&q, "2:golden retriever", +1, &err);      // text, weight 2
 *     query_add(&q, "0.5:./cat.jpg", -1, &err);           // a picture, weight -0.5
 *     for (i < q.n) encode(q.terms[i].kind, q.terms[i].text, vecs + i * dim);    // unit rows
 *     query_combine(&q, vecs, dim, out, &err);
 *     query_release(&q);
 *
 * The rule (rclip's, then made a unit vector so that scores are cosines):
 * out = normalise(sum_i weight_i * v_i / |v_i|). */
#ifndef EIDETIC_SEARCH_QUERY_H
#define EIDETIC_SEARCH_QUERY_H

#include "db/words.h"
#include <stddef.h>

enum query_kind { QUERY_TEXT, QUERY_IMAGE };
struct query_term {
    enum query_kind kind;
    float weight; /* signed, never 0 */
    char *text;   /* what follows the weight: the sentence, or the path as typed */
};
struct query {
    struct query_term *terms;
    size_t n;
    struct db_expr *where; /* what query_conditions took out of the sentences; NULL = nothing */
    bool only_conditions;  /* no sentence was left */
};
#define QUERY_MAX_TERMS 256

/* One argument as one term. A weight is digits with at most one point, then ':' ("2:", ".5:",
 * "0.5:"); what follows is a picture where it starts with "./", "../", "~/" or "/", text otherwise.
 * sign is +1 or -1. An empty text or a weight of 0 or above 1e6 is ST_USAGE. */
enum status query_add(struct query *q, const char *arg, int sign, struct error *err);
/* The positional arguments, all positive: as query_add each, but single words that follow a text
 * term of single words are joined to it, so that `search a red car` is one sentence while
 * `search "a red car" "a dog"` is two. */
enum status query_add_words(struct query *q, const char *const *args, size_t n, struct error *err);
/* Takes conditions (expr.h) out of the sentences that are in q now and not subtracted. */
enum status query_conditions(struct query *q, struct error *err);
void query_release(struct query *q); /* takes a zeroed struct */

/* vecs: [q->n, dim], any positive length; out: [dim], unit. ST_USAGE where the terms cancel each
 * other out; ST_FORMAT where a row is not finite or zero. */
enum status query_combine(const struct query *q, const float *vecs, size_t dim, float *out,
                          struct error *err);

#endif
