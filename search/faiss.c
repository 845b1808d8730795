/* The IVF index: FAISS trains it, fills it and writes it; its lists are scanned by faiss_scan.c.
 * The surprise: the file is ours outside and FAISS's inside; a header with checksums goes before
 * FAISS's bytes, and what FAISS parses is verified before it sees it. The inverted lists behind
 * that part are mapped and only ever give candidates. */
#include "core/mem.h"
#include "search/faiss_file.h"
#include "search/faiss_int.h"
#include "search/faiss_scan.h"
#include <math.h>
#include <string.h>

#define BATCH 8192 /* rows handed to FAISS at a time */
#define TRAIN_PER_LIST 64
#define RECALL_AT 20

struct ivf {
    FaissIndex *index;
    struct ivf_lists lists;
    int nprobe;
};

static enum status faiss_error(struct error *err, const char *path, const char *what)
{
    const char *text = faiss_get_last_error();
    return error_set(err, strstr(text, "bad_alloc") ? ST_NOMEM : ST_INTERNAL, "%s: %s: %.120s",
                     path, what, text);
}

static void ivf_close(void *state)
{
    struct ivf *x = state;
    if (!x)
        return;
    ivf_lists_release(&x->lists);
    if (x->index)
        faiss_Index_free(x->index);
    mem_free(x);
}

static enum status ivf_search(void *state, const struct vindex_query *q, struct flat_hit *hits,
                              size_t *found, bool *all, struct error *err)
{
    struct ivf *x = state;
    double probe = ceil(x->nprobe * q->effort);
    *all = !(probe < (double)x->lists.n);
    return ivf_scan(&x->lists, q, *all ? x->lists.n : (size_t)probe, hits, found, err);
}

static enum status ivf_open(void **state, const char *path, const char *model, int dim, bool deep,
                            struct vindex_info *info, struct error *err)
{
    FILE *f = NULL;
    struct ivf *x = NULL;
    struct error why;
    enum status rc = faiss_file_open(&f, path, model, dim, deep, info, err);
    if (rc)
        return rc;
    x = mem_zalloc(sizeof *x);
    if (!x) {
        rc = error_set(err, ST_NOMEM, "out of memory");
    } else if (eidetic_faiss_read_mapped(f, &x->index) != 0) {
        rc = error_set(err, ST_FORMAT, "%s: FAISS cannot read it", path);
    } else if ((rc = ivf_lists_init(&x->lists, x->index, &why))) {
        error_set(err, rc, "%s: %s", path, why.text);
    } else {
        x->nprobe = info->nprobe;
        if (x->lists.dim != (size_t)dim || x->lists.n != (size_t)info->nlist ||
            faiss_Index_ntotal(x->index) != (idx_t)info->rows)
            rc = error_set(err, ST_FORMAT, "%s: not what its header says", path);
    }
    fclose(f);
    if (rc)
        ivf_close(x);
    else
        *state = x;
    return rc;
}

/* Building */

struct building {
    struct vindex_build *b;
    const char *path;
    struct flat_ops ops;
    struct pool *pool;
    struct ivf x;
    int threads;
    size_t live;
};

static bool is_dead(const struct vindex_build *b, size_t row)
{
    return b->dead && (b->dead[row / 8] >> (row % 8) & 1);
}

static void copy_row(const struct building *g, const struct vec_block *k, size_t i, float *out)
{
    size_t dim = (size_t)g->b->info.dim;
    if (k->f32)
        memcpy(out, (const float *)k->rows + i * dim, dim * sizeof *out);
    else
        g->ops.to_f32(out, (const uint16_t *)k->rows + i * dim, dim);
}

static void step(const struct building *g, const char *what)
{
    if (g->b->opts->progress)
        g->b->opts->progress(g->b->opts->progress_ctx, what);
}

/* Live rows, every stride-th from the start: to f, in batches. */
static enum status each_batch(struct building *g, size_t stride, size_t most,
                              enum status (*f)(struct building *g, size_t n, const float *rows,
                                               const int64_t *gens, struct error *err),
                              float *rows, int64_t *gens, size_t batch, struct error *err)
{
    size_t n = 0, seen = 0, given = 0, dim = (size_t)g->b->info.dim;
    enum status rc = ST_OK;
    for (size_t j = 0; !rc && j < g->b->n_blocks; j++) {
        const struct vec_block *k = &g->b->blocks[j];
        for (size_t i = 0; !rc && i < k->n && given < most; i++) {
            if (is_dead(g->b, k->first + i) || seen++ % stride)
                continue;
            copy_row(g, k, i, rows + n * dim);
            gens[n++] = k->gens[i];
            given++;
            if (n == batch) {
                rc = f(g, n, rows, gens, err);
                n = 0;
            }
        }
    }
    return rc || !n ? rc : f(g, n, rows, gens, err);
}

static enum status train_with(struct building *g, size_t n, const float *rows, const int64_t *gens,
                              struct error *err)
{
    (void)gens;
    return faiss_Index_train(g->x.index, (idx_t)n, rows) == 0
               ? ST_OK
               : faiss_error(err, g->path, "training");
}

static enum status add_these(struct building *g, size_t n, const float *rows, const int64_t *gens,
                             struct error *err)
{
    return faiss_Index_add_with_ids(g->x.index, (idx_t)n, rows, gens) == 0
               ? ST_OK
               : faiss_error(err, g->path, "adding rows");
}

static enum status train_and_add(struct building *g, struct error *err)
{
    size_t dim = (size_t)g->b->info.dim, cells;
    size_t want = (size_t)g->b->info.nlist * TRAIN_PER_LIST, stride = g->live / want;
    if (want > g->live)
        want = g->live;
    if (stride < 1)
        stride = 1;
    size_t room = want > BATCH ? want : BATCH;
    float *rows = mul_overflow_size(room, dim, &cells) ? NULL : mem_array(cells, sizeof *rows);
    int64_t *gens = mem_array(room, sizeof *gens);
    enum status rc = ST_OK;
    if (!rows || !gens)
        rc = error_set(err, ST_NOMEM, "%s: out of memory to train on %zu rows", g->path, want);
    eidetic_faiss_threads(g->threads);
    step(g, "training the index");
    if (!rc) /* all of the sample in one batch */
        rc = each_batch(g, stride, want, train_with, rows, gens, want, err);
    step(g, "filling the index");
    if (!rc)
        rc = each_batch(g, 1, SIZE_MAX, add_these, rows, gens, BATCH, err);
    mem_free(rows);
    mem_free(gens);
    if (!rc && faiss_Index_ntotal(g->x.index) != (idx_t)g->live)
        rc = error_set(err, ST_INTERNAL, "%s: FAISS lost rows", g->path);
    return rc ? rc : ivf_lists_init(&g->x.lists, g->x.index, err);
}

static enum status measure(struct building *g, const struct faiss_probe *p, double *recall,
                           struct error *err)
{
    struct flat_hit hits[8 * RECALL_AT + 64];
    double right = 0, all = 0;
    size_t dim = (size_t)g->b->info.dim;
    for (size_t i = 0; i < p->n; i++) {
        struct vindex_query q = {
            .q = p->queries + i * dim,
            .n = sizeof hits / sizeof *hits,
            .effort = 1,
            .blocks = g->b->blocks,
            .n_blocks = g->b->n_blocks,
            .below = g->b->n_rows,
            .pool = g->pool,
        };
        size_t found = 0;
        bool every;
        enum status rc = ivf_search(&g->x, &q, hits, &found, &every, err);
        if (rc)
            return rc;
        for (size_t j = 0; j < found; j++) {
            float buffer[DB_MAX_DIM];
            size_t block = vec_block_of(q.blocks, q.n_blocks, hits[j].row);
            copy_row(g, &q.blocks[block], hits[j].row - q.blocks[block].first, buffer);
            g->ops.f32(&hits[j].score, buffer, 1, dim, q.q);
        }
        flat_sort(hits, found);
        for (size_t j = 0; j < p->k; j++, all++) /* by score, so that equal pictures are no miss */
            right += j < found && hits[j].score >= p->scores[i * p->k + j] - 1e-4f;
    }
    *recall = all > 0 ? right / all : 1;
    return ST_OK;
}

/* The smallest of nlist/128, and its doublings and one and a half times them, that reaches the
 * wanted recall on each kind of query. */
static enum status choose_nprobe(struct building *g, struct error *err)
{
    struct faiss_probe kinds[3] = {{0}};
    double want = g->b->opts->recall > 0 ? g->b->opts->recall : 0.98, worst = 0;
    struct vindex_info *info = &g->b->info;
    step(g, "measuring the index");
    enum status rc = faiss_probes(kinds, g->b, &g->ops, g->pool, err);
    int nlist = info->nlist, base = nlist / 128 > 1 ? nlist / 128 : 1;
    for (int i = 0; !rc; i++) {
        int64_t probe = i % 2 ? ((int64_t)base << i / 2) * 3 / 2 : (int64_t)base << i / 2;
        g->x.nprobe = probe < nlist ? (int)probe : nlist;
        worst = 1;
        for (int k = 0; !rc && k < 3; k++) {
            double r = 0;
            rc = measure(g, &kinds[k], &r, err);
            worst = r < worst ? r : worst;
        }
        if (worst >= want || g->x.nprobe == nlist)
            break;
    }
    info->recall = worst;
    info->nprobe = g->x.nprobe;
    for (int k = 0; k < 3; k++)
        faiss_probe_release(&kinds[k]);
    return rc;
}

static enum status make_index(struct building *g, struct error *err)
{
    struct vindex_info *info = &g->b->info;
    int nlist = (int)(2 * sqrt((double)g->live));
    if (nlist > (int)(g->live / 39)) /* FAISS wants 39 rows a list to train on */
        nlist = (int)(g->live / 39);
    nlist = nlist < 1 ? 1 : nlist;
    snprintf(info->description, sizeof info->description, "IVF%d,SQ8", nlist);
    info->nlist = nlist;
    info->rows = g->live;
    if (faiss_index_factory(&g->x.index, info->dim, info->description, METRIC_INNER_PRODUCT) != 0)
        return faiss_error(err, g->path, info->description);
    return ST_OK;
}

static enum status ivf_build(const char *path, struct vindex_build *b, struct error *err)
{
    struct building g = {.b = b, .path = path};
    enum status rc = ST_OK;
    flat_ops_init(&g.ops, cpu_level_max());
    g.threads = b->opts->threads > 0 ? b->opts->threads : cpu_count();
    for (size_t i = 0; i < b->n_rows; i++)
        g.live += !is_dead(b, i);
    if (g.live == 0)
        return error_set(err, ST_NOT_FOUND, "%s: no rows to index", path);
    if (g.threads > 1 && !(g.pool = pool_new(g.threads)))
        return error_set(err, ST_NOMEM, "cannot start %d threads", g.threads);
    rc = make_index(&g, err);
    if (!rc)
        rc = train_and_add(&g, err);
    if (!rc)
        rc = choose_nprobe(&g, err);
    step(&g, "writing the index");
    if (!rc)
        rc = faiss_file_write(path, g.x.index, &b->info, err);
    ivf_lists_release(&g.x.lists);
    if (g.x.index)
        faiss_Index_free(g.x.index);
    pool_free(g.pool);
    return rc;
}

extern const struct vindex_kind vindex_ivf;
const struct vindex_kind vindex_ivf = {
    .name = "ivf",
    .build = ivf_build,
    .open = ivf_open,
    .close = ivf_close,
    .search = ivf_search,
};
