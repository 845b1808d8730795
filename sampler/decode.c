/* Latents to pixels, whole or in tiles. Surprising: tiles differ from the whole by more than
 * rounding, since the decoder's norms and its attention see all of what they are given; they follow
 * diffusers' tiled_decode, whose tiles overlap by a quarter and fade into each other. */
#include "core/mem.h"
#include "sampler/sampler_int.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* -1 to 1 becomes 0 to 255, rounded as diffusers does. */
static uint8_t pixel(float v)
{
    float f = v / 2 + 0.5f;
    f = f < 0 ? 0 : f > 1 ? 1 : f;
    return (uint8_t)rintf(f * 255);
}

struct part { /* of a latent, in cells */
    int64_t x, y, w, h;
};

/* One run of the decoder. */
struct decoder_pass {
    struct denoiser *d;
    struct tensor z, y;
};

static enum status decoder_ops(void *ctx)
{
    struct decoder_pass *p = ctx;
    return net_vae_decode(&p->d->run, &p->d->s->c->vae, &p->y, &p->z);
}

static enum status run_decoder(struct denoiser *d, struct tensor *y, const float *x,
                               const struct part *p)
{
    const struct checkpoint *c = d->s->c;
    int64_t cells = d->h * d->w;
    char key[64];
    denoiser_begin(d, PART_DECODER);
    struct decoder_pass pass = {.d = d, .y = *y};
    struct tensor z = clip_run_tensor(&d->run, 4, (int64_t[]){1, p->h, p->w, d->channels});
    if (d->run.arena->memory) /* where its ops leave it on a device */
        pass.y = clip_run_tensor(&d->run, 4, y->dim);
    if (d->run.status)
        return d->run.status;
    for (int64_t k = 0; k < d->channels; k++) {
        float scale = c->latent_std ? c->latent_std[k] : (float)(1 / c->latent_scale);
        float mean = c->latent_mean ? c->latent_mean[k] : 0;
        for (int64_t i = 0; i < p->h * p->w; i++)
            ((float *)z.data)[i * d->channels + k] =
                x[k * cells + (p->y + i / p->w) * d->w + p->x + i % p->w] * scale + mean;
    }
    backend_upload(d->run.be, &z);
    pass.z = z;
    snprintf(key, sizeof key, "decoder %lld %lld %d", (long long)p->h, (long long)p->w,
             d->job->circular);
    enum status st = c->vae.tiny_decoder /* uploads, which a record must not */
                         ? decoder_ops(&pass)
                         : backend_repeat(d->run.be, d->run.arena, key, decoder_ops, &pass);
    backend_download(d->run.be, &pass.y);
    if (!st)
        st = backend_sync(d->run.be, d->err);
    if (!st && pass.y.data != y->data)
        memcpy(y->data, pass.y.data, (size_t)tensor_count(y) * sizeof(float));
    return st ? st : denoiser_check_stop(d);
}

/* y [h * unit, w * unit, 3] from a part of the latent x. */
static enum status decode_part(struct denoiser *d, float *y, const float *x, const struct part *p)
{
    int64_t unit = d->s->c->vae.shrink;
    struct tensor out = tensor_view(y, DT_F32, 4, (int64_t[]){1, p->h * unit, p->w * unit, 3});
    enum status st;
    do
        st = run_decoder(d, &out, x, p);
    while (denoiser_again(d, PART_DECODER, y, tensor_count(&out), &st));
    return st;
}

struct tile {
    float *y; /* [h, w, 3] */
    int64_t h, w;
};

/* The first rows (or columns) of b come out of the last ones of a. */
static void fade(const struct tile *a, struct tile *b, int64_t extent, bool rows)
{
    int64_t most = rows ? (a->h < b->h ? a->h : b->h) : (a->w < b->w ? a->w : b->w);
    int64_t n = extent < most ? extent : most;
    for (int64_t i = 0; i < n; i++) {
        float share = (float)i / (float)n;
        for (int64_t k = 0; k < (rows ? b->w : b->h); k++) {
            const float *from =
                a->y + 3 * (rows ? (a->h - n + i) * a->w + k : k * a->w + a->w - n + i);
            float *to = b->y + 3 * (rows ? i * b->w + k : k * b->w + i);
            for (int c = 0; c < 3; c++)
                to[c] = from[c] * (1 - share) + to[c] * share;
        }
    }
}

/* Tiles of `side` cells, a row of them and the row above kept. */
struct tiling {
    int64_t side, stride, columns, fade, limit, size; /* size: floats of a tile */
    struct tile *row, *above;
    float *memory;
};

static enum status tiling_init(struct tiling *t, const struct denoiser *d)
{
    int64_t unit = d->s->c->vae.shrink;
    *t = (struct tiling){.side = d->job->vae_tile, .stride = d->job->vae_tile * 3 / 4};
    t->fade = t->side * unit / 4;
    t->limit = t->side * unit - t->fade;
    t->columns = (d->w + t->stride - 1) / t->stride;
    t->size = t->side * unit * t->side * unit * 3;
    t->row = mem_zarray((size_t)t->columns * 2, sizeof *t->row);
    t->memory = mem_array((size_t)(2 * t->columns * t->size), sizeof *t->memory);
    if (!t->row || !t->memory)
        return error_set(d->err, ST_NOMEM, "out of memory for tiles");
    t->above = t->row + t->columns;
    for (int64_t i = 0; i < 2 * t->columns; i++)
        t->row[i].y = t->memory + i * t->size;
    return ST_OK;
}

static void copy_tile(float *y, const struct tile *b, int64_t top, int64_t left, int64_t width,
                      int64_t limit)
{
    int64_t h = b->h < limit ? b->h : limit, w = b->w < limit ? b->w : limit;
    for (int64_t i = 0; i < h; i++)
        memcpy(y + 3 * ((top + i) * width + left), b->y + 3 * i * b->w,
               (size_t)(3 * w) * sizeof *y);
}

static enum status decode_tiles(struct denoiser *d, float *y, const float *x, struct tiling *t)
{
    int64_t unit = d->s->c->vae.shrink, width = d->job->width;
    struct tile *mine = t->row, *theirs = t->above;
    enum status st = ST_OK;
    for (int64_t i = 0; i < d->h && !st; i += t->stride) {
        for (int64_t k = 0; k < t->columns && !st; k++) {
            struct part p = {.x = k * t->stride, .y = i, .w = t->side, .h = t->side};
            p.w = p.x + p.w > d->w ? d->w - p.x : p.w;
            p.h = p.y + p.h > d->h ? d->h - p.y : p.h;
            mine[k].h = p.h * unit;
            mine[k].w = p.w * unit;
            st = decode_part(d, mine[k].y, x, &p);
            if (!st && i > 0)
                fade(&theirs[k], &mine[k], t->fade, true);
            if (!st && k > 0)
                fade(&mine[k - 1], &mine[k], t->fade, false);
            if (!st)
                copy_tile(y, &mine[k], i * unit, p.x * unit, width, t->limit);
        }
        struct tile *swap = mine;
        mine = theirs;
        theirs = swap;
    }
    return st;
}

static enum status decode_floats(struct denoiser *d, float *y, const float *x)
{
    struct tiling t;
    if (!d->job->vae_tile || (d->h <= d->job->vae_tile && d->w <= d->job->vae_tile))
        return decode_part(d, y, x, &(struct part){0, 0, d->w, d->h});
    enum status st = tiling_init(&t, d);
    if (!st)
        st = decode_tiles(d, y, x, &t);
    mem_free(t.row);
    mem_free(t.memory);
    return st;
}

enum status decode_latent(struct denoiser *d, const float *x, struct image *out)
{
    size_t n = (size_t)d->job->width * (size_t)d->job->height * 3;
    float *y = mem_array(n, sizeof *y);
    enum status st =
        y ? decode_floats(d, y, x) : error_set(d->err, ST_NOMEM, "out of memory for a picture");
    if (!st)
        st = image_alloc(out, d->job->width, d->job->height, d->err);
    for (size_t i = 0; i < n && !st; i++) {
        if (!isfinite(y[i]))
            st = error_set(d->err, ST_FORMAT, "%s: the autoencoder gives no number", d->s->c->name);
        else
            out->data[i] = pixel(y[i]);
    }
    if (st)
        image_release(out);
    mem_free(y);
    return st;
}
