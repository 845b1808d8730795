/* "Hires fix": a picture of the size that the network knows, enlarged, and its noise taken away
 * once more. The latent is enlarged as AUTOMATIC1111's "Latent" does (torch's bilinear
 * interpolation), pixels by Pillow's Lanczos filter; the second pass draws its noise anew from the
 * same seed. */
#include "core/mem.h"
#include "sampler/sampler_int.h"
#include <math.h>

/* y [channels, h2, w2] from x [channels, h, w]: torch's interpolate, bilinear, corners not aligned.
 */
static void enlarge(float *y, int64_t h2, int64_t w2, const float *x, int64_t h, int64_t w,
                    int64_t channels)
{
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < h2; i++) {
            double sy = fmax(((double)i + 0.5) * (double)h / (double)h2 - 0.5, 0);
            int64_t y0 = (int64_t)sy, y1 = y0 + (y0 < h - 1);
            for (int64_t k = 0; k < w2; k++) {
                double sx = fmax(((double)k + 0.5) * (double)w / (double)w2 - 0.5, 0);
                int64_t x0 = (int64_t)sx, x1 = x0 + (x0 < w - 1);
                const float *p = x + c * h * w;
                double fy = sy - (double)y0, fx = sx - (double)x0;
                double top = p[y0 * w + x0] * (1 - fx) + p[y0 * w + x1] * fx;
                double low = p[y1 * w + x0] * (1 - fx) + p[y1 * w + x1] * fx;
                y[(c * h2 + i) * w2 + k] = (float)(top * (1 - fy) + low * fy);
            }
        }
}

/* One progress over both passes. */
struct relay {
    const struct sampler_job *job;
    int before, after;
};

static void on_progress(void *ctx, const struct sampler_progress *p)
{
    const struct relay *r = ctx;
    struct sampler_progress q = *p;
    q.call += r->before;
    q.calls += r->before + r->after;
    r->job->progress(r->job->progress_ctx, &q);
}

static void relay_through(struct relay *r, struct sampler_job *job)
{
    job->progress = r->job->progress ? on_progress : NULL;
    job->progress_ctx = r;
}

void hires_jobs(const struct checkpoint *c, const struct sampler_job *job,
                struct sampler_job *first, struct sampler_job *second)
{
    int unit = c->vae.shrink;
    *first = *job;
    first->hires_scale = 0;
    first->latent = NULL;
    *second = *first;
    second->latent = job->latent;
    second->width = (int)(job->width * job->hires_scale) / unit * unit;
    second->height = (int)(job->height * job->hires_scale) / unit * unit;
    second->steps = job->hires_steps ? job->hires_steps : job->steps;
    second->has_strength = true;
    second->strength = job->hires_strength > 0 ? job->hires_strength : 0.7;
}

enum status hires_run(struct sampler *s, const struct sampler_job *job, struct image *out,
                      struct error *err)
{
    struct sampler_job first, second;
    struct image img = {0};
    int64_t unit = s->c->vae.shrink, channels = s->c->unet.out;
    hires_jobs(s->c, job, &first, &second);
    int64_t h = first.height / unit, w = first.width / unit;
    int64_t h2 = second.height / unit, w2 = second.width / unit;
    float *x = mem_array((size_t)(channels * h * w), sizeof *x);
    float *x2 = mem_array((size_t)(channels * h2 * w2), sizeof *x2);
    second.init_latent = x2; /* sampler_steps counts by it */
    struct relay one = {.job = job, .after = sampler_steps(&second) * job->solver->evaluations};
    struct relay two = {.job = job, .before = first.steps * job->solver->evaluations};
    relay_through(&one, &first);
    relay_through(&two, &second);
    enum status st = x && x2 ? sampler_latent(s, &first, x, job->hires_pixels ? &img : NULL, err)
                             : error_set(err, ST_NOMEM, "out of memory for latents");
    if (!st && job->hires_pixels) {
        second.init = &img;
        second.init_latent = NULL;
    } else if (!st) {
        enlarge(x2, h2, w2, x, h, w, channels);
    }
    if (!st)
        st = sampler_run(s, &second, out, err);
    image_release(&img);
    mem_free(x);
    mem_free(x2);
    return st;
}
