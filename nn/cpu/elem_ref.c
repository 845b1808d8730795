/* Elementwise ops and conversions, the definition. Rows of half types may start at odd addresses
 * (mapped files align nothing), so values are copied out byte by byte. */
#include "nn/cpu/elem.h"
#include <assert.h>
#include <string.h>

void add_ref(float *y, const float *x, const float *r, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] + r[i];
}

void mul_ref(float *y, const float *x, const float *r, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * r[i];
}

void scale_ref(float *y, const float *x, float s, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * s;
}

void mean_tokens_ref(float *y, const float *x, int64_t len, int64_t d)
{
    for (int64_t j = 0; j < d; j++) {
        double sum = 0;
        for (int64_t t = 0; t < len; t++)
            sum += x[t * d + j];
        y[j] = len > 0 ? (float)(sum / (double)len) : 0.0f;
    }
}

static uint16_t half_at(const void *p, int64_t i)
{
    uint16_t h;
    memcpy(&h, (const char *)p + 2 * i, sizeof h);
    return h;
}

void widen_ref(float *y, enum dtype from, const void *row, int64_t i0, int64_t n, float scale)
{
    const int8_t *q = row;
    for (int64_t j = 0; j < n; j++) {
        int64_t i = i0 + j;
        switch (from) {
        case DT_F32:
            memcpy(y + j, (const char *)row + 4 * i, 4);
            break;
        case DT_F16:
            y[j] = f16_to_f32(half_at(row, i));
            break;
        case DT_BF16:
            y[j] = bf16_to_f32(half_at(row, i));
            break;
        case DT_I8:
            y[j] = (float)q[i] * scale;
            break;
        case DT_Q8_0: {
            const int8_t *block = q + i / 32 * 34;
            y[j] = (float)block[2 + i % 32] * f16_to_f32(half_at(block, 0));
            break;
        }
        default:
            assert(!"a weight type");
        }
    }
}

void narrow_ref(void *y, enum dtype to, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t h = to == DT_F16 ? f32_to_f16(x[i]) : f32_to_bf16(x[i]);
        memcpy((char *)y + 2 * i, &h, sizeof h);
    }
}
