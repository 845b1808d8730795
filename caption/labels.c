/* Label vectors and their file. The surprise: a cache is written in place, block by block, without
 * an fsync: a block that a power loss tears fails its checksum and is computed again. */
#include "caption/labels.h"
#include "core/file.h"
#include "core/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>

/* Two do as well as any more that were tried (docs/ARCHITECTURE.md), and cost the least. */
const char *const labels_templates[] = {"a photo of a %s.", "%s", NULL};

enum { TEXTS = 64 }; /* encoded at once */

struct cache {
    int fd; /* -1: none */
    const char *path;
    uint8_t header[LABELS_HEADER];
    size_t block_bytes; /* rows and checksum */
};

/* The label in a template, which is not a format string of its own. */
static char *fill(const char *template, const char *label)
{
    const char *at = strstr(template, "%s");
    return at ? mem_printf("%.*s%s%s", (int)(at - template), template, label, at + 2)
              : mem_strdup(template);
}

static void make_header(uint8_t h[LABELS_HEADER], const struct clip *c, const struct lexicon *v,
                        const char *const *templates)
{
    uint32_t order = 0x01020304, dim = (uint32_t)clip_dim(c);
    uint64_t n = v->n, key = 0, sum;
    for (size_t i = 0; templates[i]; i++)
        key = XXH3_64bits_withSeed(templates[i], strlen(templates[i]), key);
    for (size_t i = 0; i < v->n; i++)
        key = XXH3_64bits_withSeed(v->term[i].text, strlen(v->term[i].text), key);
    memset(h, 0, LABELS_HEADER);
    memcpy(h, LABELS_MAGIC, 8);
    memcpy(h + 8, &order, 4);
    memcpy(h + 12, &dim, 4);
    memcpy(h + 16, &n, 8);
    memcpy(h + 24, &key, 8);
    memcpy(h + 32, clip_info(c)->id, strlen(clip_info(c)->id));
    sum = XXH3_64bits(h, LABELS_HEADER - 8);
    memcpy(h + LABELS_HEADER - 8, &sum, 8);
}

static uint64_t sum_of(const float *rows, size_t bytes, size_t block)
{
    return XXH3_64bits_withSeed(rows, bytes, block);
}

/* A file that is locked by another process, cannot be opened or written is done without. */
static void cache_open(struct cache *k, const char *path, const struct labels *l)
{
    uint8_t there[LABELS_HEADER];
    k->fd = -1;
    k->path = path;
    k->block_bytes = LABELS_BLOCK * l->dim * sizeof(float) + 8;
    if (!path)
        return;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (fd < 0) /* perhaps it may be read */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return;
    }
    if (fd < 0)
        return;
    bool same = !file_pread_all(fd, there, sizeof there, 0, path, NULL) &&
                !memcmp(there, k->header, sizeof there);
    if (!same && (ftruncate(fd, 0) != 0 ||
                  file_pwrite_all(fd, k->header, sizeof k->header, 0, path, NULL) != ST_OK)) {
        close(fd);
        return;
    }
    k->fd = fd;
}

static bool are_unit(const float *rows, size_t n, size_t dim)
{
    for (size_t i = 0; i < n; i++) {
        double s = 0;
        for (size_t j = 0; j < dim; j++)
            s += (double)rows[i * dim + j] * rows[i * dim + j];
        if (!(fabs(s - 1) < 1e-3))
            return false;
    }
    return true;
}

static bool cache_get(const struct cache *k, float *rows, size_t n, size_t dim, size_t block)
{
    uint64_t sum, at = LABELS_HEADER + (uint64_t)block * k->block_bytes;
    size_t bytes = n * dim * sizeof *rows;
    return k->fd >= 0 && !file_pread_all(k->fd, rows, bytes, at, k->path, NULL) &&
           !file_pread_all(k->fd, &sum, sizeof sum, at + bytes, k->path, NULL) &&
           sum == sum_of(rows, bytes, block) && are_unit(rows, n, dim);
}

static void cache_put(struct cache *k, const float *rows, size_t n, size_t dim, size_t block)
{
    uint64_t at = LABELS_HEADER + (uint64_t)block * k->block_bytes;
    size_t bytes = n * dim * sizeof *rows;
    uint64_t sum = sum_of(rows, bytes, block);
    if (k->fd < 0)
        return;
    if (file_pwrite_all(k->fd, rows, bytes, at, k->path, NULL) ||
        file_pwrite_all(k->fd, &sum, sizeof sum, at + bytes, k->path, NULL)) {
        close(k->fd); /* a full disk: go on without */
        k->fd = -1;
    }
}

/* rows[i] = the unit vector of the mean of label i's sentences. */
static enum status encode(struct clip_session *s, const struct lexicon_term *terms, size_t n,
                          const char *const *templates, float *rows, size_t dim, struct error *err)
{
    size_t n_templates = 0;
    while (templates[n_templates])
        n_templates++;
    float *out = mem_array(TEXTS, dim * sizeof *out);
    char *texts[TEXTS] = {0};
    enum status st = out ? ST_OK : error_set(err, ST_NOMEM, "out of memory");
    memset(rows, 0, n * dim * sizeof *rows);
    for (size_t at = 0; !st && at < n * n_templates; at += TEXTS) {
        size_t m = n * n_templates - at < TEXTS ? n * n_templates - at : TEXTS;
        for (size_t i = 0; i < m; i++) {
            texts[i] = fill(templates[(at + i) % n_templates], terms[(at + i) / n_templates].text);
            if (!texts[i])
                st = error_set(err, ST_NOMEM, "out of memory");
        }
        if (!st)
            st = clip_encode_text(s, (const char *const *)texts, (int)m, out, err);
        for (size_t i = 0; i < m; i++) {
            float *row = rows + (at + i) / n_templates * dim;
            for (size_t j = 0; !st && j < dim; j++)
                row[j] += out[i * dim + j];
            mem_free(texts[i]);
        }
    }
    for (size_t i = 0; !st && i < n; i++) {
        double sum = 0;
        for (size_t j = 0; j < dim; j++)
            sum += (double)rows[i * dim + j] * rows[i * dim + j];
        if (!(sum > 0))
            st = error_set(err, ST_FORMAT, "\"%.80s\" has no direction", terms[i].text);
        for (size_t j = 0; j < dim; j++)
            rows[i * dim + j] = (float)(rows[i * dim + j] / sqrt(sum));
    }
    mem_free(out);
    return st;
}

enum status labels_open(struct labels *l, struct clip_session *s, const struct clip *c,
                        const struct lexicon *v, const struct labels_opts *o, struct error *err)
{
    const char *const *templates = o->templates ? o->templates : labels_templates;
    struct cache k = {.fd = -1};
    enum status st = ST_OK;
    *l = (struct labels){.n = v->n, .dim = (size_t)clip_dim(c)};
    l->rows = mem_array(v->n, l->dim * sizeof *l->rows);
    if (!l->rows)
        return error_set(err, ST_NOMEM, "out of memory (%zu labels)", v->n);
    make_header(k.header, c, v, templates);
    cache_open(&k, o->cache, l);
    for (size_t b = 0; !st && b * LABELS_BLOCK < l->n; b++) {
        size_t first = b * LABELS_BLOCK;
        size_t n = l->n - first < LABELS_BLOCK ? l->n - first : LABELS_BLOCK;
        float *rows = l->rows + first * l->dim;
        if (cache_get(&k, rows, n, l->dim, b))
            continue;
        if (o->progress)
            o->progress(o->ctx, first, l->n);
        if (o->stop && *o->stop)
            st = error_set(err, ST_INTERRUPTED, "interrupted");
        if (!st)
            st = encode(s, v->term + first, n, templates, rows, l->dim, err);
        if (!st)
            cache_put(&k, rows, n, l->dim, b);
        l->computed += n;
    }
    if (k.fd >= 0)
        close(k.fd);
    if (st)
        labels_close(l);
    return st;
}

void labels_close(struct labels *l)
{
    mem_free(l->rows);
    *l = (struct labels){0};
}
