/* The nearest rows, the definition alone: search has its own scan, and devices their kernel. */
#include "nn/cpu/cpu_int.h"
#include "nn/cpu/elem.h"
#include <math.h>

struct nearest {
    float *score, *row, *wide;
    const float *q;
    const struct tensor *v;
    const uint8_t *keep;
    int64_t k, d;
};

/* NaN is less than all. */
static bool less(float a, float b)
{
    return isnan(a) ? !isnan(b) : a < b;
}

/* Into the k best so far, of which n are there; equal ones stay in front of it. */
static int64_t put(float *score, float *row, int64_t n, int64_t k, float s, int64_t r)
{
    int64_t i = n < k ? n : k - 1;
    if (n == k && !less(score[k - 1], s))
        return n;
    for (; i > 0 && less(score[i - 1], s); i--) {
        score[i] = score[i - 1];
        row[i] = row[i - 1];
    }
    score[i] = s;
    row[i] = (float)r;
    return n < k ? n + 1 : n;
}

static void search_piece(void *ctx, int64_t i0, int64_t i1, int thread)
{
    const struct nearest *a = ctx;
    float *wide = a->wide + (size_t)thread * pad16((size_t)a->d);
    for (int64_t i = i0; i < i1; i++) {
        const float *q = a->q + i * a->d;
        int64_t n = 0;
        for (int64_t r = 0; r < a->v->dim[0]; r++) {
            double sum = 0;
            if (a->keep && !(a->keep[r / 8] >> (r % 8) & 1))
                continue;
            widen_ref(wide, a->v->dtype, weight_row(a->v, r, a->d), 0, a->d, 1);
            for (int64_t j = 0; j < a->d; j++)
                sum += (double)q[j] * (double)wide[j];
            n = put(a->score + i * a->k, a->row + i * a->k, n, a->k, (float)sum, r);
        }
        for (; n < a->k; n++) {
            a->score[i * a->k + n] = NAN;
            a->row[i * a->k + n] = -1;
        }
    }
}

void cpu_nearest(struct backend *be, struct tensor *score, struct tensor *row,
                 const struct tensor *q, const struct tensor *v, const uint8_t *keep)
{
    struct cpu *c = (struct cpu *)be;
    struct nearest a = {.score = score->data,
                        .row = row->data,
                        .q = q->data,
                        .v = v,
                        .keep = keep,
                        .k = tensor_cols(score),
                        .d = v->dim[1]};
    a.wide = cpu_scratch(c, SCRATCH_OP, pad16((size_t)a.d) * (size_t)pool_threads(be->pool));
    if (a.wide)
        cpu_split(c, tensor_rows(q), 1, search_piece, &a);
}
