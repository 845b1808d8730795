/* The CUDA backend inside. A tensor's address is always a host address; an op asks for the device's
 * side of it:
 *
 *     struct cuda_op o;
 *     cuda_begin(&o, be, "scale");
 *     const float *px = cuda_in(&o, x);        // uploads, unless x lies in an arena of the device
 *     float *py = cuda_out(&o, y);
 *     cuda_end(&o, o.ok ? cuda_run_scale(o.c->stream, py, px, s, n) : 0);
 *
 * Three kinds of memory. Arenas that were given backend_memory have a mirror on the device: their
 * tensors live there, and backend_upload and backend_download move what the host writes and reads.
 * Weights that name a store of packs are copied to the device once. Anything else is plain host
 * memory: copied up for each op that reads it and down at the end of each op that writes it, which
 * is slow and always right. Temporaries come from the driver's pool, in the stream's order, so an
 * op neither waits nor, after the first calls, asks the system for memory.
 *
 * Behind each arena's block lies half as much again, as soon as it is wanted: there a device that
 * computes in bf16 has the tensors marked as TENSOR_FACTOR, and nowhere else. Ops that know of it
 * ask cuda_factor; to all others cuda_in widens and cuda_out narrows.
 *
 * Ops run on one stream; backend_send copies on another, which the first one waits for by an
 * event. While backend_repeat records (graph.c), nothing that an op queues runs: an op that needs
 * what cannot be recorded calls cuda_refuse, and the record is thrown away. */
#ifndef EIDETIC_NN_CUDA_CUDA_INT_H
#define EIDETIC_NN_CUDA_CUDA_INT_H

#include "core/arena.h"
#include "nn/backend_int.h"
#include "nn/cuda/kernels.h"

struct cublasLtContext;

enum {
    CUDA_TEMPS = 24,
    CUDA_ALGOS = 64,
    CUDA_WORKSPACE = 32 << 20,
    CUDA_SLOTS = 2,      /* batches under way */
    CUDA_RING = 1 << 20, /* pinned: ids and lengths on their way up */
    CUDA_GRAPHS = 128,   /* a captioner has one for each length of a sentence */
    CUDA_LANES = 2       /* weights that are copied up for one op: one arrives, one is read */
};

struct cuda_range { /* of an arena's block */
    char *host, *device;
    size_t bytes;
    uint16_t *factors;       /* one for each float; NULL: not yet */
    bool pinned, no_factors; /* there was no memory for them: they are floats like all others */
};

struct cuda_ring { /* two halves: one is filled while the copies out of the other run */
    char *base;
    size_t used;
    int half;
    struct CUevent_st *left[2]; /* behind the last copy out of a half */
};

struct cuda_lane {
    void *device;
    size_t bytes;
    struct CUevent_st *sent, *used; /* behind its last copy, and behind the last op that read it */
};

struct cuda_pack;

struct cuda_graph { /* what backend_repeat has recorded for a key */
    char key[64];
    unsigned era;                /* cuda.era when it was recorded */
    bool never;                  /* cannot be recorded */
    struct CUgraphExec_st *exec; /* NULL: not yet */
    void **constant;             /* ids and lengths that it reads */
    int constants;
    struct cuda_pack **pack; /* weights that it reads, which it keeps until it is dropped */
    int packs;
};

struct cuda_algo { /* what cuBLASLt proposed for a shape */
    int64_t m, n, k;
    int form;
    uint64_t algo[8];
    size_t workspace;
};

struct cuda {
    struct backend base; /* first: a struct backend * is a struct cuda * */
    struct arena_memory memory, staging;
    int device;
    bool low;  /* keeps no large weights */
    bool bf16; /* has tensor cores for it */
    struct CUstream_st *stream, *copy;
    struct CUevent_st *sent, *fetched[CUDA_SLOTS];
    struct cuda_ring ring;
    struct cuda_lane lane[CUDA_LANES]; /* where `low` is set */
    int lane_next;
    struct cuda_graph graph[CUDA_GRAPHS];
    int graphs;                   /* used so far; the newest takes the oldest's place */
    struct cuda_graph *recording; /* or NULL */
    bool refused;                 /* ... and it is in vain */
    unsigned era;                 /* counts changes of `range` */
    struct cublasLtContext *lt;
    struct cuda_dnn *dnn; /* NULL: not here, or not asked for yet */
    bool dnn_asked;
    struct cuda_range *range;
    int ranges;
    struct cuda_algo algo[CUDA_ALGOS];
    int algos; /* found so far; the newest takes the oldest's place */
};

extern const struct backend_kind backend_cuda;

struct cuda_op {
    struct cuda *c;
    const char *name;
    bool ok;
    unsigned lanes; /* bits: those that it reads */
    int temps;
    void *temp[CUDA_TEMPS];
    struct {
        void *host; /* where `from` goes at the end */
        const void *from;
        size_t bytes;
    } result[2];
    int results;
    struct { /* f32 that becomes a factor at the end */
        uint16_t *to;
        const float *from;
        int64_t n;
    } narrow[2];
    int narrows;
};

/* graph.c */
enum status cuda_repeat(struct backend *be, struct arena *a, const char *key,
                        enum status (*f)(void *ctx), void *ctx);
void cuda_forget_graphs(struct cuda *c);
/* Inside a record: o goes on no further, without an error. */
void cuda_refuse(struct cuda_op *o);
/* Inside a record: it reads the pack. False: no memory, and it is refused. */
bool cuda_remember(struct cuda_op *o, struct cuda_pack *k);
/* A copy of host bytes that lives as long as the record. */
const void *cuda_constant(struct cuda_op *o, const void *host, size_t bytes);

/* transfer.c */
enum status cuda_ring_init(struct cuda *c, struct error *err);
void cuda_ring_release(struct cuda *c);
/* The bytes in pinned memory until the stream has passed; NULL: too many. */
const void *cuda_stage(struct cuda *c, const void *host, size_t bytes);
void cuda_upload(struct backend *be, const struct tensor *t);
void cuda_download(struct backend *be, const struct tensor *t);
void cuda_send(struct backend *be, const struct tensor *t);
void cuda_fetch(struct backend *be, const struct tensor *t, int slot);
void cuda_wait(struct backend *be, int slot);

/* lanes.c */
enum status cuda_lanes_init(struct cuda *c, struct error *err);
void cuda_lanes_release(struct cuda *c);
/* Bytes of a weight on the device, until o ends. */
const void *cuda_lane_up(struct cuda_op *o, const void *host, size_t bytes);
int cuda_lanes_end(struct cuda_op *o); /* a cudaError_t */

/* memory.c */
void cuda_begin(struct cuda_op *o, struct backend *be, const char *name);
void cuda_end(struct cuda_op *o, int error); /* a cudaError_t */
void cuda_fail(struct cuda_op *o, int error, size_t bytes);
/* The device's side of host memory that lies in an arena of the backend's; else NULL. */
void *cuda_mirror(const struct cuda *c, const void *host, size_t bytes);
void *cuda_temp(struct cuda_op *o, size_t bytes);
const void *cuda_in_bytes(struct cuda_op *o, const void *host, size_t bytes);
/* Where t is in bf16; NULL: it is f32, or *o goes no further. */
uint16_t *cuda_factor(struct cuda_op *o, const struct tensor *t);
/* f32, contiguous; NULL gives NULL. */
const float *cuda_in(struct cuda_op *o, const struct tensor *t);
float *cuda_out(struct cuda_op *o, const struct tensor *t);
/* Scratch that goes down to the host at the op's end. */
void *cuda_to_host(struct cuda_op *o, void *host, size_t bytes);
struct arena_memory cuda_memory(void);
struct arena_memory cuda_staging(void);

/* weights.c: bytes as the file has them, or f32, or bf16 or f16 with rows padded to a multiple of 8
 * (the file's own where it has them so), or 8 bits with rows and their number padded to a multiple
 * of 16. */
const void *cuda_weight_raw(struct cuda_op *o, const struct tensor *w, const float **scale);
const float *cuda_weight_f32(struct cuda_op *o, const struct tensor *w);
const void *cuda_weight_half(struct cuda_op *o, const struct tensor *w, enum dtype type);
const int8_t *cuda_weight_int8(struct cuda_op *o, const struct tensor *w, const float **scale);
/* Of records: a pack is kept, let go, and asked whether its store still has it. */
void cuda_pack_keep(struct cuda_pack *k);
void cuda_pack_release(struct cuda_pack *k);
bool cuda_pack_is_gone(const struct cuda_pack *k);
static inline int64_t cuda_pad8(int64_t k)
{
    return (k + 7) / 8 * 8;
}
static inline int64_t cuda_pad16(int64_t k)
{
    return (k + 15) / 16 * 16;
}

/* gemm.c. What a product of so many rows with w is computed in; convolutions take bf16 for int8. */
enum precision cuda_precision(const struct cuda *c, const struct tensor *w, int64_t rows);
struct cuda_product {
    int64_t m, n, k;
    const void *x, *w;   /* x [m, k], w [n, k], or [k, n] where `plain`; rows ldk apart if not */
    enum precision type; /* of x and w; y is f32, or int32 of int8 */
    bool plain;
    bool low; /* y and bias are of x's type too; there is no r */
    int64_t ldk;
    const void *bias;
    const float *r; /* is added where it is not NULL; may be y */
    void *y;
};
void cuda_multiply(struct cuda_op *o, const struct cuda_product *p);
void cuda_linear(struct backend *be, struct tensor *y, const struct tensor *x,
                 const struct tensor *w, const struct tensor *b, enum act act,
                 const struct tensor *r);
void cuda_matmul(struct backend *be, struct tensor *y, const struct tensor *x,
                 const struct tensor *w);

/* attn_wide.c: one head that is too wide for tensor cores' kernel, as two products and a softmax.
 */
bool cuda_attn_is_wide(const struct cuda_attn *a);
int cuda_attention_wide(struct cuda_op *o, const struct cuda_attn *a); /* a cudaError_t */

/* conv_dnn.c. The convolution by cuDNN, x and w of 16 bits. False: nothing was queued, since it is
 * not here, has no plan for this, or *o goes no further. */
bool cuda_dnn_conv(struct cuda_op *o, const struct cuda_conv *a, const void *x, const void *w);
void cuda_dnn_close(struct cuda *c);

/* ops.c */
extern const struct op_table cuda_ops;

#endif
