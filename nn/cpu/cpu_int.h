/* The CPU backend inside: one table of kernels over plain pointers, filled with the plain-C
 * reference first and then, level by level, with what AVX2 and AVX-512 do better.
 *
 * Two layers. The drivers (gemm.c, norm.c, ...) own the op slots: they unpack tensors, ask for
 * scratch and split the work over the pool. The kernels (<subject>_ref.c, _avx2.c, _avx512.c) never
 * allocate and never thread. Splits depend on shapes alone, never on the number of threads, so an
 * op gives the same bits with any number of them. */
#ifndef EIDETIC_NN_CPU_CPU_INT_H
#define EIDETIC_NN_CPU_CPU_INT_H

#include "core/cpu.h"
#include "nn/backend_int.h"

/* A matrix product y[M,N] = act(x[M,K] . w^T + b) + r, rows of x and y ldx and ldy floats apart. */
struct linear_args {
    int64_t m, n, k;
    const float *x;
    int64_t ldx;
    const struct tensor *w; /* [n, k], any weight type; [k, n] f32 when transposed */
    bool transposed;        /* w is stored [k, n] */
    const float *b;         /* [n] or NULL */
    enum act act;
    const float *r; /* rows ldy floats apart like y, or NULL; may be y */
    float *y;
    int64_t ldy;
};

/* One head of one sequence: q [tq, dh], k and v [tk, dh], y [tq, dh], rows ld_* floats apart. */
struct attn_args {
    const float *q, *k, *v;
    float *y;
    int64_t ld_q, ld_k, ld_v, ld_y;
    int tq, tk, dh;
    int q0; /* index of the first query row, for causal */
    bool causal;
    float scale;
    float *scratch; /* attn_scratch(tk, dh) floats */
};

/* One output row of a depthwise convolution: y [wo, c] from `taps` rows of x [w, c]. */
struct dw_args {
    const float *row[16]; /* kh input rows, NULL = above or below the picture */
    const float *w;       /* [kh, kw, c] */
    const float *b;       /* [c] or NULL */
    float *y;
    int kh, kw, c, width, wo, stride, pad_left;
    enum act act;
};

/* One output row of a depthwise convolution over some channels, as bytes: y [wo][n] from kh rows
 * of MB_CHANNELS floats a pixel, zeros included where the padding is. */
enum { MB_CHANNELS = 32 };
struct mb_row_args {
    const float *row[16];
    const float *w; /* [kh, kw] taps of the first channel, c floats apart */
    const float *b;
    int64_t c;
    unsigned char *y; /* ldy bytes from one pixel to the next */
    int64_t ldy;
    int kh, kw, wo, stride, n; /* n: a multiple of 16, at most MB_CHANNELS */
};

struct cpu;
struct mbconv_args;
struct wino_args;
struct wino_part;
struct low_pack;
struct low_rows;

struct cpu_kernels {
    /* gemm: the whole product, threads included; the others serve linear_panels (gemm.h). */
    void (*linear)(struct cpu *c, const struct linear_args *a);
    int nr;
    void (*pack)(float *panel, const struct linear_args *a, int64_t n0, int nn);
    void (*panel)(const struct linear_args *a, const float *panel, int64_t n0, int nn, int64_t m0,
                  int64_t m1);
    void (*dot)(const struct linear_args *a, int64_t n0, int64_t n1);
    /* gemm_low: the whole product, and the pieces of linear_low. */
    void (*linear_low)(struct cpu *c, const struct linear_args *a, enum precision kind);
    float (*low_row)(unsigned char *units, enum precision kind, const float *x, int64_t k,
                     int zero);
    void (*low_panel)(const struct linear_args *a, const struct low_pack *p,
                      const struct low_rows *x, int64_t i, int64_t m0, int64_t m1);
    /* norm: rows of d values; y may be x. */
    void (*layernorm)(float *y, const float *x, const float *w, const float *b, float eps,
                      int64_t rows, int64_t d);
    void (*l2norm)(float *y, const float *x, float eps, int64_t rows, int64_t d);
    void (*softmax)(float *y, const float *x, float scale, int64_t rows, int64_t d);
    /* gnorm: sums over rows of x[c] - the first row's, and of its squares; y = act(x * scale +
     * shift) by channel, y may be x. */
    void (*gnorm_sums)(double *sum, double *square, const float *x, int64_t rows, int64_t c);
    void (*gnorm_apply)(float *y, const float *x, const float *scale, const float *shift,
                        int64_t rows, int64_t c, enum act act);
    /* act: y may be x. */
    void (*act)(float *y, const float *x, int64_t n, enum act act);
    /* elem: y may be x. */
    void (*add)(float *y, const float *x, const float *r, int64_t n);
    void (*mul)(float *y, const float *x, const float *r, int64_t n);
    void (*scale)(float *y, const float *x, float s, int64_t n);
    void (*mean_tokens)(float *y, const float *x, int64_t len, int64_t d);
    /* Values [i0, i0 + n) of one row; i0 and n divisible by 32 for q8_0. scale: i8's. */
    void (*widen)(float *y, enum dtype from, const void *row, int64_t i0, int64_t n, float scale);
    void (*narrow)(void *y, enum dtype to, const float *x, int64_t n);
    /* attn */
    void (*attn)(const struct attn_args *a);
    void (*attn_bf16)(const struct attn_args *a); /* for backends of low precision */
    /* conv; wino_low is in bf16, and the definition where there is no other. */
    void (*dw_row)(const struct dw_args *a);
    void (*wino)(const struct wino_args *a, const struct wino_part *p, float *scratch);
    void (*wino_low)(const struct wino_args *a, const struct wino_part *p, float *scratch);
    /* mbconv: the whole block in int8, NULL where there is none; and the piece of mbconv_low. */
    void (*mbconv)(struct cpu *c, const struct mbconv_args *a);
    void (*mb_row)(const struct mb_row_args *a);
};

enum scratch { /* two, because a convolution's patches are the input of a product */
               SCRATCH_OP,
               SCRATCH_PATCHES,
               SCRATCH_COUNT
};

struct cpu {
    struct backend base; /* first: a struct backend * is a struct cpu * */
    struct cpu_kernels k;
    float *scratch[SCRATCH_COUNT];
    size_t scratch_floats[SCRATCH_COUNT];
};

extern const struct backend_kind backend_cpu;

/* Scratch of at least n floats, 64-byte aligned, kept and grown by the backend; NULL after
 * backend_fail. Valid until the next call for the same one. Only from the thread that called the
 * op. */
float *cpu_scratch(struct cpu *c, enum scratch which, size_t n);
/* n rounded up to whole cache lines, so that threads do not share one. */
static inline size_t pad16(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

/* Runs body(ctx, i0, i1, thread) over [0, n) in pieces of `grain` (the last may be smaller). */
void cpu_split(struct cpu *c, int64_t n, int64_t grain,
               void (*body)(void *ctx, int64_t i0, int64_t i1, int thread), void *ctx);

/* The first byte of row i of a weight matrix with k values a row. */
const void *weight_row(const struct tensor *w, int64_t i, int64_t k);
static inline float weight_scale(const struct tensor *w, int64_t i)
{
    return w->dtype == DT_I8 ? w->scale[i] : 1.0f;
}

static inline int min_int(int a, int b)
{
    return a < b ? a : b;
}
static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Floats of scratch that `attn` needs: a score row or blocks of keys. */
size_t attn_scratch(int tk, int dh);

void cpu_fill_gemm(struct cpu_kernels *k, enum cpu_level level, bool blas);
void cpu_fill_norm(struct cpu_kernels *k, enum cpu_level level);
void cpu_fill_gnorm(struct cpu_kernels *k, enum cpu_level level);
void cpu_fill_act(struct cpu_kernels *k, enum cpu_level level);
void cpu_fill_elem(struct cpu_kernels *k, enum cpu_level level);
void cpu_fill_attn(struct cpu_kernels *k, enum cpu_level level);
void cpu_fill_conv(struct cpu_kernels *k, enum cpu_level level);
void cpu_fill_mbconv(struct cpu_kernels *k, enum cpu_level level);

/* The product in the backend's precision, or in f32 where that does not apply. */
void cpu_linear_run(struct cpu *c, const struct linear_args *a);

/* The op slots, one driver file a subject. */
void cpu_linear(struct backend *be, struct tensor *y, const struct tensor *x,
                const struct tensor *w, const struct tensor *b, enum act act,
                const struct tensor *r);
void cpu_matmul(struct backend *be, struct tensor *y, const struct tensor *x,
                const struct tensor *w);
void cpu_layernorm(struct backend *be, struct tensor *y, const struct tensor *x,
                   const struct tensor *w, const struct tensor *b, float eps);
void cpu_groupnorm(struct backend *be, struct tensor *y, const struct tensor *x,
                   const struct tensor *e, const struct tensor *w, const struct tensor *b,
                   const struct groupnorm_opts *o);
void cpu_l2norm(struct backend *be, struct tensor *y, const struct tensor *x, float eps);
void cpu_softmax(struct backend *be, struct tensor *y, const struct tensor *x, float scale);
void cpu_act(struct backend *be, struct tensor *y, const struct tensor *x, enum act act);
void cpu_add(struct backend *be, struct tensor *y, const struct tensor *x, const struct tensor *r);
void cpu_mul(struct backend *be, struct tensor *y, const struct tensor *x, const struct tensor *r);
void cpu_scale(struct backend *be, struct tensor *y, const struct tensor *x, float s);
void cpu_embedding(struct backend *be, struct tensor *y, const struct tensor *table,
                   const struct tensor *ids);
void cpu_attention(struct backend *be, struct tensor *y, const struct tensor *q,
                   const struct tensor *k, const struct tensor *v, const struct attn_opts *o);
void cpu_conv2d(struct backend *be, struct tensor *y, const struct tensor *x,
                const struct tensor *w, const struct tensor *b, const struct conv_opts *o);
void cpu_depthwise(struct backend *be, struct tensor *y, const struct tensor *x,
                   const struct tensor *w, const struct tensor *b, const struct conv_opts *o);
void cpu_nearest(struct backend *be, struct tensor *score, struct tensor *row,
                 const struct tensor *q, const struct tensor *v, const uint8_t *keep);
bool cpu_mbconv(struct backend *be, struct tensor *y, const struct tensor *x,
                const struct mbconv_weights *w, const struct conv_opts *o, const struct tensor *r);
void cpu_mean_tokens(struct backend *be, struct tensor *y, const struct tensor *x,
                     const int32_t *len);
void cpu_normalize_u8(struct backend *be, struct tensor *y, const struct tensor *x, float alpha,
                      const float mean[3], const float std[3]);
void cpu_patchify(struct backend *be, struct tensor *y, const struct tensor *x, int p);
void cpu_upsample2x(struct backend *be, struct tensor *y, const struct tensor *x);
void cpu_concat(struct backend *be, struct tensor *y, const struct tensor *a,
                const struct tensor *b);
void cpu_convert(struct backend *be, struct tensor *y, const struct tensor *x);

#endif
