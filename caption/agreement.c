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

enum status agreement_rank(struct clip_session *s, const struct clip *c, const float *vector,
                           struct captions *l, double *agreement, struct error *err)
{
    int dim = clip_dim(c), n = l->n, best = 0;
    double scale = (double)clip_info(c)->logit_scale, base = 0, top = -INFINITY, cosine = 0;
    const char *text[DECODE_MAX_BEAMS + NOTHING];
    float *rows = mem_array((size_t)n + NOTHING, (size_t)dim * sizeof *rows);
    *agreement = 0;
    if (!rows)
        return error_set(err, ST_NOMEM, "out of memory for %d captions", n);
    for (int i = 0; i < n; i++)
        text[i] = l->item[i].text;
    for (int i = 0; i < NOTHING; i++)
        text[n + i] = nothing[i];
    enum status st = clip_encode_text(s, text, n + NOTHING, rows, err);
    for (int i = 0; i < n + NOTHING && !st; i++) {
        double cos = dot(vector, rows + (size_t)i * (size_t)dim, dim);
        if (i >= n) {
            base += cos / NOTHING;
        } else if (scale * cos + (double)l->item[i].score > top) {
            top = scale * cos + (double)l->item[i].score;
            cosine = cos;
            best = i;
        }
    }
    if (!st && n) {
        struct caption x = l->item[best];
        for (int i = best; i > 0; i--)
            l->item[i] = l->item[i - 1];
        l->item[0] = x;
        *agreement = 1.0 / (1.0 + exp(scale * (base - cosine) + AGREEMENT_SHIFT));
    }
    mem_free(rows);
    return st;
}
