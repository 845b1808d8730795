/* FAISS as search/faiss*.c sees it: the official C API, and four functions that it lacks. Nothing
 * else includes this, since the C API's headers define names without a prefix. */
#ifndef EIDETIC_SEARCH_FAISS_INT_H
#define EIDETIC_SEARCH_FAISS_INT_H

#include <stdint.h>
#include <stdio.h>

#include <faiss/c_api/IndexIVF_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/error_c.h>
#include <faiss/c_api/index_factory_c.h>
#include <faiss/c_api/index_io_c.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Unofficial. Reads an index from the file's position with its inverted lists mapped, not copied:
 * the C header's FAISS_IO_FLAG_MMAP is 1 in 1.7.3, which the library does not know. Lists are read
 * as they are needed, without FAISS's own prefetch threads. Non-zero: see faiss_get_last_error. */
int eidetic_faiss_read_mapped(FILE *f, FaissIndex **index);

/* Unofficial. An inverted list as it lies in memory or in the map: codes and ids, n of them. */
void eidetic_faiss_list(const FaissIndexIVF *index, size_t list, const uint8_t **codes,
                        const int64_t **ids, size_t *n);
/* Unofficial. What `IVFn,SQ8` was trained to: the least value of each dimension, then the ranges;
 * NULL where the index is of another kind. */
const float *eidetic_faiss_ranges(const FaissIndex *index);

/* Unofficial. The one place that sets how many threads FAISS and the OpenMP build of OpenBLAS use.
 */
void eidetic_faiss_threads(int n);

#ifdef __cplusplus
}
#endif

#endif
