/* Beam search as transformers' _beam_search: the best 2 (or one more than there are end tokens)
 * continuations a beam are looked at, those that end among the best `beams` are kept, and it stops
 * when no running sentence can do better at its present length than the worst that is kept.
 * Surprising: a score of -1e9 marks what may not be chosen, added in f32 as there, so that equal
 * scores order as there. */
#include "caption/decode_int.h"
#include "core/mem.h"
#include <math.h>
#include <string.h>

#define NEVER -1.0e9f

struct candidate {
    float score; /* sum of log-probabilities */
    int parent;
    int32_t id;
    bool ends;
};
struct finished {
    float score;
    int n; /* 0: nothing */
    int32_t ids[DECODE_MAX_TOKENS];
};

/* Keeps the best k of what is added, best first; of equal ones the first. */
static void insert(struct candidate *best, int *n, int k, struct candidate x)
{
    if (*n == k && !(x.score > best[k - 1].score))
        return;
    int i = *n < k ? (*n)++ : k - 1;
    for (; i > 0 && best[i - 1].score < x.score; i--)
        best[i] = best[i - 1];
    best[i] = x;
}

/* The best k continuations of `beams` running sentences. */
static int look(struct decoding *d, int beams, const float *sum, int k, struct candidate *best)
{
    int n = 0;
    for (int i = 0; i < beams; i++) {
        float *x = d->logits + (size_t)i * (size_t)d->vocab;
        decode_log_softmax(x, d->vocab);
        decode_process(d, x, d->ids + (size_t)i * (size_t)d->most);
        for (int32_t id = 0; id < d->vocab; id++)
            insert(best, &n, k, (struct candidate){x[id] + sum[i], i, id, false});
    }
    for (int i = 0; i < n; i++)
        best[i].ends = d->len + 1 == d->most || decode_is_eos(d->o, best[i].id);
    return n;
}

/* Sentences that just ended among the first `beams` candidates, merged with those kept before. */
static void finish(const struct decoding *d, const struct candidate *c, int n,
                   struct finished *kept, int beams)
{
    for (int i = 0; i < n && i < beams; i++) {
        if (!c[i].ends)
            continue;
        float score = decode_score(d->o, c[i].score, d->len + 1);
        int at = beams;
        while (at > 0 && kept[at - 1].score < score)
            at--;
        if (at == beams)
            continue;
        memmove(kept + at + 1, kept + at, (size_t)(beams - at - 1) * sizeof *kept);
        kept[at].score = score;
        kept[at].n = d->len + 1;
        memcpy(kept[at].ids, d->ids + (size_t)c[i].parent * (size_t)d->most,
               (size_t)d->len * sizeof *d->ids);
        kept[at].ids[d->len] = c[i].id;
    }
}

/* The first candidates that go on become the running sentences. */
static int go_on(struct decoding *d, const struct candidate *c, int n, int beams, float *sum,
                 int32_t *token, int32_t *parent)
{
    int left = 0;
    for (int i = 0; i < n && left < beams; i++) {
        if (c[i].ends)
            continue;
        int32_t *to = d->spare + (size_t)left * (size_t)d->most;
        memcpy(to, d->ids + (size_t)c[i].parent * (size_t)d->most, (size_t)d->len * sizeof *to);
        to[d->len] = token[left] = c[i].id;
        parent[left] = c[i].parent;
        sum[left++] = c[i].score;
    }
    int32_t *swap = d->ids;
    d->ids = d->spare;
    d->spare = swap;
    d->len++;
    return left;
}

static bool can_improve(const struct decoding *d, float best, const struct finished *kept,
                        int beams)
{
    float worst = kept[beams - 1].n ? kept[beams - 1].score : NEVER;
    return decode_score(d->o, best, d->len) > worst;
}

enum status decode_beam(struct decoding *d, struct decode_list *out, struct error *err)
{
    int beams = d->rows, running = 1;
    int per = d->o->n_eos + 1 > 2 ? d->o->n_eos + 1 : 2;
    struct candidate best[DECODE_MAX_BEAMS * (DECODE_MAX_EOS + 1)] = {0};
    int32_t token[DECODE_MAX_BEAMS], parent[DECODE_MAX_BEAMS];
    float sum[DECODE_MAX_BEAMS] = {0};
    struct finished *kept = mem_zarray((size_t)beams, sizeof *kept);
    enum status st = kept ? ST_OK : error_set(err, ST_NOMEM, "out of memory for %d beams", beams);
    for (int i = 0; i < beams && !st; i++)
        kept[i].score = NEVER;
    while (!st) {
        int n = look(d, running, sum, per * beams, best);
        finish(d, best, n, kept, beams);
        running = go_on(d, best, n, beams, sum, token, parent);
        if (!running || !can_improve(d, sum[0], kept, beams))
            break;
        st = d->step(d->ctx, running, token, parent, d->logits, err);
    }
    for (int i = 0; i < beams && !st; i++)
        if (kept[i].n && !decode_add(out, kept[i].ids, kept[i].n, kept[i].score))
            st = error_set(err, ST_NOMEM, "out of memory for a sentence");
    mem_free(kept);
    return st;
}
