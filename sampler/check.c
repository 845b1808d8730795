/* What can be made of a job, and what it takes, before anything is begun. */
#include "sampler/sampler_int.h"

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
