/* PyTorch's CPU generator. Surprising: the logarithm, sine and cosine are Cephes' float versions
 * (Moshier 1984-1992) in Cephes' own order of operations, because PyTorch's vector code uses them
 * and near their zeros a better sine would be many ulp away. */
#include "sampler/torch_rng.h"
#include <math.h>
#include <string.h>

enum { N = 624, M = 397 };

void torch_rng_seed(struct torch_rng *r, uint64_t seed)
{
    *r = (struct torch_rng){.at = N};
    r->state[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < N; i++) {
        uint32_t p = r->state[i - 1];
        r->state[i] = 1812433253u * (p ^ (p >> 30)) + i;
    }
}

static uint32_t twist(uint32_t u, uint32_t v)
{
    uint32_t y = (u & 0x80000000u) | (v & 0x7fffffffu);
    return (y >> 1) ^ (v & 1 ? 0x9908b0dfu : 0);
}

static void next_state(struct torch_rng *r)
{
    uint32_t *s = r->state;
    for (int i = 0; i < N - M; i++)
        s[i] = s[i + M] ^ twist(s[i], s[i + 1]);
    for (int i = N - M; i < N - 1; i++)
        s[i] = s[i + M - N] ^ twist(s[i], s[i + 1]);
    s[N - 1] = s[M - 1] ^ twist(s[N - 1], s[0]);
    r->at = 0;
}

uint32_t torch_rng_u32(struct torch_rng *r)
{
    if (r->at == N)
        next_state(r);
    uint32_t y = r->state[r->at++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

static float uniform(struct torch_rng *r)
{
    return (float)(torch_rng_u32(r) & 0xffffff) * 0x1p-24f;
}

void torch_rng_uniform(struct torch_rng *r, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = uniform(r);
}

/* Cephes logf for normal positive x. */
static float cephes_log(float x)
{
    static const float p[] = {7.0376836292e-2f,  -1.1514610310e-1f, 1.1676998740e-1f,
                              -1.2420140846e-1f, 1.4249322787e-1f,  -1.6668057665e-1f,
                              2.0000714765e-1f,  -2.4999993993e-1f, 3.3333331174e-1f};
    int exponent;
    x = frexpf(x, &exponent); /* [0.5, 1) */
    float e = (float)exponent;
    if (x < 0.707106781186547524f) {
        e -= 1;
        x = x - 1 + x;
    } else {
        x = x - 1;
    }
    float z = x * x, y = p[0];
    for (int i = 1; i < 9; i++)
        y = fmaf(y, x, p[i]);
    y = y * x * z;
    y = fmaf(e, -2.12194440e-4f, y);
    y = y - z * 0.5f;
    return x + y + e * 0.693359375f;
}

/* Cephes sinf and cosf for x in [0, 2 pi]. */
static void cephes_sincos(float x, float *s, float *c)
{
    uint32_t j = (uint32_t)(x * 1.27323954473516f);
    j = (j + 1) & ~1u;
    float y = (float)j;
    x = fmaf(y, -0.78515625f, x);
    x = fmaf(y, -2.4187564849853515625e-4f, x);
    x = fmaf(y, -3.77489497744594108e-8f, x);
    float z = x * x;
    float co =
        fmaf(fmaf(2.443315711809948e-5f, z, -1.388731625493765e-3f), z, 4.166664568298827e-2f);
    co = co * z * z - z * 0.5f + 1;
    float si = fmaf(fmaf(-1.9515295891e-4f, z, 8.3321608736e-3f), z, -1.6666654611e-1f) * z * x + x;
    bool swap = j & 2;
    *s = swap ? co : si;
    *c = swap ? si : co;
    if (j & 4)
        *s = -*s;
    if ((j + 2) & 4)
        *c = -*c;
}

/* y: 16 uniforms to 16 normals, the first eight radii, the last eight angles. */
static void box_muller_16(float *y)
{
    const float two_pi = 6.28318530717958647692f;
    for (int i = 0; i < 8; i++) {
        float radius = sqrtf(-2 * cephes_log(1 - y[i])), s, c;
        cephes_sincos(two_pi * y[i + 8], &s, &c);
        y[i] = radius * c;
        y[i + 8] = radius * s;
    }
}

static double uniform53(struct torch_rng *r)
{
    uint64_t high = torch_rng_u32(r), low = torch_rng_u32(r);
    return (double)((high << 32 | low) & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

static float normal_one(struct torch_rng *r)
{
    if (r->has_next) {
        r->has_next = false;
        return (float)r->next;
    }
    double angle = 6.28318530717958647692 * uniform53(r);
    double radius = sqrt(-2 * log1p(-uniform53(r)));
    r->has_next = true;
    r->next = radius * sin(angle);
    return (float)(radius * cos(angle));
}

void torch_rng_normal(struct torch_rng *r, float *y, int64_t n)
{
    if (n < 16) {
        for (int64_t i = 0; i < n; i++)
            y[i] = normal_one(r);
        return;
    }
    torch_rng_uniform(r, y, n);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        box_muller_16(y + i);
    if (i < n) { /* the last 16 are drawn anew, over some that were done */
        torch_rng_uniform(r, y + n - 16, 16);
        box_muller_16(y + n - 16);
    }
}
