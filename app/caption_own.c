/* Sentences by the captioner that lies in the model's own folder. */
#include "app/caption_own.h"
#include "core/file.h"
#include "core/path.h"
#include <stdio.h>
#include <string.h>

char *caption_own_path(const struct app *a)
{
    char *path = file_is_dir(a->model_path) ? path_join(a->model_path, "captioner") : NULL;
    if (path && file_is_dir(path))
        return path;
    mem_free(path);
    return NULL;
}

int caption_session(struct app *a, const struct captioner *c, struct captioner_session **s)
{
    const char *asked = a->device && strcmp(a->device, "auto") != 0 ? a->device : "cpu";
    char device[48];
    snprintf(device, sizeof device, "%.*s", (int)strcspn(asked, "/"), asked);
    return captioner_session_new(s, c, device, a->threads, &a->err) ? app_fail(a, APP_MODEL) : 0;
}

int caption_own_open(struct app *a, struct caption_own *o)
{
    char *path = caption_own_path(a);
    o->app = a;
    if (!path)
        return 0;
    enum status st = captioner_open(&o->captioner, path, &a->err);
    if (!st)
        st = captioner_fits(o->captioner, clip_info(a->clip), &a->err);
    if (!st && captioner_info(o->captioner)->wants != CAPTIONER_PLACES)
        st = error_set(&a->err, ST_UNSUPPORTED, "%s: does not see by the model's own states", path);
    if (!st)
        st = agreement_init(&o->agreement, a->session, a->clip, &a->err);
    mem_free(path);
    if (st)
        return app_fail(a, APP_MODEL);
    o->opts.decode = (struct decode_opts){.beams = CAPTION_BEAMS,
                                          .min_tokens = CAPTION_MIN,
                                          .max_tokens = CAPTION_MAX,
                                          .length_penalty = 1.0f};
    captioner_key(o->key, o->captioner, &o->opts, clip_info(a->clip)->id);
    return caption_session(a, o->captioner, &o->session);
}

enum status caption_own_say(struct caption_own *o, const float *vector, const float *places,
                            char **text, double *agreement, struct error *err)
{
    struct captioner_input in = {.vector = vector, .places = places};
    struct captions l = {0};
    *text = NULL;
    enum status st = captioner_say(o->session, &in, &o->opts, &l, err);
    if (!st && !l.n)
        st = error_set(err, ST_INTERNAL, "no caption came out");
    if (!st)
        st = agreement_rank(&o->agreement, o->app->session, vector, &l, agreement, err);
    if (!st) {
        *text = l.item[0].text;
        l.item[0].text = NULL;
    }
    captions_release(&l);
    return st;
}

void caption_own_close(struct caption_own *o)
{
    captioner_session_free(o->session);
    captioner_close(o->captioner);
    *o = (struct caption_own){0};
}
