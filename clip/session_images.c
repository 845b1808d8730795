/* Pictures through a session: one after the other, a thread each, or, on a device, two batches that
 * take turns, so that the pixels of one are copied up while the other is computed. */
#include "clip/session_int.h"
#include "core/mem.h"
#include <stdio.h>
#include <string.h>

enum { DEVICE_BATCH = 64, FIRST_BATCH = 8 };

/* All of a batch's ops, from its bytes to its vectors. */
static enum status image_ops(void *ctx)
{
    struct slot *k = ctx;
    struct clip_session *s = k->s;
    const struct clip_model *m = &s->c->model;
    op_normalize_u8(k->run.be, &k->x, &k->u8, m->pre.rescale, m->pre.mean, m->pre.std);
    clip_run_trace(&k->run, "pixels", -1, &k->x);
    enum status st = k->p.data ? s->c->arch->look(m, &k->run, &k->x, &k->y, &k->p)
                               : s->c->arch->image(m, &k->run, &k->x, &k->y);
    if (!st && !s->plain)
        op_l2norm(k->run.be, &k->y, &k->y, 1e-12f);
    return st;
}

static enum status image_queue(struct clip_session *s, struct backend *be, struct slot *k, int slot,
                               const uint8_t *const *pixels, int n, bool places, struct error *err)
{
    const struct clip_model *m = &s->c->model;
    int64_t size = m->pre.prep.size, side = m->input_side > 0 ? m->input_side : size;
    bool device = k->io.memory != NULL;
    char key[64];
    k->run = clip_session_begin(s, be, &k->arena, "image", err);
    struct clip_run io = k->run;
    if (device)
        io = clip_session_begin(s, be, &k->io, "image", err);
    k->run.pixels = pixels;
    k->s = s;
    k->n = n;
    k->y = clip_run_tensor(&io, 2, (int64_t[]){n, m->dim});
    k->p = (struct tensor){0};
    if (places)
        k->p = clip_run_tensor(&io, 3, (int64_t[]){n, m->places, m->place_width});
    k->x = clip_run_tensor(&k->run, 4, (int64_t[]){n, side, side, 3});
    k->u8 = tensor_view(clip_run_array(&io, n * side * side * 3, 1), DT_U8, 4, k->x.dim);
    if (k->run.status || io.status)
        return k->run.status ? k->run.status : io.status;
    for (int64_t i = 0; i < n * side; i++)
        memcpy((uint8_t *)k->u8.data + i * side * 3, pixels[i / side] + i % side * size * 3,
               (size_t)side * 3);
    backend_send(be, &k->u8);
    snprintf(key, sizeof key, "image %d %d%d%d", n, slot, places, s->plain);
    enum status st = s->trace ? image_ops(k) : backend_repeat(be, &k->arena, key, image_ops, k);
    if (!st && places)
        backend_fetch(be, &k->p, slot);
    if (!st)
        backend_fetch(be, &k->y, slot);
    return st;
}

static enum status image_take(struct clip_session *s, struct slot *k, int slot, float *out,
                              float *places)
{
    enum status st = backend_wait(k->run.be, slot, k->run.err);
    if (!st)
        st = clip_session_check(s, &k->run, &k->y);
    if (!st)
        memcpy(out, k->y.data, (size_t)tensor_count(&k->y) * sizeof *out);
    if (!st && places)
        memcpy(places, k->p.data, (size_t)tensor_count(&k->p) * sizeof *places);
    return st;
}

struct each {
    struct clip_session *s;
    const uint8_t *const *pixels;
    float *out, *places;
};

static size_t places_size(const struct clip_model *m)
{
    return (size_t)m->places * (size_t)m->place_width;
}

static void image_alone(void *ctx, int i, int thread)
{
    const struct each *e = ctx;
    struct lane *lane = &e->s->lane[thread];
    const struct clip_model *m = &e->s->c->model;
    if (lane->err.code == ST_OK &&
        !image_queue(e->s, lane->be, &lane->slot, 0, e->pixels + i, 1, e->places, &lane->err))
        image_take(e->s, &lane->slot, 0, e->out + (size_t)i * (size_t)m->dim,
                   e->places ? e->places + (size_t)i * places_size(m) : NULL);
}

/* A picture a thread: the maps of a convolutional tower stay in its processor's own cache. */
static enum status image_each(struct clip_session *s, const uint8_t *const *pixels, int n,
                              float *out, float *places, struct error *err)
{
    int lanes = backend_threads(s->be);
    for (int i = 0; i < lanes; i++) {
        struct lane *lane = &s->lane[i];
        lane->err = (struct error){0};
        enum status st = lane->be ? ST_OK : backend_open(&lane->be, s->pictures, 1, err);
        if (st)
            return st;
    }
    pool_for(backend_pool(s->be), n, image_alone, &(struct each){s, pixels, out, places});
    for (int i = 0; i < lanes; i++)
        if (s->lane[i].err.code != ST_OK)
            return error_set(err, s->lane[i].err.code, "%s", s->lane[i].err.text);
    return ST_OK;
}

/* Pictures of a batch on a device, asked for before anything is queued: the first batch is small
 * and shows what a picture takes. */
static int device_batch(struct clip_session *s, struct backend *be, int left)
{
    int n = s->step ? s->step : s->picture_bytes ? DEVICE_BATCH : FIRST_BATCH;
    n = n < left ? n : left;
    while (n > 1 && s->picture_bytes) {
        size_t bytes = s->picture_bytes * (size_t)n;
        bool fits =
            backend_room(be) / 8 * 7 + CLIP_SLOTS * s->slot[0].arena.peak >= CLIP_SLOTS * bytes;
        for (int i = 0; i < CLIP_SLOTS && fits; i++)
            if (s->slot[i].arena.peak < bytes)
                fits = arena_reserve(&s->slot[i].arena, bytes);
        if (fits)
            break;
        s->step = n = (n + 1) / 2;
    }
    return n;
}

static void learn(struct clip_session *s, const struct slot *k)
{
    if (!s->picture_bytes)
        s->picture_bytes = k->arena.peak / (size_t)k->n + 1;
}

/* Nothing of what is under way can be used; the next try is with half. */
static bool halve(struct clip_session *s, struct backend *be, int *step, enum status *st)
{
    if (*st != ST_NOMEM || *step < 2)
        return false;
    backend_sync(be, NULL);
    clip_session_make_room(s);
    s->step = *step = (*step + 1) / 2;
    *st = ST_OK;
    return true;
}

struct want {
    const uint8_t *const *pixels;
    int n;
    float *out, *places;
};

static enum status device_images(struct clip_session *s, struct backend *be, const struct want *w,
                                 struct error *err)
{
    const struct clip_model *m = &s->c->model;
    int done = 0, next = 0, step = 1;
    unsigned turn = 0, taken = 0;
    enum status st = ST_OK;
    while (done < w->n && !st) {
        if (next < w->n && turn - taken < CLIP_SLOTS) {
            step = device_batch(s, be, w->n - next);
            st = image_queue(s, be, &s->slot[turn % CLIP_SLOTS], (int)(turn % CLIP_SLOTS),
                             w->pixels + next, step, w->places, err);
            next += st ? 0 : step;
            turn += !st;
        } else {
            struct slot *k = &s->slot[taken % CLIP_SLOTS];
            st = image_take(s, k, (int)(taken % CLIP_SLOTS), w->out + (size_t)done * (size_t)m->dim,
                            w->places ? w->places + (size_t)done * places_size(m) : NULL);
            step = k->n;
            done += st ? 0 : k->n;
            taken += !st;
            if (!st)
                learn(s, k);
        }
        if (st && halve(s, be, &step, &st)) {
            next = done;
            turn = taken = 0;
        }
    }
    if (st)
        backend_sync(be, NULL);
    return st;
}

static enum status cpu_images(struct clip_session *s, struct backend *be, const struct want *w,
                              struct error *err)
{
    const struct clip_model *m = &s->c->model;
    bool alone = m->image_alone && !s->trace; /* traced tensors show the whole batch */
    int step = alone ? 1 : m->image_batch > 0 ? m->image_batch : 8;
    enum status st = ST_OK;
    for (int i = 0, n; i < w->n && !st; i += n) {
        n = w->n - i < step ? w->n - i : step;
        st = image_queue(s, be, &s->slot[0], 0, w->pixels + i, n, w->places, err);
        if (!st)
            st = image_take(s, &s->slot[0], 0, w->out + (size_t)i * (size_t)m->dim,
                            w->places ? w->places + (size_t)i * places_size(m) : NULL);
    }
    return st;
}

static enum status run_images(struct clip_session *s, const uint8_t *const *pixels, int n,
                              float *out, float *places, struct error *err)
{
    const struct clip_model *m = &s->c->model;
    struct want w = {pixels, n, out, places};
    bool device = backend_memory(s->be) != NULL;
    bool each = m->image_alone && !s->trace && !device && backend_threads(s->be) > 1;
    enum status st = ST_OK;
    if (s->c->opts.no_image)
        return error_set(err, ST_USAGE, "%s: was opened without its image tower", s->c->src.path);
    if (each && n > 1)
        return image_each(s, pixels, n, out, places, err);
    bool other = s->precision != PREC_F32;
    if (other && !s->image_be)
        st = backend_open(&s->image_be, s->pictures, backend_threads(s->be), err);
    struct backend *be = other ? s->image_be : s->be;
    if (st)
        return st;
    for (int i = 0; i < CLIP_SLOTS && device; i++) {
        s->slot[i].io.memory = backend_staging(be);
        s->slot[i].arena.memory = backend_memory(be);
    }
    return device ? device_images(s, be, &w, err) : cpu_images(s, be, &w, err);
}

enum status clip_encode_images(struct clip_session *s, const uint8_t *const *pixels, int n,
                               float *out, struct error *err)
{
    return run_images(s, pixels, n, out, NULL, err);
}

enum status clip_look_images(struct clip_session *s, const uint8_t *const *pixels, int n,
                             float *out, float *places, struct error *err)
{
    if (!s->c->model.places)
        return error_set(err, ST_UNSUPPORTED, "%s: this family gives no states of places",
                         s->c->src.path);
    return run_images(s, pixels, n, out, places, err);
}

enum status clip_embed_images(struct clip_session *s, const uint8_t *const *pixels, int n,
                              float *out, struct error *err)
{
    s->plain = true;
    enum status st = clip_encode_images(s, pixels, n, out, err);
    s->plain = false;
    return st;
}
