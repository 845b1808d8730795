/* Values of any weight type to f32 and back. The 8-bit forms differ in their scale: i8 has one f32
 * a row, q8_0 one f16 for 32 values, and q8_0 rounds with the scale as stored (not before its own
 * rounding), which costs nothing and errs less than GGUF's writers do. */
#include "core/cpu.h"
#include "nn/quant_int.h"
#include "nn/weights.h"
#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { Q_BLOCK = 32, Q_BYTES = 34 };

static void q8_0_to_f32(const uint8_t *p, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i += Q_BLOCK, p += Q_BYTES) {
        uint16_t d;
        memcpy(&d, p, sizeof d);
        float scale = f16_to_f32(d);
        for (int k = 0; k < Q_BLOCK; k++)
            out[i + k] = scale * (float)(int8_t)p[2 + k];
    }
}

static void i8_to_f32(const struct tensor *t, int64_t n, float *out)
{
    const int8_t *q = t->data;
    int64_t rows = t->ndim > 0 ? t->dim[0] : 1;
    int64_t cols = rows ? n / rows : 0;
    for (int64_t r = 0; cols && r < rows; r++) { /* rows without columns may be 2^60 */
        float scale = t->scale ? t->scale[r] : 1.0f;
        for (int64_t c = 0; c < cols; c++)
            out[r * cols + c] = scale * (float)q[r * cols + c];
    }
}

void tensor_to_f32(const struct tensor *t, float *out)
{
    int64_t n = tensor_count(t);
    const uint16_t *h = t->data;
    bool fast = cpu_level_max() >= CPU_AVX2; /* the same bits, sooner */
    switch (t->dtype) {
    case DT_F32:
        if (n)
            memcpy(out, t->data, (size_t)n * sizeof *out);
        break;
    case DT_F16:
        for (int64_t i = fast ? quant_f16_to_f32_avx2(h, n, out) : 0; i < n; i++)
            out[i] = f16_to_f32(h[i]);
        break;
    case DT_BF16:
        for (int64_t i = fast ? quant_bf16_to_f32_avx2(h, n, out) : 0; i < n; i++)
            out[i] = bf16_to_f32(h[i]);
        break;
    case DT_F64:
        for (int64_t i = 0; i < n; i++)
            out[i] = (float)((const double *)t->data)[i];
        break;
    case DT_I8:
        i8_to_f32(t, n, out);
        break;
    case DT_Q8_0:
        q8_0_to_f32(t->data, n, out);
        break;
    case DT_I32:
        for (int64_t i = 0; i < n; i++)
            out[i] = (float)((const int32_t *)t->data)[i];
        break;
    case DT_I64:
        for (int64_t i = 0; i < n; i++)
            out[i] = (float)((const int64_t *)t->data)[i];
        break;
    case DT_U8:
    case DT_BOOL:
        for (int64_t i = 0; i < n; i++)
            out[i] = (float)((const uint8_t *)t->data)[i];
        break;
    case DT_COUNT:
        assert(!"a dtype");
    }
}

/* Never -128, so that |q| fits int8 in dot products; NaN has no 8-bit form and becomes 0. */
static int8_t quantise(float v)
{
    if (!(v > -127.0f))
        return isnan(v) ? 0 : -127;
    return v < 127.0f ? (int8_t)lrintf(v) : 127;
}

static float abs_max(const float *x, int64_t n)
{
    float m = 0;
    for (int64_t i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        m = a > m ? a : m; /* a NaN never wins */
    }
    return m;
}

static void f32_to_q8_0(const float *x, int64_t n, uint8_t *p)
{
    for (int64_t i = 0; i < n; i += Q_BLOCK, p += Q_BYTES) {
        float d = abs_max(x + i, Q_BLOCK) / 127.0f;
        uint16_t stored = f32_to_f16(d < 65504.0f ? d : 65504.0f);
        float scale = f16_to_f32(stored), inv = scale > 0 ? 1.0f / scale : 0;
        memcpy(p, &stored, sizeof stored);
        for (int k = 0; k < Q_BLOCK; k++)
            p[2 + k] = (uint8_t)quantise(x[i + k] * inv);
    }
}

/* The largest value becomes 127. Searching for a scale of least squared error instead (8 and 40
 * thresholds, each refined by least squares) lowers the error of MiniLM's and EfficientNet-Lite2's
 * matrices by 0.2 to 0.7 % of itself: not worth eight passes. A row of zeros (or of values that f32
 * cannot divide by) has scale 0. */
static float row_scale(const float *x, int64_t n)
{
    float top = abs_max(x, n) / 127.0f;
    if (!isfinite(top))
        return FLT_MAX / 128.0f; /* 127 of it are finite */
    return isfinite(1.0f / top) ? top : 0;
}

void tensor_from_f32(const float *x, int64_t rows, int64_t cols, enum dtype to, void *out,
                     float *scales)
{
    int64_t n = rows * cols;
    bool fast = cpu_level_max() >= CPU_AVX2;
    uint16_t *h = out;
    int8_t *q = out;
    switch (to) {
    case DT_F32:
        if (n)
            memcpy(out, x, (size_t)n * sizeof *x);
        break;
    case DT_F16:
        for (int64_t i = fast ? quant_f32_to_f16_avx2(x, n, h) : 0; i < n; i++)
            h[i] = f32_to_f16(x[i]);
        break;
    case DT_BF16:
        for (int64_t i = 0; i < n; i++)
            h[i] = f32_to_bf16(x[i]);
        break;
    case DT_I8:
        for (int64_t r = 0; r < rows; r++) {
            scales[r] = row_scale(x + r * cols, cols);
            float inv = scales[r] > 0 ? 1.0f / scales[r] : 0;
            for (int64_t c = 0; c < cols; c++)
                q[r * cols + c] = quantise(x[r * cols + c] * inv);
        }
        break;
    case DT_Q8_0:
        assert(n % Q_BLOCK == 0);
        f32_to_q8_0(x, n, out);
        break;
    default:
        assert(!"a weight dtype");
    }
}
