/* Convolutions, channels last. A dense one is a matrix product over rows of patches (im2col), in
 * blocks of output rows so that scratch stays small; a 1x1 of stride 1 is a product as it lies.
 * Most of 3x3 go by wino.c, and in bf16 there is another way for the rest, conv_low.c. */
#include "nn/cpu/conv.h"
#include "core/mem.h"
#include "nn/cpu/wino.h"
#include <assert.h>
#include <string.h>

enum { BLOCK_FLOATS = 1 << 20 }; /* of im2col scratch: 4 MiB, inside L3 */

struct conv_ctx {
    const struct conv_opts *o;
    const float *x;
    float *col;
    int64_t h, w, c, kh, kw, ho, wo;
    int64_t row0; /* first output row of the block, counted over the batch */
};

/* kw columns of one input row, of which [lo, hi) lie inside it, the first at x. A first layer
 * copies nine values at a time, so calls that would move nothing are worth skipping. */
static void im2col_line(float *out, const float *x, int64_t lo, int64_t hi, int64_t kw, int64_t c)
{
    if (lo > 0)
        memset(out, 0, (size_t)(lo * c) * sizeof *out);
    if (hi > lo)
        memcpy(out + lo * c, x, (size_t)((hi - lo) * c) * sizeof *out);
    if (hi < kw)
        memset(out + hi * c, 0, (size_t)((kw - hi) * c) * sizeof *out);
}

/* A line across an edge that wraps round. */
static void im2col_wrapped(float *out, const float *row, int64_t left, const struct conv_ctx *s)
{
    for (int64_t kx = 0; kx < s->kw; kx++)
        memcpy(out + kx * s->c, row + conv_wrap(left + kx, s->w) * s->c,
               (size_t)s->c * sizeof *out);
}

/* Patches of one output row, each kh*kw*c values in w's order. */
static void im2col_rows(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct conv_ctx *s = ctx;
    const struct conv_opts *o = s->o;
    int64_t patch = s->kh * s->kw * s->c;
    for (int64_t i = i0; i < i1; i++) {
        int64_t image = (s->row0 + i) / s->ho, top = (s->row0 + i) % s->ho * o->stride - o->pad_top;
        const float *x = s->x + image * s->h * s->w * s->c;
        for (int64_t j = 0; j < s->wo; j++) {
            float *out = s->col + (i * s->wo + j) * patch;
            int64_t left = j * o->stride - o->pad_left;
            int64_t lo = left < 0 ? min_i64(-left, s->kw) : 0;
            int64_t hi = left + s->kw > s->w ? s->w - left : s->kw;
            if (hi < lo)
                hi = lo;
            for (int64_t ky = 0; ky < s->kh; ky++, out += s->kw * s->c) {
                int64_t y = top + ky;
                bool outside = y < 0 || y >= s->h;
                if (o->circular && (outside || lo > 0 || hi < s->kw)) {
                    im2col_wrapped(out, x + conv_wrap(y, s->h) * s->w * s->c, left, s);
                    continue;
                }
                im2col_line(out, x + ((outside ? 0 : y) * s->w + left + lo) * s->c, lo,
                            outside ? lo : hi, s->kw, s->c);
            }
        }
    }
}

static void conv_blocks(struct cpu *c, struct linear_args *a, struct conv_ctx *s, int64_t rows)
{
    int64_t per_row = s->wo * a->k, block = BLOCK_FLOATS / per_row;
    if (block < 1)
        block = 1;
    if (block > rows)
        block = rows;
    size_t floats;
    if (mul_overflow_size((size_t)block, (size_t)per_row, &floats)) {
        backend_fail(&c->base, ST_LIMIT, "a convolution's rows are too large");
        return;
    }
    s->col = cpu_scratch(c, SCRATCH_PATCHES, floats);
    if (!s->col)
        return;
    float *y = a->y;
    for (s->row0 = 0; s->row0 < rows; s->row0 += block) {
        int64_t n = min_i64(block, rows - s->row0);
        cpu_split(c, n, 1, im2col_rows, s);
        a->m = n * s->wo;
        a->x = s->col;
        a->y = y + s->row0 * s->wo * a->n;
        cpu_linear_run(c, a);
    }
}

void cpu_conv2d(struct backend *be, struct tensor *y, const struct tensor *x,
                const struct tensor *w, const struct tensor *b, const struct conv_opts *o)
{
    struct cpu *c = (struct cpu *)be;
    struct conv_ctx s = {
        .o = o,
        .x = x->data,
        .h = x->dim[1],
        .w = x->dim[2],
        .c = x->dim[3],
        .kh = w->dim[1],
        .kw = w->dim[2],
        .ho = y->dim[1],
        .wo = y->dim[2],
    };
    struct linear_args a = {
        .n = w->dim[0],
        .k = s.kh * s.kw * s.c,
        .w = w,
        .b = b ? b->data : NULL,
        .act = o->act,
        .y = y->data,
        .ldy = w->dim[0],
    };
    a.ldx = a.k;
    bool plain = s.kh == 1 && s.kw == 1 && o->stride == 1 && s.ho == s.h && s.wo == s.w;
    if (plain) {
        a.m = tensor_rows(x);
        a.x = x->data;
        cpu_linear_run(c, &a);
        return;
    }
    if (wino_takes(c, &a, y, x, o))
        wino_run(c, &a, y, x, o);
    else if (conv_low_takes(c, &a, y, s.c))
        conv_low(c, &a, y, x, o);
    else
        conv_blocks(c, &a, &s, x->dim[0] * s.ho);
}

struct dw_ctx {
    const struct cpu_kernels *k;
    struct dw_args a; /* all but row and y */
    const float *x;
    float *y;
    int64_t h, ho;
    int stride, pad_top;
};

static void dw_rows(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct dw_ctx *s = ctx;
    struct dw_args a = s->a;
    int64_t in = (int64_t)a.width * a.c, out = (int64_t)a.wo * a.c;
    for (int64_t i = i0; i < i1; i++) {
        const float *image = s->x + i / s->ho * s->h * in;
        int64_t top = i % s->ho * s->stride - s->pad_top;
        for (int ky = 0; ky < a.kh; ky++)
            a.row[ky] = top + ky >= 0 && top + ky < s->h ? image + (top + ky) * in : NULL;
        a.y = s->y + i * out;
        s->k->dw_row(&a);
    }
}

void cpu_depthwise(struct backend *be, struct tensor *y, const struct tensor *x,
                   const struct tensor *w, const struct tensor *b, const struct conv_opts *o)
{
    struct cpu *c = (struct cpu *)be;
    struct dw_ctx s = {
        .k = &c->k,
        .a = {.w = w->data,
              .b = b ? b->data : NULL,
              .kh = (int)w->dim[0],
              .kw = (int)w->dim[1],
              .c = (int)w->dim[2],
              .width = (int)x->dim[2],
              .wo = (int)y->dim[2],
              .stride = o->stride,
              .pad_left = o->pad_left,
              .act = o->act},
        .x = x->data,
        .y = y->data,
        .h = x->dim[1],
        .ho = y->dim[1],
        .stride = o->stride,
        .pad_top = o->pad_top,
    };
    assert(w->dim[0] <= 16);
    cpu_split(c, x->dim[0] * s.ho, 1, dw_rows, &s);
}

void cpu_fill_conv(struct cpu_kernels *k, enum cpu_level level)
{
    k->dw_row = dw_row_ref;
    k->wino_low = wino_low_ref;
    if (level >= CPU_AVX2) {
        k->dw_row = dw_row_avx2;
        k->wino = wino_avx2;
    }
    if (level >= CPU_AVX512) {
        k->dw_row = dw_row_avx512;
        k->wino = wino_avx512;
    }
    if (level >= CPU_AVX512VNNI)
        k->wino_low = wino_vnni;
}
