/* Matrix products in vectors. Contracts: gemm.h. */
#ifndef EIDETIC_NN_CPU_GEMM_VEC_H
#define EIDETIC_NN_CPU_GEMM_VEC_H

#include "nn/cpu/gemm.h"
#include "nn/cpu/tile.h"

#ifdef EIDETIC_VEC
/* VL rows of w become VL columns of the panel. */
__attribute__((always_inline)) static inline void pack_rows(const enum dtype t, float *panel,
                                                            const struct linear_args *a, int64_t n0,
                                                            int nn)
{
    const void *row[VL];
    float scale[VL];
    for (int j = 0; j < VL; j++) {
        int64_t i = n0 + (j < nn ? j : 0);
        row[j] = weight_row(a->w, i, a->k);
        scale[j] = weight_scale(a->w, i);
    }
    vf s = v_load(scale);
    for (int64_t i = 0; i < a->k; i += VL) {
        int64_t left = a->k - i;
        vf r[VL];
        if (left >= VL) {
#pragma GCC unroll 16
            for (int j = 0; j < VL; j++)
                r[j] = v_widen(t, row[j], i);
        } else {
            for (int j = 0; j < VL; j++)
                r[j] = v_widen_n(t, row[j], i, left);
        }
        v_transpose(r);
        int64_t steps = left < VL ? left : VL;
        if (nn < VL || steps < VL) {
            for (int64_t j = 0; j < steps; j++) {
                vf x = t == DT_I8 ? v_mul(r[j], s) : r[j];
                v_store(panel + (i + j) * NR, v_select_n(x, v_zero(), nn));
            }
            continue;
        }
#pragma GCC unroll 16
        for (int j = 0; j < VL; j++)
            v_store(panel + (i + j) * NR, t == DT_I8 ? v_mul(r[j], s) : r[j]);
    }
}

static inline void pack_copy(float *panel, const struct linear_args *a, int64_t n0, int nn)
{
    const float *w = (const float *)a->w->data + n0;
    for (int64_t i = 0; i < a->k; i++, w += a->n) {
        v_store(panel + i * NR, v_load_n(w, nn));
        v_store(panel + i * NR + VL, nn > VL ? v_load_n(w + VL, nn - VL) : v_zero());
    }
}

static inline void gemm_pack_vec(float *panel, const struct linear_args *a, int64_t n0, int nn)
{
    if (a->transposed) {
        pack_copy(panel, a, n0, nn);
        return;
    }
    for (int j = 0; j < nn; j += VL) {
        switch (a->w->dtype) {
        case DT_F16:
            pack_rows(DT_F16, panel + j, a, n0 + j, nn - j);
            break;
        case DT_BF16:
            pack_rows(DT_BF16, panel + j, a, n0 + j, nn - j);
            break;
        case DT_I8:
            pack_rows(DT_I8, panel + j, a, n0 + j, nn - j);
            break;
        case DT_Q8_0:
            pack_rows(DT_Q8_0, panel + j, a, n0 + j, nn - j);
            break;
        default:
            pack_rows(DT_F32, panel + j, a, n0 + j, nn - j);
        }
    }
}

/* y = act(x + b) + r for n <= VL values at one place of y. */
static inline void finish_n(const struct linear_args *a, vf x, int64_t m, int64_t col, int64_t n)
{
    int64_t at = m * a->ldy + col;
    if (a->b)
        x = v_add(x, v_load_n(a->b + col, n));
    x = v_act(x, a->act);
    if (a->r)
        x = v_add(x, v_load_n(a->r + at, n));
    v_store_n(a->y + at, x, n);
}

static inline void gemm_panel_vec(const struct linear_args *a, const float *panel, int64_t n0,
                                  int nn, int64_t m0, int64_t m1)
{
    float out[MR * NR];
    int vecs = nn > VL ? 2 : 1;
    for (int64_t m = m0; m < m1;) {
        int rows = tile_rows(m1 - m);
        tile(rows, vecs, a->x + m * a->ldx, a->ldx, panel, a->k, false, out, NR);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < nn; j += VL)
                finish_n(a, v_load(out + i * NR + j), m + i, n0 + j, nn - j);
        m += rows;
    }
}

/* Rows by columns of sums that stay in registers: 24 of AVX-512's, 12 of AVX2's. */
enum { DOT_STRIP = 6, DOT_COLS = V_SUMS };

/* out[i][j] = x_i . w_j for m rows from x and DOT_COLS columns from n0, of which `cols` exist. */
__attribute__((always_inline)) static inline void dot_block(const enum dtype t, const int m,
                                                            const struct linear_args *a,
                                                            const float *x, int64_t n0, int cols,
                                                            float *out)
{
    vf acc[DOT_STRIP][DOT_COLS];
    const char *row[DOT_COLS];
    const char *later[DOT_COLS] = {
        0}; /* the next block: the processor's own prefetch ends at a page */
    const int64_t size = t == DT_F32 ? 4 : t == DT_F16 || t == DT_BF16 ? 2 : 1;
    const int64_t bytes = t == DT_Q8_0 ? a->k / 32 * 34 : a->k * size; /* as weight_row has it */
#pragma GCC unroll 4
    for (int j = 0; j < DOT_COLS; j++) {
        row[j] = (const char *)a->w->data + (n0 + (j < cols ? j : 0)) * bytes;
        later[j] = (const char *)a->w->data + min_i64(n0 + j + DOT_COLS, a->n - 1) * bytes;
#pragma GCC unroll 6
        for (int i = 0; i < m; i++)
            acc[i][j] = v_zero();
    }
    int64_t k = 0;
    for (; k + VL <= a->k; k += VL) {
        vf w[DOT_COLS];
#pragma GCC unroll 4
        for (int j = 0; j < DOT_COLS; j++) {
            w[j] = v_widen(t, row[j], k);
            __builtin_prefetch(later[j] + k * size, 0, 2);
        }
#pragma GCC unroll 6
        for (int i = 0; i < m; i++) {
            vf v = v_load(x + i * a->ldx + k);
#pragma GCC unroll 4
            for (int j = 0; j < DOT_COLS; j++)
                acc[i][j] = v_fma(v, w[j], acc[i][j]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < m; i++)
        v_sums(out + i * VL, acc[i]);
    if (k < a->k) /* apart: GCC keeps sums in memory that two loops add to */
        for (int i = 0; i < m; i++)
            for (int j = 0; j < DOT_COLS; j++) {
                vf w = v_widen_n(t, row[j], k, a->k - k);
                out[i * VL + j] += v_sum(v_mul(v_load_n(x + i * a->ldx + k, a->k - k), w));
            }
}

__attribute__((always_inline)) static inline void dot_strip(const enum dtype t, int m,
                                                            const struct linear_args *a,
                                                            const float *x, int64_t n0, int cols,
                                                            float *out)
{
#define DOT_CASE(rows)                                                                             \
    case rows:                                                                                     \
        dot_block(t, rows, a, x, n0, cols, out);                                                   \
        break
    switch (m) {
        DOT_CASE(1);
        DOT_CASE(2);
        DOT_CASE(3);
        DOT_CASE(4);
        DOT_CASE(5);
        DOT_CASE(6);
    default:
        break;
    }
#undef DOT_CASE
}

/* Strips of rows inside, so that w comes from memory once; VL columns are finished together. */
__attribute__((always_inline)) static inline void dot_as(const enum dtype t,
                                                         const struct linear_args *a, int64_t n0,
                                                         int64_t n1)
{
    const int64_t strips = (a->m + DOT_STRIP - 1) / DOT_STRIP;
    const int64_t rows = (a->m + strips - 1) / strips;
    float out[GEMM_DOT_ROWS * VL];
    for (int64_t n = n0; n < n1; n += VL) {
        int cols = (int)min_i64(VL, n1 - n);
        for (int j = 0; j < cols; j += DOT_COLS)
            for (int64_t m = 0; m < a->m; m += rows)
                dot_strip(t, (int)min_i64(rows, a->m - m), a, a->x + m * a->ldx, n + j, cols - j,
                          out + m * VL + j);
        vf scale = t == DT_I8 ? v_load_n(a->w->scale + n, cols) : v_set(1.0f);
        for (int64_t m = 0; m < a->m; m++) {
            vf sum = v_load_n(out + m * VL, cols);
            finish_n(a, t == DT_I8 ? v_mul(sum, scale) : sum, m, n, cols);
        }
    }
}

static inline void gemm_dot_vec(const struct linear_args *a, int64_t n0, int64_t n1)
{
    switch (a->w->dtype) {
    case DT_F16:
        dot_as(DT_F16, a, n0, n1);
        break;
    case DT_BF16:
        dot_as(DT_BF16, a, n0, n1);
        break;
    case DT_I8:
        dot_as(DT_I8, a, n0, n1);
        break;
    case DT_Q8_0:
        dot_as(DT_Q8_0, a, n0, n1);
        break;
    default:
        dot_as(DT_F32, a, n0, n1);
    }
}
#endif

#endif
