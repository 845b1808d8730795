/* Attention in vectors: online softmax over blocks of keys (Milakov and Gimelshein 2018; Dao et al.
 * 2022), with the products done by the same register tile as all others. Keys are transposed and
 * values padded into panels once for all queries of the call; scores exist for one strip of queries
 * by one block of keys. */
#ifndef EIDETIC_NN_CPU_ATTN_VEC_H
#define EIDETIC_NN_CPU_ATTN_VEC_H

#include "nn/cpu/attn.h"
#include "nn/cpu/tile.h"
#include <math.h>

#ifdef EIDETIC_VEC
/* The pieces of scratch; attn_scratch counts them. */
struct attn_state {
    const struct attn_args *a;
    float *keys;      /* [ATTN_KEYS / NR][dh][NR] */
    float *values;    /* [width / NR][ATTN_KEYS][NR] */
    float *score;     /* [MR][ATTN_KEYS] */
    float *out;       /* [ATTN_QUERIES][width], sums of weighted values */
    float *max, *sum; /* [ATTN_QUERIES] */
    int width;        /* dh rounded up to NR */
};

/* Columns of n keys; those beyond n hold copies, which the softmax masks. */
static inline void pack_keys(const struct attn_state *s, int first, int n)
{
    const struct attn_args *a = s->a;
    for (int j = 0; j < n; j += VL) {
        float *panel = s->keys + (int64_t)(j / NR) * a->dh * NR + j % NR;
        for (int i = 0; i < a->dh; i += VL) {
            vf r[VL];
#pragma GCC unroll 16
            for (int t = 0; t < VL; t++)
                r[t] = v_load_n(a->k + (first + min_int(j + t, n - 1)) * a->ld_k + i, a->dh - i);
            v_transpose(r);
            for (int t = 0; t < VL && i + t < a->dh; t++)
                v_store(panel + (i + t) * NR, r[t]);
        }
    }
}

static inline void pack_values(const struct attn_state *s, int first, int n)
{
    const struct attn_args *a = s->a;
    for (int t = 0; t < n; t++) {
        const float *v = a->v + (first + t) * a->ld_v;
        for (int i = 0; i < s->width; i += VL) {
            vf x = i < a->dh ? v_load_n(v + i, a->dh - i) : v_zero();
            v_store(s->values + (i / NR * ATTN_KEYS + t) * NR + i % NR, x);
        }
    }
}

static inline void put_weights(const bool bf16, char *to, vf e)
{
    if (bf16)
        v_to_bf16(to, e);
    else
        v_store((float *)(void *)to, e);
}

/* Turns a row of scores into weights relative to the new maximum, zeros behind `valid` up to the
 * next vector, and rescales what row i has gathered so far. weights may be score, or is bf16. */
static inline void online_softmax(const struct attn_state *s, const bool bf16, const float *score,
                                  char *weights, int i, int valid, int keys)
{
    const vf scale = v_set(s->a->scale), low = v_set(-INFINITY);
    const int size = bf16 ? 2 : 4;
    vf m = v_set(s->max[i]), sum = v_zero();
    int t = 0;
    for (; t < valid; t += VL)
        m = v_max(m, v_select_n(v_load(score + t), low, valid - t));
    float max = v_largest(m);
    m = v_set(-max * s->a->scale);
    for (t = 0; t < valid; t += VL) {
        vf e = v_exp(v_select_n(v_fma(v_load(score + t), scale, m), low, valid - t));
        put_weights(bf16, weights + t * size, e);
        sum = v_add(sum, e);
    }
    for (; t < keys; t += VL)
        put_weights(bf16, weights + t * size, v_zero());
    if (s->sum[i] > 0.0f && max != s->max[i]) {
        float *out = s->out + (int64_t)i * s->width, rescale[VL];
        v_store(rescale, v_exp(v_set((s->max[i] - max) * s->a->scale)));
        for (int j = 0; j < s->width; j += VL)
            v_store(out + j, v_mul(v_load(out + j), v_set(rescale[0])));
        s->sum[i] *= rescale[0];
    }
    s->sum[i] += v_sum(sum);
    s->max[i] = max;
}

/* The scores of queries [i, i + rows) become weights, ATTN_KEYS a row. */
static inline void softmax_strip(const struct attn_state *s, const bool bf16, void *weights, int i,
                                 int rows, int first, int keys)
{
    const struct attn_args *a = s->a;
    const int size = bf16 ? 2 : 4;
    for (int r = 0; r < rows; r++) {
        int valid = a->causal ? min_int(keys, a->q0 + i + r + 1 - first) : keys;
        char *row = (char *)weights + r * ATTN_KEYS * size;
        if (valid > 0)
            online_softmax(s, bf16, s->score + r * ATTN_KEYS, row, i + r, valid, keys);
        else
            for (int t = 0; t < keys; t += VL)
                put_weights(bf16, row + t * size, v_zero());
    }
}

/* Queries [i, i + rows) against the packed block of n keys that starts at key `first`. */
static inline void attend_strip(const struct attn_state *s, int i, int rows, int first, int n)
{
    const struct attn_args *a = s->a;
    int keys = a->causal ? min_int(n, a->q0 + i + rows - first) : n;
    if (keys <= 0)
        return;
    for (int j = 0; j < keys; j += NR)
        tile(rows, keys - j > VL ? 2 : 1, a->q + i * a->ld_q, a->ld_q,
             s->keys + (int64_t)(j / NR) * a->dh * NR, a->dh, false, s->score + j, ATTN_KEYS);
    softmax_strip(s, false, s->score, i, rows, first, keys);
    for (int j = 0; j < s->width; j += NR)
        tile(rows, a->dh - j > VL ? 2 : 1, s->score, ATTN_KEYS, s->values + (int64_t)j * ATTN_KEYS,
             keys, first > 0, s->out + (int64_t)i * s->width + j, s->width);
}

/* Scratch divided, nothing gathered yet. */
static inline struct attn_state attn_begin(const struct attn_args *a)
{
    struct attn_state s = {.a = a, .width = (a->dh + NR - 1) / NR * NR};
    s.keys = a->scratch;
    s.values = s.keys + (int64_t)ATTN_KEYS * a->dh;
    s.score = s.values + (int64_t)ATTN_KEYS * s.width;
    s.out = s.score + (int64_t)MR * ATTN_KEYS;
    s.max = s.out + (int64_t)ATTN_QUERIES * s.width;
    s.sum = s.max + ATTN_QUERIES;
    for (int i = 0; i < a->tq; i++) {
        s.max[i] = -INFINITY;
        s.sum[i] = 0.0f;
    }
    return s;
}

/* Keys that any of the queries sees. */
static inline int attn_keys(const struct attn_args *a)
{
    return a->causal ? min_int(a->tk, a->q0 + a->tq) : a->tk;
}

static inline void attn_finish(const struct attn_state *s, int tk)
{
    const struct attn_args *a = s->a;
    for (int i = 0; i < a->tq; i++) {
        vf inv = v_set(tk > 0 ? 1.0f / s->sum[i] : 0.0f);
        for (int j = 0; j < a->dh; j += VL) {
            vf x = tk > 0 ? v_load(s->out + (int64_t)i * s->width + j) : v_zero();
            v_store_n(a->y + i * a->ld_y + j, v_mul(x, inv), a->dh - j);
        }
    }
}

static inline void attn_vec(const struct attn_args *a)
{
    struct attn_state s = attn_begin(a);
    int tk = attn_keys(a);
    for (int first = 0; first < tk; first += ATTN_KEYS) {
        int n = min_int(ATTN_KEYS, tk - first);
        pack_keys(&s, first, n);
        pack_values(&s, first, n);
        for (int i = 0; i < a->tq;) {
            int rows = tile_rows(a->tq - i);
            attend_strip(&s, i, rows, first, n);
            i += rows;
        }
    }
    attn_finish(&s, tk);
}
#endif

#endif
