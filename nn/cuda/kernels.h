/* The device's kernels, as functions that queue them on a stream; C's side of the .cu files.
 *
 *     int e = cuda_run_act(stream, y, x, NULL, n, ACT_GELU);
 *     if (e) ...                                    // a cudaError_t; 0 is success
 *
 * All pointers are the device's. Nothing here allocates or waits. Shapes and aliasing are as
 * nn/ops.h has them; counts of 0 queue nothing. Sums are in f32 unless said otherwise. */
#ifndef EIDETIC_NN_CUDA_KERNELS_H
#define EIDETIC_NN_CUDA_KERNELS_H

#include "nn/ops.h"

struct CUstream_st;

/* For an access of 16 bytes; so is NULL. */
static inline bool cuda_aligned(const void *p)
{
    return (uintptr_t)p % 16 == 0;
}

/* elem.cu. y = act(x) + r, r NULL = none; y may be x or r. */
int cuda_run_act(struct CUstream_st *s, float *y, const float *x, const float *r, int64_t n,
                 enum act act);
/* Of n values of bf16, a multiple of 8 and aligned to 16 bytes, in place. */
int cuda_run_act_low(struct CUstream_st *s, uint16_t *y, int64_t n, enum act act);
/* y = x * r of them. */
int cuda_run_mul_low(struct CUstream_st *s, uint16_t *y, const uint16_t *x, const uint16_t *r,
                     int64_t n);
enum cuda_binary { CUDA_ADD, CUDA_MUL };
int cuda_run_binary(struct CUstream_st *s, float *y, const float *x, const float *r, int64_t n,
                    int64_t period, enum cuda_binary op);
int cuda_run_scale(struct CUstream_st *s, float *y, const float *x, float f, int64_t n);
int cuda_run_mean_tokens(struct CUstream_st *s, float *y, const float *x, const int32_t *len,
                         int64_t b, int64_t t, int64_t d);
struct cuda_pixels {
    float alpha, mean[3], std[3];
};
int cuda_run_normalize(struct CUstream_st *s, float *y, const uint8_t *x, int64_t n,
                       const struct cuda_pixels *p);

/* low, where it is not NULL, is written instead of y, in bf16; then n, d or c is a multiple of 8.
 */

/* move.cu: bits are kept, but for `low`. */
int cuda_run_patchify(struct CUstream_st *s, float *y, const float *x, int64_t b, int64_t h,
                      int64_t w, int p);
int cuda_run_upsample(struct CUstream_st *s, float *y, uint16_t *low, const float *x, int64_t b,
                      int64_t h, int64_t w, int64_t c);
int cuda_run_concat(struct CUstream_st *s, float *y, const float *a, const float *b, int64_t rows,
                    int64_t ca, int64_t cb);
/* Rows of k values of any weight type to f32: row ids[i], or row i where ids is NULL. scale: one a
 * row, for i8. */
int cuda_run_widen(struct CUstream_st *s, float *y, const void *w, enum dtype type,
                   const float *scale, const int32_t *ids, int64_t rows, int64_t k);
/* Rows of k floats, ldx apart, to f16 or bf16 rows ldy apart; what lies between is made zero. */
int cuda_run_narrow(struct CUstream_st *s, void *y, enum dtype type, int64_t ldy, const float *x,
                    int64_t ldx, int64_t rows, int64_t k);

/* norm.cu */
enum { CUDA_LAYERNORM_LOW = 2048 }; /* the widest row that can be made in bf16 */
int cuda_run_layernorm(struct CUstream_st *s, float *y, uint16_t *low, const float *x,
                       const float *w, const float *b, float eps, int64_t rows, int64_t d);
int cuda_run_l2norm(struct CUstream_st *s, float *y, const float *x, float eps, int64_t rows,
                    int64_t d);
int cuda_run_softmax(struct CUstream_st *s, float *y, const float *x, float scale, int64_t rows,
                     int64_t d);
struct cuda_gnorm {
    const float *x, *e, *w, *b;
    float *y;
    uint16_t *low; /* or NULL; else y is not written, and c is a multiple of 8 */
    float *sums;   /* cuda_gnorm_floats() of scratch */
    int64_t images, rows, c;
    int groups;
    float eps;
    enum act act;
};
int64_t cuda_gnorm_floats(const struct cuda_gnorm *g);
int cuda_run_groupnorm(struct CUstream_st *s, const struct cuda_gnorm *g);

/* nearest.cu, with cuda_nearest_bytes() of scratch. */
struct cuda_nearest {
    float *score, *row;  /* [m, k] */
    const float *q;      /* [m, d] */
    const void *rows;    /* [n, d] */
    const uint8_t *keep; /* a bit a row: it counts; NULL: all do */
    int64_t m, n, d, k;
    int half; /* rows are f16, else f32 */
};
int64_t cuda_nearest_bytes(int64_t m, int64_t n, int64_t k);
int cuda_run_nearest(struct CUstream_st *s, const struct cuda_nearest *a, void *scratch);

/* quant.cu. Rows of k floats to bytes, ld apart and zero behind k, and a scale each. */
int cuda_run_quantize(struct CUstream_st *s, int8_t *q, int64_t ld, float *scale, const float *x,
                      int64_t rows, int64_t k);
/* Rows of k bytes to rows ld apart, zeros between. */
int cuda_run_spread_bytes(struct CUstream_st *s, int8_t *y, int64_t ld, const int8_t *x,
                          int64_t rows, int64_t k);
struct cuda_int8 { /* y = act(sum * scale_x * scale_w + bias) + r; r may be y */
    float *y;
    const int32_t *sum; /* [m], rows ld apart */
    const float *scale_x, *scale_w, *bias, *r;
    int64_t m, n, ld;
    enum act act;
};
int cuda_run_dequantize(struct CUstream_st *s, const struct cuda_int8 *a);

/* attn.cu, attn_mma.cu */
struct cuda_attn {
    const float *q, *k, *v; /* rows ld_* floats apart */
    const uint16_t *low[3]; /* q, k and v in bf16 instead, where cuda_attn_reads_low; or all NULL */
    float *y;
    uint16_t *low_y;       /* is written instead of y where it is not NULL; on tensor cores alone */
    const int32_t *kv_len; /* [b] or NULL */
    int64_t b, tq, tk, ld_q, ld_k, ld_v;
    int heads, dh;
    float scale;
    int causal;
    int f16; /* on tensor cores: f16, else bf16 */
};
enum { CUDA_MAX_HEAD = 1024 }; /* values of a head */
int cuda_run_attention(struct CUstream_st *s, const struct cuda_attn *a);
/* On tensor cores, factors rounded to 16 bits; for heads of which cuda_attn_low_bytes is not 0,
 * given as many bytes of scratch. */
int64_t cuda_attn_low_bytes(const struct cuda_attn *a);
/* Whether it reads bf16 where it lies: rows and heads begin at multiples of 16 bytes. */
bool cuda_attn_reads_low(const struct cuda_attn *a);
int cuda_run_attention_low(struct CUstream_st *s, const struct cuda_attn *a, void *scratch);

/* conv.cu. w f32 [n, kh, kw, c]; depthwise [kh, kw, c] and n = c. */
struct cuda_conv {
    const float *x, *w, *bias;
    float *y;
    int b, h, width, c, n, kh, kw, ho, wo, stride, top, left;
    int circular;
    enum act act;
    int f16; /* on tensor cores: f16, else bf16 */
};
int cuda_run_conv(struct CUstream_st *s, const struct cuda_conv *a);
/* On tensor cores: x and w of 16 bits, c a multiple of 8. */
int cuda_run_conv_low(struct CUstream_st *s, const struct cuda_conv *a, const void *x,
                      const void *w);
/* y = act(sum + bias), sum [b, ho, wo, n] of 16 bits. */
int cuda_run_conv_end(struct CUstream_st *s, const struct cuda_conv *a, const void *sum);
int cuda_run_depthwise(struct CUstream_st *s, const struct cuda_conv *a);

#endif
