/* Captions against their picture. */
#include "caption/agreement.h"
#include "core/mem.h"
#include <math.h>

static const char *const nothing[] = {"a photo.", "a picture.", "an image of something.",
                                      "a picture of something."};
enum { NOTHING = sizeof nothing / sizeof *nothing };

static double dot(const float *a, const float *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

enum status agreement_init(struct agreement *a, struct clip_session *s, const struct clip *c,
                           struct error *err)
{
    a->scale = (double)clip_info(c)->logit_scale;
    a->dim = clip_dim(c);
    float *rows = mem_array(NOTHING, (size_t)a->dim * sizeof *rows);
    if (!rows)
        return error_set(err, ST_NOMEM, "out of memory for %d sentences", (int)NOTHING);
    enum status st = clip_encode_text(s, nothing, NOTHING, rows, err);
    for (int i = 0; i < a->dim && !st; i++) {
        double sum = 0;
        for (int k = 0; k < NOTHING; k++)
            sum += (double)rows[k * a->dim + i];
        a->nothing[i] = (float)(sum / NOTHING);
    }
    mem_free(rows);
    return st;
}

enum status agreement_rank(const struct agreement *a, struct clip_session *s, const float *vector,
                           struct captions *l, double *agreement, struct error *err)
{
    int n = l->n, best = 0;
    double top = -INFINITY, cosine = 0;
    const char *text[DECODE_MAX_BEAMS];
    float *rows = mem_array((size_t)n + 1, (size_t)a->dim * sizeof *rows);
    *agreement = 0;
    if (!rows)
        return error_set(err, ST_NOMEM, "out of memory for %d captions", n);
    for (int i = 0; i < n; i++)
        text[i] = l->item[i].text;
    enum status st = clip_encode_text(s, text, n, rows, err);
    for (int i = 0; i < n && !st; i++) {
        double cos = dot(vector, rows + (size_t)i * (size_t)a->dim, a->dim);
        if (a->scale * cos + (double)l->item[i].score > top) {
            top = a->scale * cos + (double)l->item[i].score;
            cosine = cos;
            best = i;
        }
    }
    if (!st && n) {
        struct caption x = l->item[best];
        for (int i = best; i > 0; i--)
            l->item[i] = l->item[i - 1];
        l->item[0] = x;
        double base = dot(vector, a->nothing, a->dim);
        *agreement = 1.0 / (1.0 + exp(a->scale * (base - cosine) + AGREEMENT_SHIFT));
    }
    mem_free(rows);
    return st;
}
