/* Embedding: results are gathered into a batch that holds its decoder slots, so pixels are never
 * copied. */
#include "indexer/indexer_int.h"
#include <string.h>

enum status index_flush(struct index_run *run, struct error *err)
{
    const uint8_t **pixels = run->pixels;
    enum status st = ST_OK;
    for (int i = 0; i < run->batch_n; i++)
        pixels[i] = run->batch[i].job.pixels;
    if (run->batch_n && !run->began && run->o->first_batch)
        st = run->o->first_batch(run->o->first_batch_ctx, pixels, run->batch_n, &run->session, err);
    run->began = run->began || run->batch_n;
    if (!st && run->batch_n && run->places)
        st = clip_look_images(run->session, pixels, run->batch_n, run->vectors, run->places, err);
    else if (!st && run->batch_n)
        st = clip_encode_images(run->session, pixels, run->batch_n, run->vectors, err);
    for (int i = 0; i < run->batch_n; i++) {
        struct index_pending *p = &run->batch[i];
        if (!st)
            st = index_write_new(run, p->item, &p->job, run->vectors + (size_t)i * (size_t)run->dim,
                                 run->places ? run->places + (size_t)i * run->places_size : NULL,
                                 err);
        decoder_done(run->parts->decoder, &p->job);
    }
    bool wrote = run->batch_n > 0;
    run->batch_n = 0;
    return st ? st : index_write_commit(run, wrote, err);
}

static bool in_batch(const struct index_run *run, const uint8_t hash[16])
{
    for (int i = 0; i < run->batch_n; i++)
        if (!memcmp(run->batch[i].job.hash, hash, 16))
            return true;
    return false;
}

/* *image: the content with these bytes that has a vector of this model, or 0. */
static enum status find_known(struct index_run *run, const struct decoder_job *job, int64_t *image,
                              struct error *err)
{
    bool embedded = false;
    enum status st = db_image_find(run->parts->db, job->hash, image, err);
    if (st == ST_NOT_FOUND) {
        *image = 0;
        return ST_OK;
    }
    if (!st)
        st = db_vector_exists(run->parts->db, run->model, *image, &embedded, err);
    if (!embedded)
        *image = 0;
    return st;
}

enum status index_take(struct index_run *run, struct decoder_job *job, struct error *err)
{
    struct index_item *it = &run->work.item[job->ticket];
    enum status st = ST_OK;
    int64_t known = 0;
    run->r->done++;
    if (it->image) {
        st = index_write_reread(run, it, job, err);
        decoder_done(run->parts->decoder, job);
        return st ? st : index_write_commit(run, false, err);
    }
    if (!job->status && in_batch(run, job->hash)) /* the same bytes twice: settle the first */
        st = index_flush(run, err);
    if (!st && !job->status)
        st = find_known(run, job, &known, err);
    if (!st && !job->status && !known) {
        run->batch[run->batch_n++] = (struct index_pending){*job, it};
        return run->batch_n == run->batch_size ? index_flush(run, err) : ST_OK;
    }
    if (!st)
        st = job->status ? index_write_failed(run, it, job, err)
                         : index_write_known(run, it, job, known, err);
    decoder_done(run->parts->decoder, job);
    return st ? st : index_write_commit(run, false, err);
}
