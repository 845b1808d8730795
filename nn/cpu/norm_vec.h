/* Row norms and softmax in vectors: sums over lanes in f32, several at once, so the error grows
 * with d / VL rather than with d. */
#ifndef EIDETIC_NN_CPU_NORM_VEC_H
#define EIDETIC_NN_CPU_NORM_VEC_H

#include "nn/cpu/norm.h"
#include "nn/cpu/vec.h"
#include <math.h>

#ifdef EIDETIC_VEC
static inline float row_sum(const float *x, int64_t d)
{
    vf a = v_zero(), b = v_zero();
    int64_t j = 0;
    for (; j + 2 * VL <= d; j += 2 * VL) {
        a = v_add(a, v_load(x + j));
        b = v_add(b, v_load(x + j + VL));
    }
    for (; j < d; j += VL)
        a = v_add(a, v_load_n(x + j, d - j));
    return v_sum(v_add(a, b));
}

/* Sum of (x - mean)^2. */
static inline float row_squares(const float *x, float mean, int64_t d)
{
    vf a = v_zero(), b = v_zero(), m = v_set(mean);
    int64_t j = 0;
    for (; j + 2 * VL <= d; j += 2 * VL) {
        vf u = v_sub(v_load(x + j), m), v = v_sub(v_load(x + j + VL), m);
        a = v_fma(u, u, a);
        b = v_fma(v, v, b);
    }
    for (; j < d; j += VL) {
        vf u = v_select_n(v_sub(v_load_n(x + j, d - j), m), v_zero(), d - j);
        a = v_fma(u, u, a);
    }
    return v_sum(v_add(a, b));
}

static inline void layernorm_vec(float *y, const float *x, const float *w, const float *b,
                                 float eps, int64_t rows, int64_t d)
{
    for (int64_t i = 0; i < rows; i++, x += d, y += d) {
        float mean = row_sum(x, d) / (float)d;
        float inv = 1.0f / sqrtf(row_squares(x, mean, d) / (float)d + eps);
        vf m = v_set(mean), s = v_set(inv);
        for (int64_t j = 0; j < d; j += VL) {
            int64_t n = d - j;
            vf u = v_mul(v_sub(v_load_n(x + j, n), m), s);
            u = v_fma(u, v_load_n(w + j, n), b ? v_load_n(b + j, n) : v_zero());
            v_store_n(y + j, u, n);
        }
    }
}

static inline void l2norm_vec(float *y, const float *x, float eps, int64_t rows, int64_t d)
{
    for (int64_t i = 0; i < rows; i++, x += d, y += d) {
        float norm = fmaxf(sqrtf(row_squares(x, 0.0f, d)), eps);
        vf s = v_set(norm);
        for (int64_t j = 0; j < d; j += VL)
            v_store_n(y + j, v_div(v_load_n(x + j, d - j), s), d - j);
    }
}

static inline void softmax_vec(float *y, const float *x, float scale, int64_t rows, int64_t d)
{
    const vf low = v_set(-INFINITY), s = v_set(scale);
    for (int64_t i = 0; i < rows; i++, x += d, y += d) {
        vf max = low, sum = v_zero();
        for (int64_t j = 0; j < d; j += VL)
            max = v_max(max, v_select_n(v_mul(v_load_n(x + j, d - j), s), low, d - j));
        vf m = v_set(v_largest(max));
        for (int64_t j = 0; j < d; j += VL) {
            vf e = v_exp(v_sub(v_mul(v_load_n(x + j, d - j), s), m));
            e = v_select_n(e, v_zero(), d - j);
            sum = v_add(sum, e);
            v_store_n(y + j, e, d - j);
        }
        vf inv = v_set(1.0f / v_sum(sum));
        for (int64_t j = 0; j < d; j += VL)
            v_store_n(y + j, v_mul(v_load_n(y + j, d - j), inv), d - j);
    }
}
#endif

#endif
