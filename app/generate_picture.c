/* Pictures that `generate` starts from: read, cut to what is to be made, and put together again. */
#include "app/generate_picture.h"
#include "image/parameters.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The whole picture, decoded in a process of its own. */
static enum status load(struct image *img, const char *path, struct error *err)
{
    struct decoder *d = NULL;
    struct decoder_job job = {0};
    struct decoder_opts o = {.workers = 1, .slots = 1};
    char *real = app_user_path(path);
    enum status st = real ? decoder_open(&d, &o, err) : error_set(err, ST_NOMEM, "out of memory");
    if (!st)
        st = decoder_submit(d, 0, real, err);
    if (!st)
        st = decoder_next(d, &job, -1, err);
    if (!st && job.status)
        st = error_set(err, job.status, "%s", job.text);
    if (!st)
        st = image_alloc(img, job.width, job.height, err);
    if (!st)
        memcpy(img->data, job.pixels, (size_t)img->width * (size_t)img->height * 3);
    if (job.status || job.pixels)
        decoder_done(d, &job);
    decoder_close(d);
    mem_free(real);
    return st;
}

static int side(double pixels, int unit)
{
    double units = round(pixels / unit);
    return units < 1 ? unit : units > SAMPLER_MAX_SIDE ? SAMPLER_MAX_SIDE : (int)units * unit;
}

void generate_picture_sides(struct sampler_job *job, int width, int height, int unit)
{
    int longest = width > height ? width : height;
    double scale = longest > GENERATE_LONGEST ? (double)GENERATE_LONGEST / longest : 1;
    if (job->width)
        scale = (double)job->width / width;
    else if (job->height)
        scale = (double)job->height / height;
    job->width = job->width ? job->width : side(width * scale, unit);
    job->height = job->height ? job->height : side(height * scale, unit);
}

/* *img becomes its box, resized; a box that is all of it in that size is a copy. */
static enum status cut(struct image *out, const struct image *img, const struct repaint_box *box,
                       int width, int height, struct error *err)
{
    struct image part = {0};
    enum status st = image_crop(&part, img, box->x, box->y, box->width, box->height, err);
    if (!st)
        st = image_resize(out, width, height, &part, NULL, IMAGE_LANCZOS, err);
    image_release(&part);
    return st;
}

static enum status fit_whole(struct generate_picture *p, int width, int height, struct error *err)
{
    struct image read = p->whole;
    p->whole = (struct image){0};
    enum status st = image_resize(&p->whole, width, height, &read, NULL, IMAGE_LANCZOS, err);
    image_release(&read);
    return st;
}

/* The mask as it was drawn, all black where there is none, as large as the picture. */
static enum status read_mask(const struct generate_picture *p, struct image *mask,
                             struct error *err)
{
    struct image read = {0};
    enum status st;
    if (!p->mask_path) {
        st = image_alloc(mask, p->whole.width, p->whole.height, err);
        if (!st)
            memset(mask->data, 0, (size_t)mask->width * (size_t)mask->height * 3);
        return st;
    }
    st = load(&read, p->mask_path, err);
    if (!st)
        st = repaint_mask(mask, &read, p->whole.width, p->whole.height, err);
    image_release(&read);
    return st;
}

/* The mask to paste with, and the part of both that the sampler gets. */
static enum status open_mask(struct generate_picture *p, const struct sampler_job *job,
                             struct error *err)
{
    struct image sharp = {0};
    enum status st = read_mask(p, &sharp, err);
    if (!st && p->outpaint)
        st = repaint_widen(&p->whole, &sharp, &p->more, err);
    if (!st)
        st = image_crop(&p->mask, &sharp, 0, 0, sharp.width, sharp.height, err);
    if (!st)
        st = repaint_blur(&p->mask, p->blur, err);
    p->box = (struct repaint_box){0, 0, p->whole.width, p->whole.height};
    if (!st && p->only_masked)
        repaint_region(&p->box, &p->mask, job->width, job->height, p->padding);
    if (!st) /* sharp, so that a blur wider than what is white does not lose it */
        st = cut(&p->work_mask, &sharp, &p->box, job->width, job->height, err);
    image_release(&sharp);
    return st;
}

static int read_outpaint(struct app *a, struct generate_picture *p)
{
    struct repaint_sides *m = &p->more;
    int *const to[] = {&m->left, &m->right, &m->top, &m->bottom};
    const char *s = p->outpaint;
    bool fine = true;
    if (!s)
        return 0;
    for (int i = 0; i < 4 && fine; i++) {
        size_t digits = strspn(s, "0123456789");
        fine = digits >= 1 && digits <= 4 && s[digits] == (i < 3 ? ',' : '\0');
        *to[i] = fine ? (int)strtol(s, NULL, 10) : 0;
        s += digits + 1;
    }
    if (!fine)
        return app_usage(a, "--outpaint is left,right,top,bottom in pixels, not \"%.40s\"",
                         p->outpaint);
    if (p->only_masked)
        return app_usage(a, "--outpaint makes the whole picture and goes without --only-masked");
    if (m->left + m->right + m->top + m->bottom == 0)
        return app_usage(a, "--outpaint widens by nothing");
    return 0;
}

static int check_words(struct app *a, struct generate_picture *p, struct sampler_job *job)
{
    bool mask_words = p->content || p->blur != GENERATE_UNSAID || p->padding >= 0 || p->only_masked;
    if (!p->init_path && (p->strength != GENERATE_UNSAID || p->mask_path || p->outpaint))
        return app_usage(a, "%s goes with --init-image",
                         p->mask_path  ? "--mask"
                         : p->outpaint ? "--outpaint"
                                       : "--strength");
    if (!p->mask_path && !p->outpaint && mask_words)
        return app_usage(a, "--mask-blur, --mask-content, --mask-padding and --only-masked go with "
                            "--mask or --outpaint");
    p->blur = p->blur == GENERATE_UNSAID ? 4 : p->blur;
    if (!(p->blur >= 0 && p->blur <= 64))
        return app_usage(a, "--mask-blur is from 0 to 64");
    if (p->padding >= 0 && !p->only_masked)
        return app_usage(a, "--mask-padding goes with --only-masked");
    p->padding = p->padding < 0 ? 32 : p->padding;
    if (!p->content)
        p->content = p->outpaint ? "fill" : "original";
    if (!strcmp(p->content, "fill"))
        job->content = CONTENT_KEPT;
    else if (!strcmp(p->content, "noise"))
        job->content = CONTENT_NOISE;
    else if (strcmp(p->content, "original") != 0)
        return app_usage(a, "--mask-content is original, fill or noise, not \"%.40s\"", p->content);
    return read_outpaint(a, p);
}

int generate_picture_open(struct app *a, struct generate_picture *p, const struct checkpoint *c,
                          struct sampler_job *job)
{
    if (check_words(a, p, job))
        return 1;
    if (!p->init_path)
        return 0;
    if (load(&p->whole, p->init_path, &a->err))
        return app_fail(a, APP_FILE);
    if (!p->only_masked)
        generate_picture_sides(job, p->whole.width, p->whole.height, c->vae.shrink);
    int width = job->width, height = job->height;
    bool masked = p->mask_path || p->outpaint;
    job->width += p->more.left + p->more.right;
    job->height += p->more.top + p->more.bottom;
    job->has_strength = p->strength != GENERATE_UNSAID;
    job->strength = job->has_strength ? p->strength : 0;
    job->init = &p->whole;
    if (sampler_check(c, job, &a->err)) /* before anything takes its sides */
        return app_fail(a, APP_MODEL);
    enum status st = p->only_masked ? ST_OK : fit_whole(p, width, height, &a->err);
    p->box = (struct repaint_box){0, 0, p->whole.width, p->whole.height};
    if (!st && masked)
        st = open_mask(p, job, &a->err);
    if (!st)
        st = cut(&p->work, &p->whole, &p->box, job->width, job->height, &a->err);
    if (!st && masked && !strcmp(p->content, "fill"))
        st = repaint_fill(&p->work, &p->work_mask, &a->err);
    job->init = &p->work;
    job->mask = masked ? &p->work_mask : NULL;
    return st ? app_fail(a, APP_FILE) : 0;
}

enum status generate_picture_finish(const struct generate_picture *p, struct image *img,
                                    struct error *err)
{
    struct image whole = {0};
    if (!p->mask.data)
        return ST_OK;
    enum status st = image_crop(&whole, &p->whole, 0, 0, p->whole.width, p->whole.height, err);
    if (!st)
        st = repaint_paste(&whole, img, &p->mask, &p->box, err);
    if (st) {
        image_release(&whole);
        return st;
    }
    image_release(img);
    *img = whole;
    return ST_OK;
}

void generate_picture_put(const struct generate_picture *p, struct buf *b)
{
    if (p->init_path)
        parameters_put(b, "Init image", path_base(p->init_path));
    if (!p->mask.data)
        return;
    if (p->mask_path)
        parameters_put(b, "Mask", path_base(p->mask_path));
    buf_printf(b, ", Mask blur: %g", p->blur);
    if (p->only_masked)
        buf_printf(b, ", Inpaint area: Only masked, Masked area padding: %d", p->padding);
    if (strcmp(p->content, "original") != 0)
        buf_printf(b, ", Masked content: %s",
                   !strcmp(p->content, "fill") ? "fill" : "latent noise");
    if (p->outpaint)
        buf_printf(b, ", Outpaint: \"%s\"", p->outpaint);
}

void generate_picture_release(struct generate_picture *p)
{
    image_release(&p->whole);
    image_release(&p->mask);
    image_release(&p->work);
    image_release(&p->work_mask);
}
