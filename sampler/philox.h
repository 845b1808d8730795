/* NVIDIA's generator, as AUTOMATIC1111 and others emulate it: a seed published for a GPU gives its
 * noise on any machine.
 *
 *     struct philox r = {.seed = 42};
 *     philox_normal(&r, x, n);
 *
 * Philox-4x32-10 (Salmon, Moraes, Dror, Shaw 2011): value i of call c is made from the counter
 * (c, 0, i, 0) and the seed as key, of whose four words two are used, by Box-Muller. Equals
 * torch.randn on a GPU for tensors that the GPU fills with one value a thread. Words and uniforms
 * are exact; normals are rounded once from double. */
#ifndef EIDETIC_SAMPLER_PHILOX_H
#define EIDETIC_SAMPLER_PHILOX_H

#include <stdint.h>

struct philox {
    uint64_t seed;
    uint32_t calls; /* so far; the next call's place in the stream */
};

/* Ten rounds: counter to four random words. */
void philox_words(uint32_t out[4], const uint32_t counter[4], uint64_t key);
void philox_normal(struct philox *r, float *y, int64_t n);

#endif
