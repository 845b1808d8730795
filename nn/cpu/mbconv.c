/* The driver of EfficientNet-Lite's blocks in int8. Some channels of the wide map at a time go
 * through the whole picture: a row of them is grown into a ring of as many rows as the depthwise
 * kernel is high, each between the zeros of its padding, and an output row is made as soon as its
 * last input row is there. So what lies between the two products stays in the first two caches, and
 * what the second reads is bytes. */
#include "nn/cpu/mbconv.h"
#include "core/mem.h"
#include <string.h>

/* Rows of y that a task runs over a panel: few enough that their bytes stay in the second cache. */
enum { TASK_ROWS = 504 };

struct mb_ctx {
    struct cpu *c;
    const struct mbconv_args *a;
    const struct low_pack *expand, *project;
    unsigned char *x, *turned; /* units of a picture's pixels, and bytes of its turned map */
    int64_t ldx, ldt;
    float *scale;       /* of x's pixels */
    const float *steps; /* of turned's, all the same */
    float *rings;       /* a thread: kh rows of `line` floats, and one of zeros */
    int64_t line;
    int64_t image;
};

static void turn_pixels(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct mb_ctx *s = ctx;
    const float *x = s->a->x + s->image * s->a->h * s->a->w * s->a->k;
    for (int64_t i = i0; i < i1; i++)
        s->scale[i] =
            s->c->k.low_row(s->x + i * s->ldx, PREC_INT8, x + i * s->a->k, s->a->k, LOW_INT8_ZERO);
}

static void copy_row(const struct mbconv_args *a, const float *x, int n, float *to)
{
    if (n == MB_CHANNELS) /* a size that the compiler knows */
        for (int64_t i = 0; i < a->w; i++, x += a->c)
            memcpy(to + i * MB_CHANNELS, x, MB_CHANNELS * sizeof *to);
    else
        for (int64_t i = 0; i < a->w; i++, x += a->c)
            memcpy(to + i * MB_CHANNELS, x, (size_t)n * sizeof *to);
}

/* Row `row` of the wide map, channels from n0 on: into its place in the ring. */
static void grow_row(const struct mb_ctx *s, int64_t n0, int n, int64_t row, float *to)
{
    const struct mbconv_args *a = s->a;
    const struct low_pack *all = s->expand;
    to += a->o->pad_left * MB_CHANNELS;
    if (!all) {
        copy_row(a, a->x + (s->image * a->h + row) * a->w * a->c + n0, n, to);
        return;
    }
    struct low_pack p = {.pack = all->pack,
                         .units = all->units,
                         .panels = all->panels + n0 * all->units * LOW_UNIT,
                         .scale = all->scale + n0,
                         .sum = all->sum + n0};
    struct low_rows x = {
        .units = s->x + row * a->w * s->ldx, .stride = s->ldx, .scale = s->scale + row * a->w};
    struct linear_args l = {.m = a->w,
                            .n = n,
                            .k = a->k,
                            .b = (const float *)a->weights->expand_b->data + n0,
                            .act = ACT_RELU6,
                            .y = to,
                            .ldy = MB_CHANNELS};
    x.pieces = 1;
    s->c->k.low_panel(&l, &p, &x, 0, 0, a->w);
}

/* Channels [n0, n0 + n) of the turned map. */
static void run_channels(const struct mb_ctx *s, int64_t n0, int n, float *ring)
{
    const struct mbconv_args *a = s->a;
    const struct tensor *w = a->weights->dw;
    const float *zeros = ring + w->dim[0] * s->line;
    struct mb_row_args d = {.w = (const float *)w->data + n0,
                            .b = (const float *)a->weights->dw_b->data + n0,
                            .c = a->c,
                            .ldy = s->ldt,
                            .kh = (int)w->dim[0],
                            .kw = (int)w->dim[1],
                            .wo = (int)a->wo,
                            .stride = a->o->stride,
                            .n = n};
    int64_t grown = 0; /* rows that have been */
    for (int64_t i = 0; i < a->ho; i++) {
        int64_t top = i * d.stride - a->o->pad_top;
        for (int64_t end = min_i64(top + d.kh, a->h); grown < end; grown++)
            if (grown >= top)
                grow_row(s, n0, n, grown, ring + grown % d.kh * s->line);
        for (int ky = 0; ky < d.kh; ky++) {
            int64_t row = top + ky;
            d.row[ky] = row >= 0 && row < a->h ? ring + row % d.kh * s->line : zeros;
        }
        d.y = s->turned + i * a->wo * s->ldt + n0;
        s->c->k.mb_row(&d);
    }
}

static void run_chunks(void *ctx, int64_t i0, int64_t i1, int thread)
{
    const struct mb_ctx *s = ctx;
    float *ring = s->rings + thread * (s->a->weights->dw->dim[0] + 1) * s->line;
    for (int64_t i = i0; i < i1; i++)
        run_channels(s, i * MB_CHANNELS, (int)min_i64(MB_CHANNELS, s->a->c - i * MB_CHANNELS),
                     ring);
}

static void run_project(void *ctx, int64_t m0, int64_t m1, int thread)
{
    (void)thread;
    const struct mb_ctx *s = ctx;
    const struct mbconv_args *a = s->a;
    int64_t first = s->image * a->ho * a->wo * a->n;
    struct low_rows x = {s->turned, s->ldt, s->steps, 1, 0, true};
    struct linear_args l = {.m = a->ho * a->wo,
                            .n = a->n,
                            .k = a->c,
                            .b = a->weights->project_b->data,
                            .r = a->r ? a->r + first : NULL,
                            .y = a->y + first,
                            .ldy = a->n};
    for (int64_t i = 0; i * LOW_COLS < a->n; i++)
        s->c->k.low_panel(&l, s->project, &x, i, m0, m1);
}

static const struct low_pack *pack_of(struct cpu *c, const struct tensor *w, int64_t n, int64_t k)
{
    return low_pack_get(c, &(struct linear_args){.w = w, .n = n, .k = k}, PREC_INT8);
}

/* Rows of units at a distance of whole pages would share cache sets. */
static int64_t spread(int64_t bytes)
{
    bytes = (bytes + LOW_UNIT - 1) / LOW_UNIT * LOW_UNIT;
    return bytes % 1024 ? bytes : bytes + 64;
}

static bool take_scratch(struct mb_ctx *s)
{
    const struct mbconv_args *a = s->a;
    size_t threads = (size_t)pool_threads(s->c->base.pool);
    size_t in = s->expand ? (size_t)(a->h * a->w) : 0, out = (size_t)(a->ho * a->wo);
    s->ldx = spread(a->k);
    s->ldt = spread(a->c);
    int64_t width = a->o->pad_left + a->w + a->o->pad_right;
    s->line = width * MB_CHANNELS;
    size_t rings = threads * (size_t)((a->weights->dw->dim[0] + 1) * s->line);
    size_t units = pad16(in * (size_t)s->ldx / 4), bytes = pad16(out * (size_t)s->ldt / 4);
    float *p = cpu_scratch(s->c, SCRATCH_OP, rings + units + bytes + pad16(in) + out);
    if (!p)
        return false;
    memset(p, 0, rings * sizeof *p);
    s->rings = p;
    s->x = (unsigned char *)(p + rings);
    s->turned = (unsigned char *)(p + rings + units);
    s->scale = p + rings + units + bytes;
    float *steps = s->scale + pad16(in);
    for (size_t i = 0; i < out; i++)
        steps[i] = 1 / MB_STEPS;
    s->steps = steps;
    return true;
}

void mbconv_low(struct cpu *c, const struct mbconv_args *a)
{
    struct mb_ctx s = {.c = c, .a = a};
    if (a->weights->expand)
        s.expand = pack_of(c, a->weights->expand, a->c, a->k);
    s.project = pack_of(c, a->weights->project, a->n, a->c);
    if ((a->weights->expand && !s.expand) || !s.project || !take_scratch(&s))
        return;
    for (s.image = 0; s.image < a->batch; s.image++) {
        if (s.expand)
            cpu_split(c, a->h * a->w, 1 + 16384 / (a->k + 1), turn_pixels, &s);
        cpu_split(c, (a->c + MB_CHANNELS - 1) / MB_CHANNELS, 1, run_chunks, &s);
        cpu_split(c, a->ho * a->wo, TASK_ROWS, run_project, &s);
    }
}

static bool in_8_bits(const struct tensor *w)
{
    return w->use == TENSOR_WEIGHT && w->packs;
}

bool cpu_mbconv(struct backend *be, struct tensor *y, const struct tensor *x,
                const struct mbconv_weights *w, const struct conv_opts *o, const struct tensor *r)
{
    struct cpu *c = (struct cpu *)be;
    struct mbconv_args a = {
        .batch = x->dim[0],
        .h = x->dim[1],
        .w = x->dim[2],
        .k = x->dim[3],
        .c = w->dw->dim[2],
        .n = y->dim[3],
        .ho = y->dim[1],
        .wo = y->dim[2],
        .x = x->data,
        .r = r ? r->data : NULL,
        .y = y->data,
        .weights = w,
        .o = o,
    };
    if (be->precision != PREC_INT8 || !c->k.mbconv || (w->expand && !in_8_bits(w->expand)) ||
        !in_8_bits(w->project) || a.c % 16 || w->dw->dim[0] > 16 || a.h * a.w < LOW_ROWS)
        return false;
    c->k.mbconv(c, &a);
    return true;
}

void cpu_fill_mbconv(struct cpu_kernels *k, enum cpu_level level)
{
    if (level == CPU_REF)
        k->mbconv = mbconv_ref;
    if (level >= CPU_AVX512VNNI) {
        k->mbconv = mbconv_low;
        k->mb_row = mb_row_vnni;
    }
}
