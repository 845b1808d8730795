/* Writing vectors-<model>.bin: whole files by temporary and rename, additions block by block at the
 * end, each synced before anything follows it. */
#include "core/mem.h"
#include "search/flat.h"
#include "search/vecfile_int.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

static enum status writer_init(struct vecfile_writer *w, const char *path, int dim,
                               const struct flat_ops *ops, struct error *err)
{
    size_t row = 16 + 2 * (size_t)dim, by_size = ((size_t)16 << 20) / row;
    *w = (struct vecfile_writer){
        .out = {.fd = -1},
        .fd = -1,
        .path = mem_strdup(path),
        .dim = dim,
        .ops = ops,
        .max = by_size < 64                   ? 64
               : by_size < VECFILE_BLOCK_ROWS ? by_size
                                              : VECFILE_BLOCK_ROWS,
    };
    return w->path ? ST_OK : error_set(err, ST_NOMEM, "out of memory");
}

static enum status put(struct vecfile_writer *w, const void *data, size_t n, struct error *err)
{
    enum status rc = w->fd < 0 ? file_out_write(&w->out, data, n, err)
                               : file_pwrite_all(w->fd, data, n, w->end, w->path, err);
    if (!rc)
        w->end += n;
    return rc;
}

enum status vecfile_create(struct vecfile_writer *w, const char *path, const char *hex, int dim,
                           const struct flat_ops *ops, struct error *err)
{
    uint8_t h[VECFILE_HEADER] = {0};
    uint32_t words[4] = {VECFILE_VERSION, VECFILE_ORDER, (uint32_t)dim, VECFILE_F16};
    memcpy(h, vecfile_magic, sizeof vecfile_magic);
    memcpy(h + 8, words, sizeof words);
    memcpy(h + 24, hex, strnlen(hex, 40));
    uint64_t sum = XXH3_64bits(h, VECFILE_HEADER - 8);
    memcpy(h + VECFILE_HEADER - 8, &sum, sizeof sum);
    enum status rc = writer_init(w, path, dim, ops, err);
    if (!rc)
        rc = file_out_open(&w->out, path, err);
    if (!rc)
        rc = put(w, h, sizeof h, err);
    if (rc)
        vecfile_abort(w);
    return rc;
}

enum status vecfile_append(struct vecfile_writer *w, const struct vecfile *f,
                           const struct flat_ops *ops, struct error *err)
{
    enum status rc = writer_init(w, f->path, f->dim, ops, err);
    if (rc)
        return rc;
    w->end = f->end;
    w->fd = open(f->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (w->fd < 0)
        rc = error_errno(err, errno, "%s", f->path);
    else if (f->map.size > f->end && ftruncate(w->fd, (off_t)f->end) != 0)
        rc = error_errno(err, errno, "%s", f->path);
    if (rc)
        vecfile_abort(w);
    return rc;
}

static enum status put_block(struct vecfile_writer *w, uint32_t kind, uint64_t n,
                             const void *const parts[], const size_t sizes[], size_t n_parts,
                             int64_t generation, uint64_t stamp, struct error *err)
{
    static const uint8_t zeros[64];
    uint8_t h[VECFILE_BLOCK_HEADER] = {0};
    uint64_t bytes, filled = 0, sum;
    if (!vecfile_payload(kind, n, w->dim, &bytes))
        return error_set(err, ST_LIMIT, "%s: too many rows", w->path);
    XXH3_state_t *state = XXH3_createState();
    if (!state)
        return error_set(err, ST_NOMEM, "out of memory");
    XXH3_64bits_reset(state);
    for (size_t i = 0; i < n_parts; filled += sizes[i++])
        XXH3_64bits_update(state, parts[i], sizes[i]);
    XXH3_64bits_update(state, zeros, bytes - filled);
    sum = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    uint64_t words[] = {n, bytes, (uint64_t)generation, stamp, sum};
    memcpy(h, vecfile_block_magic, sizeof vecfile_block_magic);
    memcpy(h + 4, &kind, sizeof kind);
    memcpy(h + 8, words, sizeof words);
    uint64_t head = XXH3_64bits_withSeed(h, VECFILE_BLOCK_HEADER - 8, w->end);
    memcpy(h + VECFILE_BLOCK_HEADER - 8, &head, sizeof head);
    enum status rc = put(w, h, sizeof h, err);
    for (size_t i = 0; !rc && i < n_parts; i++)
        rc = put(w, parts[i], sizes[i], err);
    if (!rc && bytes > filled)
        rc = put(w, zeros, bytes - filled, err);
    if (!rc && w->fd >= 0) /* a new file is synced once, before it is renamed */
        rc = file_fsync(w->fd, w->path, err);
    return rc;
}

enum status vecfile_put_dead(struct vecfile_writer *w, const int64_t *images, const int64_t *gens,
                             size_t n, int64_t generation, uint64_t stamp, struct error *err)
{
    const void *parts[] = {images, gens};
    const size_t sizes[] = {n * sizeof *images, n * sizeof *gens};
    if (n == 0)
        return ST_OK;
    return put_block(w, VECFILE_DEAD, n, parts, sizes, 2, generation, stamp, err);
}

static bool grow(struct vecfile_writer *w)
{
    size_t cap = w->cap ? w->cap * 4 : 64, cells;
    if (cap > w->max)
        cap = w->max;
    int64_t *images = mem_realloc_array(w->images, cap, sizeof *images);
    if (images)
        w->images = images;
    int64_t *gens = mem_realloc_array(w->gens, cap, sizeof *gens);
    if (gens)
        w->gens = gens;
    uint16_t *rows = mul_overflow_size(cap, (size_t)w->dim, &cells)
                         ? NULL
                         : mem_realloc_array(w->rows, cells, sizeof *rows);
    if (rows)
        w->rows = rows;
    if (!images || !gens || !rows)
        return false;
    w->cap = cap;
    return true;
}

enum status vecfile_put_row(struct vecfile_writer *w, int64_t image, int64_t gen, const float *v,
                            bool *full, struct error *err)
{
    if (w->n == w->cap && !grow(w))
        return error_set(err, ST_NOMEM, "%s: out of memory (%zu rows)", w->path, w->cap);
    w->images[w->n] = image;
    w->gens[w->n] = gen;
    w->ops->to_f16(w->rows + w->n * (size_t)w->dim, v, (size_t)w->dim);
    w->n++;
    *full = w->n == w->max;
    return ST_OK;
}

enum status vecfile_flush(struct vecfile_writer *w, int64_t generation, uint64_t stamp,
                          struct error *err)
{
    const void *parts[] = {w->images, w->gens, w->rows};
    const size_t sizes[] = {w->n * sizeof *w->images, w->n * sizeof *w->gens,
                            w->n * (size_t)w->dim * sizeof *w->rows};
    enum status rc =
        put_block(w, VECFILE_ROWS, w->n, parts, sizes, w->n ? 3 : 0, generation, stamp, err);
    w->n = 0;
    return rc;
}

enum status vecfile_commit(struct vecfile_writer *w, struct error *err)
{
    enum status rc = ST_OK;
    if (w->fd < 0)
        rc = file_out_commit(&w->out, err);
    vecfile_abort(w);
    return rc;
}

void vecfile_abort(struct vecfile_writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    file_out_abort(&w->out);
    mem_free(w->path);
    mem_free(w->images);
    mem_free(w->gens);
    mem_free(w->rows);
    *w = (struct vecfile_writer){.out = {.fd = -1}, .fd = -1};
}
