/* Fills the catalogue from folders: walk, decode in worker processes, embed, write.
 *
 *     struct index_opts o = {.roots = roots, .n_roots = 1, .stop = &interrupted};
 *     struct index_report r;
 *     enum status st = index_run(&(struct index_parts){db, session, clip, decoder}, &o, &r, &err);
 *     // ST_OK also when single files failed: r.failed counts them, db_errors_each lists them
 *
 * What is committed stays whatever happens: batches are committed as they are embedded, so a kill
 * costs at most the batch in flight. A file that is unchanged (size and time) is not read; a file
 * whose bytes are known keeps its vector, under any name. Words (image/words.h) are read again
 * when a sidecar beside a file has changed. Nothing is deleted, and a root that is
 * gone (unmounted) is left as it was, unless `prune` is set. Originals are only read. Thread rule:
 * one thread; the decoder's workers are other processes. */
#ifndef EIDETIC_INDEXER_INDEXER_H
#define EIDETIC_INDEXER_INDEXER_H

#include "clip/clip.h"
#include "db/db.h"
#include "image/decoder.h"
#include "indexer/walk.h"
#include <signal.h>

struct index_report {
    uint64_t scanned;   /* picture files seen */
    uint64_t embedded;  /* contents that got a vector in this run */
    uint64_t moved;     /* known contents whose file has a new name, the old one being gone */
    uint64_t copies;    /* known contents under one more name */
    uint64_t unchanged; /* files left as they were */
    uint64_t missing;   /* files that this run found gone (kept in the catalogue) */
    uint64_t failed;    /* files that this run could not read or decode */
    uint64_t known_bad; /* files unchanged since they failed in an earlier run; not tried again */
    uint64_t words; /* unchanged files whose words were read again: a sidecar came, changed, went */
    uint64_t pruned; /* file rows that --prune removed */
    uint64_t roots_gone;
    uint64_t work, done; /* files to decode, and decoded so far, for progress */
    double seconds;
};

struct index_parts {
    struct db *db; /* opened for writing, no transaction open */
    struct clip_session *session;
    const struct clip *clip;
    struct decoder *decoder; /* opened with clip_prep and hash = true; slots >= 2 * batch_size */
};

struct index_opts {
    const char *const *roots; /* absolute; none = every known root */
    size_t n_roots;
    struct walk_opts walk;  /* want is set by index_run */
    int batch_size;         /* 0 = INDEX_BATCH */
    bool exact;             /* pixels come from full decodes: recorded beside the vector */
    bool prune;             /* forget what is missing, vanished roots too */
    unsigned shard, shards; /* only the shard-th of so many parts, from 1 on; 0 = all */
    bool retry_failed;      /* try files again that failed before and have not changed */
    const volatile sig_atomic_t *stop; /* set by a signal handler; NULL = never */
    void (*progress)(void *ctx, const struct index_report *r); /* may be NULL */
    void (*warn)(void *ctx, const char *sentence);             /* may be NULL */
    void *ctx;
    /* Of every content that got a vector, in the transaction that puts it there; NULL = nothing.
     * places: clip_look_images' states where `places` is set, else NULL. */
    enum status (*embedded)(void *ctx, int64_t image, const float *vector, const float *places,
                            struct error *err);
    void *embedded_ctx;
    bool places;
    /* Called once with the first batch of pictures, before it is embedded: may put another session
     * in the place of the parts', which embeds from then on. NULL = nothing. */
    enum status (*first_batch)(void *ctx, const uint8_t *const *pixels, int n,
                               struct clip_session **session, struct error *err);
    void *first_batch_ctx;
};
enum { INDEX_BATCH = 16 };

/* ST_INTERRUPTED: stopped by the user, what was done is committed. */
enum status index_run(const struct index_parts *parts, const struct index_opts *o,
                      struct index_report *r, struct error *err);

#endif
