/* Group norm's two passes in vectors: a lane is a channel, so nothing is summed across lanes. */
#ifndef EIDETIC_NN_CPU_GNORM_VEC_H
#define EIDETIC_NN_CPU_GNORM_VEC_H

#include "nn/cpu/gnorm.h"
#include "nn/cpu/vec.h"

#ifdef EIDETIC_VEC
static inline void gnorm_sums_vec(double *sum, double *square, const float *x, int64_t rows,
                                  int64_t c)
{
    for (int64_t j = 0; j < c; j += VL) {
        int64_t n = min_i64(VL, c - j);
        vf pivot = v_load_n(x + j, n), s = v_zero(), q = v_zero();
        float lane[2 * VL];
        for (int64_t i = 1; i < rows; i++) {
            vf d = v_sub(v_load_n(x + i * c + j, n), pivot);
            s = v_add(s, d);
            q = v_fma(d, d, q);
        }
        v_store(lane, s);
        v_store(lane + VL, q);
        for (int64_t k = 0; k < n; k++) {
            sum[j + k] = (double)lane[k];
            square[j + k] = (double)lane[VL + k];
        }
    }
}

__attribute__((always_inline)) static inline void gnorm_apply_as(enum act act, float *y,
                                                                 const float *x, const float *scale,
                                                                 const float *shift, int64_t rows,
                                                                 int64_t c)
{
    for (int64_t i = 0; i < rows; i++, x += c, y += c) {
        int64_t j = 0;
        for (; j + VL <= c; j += VL)
            v_store(y + j, v_act(v_fma(v_load(x + j), v_load(scale + j), v_load(shift + j)), act));
        if (j < c) {
            int64_t n = c - j;
            vf u = v_fma(v_load_n(x + j, n), v_load_n(scale + j, n), v_load_n(shift + j, n));
            v_store_n(y + j, v_act(u, act), n);
        }
    }
}

static inline void gnorm_apply_vec(float *y, const float *x, const float *scale, const float *shift,
                                   int64_t rows, int64_t c, enum act act)
{
    if (act == ACT_NONE)
        gnorm_apply_as(ACT_NONE, y, x, scale, shift, rows, c);
    else if (act == ACT_SILU)
        gnorm_apply_as(ACT_SILU, y, x, scale, shift, rows, c);
    else
        gnorm_apply_as(act, y, x, scale, shift, rows, c);
}
#endif

#endif
