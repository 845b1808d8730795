/* The scan's kernels in plain C: the reference that every other version is compared with. */
#include "search/flat.h"
#include <string.h>

static float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 0x1f, man = h & 0x3ff, bits;
    float f;
    if (exp == 0) { /* zero or subnormal: man * 2^-24 */
        f = (float)man * 0x1p-24f;
        return sign ? -f : f;
    }
    if (exp == 31)
        bits = sign | 0x7f800000 | man << 13;
    else
        bits = sign | (exp + 112) << 23 | man << 13;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint16_t f32_to_f16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, abs = bits & 0x7fffffff;
    if (abs > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (abs >> 13 & 0x3ff)); /* NaN, made quiet as F16C does */
    if (abs >= 0x47800000)                                      /* 65536 and above */
        return (uint16_t)(sign | 0x7c00);
    if (abs < 0x38800000) { /* below 2^-14: subnormal, rounded by the float adder */
        float a;
        memcpy(&a, &abs, sizeof a);
        a += 0.5f; /* 0.5 has its unit at 2^-24, the subnormals' */
        uint32_t r;
        memcpy(&r, &a, sizeof r);
        return (uint16_t)(sign | (r - 0x3f000000));
    }
    uint32_t r = abs + 0xfff + (abs >> 13 & 1); /* to nearest, ties to even */
    return (uint16_t)(sign | (r - 0x38000000) >> 13);
}

static void dot_f16(float *scores, const uint16_t *rows, size_t n, size_t dim, const float *q)
{
    for (size_t i = 0; i < n; i++, rows += dim) {
        float s = 0;
        for (size_t j = 0; j < dim; j++)
            s += f16_to_f32(rows[j]) * q[j];
        scores[i] = s;
    }
}

static void dot_f32(float *scores, const float *rows, size_t n, size_t dim, const float *q)
{
    for (size_t i = 0; i < n; i++, rows += dim) {
        float s = 0;
        for (size_t j = 0; j < dim; j++)
            s += rows[j] * q[j];
        scores[i] = s;
    }
}

static void dot_u8(float *scores, const uint8_t *rows, size_t n, size_t dim,
                   const struct flat_u8 *q)
{
    for (size_t i = 0; i < n; i++, rows += dim) {
        int64_t s = 0;
        for (size_t j = 0; j < dim; j++)
            s += rows[j] * q->whole[j];
        scores[i] = (float)s;
    }
}

static void to_f16(uint16_t *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = f32_to_f16(in[i]);
}

static void to_f32(float *out, const uint16_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = f16_to_f32(in[i]);
}

void flat_ops_ref(struct flat_ops *ops)
{
    *ops = (struct flat_ops){.f16 = dot_f16,
                             .f32 = dot_f32,
                             .u8 = dot_u8,
                             .to_f16 = to_f16,
                             .to_f32 = to_f32,
                             .name = "ref"};
}
