/* Options of `generate` that bend a run. */
#include "app/generate_more.h"
#include "core/progress.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

int generate_seed(struct app *a, const char *option, const char *text, uint64_t *seed)
{
    char *end;
    errno = 0;
    long long v = text ? strtoll(text, &end, 10) : -1;
    if (text && (errno || end == text || *end))
        return app_usage(a, "--%s needs a whole number, not \"%.40s\"", option, text);
    *seed = (uint64_t)v;
    uint32_t random = 0;
    if (v >= 0)
        return 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = (uint32_t)(time_now() * 1e6);
    *seed = random;
    return 0;
}

static int read_hires(struct app *a, const struct generate_more *m, struct sampler_job *job)
{
    const char *up = m->hires_upscaler;
    if (m->hires_scale == 0 && (up || m->hires_steps >= 0))
        return app_usage(a, "--hires-upscaler and --hires-steps go with --hires-scale");
    if (m->hires_steps == 0 || !(m->hires_strength > 0))
        return app_usage(a, "--hires-steps is at least 1, --hires-strength above 0");
    if (up && strcmp(up, "latent") != 0 && strcmp(up, "lanczos") != 0)
        return app_usage(a, "--hires-upscaler is latent or lanczos, not \"%.40s\"", up);
    job->hires_scale = m->hires_scale;
    job->hires_strength = m->hires_strength;
    job->hires_steps = m->hires_steps < 0 ? 0 : m->hires_steps;
    job->hires_pixels = up && !strcmp(up, "lanczos");
    return 0;
}

int generate_more_read(struct app *a, const struct generate_more *m, struct sampler_job *job)
{
    if (m->variation_seed && m->variation == 0)
        return app_usage(a, "--variation-seed goes with --variation-strength");
    if (m->circular && m->vae_tiling)
        return app_usage(a, "--vae-tiling cannot wrap round as --circular wants");
    job->variation = m->variation;
    job->circular = m->circular;
    job->vae_tile = m->vae_tiling ? GENERATE_TILE : 0;
    return read_hires(a, m, job) ||
           (m->variation != 0 &&
            generate_seed(a, "variation-seed", m->variation_seed, &job->variation_seed));
}

void generate_next_seed(struct sampler_job *job)
{
    if (job->variation > 0)
        job->variation_seed++;
    else
        job->seed++;
}

void generate_more_put(const struct sampler_job *job, struct buf *b)
{
    if (job->variation > 0)
        buf_printf(b, ", Variation seed: %" PRIu64 ", Variation seed strength: %g",
                   job->variation_seed, job->variation);
    if (job->hires_scale != 0) {
        buf_printf(b, ", Denoising strength: %g, Hires upscale: %g", job->hires_strength,
                   job->hires_scale);
        if (job->hires_steps)
            buf_printf(b, ", Hires steps: %d", job->hires_steps);
        buf_printf(b, ", Hires upscaler: %s", job->hires_pixels ? "Lanczos" : "Latent");
    }
    if (job->circular)
        buf_puts(b, ", Tiling: True");
}
