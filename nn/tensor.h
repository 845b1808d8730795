/* A tensor: contiguous, row-major, PyTorch dimension order; it knows its backend and owns nothing.
 *
 *     struct tensor x = tensor_view(data, DT_F32, 2, (int64_t[]){rows, cols});
 *     int64_t n = tensor_count(&x);
 *
 * Image activations are the exception to the order: [B, H, W, C] (PyTorch's channels_last), since
 * convolutions are matrix products over C. Data lives in an arena (activations) or in a mapped
 * weight file. Quantised forms: DT_I8 has one f32 scale per dim-0 row beside it (value = q *
 * scale[row]); DT_Q8_0 is GGUF's: along the last dim, blocks of 32 of {f16 d; int8 q[32]}, value =
 * q * d. */
#ifndef EIDETIC_NN_TENSOR_H
#define EIDETIC_NN_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TENSOR_MAX_DIMS 5

enum dtype { /* persisted nowhere; files have their own codes */
             DT_F32 = 0,
             DT_F16,
             DT_BF16,
             DT_I8,
             DT_Q8_0,
             DT_I32,
             DT_I64,
             DT_U8,
             DT_F64,
             DT_BOOL,
             DT_COUNT
};

struct backend;
struct packs;

/* What a tensor is to products: VALUES and FACTOR are activations, the others a second operand. */
enum tensor_use {
    TENSOR_VALUES = 0,  /* may change between calls */
    TENSOR_WEIGHT,      /* never changes while its packs live */
    TENSOR_WEIGHT_FINE, /* the same, and 8 bits are too coarse for its products */
    TENSOR_WEIGHT_WIDE, /* too coarse as well, and they meet values beyond f16's 65504 */
    TENSOR_FACTOR,      /* nothing but ops reads them, as what they multiply: a device that computes
                           in bf16 may keep no more of them. All views of them must say so. */
};

struct tensor {
    enum dtype dtype;
    enum tensor_use use;
    bool mapped; /* lies in a mapped file */
    int ndim;
    int64_t dim[TENSOR_MAX_DIMS]; /* dims beyond ndim are 1 */
    void *data;                   /* device memory when backend is a device */
    const float *scale;           /* DT_I8: dim[0] scales; else NULL */
    struct packs *packs; /* of weights: where backends keep what they make of it (nn/packs.h);
                            NULL: nowhere, and products are in f32 */
};

static inline struct tensor tensor_factor(struct tensor t)
{
    t.use = TENSOR_FACTOR;
    return t;
}

const char *dtype_name(enum dtype t); /* "f32", "q8_0" */
int dtype_parse(const char *name);    /* -1: unknown */
bool dtype_bytes(enum dtype t, size_t count,
                 size_t *out); /* false on overflow, or when q8_0 and count % 32 */

struct tensor tensor_view(void *data, enum dtype t, int ndim, const int64_t *dims);
int64_t tensor_count(const struct tensor *t);
int64_t tensor_rows(const struct tensor *t); /* product of all dims but the last */
int64_t tensor_cols(const struct tensor *t); /* the last dim */
bool tensor_same_shape(const struct tensor *a, const struct tensor *b);

/* Scalar conversions, round to nearest even; NaN stays NaN. */
float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f);
float bf16_to_f32(uint16_t b);
uint16_t f32_to_bf16(float f);

#endif
