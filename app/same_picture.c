/* Is it one picture, resized or recompressed? By cosine first, then by what the camera wrote, then
 * by a small version of the pixels. Two shots of a burst have other seconds or moved a little. */
#include "app/duplicates.h"
#include "core/progress.h"
#include <math.h>

enum { BYTES = SAME_SIDE * SAME_SIDE * 3 };
/* Measured on the 20 samples: recompressed at quality 30 at most 2.0, at 10 5.3; at 400 pixels and
 * quality 40 4.2; at 160 pixels 3.1 to 8.8. Cut by 3 % at one side 7.2 to 32, at two sides
 * from 9.3. */
#define SAME_DISTANCE 6.0

double same_distance(const uint8_t *a, const uint8_t *b)
{
    double sum = 0;
    for (int i = 0; i < BYTES; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(sum / BYTES);
}

/* The shapes agree as far as whole pixels let them. */
static bool same_shape(const struct db_image *a, const struct db_image *b)
{
    double least = fmin(fmin(a->width, a->height), fmin(b->width, b->height));
    double ratio = (double)a->width * b->height / ((double)b->width * a->height);
    return least > 0 && fabs(log(ratio)) < 0.005 + 1 / least;
}

/* What rules it out without pixels. */
static bool may_be_same(const struct dup_set *set, const struct dup_pair *p)
{
    const struct db_image *a = &set->picture[p->a].im, *b = &set->picture[p->b].im;
    return p->score >= SAME_COSINE && same_shape(a, b) &&
           !(a->has_taken && b->has_taken && a->taken_at != b->taken_at);
}

static int take_one(struct app *a, struct decoder *d, struct dup_set *set)
{
    struct decoder_job job;
    if (decoder_next(d, &job, -1, &a->err))
        return app_fail(a, APP_FILE);
    struct dup_picture *p = &set->picture[job.ticket];
    int failed = 0;
    if (job.status)
        log_debug("%s", job.text); /* its file has gone since: it is like others, nothing more */
    else if (!(p->pixels = mem_dup(job.pixels, BYTES)))
        failed = app_no_memory(a);
    decoder_done(d, &job);
    return failed;
}

static int decode_all(struct app *a, struct decoder *d, struct dup_set *set, const bool *wanted,
                      uint64_t all)
{
    struct progress bar;
    size_t next = 0, in_flight = 0;
    uint64_t done = 0;
    int failed = 0;
    progress_init(&bar, stderr, "comparing pixels", all, !a->quiet);
    while (!failed && (next < set->n || in_flight)) {
        if (next < set->n && !wanted[next]) {
            next++;
            continue;
        }
        enum status st =
            next < set->n ? decoder_submit(d, next, set->picture[next].path, &a->err) : ST_LIMIT;
        if (!st) {
            next++;
            in_flight++;
        } else if (st == ST_LIMIT && in_flight) {
            failed = take_one(a, d, set);
            in_flight--;
            progress_update(&bar, ++done);
        } else {
            failed = app_fail(a, APP_FILE);
        }
    }
    progress_finish(&bar);
    return failed;
}

int same_judge(struct app *a, struct dup_set *set)
{
    struct decoder_opts o = {
        .workers = a->threads,
        .prep = {.size = SAME_SIDE, .fit = DECODER_FIT_SQUASH, .filter = IMAGE_BOX}};
    bool *wanted = mem_zarray(set->n + 1, sizeof *wanted);
    uint64_t all = 0;
    if (!wanted)
        return app_no_memory(a);
    for (size_t i = 0; i < set->n_pairs; i++)
        if (may_be_same(set, &set->pair[i]))
            wanted[set->pair[i].a] = wanted[set->pair[i].b] = true;
    for (size_t i = 0; i < set->n; i++)
        all += wanted[i];
    int failed = 0;
    if (all) {
        struct decoder *d = NULL;
        failed = decoder_open(&d, &o, &a->err) ? app_fail(a, APP_FILE)
                                               : decode_all(a, d, set, wanted, all);
        decoder_close(d);
    }
    mem_free(wanted);
    for (size_t i = 0; !failed && i < set->n_pairs; i++) {
        struct dup_pair *p = &set->pair[i];
        const uint8_t *x = set->picture[p->a].pixels, *y = set->picture[p->b].pixels;
        p->same = x && y && may_be_same(set, p) && same_distance(x, y) <= SAME_DISTANCE;
    }
    return failed;
}
