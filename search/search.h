/* A query vector and a filter to ranked image ids: exact below 50,000 pictures, FAISS above, always
 * re-ranked exactly.
 *
 *     struct search *s = NULL;
 *     if (search_open(&s, db, model, &(struct search_opts){.threads = 2}, &err)) return err.code;
 *     struct search_result r = {0};
 *     search_topk(s, query, &(struct db_filter){.folder = "/photos/2019"}, 10, &r, &err);
 *     for (size_t i = 0; i < r.n; i++)
 *         printf("%.3f %lld\n", r.hits[i].score, (long long)r.hits[i].image);
 *     search_result_release(&r);
 *     search_close(s);
 *
 * search_open maps the caches in the library's folder (docs/FILE-FORMATS-LIBRARY.md) and takes from
 * SQLite what they lack: vectors-<model>.bin is brought up to date on the disk where nobody else is
 * at it and the folder can be written, otherwise the missing rows are held in memory. A cache that
 * is damaged, of another history or of another version is never used; it is made again.
 * search_maintain also trains the FAISS index, which search_open never does.
 *
 * Scores are cosines in f32: the scan reads f16 rows (error at most 1e-3, typically 3e-5), and the
 * best of it are scored again from SQLite's f32 vectors for k up to 4,096. Order: score descending,
 * then id ascending. A search sees the vectors of the moment search_open or search_refresh was
 * called, and filters as of each call. While the db has a transaction open, nothing is written.
 * Thread rule: one thread at a time, that of its db. */
#ifndef EIDETIC_SEARCH_SEARCH_H
#define EIDETIC_SEARCH_SEARCH_H

#include "db/images.h"
#include "db/vectors.h"

struct search;

struct search_opts {
    int threads;           /* 0 = cpu_count() */
    uint64_t exact_below;  /* rows under which all are scanned; 0 = 50,000 */
    float recall;          /* wanted recall@20; 0 = 0.98 */
    bool caches_read_only; /* write nothing into the library's folder */
    bool no_index;         /* scan all, whatever the size */
    /* Real query vectors (unit rows of dim) on which search_maintain measures recall beside its own
     * (stored rows and mixtures of them); NULL = its own only. */
    const float *queries;
    size_t n_queries;
    /* Said by search_maintain before each step; may be NULL. */
    void (*progress)(void *ctx, const char *step);
    void *progress_ctx;
};

/* The options' pointers are used during the call only. db must outlive s. */
enum status search_open(struct search **s, struct db *db, int64_t model,
                        const struct search_opts *o, struct error *err);
void search_close(struct search *s); /* takes NULL */
/* Takes in what was committed since. Cheap where nothing was. */
enum status search_refresh(struct search *s, struct error *err);

struct search_hit {
    int64_t image;
    float score;
    float names, tags; /* of fuse.h: shares of the query's words; 0 without it */
};
struct search_result {
    struct search_hit *hits;
    size_t n; /* at most k; fewer where fewer were selected */
    /* Of this query's scores over the archive, whatever the filter: all rows where all were
     * scanned, otherwise a fixed sample of up to 4,096, runs of eight spread evenly. For rank_fits.
     */
    double mean, sd;
    size_t moments_n;
    size_t candidates; /* rows that the filter left */
    size_t scored;     /* rows scored exactly */
    bool exact;        /* false: by the FAISS index, within its recall */
};
/* q: dim floats, any positive length (normalised here). filter NULL: every present picture. k >= 1.
 */
enum status search_topk(struct search *s, const float *q, const struct db_filter *filter, size_t k,
                        struct search_result *r, struct error *err);
/* What finds the best of many rows for many queries at once, such as a graphics card: for each of m
 * unit queries q [m, dim] the k best rows, best first, as score and row number [m, k] each; where
 * fewer count, the rest has row -1. `era` changes when rows of before are gone from memory. */
struct search_rows {
    const void *rows; /* [n, dim] of f16, or of f32 where f32 is set */
    bool f32;
    size_t n;
    const uint8_t *keep; /* bit n % 8 of byte n / 8: row n counts; NULL: all do */
    int dim;
    unsigned era;
};
struct search_nearest {
    enum status (*run)(void *ctx, const struct search_rows *rows, const float *q, size_t m,
                       size_t k, float *score, float *row, struct error *err);
    void *ctx;
};
/* Looks for m queries [m, dim] together. Until the library changes search_topk answers them from
 * what was found where they come with this filter, for k up to 240, exactly. All else is scanned
 * for as ever, also where more pictures have the last score than can be told apart. */
enum status search_ahead(struct search *s, const struct search_nearest *by, const float *queries,
                         size_t m, const struct db_filter *filter, struct error *err);
/* Leaves out each hit whose cosine with one before it is at least `alike`, or whose burst one
 * before it is of. */
enum status search_dedup(struct search *s, struct search_result *r, float alike, struct error *err);
void search_result_release(struct search_result *r); /* takes a zeroed struct */
/* The score of one picture by its stored f32 vector, as search_topk gives it; q: of length 1. *have
 * false: it has no vector of this model. */
enum status search_score(struct search *s, const float *q, int64_t image, float *score, bool *have,
                         struct error *err);

struct search_stats {
    const char *kind;       /* "exact" or the index's kind: "ivf" */
    char description[64];   /* FAISS's factory string, or "flat f16 avx512" */
    uint64_t rows;          /* live vectors that a search sees */
    uint64_t dead;          /* removed, not yet squeezed out of the file */
    uint64_t indexed, tail; /* of rows: inside the FAISS index; scanned beside it */
    uint64_t in_memory;     /* of rows: not in vectors-<model>.bin yet */
    uint64_t bytes;         /* of both caches on the disk */
    int64_t generation;     /* of the database that is answered from */
    double recall;          /* recall@20 measured when the index was built; 1 for exact */
    int nlist, nprobe;      /* 0 for exact */
    bool rebuilt;           /* a cache was unusable or absent and made again by this open */
    char why[160];          /* ... and why, or why it could not be; "" = nothing to say */
};
void search_stats(const struct search *s, struct search_stats *st);

/* Brings both caches up to date: after indexing, and in `check --repair`. Trains the FAISS index
 * where the library is large enough and there is none, it is unusable, or its tail exceeds 10 %;
 * squeezes removed rows out. A library that another process maintains now is left to it (ST_OK).
 * Not inside a transaction. */
enum status search_maintain(struct db *db, int64_t model, const struct search_opts *o,
                            struct error *err);
/* Removes both caches of the model (hex), or of all models with NULL. */
enum status search_drop_caches(struct db *db, const char *model_hex, struct error *err);
/* Verifies what opening takes on trust: every block's checksum, that the file's rows are exactly
 * SQLite's, the index's checksum. As db_check: found for each problem, ST_OK when it could be
 * looked at. An absent cache is no problem. */
enum status search_check(struct db *db, int64_t model, bool deep,
                         void (*found)(void *ctx, const char *what), void *ctx, int64_t *problems,
                         struct error *err);

#endif
