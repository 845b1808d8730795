/* The driver of products in bf16 and int8: packs each weight matrix once, turns the rows of x into
 * units, and splits panels and rows over the pool. Contracts: gemm_low.h. */
#include "nn/cpu/gemm_low.h"
#include "core/mem.h"
#include <string.h>

/* Rows that a task runs over a panel. */
enum { TASK_ROWS = 1008 };

static void pack_free(struct pack *pack)
{
    struct low_pack *p = (struct low_pack *)pack;
    mem_free(p->panels);
    mem_free(p->scale);
    mem_free(p->sum);
    mem_free(p);
}

struct pack_ctx {
    struct cpu *c;
    const struct low_source *from;
    enum precision kind;
    int64_t n, k;
    struct low_pack *p;
    float *row;           /* k and the source's room a thread */
    unsigned char *units; /* a row's units, a thread each */
};

/* Column `n` of the panels from row n of w. */
static void pack_row(const struct pack_ctx *s, int64_t n, float *row, unsigned char *units)
{
    struct low_pack *p = s->p;
    const struct tensor *w = s->from->stored;
    if (s->kind == PREC_INT8 && w && w->dtype == DT_I8) {
        memcpy(units, weight_row(w, n, s->k), (size_t)s->k);
        memset(units + s->k, 0, (size_t)(p->units * LOW_UNIT - s->k));
        p->scale[n] = w->scale[n];
    } else {
        s->from->fill(s->from->ctx, n, row);
        float scale = s->c->k.low_row(units, s->kind, row, s->k, 0);
        if (s->kind == PREC_INT8)
            p->scale[n] = scale;
    }
    unsigned char *to =
        p->panels +
        ((size_t)(n / LOW_COLS * p->units) * LOW_COLS + (size_t)(n % LOW_COLS)) * LOW_UNIT;
    if (s->kind == PREC_INT8) {
        int32_t sum = 0;
        for (int64_t i = 0; i < p->units * LOW_UNIT; i++)
            sum += (int8_t)units[i];
        p->sum[n] = sum * LOW_INT8_ZERO;
    }
    for (int64_t i = 0; i < p->units; i++)
        memcpy(to + i * LOW_COLS * LOW_UNIT, units + i * LOW_UNIT, LOW_UNIT);
}

static void pack_rows(void *ctx, int64_t n0, int64_t n1, int thread)
{
    const struct pack_ctx *s = ctx;
    float *row = s->row + (size_t)thread * pad16((size_t)(s->k + s->from->room));
    unsigned char *units = s->units + (size_t)thread * pad16((size_t)s->p->units) * LOW_UNIT;
    for (int64_t n = n0; n < n1; n++)
        pack_row(s, n, row, units);
}

/* A new pack with its memory; NULL when there is none. */
static struct low_pack *pack_new(int64_t n, int64_t k, enum precision kind)
{
    struct low_pack *p = mem_zalloc(sizeof *p);
    if (!p)
        return NULL;
    *p = (struct low_pack){.pack.free = pack_free, .units = low_units(kind, k)};
    size_t panels = (size_t)((n + LOW_COLS - 1) / LOW_COLS), bytes;
    if (!mul_overflow_size(panels, (size_t)p->units * LOW_COLS * LOW_UNIT, &bytes))
        p->panels = mem_aligned(bytes, 64);
    bool scales = kind == PREC_INT8;
    if (scales) {
        p->scale = mem_array((size_t)n, sizeof *p->scale);
        p->sum = mem_array((size_t)n, sizeof *p->sum);
    }
    if (!p->panels || (scales && (!p->scale || !p->sum))) {
        pack_free(&p->pack);
        return NULL;
    }
    if (n % LOW_COLS) /* columns that are not there */
        memset(p->panels + (panels - 1) * (bytes / panels), 0, bytes / panels);
    return p;
}

struct pack *low_pack_make(struct cpu *c, const struct low_source *from, int64_t n, int64_t k,
                           enum precision kind)
{
    struct pack_ctx s = {.c = c, .from = from, .kind = kind, .n = n, .k = k};
    size_t threads = (size_t)pool_threads(c->base.pool), floats = pad16((size_t)(k + from->room));
    size_t units = pad16((size_t)low_units(kind, k));
    s.row = cpu_scratch(c, SCRATCH_OP, threads * (floats + units));
    if (!s.row)
        return NULL;
    s.units = (unsigned char *)(s.row + threads * floats);
    s.p = pack_new(n, k, kind);
    if (!s.p) {
        backend_fail(&c->base, ST_NOMEM, "out of memory for weights in %s", precision_name(kind));
        return NULL;
    }
    cpu_split(c, n, 1 + (1 << 16) / (k + 1), pack_rows, &s);
    return &s.p->pack;
}

struct get_ctx {
    struct cpu *c;
    const struct linear_args *a;
    enum precision kind;
};

static void widen_row(void *ctx, int64_t n, float *row)
{
    const struct get_ctx *s = ctx;
    const struct tensor *w = s->a->w;
    s->c->k.widen(row, w->dtype, weight_row(w, n, s->a->k), 0, s->a->k, weight_scale(w, n));
}

static struct pack *make(void *ctx)
{
    const struct get_ctx *s = ctx;
    const struct low_source from = {widen_row, ctx, 0, s->a->w};
    return low_pack_make(s->c, &from, s->a->n, s->a->k, s->kind);
}

const struct low_pack *low_pack_get(struct cpu *c, const struct linear_args *a, enum precision kind)
{
    struct get_ctx s = {c, a, kind};
    return (const struct low_pack *)packs_get(a->w, (int)kind, a->n, a->k, make, &s);
}

struct rows_ctx {
    struct cpu *c;
    const struct linear_args *a;
    const struct low_pack *p;
    unsigned char *units;
    int64_t stride;
    float *scale;
    int64_t panels, rows; /* rows of a task */
};

static void turn_rows(void *ctx, int64_t m0, int64_t m1, int thread)
{
    (void)thread;
    const struct rows_ctx *s = ctx;
    for (int64_t m = m0; m < m1; m++)
        s->scale[m] = s->c->k.low_row(s->units + m * s->stride, (enum precision)s->p->pack.kind,
                                      s->a->x + m * s->a->ldx, s->a->k, LOW_INT8_ZERO);
}

static void run_panels(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct rows_ctx *s = ctx;
    struct low_rows x = {s->units, s->stride, s->scale, 1, 0, false};
    for (int64_t i = i0; i < i1; i++) {
        int64_t m0 = i / s->panels * s->rows;
        s->c->k.low_panel(s->a, s->p, &x, i % s->panels, m0, min_i64(m0 + s->rows, s->a->m));
    }
}

void linear_low(struct cpu *c, const struct linear_args *a, enum precision kind)
{
    struct rows_ctx s = {.c = c, .a = a, .p = low_pack_get(c, a, kind)};
    /* A line more than the units: rows at a distance of a page would share cache sets. */
    s.stride = (s.p ? s.p->units * LOW_UNIT + 63 : 0) / 64 * 64 + 64;
    size_t floats = pad16((size_t)a->m) + (size_t)(a->m * s.stride / 4);
    s.scale = s.p ? cpu_scratch(c, SCRATCH_OP, floats) : NULL;
    if (!s.scale)
        return; /* cpu_scratch or low_pack_get has said why */
    s.units = (unsigned char *)(s.scale + pad16((size_t)a->m));
    s.panels = (a->n + LOW_COLS - 1) / LOW_COLS;
    cpu_split(c, a->m, 1 + 16384 / (a->k + 1), turn_rows, &s);
    int64_t blocks = (a->m + TASK_ROWS - 1) / TASK_ROWS;
    s.rows = (a->m + blocks - 1) / blocks;
    cpu_split(c, s.panels * blocks, 1, run_panels, &s);
}
