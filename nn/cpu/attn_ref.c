/* Attention, the definition: one query at a time, its scores in a row of scratch, sums in double.
 * A query that may see no key at all (kv_len 0) gives zeros, where torch gives NaN. */
#include "nn/cpu/attn.h"
#include <math.h>

/* x, rounded to bf16 if that is asked for. */
static inline double value(bool bf16, double x)
{
    return bf16 ? (double)bf16_to_f32(f32_to_bf16((float)x)) : x;
}

static void attend(const struct attn_args *a, bool bf16, const float *q, float *y, int keys)
{
    float *score = a->scratch;
    double max = -INFINITY, sum = 0;
    for (int t = 0; t < keys; t++) {
        double dot = 0;
        for (int i = 0; i < a->dh; i++)
            dot += value(bf16, q[i]) * value(bf16, a->k[t * a->ld_k + i]);
        score[t] = (float)(dot * a->scale);
        max = fmax(max, (double)score[t]);
    }
    for (int t = 0; t < keys; t++)
        sum += exp(score[t] - max);
    for (int i = 0; i < a->dh; i++) {
        double out = 0;
        for (int t = 0; t < keys; t++)
            out += value(bf16, exp(score[t] - max)) * value(bf16, a->v[t * a->ld_v + i]);
        y[i] = keys > 0 ? (float)(out / sum) : 0.0f;
    }
}

static void attend_all(const struct attn_args *a, bool bf16)
{
    for (int i = 0; i < a->tq; i++) {
        int keys = a->causal ? min_int(a->tk, a->q0 + i + 1) : a->tk;
        attend(a, bf16, a->q + i * a->ld_q, a->y + i * a->ld_y, keys);
    }
}

void attn_ref(const struct attn_args *a)
{
    attend_all(a, false);
}

void attn_bf16_ref(const struct attn_args *a)
{
    attend_all(a, true);
}
