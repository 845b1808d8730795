/* Scores of labels. Labels lie by columns, so that the inner loop runs over labels and the compiler
 * can use vectors without reordering any sum. */
#include "caption/tagger.h"
#include "core/buf.h"
#include "core/mem.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

enum { CHUNK = 1024 }; /* labels whose sums stay in the first cache */

static void products(const struct tagger *t, const float *x, float *y)
{
    for (size_t at = 0; at < t->n; at += CHUNK) {
        size_t m = t->n - at < CHUNK ? t->n - at : CHUNK;
        float *restrict out = y + at;
        memset(out, 0, m * sizeof *out);
        for (size_t j = 0; j < t->dim; j++) {
            const float *restrict column = t->columns + j * t->n + at;
            for (size_t i = 0; i < m; i++)
                out[i] += x[j] * column[i];
        }
    }
}

enum status tagger_init(struct tagger *t, const struct lexicon *v, const struct labels *l,
                        float logit_scale, const float *mean, size_t n_mean, struct error *err)
{
    *t = (struct tagger){.lexicon = v, .n = l->n, .dim = l->dim};
    t->columns = mem_array(l->n, l->dim * sizeof *t->columns);
    t->offset = mem_zarray(l->n, sizeof *t->offset);
    if (!t->columns || !t->offset) {
        tagger_release(t);
        return error_set(err, ST_NOMEM, "out of memory (%zu labels)", l->n);
    }
    for (size_t i = 0; i < l->n; i++)
        for (size_t j = 0; j < l->dim; j++)
            t->columns[j * l->n + i] = l->rows[i * l->dim + j] * logit_scale;
    tagger_calibrate(t, mean, n_mean);
    return ST_OK;
}

void tagger_calibrate(struct tagger *t, const float *mean, size_t n_mean)
{
    float w = (float)(TAGGER_MEAN * (double)n_mean / ((double)n_mean + TAGGER_MEAN_FEW));
    if (!mean || !n_mean) {
        memset(t->offset, 0, t->n * sizeof *t->offset);
        return;
    }
    products(t, mean, t->offset);
    for (size_t i = 0; i < t->n; i++)
        t->offset[i] *= w;
}

void tagger_release(struct tagger *t)
{
    mem_free(t->columns);
    mem_free(t->offset);
    *t = (struct tagger){0};
}

/* exp(z - max), so that nothing overflows. */
static void exponents(float *z, size_t n)
{
    float max = z[0];
    for (size_t i = 1; i < n; i++)
        max = z[i] > max ? z[i] : max;
    for (size_t i = 0; i < n; i++)
        z[i] = expf(z[i] - max);
}

void tagger_score(const struct tagger *t, const float *x, float *scores)
{
    double sum[LEXICON_FACETS] = {0}, all = 0;
    const struct lexicon *v = t->lexicon;
    products(t, x, scores);
    for (size_t i = 0; i < t->n; i++)
        scores[i] -= t->offset[i];
    exponents(scores, t->n);
    for (size_t i = 0; i < t->n; i++) {
        sum[v->term[i].facet] += scores[i];
        all += scores[i];
    }
    for (size_t i = 0; i < t->n; i++)
        scores[i] = (float)(scores[i] / (sum[v->term[i].facet] + TAGGER_OTHERS * all));
    for (size_t i = 0; i < t->n; i++) {
        int parent = v->term[v->up[i]].parent;
        if (parent >= 0)
            scores[parent] += scores[v->up[i]];
    }
    for (size_t i = 0; i < t->n; i++) /* the facets below a label are not exclusive */
        scores[i] = scores[i] < 1 ? scores[i] : 1;
}

void tagger_classify(const struct tagger *t, const float *x, float *scores)
{
    double all = 0;
    products(t, x, scores);
    exponents(scores, t->n);
    for (size_t i = 0; i < t->n; i++)
        all += scores[i];
    for (size_t i = 0; i < t->n; i++)
        scores[i] = (float)(scores[i] / all);
}

static bool is_below(const struct lexicon *v, int term, int above)
{
    while (term >= 0 && term != above)
        term = v->term[term].parent;
    return term == above;
}

static bool before(const struct tagger *t, struct tag a, struct tag b)
{
    if (a.score > b.score || a.score < b.score)
        return a.score > b.score;
    if (is_below(t->lexicon, b.term, a.term))
        return true;
    return !is_below(t->lexicon, a.term, b.term) && a.term < b.term;
}

size_t tagger_best(const struct tagger *t, const float *scores, float thresh, struct tag *out,
                   size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        struct tag tag = {(int)i, scores[i]};
        if (!(tag.score >= thresh) || (n == most && (!n || !before(t, tag, out[n - 1]))))
            continue;
        size_t at = n < most ? n++ : n - 1;
        for (; at > 0 && before(t, tag, out[at - 1]); at--)
            out[at] = out[at - 1];
        out[at] = tag;
    }
    return n;
}

void tagger_key(char key[33], const struct lexicon *v, const char *model, size_t top, float thresh)
{
    struct buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "%s %zu %.9g %g %d %g ", model, top, (double)thresh, TAGGER_MEAN,
               TAGGER_MEAN_FEW, TAGGER_OTHERS);
    buf_append(&b, v->key, sizeof v->key);
    XXH128_hash_t h = XXH3_128bits(b.data ? b.data : "", b.len);
    snprintf(key, 33, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
    buf_release(&b);
}
