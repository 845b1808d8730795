/* Vectors of labels, kept in the cache folder: they belong to a model and a list, whatever the
 * library. */
#include "app/caption_app.h"
#include "core/file_note.h"
#include <stdio.h>

static void on_labels(void *ctx, size_t done, size_t n)
{
    struct progress *p = ctx;
    if (!p->what) {
        log_debug("computing the vectors of %zu labels", n);
        progress_init(p, stderr, "reading label", n, p->on);
    }
    progress_update(p, done);
}

/* Small lists are read faster than a file of theirs is worth. */
static char *cache_path(const struct app *a, const struct lexicon *v)
{
    char hex[17], *dir = v->n > LABELS_BLOCK ? file_note_folder(LABELS_FOLDER) : NULL;
    for (size_t i = 0; i < 8; i++)
        snprintf(hex + 2 * i, 3, "%02x", v->key[i]);
    char *path = dir ? mem_printf("%s/labels-%s-%s.bin", dir, clip_info(a->clip)->id, hex) : NULL;
    mem_free(dir);
    return path;
}

int caption_open_labels(struct app *a, const struct lexicon *v, const char *const *templates,
                        struct labels *l)
{
    struct progress p = {.on = !a->quiet};
    char *cache = cache_path(a, v);
    struct labels_opts o = {
        .templates = templates, .cache = cache, .stop = a->stop, .progress = on_labels, .ctx = &p};
    enum status st = labels_open(l, a->session, a->clip, v, &o, &a->err);
    progress_finish(&p);
    if (!st && !cache && l->computed > 4 * LABELS_BLOCK)
        log_info("there is no cache folder to keep the vectors of the labels in; the next run "
                 "computes them again");
    mem_free(cache);
    return st ? app_fail(a, APP_MODEL) : 0;
}
