/* faiss-<model>.idx: our header round FAISS's bytes; and the queries that measure an index. Private
 * to search/faiss*.c. docs/FILE-FORMATS-LIBRARY.md describes the file. */
#ifndef EIDETIC_SEARCH_FAISS_FILE_H
#define EIDETIC_SEARCH_FAISS_FILE_H

#include "core/threads.h"
#include "search/flat.h"
#include "search/vindex.h"
#include <stdio.h>

#define FAISS_FILE_MAGIC "EIDIVF1\n"
#define FAISS_FILE_VERSION 1
#define FAISS_FILE_HEADER 256

struct FaissIndex_H;

/* Opens, verifies and leaves *f at FAISS's first byte. deep: the lists' checksum too. */
enum status faiss_file_open(FILE **f, const char *path, const char *model, int dim, bool deep,
                            struct vindex_info *info, struct error *err);
/* Temporary, fsync, rename; info->bytes is filled in. */
enum status faiss_file_write(const char *path, const struct FaissIndex_H *index,
                             struct vindex_info *info, struct error *err);

struct faiss_probe { /* queries of one kind and their exact best scores */
    float *queries;  /* [n, dim] */
    float *scores;   /* [n, k] */
    size_t n, k;
};
/* Three kinds: stored rows; mixtures of stored rows, which lie between clusters as sentences do;
 * the caller's queries (none where there are none). */
enum status faiss_probes(struct faiss_probe kinds[3], const struct vindex_build *b,
                         const struct flat_ops *ops, struct pool *pool, struct error *err);
void faiss_probe_release(struct faiss_probe *p);

#endif
