/* The run: scan, then keep the decoder's slots full while batches are embedded. */
#include "core/mem.h"
#include "core/path.h"
#include "core/progress.h"
#include "indexer/indexer_int.h"
#include <stdarg.h>
#include <stdio.h>

bool index_stopped(const struct index_run *run)
{
    return run->o->stop && *run->o->stop;
}

void index_warn(const struct index_run *run, const char *path, const char *fmt, ...)
{
    char text[256];
    struct buf b;
    va_list ap;
    if (!run->o->warn)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_init(&b, 1 << 16);
    buf_path_quoted(&b, path);
    buf_printf(&b, " %s", text);
    run->o->warn(run->o->ctx, b.failed ? text : b.data);
    buf_release(&b);
}

void index_report_progress(struct index_run *run)
{
    run->r->seconds = time_now() - run->start;
    if (run->o->progress)
        run->o->progress(run->o->ctx, run->r);
}

/* One decoder result, waited for at most a fifth of a second so that Ctrl-C is noticed. */
static enum status next_result(struct index_run *run, size_t *in_flight, struct error *err)
{
    struct decoder_job job;
    enum status st = decoder_next(run->parts->decoder, &job, 200, err);
    if (st == ST_LIMIT)
        return ST_OK;
    if (st)
        return st;
    --*in_flight;
    st = index_take(run, &job, err);
    index_report_progress(run);
    return st;
}

static enum status process(struct index_run *run, struct error *err)
{
    enum status st = ST_OK;
    size_t next = 0, in_flight = 0;
    while (!st && (next < run->work.n || in_flight) && !index_stopped(run)) {
        while (!st && next < run->work.n) {
            const struct index_item *it = &run->work.item[next];
            st = it->image ? decoder_submit_words(run->parts->decoder, next, it->path, err)
                           : decoder_submit(run->parts->decoder, next, it->path, err);
            if (st)
                break;
            next++;
            in_flight++;
        }
        if (st == ST_LIMIT) /* every slot is taken */
            st = ST_OK;
        if (!st && in_flight)
            st = next_result(run, &in_flight, err);
    }
    if (!st)
        st = index_flush(run, err);
    if (!st)
        st = index_write_commit(run, true, err);
    if (!st && index_stopped(run))
        st = error_set(err, ST_INTERRUPTED, "interrupted; what was done is kept");
    return st;
}

static enum status open_run(struct index_run *run, struct error *err)
{
    const struct clip_info *info = clip_info(run->parts->clip);
    run->dim = info->dim;
    run->batch_size = run->o->batch_size > 0 ? run->o->batch_size : INDEX_BATCH;
    if (run->batch_size > decoder_slots(run->parts->decoder))
        run->batch_size = decoder_slots(run->parts->decoder);
    run->batch = mem_zarray((size_t)run->batch_size, sizeof *run->batch);
    run->pixels = mem_zarray((size_t)run->batch_size, sizeof *run->pixels);
    run->vectors = mem_array((size_t)run->batch_size * (size_t)run->dim, sizeof *run->vectors);
    run->places_size = (size_t)info->places * (size_t)info->place_width;
    bool places = run->o->places && run->places_size;
    if (places)
        run->places = mem_array((size_t)run->batch_size, run->places_size * sizeof *run->places);
    if (!run->batch || !run->pixels || !run->vectors || (places && !run->places))
        return error_set(err, ST_NOMEM, "out of memory for a batch of %d", run->batch_size);
    return db_model_put(run->parts->db, info->id, info->name, info->dim, &run->model, err);
}

enum status index_run(const struct index_parts *parts, const struct index_opts *o,
                      struct index_report *r, struct error *err)
{
    struct index_run run = {
        .parts = parts, .o = o, .r = r, .session = parts->session, .start = time_now()};
    *r = (struct index_report){0};
    enum status st = open_run(&run, err);
    if (!st)
        st = index_roots_load(&run, err);
    if (!st)
        st = index_scan(&run, err);
    r->work = run.work.n;
    if (!st)
        st = process(&run, err);
    if (!st && o->prune)
        st = index_roots_prune(&run, err);
    if (st)
        db_rollback(parts->db);
    r->seconds = time_now() - run.start;
    for (size_t i = 0; i < run.work.n; i++)
        mem_free(run.work.item[i].path);
    mem_free(run.work.item);
    index_roots_release(&run.roots);
    mem_free(run.batch);
    mem_free(run.pixels);
    mem_free(run.vectors);
    mem_free(run.places);
    return st;
}
