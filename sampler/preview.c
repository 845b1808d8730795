/* What a latent looks like before it is finished. */
#include "core/mem.h"
#include "sampler/sampler_int.h"
#include <math.h>

/* A cell's colours, from -1 to 1, as a sum over the four channels of Stable Diffusion 1's latents;
 * fitted to its decoder by Keturn (2022, "Decoding latents to RGB without upscaling"). */
static const float factors[4][3] = {{0.298f, 0.207f, 0.208f},
                                    {0.187f, 0.286f, 0.173f},
                                    {-0.158f, 0.189f, 0.264f},
                                    {-0.184f, -0.271f, -0.473f}};

bool sampler_can_preview(const struct checkpoint *c)
{
    return c->vae.tiny_decoder || c->unet.out == 4;
}

static enum status by_factors(struct image *out, const struct sampler_progress *p,
                              struct error *err)
{
    int64_t cells = (int64_t)p->width * p->height;
    enum status st = image_alloc(out, p->width, p->height, err);
    for (int64_t i = 0; i < cells && !st; i++)
        for (int c = 0; c < 3; c++) {
            float v = 0;
            for (int k = 0; k < 4; k++)
                v += p->estimate[k * cells + i] * factors[k][c];
            out->data[3 * i + c] = (uint8_t)rintf(fminf(fmaxf(v / 2 + 0.5f, 0), 1) * 255);
        }
    return st;
}

enum status sampler_preview(struct sampler *s, const struct sampler_job *job,
                            const struct sampler_progress *p, struct image *out, struct error *err)
{
    if (!s->c->vae.tiny_decoder && s->c->unet.out != 4)
        return error_set(err, ST_UNSUPPORTED,
                         "%s: no preview of %d latent channels without a tiny autoencoder "
                         "(--taesd)",
                         s->c->name, s->c->unet.out);
    if (!s->c->vae.tiny_decoder)
        return by_factors(out, p, err);
    struct sampler_job whole = {.width = p->width * s->c->vae.shrink,
                                .height = p->height * s->c->vae.shrink,
                                .circular = job->circular,
                                .stop = job->stop};
    struct denoiser d = {.s = s,
                         .job = &whole,
                         .h = p->height,
                         .w = p->width,
                         .channels = s->c->unet.out,
                         .err = err};
    return decode_latent(&d, p->estimate, out);
}
