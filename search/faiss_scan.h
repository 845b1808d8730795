/* Scanning the inverted lists that FAISS built (`IVFn,SQ8`: a byte a value, of the row's difference
 * to its list's centroid). FAISS decodes them value by value, for the oldest x86-64; here a query
 * is turned into integer weights once, and a row costs dim bytes of memory traffic and little else.
 *
 *     struct ivf_lists l;
 *     ivf_lists_init(&l, index, &err);                 // index must outlive l
 *     ivf_scan(&l, &query, nprobe, hits, &found, &err);
 *     ivf_lists_release(&l);
 *
 * With v the stored range and c the byte of value j: x_j = vmin_j + (c_j + 1/2) / 255 vdiff_j, so
 * q.x = q.centroid + sum_j q_j (vmin_j + vdiff_j / 510) + sum_j (q_j vdiff_j / 255) c_j. */
#ifndef EIDETIC_SEARCH_FAISS_SCAN_H
#define EIDETIC_SEARCH_FAISS_SCAN_H

#include "search/flat.h"
#include "search/vindex.h"

struct FaissIndex_H;

struct ivf_list {
    const uint8_t *codes; /* [n, dim], mapped or FAISS's memory */
    const int64_t *gens;
    size_t n;
};
struct ivf_lists {
    size_t n, dim;
    float *centroids;    /* [n, dim], then what is added to every score [dim], then scales [dim] */
    const float *offset; /* vmin + vdiff / 510 */
    const float *scale;  /* vdiff / 255 */
    struct ivf_list *list;
    struct flat_ops ops;
};
/* ST_FORMAT where the index is no IVFn,SQ8. */
enum status ivf_lists_init(struct ivf_lists *l, struct FaissIndex_H *index, struct error *err);
void ivf_lists_release(struct ivf_lists *l); /* takes a zeroed struct */

/* The best of the nprobe nearest lists; as vindex_kind.search otherwise. */
enum status ivf_scan(const struct ivf_lists *l, const struct vindex_query *q, size_t nprobe,
                     struct flat_hit *hits, size_t *found, struct error *err);

#endif
