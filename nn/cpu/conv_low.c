/* Convolutions in bf16 without im2col: a picture's rows are turned into bf16 once, with zeros (or
 * the opposite edge) around them, and the product's tiles read patches as they lie there, one piece
 * for each of the kernel's rows. Bands of rows keep what is read again inside the caches. */
#include "nn/cpu/conv.h"
#include "nn/cpu/gemm_low.h"
#include <string.h>

enum { BAND_BYTES = 4 << 20, BAND_TASK = 1008 }; /* pixels of a task */

struct band {
    struct cpu *c;
    const struct conv_opts *o;
    const struct linear_args *a;
    const struct low_pack *p;
    const float *x;          /* the picture */
    float *y;                /* its output */
    unsigned char *rows;     /* of the padded picture in bf16, from row `top` on */
    int64_t h, w, channels;  /* of the picture */
    int64_t kh, width, line; /* pixels and bytes of a padded row */
    int64_t top, first, n;   /* output rows [first, first + n) */
    int64_t wo, panels, group;
};

bool conv_low_takes(const struct cpu *c, const struct linear_args *a, const struct tensor *y,
                    int64_t channels)
{
    return conv_in_bf16(c, a->w) && c->k.low_panel && channels % 2 == 0 &&
           tensor_rows(y) >= LOW_ROWS;
}

static void turn(const struct band *s, unsigned char *to, const float *from, int64_t pixels)
{
    if (pixels > 0)
        s->c->k.low_row(to, PREC_BF16, from, pixels * s->channels, 0);
}

static void fill_row(const struct band *s, int64_t i)
{
    unsigned char *to = s->rows + i * s->line;
    int64_t row = s->top + i, left = s->o->pad_left, pixel = 2 * s->channels;
    if (s->o->circular)
        row = conv_wrap(row, s->h);
    if (row < 0 || row >= s->h) {
        memset(to, 0, (size_t)s->line);
        return;
    }
    const float *from = s->x + row * s->w * s->channels;
    left = min_i64(left, s->width);
    int64_t inside = min_i64(s->w, s->width - left);
    turn(s, to + left * pixel, from, inside);
    if (!s->o->circular) {
        memset(to, 0, (size_t)(left * pixel));
        memset(to + (left + inside) * pixel, 0, (size_t)((s->width - left - inside) * pixel));
        return;
    }
    for (int64_t j = 0; j < s->width; j++)
        if (j < left || j >= left + inside)
            turn(s, to + j * pixel, from + conv_wrap(j - s->o->pad_left, s->w) * s->channels, 1);
}

static void fill_rows(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    for (int64_t i = i0; i < i1; i++)
        fill_row(ctx, i);
}

/* Task i: 32 channels of a group of output rows. */
static void run_tasks(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct band *s = ctx;
    for (int64_t i = i0; i < i1; i++) {
        int64_t from = i / s->panels * s->group, to = min_i64(from + s->group, s->n);
        for (int64_t row = from; row < to; row++) {
            struct linear_args a = *s->a;
            a.y = s->y + (s->first + row) * s->wo * a.n;
            struct low_rows x = {.units = s->rows + row * s->o->stride * s->line,
                                 .stride = s->o->stride * s->channels * 2,
                                 .pieces = (int)s->kh,
                                 .step = s->line};
            s->c->k.low_panel(&a, s->p, &x, i % s->panels, 0, s->wo);
        }
    }
}

static void run_picture(struct band *s, int64_t ho, int64_t band)
{
    for (s->first = 0; s->first < ho; s->first += band) {
        s->n = min_i64(band, ho - s->first);
        s->top = s->first * s->o->stride - s->o->pad_top;
        cpu_split(s->c, (s->n - 1) * s->o->stride + s->kh, 1, fill_rows, s);
        cpu_split(s->c, (s->n + s->group - 1) / s->group * s->panels, 1, run_tasks, s);
    }
}

void conv_low(struct cpu *c, const struct linear_args *a, const struct tensor *y,
              const struct tensor *x, const struct conv_opts *o)
{
    struct band s = {.c = c,
                     .o = o,
                     .a = a,
                     .p = low_pack_get(c, a, PREC_BF16),
                     .h = x->dim[1],
                     .w = x->dim[2],
                     .channels = x->dim[3],
                     .kh = a->w->dim[1],
                     .wo = y->dim[2],
                     .panels = (a->n + LOW_COLS - 1) / LOW_COLS};
    int64_t ho = y->dim[1];
    if (!s.p || !x->dim[0] || !ho || !s.wo)
        return;
    s.width = (s.wo - 1) * o->stride + a->w->dim[2];
    s.line = s.width * s.channels * 2;
    int64_t band = (BAND_BYTES / s.line - s.kh) / o->stride + 1;
    band = band < 1 ? 1 : min_i64(band, ho);
    s.group = BAND_TASK / s.wo + 1;
    int64_t rows = (band - 1) * o->stride + s.kh;
    s.rows = (unsigned char *)cpu_scratch(c, SCRATCH_PATCHES, (size_t)(rows * s.line + 3) / 4);
    for (int64_t i = 0; i < x->dim[0] && s.rows; i++) {
        s.x = (const float *)x->data + i * s.h * s.w * s.channels;
        s.y = (float *)y->data + i * ho * s.wo * a->n;
        run_picture(&s, ho, band);
    }
}
