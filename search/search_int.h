/* The open search, shared by search.c, topk.c, cache.c and maintain.c. */
#ifndef EIDETIC_SEARCH_SEARCH_INT_H
#define EIDETIC_SEARCH_SEARCH_INT_H

#include "search/flat.h"
#include "search/search.h"
#include "search/vindex.h"

/* What is scanned: the mapped file's blocks, and one block in memory of what the file lacks. */
struct view {
    struct vecfile file; /* zeroed where there is none */
    struct vec_block *blocks;
    size_t n_blocks, n_rows;
    uint8_t *dead; /* bit per row; NULL = none; own memory */
    size_t n_dead;
    int64_t generation;
    uint64_t stamp;
    /* the tail */
    int64_t *images, *gens;
    float *rows;
    size_t n_tail;
};

/* The rows that the last query's filter left. */
struct selection {
    char *key; /* db_filter_key's; NULL = nothing is kept */
    struct db_idset set;
    uint8_t *keep; /* bit per row; NULL = all */
    size_t n;
    bool plain; /* nearly all: a scan of them gives the moments */
};
void selection_release(struct selection *c); /* takes a zeroed one, and leaves one */
/* topk.c: the filter's selection becomes s->chosen, unless it is that already. */
enum status selection_make(struct search *s, const struct db_filter *filter, struct error *err);

struct search;
/* What search_ahead found: the SEARCH_AHEAD best for each of m unit queries, best first. */
enum { SEARCH_AHEAD = 320 };
struct ahead {
    char *key; /* of the selection that it is for */
    float *q;  /* [m, dim] */
    struct flat_hit *hits;
    size_t *n, m;
};
void ahead_release(struct ahead *a); /* takes a zeroed one, and leaves one */
/* Its hits, best first, or NULL: q was not asked for, or not of this selection, or k is too many.
 */
const struct flat_hit *ahead_find(const struct search *s, const float *q, size_t k, size_t *n);
/* topk.c */
enum status search_unit_query(const float *q, size_t dim, float *out, struct error *err);

struct search {
    struct db *db;
    struct db_model model;
    struct search_opts opts; /* its pointers are not kept */
    struct flat_ops ops;
    struct pool *pool;
    struct view view;
    struct selection chosen;        /* of the view's rows */
    const struct vindex_kind *kind; /* NULL = no index */
    void *index;
    struct vindex_info info;
    size_t tail_from; /* first row that the index does not know */
    struct ahead ahead;
    unsigned era; /* counts views */
    bool rebuilt;
    char why[160];
};

/* cache.c: files of the library's folder. mem_free the paths; NULL = no memory. */
char *cache_path(struct db *db, const char *prefix, const char *hex, const char *suffix);
#define CACHE_VECTORS(db, hex) cache_path(db, "vectors-", hex, ".bin")
#define CACHE_INDEX(db, hex) cache_path(db, "faiss-", hex, ".idx")
/* The lock of those who write caches; never waits. ST_LOCKED another has it. */
enum status cache_lock(struct db *db, int *fd, struct error *err);
void cache_unlock(int fd);
/* Appends what the file lacks, or makes it anew where it cannot be used; under cache_lock and in
 * one read transaction. *rebuilt and why (160 bytes) say what was done. squeeze: anew also where
 * removed rows or small blocks have piled up. */
enum status cache_update(struct db *db, const struct db_model *m, const struct flat_ops *ops,
                         bool squeeze, bool *rebuilt, char *why, struct error *err);
/* Opens the file if it is of the database's history, then takes the rest from SQLite into memory.
 */
enum status view_open(struct view *v, struct db *db, const struct db_model *m, struct error *err);
void view_close(struct view *v);
/* Can what is at this generation with this stamp be caught up from the database as it is now? */
enum status cache_same_history(struct db *db, int64_t model, int64_t generation, uint64_t stamp,
                               bool *same, struct error *err);

/* A read transaction unless one is open. */
enum status snapshot_begin(struct db *db, bool *own, struct error *err);
void snapshot_end(struct db *db, bool own);

#endif
