/* Running a model: batches, tokens, unit length. Texts are run in order of length, so that a batch
 * is no longer than it must be; each row still comes back in its caller's place. */
#include "clip/session_int.h"
#include "core/mem.h"
#include <math.h>
#include <stdio.h>

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
    if (!st && s->arena.memory && precision != PREC_F32 && !c->opts.no_image) /* is it there? */
        st = backend_open(&s->image_be, s->pictures, backend_threads(s->be), err);
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
        arena_release(&s->lane[i].slot.arena);
        backend_close(s->lane[i].be);
    }
    mem_free(s->lane);
    for (int i = 0; i < CLIP_SLOTS; i++) {
        arena_release(&s->slot[i].io);
        arena_release(&s->slot[i].arena);
    }
    arena_release(&s->arena);
    backend_close(s->image_be);
    backend_close(s->be);
    mem_free(s);
}

const char *clip_session_device(const struct clip_session *s)
{
    return s->arena.memory ? backend_name(s->be) : "cpu";
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

struct clip_run clip_session_begin(struct clip_session *s, struct backend *be, struct arena *arena,
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

bool clip_session_make_room(struct clip_session *s)
{
    struct arena *all[] = {&s->slot[0].io, &s->slot[0].arena, &s->slot[1].io, &s->slot[1].arena};
    bool held = false;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        held |= all[i]->head != NULL;
        arena_release(all[i]);
        all[i]->peak = 0;
    }
    arena_release(&s->arena);
    s->arena.peak = 0;
    return held;
}

static bool is_unit(const struct clip_session *s, const float *v, int64_t d)
{
    float norm = 0.0f;
    for (int64_t j = 0; j < d; j++)
        norm += v[j] * v[j];
    return s->plain ? norm > 0.0f && norm < INFINITY : norm > 0.5f && norm < 2.0f;
}

/* Rows of y, checked: weights that hold NaN or 0 give vectors that compare with nothing. */
enum status clip_session_check(struct clip_session *s, struct clip_run *r, const struct tensor *y)
{
    clip_run_trace(r, "vector", -1, y);
    for (int64_t i = 0; i < tensor_rows(y); i++)
        if (!is_unit(s, (const float *)y->data + i * y->dim[1], y->dim[1]))
            return error_set(r->err, ST_FORMAT,
                             "%s: the %s tower gives a vector without direction%s", s->c->src.path,
                             r->tower,
                             s->precision == PREC_F16 ? " in f16; try --precision bf16" : "");
    return ST_OK;
}

static enum status finish(struct clip_session *s, struct clip_run *r, struct tensor *y)
{
    if (!s->plain)
        op_l2norm(r->be, y, y, 1e-12f);
    backend_download(r->be, y);
    enum status st = backend_sync(r->be, r->err);
    return st ? st : clip_session_check(s, r, y);
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
    struct clip_run r = clip_session_begin(s, s->be, &s->arena, "text", err);
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
    for (int i = 0, now; i < n && !st; i += now) {
        now = n - i < step ? n - i : step;
        st = text_batch(s, ids, row + i, now, out, err);
        if (st != ST_NOMEM || !s->arena.memory || (!clip_session_make_room(s) && now < 2))
            continue;
        backend_sync(s->be, NULL); /* a device without room for so many is asked for half */
        step = (now + 1) / 2;
        now = 0;
        st = ST_OK;
    }
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
    struct clip_run r = clip_session_begin(s, s->be, &s->arena, "text", err);
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
