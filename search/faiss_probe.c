/* Queries that measure an index. Stored rows alone flatter it: a sentence's vector lies between the
 * clusters, so mixtures of rows, and the caller's own queries, count as much. */
#include "core/mem.h"
#include "core/rng.h"
#include "search/faiss_file.h"
#include <math.h>
#include <string.h>

#define PROBES 64
#define BEST 20

void faiss_probe_release(struct faiss_probe *p)
{
    mem_free(p->queries);
    mem_free(p->scores);
    *p = (struct faiss_probe){0};
}

static void row_at(const struct vindex_build *b, const struct flat_ops *ops, size_t row, float *out)
{
    size_t block = 0, dim = (size_t)b->info.dim;
    while (row >= b->blocks[block].first + b->blocks[block].n)
        block++;
    const struct vec_block *k = &b->blocks[block];
    size_t i = row - k->first;
    if (k->f32)
        memcpy(out, (const float *)k->rows + i * dim, dim * sizeof *out);
    else
        ops->to_f32(out, (const uint16_t *)k->rows + i * dim, dim);
}

/* The normalised sum of `parts` rows at random. */
static void mixture(const struct vindex_build *b, const struct flat_ops *ops, struct rng *r,
                    int parts, float *out)
{
    size_t dim = (size_t)b->info.dim;
    float row[DB_MAX_DIM];
    double s = 0;
    memset(out, 0, dim * sizeof *out);
    for (int p = 0; p < parts; p++) {
        row_at(b, ops, (size_t)(rng_u64(r) % b->n_rows), row);
        for (size_t j = 0; j < dim; j++)
            out[j] += row[j];
    }
    for (size_t j = 0; j < dim; j++)
        s += (double)out[j] * out[j];
    for (size_t j = 0; s > 0 && j < dim; j++)
        out[j] = (float)(out[j] / sqrt(s));
}

static enum status score(struct faiss_probe *p, const struct vindex_build *b,
                         const struct flat_ops *ops, const uint8_t *keep, struct pool *pool,
                         struct error *err)
{
    enum status rc = ST_OK;
    size_t got = 0;
    for (size_t i = 0; !rc && i < p->n; i++) {
        struct flat_hit hits[BEST];
        struct flat_scan a = {.blocks = b->blocks,
                              .n_blocks = b->n_blocks,
                              .dim = b->info.dim,
                              .ops = ops,
                              .query = p->queries + i * (size_t)b->info.dim,
                              .k = p->k,
                              .keep = keep};
        rc = flat_topk(&a, pool, hits, &got, err);
        if (got < p->k)
            p->k = got; /* the same for all: as many as there are rows */
        for (size_t j = 0; j < got; j++)
            p->scores[i * p->k + j] = hits[j].score;
    }
    return rc;
}

enum status faiss_probes(struct faiss_probe kinds[3], const struct vindex_build *b,
                         const struct flat_ops *ops, struct pool *pool, struct error *err)
{
    struct rng r = {.state = 20240229};
    size_t dim = (size_t)b->info.dim;
    uint8_t *keep = NULL;
    enum status rc = ST_OK;
    if (b->dead && !(keep = mem_alloc(b->n_rows / 8 + 1)))
        return error_set(err, ST_NOMEM, "out of memory");
    for (size_t i = 0; keep && i < b->n_rows / 8 + 1; i++)
        keep[i] = (uint8_t)~b->dead[i];
    for (int kind = 0; !rc && kind < 3; kind++) {
        struct faiss_probe *p = &kinds[kind];
        p->n = kind < 2 ? PROBES : b->opts->queries ? b->opts->n_queries : 0;
        p->n = p->n > 256 ? 256 : p->n;
        p->k = BEST;
        p->queries = mem_array(p->n * dim + 1, sizeof *p->queries);
        p->scores = mem_array(p->n * BEST + 1, sizeof *p->scores);
        if (!p->queries || !p->scores) {
            rc = error_set(err, ST_NOMEM, "out of memory");
            break;
        }
        if (kind == 2 && p->n)
            memcpy(p->queries, b->opts->queries, p->n * dim * sizeof *p->queries);
        for (size_t i = 0; kind < 2 && i < p->n; i++)
            mixture(b, ops, &r, kind == 0 ? 1 : 2 + (int)(i % 3), p->queries + i * dim);
        rc = score(p, b, ops, keep, pool, err);
    }
    mem_free(keep);
    return rc;
}
