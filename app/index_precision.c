/* Measuring int8 against f32 on the first pictures of a library. Surprising: f32 comes first and
 * its pages go back at once, so that the mapped weights and int8's copy of them are never in memory
 * together. */
#include "app/index_precision.h"

/* Sessions end with app_close, or here. */
static enum status encode(const struct app *a, enum precision p, const uint8_t *const *pixels,
                          int n, struct clip_session **s, float *out, struct error *err)
{
    enum status st = app_new_session(a, p, s, err);
    return st ? st : clip_encode_images(*s, pixels, n, out, err);
}

static double least_cosine(const float *x, const float *y, int n, int dim)
{
    double least = 1;
    for (int i = 0; i < n; i++, x += dim, y += dim) {
        double c = 0;
        for (int j = 0; j < dim; j++)
            c += (double)x[j] * y[j];
        least = c < least ? c : least;
    }
    return least;
}

enum status index_precision_choose(void *ctx, const uint8_t *const *pixels, int n,
                                   struct clip_session **session, struct error *err)
{
    struct app *a = ctx;
    struct clip_session *f32 = NULL, *int8 = NULL;
    int dim = clip_dim(a->clip);
    if (n < INDEX_PRECISION_PICTURES || !app_precision_open(a))
        return ST_OK;
    n = INDEX_PRECISION_PICTURES;
    float *exact = mem_array(2 * (size_t)n * (size_t)dim, sizeof *exact);
    if (!exact)
        return error_set(err, ST_NOMEM, "out of memory");
    float *coarse = exact + n * dim;
    enum status st = encode(a, PREC_F32, pixels, n, &f32, exact, err);
    clip_session_free(f32);
    clip_give_back(a->clip);
    if (!st)
        st = encode(a, PREC_INT8, pixels, n, &int8, coarse, err);
    if (!st) {
        double least = least_cosine(exact, coarse, n, dim);
        bool near = least >= INDEX_PRECISION_NEAR;
        log_debug("int8 keeps a cosine of %.5f to f32 on the first %d pictures: %s is used", least,
                  n, near ? "int8" : "bf16");
        if (a->db)
            st = app_remember_precision(a, near ? PREC_INT8 : PREC_BF16, err);
        if (!st && near) {
            clip_session_free(a->session);
            *session = a->session = int8;
            int8 = NULL;
        }
    }
    clip_session_free(int8);
    mem_free(exact);
    return st;
}

void index_precision_measure(struct app *a, struct index_opts *o)
{
    o->first_batch = app_precision_open(a) ? index_precision_choose : NULL;
    o->first_batch_ctx = a;
}
