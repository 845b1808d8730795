/* Writing: one transaction a batch, so that a commit is worth its fsync and a kill costs one batch.
 */
#include "core/mem.h"
#include "core/progress.h"
#include "indexer/indexer_int.h"
#include <stdio.h>
#include <string.h>

static const double COMMIT_SECONDS = 1.0;

enum status index_write_begin(struct index_run *run, struct error *err)
{
    if (db_in_transaction(run->parts->db))
        return ST_OK;
    run->last_commit = time_now();
    return db_begin(run->parts->db, err);
}

enum status index_write_commit(struct index_run *run, bool now, struct error *err)
{
    if (!db_in_transaction(run->parts->db))
        return ST_OK;
    if (!now && time_now() - run->last_commit < COMMIT_SECONDS)
        return ST_OK;
    return db_commit(run->parts->db, err);
}

/* Size and time as the worker read them, which may be newer than the scan's. */
static struct db_file file_of(const struct index_item *it, const struct decoder_job *job)
{
    return (struct db_file){.root = it->root,
                            .path = it->path,
                            .size = job->has_hash ? job->size : it->size,
                            .mtime_ns = job->has_hash ? job->mtime_ns : it->mtime_ns,
                            .dev = it->dev,
                            .ino = it->ino,
                            .status = DB_FILE_PRESENT};
}

/* Would the same bytes fail again? Else (no permission, no memory) a time that no file has makes
 * every run try again. */
static bool is_of_content(enum status st)
{
    return st == ST_FORMAT || st == ST_UNSUPPORTED || st == ST_LIMIT;
}

enum status index_write_failed(struct index_run *run, const struct index_item *it,
                               const struct decoder_job *job, struct error *err)
{
    if (job->status == ST_NOT_FOUND) { /* gone since the scan */
        run->r->missing++;
        return ST_OK;
    }
    struct db_file f = file_of(it, job);
    if (!is_of_content(job->status))
        f.mtime_ns = -1;
    enum status st = index_write_begin(run, err);
    if (!st)
        st = db_file_failed(run->parts->db, &f, job->status, job->text, err);
    run->r->failed++;
    return st;
}

static enum status write_words(struct index_run *run, const struct index_item *it,
                               const struct image_words *w, int64_t file, struct error *err)
{
    struct db_written to = {.title = w->title, .description = w->description, .rating = w->rating};
    const char **keyword = NULL;
    for (const char *k = NULL; (k = image_words_next(w, k));)
        to.n++;
    if (to.n && !(keyword = mem_array(to.n, sizeof *keyword)))
        return error_set(err, ST_NOMEM, "out of memory");
    to.n = 0;
    for (const char *k = NULL; keyword && (k = image_words_next(w, k));)
        keyword[to.n++] = k;
    to.keyword = keyword;
    enum status st = db_written_put(run->parts->db, file, it->sidecars, &to, err);
    mem_free(keyword);
    return st;
}

/* Date and place of a content that is there already: those that a sidecar gives, or all, since the
 * file's own hold again where a sidecar changed or went. */
static enum status write_facts(struct index_run *run, int64_t image, const struct image_meta *m,
                               bool all, struct error *err)
{
    enum status st = ST_OK;
    if (all || m->words.taken[0])
        st = db_image_set_taken(run->parts->db, image, m->taken, err);
    if (!st && (all || m->words.has_gps))
        st = db_image_set_place(run->parts->db, image, m->has_gps, m->lat, m->lon, m->alt, err);
    return st;
}

enum status index_write_reread(struct index_run *run, const struct index_item *it,
                               const struct decoder_job *job, struct error *err)
{
    struct db *db = run->parts->db;
    struct db_file f = {0};
    if (job->status == ST_NOT_FOUND || job->size != it->size || job->mtime_ns != it->mtime_ns)
        return ST_OK; /* changed since the scan: the next one sees it */
    if (job->status) {
        run->r->failed++;
        index_warn(run, it->path, "keeps its old words: %.160s", job->text);
        return ST_OK;
    }
    enum status st = index_write_begin(run, err);
    if (!st)
        st = db_file_get(db, it->path, &f, err);
    if (!st)
        st = write_words(run, it, &job->meta.words, f.id, err);
    if (!st)
        st = write_facts(run, it->image, &job->meta, true, err);
    run->r->words += !st;
    return st;
}

static enum status any_present(void *ctx, const char *path, bool missing)
{
    (void)path;
    *(bool *)ctx |= !missing;
    return ST_OK;
}

enum status index_write_known(struct index_run *run, const struct index_item *it,
                              const struct decoder_job *job, int64_t image, struct error *err)
{
    bool elsewhere = false;
    int64_t id = 0;
    struct db_file f = file_of(it, job), old;
    f.image = image;
    enum status st = db_file_get(run->parts->db, it->path, &old, NULL);
    bool same_name = !st && old.image == image;
    st = db_image_paths_each(run->parts->db, image, any_present, &elsewhere, err);
    if (!st)
        st = index_write_begin(run, err);
    if (!st)
        st = db_file_put(run->parts->db, &f, &id, err);
    if (!st)
        st = write_words(run, it, &job->meta.words, id, err);
    if (!st)
        st = write_facts(run, image, &job->meta, false, err);
    if (same_name) /* touched, not changed */
        run->r->unchanged++;
    else if (elsewhere)
        run->r->copies++;
    else
        run->r->moved++;
    return st;
}

/* The decoder's strings come from another process: cut to size, whatever they hold. */
#define COPY_TEXT(dst, src) snprintf((dst), sizeof(dst), "%s", (src))

static struct db_image image_of(const struct decoder_job *job)
{
    const struct image_meta *m = &job->meta;
    struct db_image im = {.bytes = job->size,
                          .width = m->width,
                          .height = m->height,
                          .orientation = m->orientation,
                          .has_gps = m->has_gps,
                          .lat = m->lat,
                          .lon = m->lon,
                          .alt = m->alt,
                          .has_alt = m->has_gps && m->alt != 0};
    memcpy(im.hash, job->hash, sizeof im.hash);
    COPY_TEXT(im.format, m->format);
    COPY_TEXT(im.taken, m->taken);
    COPY_TEXT(im.make, m->make);
    COPY_TEXT(im.camera, m->camera);
    COPY_TEXT(im.lens, m->lens);
    COPY_TEXT(im.burst, m->words.burst);
    return im;
}

/* A picture that says how it was made is no photograph. The strings are p's and m's. */
static void add_parameters(struct db_image *im, const struct parameters *p,
                           const struct image_meta *m)
{
    im->generated = true;
    im->prompt = (char *)(uintptr_t)p->prompt;
    im->negative = (char *)(uintptr_t)p->negative;
    im->gen_model = (char *)(uintptr_t)parameters_get(p, "Model");
    im->parameters = (char *)(uintptr_t)m->parameters;
    im->has_seed = parameters_whole(p, "Seed", &im->seed); /* else it stays in the text alone */
}

/* By the decoder's own rule: at least halved, where both sides stay large enough for that. */
static bool was_reduced(const struct index_run *run, const struct image_meta *m)
{
    struct decoder_prep prep = clip_prep(run->parts->clip, run->o->exact);
    int need = decoder_min_side(&prep), side = m->width < m->height ? m->width : m->height;
    return !strcmp(m->format, "jpeg") && need > 0 && side / 2 + side % 2 >= need;
}

/* Persisted values are db's; a compiler warns here when a precision is added. */
static enum db_precision precision_of(const struct clip_session *s)
{
    switch (clip_session_precision(s)) {
    case PREC_BF16:
        return DB_PREC_BF16;
    case PREC_INT8:
        return DB_PREC_INT8;
    case PREC_F16:
        return DB_PREC_F16;
    case PREC_F32:
    case PREC_COUNT:
        break;
    }
    return DB_PREC_F32;
}

enum status index_write_new(struct index_run *run, const struct index_item *it,
                            const struct decoder_job *job, const float *vector, const float *places,
                            struct error *err)
{
    struct db *db = run->parts->db;
    struct db_image im = image_of(job);
    struct db_file f = file_of(it, job);
    struct db_vector v = {.precision = precision_of(run->session),
                          .flags = was_reduced(run, &job->meta) ? DB_VEC_REDUCED : 0,
                          .device = clip_session_device(run->session),
                          .v = vector};
    struct parameters p = {0};
    int64_t id = 0;
    enum status st = parameters_parse(&p, job->meta.parameters, err);
    if (!st)
        add_parameters(&im, &p, &job->meta);
    if (!st || st == ST_FORMAT) /* a photograph */
        st = index_write_begin(run, err);
    if (!st)
        st = db_image_put(db, &im, &f.image, err);
    if (!st) {
        v.image = f.image;
        st = db_vector_put(db, run->model, &v, err);
    }
    if (!st)
        st = db_file_put(db, &f, &id, err);
    if (!st)
        st = write_words(run, it, &job->meta.words, id, err);
    if (!st && run->o->embedded)
        st = run->o->embedded(run->o->embedded_ctx, f.image, vector, places, err);
    if (!st)
        run->r->embedded++;
    parameters_release(&p);
    return st;
}
