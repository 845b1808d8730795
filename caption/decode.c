/* Greedy search, sampling, and what all strategies share. Surprising: greedy search and sampling
 * change logits, beam search changes log-probabilities, since transformers does. */
#include "caption/decode.h"
#include "caption/decode_int.h"
#include "core/mem.h"
#include "core/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void decode_list_release(struct decode_list *l)
{
    for (int i = 0; i < l->n; i++)
        mem_free(l->item[i].id);
    mem_free(l->item);
    *l = (struct decode_list){0};
}

bool decode_add(struct decode_list *out, const int32_t *ids, int n, float score)
{
    struct decode_sentence *item =
        mem_realloc_array(out->item, (size_t)out->n + 1, sizeof *out->item);
    if (!item)
        return false;
    out->item = item;
    int32_t *copy = mem_array((size_t)n + 1, sizeof *copy);
    if (!copy)
        return false;
    memcpy(copy, ids, (size_t)n * sizeof *ids);
    out->item[out->n++] = (struct decode_sentence){copy, n, score};
    return true;
}

bool decode_is_eos(const struct decode_opts *o, int32_t id)
{
    for (int i = 0; i < o->n_eos; i++)
        if (o->eos[i] == id)
            return true;
    return false;
}

float decode_score(const struct decode_opts *o, float sum, int n)
{
    float penalty = o->length_penalty == 0.0f ? 1.0f : o->length_penalty;
    return penalty == DECODE_NO_LENGTH ? sum : (float)((double)sum / pow(n, (double)penalty));
}

void decode_log_softmax(float *x, int vocab)
{
    float max = -INFINITY;
    double sum = 0;
    for (int i = 0; i < vocab; i++)
        max = x[i] > max ? x[i] : max;
    for (int i = 0; i < vocab; i++)
        sum += exp((double)(x[i] - max));
    float log_sum = (float)log(sum);
    for (int i = 0; i < vocab; i++)
        x[i] = x[i] - max - log_sum;
}

static void penalise(const struct decoding *d, float *scores, const float *from, const int32_t *ids,
                     size_t n)
{
    float p = d->o->repetition_penalty;
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= 0 && ids[i] < d->vocab) {
            float x = from[ids[i]];
            scores[ids[i]] = x < 0 ? x * p : x / p;
        }
}

void decode_process(const struct decoding *d, float *scores, const int32_t *ids)
{
    const struct decode_opts *o = d->o;
    if (o->repetition_penalty != 0.0f && o->repetition_penalty != 1.0f) {
        /* A token that occurs twice is changed once: from the values before. */
        float *from = d->logits + (size_t)d->rows * (size_t)d->vocab;
        memcpy(from, scores, (size_t)d->vocab * sizeof *from);
        penalise(d, scores, from, o->prompt, o->n_prompt);
        penalise(d, scores, from, ids, (size_t)d->len);
    }
    for (int i = 0; d->len < o->min_tokens && i < o->n_eos; i++)
        if (o->eos[i] >= 0 && o->eos[i] < d->vocab)
            scores[o->eos[i]] = -INFINITY;
}

struct ranked {
    float x;
    int at;
};

static int falling(const void *a, const void *b)
{
    const struct ranked *p = a, *q = b;
    return p->x != q->x ? (p->x < q->x) - (p->x > q->x) : (p->at > q->at) - (p->at < q->at);
}

enum status decode_nucleus(float *logits, int vocab, float top_p, struct error *err)
{
    struct ranked *r = mem_array((size_t)vocab, sizeof *r);
    double sum = 0, tail = 0;
    if (!r)
        return error_set(err, ST_NOMEM, "out of memory for %d tokens", vocab);
    for (int i = 0; i < vocab; i++)
        r[i] = (struct ranked){logits[i], i};
    qsort(r, (size_t)vocab, sizeof *r, falling);
    for (int i = 0; i < vocab; i++)
        sum += exp((double)(r[i].x - r[0].x));
    for (int i = vocab - 1; i > 0; i--) { /* from the least likely, as the reference sums */
        tail += exp((double)(r[i].x - r[0].x)) / sum;
        if (tail > 1.0 - (double)top_p)
            break;
        logits[r[i].at] = -INFINITY;
    }
    mem_free(r);
    return ST_OK;
}

static int largest(const float *x, int n)
{
    int at = 0;
    for (int i = 1; i < n; i++)
        at = x[i] > x[at] ? i : at;
    return at;
}

/* A draw from what the nucleus leaves. */
static enum status draw(const struct decoding *d, float *logits, struct rng *rng, int32_t *id,
                        struct error *err)
{
    float t = d->o->temperature == 0.0f ? 1.0f : d->o->temperature;
    double sum = 0, x = 0;
    for (int i = 0; i < d->vocab; i++)
        logits[i] /= t;
    enum status st = decode_nucleus(logits, d->vocab, d->o->top_p, err);
    if (st)
        return st;
    int top = largest(logits, d->vocab);
    float max = logits[top];
    for (int i = 0; i < d->vocab; i++)
        sum += exp((double)(logits[i] - max));
    double at = (double)rng_uniform(rng) * sum;
    *id = top;
    for (int i = 0; i < d->vocab; i++) {
        x += exp((double)(logits[i] - max));
        if (x > at) {
            *id = i;
            break;
        }
    }
    return ST_OK;
}

/* Each row is a sentence of its own; those that ended leave, and the others close up. */
static enum status each_alone(struct decoding *d, struct decode_list *out, struct error *err)
{
    int32_t token[DECODE_MAX_BEAMS], parent[DECODE_MAX_BEAMS];
    float sum[DECODE_MAX_BEAMS] = {0};
    struct rng rng = {d->o->seed};
    enum status st = ST_OK;
    int n = d->rows;
    for (int i = 1; i < n; i++) /* all begin with the same prompt */
        memcpy(d->logits + (size_t)i * (size_t)d->vocab, d->logits,
               (size_t)d->vocab * sizeof *d->logits);
    for (bool first = true; n && !st; first = false) {
        int left = 0;
        for (int i = 0; i < n && !st; i++) {
            float *x = d->logits + (size_t)i * (size_t)d->vocab;
            int32_t *ids = d->ids + (size_t)i * (size_t)d->most, id = 0;
            decode_process(d, x, ids);
            decode_log_softmax(x, d->vocab);
            float *plain = d->logits + (size_t)(d->rows + 1) * (size_t)d->vocab;
            memcpy(plain, x, (size_t)d->vocab * sizeof *x);
            if (d->o->top_p > 0)
                st = draw(d, x, &rng, &id, err);
            else
                id = largest(x, d->vocab);
            ids[d->len] = id;
            float total = sum[i] + plain[id];
            if (st)
                break;
            if (decode_is_eos(d->o, id) || d->len + 1 == d->most) {
                if (!decode_add(out, ids, d->len + 1, decode_score(d->o, total, d->len + 1)))
                    st = error_set(err, ST_NOMEM, "out of memory for a sentence");
                continue;
            }
            memmove(d->ids + (size_t)left * (size_t)d->most, ids,
                    (size_t)(d->len + 1) * sizeof *ids);
            sum[left] = total;
            token[left] = id;
            parent[left++] = first ? 0 : i;
        }
        d->len++;
        n = left;
        if (n && !st)
            st = d->step(d->ctx, n, token, parent, d->logits, err);
    }
    return st;
}

static int by_score(const void *a, const void *b)
{
    const struct decode_sentence *p = a, *q = b;
    return (p->score < q->score) - (p->score > q->score);
}

enum status decode_run(const struct decode_opts *o, int vocab, const float *logits,
                       decode_step_fn *step, void *ctx, struct decode_list *out, struct error *err)
{
    struct decoding d = {.o = o, .vocab = vocab, .step = step, .ctx = ctx};
    size_t v = (size_t)vocab;
    *out = (struct decode_list){0};
    d.rows = o->beams ? o->beams : 1;
    d.most = o->max_tokens ? o->max_tokens : 20;
    if (d.rows < 1 || d.rows > DECODE_MAX_BEAMS || d.most < 1 || d.most > DECODE_MAX_TOKENS ||
        o->n_eos > DECODE_MAX_EOS)
        return error_set(err, ST_LIMIT, "at most %d beams of %d tokens", DECODE_MAX_BEAMS,
                         DECODE_MAX_TOKENS);
    for (size_t i = 0; i < v; i++)
        if (!isfinite(logits[i]))
            return error_set(err, ST_FORMAT, "the decoder gives no numbers");
    d.ids = mem_array((size_t)d.rows * (size_t)d.most, sizeof *d.ids);
    d.spare = mem_array((size_t)d.rows * (size_t)d.most, sizeof *d.spare);
    d.logits = mem_array((size_t)d.rows + 2, v * sizeof *d.logits);
    enum status st = d.ids && d.spare && d.logits
                         ? ST_OK
                         : error_set(err, ST_NOMEM, "out of memory for %d beams", d.rows);
    if (!st) {
        memcpy(d.logits, logits, v * sizeof *logits);
        st = d.rows > 1 && o->top_p <= 0 ? decode_beam(&d, out, err) : each_alone(&d, out, err);
    }
    if (st)
        decode_list_release(out);
    else if (out->n > 1)
        qsort(out->item, (size_t)out->n, sizeof *out->item, by_score);
    mem_free(d.logits);
    mem_free(d.spare);
    mem_free(d.ids);
    return st;
}
