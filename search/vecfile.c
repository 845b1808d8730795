/* Reading vectors-<model>.bin. The file may be cut or flipped anywhere: a block counts only when
 * its header's checksum (seeded with its place) holds, and everything after the first that fails is
 * treated as not written yet, to be caught up from SQLite. */
#include "search/vecfile.h"
#include "core/mem.h"
#include "search/vecfile_int.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

uint32_t vec_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

uint64_t vec_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

bool vecfile_payload(uint32_t kind, uint64_t n, int dim, uint64_t *bytes)
{
    uint64_t row = kind == VECFILE_ROWS ? 16 + 2 * (uint64_t)dim : kind == VECFILE_DEAD ? 16 : 0;
    return row && !__builtin_mul_overflow(n, row, bytes) &&
           !__builtin_add_overflow(*bytes, 63, bytes) && ((*bytes &= ~UINT64_C(63)), true);
}

static enum status check_header(const struct vecfile *f, const char *hex, struct error *err)
{
    const uint8_t *h = f->map.data;
    if (f->map.size < VECFILE_HEADER || memcmp(h, vecfile_magic, sizeof vecfile_magic) != 0)
        return error_set(err, ST_FORMAT, "%s: not a vector file", f->path);
    if (XXH3_64bits(h, VECFILE_HEADER - 8) != vec_u64(h + VECFILE_HEADER - 8))
        return error_set(err, ST_FORMAT, "%s: damaged header", f->path);
    if (vec_u32(h + 8) != VECFILE_VERSION || vec_u32(h + 12) != VECFILE_ORDER ||
        vec_u32(h + 20) != VECFILE_F16)
        return error_set(err, ST_UNSUPPORTED, "%s: another version or byte order", f->path);
    char model[41] = {0};
    memcpy(model, h + 24, 40);
    if (strcmp(model, hex) || vec_u32(h + 16) != (uint32_t)f->dim)
        return error_set(err, ST_FORMAT, "%s: of another model", f->path);
    return ST_OK;
}

static bool is_block_header(const uint8_t *p, uint64_t at)
{
    return !memcmp(p, vecfile_block_magic, sizeof vecfile_block_magic) &&
           XXH3_64bits_withSeed(p, VECFILE_BLOCK_HEADER - 8, at) ==
               vec_u64(p + VECFILE_BLOCK_HEADER - 8);
}

/* One valid block at f->end, or false. */
static bool read_header(const struct vecfile *f, struct vecfile_block *b)
{
    const uint8_t *p = f->map.data + f->end;
    uint64_t left = f->map.size - f->end, want;
    if (left < VECFILE_BLOCK_HEADER || !is_block_header(p, f->end))
        return false;
    *b = (struct vecfile_block){
        .kind = vec_u32(p + 4),
        .n = vec_u64(p + 8),
        .bytes = vec_u64(p + 16),
        .generation = (int64_t)vec_u64(p + 24),
        .stamp = vec_u64(p + 32),
        .sum = vec_u64(p + 40),
        .data = p + VECFILE_BLOCK_HEADER,
    };
    return vecfile_payload(b->kind, b->n, f->dim, &want) && want == b->bytes &&
           b->bytes <= left - VECFILE_BLOCK_HEADER && b->generation >= f->generation;
}

bool vecfile_next(struct vecfile *f, struct vecfile_block *b)
{
    if (!read_header(f, b))
        return false;
    /* Only the last block can be torn: each is synced before the next is begun. */
    if (b->bytes == f->map.size - f->end - VECFILE_BLOCK_HEADER || !b->bytes) {
        if (XXH3_64bits(b->data, b->bytes) != b->sum)
            return false;
    } else {
        struct vecfile next = *f;
        struct vecfile_block after;
        next.end += VECFILE_BLOCK_HEADER + b->bytes;
        next.generation = b->generation;
        if (!read_header(&next, &after) && XXH3_64bits(b->data, b->bytes) != b->sum)
            return false;
    }
    f->end += VECFILE_BLOCK_HEADER + b->bytes;
    f->generation = b->generation;
    f->stamp = b->stamp;
    f->n_all_blocks++;
    return true;
}

/* Tombstones of the whole file, gathered while the blocks are read. */
struct tombs {
    int64_t *images, *gens;
    size_t n;
};

static bool add_tombs(struct tombs *t, const struct vecfile_block *b)
{
    size_t n = t->n + b->n;
    int64_t *images = mem_realloc_array(t->images, n ? n : 1, sizeof *images);
    if (images)
        t->images = images;
    int64_t *gens = mem_realloc_array(t->gens, n ? n : 1, sizeof *gens);
    if (gens)
        t->gens = gens;
    if (!images || !gens)
        return false;
    memcpy(images + t->n, b->data, b->n * sizeof *images);
    memcpy(gens + t->n, b->data + b->n * sizeof *gens, b->n * sizeof *gens);
    t->n = n;
    return true;
}

static bool add_rows(struct vecfile *f, const struct vecfile_block *b, size_t *cap)
{
    if (f->n_blocks == *cap) {
        size_t want = *cap ? *cap * 2 : 16;
        struct vec_block *blocks = mem_realloc_array(f->blocks, want, sizeof *blocks);
        if (!blocks)
            return false;
        f->blocks = blocks;
        *cap = want;
    }
    f->blocks[f->n_blocks++] = (struct vec_block){
        .images = (const int64_t *)b->data,
        .gens = (const int64_t *)b->data + b->n,
        .rows = b->data + 16 * b->n,
        .n = b->n,
        .first = f->n_rows,
    };
    f->n_rows += b->n;
    return true;
}

static enum status read_blocks(struct vecfile *f, struct error *err)
{
    struct tombs t = {0};
    struct vecfile_block b;
    size_t cap = 0;
    enum status rc = ST_OK;
    f->end = VECFILE_HEADER;
    while (!rc && vecfile_next(f, &b)) {
        bool ok = b.kind == VECFILE_DEAD ? add_tombs(&t, &b) : b.n == 0 || add_rows(f, &b, &cap);
        if (!ok)
            rc = error_set(err, ST_NOMEM, "%s: out of memory", f->path);
    }
    if (!rc)
        rc = vec_mark_dead(f->blocks, f->n_blocks, f->n_rows, t.images, t.gens, t.n, &f->dead,
                           &f->n_dead, err);
    mem_free(t.images);
    mem_free(t.gens);
    return rc;
}

enum status vecfile_open(struct vecfile *f, const char *path, const char *hex, int dim,
                         struct error *err)
{
    *f = (struct vecfile){.dim = dim, .path = mem_strdup(path)};
    if (!f->path)
        return error_set(err, ST_NOMEM, "out of memory");
    enum status rc = file_map_open_fd(&f->map, &f->fd, path, err);
    if (!rc)
        rc = check_header(f, hex, err);
    if (!rc)
        rc = read_blocks(f, err);
    if (rc)
        vecfile_close(f);
    return rc;
}

bool vecfile_read(const struct vecfile *f, const void *at, size_t n, void *to)
{
    size_t off = (size_t)((const uint8_t *)at - f->map.data);
    return !file_pread_all(f->fd, to, n, off, f->path, NULL);
}

void vecfile_close(struct vecfile *f)
{
    if (f->map.data)
        close(f->fd);
    file_map_close(&f->map);
    mem_free(f->path);
    mem_free(f->blocks);
    mem_free(f->dead);
    *f = (struct vecfile){0};
}

/* Is what lies behind the last block the beginning of one, as an append that goes on or was killed
 * leaves it? Nobody reads it, and the next append cuts it off. */
static bool is_begun(const struct vecfile *f)
{
    const uint8_t *p = f->map.data + f->end;
    uint64_t left = f->map.size - f->end;
    return left < VECFILE_BLOCK_HEADER ||
           (is_block_header(p, f->end) && vec_u64(p + 16) > left - VECFILE_BLOCK_HEADER);
}

enum status vecfile_verify(const struct vecfile *f, struct error *err)
{
    struct vecfile walk = {.map = f->map, .dim = f->dim, .end = VECFILE_HEADER};
    struct vecfile_block b;
    int64_t last = 0;
    while (walk.end < f->end && vecfile_next(&walk, &b)) {
        uint64_t at = (uint64_t)(b.data - f->map.data) - VECFILE_BLOCK_HEADER;
        if (XXH3_64bits(b.data, b.bytes) != b.sum)
            return error_set(err, ST_FORMAT, "%s: the block at byte %llu is damaged", f->path,
                             (unsigned long long)at);
        const int64_t *gens = (const int64_t *)b.data + b.n;
        for (size_t i = 0; b.kind == VECFILE_ROWS && i < b.n; last = gens[i++])
            if (gens[i] <= last || gens[i] > b.generation)
                return error_set(err, ST_FORMAT,
                                 "%s: the rows of the block at byte %llu do not "
                                 "ascend",
                                 f->path, (unsigned long long)at);
    }
    if (walk.end != f->end)
        return error_set(err, ST_FORMAT, "%s: damaged at byte %llu", f->path,
                         (unsigned long long)walk.end);
    if (f->end != f->map.size && !is_begun(f))
        return error_set(err, ST_FORMAT, "%s: %llu bytes behind the last whole block", f->path,
                         (unsigned long long)(f->map.size - f->end));
    return ST_OK;
}

struct tomb {
    int64_t image, gen;
};

static int by_image(const void *a, const void *b)
{
    const struct tomb *x = a, *y = b;
    if (x->image != y->image)
        return x->image < y->image ? -1 : 1;
    return (x->gen > y->gen) - (x->gen < y->gen);
}

/* The greatest generation at which the image was removed, or 0. */
static int64_t removed_at(const struct tomb *t, size_t n, int64_t image)
{
    size_t lo = 0, hi = n;
    while (lo < hi) { /* past the last of this image */
        size_t mid = lo + (hi - lo) / 2;
        if (t[mid].image <= image)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo > 0 && t[lo - 1].image == image ? t[lo - 1].gen : 0;
}

enum status vec_mark_dead(const struct vec_block *blocks, size_t n_blocks, size_t n_rows,
                          const int64_t *images, const int64_t *gens, size_t n, uint8_t **dead,
                          size_t *n_dead, struct error *err)
{
    if (n == 0 || n_rows == 0)
        return ST_OK;
    struct tomb *t = mem_array(n, sizeof *t);
    uint8_t *bits = *dead ? *dead : mem_zalloc(n_rows / 8 + 1);
    uint8_t hint[8192] = {0}; /* most rows are not removed: one bit by the id's low end says so */
    if (!t || !bits) {
        mem_free(t);
        if (!*dead)
            mem_free(bits);
        return error_set(err, ST_NOMEM, "out of memory (%zu removals)", n);
    }
    for (size_t i = 0; i < n; i++) {
        t[i] = (struct tomb){images[i], gens[i]};
        hint[(uint64_t)images[i] % 65536 / 8] |= (uint8_t)(1 << (images[i] & 7));
    }
    qsort(t, n, sizeof *t, by_image);
    for (size_t b = 0; b < n_blocks; b++) {
        const struct vec_block *k = &blocks[b];
        for (size_t i = 0; i < k->n; i++) {
            uint64_t id = (uint64_t)k->images[i] % 65536;
            size_t row = k->first + i;
            if (!(hint[id / 8] >> (id & 7) & 1) || (bits[row / 8] >> (row % 8) & 1) ||
                removed_at(t, n, k->images[i]) <= k->gens[i])
                continue;
            bits[row / 8] |= (uint8_t)(1 << row % 8);
            ++*n_dead;
        }
    }
    *dead = bits;
    mem_free(t);
    return ST_OK;
}

size_t vec_find(const struct vec_block *blocks, size_t n_blocks, int64_t gen, size_t *block)
{
    size_t lo = 0, hi = n_blocks;
    while (lo < hi) { /* the first block that does not end before gen */
        size_t mid = lo + (hi - lo) / 2;
        if (blocks[mid].gens[blocks[mid].n - 1] < gen)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == n_blocks)
        return SIZE_MAX;
    const struct vec_block *b = &blocks[lo];
    uint64_t guess = (uint64_t)gen - (uint64_t)b->gens[0];
    if (guess < b->n && b->gens[guess] == gen) {
        *block = lo;
        return b->first + guess;
    }
    size_t from = 0, to = b->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (b->gens[mid] < gen)
            from = mid + 1;
        else
            to = mid;
    }
    if (from == b->n || b->gens[from] != gen)
        return SIZE_MAX;
    *block = lo;
    return b->first + from;
}

size_t vec_block_of(const struct vec_block *blocks, size_t n_blocks, size_t row)
{
    size_t lo = 0, hi = n_blocks;
    while (hi - lo > 1) { /* blocks[lo].first <= row */
        size_t mid = lo + (hi - lo) / 2;
        if (blocks[mid].first <= row)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

size_t vec_first_after(const struct vec_block *blocks, size_t n_blocks, int64_t gen)
{
    for (size_t b = n_blocks; b-- > 0;) /* the answer is near the end: tails are short */
        for (size_t i = blocks[b].n; i-- > 0;)
            if (blocks[b].gens[i] <= gen)
                return blocks[b].first + i + 1;
    return 0;
}
