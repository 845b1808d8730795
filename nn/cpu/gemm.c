/* Matrix products: from tensors to struct linear_args, and the driver of the vector kernels. */
#include "nn/cpu/gemm.h"
#include "nn/cpu/gemm_low.h"
#include <string.h>

void cpu_linear_run(struct cpu *c, const struct linear_args *a)
{
    enum precision p = c->base.precision;
    if (p == PREC_INT8 && a->w->use != TENSOR_WEIGHT)
        p = PREC_BF16;
    if (p != PREC_F32 && a->w->use != TENSOR_VALUES && a->w->packs && a->m >= LOW_ROWS)
        c->k.linear_low(c, a, p);
    else
        c->k.linear(c, a);
}

void cpu_linear(struct backend *be, struct tensor *y, const struct tensor *x,
                const struct tensor *w, const struct tensor *b, enum act act,
                const struct tensor *r)
{
    struct cpu *c = (struct cpu *)be;
    struct linear_args a = {
        .m = tensor_rows(x),
        .n = tensor_cols(y),
        .k = tensor_cols(x),
        .x = x->data,
        .ldx = tensor_cols(x),
        .w = w,
        .b = b ? b->data : NULL,
        .act = act,
        .r = r ? r->data : NULL,
        .y = y->data,
        .ldy = tensor_cols(y),
    };
    cpu_linear_run(c, &a);
}

void cpu_matmul(struct backend *be, struct tensor *y, const struct tensor *x,
                const struct tensor *w)
{
    struct cpu *c = (struct cpu *)be;
    struct linear_args a = {
        .m = tensor_rows(x),
        .n = tensor_cols(y),
        .k = tensor_cols(x),
        .x = x->data,
        .ldx = tensor_cols(x),
        .w = w,
        .transposed = true,
        .y = y->data,
        .ldy = tensor_cols(y),
    };
    c->k.linear(c, &a);
}

/* Up to this many values of w the whole of it is packed once, and the work is split by rows: the
 * many rows of an early convolution, whose panels would be too small to be worth a task. */
enum { SMALL_W = 1 << 16 };
/* Rows that a task runs over a panel: enough to make packing it again for other rows cheap. */
enum { TASK_ROWS = 1008 };

struct panels_ctx {
    struct cpu *c;
    const struct linear_args *a;
    float *packed;
    size_t panel_floats;
    int64_t panels, rows; /* rows of a task */
};

static int panel_width(const struct panels_ctx *s, int64_t panel)
{
    return (int)min_i64(s->c->k.nr, s->a->n - panel * s->c->k.nr);
}

static void pack_panels(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct panels_ctx *s = ctx;
    for (int64_t i = i0; i < i1; i++)
        s->c->k.pack(s->packed + s->panel_floats * (size_t)i, s->a, i * s->c->k.nr,
                     panel_width(s, i));
}

/* All of w is packed: rows by all panels, so that a strip of x stays in cache. */
static void run_rows(void *ctx, int64_t m0, int64_t m1, int thread)
{
    (void)thread;
    const struct panels_ctx *s = ctx;
    for (int64_t i = 0; i < s->panels; i++)
        s->c->k.panel(s->a, s->packed + s->panel_floats * (size_t)i, i * s->c->k.nr,
                      panel_width(s, i), m0, m1);
}

/* A task is a panel, packed here by its thread, and a block of rows. */
static void run_panels(void *ctx, int64_t i0, int64_t i1, int thread)
{
    const struct panels_ctx *s = ctx;
    float *panel = s->packed + s->panel_floats * (size_t)thread;
    for (int64_t i = i0; i < i1; i++) {
        int64_t n = i % s->panels, m0 = i / s->panels * s->rows;
        s->c->k.pack(panel, s->a, n * s->c->k.nr, panel_width(s, n));
        s->c->k.panel(s->a, panel, n * s->c->k.nr, panel_width(s, n), m0,
                      min_i64(m0 + s->rows, s->a->m));
    }
}

static void run_dot(void *ctx, int64_t n0, int64_t n1, int thread)
{
    (void)thread;
    const struct panels_ctx *s = ctx;
    s->c->k.dot(s->a, n0, n1);
}

/* Rows at a distance of whole pages share one set of L1, which holds eight lines: too few for the
 * twelve rows of AVX-512's tile, enough for the six of AVX2's. */
enum { PAGE_FLOATS = 1024, MOST_COPIED = 1 << 23 };
static bool rows_collide(const struct cpu *c, const struct linear_args *a)
{
    return c->k.nr == 32 && a->ldx % PAGE_FLOATS == 0 && a->n >= 256 && a->m * a->k <= MOST_COPIED;
}

struct copy_ctx {
    const struct linear_args *a;
    float *to;
    int64_t ld;
};

static void copy_rows(void *ctx, int64_t m0, int64_t m1, int thread)
{
    (void)thread;
    const struct copy_ctx *s = ctx;
    for (int64_t m = m0; m < m1; m++)
        memcpy(s->to + m * s->ld, s->a->x + m * s->a->ldx, (size_t)s->a->k * sizeof(float));
}

void linear_panels(struct cpu *c, const struct linear_args *a)
{
    struct panels_ctx s = {.c = c, .a = a};
    struct linear_args apart = *a; /* x copied */
    if (a->m <= GEMM_DOT_ROWS && !a->transposed) {
        cpu_split(c, a->n, 16 + 65536 / (a->k + 1) / 16 * 16, run_dot, &s);
        return;
    }
    s.panels = (a->n + c->k.nr - 1) / c->k.nr;
    s.panel_floats = pad16((size_t)a->k * (size_t)c->k.nr);
    bool small = s.panels * a->k * c->k.nr <= SMALL_W;
    size_t count = (size_t)(small ? s.panels : pool_threads(c->base.pool));
    apart.ldx = a->k + 16;
    size_t copied = rows_collide(c, a) ? (size_t)(a->m * apart.ldx) : 0;
    s.packed = cpu_scratch(c, SCRATCH_OP, s.panel_floats * count + copied);
    if (!s.packed)
        return;
    if (copied) {
        float *x = s.packed + s.panel_floats * count;
        cpu_split(c, a->m, 1 + 65536 / a->k, copy_rows, &(struct copy_ctx){a, x, apart.ldx});
        apart.x = x;
        s.a = &apart;
    }
    if (small) {
        int64_t rows = ((1 << 20) / (a->k * a->n + 1) + 1) * 12;
        cpu_split(c, s.panels, 1 + 16384 / (a->k * c->k.nr + 1), pack_panels, &s);
        cpu_split(c, a->m, min_i64(rows, 480), run_rows, &s);
        return;
    }
    int64_t blocks = (a->m + TASK_ROWS - 1) / TASK_ROWS;
    s.rows = (a->m + blocks - 1) / blocks;
    cpu_split(c, s.panels * blocks, 1, run_panels, &s);
}

void cpu_fill_gemm(struct cpu_kernels *k, enum cpu_level level, bool blas)
{
    k->linear = linear_ref;
    k->linear_low = linear_low_ref;
    if (level >= CPU_AVX2) {
        k->linear = linear_panels;
        k->nr = 16;
        k->pack = gemm_pack_avx2;
        k->panel = gemm_panel_avx2;
        k->dot = gemm_dot_avx2;
    }
    if (level >= CPU_AVX512) {
        k->nr = 32;
        k->pack = gemm_pack_avx512;
        k->panel = gemm_panel_avx512;
        k->dot = gemm_dot_avx512;
    }
    if (level >= CPU_AVX512VNNI) {
        k->linear_low = linear_low;
        k->low_row = low_row_vnni;
        k->low_panel = low_panel_vnni;
    }
    if (blas)
        k->linear = linear_blas;
}
