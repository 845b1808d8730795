/* Weights on the device: copied at their first use, and kept in the store of packs that they name.
 */
#include "core/mem.h"
#include "nn/cuda/cuda_int.h"
#include "nn/packs.h"
#include <cuda_runtime_api.h>
#include <stdatomic.h>

enum form { RAW, BF16, F16, INT8, FORMS };

/* Numbers of packs: above those of the CPU's, FORMS for each device. */
enum { FIRST_KIND = 1024, SMALL = 1 << 20 }; /* bytes that also "+low" keeps */

struct cuda_pack {
    struct pack pack;
    atomic_int holders; /* its store, and records */
    atomic_bool gone;   /* from its store */
    int device;
    void *data;
    float *scale; /* of i8, in the file or made here; else NULL */
};

struct making {
    struct cuda *c;
    const struct tensor *w;
    enum form form;
    int error;
};

void cuda_pack_keep(struct cuda_pack *k)
{
    atomic_fetch_add(&k->holders, 1);
}

bool cuda_pack_is_gone(const struct cuda_pack *k)
{
    return atomic_load(&k->gone);
}

void cuda_pack_release(struct cuda_pack *k)
{
    if (atomic_fetch_sub(&k->holders, 1) != 1)
        return;
    cudaSetDevice(k->device);
    cudaFree(k->data);
    cudaFree(k->scale);
    mem_free(k);
}

static void pack_free(struct pack *p)
{
    struct cuda_pack *k = (struct cuda_pack *)p;
    atomic_store(&k->gone, true);
    cuda_pack_release(k);
}

static int64_t row_of(const struct tensor *w)
{
    return w->ndim < 1 || w->dim[0] == 0 ? tensor_count(w) : tensor_count(w) / w->dim[0];
}

static int64_t rows_of(const struct tensor *w)
{
    return w->ndim < 1 ? 1 : w->dim[0];
}

/* Copies host memory to new device memory. */
static int copy_up(void **p, const void *host, size_t bytes, struct CUstream_st *s)
{
    cudaError_t e = cudaMalloc(p, bytes ? bytes : 1);
    if (!e)
        e = cudaMemcpyAsync(*p, host, bytes, cudaMemcpyHostToDevice, s);
    return (int)e;
}

/* Raw bytes to bf16 or f16, in place of them. */
static int to_half(struct cuda_pack *k, const struct making *m)
{
    struct CUstream_st *s = m->c->stream;
    int64_t rows = rows_of(m->w), row = row_of(m->w), ld = cuda_pad8(row);
    void *wide = NULL, *low = NULL;
    int e = (int)cudaMalloc(&wide, (size_t)(rows * row) * sizeof(float) + 1);
    if (!e)
        e = (int)cudaMalloc(&low, (size_t)(rows * ld) * 2 + 1);
    if (!e)
        e = cuda_run_widen(s, wide, k->data, m->w->dtype, k->scale, NULL, rows, row);
    if (!e)
        e = cuda_run_narrow(s, low, m->form == F16 ? DT_F16 : DT_BF16, ld, wide, row, rows, row);
    if (!e)
        e = (int)cudaStreamSynchronize(s);
    cudaFree(wide);
    if (!e) {
        cudaFree(k->data);
        k->data = low;
    } else {
        cudaFree(low);
    }
    return e;
}

/* Raw bytes to 8 bits, in place of them; stored 8-bit weights keep their values. */
static int to_int8(struct cuda_pack *k, const struct making *m)
{
    struct CUstream_st *s = m->c->stream;
    int64_t rows = rows_of(m->w), row = row_of(m->w), ld = cuda_pad16(row);
    size_t bytes = (size_t)(cuda_pad16(rows) * ld);
    void *wide = NULL, *low = NULL;
    bool stored = m->w->dtype == DT_I8;
    int e = (int)cudaMalloc(&low, bytes);
    if (!e)
        e = (int)cudaMemsetAsync(low, 0, bytes, s);
    if (!e && stored)
        e = cuda_run_spread_bytes(s, low, ld, k->data, rows, row);
    if (!e && !stored)
        e = (int)cudaMalloc(&wide, (size_t)(rows * row) * sizeof(float));
    if (!e && !stored)
        e = (int)cudaMalloc((void **)&k->scale, (size_t)rows * sizeof(float));
    if (!e && !stored)
        e = cuda_run_widen(s, wide, k->data, m->w->dtype, NULL, NULL, rows, row);
    if (!e && !stored)
        e = cuda_run_quantize(s, low, ld, k->scale, wide, rows, row);
    if (!e)
        e = (int)cudaStreamSynchronize(s);
    cudaFree(wide);
    if (e) {
        cudaFree(low);
        return e;
    }
    cudaFree(k->data);
    k->data = low;
    return 0;
}

/* Other streams may use the pack next, so the copy is waited for. */
static struct pack *make(void *ctx)
{
    struct making *m = ctx;
    const struct tensor *w = m->w;
    struct CUstream_st *s = m->c->stream;
    size_t bytes = 0;
    if (m->c->recording) /* a record holds no copies from the host */
        return NULL;
    struct cuda_pack *k = mem_zalloc(sizeof *k);
    if (!k || !dtype_bytes(w->dtype, (size_t)tensor_count(w), &bytes)) {
        m->error = cudaErrorMemoryAllocation;
        mem_free(k);
        return NULL;
    }
    k->pack.free = pack_free;
    atomic_init(&k->holders, 1);
    k->device = m->c->device;
    m->error = copy_up(&k->data, w->data, bytes, s);
    if (!m->error && w->scale)
        m->error = copy_up((void **)&k->scale, w->scale, (size_t)w->dim[0] * sizeof(float), s);
    if (!m->error && (m->form == BF16 || m->form == F16))
        m->error = to_half(k, m);
    if (!m->error && m->form == INT8)
        m->error = to_int8(k, m);
    if (!m->error)
        m->error = (int)cudaStreamSynchronize(s);
    if (!m->error)
        return &k->pack;
    pack_free(&k->pack);
    return NULL;
}

static const struct cuda_pack *find(struct cuda_op *o, const struct tensor *w, enum form form)
{
    struct making m = {o->c, w, form, 0};
    int kind = FIRST_KIND + FORMS * o->c->device + (int)form;
    struct pack *p = packs_get(w, kind, rows_of(w), row_of(w), make, &m);
    if (!p && o->c->recording) {
        cuda_refuse(o);
    } else if (!p) {
        o->ok = false;
        backend_fail(&o->c->base, m.error == cudaErrorMemoryAllocation ? ST_NOMEM : ST_DEVICE,
                     "%s: weights of %lld values do not go to %s: %s", o->name,
                     (long long)tensor_count(w), o->c->base.name,
                     cudaGetErrorString((cudaError_t)m.error));
        cudaGetLastError();
    }
    if (p && o->c->recording && !cuda_remember(o, (struct cuda_pack *)p))
        return NULL;
    return (const struct cuda_pack *)p;
}

/* Copied up for this op alone. */
static bool streamed(const struct cuda *c, const struct tensor *w)
{
    size_t bytes = 0;
    return c->low && dtype_bytes(w->dtype, (size_t)tensor_count(w), &bytes) && bytes > SMALL;
}

const void *cuda_weight_raw(struct cuda_op *o, const struct tensor *w, const float **scale)
{
    size_t bytes = 0;
    *scale = NULL;
    if (!o->ok || !dtype_bytes(w->dtype, (size_t)tensor_count(w), &bytes))
        return NULL;
    if (w->packs && !streamed(o->c, w)) {
        const struct cuda_pack *k = find(o, w, RAW);
        *scale = k ? k->scale : NULL;
        return k ? k->data : NULL;
    }
    if (w->scale)
        *scale = cuda_in_bytes(o, w->scale, (size_t)w->dim[0] * sizeof(float));
    if (w->dtype == DT_F32 && !w->packs)
        return cuda_in(o, w); /* may be an activation */
    if (o->c->recording)
        cuda_refuse(o);
    if (o->ok && w->packs) /* streamed, or it would be kept */
        return cuda_lane_up(o, w->data, bytes);
    return o->ok ? cuda_in_bytes(o, w->data, bytes) : NULL;
}

const float *cuda_weight_f32(struct cuda_op *o, const struct tensor *w)
{
    const float *scale;
    const void *raw = cuda_weight_raw(o, w, &scale);
    if (!raw || w->dtype == DT_F32)
        return raw;
    float *y = cuda_temp(o, (size_t)tensor_count(w) * sizeof *y);
    if (!y)
        return NULL;
    int e = cuda_run_widen(o->c->stream, y, raw, w->dtype, scale, NULL, rows_of(w), row_of(w));
    if (!e)
        return y;
    cuda_fail(o, e, 0);
    return NULL;
}

static const void *stream_half(struct cuda_op *o, const struct tensor *w, enum dtype type)
{
    int64_t rows = rows_of(w), row = row_of(w), ld = cuda_pad8(row);
    const float *wide = cuda_weight_f32(o, w);
    void *low = cuda_temp(o, (size_t)(rows * ld) * 2);
    int e = o->ok ? cuda_run_narrow(o->c->stream, low, type, ld, wide, row, rows, row) : 0;
    if (e)
        cuda_fail(o, e, 0);
    return o->ok ? low : NULL;
}

const void *cuda_weight_half(struct cuda_op *o, const struct tensor *w, enum dtype type)
{
    const float *scale;
    if (w->dtype == type && row_of(w) % 8 == 0)
        return cuda_weight_raw(o, w, &scale);
    if (o->ok && streamed(o->c, w))
        return stream_half(o, w, type);
    const struct cuda_pack *k = o->ok ? find(o, w, type == DT_F16 ? F16 : BF16) : NULL;
    return k ? k->data : NULL;
}

const int8_t *cuda_weight_int8(struct cuda_op *o, const struct tensor *w, const float **scale)
{
    const struct cuda_pack *k = o->ok ? find(o, w, INT8) : NULL;
    *scale = k ? k->scale : NULL;
    return k ? k->data : NULL;
}
