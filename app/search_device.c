/* search --batch --device cuda: the lines that are there together are looked for together on the
 * graphics card, which keeps the library's vectors. Where that cannot be, the processors scan. */
#include "app/search_device.h"
#include "core/mem.h"
#include "nn/ops.h"
#include "nn/packs.h"
#include <stdio.h>
#include <string.h>

struct search_device {
    struct backend *be;
    struct packs *packs;
    unsigned era;
};

struct search_device *search_device_open(struct app *a)
{
    struct search_device *d = app_on_card(a) ? mem_zalloc(sizeof *d) : NULL;
    char name[48];
    if (!d)
        return NULL;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(a->device, "/"), a->device);
    if (backend_open(&d->be, name, 1, &a->err)) {
        log_warn("%s; the processors search", a->err.text);
        search_device_close(d);
        return NULL;
    }
    return d;
}

void search_device_close(struct search_device *d)
{
    if (!d)
        return;
    packs_free(d->packs);
    backend_close(d->be);
    mem_free(d);
}

static enum status nearest(void *ctx, const struct search_rows *r, const float *q, size_t m,
                           size_t k, float *score, float *row, struct error *err)
{
    struct search_device *d = ctx;
    int64_t best[2] = {(int64_t)m, (int64_t)k};
    if (d->packs && d->era != r->era) {
        packs_free(d->packs);
        d->packs = NULL;
    }
    if (!d->packs && !(d->packs = packs_new()))
        return error_set(err, ST_NOMEM, "out of memory");
    d->era = r->era;
    struct tensor tq = tensor_view((void *)(uintptr_t)q, DT_F32, 2, (int64_t[]){best[0], r->dim});
    struct tensor tv = tensor_view((void *)(uintptr_t)r->rows, r->f32 ? DT_F32 : DT_F16, 2,
                                   (int64_t[]){(int64_t)r->n, r->dim});
    struct tensor ts = tensor_view(score, DT_F32, 2, best), tr = tensor_view(row, DT_F32, 2, best);
    tv.packs = d->packs;
    op_nearest(d->be, &ts, &tr, &tq, &tv, r->keep);
    return backend_sync(d->be, err);
}

void search_device_look(struct search_device *d, struct search *s, const float *queries, size_t m,
                        const struct db_filter *filter)
{
    struct error err;
    const struct search_nearest by = {nearest, d};
    if (d && search_ahead(s, &by, queries, m, filter, &err))
        log_warn("%s; the processors search", err.text);
}
