/* GGUF's k-quants: blocks of 256 values whose groups of 16 or 32 have small scales of their own.
 *
 *     gguf_unpack_k(12, y, x, blocks); // q4_k: 144 bytes become 256 floats, blocks times
 *
 * The values are those of the gguf package's dequantize, bit by bit. */
#ifndef EIDETIC_NN_GGUF_INT_H
#define EIDETIC_NN_GGUF_INT_H

#include <stddef.h>
#include <stdint.h>

#define GGUF_K_BLOCK 256

/* ggml's number of a type, and bytes of a block; persisted. */
enum gguf_k_type { GGUF_Q2_K = 10, GGUF_Q3_K, GGUF_Q4_K, GGUF_Q5_K, GGUF_Q6_K };
enum gguf_k_bytes {
    GGUF_Q2_K_BYTES = 84,
    GGUF_Q3_K_BYTES = 110,
    GGUF_Q4_K_BYTES = 144,
    GGUF_Q5_K_BYTES = 176,
    GGUF_Q6_K_BYTES = 210
};

void gguf_unpack_k(enum gguf_k_type type, float *y, const uint8_t *x, size_t blocks);

#endif
