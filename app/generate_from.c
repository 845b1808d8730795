/* From a picture's text to options. */
#include "app/generate_from.h"
#include "image/image.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct app *a;
    const struct generate_from *f;
    int failed;
};

static const char *get(const struct reader *r, const char *key)
{
    return parameters_get(&r->f->text, key);
}

/* Leaves *x where the text has no such key. */
static void number(struct reader *r, const char *key, double lo, double hi, double *x)
{
    const char *s = get(r, key);
    char *end;
    if (!s || r->failed)
        return;
    double v = strtod(s, &end);
    if (end == s || *end || !(v >= lo && v <= hi))
        r->failed = app_usage(r->a, "%.100s: its %s is \"%.40s\"", r->f->path, key, s);
    else
        *x = v;
}

static void whole(struct reader *r, const char *key, int hi, int *x)
{
    double v = *x;
    number(r, key, 0, hi, &v);
    *x = (int)v;
}

static void read_size(struct reader *r, struct generate_args *g)
{
    const char *s = get(r, "Size");
    char *end = NULL;
    if (!s || r->failed)
        return;
    long w = strtol(s, &end, 10), h = *end == 'x' ? strtol(end + 1, &end, 10) : 0;
    if (*end || w < 1 || h < 1 || w > SAMPLER_MAX_SIDE || h > SAMPLER_MAX_SIDE)
        r->failed = app_usage(r->a, "%.100s: its Size is \"%.40s\"", r->f->path, s);
    g->width = (int)w;
    g->height = (int)h;
}

static void read_hires(struct reader *r, struct generate_from *f, struct generate_more *m)
{
    const char *up = get(r, "Hires upscaler");
    number(r, "Hires upscale", 0, 8, &m->hires_scale);
    number(r, "Denoising strength", 0, 1, &m->hires_strength);
    if (get(r, "Hires steps"))
        whole(r, "Hires steps", SAMPLER_MAX_STEPS, &m->hires_steps);
    f->upscaler = up ? mem_strdup(up) : NULL;
    for (char *s = f->upscaler; s && *s; s++)
        *s = (char)tolower((unsigned char)*s);
    m->hires_upscaler = f->upscaler;
}

static void read_mask(struct reader *r, struct generate_picture *p)
{
    const char *content = get(r, "Masked content"), *area = get(r, "Inpaint area");
    number(r, "Denoising strength", 0, 1, &p->strength);
    number(r, "Mask blur", 0, 64, &p->blur);
    p->only_masked = area && !strcmp(area, "Only masked");
    if (p->only_masked)
        whole(r, "Masked area padding", 10000, &p->padding);
    p->outpaint = get(r, "Outpaint");
    if (content)
        p->content = !strcmp(content, "latent noise") ? "noise" : content;
}

static void fill(struct reader *r, struct generate_from *f, struct generate_args *g)
{
    const char *rng = get(r, "RNG"), *tiling = get(r, "Tiling"), *v = get(r, "Prediction");
    const char *noise = get(r, "Noise Schedule");
    g->negative = f->text.negative;
    g->seed = get(r, "Seed");
    g->sampler = get(r, "Sampler");
    g->schedule = get(r, "Schedule type");
    g->rng = rng && !strcmp(rng, "CPU") ? "cpu" : "cuda";
    g->prediction = v ? v : g->prediction;
    g->zero_snr = noise && !strcmp(noise, "Zero Terminal SNR");
    number(r, "CFG Rescale phi", 0, 1, &g->guidance_rescale);
    whole(r, "Steps", SAMPLER_MAX_STEPS, &g->steps);
    whole(r, "Clip skip", 100, &g->clip_skip);
    number(r, "CFG scale", -100, 100, &g->guidance);
    read_size(r, g);
    g->more.variation_seed = get(r, "Variation seed");
    number(r, "Variation seed strength", 0, 1, &g->more.variation);
    g->more.circular = tiling && !strcmp(tiling, "True");
    if (get(r, "Hires upscale"))
        read_hires(r, f, &g->more);
    else
        read_mask(r, &g->picture);
}

int generate_from_fill(struct app *a, void *args, void *ctx)
{
    struct generate_from *f = ctx;
    struct reader r = {a, f, 0};
    struct image_meta *meta = mem_zalloc(sizeof *meta);
    if (!meta)
        return app_no_memory(a);
    enum status st = image_probe(meta, f->path, &a->err);
    if (!st && parameters_parse(&f->text, meta->parameters, NULL))
        st = error_set(&a->err, ST_FORMAT, "%.150s carries no text of how it was made", f->path);
    mem_free(meta);
    if (st)
        return app_fail(a, APP_FILE);
    fill(&r, f, args);
    return r.failed;
}

void generate_from_release(struct generate_from *f)
{
    parameters_release(&f->text);
    mem_free(f->upscaler);
}
