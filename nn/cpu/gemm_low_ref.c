/* Products in bf16 and int8, the definition. */
#include "nn/cpu/act.h"
#include "nn/cpu/elem.h"
#include "nn/cpu/gemm_low.h"
#include <math.h>
#include <string.h>

static float int8_row(unsigned char *units, const float *x, int64_t k, int zero)
{
    float most = 0.0f;
    for (int64_t i = 0; i < k; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    float back = most > 0.0f ? 127.0f / most : 0.0f;
    for (int64_t i = 0; i < k; i++) {
        float q = rintf(x[i] * back);
        q = q > 127.0f ? 127.0f : q < -127.0f ? -127.0f : q;
        units[i] = (unsigned char)((int)q + zero);
    }
    return most / 127.0f;
}

float low_row_ref(unsigned char *units, enum precision kind, const float *x, int64_t k, int zero)
{
    int64_t n = low_units(kind, k) * LOW_UNIT;
    memset(units, 0, (size_t)n);
    if (kind == PREC_INT8)
        return int8_row(units, x, k, zero);
    for (int64_t i = 0; i < k; i++) {
        uint16_t b = f32_to_bf16(x[i]);
        memcpy(units + 2 * i, &b, 2);
    }
    return 1.0f;
}

struct ref_ctx {
    const struct linear_args *a;
    enum precision kind;
    float *row; /* k floats a thread for w, k for x, and the units of both */
    size_t each;
};

static double bf16_dot(const unsigned char *x, const unsigned char *w, int64_t k)
{
    double sum = 0;
    for (int64_t i = 0; i < k; i++) {
        uint16_t a, b;
        memcpy(&a, x + 2 * i, 2);
        memcpy(&b, w + 2 * i, 2);
        sum += (double)bf16_to_f32(a) * bf16_to_f32(b);
    }
    return sum;
}

static float int8_dot(const unsigned char *x, const unsigned char *w, int64_t k)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < k; i++)
        sum += (x[i] - LOW_INT8_ZERO) * (int8_t)w[i];
    return (float)sum;
}

static void ref_columns(void *ctx, int64_t n0, int64_t n1, int thread)
{
    const struct ref_ctx *s = ctx;
    const struct linear_args *a = s->a;
    float *row = s->row + (size_t)thread * s->each;
    unsigned char *w = (unsigned char *)(row + pad16((size_t)a->k + 4));
    unsigned char *x = w + pad16((size_t)a->k + 4) * 4;
    for (int64_t j = n0; j < n1; j++) {
        float scale = 1.0f;
        if (s->kind == PREC_INT8 && a->w->dtype == DT_I8) {
            memcpy(w, weight_row(a->w, j, a->k), (size_t)a->k);
            scale = a->w->scale[j];
        } else {
            widen_ref(row, a->w->dtype, weight_row(a->w, j, a->k), 0, a->k, weight_scale(a->w, j));
            scale = low_row_ref(w, s->kind, row, a->k, 0);
        }
        for (int64_t m = 0; m < a->m; m++) {
            float sx = low_row_ref(x, s->kind, a->x + m * a->ldx, a->k, LOW_INT8_ZERO);
            double sum = s->kind == PREC_INT8 ? (double)int8_dot(x, w, a->k) * (sx * scale)
                                              : bf16_dot(x, w, a->k);
            float v = act_scalar_ref((float)(sum + (a->b ? a->b[j] : 0)), a->act);
            a->y[m * a->ldy + j] = v + (a->r ? a->r[m * a->ldy + j] : 0.0f);
        }
    }
}

void linear_low_ref(struct cpu *c, const struct linear_args *a, enum precision kind)
{
    struct ref_ctx s = {.a = a, .kind = kind, .each = 3 * pad16((size_t)a->k + 4)};
    s.row = cpu_scratch(c, SCRATCH_OP, s.each * (size_t)pool_threads(c->base.pool));
    if (s.row)
        cpu_split(c, a->n, 16, ref_columns, &s);
}
