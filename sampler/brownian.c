/* Brownian motion as torchsde's BrownianTree. Surprising: nothing of the tree is kept but the value
 * at the last point; a node's noise depends on its place alone, so walking down again gives the
 * same path. */
#include "sampler/brownian.h"
#include "core/mem.h"
#include "sampler/torch_rng.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct brownian {
    int64_t n;
    uint64_t seed;
    double t0, t1; /* rounded to 1e-6 */
    double *total; /* [n] W(t1) - W(t0) */
    double *part;  /* [n] what the node at hand adds */
    double *at[2]; /* [n] W at two points: the later one is the next call's first */
    double when[2];
    float *noise; /* [n] */
};

enum { POOL = 24 };

static uint32_t hash_word(uint32_t v, uint32_t *h, uint32_t mult)
{
    v ^= *h;
    *h *= mult;
    v *= *h;
    return v ^ (v >> 16);
}

static uint32_t mix_words(uint32_t x, uint32_t y)
{
    uint32_t r = 0xca01f9ddu * x - 0x4973f715u * y;
    return r ^ (r >> 16);
}

/* An integer as SeedSequence takes it: 32-bit words, low first, at least one. */
static int put_words(uint32_t *out, uint64_t v)
{
    out[0] = (uint32_t)v;
    out[1] = (uint32_t)(v >> 32);
    return out[1] ? 2 : 1;
}

uint32_t brownian_node_seed(uint64_t entropy, uint64_t key, int depth)
{
    uint32_t words[POOL + 4] = {0}, pool[POOL], h = 0x43b0d7e5u;
    int n = put_words(words, entropy);
    if (depth >= 0) { /* behind a spawn key the entropy is padded to the pool's size */
        n = POOL;
        n += put_words(words + n, key);
        n += put_words(words + n, (uint64_t)depth);
    }
    for (int i = 0; i < POOL; i++)
        pool[i] = hash_word(words[i], &h, 0x931e8875u);
    for (int src = 0; src < POOL; src++)
        for (int dst = 0; dst < POOL; dst++)
            if (src != dst)
                pool[dst] = mix_words(pool[dst], hash_word(pool[src], &h, 0x931e8875u));
    for (int src = POOL; src < n; src++)
        for (int dst = 0; dst < POOL; dst++)
            pool[dst] = mix_words(pool[dst], hash_word(words[src], &h, 0x931e8875u));
    h = 0x8b51f9ddu;
    return hash_word(pool[0], &h, 0x58f38dedu);
}

/* Python's round(t, 6): the decimal text is rounded correctly. */
static double round6(double t)
{
    char text[64];
    snprintf(text, sizeof text, "%.6f", t);
    return strtod(text, NULL);
}

static void draw(struct brownian *b, uint32_t seed)
{
    struct torch_rng r;
    torch_rng_seed(&r, seed);
    torch_rng_normal(&r, b->noise, b->n);
}

enum status brownian_new(struct brownian **out, float t0, float t1, int64_t n, uint64_t seed,
                         struct error *err)
{
    struct brownian *b = mem_zalloc(sizeof *b);
    double *rows = mem_zarray((size_t)n, 4 * sizeof *rows);
    float *noise = mem_array((size_t)n, sizeof *noise);
    if (!b || !rows || !noise) {
        mem_free(b);
        mem_free(rows);
        mem_free(noise);
        return error_set(err, ST_NOMEM, "out of memory (noise of %lld values)", (long long)n);
    }
    *b = (struct brownian){.n = n,
                           .seed = seed,
                           .t0 = round6(t0),
                           .t1 = round6(t1),
                           .total = rows,
                           .part = rows + n,
                           .at = {rows + 2 * n, rows + 3 * n},
                           .noise = noise};
    b->when[0] = b->when[1] = b->t0; /* where the motion is zero */
    draw(b, brownian_node_seed(seed, 0, -1));
    float root = (float)sqrt((double)t1 - (double)t0);
    for (int64_t i = 0; i < n; i++)
        b->total[i] = (double)(noise[i] * root);
    *out = b;
    return ST_OK;
}

void brownian_free(struct brownian *b)
{
    if (!b)
        return;
    mem_free(b->total);
    mem_free(b->noise);
    mem_free(b);
}

/* w [n] = W(t) - W(t0): down the tree, adding each left half that lies before t. */
static void walk(struct brownian *b, double *w, double t)
{
    double s = b->t0, e = b->t1;
    memcpy(b->part, b->total, (size_t)b->n * sizeof *w);
    memset(w, 0, (size_t)b->n * sizeof *w);
    uint64_t key = 0;
    for (int depth = 0; t > s && t < e; depth++) {
        double mid = round6(0.5 * (e + s)), share = 1 / (e - s);
        double left = (mid - s) * share, spread = sqrt((mid - s) * (e - mid) * share);
        draw(b, brownian_node_seed(b->seed, key, depth));
        bool right = t >= mid;
        for (int64_t i = 0; i < b->n; i++) {
            double half = left * b->part[i] + spread * (double)b->noise[i];
            w[i] += right ? half : 0;
            b->part[i] = right ? b->part[i] - half : half;
        }
        key = 2 * key + right;
        s = right ? mid : s;
        e = right ? e : mid;
    }
    if (t >= e)
        for (int64_t i = 0; i < b->n; i++)
            w[i] += b->part[i];
}

/* W(t), from one of the two kept points if it is that; the other one is given up. */
static const double *value(struct brownian *b, double t, const double *keep)
{
    for (int k = 0; k < 2; k++)
        if (b->when[k] == t)
            return b->at[k];
    int k = keep == b->at[0];
    walk(b, b->at[k], t);
    b->when[k] = t;
    return b->at[k];
}

void brownian_noise(struct brownian *b, float *y, float from, float to)
{
    double f = fmin(fmax(round6(from), b->t0), b->t1), t = fmin(fmax(round6(to), b->t0), b->t1);
    const double *wf = value(b, f, b->at[1]), *wt = value(b, t, wf);
    float span = fabsf(to - from);
    float scale = span > 0 ? 1 / sqrtf(span) : 0;
    for (int64_t i = 0; i < b->n; i++)
        y[i] = (float)(wt[i] - wf[i]) * scale;
}
