/* Mixing weight files of one shape: checkpoints, mostly.
 *
 *     static double third(void *ctx, const char *name) { return 0.3; }
 *     const char *in[] = {"a.safetensors", "b.safetensors", NULL};
 *     struct merge_opts o = {.ratio = third};
 *     struct merge_stats s;
 *     if (merge_weights(in, "ab.safetensors", &o, &s, &err)) return err.code;
 *
 * Two files: a + ratio * (b - a), the weighted sum. Three: a + ratio * (b - c), the added
 * difference (AUTOMATIC1111's names). The ratio may differ from tensor to tensor. What only a has,
 * and what is not of floats, stays a's; what a lacks is left out and counted. The sums are made in
 * f32, a tensor at a time, and rounded to the type of a's tensor or the one asked for; all results
 * are held in memory until the file is written. */
#ifndef EIDETIC_NN_MERGE_H
#define EIDETIC_NN_MERGE_H

#include "nn/weights.h"

struct merge_opts {
    double (*ratio)(void *ctx, const char *name);
    void *ctx;
    bool has_type;
    enum dtype type;         /* DT_F32, DT_F16 or DT_BF16, of all tensors of floats */
    const char *const *meta; /* pairs for the new file, NULL-terminated, or NULL */
};
struct merge_stats {
    int tensors, mixed, left_out; /* left_out: of the second file, since the first lacks them */
    uint64_t bytes;
};

/* in: two or three paths and NULL. Shapes that differ, and values that the type does not hold, are
 * ST_FORMAT and name the tensor. */
enum status merge_weights(const char *const *in, const char *out, const struct merge_opts *o,
                          struct merge_stats *stats, struct error *err);

#endif
