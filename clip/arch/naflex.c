/* SigLIP 2's image tower over pictures of any shape (Tschannen et al. 2025, naflex; transformers'
 * Siglip2VisionModel). Surprising: the reference pads lists of patches to one length and masks what
 * it added, which gives the same as running each picture by its own length, as this does. */
#include "clip/arch/siglip.h"
#include "image/decoder.h"
#include <math.h>

/* One axis of torch's interpolate(mode="bilinear", antialias=True): output i is a mean of inputs
 * from `first` on, with these weights, that fall off to both sides. */
struct taps {
    int first, n;
    float w[64];
};

static void taps_at(struct taps *t, int i, int from, int to)
{
    float scale = (float)from / (float)to, reach = scale >= 1.0f ? scale : 1.0f, sum = 0.0f;
    float middle = scale * ((float)i + 0.5f);
    int first = (int)(middle - reach + 0.5f), last = (int)(middle + reach + 0.5f);
    t->first = first < 0 ? 0 : first;
    t->n = (last > from ? from : last) - t->first;
    for (int j = 0; j < t->n; j++) {
        float x = fabsf(((float)(j + t->first) - middle + 0.5f) / reach);
        t->w[j] = x < 1.0f ? 1.0f - x : 0.0f;
        sum += t->w[j];
    }
    for (int j = 0; j < t->n; j++)
        t->w[j] /= sum;
}

/* y [rows * columns, D] of positions [grid * grid, D]; wide: room for grid * columns rows. */
static void resize_positions(float *y, float *wide, const struct clip_vit_image *v, int rows,
                             int columns)
{
    int64_t d = v->t.width;
    const float *x = v->positions.data;
    struct taps t;
    memset(wide, 0, (size_t)v->grid * (size_t)columns * (size_t)d * sizeof *wide);
    memset(y, 0, (size_t)rows * (size_t)columns * (size_t)d * sizeof *y);
    for (int c = 0; c < columns; c++) {
        taps_at(&t, c, v->grid, columns);
        for (int g = 0; g < v->grid; g++)
            for (int j = 0; j < t.n; j++)
                for (int64_t k = 0; k < d; k++)
                    wide[(g * columns + c) * d + k] +=
                        t.w[j] * x[(g * v->grid + t.first + j) * d + k];
    }
    for (int r = 0; r < rows; r++) {
        taps_at(&t, r, v->grid, rows);
        for (int j = 0; j < t.n; j++)
            for (int64_t k = 0; k < columns * d; k++)
                y[r * columns * d + k] += t.w[j] * wide[(t.first + j) * columns * d + k];
    }
}

/* One picture: patches [T, area] -> y [1, D]. */
static enum status run_one(struct clip_run *r, const struct clip_siglip_image *s,
                           const struct tensor *patches, const float *positions, struct tensor *y)
{
    const struct clip_vit_image *v = &s->vit;
    int64_t tokens = patches->dim[1], d = v->t.width;
    struct tensor x = clip_run_tensor(r, 3, (int64_t[]){1, tokens, d});
    struct tensor at = tensor_view((void *)(uintptr_t)positions, DT_F32, 2, (int64_t[]){tokens, d});
    size_t mark = arena_mark(r->arena);
    if (r->status)
        return r->status;
    backend_upload(r->be, &at);
    op_linear(r->be, &x, patches, &v->patches, &s->patch_bias, ACT_NONE, NULL);
    op_add(r->be, &x, &x, &at);
    clip_run_trace(r, "embed", -1, &x);
    if (clip_transformer_run(r, &v->t, &x, NULL))
        return r->status;
    arena_rewind(r->arena, mark);
    clip_norm_run(r, &x, &x, &v->ln_post, v->t.eps);
    return clip_siglip_ask(r, s, &x, y);
}

/* Positions of all pictures are written before the first op: a device may still be at work when the
 * second picture's turn comes. */
enum status clip_naflex_run_image(struct clip_run *r, const struct clip_siglip_image *s,
                                  const struct tensor *pixels, struct tensor *y)
{
    const struct clip_vit_image *v = &s->vit;
    int64_t n = pixels->dim[0], side = pixels->dim[1], d = v->t.width;
    int64_t area = 3 * (int64_t)v->patch * v->patch, most = side * side * 3 / area;
    float **positions = clip_run_array(r, n, sizeof *positions);
    float *wide = clip_run_array(r, v->grid * most * d, sizeof *wide);
    for (int64_t b = 0; b < n && !r->status; b++) {
        int rows, columns;
        decoder_patches(r->pixels[b], &rows, &columns);
        if (rows < 1 || columns < 1 ||
            (int64_t)rows * columns * area > side * side * 3 - 3 * DECODER_PATCHES_AT)
            return r->status =
                       error_set(r->err, ST_USAGE, "a picture of %d x %d patches", columns, rows);
        positions[b] = clip_run_array(r, (int64_t)rows * columns * d, sizeof **positions);
        if (!r->status)
            resize_positions(positions[b], wide, v, rows, columns);
    }
    size_t mark = arena_mark(r->arena);
    for (int64_t b = 0; b < n && !r->status; b++) {
        int rows, columns;
        decoder_patches(r->pixels[b], &rows, &columns);
        float *first = (float *)pixels->data + b * side * side * 3 + 3 * DECODER_PATCHES_AT;
        struct tensor patches =
            tensor_view(first, DT_F32, 3, (int64_t[]){1, (int64_t)rows * columns, area});
        struct tensor out = tensor_view((float *)y->data + b * d, DT_F32, 2, (int64_t[]){1, d});
        run_one(r, s, &patches, positions[b], &out);
        arena_rewind(r->arena, mark);
    }
    return r->status;
}
