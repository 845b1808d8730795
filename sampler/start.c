/* Where a run starts. Order of the draws, as in diffusers: the posterior's, then the noise. */
#include "core/mem.h"
#include "sampler/sampler_int.h"
#include <math.h>
#include <string.h>

/* 0 to 255 becomes -1 to 1, in floats as diffusers has it; no picture is grey. */
static void to_signed(float *y, const uint8_t *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x ? 2 * ((float)x[i] / 255) - 1 : 0;
}

/* z = scale * (mean + exp(logvar / 2) * noise - shift); moments are channels last, z is not. */
static void sample_posterior(struct denoiser *d, float *z, const float *moments)
{
    int64_t pixels = d->h * d->w, channels = d->channels;
    noise_normal(&d->noise, z, channels * pixels);
    const struct checkpoint *k = d->s->c;
    for (int64_t c = 0; c < channels; c++) {
        float scale = k->latent_std ? 1 / k->latent_std[c] : (float)k->latent_scale;
        float shift = k->latent_mean ? k->latent_mean[c] : 0;
        for (int64_t i = 0; i < pixels; i++) {
            const float *m = moments + i * 2 * channels;
            float logvar = fminf(fmaxf(m[channels + c], -30), 20);
            float *v = z + c * pixels + i;
            *v = (m[c] + expf(0.5f * logvar) * *v - shift) * scale;
        }
    }
}

/* *moments from the arena. */
static enum status run_encoder(struct denoiser *d, struct tensor *moments, const float *pixels)
{
    denoiser_begin(d, PART_ENCODER);
    struct tensor x = tensor_view((void *)(uintptr_t)pixels, DT_F32, 4,
                                  (int64_t[]){1, d->job->height, d->job->width, 3});
    *moments = clip_run_tensor(&d->run, 4, (int64_t[]){1, d->h, d->w, 2 * d->channels});
    if (d->run.status)
        return d->run.status;
    enum status st = net_vae_encode(&d->run, &d->s->c->vae, moments, &x);
    backend_download(d->run.be, moments);
    if (!st)
        st = backend_sync(d->run.be, d->err);
    return st ? st : denoiser_check_stop(d);
}

/* pixels: [height, width, 3] of the job, -1 to 1. */
static enum status encode(struct denoiser *d, float *z, const float *pixels)
{
    struct tensor moments;
    int64_t n = d->h * d->w * 2 * d->channels;
    enum status st;
    do
        st = run_encoder(d, &moments, pixels);
    while (denoiser_again(d, PART_ENCODER, moments.data, n, &st));
    const float *m = moments.data;
    for (int64_t i = 0; i < n && !st; i++)
        if (!isfinite(m[i]))
            st = error_set(d->err, ST_FORMAT, "%s: the encoder gives no number", d->s->c->name);
    if (!st)
        sample_posterior(d, z, m);
    return st;
}

/* Cells whose first pixel is at least half white. */
static enum status find_anew(struct denoiser *d)
{
    const struct image *m = d->job->mask;
    int unit = d->s->c->vae.shrink;
    d->anew = mem_array((size_t)(d->h * d->w), 1);
    if (!d->anew)
        return error_set(d->err, ST_NOMEM, "out of memory for a mask");
    for (int64_t y = 0; y < d->h; y++)
        for (int64_t x = 0; x < d->w; x++)
            d->anew[y * d->w + x] = m->data[3 * (y * unit * m->width + x * unit)] >= 128;
    return ST_OK;
}

/* What a UNet for inpainting gets: 1 where it is to paint, and the latent of the picture that is
 * grey there. z: scratch. */
static enum status see_masked(struct denoiser *d, float *z, const struct image *img)
{
    int64_t pixels = d->h * d->w, width = 1 + d->channels;
    const struct image *mask = d->job->mask;
    size_t n = (size_t)d->job->width * (size_t)d->job->height * 3;
    float *x = mem_array(n, sizeof *x);
    d->beside = mem_array((size_t)(pixels * width), sizeof *d->beside);
    if (!x || !d->beside) {
        mem_free(x);
        return error_set(d->err, ST_NOMEM, "out of memory for a masked picture");
    }
    to_signed(x, img ? img->data : NULL, (int64_t)n);
    for (size_t i = 0; i < n; i++)
        if (!mask || mask->data[i] >= 128)
            x[i] = 0;
    enum status st = encode(d, z, x);
    for (int64_t i = 0; i < pixels && !st; i++) {
        d->beside[i * width] = !d->anew || d->anew[i];
        for (int64_t c = 0; c < d->channels; c++)
            d->beside[i * width + 1 + c] = z[c * pixels + i];
    }
    mem_free(x);
    return st;
}

static enum status encode_init(struct denoiser *d, const struct image *img)
{
    size_t n = (size_t)d->job->width * (size_t)d->job->height * 3;
    float *x = mem_array(n, sizeof *x);
    d->init = mem_array((size_t)(d->channels * d->h * d->w), sizeof *d->init);
    if (!x || !d->init) {
        mem_free(x);
        return error_set(d->err, ST_NOMEM, "out of memory for a latent");
    }
    to_signed(x, img->data, (int64_t)n);
    enum status st = encode(d, d->init, x);
    mem_free(x);
    return st;
}

/* x, noise so far, becomes noise of level sigma over what lies beneath it. */
static void put_beneath(struct denoiser *d, float *x, float sigma)
{
    int64_t pixels = d->h * d->w, n = d->channels * pixels;
    for (int64_t i = 0; i < n && d->init; i++)
        if (d->anew && d->anew[i % pixels] && d->job->content == CONTENT_NOISE)
            d->init[i] = x[i];
    for (int64_t i = 0; i < n; i++) {
        x[i] *= sigma;
        if (d->init && !(d->from_noise && d->anew && d->anew[i % pixels]))
            x[i] += d->init[i];
    }
}

static enum status copy_init(struct denoiser *d)
{
    size_t n = (size_t)(d->channels * d->h * d->w);
    d->init = mem_array(n, sizeof *d->init);
    if (!d->init)
        return error_set(d->err, ST_NOMEM, "out of memory for a latent");
    memcpy(d->init, d->job->init_latent, n * sizeof *d->init);
    return ST_OK;
}

/* Between two columns of n values, `step` apart, by the angle between them. */
static void turn_column(float *x, const float *other, int64_t n, int64_t step, double share)
{
    double xx = 0, yy = 0, xy = 0;
    for (int64_t i = 0; i < n; i++) {
        xx += (double)x[i * step] * x[i * step];
        yy += (double)other[i * step] * other[i * step];
        xy += (double)x[i * step] * other[i * step];
    }
    double angle = acos(fmin(fmax(xy / sqrt(xx * yy), -1), 1)), whole = sin(angle);
    double a = 1 - share, b = share;
    if (whole > 1e-6) { /* else they are alike */
        a = sin((1 - share) * angle) / whole;
        b = sin(share * angle) / whole;
    }
    for (int64_t i = 0; i < n; i++)
        x[i * step] = (float)(a * x[i * step] + b * other[i * step]);
}

/* Surprising: the angle is that of each column, not of the whole noise; AUTOMATIC1111 takes the
 * norm over a dimension that was once the channels. */
static enum status vary(struct denoiser *d, float *x)
{
    int64_t n = d->channels * d->h * d->w;
    float *other = mem_array((size_t)n, sizeof *other);
    struct noise z;
    if (!other)
        return error_set(d->err, ST_NOMEM, "out of memory for a latent");
    noise_init(&z, d->job->rng, d->job->variation_seed);
    noise_normal(&z, other, n);
    for (int64_t c = 0; c < d->channels; c++)
        for (int64_t i = 0; i < d->w; i++)
            turn_column(x + c * d->h * d->w + i, other + c * d->h * d->w + i, d->h, d->w,
                        d->job->variation);
    noise_release(&z);
    mem_free(other);
    return ST_OK;
}

enum status start_latent(struct denoiser *d, float *x, float sigma)
{
    const struct sampler_job *job = d->job;
    int64_t n = d->channels * d->h * d->w;
    struct image img = {0};
    enum status st = ST_OK;
    if (job->init)
        st = image_resize(&img, job->width, job->height, job->init, NULL, IMAGE_LANCZOS, d->err);
    if (!st && job->mask)
        st = find_anew(d);
    d->from_noise = job->mask && job->strength == 1 && job->content == CONTENT_ORIGINAL;
    if (!st && job->init && !(d->from_noise && denoiser_inpaints(d)))
        st = encode_init(d, &img);
    if (!st && job->init_latent)
        st = copy_init(d);
    if (!st)
        noise_normal(&d->noise, x, n);
    if (!st && job->variation > 0)
        st = vary(d, x);
    if (!st)
        put_beneath(d, x, sigma);
    float *z = st ? NULL : mem_array((size_t)n, sizeof *z);
    if (!st && !z)
        st = error_set(d->err, ST_NOMEM, "out of memory for a latent");
    if (!st && denoiser_inpaints(d))
        st = see_masked(d, z, job->init ? &img : NULL);
    else if (!st && job->mask)
        noise_normal(&d->noise, z, n); /* diffusers encodes the masked picture here too */
    mem_free(z);
    image_release(&img);
    return st;
}

void start_release(struct denoiser *d)
{
    mem_free(d->init);
    mem_free(d->anew);
    mem_free(d->beside);
}
