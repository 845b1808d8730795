/* One weight file to another of a chosen type.
 *
 *     struct convert_stats s;
 *     if (convert_weights("model.safetensors", "small.safetensors", DT_I8, NULL, &s, &err)) ...
 *     // s.bytes_out / s.bytes_in, s.worst_name, s.worst_error
 *
 * Matrices and convolutions (float tensors of two and more dimensions) take the type; scalars,
 * biases and norms become f32; integers stay. What the type does not suit stays f16 (f32 where f16
 * would overflow): q8_0 rows that 32 does not divide, i8 rows of fewer than 16 values, tensors of
 * fewer than 1,024 values, attention masks. Metadata is kept, and "eidetic.source_id" names the
 * weights that the chain of conversions started from (weights_id). `out` may be `in`. Converted
 * tensors are held in memory until the file is written; one that needs no change is not. */
#ifndef EIDETIC_NN_CONVERT_H
#define EIDETIC_NN_CONVERT_H

#include "nn/weights.h"

struct convert_opts {
    /* fnmatch patterns of tensors that stay f16 when quantising; NULL-terminated, NULL = none. */
    const char *const *keep;
    /* Pairs added to the metadata, over what the source has; NULL-terminated. */
    const char *const *meta;
    /* Called after each tensor with bytes done and in all; nonzero stops with ST_INTERRUPTED. */
    int (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
};

struct convert_stats {
    int tensors, converted; /* converted: those that took the type asked for */
    uint64_t bytes_in, bytes_out;
    double worst_error;  /* root of mean square error over root mean square, of the worst tensor */
    char worst_name[96]; /* escaped for printing */
    char source_id[33];
};

/* to: DT_F32, DT_F16, DT_BF16, DT_I8 or DT_Q8_0, otherwise ST_USAGE. NaN or infinity in what must
 * be quantised is ST_FORMAT. o and stats may be NULL. */
enum status convert_weights(const char *in, const char *out, enum dtype to,
                            const struct convert_opts *o, struct convert_stats *stats,
                            struct error *err);

#endif
