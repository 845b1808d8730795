/* Attention over one head with AVX512_BF16's dot products: queries, keys, values and the weights of
 * the softmax are rounded to bf16, scores and sums are f32. The softmax and the blocks are those of
 * attn_vec.h; what differs is how keys and values are packed. */
#include "nn/cpu/attn.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BF16__)
#include "nn/cpu/attn_vec.h"
#include "nn/cpu/tile_vnni.h"

TILE_UNITS_FUNCTION(tile_bf16, true)

/* Two vectors as 32 bf16 values, a in front. */
static inline __m512i to_bf16(vf a, vf b)
{
    return (__m512i)_mm512_cvtne2ps_pbh(b, a);
}

/* 16 values of a row from value i; zeros from the row's end on. */
static inline vf row_part(const float *row, int i, int dh)
{
    return i < dh ? v_load_n(row + i, dh - i) : v_zero();
}

/* Columns of n keys, units of two neighbouring values; those beyond n hold copies. */
static void pack_keys_bf16(const struct attn_state *s, int first, int n)
{
    const struct attn_args *a = s->a;
    const int units = (a->dh + 1) / 2;
    for (int j = 0; j < n; j += VL) {
        unsigned char *panel = (unsigned char *)s->keys +
                               ((size_t)(j / UNIT_COLS * units) * UNIT_COLS + j % UNIT_COLS) * UNIT;
        for (int u = 0; u < units; u += VL) {
            vf r[VL];
#pragma GCC unroll 16
            for (int t = 0; t < VL; t++) {
                const float *k = a->k + (first + min_int(j + t, n - 1)) * a->ld_k;
                r[t] = _mm512_castsi512_ps(
                    to_bf16(row_part(k, 2 * u, a->dh), row_part(k, 2 * u + VL, a->dh)));
            }
            v_transpose(r);
            for (int t = 0; t < VL && u + t < units; t++)
                v_store((float *)(void *)(panel + (u + t) * UNIT_COLS * UNIT), r[t]);
        }
    }
}

/* Units of the same value of two neighbouring keys. */
static void pack_values_bf16(const struct attn_state *s, int first, int n)
{
    const struct attn_args *a = s->a;
    const __m512i pairs =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    for (int t = 0; t < n; t += 2) {
        const float *v = a->v + (first + t) * a->ld_v;
        for (int i = 0; i < s->width; i += VL) {
            unsigned char *to =
                (unsigned char *)s->values +
                ((size_t)(i / UNIT_COLS * (ATTN_KEYS / 2) + t / 2) * UNIT_COLS + i % UNIT_COLS) *
                    UNIT;
            vf second = t + 1 < n ? row_part(v + a->ld_v, i, a->dh) : v_zero();
            __m512i x = to_bf16(row_part(v, i, a->dh), second);
            _mm512_storeu_si512(to, _mm512_permutexvar_epi16(pairs, x));
        }
    }
}

/* Rows of dh values as bf16, zeros up to the next 32. */
static inline void pack_queries(const struct attn_args *a, unsigned char *to, int64_t stride, int i,
                                int rows)
{
    for (int r = 0; r < rows; r++, to += stride) {
        const float *q = a->q + (i + r) * a->ld_q;
        for (int j = 0; j < a->dh; j += 2 * VL)
            _mm512_storeu_si512(to + 2 * j,
                                to_bf16(row_part(q, j, a->dh), row_part(q, j + VL, a->dh)));
    }
}

struct strip {
    unsigned char *queries; /* [MR][stride bytes] */
    unsigned char *weights; /* [MR][ATTN_KEYS] bf16 */
    int64_t stride;
};

/* Queries [i, i + rows) against the packed block of n keys that starts at key `first`. */
static void attend_strip_bf16(const struct attn_state *s, const struct strip *p, int i, int rows,
                              int first, int n)
{
    const struct attn_args *a = s->a;
    const int units = (a->dh + 1) / 2;
    int keys = a->causal ? min_int(n, a->q0 + i + rows - first) : n;
    if (keys <= 0)
        return;
    pack_queries(a, p->queries, p->stride, i, rows);
    for (int j = 0; j < keys; j += UNIT_COLS)
        tile_bf16(rows, p->queries, p->stride,
                  (unsigned char *)s->keys + (size_t)j * (size_t)units * UNIT, units, false,
                  s->score + j, ATTN_KEYS);
    softmax_strip(s, true, p->weights, i, rows, first, keys);
    for (int j = 0; j < s->width; j += UNIT_COLS)
        tile_bf16(rows, p->weights, 2 * ATTN_KEYS,
                  (unsigned char *)s->values + (size_t)j * (ATTN_KEYS / 2) * UNIT, (keys + 1) / 2,
                  first > 0, s->out + (int64_t)i * s->width + j, s->width);
}

void attn_bf16_vnni(const struct attn_args *a)
{
    struct attn_state s = attn_begin(a);
    struct strip p = {.stride = ((int64_t)a->dh + 31) / 32 * 64};
    /* What f32 needs for keys, values and scores holds bf16's halves and the strip beside them. */
    s.values = s.keys + (int64_t)ATTN_KEYS * ((a->dh + 1) / 2);
    p.weights = (unsigned char *)(s.values + (int64_t)ATTN_KEYS / 2 * s.width);
    p.queries = p.weights + (size_t)MR * ATTN_KEYS * 2;
    int tk = attn_keys(a);
    for (int first = 0; first < tk; first += ATTN_KEYS) {
        int n = min_int(ATTN_KEYS, tk - first);
        pack_keys_bf16(&s, first, n);
        pack_values_bf16(&s, first, n);
        for (int i = 0; i < a->tq;) {
            int rows = tile_rows(a->tq - i);
            attend_strip_bf16(&s, &p, i, rows, first, n);
            i += rows;
        }
    }
    attn_finish(&s, tk);
}
#endif
