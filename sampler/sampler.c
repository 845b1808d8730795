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
    s->threads = threads;
    snprintf(s->device, sizeof s->device, "%s", device ? device : "cpu");
    enum status st = backend_open(&s->be, s->device, threads, err);
    if (!st)
        s->arena.memory = backend_memory(s->be);
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
    arena_release(&s->arena);
    arena_release(&s->exact_arena);
    backend_close(s->be);
    backend_close(s->exact);
    mem_free(s);
}

/* The pool skips the rest of its loops once the user said stop: what came out is not to be used. */
enum status denoiser_check_stop(const struct denoiser *d)
{
    return d->job->stop && *d->job->stop ? error_set(d->err, ST_INTERRUPTED, "interrupted") : ST_OK;
}

/* Called by the networks behind each block. */
static void look_at_stop(void *ctx)
{
    struct denoiser *d = ctx;
    if (!d->run.status)
        d->run.status = denoiser_check_stop(d);
}

static const char *part_name(enum sampler_part part)
{
    return part == PART_TEXT      ? "text"
           : part == PART_UNET    ? "unet"
           : part == PART_DECODER ? "decoder"
                                  : "encoder";
}

void sampler_redone(const struct sampler *s, char text[64])
{
    text[0] = 0;
    for (unsigned part = PART_TEXT; part <= PART_ENCODER; part *= 2)
        if (s->redone & part)
            snprintf(text + strlen(text), 64 - strlen(text), "%s%s", *text ? ", " : "",
                     part_name(part));
}

bool denoiser_again(struct denoiser *d, enum sampler_part part, const float *x, int64_t n,
                    enum status *st)
{
    struct sampler *s = d->s;
    char *slash = strchr(s->device, '/'), exact[64];
    bool numbers = true;
    if (*st || !slash || !strcmp(slash, "/f32") || s->redone & part)
        return false;
    for (int64_t i = 0; i < n && numbers; i++)
        numbers = isfinite(x[i]);
    if (numbers)
        return false;
    snprintf(exact, sizeof exact, "%.*s", (int)(slash - s->device), s->device);
    if (!s->exact)
        *st = backend_open(&s->exact, exact, s->threads, d->err);
    if (*st)
        return false;
    s->exact_arena.memory = backend_memory(s->exact);
    pool_stop_when(backend_pool(s->exact), d->job->stop);
    s->redone |= part;
    return true;
}

void denoiser_begin(struct denoiser *d, enum sampler_part part)
{
    bool again = d->s->redone & part;
    struct arena *arena = again && d->s->exact_arena.memory ? &d->s->exact_arena : &d->s->arena;
    arena_rewind(arena, 0);
    d->run = (struct clip_run){.be = again ? d->s->exact : d->s->be,
                               .arena = arena,
                               .circular = d->job->circular,
                               .passed = look_at_stop,
                               .passed_ctx = d,
                               .tower = part_name(part),
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

/* One run of the UNet, whose ops depend on shapes and on how many tokens count. */
struct unet_pass {
    struct denoiser *d;
    struct tensor in, out, times, context;
    int32_t keys[2];
};

static enum status unet_ops(void *ctx)
{
    struct unet_pass *p = ctx;
    const struct checkpoint *c = p->d->s->c;
    return net_unet_step(&p->d->run, &c->unet, &p->out, &p->in, &p->times, &p->context,
                         c->tower ? p->keys : NULL);
}

static enum status take_pass(struct unet_pass *p, struct denoiser *d, const struct asked *t,
                             int count)
{
    const struct net_unet *u = &d->s->c->unet;
    denoiser_begin(d, PART_UNET);
    p->d = d;
    p->in = clip_run_tensor(&d->run, 4, (int64_t[]){count, d->h, d->w, u->in});
    p->out = clip_run_tensor(&d->run, 4, (int64_t[]){count, d->h, d->w, d->channels});
    p->times = clip_run_tensor(&d->run, 2, (int64_t[]){count, u->width});
    p->context = clip_run_tensor(&d->run, 3, (int64_t[]){count, t[0].tokens, u->context});
    return d->run.status;
}

/* The UNet's word on x, for count prompts at once: *out, from the arena. */
static enum status run_unet(struct denoiser *d, struct tensor *out, const float *x, float sigma,
                            const struct asked *t, int count)
{
    const struct checkpoint *c = d->s->c;
    int64_t pixels = d->h * d->w, width = c->unet.context;
    int64_t wide = c->unet.in, more = wide - d->channels;
    float times[2], scale = (float)(1 / sqrt((double)sigma * sigma + 1));
    struct unet_pass p = {.keys = {0, 0}};
    char key[64];
    enum status st = take_pass(&p, d, t, count);
    if (st)
        return st;
    for (int i = 0; i < count; i++) {
        float *own = (float *)p.in.data + i * pixels * wide;
        to_last(own, x, d->channels, pixels, wide, scale);
        for (int64_t k = 0; k < pixels && more > 0; k++)
            memcpy(own + k * wide + d->channels, d->beside + k * more, (size_t)more * sizeof *own);
        fill_context((float *)p.context.data + i * t[0].tokens * width, &t[i], width);
        times[i] = (float)sigma_to_time(&c->sigmas, (double)sigma);
        p.keys[i] = t[i].text->tokens;
    }
    net_unet_embed(&c->unet, &p.times, times);
    const struct tensor *all[] = {&p.in, &p.times, &p.context};
    for (int i = 0; i < 3; i++)
        backend_upload(d->run.be, all[i]);
    snprintf(key, sizeof key, "unet %d %lld %lld %d %d %d %d", count, (long long)d->h,
             (long long)d->w, t[0].tokens, (int)p.keys[0], (int)p.keys[1], d->job->circular);
    st = backend_repeat(d->run.be, d->run.arena, key, unet_ops, &p);
    backend_download(d->run.be, &p.out);
    if (!st)
        st = backend_sync(d->run.be, d->err);
    *out = p.out;
    return st ? st : denoiser_check_stop(d);
}

/* The same as estimates of the picture: y [count, channels * h * w]. */
static enum status ask(struct denoiser *d, float *y, const float *x, float sigma,
                       const struct asked *t, int count)
{
    int64_t pixels = d->h * d->w, n = d->channels * pixels;
    double keep, take;
    struct tensor out = {0};
    enum status st;
    precondition(d->s->c, (double)sigma, &keep, &take);
    do
        st = run_unet(d, &out, x, sigma, t, count);
    while (denoiser_again(d, PART_UNET, out.data, count * n, &st));
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
        pair = i + 1 < count && !d->alone && t[i].tokens == t[i + 1].tokens ? 2 : 1;
        st = ask(d, d->results + i * n, x, sigma, t + i, pair);
        if (st != ST_NOMEM || pair == 1 || !backend_memory(d->run.be))
            continue;
        d->alone = true; /* a device without room for two */
        backend_sync(d->run.be, NULL);
        arena_release(d->run.arena);
        d->run.arena->peak = 0;
        pair = 0;
        st = ST_OK;
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
    struct sampler_progress p = {.call = d->call,
                                 .calls = calls > d->call ? calls : d->call,
                                 .seconds = time_now() - since,
                                 .estimate = denoised,
                                 .width = (int)d->w,
                                 .height = (int)d->h};
    if (!st && d->job->progress)
        d->job->progress(d->job->progress_ctx, &p);
    return st;
}

static enum status build_texts(struct denoiser *d)
{
    const struct sampler_job *job = d->job;
    int calls = sampler_steps(job) * (job->solver->evaluations > 1 ? 2 : 1);
    struct cond_source src = {
        .c = d->s->c, .clip_skip = job->clip_skip, .embeddings = job->embeddings};
    denoiser_begin(d, PART_TEXT);
    src.run = d->run;
    src.run.passed = NULL;
    enum status st = cond_build(&d->good, &src, job->prompt, calls, true, d->err);
    return st ? st : cond_build(&d->bad, &src, job->negative, calls, false, d->err);
}

/* Are the states of all texts to be computed again? */
static bool texts_again(struct denoiser *d, enum status *st)
{
    const struct cond *const both[] = {&d->good, &d->bad};
    int64_t width = d->s->c->text.v.t.width;
    bool again = false;
    for (int k = 0; k < 2 && !*st; k++)
        for (int i = 0; i < both[k]->n; i++)
            for (int t = 0; t < both[k]->part[i].n && !again; t++) {
                const struct cond_text *text = &both[k]->part[i].text[t];
                again = denoiser_again(d, PART_TEXT, text->states, text->tokens * width, st);
            }
    if (again) {
        cond_release(&d->good);
        cond_release(&d->bad);
    }
    return again;
}

static enum status prepare(struct denoiser *d)
{
    enum status st;
    do
        st = build_texts(d);
    while (texts_again(d, &st));
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
    if (s->exact)
        pool_stop_when(backend_pool(s->exact), job->stop);
    enum status st = prepare(&d);
    if (!st)
        st = solve(&d, x);
    d.err = err;
    if (!st && out)
        st = decode_latent(&d, x, out);
    pool_stop_when(backend_pool(s->be), NULL);
    if (s->exact)
        pool_stop_when(backend_pool(s->exact), NULL);
    arena_rewind(&s->arena, 0);
    arena_rewind(&s->exact_arena, 0);
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
