/* Products in bf16 and int8 with AVX512_BF16's and AVX512_VNNI's dot products, one tile for both.
 */
#include "nn/cpu/gemm_low.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BF16__)
#include "nn/cpu/gemm_vec.h"
#include "nn/cpu/tile_vnni.h"

static float bf16_row(unsigned char *units, const float *x, int64_t k)
{
    int64_t i = 0;
    for (; i + 16 <= k; i += 16)
        _mm256_storeu_si256((void *)(units + 2 * i),
                            (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(x + i)));
    if (i < k) {
        int64_t left = k - i, put = (left + 1) / 2 * 2;
        __m512 v = _mm512_maskz_loadu_ps((__mmask16)((1u << left) - 1), x + i);
        _mm256_mask_storeu_epi16(units + 2 * i, (__mmask16)((1u << put) - 1),
                                 (__m256i)_mm512_cvtneps_pbh(v));
    }
    return 1.0f;
}

static float int8_row(unsigned char *units, const float *x, int64_t k, int zero)
{
    __m512 most = _mm512_setzero_ps();
    int64_t i = 0;
    for (; i + 16 <= k; i += 16)
        most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_loadu_ps(x + i)));
    __mmask16 last = (__mmask16)((1u << (k - i)) - 1);
    most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_maskz_loadu_ps(last, x + i)));
    float top = _mm512_reduce_max_ps(most);
    float back = top > 0.0f ? 127.0f / top : 0.0f;
    __m512 by = _mm512_set1_ps(back);
    __m512i add = _mm512_set1_epi32(zero);
    for (i = 0; i + 16 <= k; i += 16) {
        __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), by));
        q = _mm512_max_epi32(_mm512_min_epi32(q, _mm512_set1_epi32(127)), _mm512_set1_epi32(-127));
        _mm_storeu_si128((void *)(units + i), _mm512_cvtepi32_epi8(_mm512_add_epi32(q, add)));
    }
    if (i < k) {
        int64_t put = (k - i + 3) / 4 * 4;
        __m512 v = _mm512_maskz_loadu_ps(last, x + i);
        __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(v, by));
        q = _mm512_max_epi32(_mm512_min_epi32(q, _mm512_set1_epi32(127)), _mm512_set1_epi32(-127));
        q = _mm512_maskz_add_epi32(last, q, add);
        _mm_mask_storeu_epi8(units + i, (__mmask16)((1u << put) - 1), _mm512_cvtepi32_epi8(q));
    }
    return top / 127.0f;
}

float low_row_vnni(unsigned char *units, enum precision kind, const float *x, int64_t k, int zero)
{
    return kind == PREC_INT8 ? int8_row(units, x, k, zero) : bf16_row(units, x, k);
}

TILE_UNITS_FUNCTION(tile_bf16, true)
TILE_UNITS_FUNCTION(tile_int8, false)

/* What finishes a panel's columns, 16 at a time: loaded once for all rows. */
struct columns {
    vf bias, scale;
    __m512i off;
    int64_t n; /* of them that are there, at most VL */
};

static inline struct columns columns_load(const struct linear_args *a, const struct low_pack *p,
                                          bool plain, int64_t at)
{
    struct columns c = {.n = min_i64(VL, a->n - at), .off = _mm512_setzero_si512()};
    if (c.n <= 0)
        return c;
    c.bias = a->b ? v_load_n(a->b + at, c.n) : v_zero();
    if (p->pack.kind == PREC_INT8) {
        c.scale = v_load_n(p->scale + at, c.n);
        if (!plain)
            c.off = _mm512_maskz_loadu_epi32((__mmask16)((1u << c.n) - 1), p->sum + at);
    }
    return c;
}

/* One row of sums, 16 columns: scaled, biased, activated, added and written. */
__attribute__((always_inline)) static inline void finish_columns(const bool bf16,
                                                                 const struct linear_args *a,
                                                                 const struct columns *c,
                                                                 __m512i sum, float scale,
                                                                 int64_t at)
{
    vf v = _mm512_castsi512_ps(sum);
    if (!bf16)
        v = v_mul(_mm512_cvtepi32_ps(_mm512_sub_epi32(sum, c->off)), v_mul(c->scale, v_set(scale)));
    v = v_act(v_add(v, c->bias), a->act);
    if (c->n == VL) {
        if (a->r)
            v = v_add(v, v_load(a->r + at));
        v_store(a->y + at, v);
    } else if (c->n > 0) {
        if (a->r)
            v = v_add(v, v_load_n(a->r + at, c->n));
        v_store_n(a->y + at, v, c->n);
    }
}

void low_panel_vnni(const struct linear_args *a, const struct low_pack *p, const struct low_rows *x,
                    int64_t i, int64_t m0, int64_t m1)
{
    int32_t out[MR * LOW_COLS] __attribute__((aligned(64)));
    const bool bf16 = p->pack.kind == PREC_BF16;
    const unsigned char *panel = p->panels + (size_t)(i * p->units) * LOW_COLS * LOW_UNIT;
    const int64_t n0 = i * LOW_COLS, units = p->units / x->pieces;
    const struct columns c0 = columns_load(a, p, x->plain, n0);
    const struct columns c1 = columns_load(a, p, x->plain, n0 + VL);
    for (int64_t m = m0; m < m1;) {
        int rows = tile_rows(m1 - m);
        const unsigned char *row = x->units + m * x->stride;
        for (int j = 0; j < x->pieces; j++)
            (bf16 ? tile_bf16 : tile_int8)(rows, row + j * x->step, x->stride,
                                           panel + j * units * LOW_COLS * LOW_UNIT, units, j > 0,
                                           out, LOW_COLS);
        for (int k = 0; k < rows; k++, m++) {
            __m512i s0 = _mm512_load_si512(out + k * LOW_COLS);
            __m512i s1 = _mm512_load_si512(out + k * LOW_COLS + VL);
            int64_t at = m * a->ldy + n0;
            if (bf16) {
                finish_columns(true, a, &c0, s0, 1, at);
                finish_columns(true, a, &c1, s1, 1, at + VL);
            } else {
                finish_columns(false, a, &c0, s0, x->scale[m], at);
                finish_columns(false, a, &c1, s1, x->scale[m], at + VL);
            }
        }
    }
}
#endif
