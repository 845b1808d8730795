/* Structures over the vector file for libraries that are too large to scan: a plug-in is one file
 * with one const struct vindex_kind, and a line in vindex.c's list.
 *
 *     const struct vindex_kind *k = vindex_find("ivf");
 *     k->build(path, &view, &opts, &info, &err);           // temporary, fsync, rename
 *     k->open(&state, path, hex, dim, deep, &info, &err);  // verified before FAISS parses a byte
 *     k->search(state, &query, hits, &n, &all, &err);      // candidates: rows of the vector file
 *     k->close(state);
 *
 * An index knows rows by their db generation; it looks each candidate up in the vector file
 * (removed or replaced ones are not found there) and passes over those that the filter leaves out.
 * Its scores are approximate: the caller scores the candidates exactly. So a wrong index costs
 * recall, never a wrong score or a removed picture. */
#ifndef EIDETIC_SEARCH_VINDEX_H
#define EIDETIC_SEARCH_VINDEX_H

#include "core/threads.h"
#include "search/flat.h"
#include "search/search.h"

struct vindex_info { /* what the file says of itself */
    char model[41];
    char description[64];
    int dim, nlist, nprobe;
    int64_t generation;
    uint64_t stamp, rows, bytes;
    double recall;
};

struct vindex_build {
    const struct vec_block *blocks;
    size_t n_blocks, n_rows;
    const uint8_t *dead; /* may be NULL */
    const struct search_opts *opts;
    struct vindex_info info; /* model, dim, generation, stamp given; the rest filled in */
};

struct vindex_query {
    const float *q;                 /* [dim], unit */
    size_t n;                       /* candidates wanted */
    double effort;                  /* 1 = as built, more looks further */
    const struct vec_block *blocks; /* what generations mean */
    size_t n_blocks;
    size_t below;        /* rows from here on are not wanted */
    const uint8_t *keep; /* bit per row number: wanted; NULL = all */
    struct pool *pool;
};

struct vindex_kind {
    const char *name; /* persisted in file names: faiss-<model>.idx holds it in its header */
    enum status (*build)(const char *path, struct vindex_build *b, struct error *err);
    /* deep: all checksums, not only those of the parsed part. */
    enum status (*open)(void **state, const char *path, const char *model, int dim, bool deep,
                        struct vindex_info *info, struct error *err);
    void (*close)(void *state);
    /* Up to q->n candidates, unordered, in hits (room for q->n) with approximate scores; *all is
     * set when nothing is left to look at. */
    enum status (*search)(void *state, const struct vindex_query *q, struct flat_hit *hits,
                          size_t *found, bool *all, struct error *err);
};
extern const struct vindex_kind *const vindex_kinds[]; /* NULL-terminated */
const struct vindex_kind *vindex_find(const char *name);

#endif
