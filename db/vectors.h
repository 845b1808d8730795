/* Models and their vectors: f32 rows of unit length, one for each (model, image).
 *
 *     db_model_put(db, info->id, info->name, info->dim, &model, &err);
 *     struct db_vector row = {.image = id, .v = v, .precision = DB_PREC_F32};
 *     db_vector_put(db, model, &row, &err);
 *     db_vectors_each(db, model, 0, each, ctx, &err);        // in the order of their generation
 *
 * Generations: every vector put or removed takes the model's next number, so a cache that holds
 * everything up to generation g catches up with db_removals_each(g) and db_vectors_each(g), and
 * nothing else. A commit also leaves a random stamp: a cache keeps the stamp that covers its
 * generation, and where that differs the database has another history (a backup was put back) and
 * the cache is rebuilt. Vectors of two models never mix. */
#ifndef EIDETIC_DB_VECTORS_H
#define EIDETIC_DB_VECTORS_H

#include "db/db.h"

#define DB_MAX_DIM 8192

struct db_model {
    int64_t id;
    char hex[41]; /* clip_info's id */
    char name[128];
    int dim;
    int64_t generation; /* 0 = never had a vector */
    int64_t vectors;    /* rows now */
};
/* Finds the model by hex or adds it; a known one with another dim is ST_FORMAT. hex: 1 to 40 of
 * [0-9a-f]. */
enum status db_model_put(struct db *db, const char *hex, const char *name, int dim, int64_t *id,
                         struct error *err);
enum status db_model_get(struct db *db, const char *hex, struct db_model *m, struct error *err);
enum status db_model_by_id(struct db *db, int64_t id, struct db_model *m, struct error *err);
enum status db_models_each(struct db *db, enum status (*each)(void *ctx, const struct db_model *m),
                           void *ctx, struct error *err);

enum db_precision { /* persisted */
                    DB_PREC_F32 = 1,
                    DB_PREC_BF16 = 2,
                    DB_PREC_INT8 = 3,
                    DB_PREC_F16 = 4
};
enum db_vector_flag { DB_VEC_REDUCED = 1 }; /* persisted; decoded at a reduced scale */

struct db_vector {
    int64_t image;
    enum db_precision precision; /* 0 is stored as f32 */
    unsigned flags;
    const char *device; /* "cpu", "cuda:0"; NULL = "" */
    const float *v;     /* dim of the model; finite, length 1 within 1e-3, otherwise ST_FORMAT */
};
/* Inserts or replaces; a replaced row counts as removed and added. */
enum status db_vector_put(struct db *db, int64_t model, const struct db_vector *v,
                          struct error *err);
enum status db_vector_remove(struct db *db, int64_t model, int64_t image, struct error *err);
enum status db_vector_exists(struct db *db, int64_t model, int64_t image, bool *exists,
                             struct error *err);
/* out: n rows of dim floats in the order of images; have[i] = false and a zero row where there is
 * none. */
enum status db_vectors_get(struct db *db, int64_t model, const int64_t *images, size_t n, int dim,
                           float *out, bool *have, struct error *err);
/* What is stored beside a vector. device needs 32 bytes. */
enum status db_vector_info(struct db *db, int64_t model, int64_t image,
                           enum db_precision *precision, unsigned *flags, char *device,
                           struct error *err);
/* Removes a model with all its vectors. */
enum status db_model_remove(struct db *db, int64_t model, struct error *err);

/* Rows with generation > after, ascending by generation; v is valid (and 4-byte aligned) during the
 * call. */
typedef enum status db_vector_fn(void *ctx, int64_t image, int64_t generation, const float *v);
enum status db_vectors_each(struct db *db, int64_t model, int64_t after, db_vector_fn *each,
                            void *ctx, struct error *err);
/* The mean of up to about `most` vectors, spread evenly over the model's history; *n says of how
 * many. n 0: a zero vector. out: dim floats. */
enum status db_vectors_mean(struct db *db, int64_t model, size_t most, float *out, size_t *n,
                            struct error *err);
/* Removals with generation > after: rows of `image` with a smaller generation are gone. */
typedef enum status db_removal_fn(void *ctx, int64_t image, int64_t generation);
enum status db_removals_each(struct db *db, int64_t model, int64_t after, db_removal_fn *each,
                             void *ctx, struct error *err);
/* The model's current generation and the stamp of the commit that covers `generation`; 0 for 0, and
 * 0 where no commit covers it (the database is behind: another history). */
enum status db_generation(struct db *db, int64_t model, int64_t *generation, struct error *err);
enum status db_stamp(struct db *db, int64_t model, int64_t generation, uint64_t *stamp,
                     struct error *err);

#endif
