/* What one module adds to its matrix, by LyCORIS' formulas, in the networks' own order: kernels
 * with their channels last. Factors are turned into that order first, so that products give it. */
#include "core/mem.h"
#include "sampler/lora/lora_int.h"
#include <math.h>
#include <string.h>

enum { WHAT_MAX = 128 };

struct delta { /* one module under way */
    struct clip_run *r;
    const struct lora_file *f;
    const struct lora_module *m;
    const struct lora_target *to;
    int64_t taps;
};

static const char *const fields[LORA_FIELDS] = {
    "lora_up",           "lora_down", "lora_mid",  "alpha",     "diff",      "hada_w1_a",
    "hada_w1_b",         "hada_w2_a", "hada_w2_b", "hada_t1",   "hada_t2",   "lokr_w1",
    "lokr_w1_a",         "lokr_w1_b", "lokr_w2",   "lokr_w2_a", "lokr_w2_b", "lokr_t2",
    "a magnitude (DoRA)"};

static void fail(struct delta *d, enum status code, const char *what)
{
    char file[LORA_QUOTE], key[LORA_QUOTE], stem[WHAT_MAX];
    int skip = d->m->stem >= WHAT_MAX ? d->m->stem - WHAT_MAX + 1 : 0;
    if (d->r->status)
        return;
    snprintf(stem, sizeof stem, "%.*s", d->m->stem - skip, d->m->key + skip);
    d->r->status = error_set(d->r->err, code, "%s: %s %s", lora_quote(file, path_base(d->f->path)),
                             lora_quote(key, stem), what);
}

static void fail_shape(struct delta *d, enum lora_field field)
{
    char what[WHAT_MAX];
    int n = snprintf(what, sizeof what, "has a %s that does not fit a matrix of %lld x %lld",
                     fields[field], (long long)d->to->out, (long long)d->to->in);
    if (d->to->k > 1 && n > 0 && n < WHAT_MAX)
        snprintf(what + n, sizeof what - (size_t)n, " x %d x %d", d->to->k, d->to->k);
    fail(d, ST_FORMAT, what);
}

static void fail_missing(struct delta *d, enum lora_field there, enum lora_field missing)
{
    char what[WHAT_MAX];
    snprintf(what, sizeof what, "has %s without %s", fields[there], fields[missing]);
    fail(d, ST_FORMAT, what);
}

/* Is it a matrix of floats? cols may come back with a kernel's taps in it. */
static bool is_matrix(struct delta *d, enum lora_field field, int64_t *rows, int64_t *cols)
{
    const struct tensor *t = d->m->t[field];
    char what[WHAT_MAX];
    *rows = *cols = 0;
    if (d->r->status)
        return false;
    if (!t) {
        snprintf(what, sizeof what, "has no %s", fields[field]);
        fail(d, ST_FORMAT, what);
    } else if (t->dtype != DT_F32 && t->dtype != DT_F16 && t->dtype != DT_BF16 &&
               t->dtype != DT_F64) {
        snprintf(what, sizeof what, "has a %s of type %s, not of floats", fields[field],
                 dtype_name(t->dtype));
        fail(d, ST_FORMAT, what);
    } else if (t->ndim < 2 || t->ndim > 4 || tensor_count(t) == 0) {
        snprintf(what, sizeof what, "has a %s without rows or columns", fields[field]);
        fail(d, ST_FORMAT, what);
    } else {
        *rows = t->dim[0];
        *cols = tensor_count(t) / t->dim[0];
    }
    return !d->r->status;
}

static float *array(struct delta *d, int64_t n)
{
    return clip_run_array(d->r, n, sizeof(float));
}

/* Before values that ops made are read. */
static void take_failure(struct delta *d)
{
    if (!d->r->status)
        d->r->status = backend_sync(d->r->be, d->r->err);
}

/* f32 values of a field, [rows, in * taps] as [rows, taps, in]. */
static float *turned(struct delta *d, enum lora_field field, int64_t rows, int64_t in, int64_t taps)
{
    int64_t n = rows * in * taps;
    float *x = array(d, n), *y = taps > 1 ? array(d, n) : x;
    if (d->r->status)
        return NULL;
    tensor_to_f32(d->m->t[field], x);
    for (int64_t o = 0; o < rows && taps > 1; o++)
        for (int64_t c = 0; c < in; c++)
            for (int64_t p = 0; p < taps; p++)
                y[(o * taps + p) * in + c] = x[(o * in + c) * taps + p];
    return y;
}

/* y [a, c] = x [a, b] . w [b, c]. */
static void product(struct delta *d, float *y, float *x, float *w, int64_t a, int64_t b, int64_t c)
{
    if (d->r->status)
        return;
    struct tensor ty = tensor_view(y, DT_F32, 2, (int64_t[]){a, c});
    struct tensor tx = tensor_view(x, DT_F32, 2, (int64_t[]){a, b});
    struct tensor tw = tensor_view(w, DT_F32, 2, (int64_t[]){b, c});
    op_matmul(d->r->be, &ty, &tx, &tw);
}

/* y [out, taps, in] = sum over n and m of a [out, n] t [n, m, taps] b [m, in]: a kernel's core
 * between two factors. `a` may lie turned, [n, out]. */
static void tucker(struct delta *d, float *y, enum lora_field fa, bool a_turned, enum lora_field ft,
                   enum lora_field fb, int64_t out, int64_t in)
{
    int64_t ar, ac, br, bc, n, rest;
    if (!is_matrix(d, fa, &ar, &ac) || !is_matrix(d, fb, &br, &bc) || !is_matrix(d, ft, &n, &rest))
        return;
    const struct tensor *t = d->m->t[ft];
    int64_t m = t->dim[1], taps = d->taps;
    if (t->ndim != 4 || t->dim[2] * t->dim[3] != taps)
        fail_shape(d, ft);
    else if (ar != (a_turned ? n : out) || ac != (a_turned ? out : n))
        fail_shape(d, fa);
    else if (br != m || bc != in)
        fail_shape(d, fb);
    if (d->r->status)
        return;
    float *a = a_turned ? turned(d, fa, 1, n, out) : turned(d, fa, out, n, 1);
    float *core = turned(d, ft, n, m, taps), *b = turned(d, fb, m, in, 1);
    float *half = array(d, n * taps * in);
    product(d, half, core, b, n * taps, m, in);
    product(d, y, a, half, out, n, taps * in);
}

/* y [out, taps, in] = a [out, r] . b [r, in * taps]. */
static void low_rank(struct delta *d, float *y, enum lora_field fa, enum lora_field fb, int64_t out,
                     int64_t in)
{
    int64_t ar, r, br, bc;
    if (!is_matrix(d, fa, &ar, &r) || !is_matrix(d, fb, &br, &bc))
        return;
    const struct tensor *b = d->m->t[fb];
    if (ar != out || d->m->t[fa]->dim[1] != r)
        fail_shape(d, fa);
    else if (br != r || bc != in * d->taps || (b->ndim > 2 && b->dim[1] != in))
        fail_shape(d, fb);
    if (d->r->status)
        return;
    float *x = turned(d, fa, out, r, 1), *w = turned(d, fb, r, in, d->taps);
    product(d, y, x, w, out, r, d->taps * in);
}

static void want_pair(struct delta *d, enum lora_field a, enum lora_field b)
{
    if (d->m->t[a] && !d->m->t[b])
        fail_missing(d, a, b);
    else if (!d->m->t[a] && d->m->t[b])
        fail_missing(d, b, a);
}

static void run_lora(struct delta *d, float *y)
{
    want_pair(d, LORA_UP, LORA_DOWN);
    if (d->r->status)
        return;
    if (d->m->t[LORA_MID])
        tucker(d, y, LORA_UP, false, LORA_MID, LORA_DOWN, d->to->out, d->to->in);
    else
        low_rank(d, y, LORA_UP, LORA_DOWN, d->to->out, d->to->in);
}

/* (w1a . w1b) * (w2a . w2b), element by element. */
static void run_loha(struct delta *d, float *y)
{
    static const enum lora_field f[2][3] = {{LOHA_W1A, LOHA_T1, LOHA_W1B},
                                            {LOHA_W2A, LOHA_T2, LOHA_W2B}};
    int64_t n = d->to->out * d->taps * d->to->in;
    for (int i = 0; i < 2; i++)
        want_pair(d, f[i][0], f[i][2]);
    want_pair(d, LOHA_W1A, LOHA_W2A);
    float *other = array(d, n);
    for (int i = 0; i < 2 && !d->r->status; i++) {
        float *to = i ? other : y;
        if (d->m->t[f[i][1]])
            tucker(d, to, f[i][0], true, f[i][1], f[i][2], d->to->out, d->to->in);
        else
            low_rank(d, to, f[i][0], f[i][2], d->to->out, d->to->in);
    }
    take_failure(d);
    for (int64_t i = 0; i < n && !d->r->status; i++)
        y[i] *= other[i];
}

/* One side of a Kronecker product. */
struct side {
    enum lora_field whole, a, b, core;
    int64_t rows, cols;
    float *v; /* [rows, taps, cols] */
};

static bool side_size(struct delta *d, struct side *s, int64_t taps)
{
    const struct tensor *const *t = d->m->t;
    int64_t rows, cols;
    if (t[s->whole]) {
        if (!is_matrix(d, s->whole, &s->rows, &s->cols))
            return false;
        if (s->cols % taps != 0 || (t[s->whole]->ndim > 2 && t[s->whole]->dim[1] != s->cols / taps))
            fail_shape(d, s->whole);
        s->cols /= taps;
        return !d->r->status;
    }
    want_pair(d, s->a, s->b);
    if (!d->r->status && !t[s->a])
        fail_missing(d, s->whole == LOKR_W1 ? LOKR_W2 : LOKR_W1, s->whole);
    if (!is_matrix(d, s->a, &rows, &cols))
        return false;
    s->rows = s->core != LORA_FIELDS && t[s->core] ? cols : rows;
    if (!is_matrix(d, s->b, &rows, &cols))
        return false;
    s->cols = s->core != LORA_FIELDS && t[s->core] ? cols : cols / taps;
    return true;
}

static void side_fill(struct delta *d, struct side *s, int64_t taps)
{
    struct delta one = *d;
    struct lora_target to = {s->rows, s->cols, d->to->k};
    one.taps = taps;
    one.to = &to;
    if (d->m->t[s->whole]) {
        s->v = turned(d, s->whole, s->rows, s->cols, taps);
        return;
    }
    s->v = array(d, s->rows * taps * s->cols);
    if (s->core != LORA_FIELDS && d->m->t[s->core])
        tucker(&one, s->v, s->a, true, s->core, s->b, s->rows, s->cols);
    else
        low_rank(&one, s->v, s->a, s->b, s->rows, s->cols);
}

static void run_lokr(struct delta *d, float *y)
{
    struct side a = {LOKR_W1, LOKR_W1A, LOKR_W1B, LORA_FIELDS, 0, 0, NULL};
    struct side b = {LOKR_W2, LOKR_W2A, LOKR_W2B, LOKR_T2, 0, 0, NULL};
    int64_t in = d->to->in, taps = d->taps;
    if (!side_size(d, &a, 1) || !side_size(d, &b, taps))
        return;
    if (a.rows > d->to->out || d->to->out != a.rows * b.rows || a.cols > in ||
        in != a.cols * b.cols) {
        fail_shape(d, LOKR_W2);
        return;
    }
    side_fill(d, &a, 1);
    side_fill(d, &b, taps);
    take_failure(d);
    if (d->r->status)
        return;
    for (int64_t row = 0; row < d->to->out; row++)
        for (int64_t p = 0; p < taps; p++)
            for (int64_t ia = 0; ia < a.cols; ia++) {
                float w = a.v[row / b.rows * a.cols + ia];
                const float *x = b.v + (row % b.rows * taps + p) * b.cols;
                float *to = y + (row * taps + p) * in + ia * b.cols;
                for (int64_t i = 0; i < b.cols; i++)
                    to[i] = w * x[i];
            }
}

static void run_diff(struct delta *d, float *y)
{
    int64_t rows, cols;
    const struct tensor *t = d->m->t[LORA_DIFF];
    if (!is_matrix(d, LORA_DIFF, &rows, &cols))
        return;
    if (rows != d->to->out || cols != d->to->in * d->taps ||
        (t->ndim > 2 && t->dim[1] != d->to->in))
        fail_shape(d, LORA_DIFF);
    float *x = d->r->status ? NULL : turned(d, LORA_DIFF, rows, d->to->in, d->taps);
    if (x)
        memcpy(y, x, (size_t)(rows * cols) * sizeof *y);
}

/* alpha / rank; 1 without alpha, and for forms without rank. */
static double scale_of(struct delta *d)
{
    static const enum lora_field ranks[] = {LORA_DOWN, LOHA_W1B, LOKR_W1B, LOKR_W2B};
    const struct tensor *t = d->m->t[LORA_ALPHA];
    double alpha = d->m->alpha;
    float x = 0;
    if (t && (tensor_count(t) != 1 ||
              (t->dtype != DT_F32 && t->dtype != DT_F16 && t->dtype != DT_BF16 &&
               t->dtype != DT_F64 && t->dtype != DT_I64 && t->dtype != DT_I32))) {
        fail(d, ST_FORMAT, "has an alpha that is not one number");
        return 1;
    }
    if (t) {
        tensor_to_f32(t, &x);
        alpha = (double)x;
    }
    if (!isfinite(alpha))
        fail(d, ST_FORMAT, "has an alpha that is no number");
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++)
        if (d->m->t[ranks[i]])
            return t || alpha != 0 ? alpha / (double)d->m->t[ranks[i]]->dim[0] : 1;
    return 1;
}

/* Which of the forms it has; more than one is none. */
static void run_form(struct delta *d, float *y)
{
    static const enum lora_field first[] = {LORA_UP, LORA_DIFF, LOHA_W1A, LOKR_W1};
    static const enum lora_field last[] = {LORA_MID, LORA_DIFF, LOHA_T2, LOKR_T2};
    static void (*const run[])(struct delta *, float *) = {run_lora, run_diff, run_loha, run_lokr};
    int form = -1, forms = 0;
    if (d->m->t[LORA_MAGNITUDE]) {
        fail(d, ST_UNSUPPORTED, "is weight-decomposed (DoRA), which is not read");
        return;
    }
    for (int i = 0; i < 4; i++)
        for (int k = (int)first[i]; k <= (int)last[i]; k++)
            if (d->m->t[k] && form != i) {
                form = i;
                forms++;
            }
    if (forms == 1)
        run[form](d, y);
    else
        fail(d, ST_FORMAT, forms ? "has parts of two kinds of LoRA" : "has nothing but an alpha");
}

enum status lora_delta(struct clip_run *r, const struct lora_file *f, const struct lora_module *m,
                       const struct lora_target *to, float *y)
{
    struct delta d = {.r = r, .f = f, .m = m, .to = to, .taps = (int64_t)to->k * to->k};
    size_t mark = arena_mark(r->arena);
    int64_t n = to->out * to->in * d.taps;
    double scale = scale_of(&d);
    if (!r->status)
        run_form(&d, y);
    take_failure(&d);
    bool finite = true;
    for (int64_t i = 0; i < n && !r->status; i++) {
        y[i] = (float)((double)y[i] * scale);
        finite &= isfinite(y[i]) != 0;
    }
    if (!r->status && !finite)
        fail(&d, ST_FORMAT, "holds values that are no numbers");
    if (r->status != ST_NOMEM)
        arena_rewind(r->arena, mark);
    return r->status;
}
