/* How near bf16 and int8 come to f32: cosines of the sample photographs' vectors. */
#include "app/model_app.h"
#include "core/file.h"
#include "indexer/walk.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PICTURES = 20, FEW_PICTURES = 5 };
static const uint64_t LARGE = 200000000; /* parameters from which a few pictures must do */

struct sample_set {
    struct app *app;
    char *path[MAX_PICTURES];
    uint8_t *pixels[MAX_PICTURES];
    int n, limit;
};

static enum status on_file(void *ctx, const struct walk_file *f, struct error *err)
{
    struct sample_set *s = ctx;
    if (s->n == s->limit)
        return error_set(err, ST_INTERRUPTED, "enough");
    s->path[s->n] = mem_strdup(f->path);
    return s->path[s->n++] ? ST_OK : error_set(err, ST_NOMEM, "out of memory");
}

static void on_error(void *ctx, const char *path, bool is_dir, const struct error *e)
{
    (void)ctx;
    (void)path;
    (void)is_dir;
    log_warn("%s", e->text);
}

const char *app_samples(void)
{
    static const char *const folders[] = {EIDETIC_SAMPLES_INSTALLED, EIDETIC_SAMPLES_SOURCE};
    for (int i = 0; i < 2; i++)
        if (file_is_dir(folders[i]))
            return folders[i];
    return NULL;
}

/* The prepared pixels of each sample, copied out of the decoder's slots. */
static enum status decode(struct sample_set *s)
{
    struct app *a = s->app;
    size_t size = (size_t)clip_info(a->clip)->image_size, bytes = size * size * 3;
    for (int i = 0; i < s->n; i++) {
        struct decoder_job job;
        enum status st = decoder_submit(a->decoder, (uint64_t)i, s->path[i], &a->err);
        if (!st)
            st = decoder_next(a->decoder, &job, -1, &a->err);
        if (st)
            return st;
        if (job.status)
            st = error_set(&a->err, job.status, "%s", job.text);
        else if (!(s->pixels[i] = mem_dup(job.pixels, bytes)))
            st = error_set(&a->err, ST_NOMEM, "out of memory");
        decoder_done(a->decoder, &job);
        if (st)
            return st;
    }
    return ST_OK;
}

static enum status encode(struct sample_set *s, enum precision p, float *out)
{
    struct app *a = s->app;
    struct clip_session *session = NULL;
    char device[16];
    snprintf(device, sizeof device, "cpu/%s", precision_name(p));
    enum status st = clip_session_new(&session, a->clip, device, a->threads, &a->err);
    if (!st)
        st = clip_encode_images(session, (const uint8_t *const *)s->pixels, s->n, out, &a->err);
    clip_session_free(session);
    return st;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct precision_cosine compare(const float *x, const float *y, int n, int dim)
{
    double c[MAX_PICTURES] = {0};
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < dim; j++)
            c[i] += (double)x[i * dim + j] * y[i * dim + j];
    }
    qsort(c, (size_t)n, sizeof *c, by_value);
    return (struct precision_cosine){.median = (c[n / 2] + c[(n - 1) / 2]) / 2, .least = c[0]};
}

int app_measure_precisions(struct app *a, struct precision_cosine out[PREC_CPU])
{
    const char *folder = app_samples();
    struct sample_set s = {.app = a, .limit = MAX_PICTURES};
    struct walk_opts o = {.want = image_name_supported};
    int dim = clip_dim(a->clip);
    if (!folder || !backend_has_low_precision())
        return 0;
    if (clip_info(a->clip)->parameters > LARGE)
        s.limit = FEW_PICTURES;
    if (!a->decoder && app_open_decoder(a, 1, 2, true, 0))
        return -1;
    enum status st = walk_tree(folder, &o, on_file, on_error, &s, &a->err);
    if (st == ST_INTERRUPTED)
        st = ST_OK;
    float *v = st ? NULL : mem_array((size_t)s.n * (size_t)dim, PREC_CPU * sizeof *v);
    if (!st && !v)
        st = error_set(&a->err, ST_NOMEM, "out of memory");
    if (!st)
        st = decode(&s);
    for (int p = 0; p < PREC_CPU && !st && s.n; p++) {
        st = encode(&s, (enum precision)p, v + (size_t)p * (size_t)s.n * (size_t)dim);
        if (!st)
            out[p] = compare(v, v + (size_t)p * (size_t)s.n * (size_t)dim, s.n, dim);
    }
    for (int i = 0; i < s.n; i++) {
        mem_free(s.path[i]);
        mem_free(s.pixels[i]);
    }
    mem_free(v);
    return st ? (app_fail(a, APP_MODEL), -1) : s.n;
}
