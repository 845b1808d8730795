/* Philox-4x32-10. */
#include "sampler/philox.h"
#include <math.h>

void philox_words(uint32_t out[4], const uint32_t counter[4], uint64_t key)
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)c0 * 0xd2511f53u, b = (uint64_t)c2 * 0xcd9e8d57u;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void philox_normal(struct philox *r, float *y, int64_t n)
{
    /* cuRAND's constant is the float nearest to 2^-32, and half of it keeps u above 0. */
    const double unit = 2.3283064e-10f, turn = 2.3283064e-10f * 6.2831855f;
    for (int64_t i = 0; i < n; i++) {
        uint32_t w[4];
        philox_words(w, (uint32_t[4]){r->calls, 0, (uint32_t)i, 0}, r->seed);
        double u = w[0] * unit + unit / 2, v = w[1] * turn + turn / 2;
        y[i] = (float)(sqrt(-2 * log(u)) * sin(v));
    }
    r->calls++;
}
