/* Vector forms of the 16-bit conversions, for quant.c alone.
 *
 *     int64_t i = fast ? quant_f16_to_f32_avx2(h, n, out) : 0; // from i on, value by value
 *
 * Each returns how many of the n values it converted (a multiple of 8), with exactly the bits of
 * nn/tensor.h's scalar functions. */
#ifndef EIDETIC_NN_QUANT_INT_H
#define EIDETIC_NN_QUANT_INT_H

#include <stdint.h>

int64_t quant_f16_to_f32_avx2(const uint16_t *h, int64_t n, float *out);
int64_t quant_bf16_to_f32_avx2(const uint16_t *h, int64_t n, float *out);
int64_t quant_f32_to_f16_avx2(const float *x, int64_t n, uint16_t *out);

#endif
