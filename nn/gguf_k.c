/* The k-quants of GGUF, unpacked (ggml-quants.c; gguf-py's quants.py is what the tests compare
 * with). Surprising: a block's values do not lie in order. Two bits of values 0, 32, 64 and 96
 * share a byte, so each layout below says where value v stands. */
#include "nn/gguf_int.h"
#include "nn/tensor.h"

enum { GROUP = 16, GROUPS = GGUF_K_BLOCK / GROUP };

static float half_at(const uint8_t *p)
{
    return f16_to_f32((uint16_t)(p[0] | p[1] << 8));
}

/* Two bits of value v: halves of 128, four to a byte. */
static int two_bits(const uint8_t *q, int v)
{
    return q[v / 128 * 32 + v % 32] >> 2 * (v / 32 % 4) & 3;
}

/* Four bits of value v: chunks of `chunk` values in half as many bytes. */
static int four_bits(const uint8_t *q, int v, int chunk)
{
    int bytes = chunk / 2;
    return q[v / chunk * bytes + v % bytes] >> 4 * (v / bytes % 2) & 15;
}

/* One bit of value v: eight to a byte, 32 apart. */
static int one_bit(const uint8_t *q, int v)
{
    return q[v % 32] >> v / 32 & 1;
}

/* scales[16] of 4 bits and 4 bits of minimum, qs[64], d, dmin */
static void unpack_2(float *y, const uint8_t *x)
{
    const uint8_t *qs = x + 16;
    float d = half_at(x + 80), dmin = half_at(x + 82);
    for (int g = 0; g < GROUPS; g++) {
        float scale = d * (float)(x[g] & 15), min = dmin * (float)(x[g] >> 4);
        for (int v = g * GROUP; v < (g + 1) * GROUP; v++)
            y[v] = scale * (float)two_bits(qs, v) - min;
    }
}

/* high[32], qs[64], scales of 6 bits in 12 bytes, d; a high bit that is off takes 4 away */
static void unpack_3(float *y, const uint8_t *x)
{
    const uint8_t *qs = x + 32, *s = x + 96;
    float d = half_at(x + 108);
    for (int g = 0; g < GROUPS; g++) {
        int low = g < 8 ? s[g] & 15 : s[g - 8] >> 4;
        int high = s[8 + g % 4] >> 2 * (g / 4) & 3;
        float scale = d * (float)((low | high << 4) - 32);
        for (int v = g * GROUP; v < (g + 1) * GROUP; v++)
            y[v] = scale * (float)(two_bits(qs, v) - (one_bit(x, v) ? 0 : 4));
    }
}

/* Scale and minimum i of eight, 6 bits each in 12 bytes. */
static void scale_and_min(const uint8_t *s, int i, float *scale, float *min)
{
    if (i < 4) {
        *scale = (float)(s[i] & 63);
        *min = (float)(s[i + 4] & 63);
    } else {
        *scale = (float)((s[i + 4] & 15) | (s[i - 4] >> 6) << 4);
        *min = (float)(s[i + 4] >> 4 | (s[i] >> 6) << 4);
    }
}

/* d, dmin, scales[12], [high[32],] qs[128] */
static void unpack_4_or_5(float *y, const uint8_t *x, const uint8_t *high, const uint8_t *qs)
{
    float d = half_at(x), dmin = half_at(x + 2), scale, min;
    for (int i = 0; i < 8; i++) {
        scale_and_min(x + 4, i, &scale, &min);
        scale *= d;
        min *= dmin;
        for (int v = i * 32; v < (i + 1) * 32; v++) {
            int q = four_bits(qs, v, 64) | (high ? one_bit(high, v) << 4 : 0);
            y[v] = scale * (float)q - min;
        }
    }
}

/* low[128], high[64], scales[16] of int8, d */
static void unpack_6(float *y, const uint8_t *x)
{
    float d = half_at(x + 208);
    for (int g = 0; g < GROUPS; g++) {
        float scale = d * (float)(int8_t)x[192 + g];
        for (int v = g * GROUP; v < (g + 1) * GROUP; v++)
            y[v] = scale * (float)((four_bits(x, v, 128) | two_bits(x + 128, v) << 4) - 32);
    }
}

void gguf_unpack_k(enum gguf_k_type type, float *y, const uint8_t *x, size_t blocks)
{
    for (size_t i = 0; i < blocks; i++, y += GGUF_K_BLOCK) {
        switch (type) {
        case GGUF_Q2_K:
            unpack_2(y, x);
            x += GGUF_Q2_K_BYTES;
            break;
        case GGUF_Q3_K:
            unpack_3(y, x);
            x += GGUF_Q3_K_BYTES;
            break;
        case GGUF_Q4_K:
            unpack_4_or_5(y, x, NULL, x + 16);
            x += GGUF_Q4_K_BYTES;
            break;
        case GGUF_Q5_K:
            unpack_4_or_5(y, x, x + 16, x + 48);
            x += GGUF_Q5_K_BYTES;
            break;
        case GGUF_Q6_K:
            unpack_6(y, x);
            x += GGUF_Q6_K_BYTES;
            break;
        }
    }
}
