/* Running a model: batches, tokens, unit length. Texts are run in order of length, so that a batch
 * is no longer than it must be; each row still comes back in its caller's place. */
#include "clip/clip_int.h"
#include "core/mem.h"
#include <math.h>
#include <stdio.h>

/* What one thread needs to run a tower alone. */
struct lane {
    struct backend *be;
    struct arena arena;
    struct error err;
};

struct clip_session {
    const struct clip *c;
    char pictures[48]; /* the device for pictures, precision included */
    enum precision precision;
    struct backend *be;       /* all threads for one batch at a time */
    struct backend *image_be; /* the same for pictures, where that is another; NULL until used */
    struct arena arena, image_arena; /* image_arena: image_be's, where that is a device */
    struct lane *lane; /* [backend_threads(be)] one thread each, opened at their first use */
    clip_trace_fn *trace;
    void *trace_ctx;
    bool plain; /* during clip_embed_images: rows stay as the tower gives them */
};

enum status clip_session_new(struct clip_session **out, const struct clip *c, const char *device,
                             int threads, struct error *err)
{
    *out = NULL;
    struct clip_session *s = mem_zalloc(sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "out of memory for a session");
    s->c = c;
    if (!device)
        device = "cpu";
    char plain[32];
    size_t len = strcspn(device, "/");
    int precision = device[len] ? precision_parse(device + len + 1) : PREC_F32;
    snprintf(plain, sizeof plain, "%.*s", (int)(len < sizeof plain ? len : sizeof plain - 1),
             device);
    enum status st = precision < 0 ? error_set(err, ST_USAGE, "%.40s: no such device", device)
                                   : backend_open(&s->be, plain, threads, err);
    if (!st) {
        s->precision = (enum precision)precision;
        snprintf(s->pictures, sizeof s->pictures, "%s%s", backend_name(s->be), device + len);
    }
    if (!st)
        s->arena.memory = backend_memory(s->be);
    if (!st && !(s->lane = mem_zarray((size_t)backend_threads(s->be), sizeof *s->lane)))
        st = error_set(err, ST_NOMEM, "out of memory for a session");
    if (st)
        clip_session_free(s);
    else
        *out = s;
    return st;
}

void clip_session_free(struct clip_session *s)
{
    if (!s)
        return;
    for (int i = 0; s->lane && i < backend_threads(s->be); i++) {
        arena_release(&s->lane[i].arena);
        backend_close(s->lane[i].be);
    }
    mem_free(s->lane);
    arena_release(&s->image_arena);
    arena_release(&s->arena);
    backend_close(s->image_be);
    backend_close(s->be);
    mem_free(s);
}

enum precision clip_session_precision(const struct clip_session *s)
{
    return s->precision;
}

void clip_session_trace(struct clip_session *s, clip_trace_fn *fn, void *ctx)
{
    s->trace = fn;
    s->trace_ctx = ctx;
}

static struct clip_run run_begin(struct clip_session *s, struct backend *be, struct arena *arena,
                                 const char *tower, struct error *err)
{
    arena_rewind(arena, 0);
    return (struct clip_run){.be = be,
                             .arena = arena,
                             .trace = s->trace,
                             .trace_ctx = s->trace_ctx,
                             .tower = tower,
                             .err = err};
}

/* Unit rows of y, checked: weights that hold NaN or 0 give vectors that compare with nothing. */
static enum status finish(struct clip_session *s, struct clip_run *r, struct tensor *y)
{
    if (!s->plain)
        op_l2norm(r->be, y, y, 1e-12f);
    backend_download(r->be, y);
    enum status st = backend_sync(r->be, r->err);
    if (st)
        return st;
    clip_run_trace(r, "vector", -1, y);
    const float *v = y->data;
    for (int64_t i = 0; i < tensor_rows(y); i++) {
        float norm = 0.0f;
        for (int64_t j = 0; j < y->dim[1]; j++)
            norm += v[i * y->dim[1] + j] * v[i * y->dim[1] + j];
        if (s->plain ? !(norm > 0.0f && norm < INFINITY) : !(norm > 0.5f && norm < 2.0f))
            return error_set(r->err, ST_FORMAT, "%s: the %s tower gives a vector without direction",
                             s->c->src.path, r->tower);
    }
    return ST_OK;
}

static enum status image_batch(struct clip_session *s, struct backend *be, struct arena *arena,
                               const uint8_t *const *pixels, int64_t n, float *out, float *places,
                               struct error *err)
{
    const struct clip_model *m = &s->c->model;
    struct clip_run r = run_begin(s, be, arena, "image", err);
    r.pixels = pixels;
    int64_t size = m->pre.prep.size, side = m->input_side > 0 ? m->input_side : size;
    struct tensor y = clip_run_tensor(&r, 2, (int64_t[]){n, m->dim}), p = {0};
    if (places)
        p = clip_run_tensor(&r, 3, (int64_t[]){n, m->places, m->place_width});
    struct tensor x = clip_run_tensor(&r, 4, (int64_t[]){n, side, side, 3});
    size_t mark = arena_mark(r.arena);
    struct tensor u8 = tensor_view(clip_run_array(&r, n * side * side * 3, 1), DT_U8, 4, x.dim);
    if (r.status)
        return r.status;
    for (int64_t i = 0; i < n * side; i++)
        memcpy((uint8_t *)u8.data + i * side * 3, pixels[i / side] + i % side * size * 3,
               (size_t)side * 3);
    op_normalize_u8(r.be, &x, &u8, m->pre.rescale, m->pre.mean, m->pre.std);
    arena_rewind(r.arena, mark);
    clip_run_trace(&r, "pixels", -1, &x);
    enum status st =
        places ? s->c->arch->look(m, &r, &x, &y, &p) : s->c->arch->image(m, &r, &x, &y);
    if (!st && places)
        backend_download(be, &p);
    if (!st)
        st = finish(s, &r, &y);
    if (!st)
        memcpy(out, y.data, (size_t)tensor_count(&y) * sizeof *out);
    if (!st && places)
        memcpy(places, p.data, (size_t)tensor_count(&p) * sizeof *places);
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
    if (lane->err.code == ST_OK)
        image_batch(e->s, lane->be, &lane->arena, e->pixels + i, 1,
                    e->out + (size_t)i * (size_t)m->dim,
                    e->places ? e->places + (size_t)i * places_size(m) : NULL, &lane->err);
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
        lane->arena.memory = backend_memory(lane->be);
    }
    pool_for(backend_pool(s->be), n, image_alone, &(struct each){s, pixels, out, places});
    for (int i = 0; i < lanes; i++)
        if (s->lane[i].err.code != ST_OK)
            return error_set(err, s->lane[i].err.code, "%s", s->lane[i].err.text);
    return ST_OK;
}

static enum status run_images(struct clip_session *s, const uint8_t *const *pixels, int n,
                              float *out, float *places, struct error *err)
{
    const struct clip_model *m = &s->c->model;
    bool alone = m->image_alone && !s->trace; /* traced tensors show the whole batch */
    int step = alone ? 1 : m->image_batch > 0 ? m->image_batch : 8;
    enum status st = ST_OK;
    if (s->c->opts.no_image)
        return error_set(err, ST_USAGE, "%s: was opened without its image tower", s->c->src.path);
    if (alone && n > 1 && backend_threads(s->be) > 1)
        return image_each(s, pixels, n, out, places, err);
    bool other = s->precision != PREC_F32;
    if (other && !s->image_be)
        st = backend_open(&s->image_be, s->pictures, backend_threads(s->be), err);
    if (other && !st)
        s->image_arena.memory = backend_memory(s->image_be);
    struct arena *arena = s->image_arena.memory ? &s->image_arena : &s->arena;
    for (int i = 0; i < n && !st; i += step)
        st = image_batch(s, other ? s->image_be : s->be, arena, pixels + i,
                         n - i < step ? n - i : step, out + (size_t)i * (size_t)m->dim,
                         places ? places + (size_t)i * places_size(m) : NULL, err);
    return st;
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

struct row {
    int32_t len;
    int at; /* the caller's row */
};

static int by_length(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return x->len != y->len ? (x->len > y->len) - (x->len < y->len)
                            : (x->at > y->at) - (x->at < y->at);
}

static enum status tokenize(const struct clip *c, const char *text, int32_t *ids, int32_t *len,
                            struct error *err)
{
    struct token_list l = {0};
    enum status st = tokenizer_encode(c->tokenizer, text, strlen(text), &l, err);
    size_t n = 0;
    for (size_t i = 0; i < l.n;
         i++) /* a token without a row in the table says nothing to the tower */
        if (l.id[i] >= 0 && l.id[i] < c->model.vocab)
            l.id[n++] = l.id[i];
    l.n = n;
    if (!st)
        *len = (int32_t)tokenizer_fit(c->tokenizer, &l, (size_t)c->model.context, ids);
    token_list_release(&l);
    return st;
}

/* Rows row[0..n) of all texts' ids. */
static enum status text_batch(struct clip_session *s, const int32_t *all, const struct row *row,
                              int n, float *out, struct error *err)
{
    const struct clip_model *m = &s->c->model;
    struct clip_run r = run_begin(s, s->be, &s->arena, "text", err);
    size_t context = (size_t)m->context, dim = (size_t)m->dim;
    struct tensor y = clip_run_tensor(&r, 2, (int64_t[]){n, m->dim});
    int32_t *ids = clip_run_array(&r, (int64_t)n * m->context, sizeof *ids);
    int32_t *len = clip_run_array(&r, n, sizeof *len);
    if (r.status)
        return r.status;
    for (int i = 0; i < n; i++) {
        memcpy(ids + (size_t)i * context, all + (size_t)row[i].at * context, context * sizeof *ids);
        len[i] = row[i].len;
    }
    struct clip_tokens t = {.n = n, .context = m->context, .ids = ids, .len = len};
    enum status st = s->c->arch->text(m, &r, &t, &y);
    if (!st)
        st = finish(s, &r, &y);
    for (int i = 0; i < n && !st; i++)
        memcpy(out + (size_t)row[i].at * dim, (float *)y.data + (size_t)i * dim, dim * sizeof *out);
    return st;
}

enum status clip_encode_text(struct clip_session *s, const char *const *texts, int n, float *out,
                             struct error *err)
{
    const struct clip *c = s->c;
    size_t context = (size_t)c->model.context, count = 0;
    int step = c->model.text_batch > 0 ? c->model.text_batch : 32;
    enum status st = ST_OK;
    if (c->opts.no_text)
        return error_set(err, ST_USAGE, "%s: was opened without its text tower", c->src.path);
    if (n <= 0)
        return ST_OK;
    int32_t *ids = mul_overflow_size((size_t)n, context, &count) ? NULL : mem_array(count, 4);
    struct row *row = mem_array((size_t)n, sizeof *row);
    if (!ids || !row)
        st = error_set(err, ST_NOMEM, "out of memory for %d texts", n);
    for (int i = 0; i < n && !st; i++) {
        row[i].at = i;
        st = tokenize(c, texts[i], ids + (size_t)i * context, &row[i].len, err);
    }
    if (!st)
        qsort(row, (size_t)n, sizeof *row, by_length);
    for (int i = 0; i < n && !st; i += step)
        st = text_batch(s, ids, row + i, n - i < step ? n - i : step, out, err);
    mem_free(row);
    mem_free(ids);
    return st;
}

enum status clip_text_states(struct clip_session *s, const char *text, float *states, uint8_t *mask,
                             struct error *err)
{
    const struct clip_model *m = &s->c->model;
    if (s->c->opts.no_text)
        return error_set(err, ST_USAGE, "%s: was opened without its text tower", s->c->src.path);
    struct clip_run r = run_begin(s, s->be, &s->arena, "text", err);
    struct tensor y = clip_run_tensor(&r, 3, (int64_t[]){1, m->context, m->text_width});
    int32_t len = 0, *ids = clip_run_array(&r, m->context, sizeof *ids);
    if (r.status)
        return r.status;
    enum status st = tokenize(s->c, text, ids, &len, err);
    struct clip_tokens t = {.n = 1, .context = m->context, .ids = ids, .len = &len};
    if (!st)
        st = s->c->arch->states(m, &r, &t, &y, mask);
    backend_download(s->be, &y);
    if (!st)
        st = backend_sync(s->be, err);
    if (!st)
        memcpy(states, y.data, (size_t)tensor_count(&y) * sizeof *states);
    return st;
}

enum status clip_run_states(const struct clip *c, struct clip_run *r, const int32_t *ids, int n,
                            struct tensor *y)
{
    const struct clip_model *m = &c->model;
    size_t mark = arena_mark(r->arena);
    int32_t len = n, *padded = clip_run_array(r, m->context, sizeof *padded);
    uint8_t *counts = clip_run_array(r, m->context, sizeof *counts);
    if (r->status)
        return r->status;
    for (int i = 0; i < m->context; i++)
        padded[i] = i < n ? ids[i] : tokenizer_pad(c->tokenizer);
    struct clip_tokens t = {.n = 1, .context = m->context, .ids = padded, .len = &len};
    enum status st = c->arch->states(m, r, &t, y, counts);
    if (!st)
        arena_rewind(r->arena, mark);
    return st;
}
