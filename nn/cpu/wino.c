/* The driver of Winograd's convolution: transforms filters, packs them and splits the tiles over
 * the pool. In bf16 the packs are kept with the weights; in f32 they would double the memory, so
 * they are made again at each run, by a panel a thread. Contract: wino.h. */
#include "nn/cpu/wino.h"
#include "nn/cpu/gemm_low.h"
#include <string.h>

/* Of a block's transformed patches: what stays in a core's own cache. */
enum { BLOCK_BYTES = 3 << 18, BLOCK_TILES = 96, STRIP = 12 };
/* Below so many blocks outputs are split as well, though each group transforms the patches again:
 * 3 % of its work. */
enum { FEW_BLOCKS = 32, GROUP = 256 };
/* From how many tiles a picture the filters are worth transforming. */
enum { LEAST_KEPT = 64, LEAST = 256, LEAST_CHANNELS = 16 };

static int64_t tiles_of(const struct tensor *y)
{
    return (y->dim[1] + 1) / 2 * ((y->dim[2] + 1) / 2);
}

bool wino_takes(const struct cpu *c, const struct linear_args *a, const struct tensor *y,
                const struct tensor *x, const struct conv_opts *o)
{
    if (a->w->dim[1] != 3 || a->w->dim[2] != 3 || o->stride != 1 || a->n < LEAST_CHANNELS ||
        x->dim[3] < LEAST_CHANNELS || !x->dim[1] || !x->dim[2])
        return false;
    if (conv_in_bf16(c, a->w))
        return tiles_of(y) >= LEAST_KEPT && x->dim[3] % 2 == 0;
    return c->k.wino && tiles_of(y) >= LEAST && c->base.precision != PREC_INT8;
}

struct filters {
    struct cpu *c;
    const struct linear_args *a;
    int64_t channels;
    float *u;      /* [n][16][channels], or of a panel's columns a thread */
    float *row;    /* a filter a thread */
    float *panels; /* f32 */
};

/* One side of G g: three values become four. */
static void filter4(float *u, int64_t step, float g0, float g1, float g2)
{
    float sum = g0 + g2;
    u[0] = g0;
    u[step] = (sum + g1) * 0.5f;
    u[2 * step] = (sum - g1) * 0.5f;
    u[3 * step] = g2;
}

/* Filter n, [3][3][channels], as u [16][channels]. */
static void transform(const struct filters *s, int64_t n, float *u, float *g)
{
    const int64_t c = s->channels;
    const struct tensor *w = s->a->w;
    s->c->k.widen(g, w->dtype, weight_row(w, n, 9 * c), 0, 9 * c, weight_scale(w, n));
    for (int64_t ch = 0; ch < c; ch++) {
        float half[WINO_SIDE * 3];
        for (int i = 0; i < 3; i++)
            filter4(half + i, 3, g[i * c + ch], g[(3 + i) * c + ch], g[(6 + i) * c + ch]);
        for (int i = 0; i < WINO_SIDE; i++)
            filter4(u + i * WINO_SIDE * c + ch, c, half[3 * i], half[3 * i + 1], half[3 * i + 2]);
    }
}

static void transform_rows(void *ctx, int64_t n0, int64_t n1, int thread)
{
    const struct filters *s = ctx;
    for (int64_t n = n0; n < n1; n++)
        transform(s, n, s->u + n * WINO_PLACES * s->channels,
                  s->row + thread * (int64_t)pad16((size_t)(9 * s->channels)));
}

static void transform_panels(void *ctx, int64_t i0, int64_t i1, int thread)
{
    const struct filters *s = ctx;
    const int nr = s->c->k.nr;
    const int64_t k = WINO_PLACES * s->channels;
    float *u = s->u + thread * nr * k;
    float *g = s->row + thread * (int64_t)pad16((size_t)(9 * s->channels));
    struct tensor t = tensor_view(u, DT_F32, 2, (int64_t[]){nr, k});
    const struct linear_args a = {.n = nr, .k = k, .w = &t};
    for (int64_t i = i0; i < i1; i++) {
        int nn = (int)min_i64(nr, s->a->n - i * nr);
        for (int j = 0; j < nn; j++)
            transform(s, i * nr + j, u + j * k, g);
        s->c->k.pack(s->panels + i * nr * k, &a, 0, nn);
    }
}

/* For the definition: all filters transformed, [n][16][channels], rounded. NULL: the backend has
 * failed. */
static float *transform_all(struct filters *s)
{
    size_t row = pad16((size_t)(9 * s->channels)) * (size_t)pool_threads(s->c->base.pool);
    s->row = cpu_scratch(s->c, SCRATCH_PATCHES,
                         row + (size_t)s->a->n * WINO_PLACES * (size_t)s->channels);
    if (!s->row)
        return NULL;
    s->u = s->row + row;
    cpu_split(s->c, s->a->n, 1 + (1 << 16) / (9 * s->channels), transform_rows, s);
    for (int64_t i = 0; i < s->a->n * WINO_PLACES * s->channels; i++)
        s->u[i] = bf16_to_f32(f32_to_bf16(s->u[i]));
    return s->u;
}

static void transform_row(void *ctx, int64_t n, float *row)
{
    const struct filters *s = ctx;
    transform(s, n, row, row + WINO_PLACES * s->channels);
}

static struct pack *make_pack(void *ctx)
{
    const struct filters *s = ctx;
    const struct low_source from = {transform_row, ctx, 9 * s->channels, NULL};
    return low_pack_make(s->c, &from, s->a->n, WINO_PLACES * s->channels, PREC_BF16);
}

/* Panels in f32, in scratch that lasts until the next product. */
static const void *panels_f32(struct filters *s)
{
    const int64_t nr = s->c->k.nr, k = WINO_PLACES * s->channels, n = (s->a->n + nr - 1) / nr;
    size_t threads = (size_t)pool_threads(s->c->base.pool);
    size_t row = pad16((size_t)(9 * s->channels)) * threads, u = (size_t)(nr * k) * threads;
    s->panels = cpu_scratch(s->c, SCRATCH_OP, (size_t)(n * nr * k) + u + row);
    if (!s->panels)
        return NULL;
    s->u = s->panels + n * nr * k;
    s->row = s->u + u;
    cpu_split(s->c, n, 1, transform_panels, s);
    return s->panels;
}

/* What the kernel reads; NULL: the backend has failed. */
static const void *panels_low(struct filters *s)
{
    if (s->c->k.wino_low == wino_low_ref)
        return transform_all(s);
    const struct low_pack *p = (const struct low_pack *)packs_get(
        s->a->w, PREC_BF16, s->a->n, WINO_PLACES * s->channels, make_pack, s);
    return p ? p->panels : NULL;
}

struct blocks {
    const struct wino_args *a;
    void (*run)(const struct wino_args *a, const struct wino_part *p, float *scratch);
    float *scratch;
    size_t each;           /* floats of scratch a thread */
    int64_t tiles, all;    /* of a task; of the batch */
    int64_t groups, width; /* of outputs that are tasks apart; outputs in one */
};

static void run_blocks(void *ctx, int64_t i0, int64_t i1, int thread)
{
    const struct blocks *s = ctx;
    for (int64_t i = i0; i < i1; i++) {
        int64_t t0 = i / s->groups * s->tiles, n0 = i % s->groups * s->width;
        const struct wino_part p = {t0, min_i64(t0 + s->tiles, s->all), n0,
                                    min_i64(n0 + s->width, s->a->n)};
        s->run(s->a, &p, s->scratch + (size_t)thread * s->each);
    }
}

void wino_run(struct cpu *c, const struct linear_args *a, const struct tensor *y,
              const struct tensor *x, const struct conv_opts *o)
{
    const bool low = conv_in_bf16(c, a->w);
    struct filters f = {.c = c, .a = a, .channels = x->dim[3]};
    struct wino_args w = {.x = x->data,
                          .b = a->b,
                          .y = y->data,
                          .panels = low ? panels_low(&f) : panels_f32(&f),
                          .h = x->dim[1],
                          .w = x->dim[2],
                          .c = x->dim[3],
                          .ho = y->dim[1],
                          .wo = y->dim[2],
                          .n = a->n,
                          .across = (y->dim[2] + 1) / 2,
                          .tiles = tiles_of(y),
                          .pad_top = o->pad_top,
                          .pad_left = o->pad_left,
                          .circular = o->circular,
                          .act = a->act};
    struct blocks s = {.a = &w, .run = low ? c->k.wino_low : c->k.wino, .all = w.tiles * x->dim[0]};
    if (!w.panels)
        return;
    s.tiles = BLOCK_BYTES / (WINO_PLACES * wino_stride(w.c, low)) / STRIP * STRIP;
    s.tiles = s.tiles < STRIP ? STRIP : min_i64(s.tiles, BLOCK_TILES);
    s.each = wino_scratch(w.c, s.tiles, low);
    size_t zeros = pad16((size_t)w.c), threads = (size_t)pool_threads(c->base.pool);
    s.scratch = cpu_scratch(c, low ? SCRATCH_OP : SCRATCH_PATCHES, zeros + threads * s.each);
    if (!s.scratch)
        return;
    memset(s.scratch, 0, zeros * sizeof *s.scratch);
    w.zero = s.scratch;
    s.scratch += zeros;
    int64_t blocks = (s.all + s.tiles - 1) / s.tiles;
    s.width = blocks < FEW_BLOCKS ? GROUP : w.n;
    s.groups = (w.n + s.width - 1) / s.width;
    cpu_split(c, blocks * s.groups, 1, run_blocks, &s);
}
