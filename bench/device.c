/* What the parts of bench_device share. */
#include "bench/device.h"
#include "core/mem.h"
#include "core/progress.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *device_must(void *p)
{
    if (!p) {
        fprintf(stderr, "bench_device: out of memory\n");
        exit(70);
    }
    return p;
}

void device_settle(struct device *d)
{
    struct error err;
    if (backend_sync(d->be, &err)) {
        fprintf(stderr, "bench_device: %s\n", err.text);
        exit(70);
    }
}

/* Random values in the arena of the device, uploaded. */
struct tensor device_values(struct device *d, int ndim, const int64_t *dims)
{
    struct tensor t = tensor_view(NULL, DT_F32, ndim, dims);
    int64_t n = tensor_count(&t);
    float *x = t.data = device_must(arena_array(&d->arena, (size_t)n, sizeof *x));
    for (int64_t i = 0; i < n; i++)
        x[i] = rng_uniform(&d->rng) - 0.5f;
    backend_upload(d->be, &t);
    return t;
}

struct tensor device_weight(struct device *d, int ndim, const int64_t *dims)
{
    struct tensor t = tensor_view(NULL, DT_F32, ndim, dims);
    int64_t n = tensor_count(&t);
    float *x = t.data = device_must(arena_array(&d->weights, (size_t)n, sizeof *x));
    for (int64_t i = 0; i < n; i++)
        x[i] = (rng_uniform(&d->rng) - 0.5f) * 0.05f;
    t.use = TENSOR_WEIGHT;
    t.packs = d->packs;
    return t;
}

bool device_wanted(const struct device *d, const char *name)
{
    return !d->only || strstr(name, d->only);
}

/* Seconds a run: as many as fit into the time, queued one behind the other, waited for at the end.
 */
double device_timed(struct device *d, device_run_fn *run, void *ctx)
{
    int n = 1;
    for (int i = 0; i < (d->small ? 1 : 3); i++) /* packs weights, chooses algorithms, records */
        run(d, ctx);
    device_settle(d);
    for (;;) {
        double t = time_now();
        for (int i = 0; i < n; i++)
            run(d, ctx);
        device_settle(d);
        t = time_now() - t;
        if (t >= d->seconds || d->small)
            return t / n;
        n = t > 0 ? (int)(1.2 * d->seconds / t * n) + 1 : 2 * n;
    }
}

void device_report(const struct device *d, const char *name, double seconds, double flops,
                   double units, const char *unit)
{
    printf("%-44s %10.3f ms %9.1f TFLOP/s", name, seconds * 1e3, flops / seconds * 1e-12);
    if (d->peak > 0)
        printf(" %5.1f %% of peak", flops / seconds / d->peak * 1e-10);
    if (units > 0)
        printf(" %10.1f %s/s", units / seconds, unit);
    putchar('\n');
}

/* Two bytes a value, repeated from a block: a gigabyte of it is there in a moment. */
struct tensor device_weight_f16(struct device *d, int ndim, const int64_t *dims)
{
    enum { BLOCK = 1 << 16 };
    struct tensor t = tensor_view(NULL, DT_F16, ndim, dims);
    int64_t n = tensor_count(&t), first = n < BLOCK ? n : BLOCK;
    uint16_t *x = t.data = device_must(arena_array(&d->weights, (size_t)n, sizeof *x));
    for (int64_t i = 0; i < first; i++)
        x[i] = f32_to_f16((rng_uniform(&d->rng) - 0.5f) * 0.05f);
    for (int64_t i = first; i < n; i += BLOCK)
        memcpy(x + i, x, (size_t)(n - i < BLOCK ? n - i : BLOCK) * sizeof *x);
    t.use = TENSOR_WEIGHT;
    t.packs = d->packs;
    return t;
}

void device_forget(struct device *d)
{
    packs_free(d->packs);
    d->packs = device_must(packs_new());
    arena_rewind(&d->arena, 0);
    arena_rewind(&d->weights, 0);
}

double device_cosine(const float *x, const float *y, int64_t n)
{
    double dot = 0, a = 0, b = 0;
    for (int64_t i = 0; i < n; i++) {
        dot += (double)x[i] * (double)y[i];
        a += (double)x[i] * (double)x[i];
        b += (double)y[i] * (double)y[i];
    }
    return dot / sqrt(a * b);
}
