/* The run: noise, guidance round the UNet, decoding. Latents are kept as torch has them, [channel,
 * row, column], since noise comes in that order; the networks get them channels last. */
#include "core/mem.h"
#include "core/progress.h"
#include "sampler/sampler_int.h"
#include <math.h>
#include <string.h>

enum { MAX_PROMPTS = 100 }; /* joined by AND */

enum status sampler_new(struct sampler **out, const struct checkpoint *c, const char *device,
                        int threads, struct error *err)
{
    *out = NULL;
    struct sampler *s = mem_zalloc(sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "out of memory for a sampler");
    s->c = c;
    enum status st = backend_open(&s->be, device ? device : "cpu", threads, err);
    if (st)
        sampler_free(s);
    else
        *out = s;
    return st;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    backend_close(s->be);
    arena_release(&s->arena);
    mem_free(s);
}

static enum status check_init(struct sampler_job *job, struct error *err)
{
    job->strength = job->has_strength ? job->strength : 0.75;
    job->has_strength = true;
    if (!(job->strength > 0 && job->strength <= 1))
        return error_set(err, ST_USAGE, "a strength of %g: above 0, at most 1", job->strength);
    if (sampler_steps(job) < 1)
        return error_set(err, ST_USAGE, "a strength of %g leaves none of %d steps", job->strength,
                         job->steps);
    if (job->mask && (job->mask->width != job->width || job->mask->height != job->height))
        return error_set(err, ST_USAGE, "a mask of %d x %d for a picture of %d x %d",
                         job->mask->width, job->mask->height, job->width, job->height);
    return ST_OK;
}

static enum status check_hires(const struct checkpoint *c, const struct sampler_job *job,
                               struct error *err)
{
    struct sampler_job first, second;
    if (!(job->hires_scale > 1 && job->hires_scale <= 8))
        return error_set(err, ST_USAGE, "a hires scale of %g: above 1, at most 8",
                         job->hires_scale);
    if (job->init || job->init_latent)
        return error_set(err, ST_USAGE, "a hires scale goes without a picture to start from");
    if (!(job->hires_strength >= 0 && job->hires_strength <= 1))
        return error_set(err, ST_USAGE, "a hires strength of %g: above 0, at most 1",
                         job->hires_strength);
    if (job->hires_steps < 0 || job->hires_steps > SAMPLER_MAX_STEPS)
        return error_set(err, ST_USAGE, "%d hires steps: from 1 to %d", job->hires_steps,
                         SAMPLER_MAX_STEPS);
    hires_jobs(c, job, &first, &second);
    if (second.width > SAMPLER_MAX_SIDE || second.height > SAMPLER_MAX_SIDE)
        return error_set(err, ST_USAGE, "%d x %d, enlarged: sides are at most %d", second.width,
                         second.height, SAMPLER_MAX_SIDE);
    if ((int)(second.steps * second.strength) < 1)
        return error_set(err, ST_USAGE, "a hires strength of %g leaves none of %d steps",
                         second.strength, second.steps);
    return ST_OK;
}

void sampler_sides(const struct checkpoint *c, const struct sampler_job *job, int *width,
                   int *height)
{
    struct sampler_job first, second = *job;
    if (job->hires_scale != 0)
        hires_jobs(c, job, &first, &second);
    *width = second.width;
    *height = second.height;
}

int sampler_steps(const struct sampler_job *job)
{
    return job->init || job->init_latent ? (int)(job->steps * job->strength) : job->steps;
}

enum status sampler_check(const struct checkpoint *c, struct sampler_job *job, struct error *err)
{
    int unit = c->vae.shrink;
    job->prompt = job->prompt ? job->prompt : "";
    job->negative = job->negative ? job->negative : "";
    job->width = job->width ? job->width : c->side;
    job->height = job->height ? job->height : c->side;
    job->steps = job->steps ? job->steps : 20;
    job->guidance = job->has_guidance ? job->guidance : c->guidance;
    job->has_guidance = true;
    job->clip_skip = job->clip_skip ? job->clip_skip : 1;
    const struct schedule *own = NULL;
    if (!job->solver && !job->schedule)
        job->schedule = c->schedule;
    if (!job->solver)
        job->solver = c->solver ? c->solver : solver_find("Euler a", &own);
    const char *schedule = c->trailing ? "trailing" : "normal";
    if (!job->schedule)
        job->schedule = schedule_find(job->solver->schedule ? job->solver->schedule : schedule);
    if (job->width < unit || job->width > SAMPLER_MAX_SIDE || job->width % unit ||
        job->height < unit || job->height > SAMPLER_MAX_SIDE || job->height % unit)
        return error_set(err, ST_USAGE, "%d x %d: sides must be multiples of %d, at most %d",
                         job->width, job->height, unit, SAMPLER_MAX_SIDE);
    if (job->steps < 1 || job->steps > SAMPLER_MAX_STEPS)
        return error_set(err, ST_USAGE, "%d steps: from 1 to %d", job->steps, SAMPLER_MAX_STEPS);
    if (!(job->guidance >= -100 && job->guidance <= 100))
        return error_set(err, ST_USAGE, "a guidance of %g: from -100 to 100", job->guidance);
    if (!(job->guidance_rescale >= 0 && job->guidance_rescale <= 1))
        return error_set(err, ST_USAGE, "a guidance rescale of %g: from 0 to 1",
                         job->guidance_rescale);
    if (job->clip_skip > 1 && c->tower)
        return error_set(err, ST_USAGE, "a clip skip of %d: %s attends to the last states alone",
                         job->clip_skip, c->name);
    if (job->clip_skip < 1 || job->clip_skip > c->text.v.t.layers)
        return error_set(err, ST_USAGE, "a clip skip of %d: the text tower has %d layers",
                         job->clip_skip, c->text.v.t.layers);
    if (!(job->variation >= 0 && job->variation <= 1))
        return error_set(err, ST_USAGE, "a variation strength of %g: from 0 to 1", job->variation);
    if (job->vae_tile < 0 || job->vae_tile % 4 || (job->vae_tile && job->circular))
        return error_set(err, ST_USAGE,
                         "tiles of %d cells: a multiple of 4, and of no picture that "
                         "wraps round",
                         job->vae_tile);
    if (job->mask && !job->init)
        return error_set(err, ST_USAGE, "a mask needs a picture that it lies on");
    bool encodes = job->init || job->hires_pixels || c->unet.in > c->unet.out;
    if (encodes && !c->vae.encoder.there)
        return error_set(err, ST_FORMAT,
                         "%s: lacks the autoencoder's encoder, without which no picture can be "
                         "started from",
                         c->name);
    if (job->hires_scale != 0)
        return check_hires(c, job, err);
    return job->init || job->init_latent ? check_init(job, err) : ST_OK;
}

/* The decoder's two pictures and what a residual block takes beside them are by far the most. */
static uint64_t decode_memory(const struct checkpoint *c, int width, int height)
{
    const struct net_vae_half *d = &c->vae.decoder;
    uint64_t widest = 1, pixels = (uint64_t)width * (uint64_t)height;
    if (c->vae.tiny_decoder)
        return 3 * sizeof(float) * (uint64_t)c->vae.tiny_decoder->width * pixels;
    for (int i = 0; i < c->vae.levels; i++) {
        const struct net_vae_level *y = &d->level[i];
        int behind = c->vae.levels - 1 - i; /* this level's pixels are 4^behind times fewer */
        uint64_t in = (uint64_t)y->block[0].in, out = (uint64_t)y->block[y->blocks - 1].out;
        uint64_t here = (in > out ? in : out) >> (2 * behind);
        uint64_t after = y->resample.w.data ? out >> (2 * behind - 2) : 0;
        widest = here > widest ? here : widest;
        widest = after > widest ? after : widest;
    }
    return 4 * sizeof(float) * widest * pixels;
}

uint64_t sampler_memory(const struct checkpoint *c, const struct sampler_job *job)
{
    int width, height, tile = job->vae_tile * c->vae.shrink;
    sampler_sides(c, job, &width, &height);
    width = tile && width > tile ? tile : width;
    height = tile && height > tile ? tile : height;
    return decode_memory(c, width, height);
}

/* The pool skips the rest of its loops once the user said stop: what came out is not to be used. */
enum status denoiser_check_stop(const struct denoiser *d)
{
    return d->job->stop && *d->job->stop ? error_set(d->err, ST_INTERRUPTED, "interrupted") : ST_OK;
}

/* Called by the networks behind each block. */
static void look_at_stop(void *ctx, const char *name, const struct tensor *t)
{
    (void)name;
    (void)t;
    struct denoiser *d = ctx;
    if (!d->run.status)
        d->run.status = denoiser_check_stop(d);
}

void denoiser_begin(struct denoiser *d, const char *tower)
{
    arena_rewind(&d->s->arena, 0);
    d->run = (struct clip_run){.be = d->s->be,
                               .arena = &d->s->arena,
                               .circular = d->job->circular,
                               .trace = look_at_stop,
                               .trace_ctx = d,
                               .tower = tower,
                               .err = d->err};
}

/* Channels last, of `width` that y has. */
static void to_last(float *y, const float *x, int64_t channels, int64_t pixels, int64_t width,
                    float scale)
{
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < pixels; i++)
            y[i * width + c] = x[c * pixels + i] * scale;
}

/* A prompt of the moment, and how long it is to be: those joined by AND are made equally long by
 * repeating each one's last state. */
struct asked {
    const struct cond_text *text;
    int tokens;
};

static void fill_context(float *y, const struct asked *a, int64_t width)
{
    for (int k = 0; k < a->tokens; k++, y += width) {
        int from = k < a->text->tokens ? k : a->text->tokens - 1;
        memcpy(y, a->text->states + from * width, (size_t)width * sizeof *y);
    }
}

/* Karras et al.'s preconditioning: the estimate is keep * x + take * the network's answer. Of noise
 * x - sigma * eps; of v x / (sigma^2 + 1) - v * sigma / sqrt(sigma^2 + 1). */
static void precondition(const struct checkpoint *c, double sigma, double *keep, double *take)
{
    double square = sigma * sigma + 1;
    bool v = c->prediction == PREDICT_V;
    *keep = v ? 1 / square : 1;
    *take = v ? -sigma / sqrt(square) : -sigma;
}

/* The UNet's word on x, for count prompts at once, as estimates of the picture. */
static enum status ask(struct denoiser *d, float *y, const float *x, float sigma,
                       const struct asked *t, int count)
{
    const struct checkpoint *c = d->s->c;
    int64_t pixels = d->h * d->w, n = d->channels * pixels, width = c->unet.context;
    int64_t wide = c->unet.in, more = wide - d->channels;
    float times[2];
    int32_t keys[2];
    double scale = 1 / sqrt((double)sigma * sigma + 1), keep, take;
    precondition(c, (double)sigma, &keep, &take);
    for (int i = 0; i < count; i++)
        times[i] = (float)sigma_to_time(&c->sigmas, (double)sigma);
    denoiser_begin(d, "unet");
    struct tensor in = clip_run_tensor(&d->run, 4, (int64_t[]){count, d->h, d->w, wide});
    struct tensor out = clip_run_tensor(&d->run, 4, (int64_t[]){count, d->h, d->w, d->channels});
    struct tensor context = clip_run_tensor(&d->run, 3, (int64_t[]){count, t[0].tokens, width});
    if (d->run.status)
        return d->run.status;
    for (int i = 0; i < count; i++) {
        float *own = (float *)in.data + i * pixels * wide;
        to_last(own, x, d->channels, pixels, wide, (float)scale);
        for (int64_t k = 0; k < pixels && more > 0; k++)
            memcpy(own + k * wide + d->channels, d->beside + k * more, (size_t)more * sizeof *own);
        fill_context((float *)context.data + i * t[0].tokens * width, &t[i], width);
        keys[i] = t[i].text->tokens;
    }
    enum status st =
        net_unet_run(&d->run, &c->unet, &out, &in, times, &context, c->tower ? keys : NULL);
    if (!st)
        st = backend_sync(d->s->be, d->err);
    if (!st)
        st = denoiser_check_stop(d);
    const float *eps = out.data;
    for (int i = 0; i < count && !st; i++)
        for (int64_t k = 0; k < n; k++) {
            float e = eps[i * n + k % pixels * d->channels + k / pixels];
            y[i * n + k] = (float)(x[k] * keep + e * take);
        }
    return st;
}

/* Two prompts at a time where they are equally long: a step's weights are then packed once. */
static enum status ask_all(struct denoiser *d, const float *x, float sigma, const struct asked *t,
                           int count)
{
    int64_t n = d->channels * d->h * d->w;
    enum status st = ST_OK;
    for (int i = 0, pair; i < count && !st; i += pair) {
        pair = i + 1 < count && t[i].tokens == t[i + 1].tokens ? 2 : 1;
        st = ask(d, d->results + i * n, x, sigma, t + i, pair);
    }
    return st;
}

/* Deviation of a network's answer, but for a factor, from an estimate. */
static double spread(const float *estimate, const float *x, double keep, int64_t n)
{
    double sum = 0, squares = 0;
    for (int64_t k = 0; k < n; k++) {
        double v = (double)estimate[k] - keep * (double)x[k];
        sum += v;
        squares += v * v;
    }
    return sqrt(fmax(squares / (double)n - sum / (double)n * (sum / (double)n), 0));
}

/* As far as job says, the answer gets the deviation that the first prompt's has alone. */
static void rescale_guidance(const struct denoiser *d, float *denoised, const float *x, float sigma)
{
    int64_t n = d->channels * d->h * d->w;
    double keep, take, share = d->job->guidance_rescale;
    precondition(d->s->c, (double)sigma, &keep, &take);
    double is = spread(denoised, x, keep, n), wanted = spread(d->results, x, keep, n);
    double factor = is > 0 ? share * wanted / is + 1 - share : 1;
    for (int64_t k = 0; k < n; k++) {
        double kept = keep * (double)x[k];
        denoised[k] = (float)(kept + factor * ((double)denoised[k] - kept));
    }
}

static enum status guide(struct denoiser *d, float *denoised, int prompts, bool both, float sigma)
{
    int64_t n = d->channels * d->h * d->w;
    const float *bad = d->results + prompts * n;
    for (int64_t k = 0; k < n; k++) {
        double sum = both ? (double)bad[k] : 0;
        for (int i = 0; i < prompts; i++) {
            double own = (double)d->results[i * n + k];
            if (both)
                sum += (own - (double)bad[k]) * d->good.part[i].weight * d->job->guidance;
            else
                sum += own;
        }
        denoised[k] = (float)sum;
        if (!isfinite(denoised[k]))
            return error_set(d->err, ST_FORMAT,
                             "%s: the unet gives no number at call %d (noise level %g)",
                             d->s->c->name, d->call + 1, (double)sigma);
    }
    return ST_OK;
}

/* Inpainting with a UNet that knows nothing of it: what is to be kept is the estimate there, so
 * that any solver moves along picture + sigma * noise; with Euler these are diffusers' steps. */
static void keep_init(const struct denoiser *d, float *denoised)
{
    int64_t pixels = d->h * d->w;
    for (int64_t i = 0; i < d->channels * pixels && d->anew && !denoiser_inpaints(d); i++)
        if (!d->anew[i % pixels])
            denoised[i] = d->init[i];
}

/* x as the first call sees it at a strength of 1, where diffusers starts from noise alone: y or x.
 */
static const float *hide_init(const struct denoiser *d, float *y, const float *x)
{
    int64_t pixels = d->h * d->w;
    if (d->call > 0 || !d->from_noise || !d->init)
        return x;
    for (int64_t i = 0; i < d->channels * pixels; i++)
        y[i] = x[i] - (d->anew[i % pixels] ? 0 : d->init[i]);
    return y;
}

static enum status denoise(void *ctx, float *denoised, const float *x, float sigma,
                           struct error *err)
{
    struct denoiser *d = ctx;
    struct asked t[MAX_PROMPTS + 1];
    double since = time_now();
    int prompts = d->good.n;
    /* one prompt at full strength and a guidance of 1: the negative would be cancelled */
    bool both = d->job->guidance != 1 || prompts > 1 || d->good.part[0].weight != 1;
    int longest = 0;
    d->err = err;
    for (int i = 0; i < prompts; i++) {
        t[i].text = cond_at(&d->good.part[i], d->call);
        longest = t[i].text->tokens > longest ? t[i].text->tokens : longest;
    }
    t[prompts].text = cond_at(&d->bad.part[0], d->call);
    t[prompts].tokens = t[prompts].text->tokens;
    bool masked = d->s->c->tower != NULL; /* what makes a prompt longer is then not looked at */
    if (masked && t[prompts].tokens > longest)
        longest = t[prompts].tokens;
    for (int i = 0; i < prompts + masked; i++)
        t[i].tokens = longest;
    const float *seen = hide_init(d, d->results + (prompts + 1) * (d->channels * d->h * d->w), x);
    enum status st = ask_all(d, seen, sigma, t, prompts + both);
    if (!st)
        st = guide(d, denoised, prompts, both, sigma);
    if (!st && both && d->job->guidance_rescale > 0)
        rescale_guidance(d, denoised, seen, sigma);
    if (!st)
        keep_init(d, denoised);
    d->call++;
    int calls = sampler_steps(d->job) * d->job->solver->evaluations;
    struct sampler_progress p = {d->call, calls > d->call ? calls : d->call, time_now() - since};
    if (!st && d->job->progress)
        d->job->progress(d->job->progress_ctx, &p);
    return st;
}

static enum status prepare(struct denoiser *d)
{
    const struct sampler_job *job = d->job;
    int calls = sampler_steps(job) * (job->solver->evaluations > 1 ? 2 : 1);
    struct cond_source src = {
        .c = d->s->c, .clip_skip = job->clip_skip, .embeddings = job->embeddings};
    denoiser_begin(d, "text");
    src.run = d->run;
    src.run.trace = NULL;
    enum status st = cond_build(&d->good, &src, job->prompt, calls, true, d->err);
    if (!st)
        st = cond_build(&d->bad, &src, job->negative, calls, false, d->err);
    if (!st && d->good.n > MAX_PROMPTS)
        st = error_set(d->err, ST_LIMIT, "more than %d prompts joined by AND", MAX_PROMPTS);
    if (st)
        return st;
    size_t n = (size_t)(d->channels * d->h * d->w);
    d->results = mem_array((size_t)d->good.n + 2, n * sizeof(float));
    return d->results ? ST_OK : error_set(d->err, ST_NOMEM, "out of memory for latents");
}

static enum status solve(struct denoiser *d, float *x)
{
    const struct sampler_job *job = d->job;
    int steps = sampler_steps(job), first = job->steps - steps;
    float *sigmas = mem_array((size_t)job->steps + 1, sizeof *sigmas);
    if (!sigmas)
        return error_set(d->err, ST_NOMEM, "out of memory for %d steps", job->steps);
    schedule_fill(job->schedule, &d->s->c->sigmas, job->steps,
                  &(struct schedule_opts){.discard_penultimate = job->solver->discard_penultimate},
                  sigmas);
    enum status st = start_latent(d, x, sigmas[first]);
    struct solver_job sj = {.model = {denoise, d},
                            .n = d->channels * d->h * d->w,
                            .sigmas = sigmas + first,
                            .steps = steps,
                            .noise = &d->noise,
                            .opts = job->solver_opts};
    if (!st)
        st = solver_sample(job->solver, &sj, x, d->err);
    if (!st)
        keep_init(d, x);
    mem_free(sigmas);
    return st;
}

enum status sampler_latent(struct sampler *s, const struct sampler_job *job, float *x,
                           struct image *out, struct error *err)
{
    struct denoiser d = {.s = s,
                         .job = job,
                         .h = job->height / s->c->vae.shrink,
                         .w = job->width / s->c->vae.shrink,
                         .channels = s->c->unet.out,
                         .err = err};
    noise_init(&d.noise, job->rng, job->seed);
    pool_stop_when(backend_pool(s->be), job->stop);
    enum status st = prepare(&d);
    if (!st)
        st = solve(&d, x);
    d.err = err;
    if (!st && out)
        st = decode_latent(&d, x, out);
    pool_stop_when(backend_pool(s->be), NULL);
    arena_rewind(&s->arena, 0);
    cond_release(&d.good);
    cond_release(&d.bad);
    noise_release(&d.noise);
    start_release(&d);
    mem_free(d.results);
    return st;
}

enum status sampler_run(struct sampler *s, const struct sampler_job *wanted, struct image *out,
                        struct error *err)
{
    struct sampler_job job = *wanted;
    enum status st = sampler_check(s->c, &job, err);
    if (st || job.hires_scale != 0)
        return st ? st : hires_run(s, &job, out, err);
    int64_t cells = (int64_t)(job.height / s->c->vae.shrink) * (job.width / s->c->vae.shrink);
    size_t n = (size_t)(s->c->unet.out * cells);
    float *x = mem_array(n, sizeof *x);
    st = x ? sampler_latent(s, &job, x, out, err)
           : error_set(err, ST_NOMEM, "out of memory for a latent");
    if (!st && job.latent)
        memcpy(job.latent, x, n * sizeof *x);
    mem_free(x);
    return st;
}
