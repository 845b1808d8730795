/* Tensors: names, sizes and the scalar f16 and bf16 conversions. The conversions are plain integer
 * code on purpose: they are the definition that the vectorised ones are tested against, and they
 * round subnormal halves correctly too. */
#include "nn/tensor.h"
#include "core/mem.h"
#include <assert.h>

struct dtype_info {
    const char *name;
    unsigned char bytes; /* a value; 0 = in blocks */
};

static const struct dtype_info dtypes[DT_COUNT] = {
    [DT_F32] = {"f32", 4},   [DT_F16] = {"f16", 2},   [DT_BF16] = {"bf16", 2}, [DT_I8] = {"i8", 1},
    [DT_Q8_0] = {"q8_0", 0}, [DT_I32] = {"i32", 4},   [DT_I64] = {"i64", 8},   [DT_U8] = {"u8", 1},
    [DT_F64] = {"f64", 8},   [DT_BOOL] = {"bool", 1},
};

const char *dtype_name(enum dtype t)
{
    return (unsigned)t < DT_COUNT ? dtypes[t].name : "unknown";
}

int dtype_parse(const char *name)
{
    for (int i = 0; i < DT_COUNT; i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return i;
    return -1;
}

bool dtype_bytes(enum dtype t, size_t count, size_t *out)
{
    if ((unsigned)t >= DT_COUNT)
        return false;
    if (t == DT_Q8_0)
        return count % 32 == 0 && !mul_overflow_size(count / 32, 34, out);
    return !mul_overflow_size(count, dtypes[t].bytes, out);
}

struct tensor tensor_view(void *data, enum dtype t, int ndim, const int64_t *dims)
{
    assert(ndim >= 0 && ndim <= TENSOR_MAX_DIMS);
    struct tensor r = {.dtype = t, .ndim = ndim, .data = data};
    for (int i = 0; i < TENSOR_MAX_DIMS; i++)
        r.dim[i] = i < ndim ? dims[i] : 1;
    return r;
}

int64_t tensor_count(const struct tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= t->dim[i];
    return n;
}

int64_t tensor_rows(const struct tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim - 1; i++)
        n *= t->dim[i];
    return n;
}

int64_t tensor_cols(const struct tensor *t)
{
    return t->ndim > 0 ? t->dim[t->ndim - 1] : 1;
}

bool tensor_same_shape(const struct tensor *a, const struct tensor *b)
{
    if (a->ndim != b->ndim)
        return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint32_t to_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exp = (h >> 10) & 31u, man = h & 1023u;
    if (exp == 31) /* infinity; a NaN keeps its payload and becomes quiet, as F16C does it */
        return from_bits(sign | 0x7f800000u | man << 13 | (man ? 0x400000u : 0));
    if (exp == 0) {
        float f = (float)man * 0x1p-24f; /* exact: zero and subnormals */
        return sign ? -f : f;
    }
    return from_bits(sign | (exp + 112) << 23 | man << 13);
}

uint16_t f32_to_f16(float f)
{
    uint32_t u = to_bits(f);
    uint32_t sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
    if (a > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (a >> 13 & 0x1ffu));
    if (a >= 0x477ff000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (a < 0x38800000u) { /* below 2^-14: a multiple of 2^-24 */
        if (a < 0x33000000u)
            return (uint16_t)sign; /* below 2^-25; exactly 2^-25 ties to even = 0 below */
        unsigned shift = 126 - (a >> 23);
        uint32_t man = (a & 0x7fffffu) | 0x800000u;
        uint32_t q = man >> shift, rest = man & ((1u << shift) - 1), half = 1u << (shift - 1);
        q += rest > half || (rest == half && (q & 1));
        return (uint16_t)(sign | q);
    }
    a += 0xfffu + (a >> 13 & 1); /* a carry out of the mantissa raises the exponent, as it must */
    return (uint16_t)(sign | (a - 0x38000000u) >> 13);
}

float bf16_to_f32(uint16_t b)
{
    return from_bits((uint32_t)b << 16);
}

uint16_t f32_to_bf16(float f)
{
    uint32_t u = to_bits(f);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}
