/* Private to indexer/: one run's state, and the stages that share it. */
#ifndef EIDETIC_INDEXER_INT_H
#define EIDETIC_INDEXER_INT_H

#include "db/files.h"
#include "db/images.h"
#include "db/vectors.h"
#include "db/written.h"
#include "indexer/indexer.h"

/* A file that must be read: new, changed, or without a vector of this model. */
struct index_item {
    char *path;
    int64_t root, size, mtime_ns;
    uint64_t dev, ino;
    int64_t sidecars;
    int64_t image; /* 0, or: only the words of a file that holds this content must be read */
};

struct index_list {
    struct index_item *item;
    size_t n, cap;
};

/* A decoded picture that waits for its batch; it holds its decoder slot until embedded. */
struct index_pending {
    struct decoder_job job;
    struct index_item *item;
};

struct index_root {
    char *path;
    bool known;   /* the catalogue has it as a root */
    bool gone;    /* not there now: its files are kept, or forgotten by prune */
    bool covered; /* vanished from inside another root: that one's scan settles its files */
};
struct index_roots {
    struct index_root *root;
    size_t n;
};

struct index_run {
    const struct index_parts *parts;
    const struct index_opts *o;
    struct index_report *r;
    struct clip_session *session; /* the parts', until first_batch gives another */
    bool began;                   /* the first batch has been seen */
    struct index_roots roots;
    struct index_list work;
    int64_t model;
    int dim, batch_size;
    struct index_pending *batch;
    int batch_n;
    const uint8_t **pixels; /* [batch_size], into the slots */
    float *vectors;         /* [batch_size, dim] */
    float *places;          /* [batch_size, places_size] where the options ask for them */
    size_t places_size;
    double last_commit, start;
};

bool index_stopped(const struct index_run *run);
/* "<path>" and what is said of it, safe for a terminal. */
void index_warn(const struct index_run *run, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

void index_report_progress(struct index_run *run);

/* roots.c: those asked for (or all), and the known ones below them. */
enum status index_roots_load(struct index_run *run, struct error *err);
/* Roots strictly below root i, NULL-terminated: mem_free(*inside), the strings are the list's. */
enum status index_roots_inside(const struct index_roots *l, size_t i, const char ***inside,
                               struct error *err);
enum status index_roots_prune(struct index_run *run, struct error *err);
void index_roots_release(struct index_roots *l);

/* scan.c: walks the roots, settles what is unchanged or gone, and leaves the rest in run->work. */
enum status index_scan(struct index_run *run, struct error *err);

/* stage_embed.c: takes one decoder result; embeds and writes a batch when it is full. */
enum status index_take(struct index_run *run, struct decoder_job *job, struct error *err);
enum status index_flush(struct index_run *run, struct error *err);

/* stage_write.c */
enum status index_write_begin(struct index_run *run, struct error *err); /* if none is open */
enum status index_write_commit(struct index_run *run, bool now, struct error *err);
enum status index_write_failed(struct index_run *run, const struct index_item *it,
                               const struct decoder_job *job, struct error *err);
/* The content's bytes are known and embedded: only the file is new. */
enum status index_write_known(struct index_run *run, const struct index_item *it,
                              const struct decoder_job *job, int64_t image, struct error *err);
/* Only what people wrote of the file (it->image is its content). */
enum status index_write_reread(struct index_run *run, const struct index_item *it,
                               const struct decoder_job *job, struct error *err);
enum status index_write_new(struct index_run *run, const struct index_item *it,
                            const struct decoder_job *job, const float *vector, const float *places,
                            struct error *err);

#endif
