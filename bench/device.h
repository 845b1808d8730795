/* What the parts of bench_device share: random tensors on a device, timing, a line of the table. */
#ifndef EIDETIC_BENCH_DEVICE_H
#define EIDETIC_BENCH_DEVICE_H

#include "core/arena.h"
#include "core/rng.h"
#include "nn/ops.h"
#include "nn/packs.h"
#include <math.h>

struct device {
    struct backend *be, *ref;
    struct arena arena; /* on the device */
    struct packs *packs;
    struct arena weights; /* on the host */
    struct rng rng;
    double seconds, peak,
        bandwidth; /* dense TFLOP/s and GB/s of the card's data sheet; 0: not known */
    bool small;
    const char *only;  /* a part of the names of what is timed; NULL: all */
    int wrong, passes; /* passes: so many networks were made */
};

void *device_must(void *p); /* ends the program where p is NULL */
void device_settle(struct device *d);
/* Random values in the arena of the device, uploaded. */
struct tensor device_values(struct device *d, int ndim, const int64_t *dims);
struct tensor device_weight(struct device *d, int ndim, const int64_t *dims);
struct tensor device_weight_f16(struct device *d, int ndim, const int64_t *dims);
void device_forget(struct device *d); /* all tensors */

bool device_wanted(const struct device *d, const char *name);
typedef void device_run_fn(struct device *d, void *ctx);
double device_timed(struct device *d, device_run_fn *run, void *ctx); /* seconds a run */
void device_report(const struct device *d, const char *name, double seconds, double flops,
                   double units, const char *unit);
double device_cosine(const float *x, const float *y, int64_t n);

/* device_nets.c: Stable Diffusion 1.5's UNet and decoder, and BLIP's decoder, with random weights.
 */
void device_nets_check(struct device *d); /* small ones against d->ref */
void device_nets_bench(struct device *d);

#endif
