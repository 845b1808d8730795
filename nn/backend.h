/* A backend: where ops run. It is opened once, immutable afterwards but for its sticky failure.
 *
 *     struct backend *be = NULL;
 *     if (backend_open(&be, "cpu", threads, &err)) return err.code;
 *     ... op_linear(be, &y, &x, &w, &b, ACT_NONE, NULL) ...
 *     if (backend_sync(be, &err)) ...          // the first failure of any op since the last sync
 *     backend_close(be);
 *
 * Names: "cpu" is the best that this processor has; "cpu:ref", "cpu:avx2", "cpu:avx512",
 * "cpu:avx512vnni" ask for one level; "cpu:blas" is "cpu" with OpenBLAS for the matrix products.
 * "cuda:N" is the N-th NVIDIA device, "cuda" the first, where the build has them; "+low" behind the
 * number keeps no large weights on it, but copies them up for each op. "/bf16" or "/int8" behind a
 * name asks for arithmetic in that type for products with weights (tensor_use): bf16 values and f32
 * sums, or 8-bit values and exact sums, a scale for each row of both sides; attention is in bf16
 * with f32 sums then. It takes the instructions of avx512vnni, or the reference's plain C
 * ("cpu:ref/int8"). "/f16" is bf16's counterpart for cuda alone: finer, and what is beyond 65504
 * becomes infinite, but for weights marked as TENSOR_WEIGHT_WIDE, whose products stay in bf16 (f32
 * on devices without it). EIDETIC_CPU lowers what all of them may use. Threads: 0 = as many as
 * processors. An op gives the same bits with any number of threads, and a row of a product the same
 * whatever it is batched with up to 24 rows, and with more: few rows take a kernel of their own.
 *
 * The slots of the op table are filled when it opens: plain-C reference first, then AVX2, AVX-512
 * over it. Thread rule: one thread at a time per backend (it owns the pool and scratch); several
 * backends may live in one process. */
#ifndef EIDETIC_NN_BACKEND_H
#define EIDETIC_NN_BACKEND_H

#include "core/error.h"
#include "core/threads.h"
#include "nn/tensor.h"

struct backend;

enum precision { PREC_F32 = 0, PREC_BF16, PREC_INT8, PREC_F16, PREC_COUNT };
enum { PREC_CPU = PREC_F16 };                 /* those before it are the CPU's too */
const char *precision_name(enum precision p); /* "f32", "bf16", "int8", "f16" */
int precision_parse(const char *name);        /* -1: unknown */

enum status backend_open(struct backend **be, const char *name, int threads, struct error *err);
void backend_close(struct backend *be);
const char *backend_name(const struct backend *be); /* "cpu:avx512vnni" */
enum precision backend_precision(const struct backend *be);
/* Whether "cpu/bf16" and "cpu/int8" can be opened here. */
bool backend_has_low_precision(void);
int backend_threads(const struct backend *be);
struct pool *backend_pool(struct backend *be);
enum status backend_sync(struct backend *be, struct error *err);

/* A device of its own memory (cuda). Ops take tensors of any host memory, but those of an arena
 * whose `memory` is the backend's stay on the device from op to op: what the host wrote is uploaded
 * before an op reads it, and what it wants to read is downloaded, which waits. ids and lengths are
 * always the host's. On the CPU backend_memory is NULL and the two do nothing, as they do for
 * tensors of other memory. The arena is released before the backend is closed. */
struct arena;
struct arena_memory;
struct arena_memory *backend_memory(struct backend *be);
void backend_upload(struct backend *be, const struct tensor *t);
void backend_download(struct backend *be, const struct tensor *t);
size_t backend_room(struct backend *be); /* bytes that the device has left; SIZE_MAX on the CPU */

/* Copies beside computing, for who keeps two batches under way: tensors of an arena of
 * backend_staging are sent while the ops queued before go on, those queued afterwards wait for
 * them; a fetch stands behind the ops queued so far. Neither makes the caller wait. `slot`, 0 or 1,
 * names the fetch that backend_wait waits for; until then the host leaves what it sent and what it
 * fetches alone. backend_wait says the first failure, as backend_sync does, and on the CPU is it.
 */
struct arena_memory *backend_staging(struct backend *be);
void backend_send(struct backend *be, const struct tensor *t);
void backend_fetch(struct backend *be, const struct tensor *t, int slot);
enum status backend_wait(struct backend *be, int slot, struct error *err);

/* Runs f(ctx), which queues ops over tensors of the device's memory and over weights alone; what it
 * queues, ids and lengths included, follows from `key` (63 letters at most) and from where the
 * tensors lie. A device records it when a key comes again, and from then on replays the record
 * without calling f. So f uploads and downloads nothing. Weights are known by their packs: where
 * those that a record read are gone, it is made again. It may take scratch from a, from which the
 * caller then takes nothing more until the arena is rewound. */
enum status backend_repeat(struct backend *be, struct arena *a, const char *key,
                           enum status (*f)(void *ctx), void *ctx);

/* Names of all backends that this build and machine can open, NULL-terminated, for tests and help.
 */
const char *const *backend_list(void);
/* One line about the matrix library in use ("OpenBLAS 0.3.21 SkylakeX, OpenMP"), for `doctor`. */
const char *backend_blas_info(void);

#endif
