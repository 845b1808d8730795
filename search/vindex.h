/* Structures over the vector file for libraries that are too large to scan: a plug-in is one file
 * with one const struct vindex_kind, and a line in vindex.c's list.
 *
 *     const struct vindex_kind *k = vindex_find("ivf");
 *     k->build(path, &view, &opts, &info, &err);           // temporary, fsync, rename
 *     k->open(&state, path, &expect, &info, &err);         // verified before FAISS parses a byte
 *     n = k->search(state, q, want, effort, gens, &err);   // candidates by generation
 *     k->close(state);
 *
 * An index answers with the db generations of candidate rows and nothing else: search.c looks each
 * up in the vector file (removed or replaced ones are not found there), applies the filter and
 * scores exactly. So a wrong index costs recall, never a wrong score or a removed picture. */
#ifndef EIDETIC_SEARCH_VINDEX_H
#define EIDETIC_SEARCH_VINDEX_H

#include "core/threads.h"
#include "search/search.h"
#include "search/vecfile.h"

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

struct vindex_kind {
    const char *name; /* persisted in file names: faiss-<model>.idx holds it in its header */
    enum status (*build)(const char *path, struct vindex_build *b, struct error *err);
    /* deep: all checksums, not only those of the parsed part. */
    enum status (*open)(void **state, const char *path, const char *model, int dim, bool deep,
                        int threads, struct vindex_info *info, struct error *err);
    void (*close)(void *state);
    /* Up to n candidate generations for one query, best first, in gens (room for n); effort 1 = as
     * built, 2, 4, ... look further, *all is set when nothing is left to look at. Returns the count
     * in *found. */
    enum status (*search)(void *state, const float *q, size_t n, int effort, int64_t *gens,
                          size_t *found, bool *all, struct error *err);
};
extern const struct vindex_kind *const vindex_kinds[]; /* NULL-terminated */
const struct vindex_kind *vindex_find(const char *name);

#endif
