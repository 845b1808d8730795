/* FAISS as search/faiss.c sees it: the official C API, and two functions that it lacks. Only
 * faiss.c and the two C++ files beside it include this, since the C API's headers define names
 * without a prefix. */
#ifndef EIDETIC_SEARCH_FAISS_INT_H
#define EIDETIC_SEARCH_FAISS_INT_H

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

/* Unofficial. The one place that sets how many threads FAISS and the OpenMP build of OpenBLAS use.
 */
void eidetic_faiss_threads(int n);

#ifdef __cplusplus
}
#endif

#endif
