/* eidetic model list: what lies in the model folders, and how fast each is here. */
#include "app/model_app.h"
#include "core/progress.h"
#include <stdio.h>
#include <string.h>

#define SECONDS 0.3 /* of measuring a model's image tower, at the least a picture */

struct list {
    struct app *a;
    bool speed;
    size_t n;
};

/* Pictures a second through the image tower, on all threads; 0 where it cannot be measured. */
static double measure(struct app *a, const struct clip *c)
{
    struct clip_session *s = NULL;
    const struct clip_info *i = clip_info(c);
    int size = i->image_size, batch = a->threads > 1 ? 2 * a->threads : 2;
    size_t bytes = (size_t)size * (size_t)size * 3;
    char device[48];
    enum precision p = backend_has_low_precision() ? i->near_f32 : PREC_F32;
    uint8_t *px = mem_zalloc(bytes);
    const uint8_t **one = mem_array((size_t)batch, sizeof *one);
    float *out = mem_array((size_t)batch, CLIP_MAX_DIM * sizeof *out);
    double start, spent = 0, done = 0;
    for (size_t k = 0; px && k < bytes; k++)
        px[k] = (uint8_t)(k * 2654435761u >> 24);
    for (int k = 0; one && k < batch; k++)
        one[k] = px;
    snprintf(device, sizeof device, "%.30s/%s",
             !a->device || !strcmp(a->device, "auto") ? "cpu" : a->device, precision_name(p));
    bool ok = px && one && out && !clip_session_new(&s, c, device, a->threads, NULL) &&
              !clip_encode_images(s, one, 1, out, NULL); /* packs the weights */
    for (start = time_now(); ok && spent < SECONDS; spent = time_now() - start) {
        ok = !clip_encode_images(s, one, batch, out, NULL);
        done += batch;
    }
    clip_session_free(s);
    mem_free(out);
    mem_free(one);
    mem_free(px);
    return ok && spent > 0 ? done / spent : 0;
}

static void print_row(struct list *l, const char *name, const struct clip_info *i, double speed,
                      const struct error *err)
{
    struct buf b, license;
    buf_init(&b, 1 << 16);
    buf_init(&license, 1 << 16);
    buf_text_safe(&b, name);
    buf_text_safe(&license, i && i->license ? i->license : "-");
    if (!l->n)
        printf("%-28s %-22s %5s %9s %11s  %s\n", "name", "kind", "dim", "MB", "pictures/s",
               "licence");
    if (i) {
        printf("%-28s %-22s %5d %9.1f ", b.data ? b.data : "?", i->arch, i->dim,
               (double)i->bytes / 1e6);
        if (speed > 0)
            printf("%11.1f", speed);
        else
            printf("%11s", "-");
        printf("  %s\n", license.data ? license.data : "-");
    } else {
        printf("%-28s (not a CLIP model)\n", b.data ? b.data : "?");
        log_debug("%s", err->text);
    }
    buf_release(&b);
    buf_release(&license);
}

static void print_json(struct app *a, const char *name, const char *path, const struct clip_info *i,
                       double speed, const struct error *err)
{
    json_t *j = json_pack("{s:o}", "name", json_text(name));
    json_set_path(j, path);
    if (!i) {
        json_object_set_new(j, "error", json_text(err->text));
    } else {
        json_object_set_new(j, "arch", json_text(i->arch));
        json_object_set_new(j, "layout", json_text(i->layout));
        json_object_set_new(j, "dim", json_integer(i->dim));
        json_object_set_new(j, "bytes", json_integer((json_int_t)i->bytes));
        json_object_set_new(j, "license", json_text(i->license));
        json_object_set_new(j, "images_per_second", speed > 0 ? json_real6(speed) : json_null());
    }
    app_print_json(a, j);
}

static enum status list_one(void *ctx, const char *name, const char *path)
{
    struct list *l = ctx;
    struct app *a = l->a;
    struct clip *clip = NULL;
    struct error err;
    struct clip_opts o = {.no_image = !l->speed, .no_text = true};
    bool ok = clip_open(&clip, path, &o, &err) == ST_OK;
    double speed = ok && l->speed ? measure(a, clip) : 0;
    if (a->json)
        print_json(a, name, path, ok ? clip_info(clip) : NULL, speed, &err);
    else
        print_row(l, name, ok ? clip_info(clip) : NULL, speed, &err);
    l->n++;
    clip_close(clip);
    return a->exit ? ST_IO : ST_OK;
}

int model_list(struct app *a, bool speed)
{
    struct list l = {.a = a, .speed = speed};
    if (app_each_model(list_one, &l, &a->err) && !a->exit)
        return app_fail(a, APP_MODEL);
    return app_check_stdout(a);
}
