/* vectors-<model>.bin: every vector of a model as f16 rows in one mapped file, a cache of SQLite.
 * docs/FILE-FORMATS-LIBRARY.md describes it byte by byte.
 *
 *     struct vecfile f;
 *     if (vecfile_open(&f, path, hex, dim, &err) == ST_OK) scan(f.blocks, f.n_blocks, f.dead);
 *     vecfile_close(&f);
 *
 * A file is a header, then blocks that are only ever appended, each fsynced before the next: so
 * only the last can be torn, and opening verifies the headers of all and the content of the last; a
 * torn one is left out and cut off by the next append. What is older than the end of the file is
 * verified by vecfile_verify. Rows ascend by db generation over the whole file; a tombstone block
 * names rows that died. Thread rule: an open file is immutable and may be shared. */
#ifndef EIDETIC_SEARCH_VECFILE_H
#define EIDETIC_SEARCH_VECFILE_H

#include "core/error.h"
#include "core/file.h"

/* The format's constants; persisted. */
#define VECFILE_VERSION 1
#define VECFILE_HEADER 128
#define VECFILE_BLOCK_HEADER 64
#define VECFILE_ORDER 0x01020304u
enum vecfile_kind { VECFILE_ROWS = 1, VECFILE_DEAD = 2 };
/* Bytes of a block's content, padded to 64; false on overflow or an unknown kind. */
bool vecfile_payload(uint32_t kind, uint64_t n, int dim, uint64_t *bytes);

struct vec_block { /* rows of consecutive numbers, in the map or in memory */
    const int64_t *images, *gens;
    const void *rows; /* [n, dim] of f16, or of f32 where f32 is set */
    bool f32;
    size_t n, first; /* first: row number of rows[0] */
};

struct vecfile {
    struct file_map map;
    int fd; /* of the same file, while map.data is there */
    char *path;
    int dim;
    struct vec_block *blocks; /* row blocks only */
    size_t n_blocks, n_rows, n_dead, n_all_blocks;
    uint8_t *dead;      /* bit per row; NULL = none */
    int64_t generation; /* everything up to here is in the file */
    uint64_t stamp;     /* db_stamp of it */
    uint64_t end;       /* bytes that are valid; the file may be longer by a torn block */
};

#define VECFILE_BLOCK_ROWS 16384 /* at most, when written here; readers take any */

/* ST_NOT_FOUND absent, ST_FORMAT damaged or of another model, ST_UNSUPPORTED another version. */
enum status vecfile_open(struct vecfile *f, const char *path, const char *hex, int dim,
                         struct error *err);
void vecfile_close(struct vecfile *f); /* takes a zeroed struct */
/* The bytes at a place of the map, read from the file; false: look at them there. */
bool vecfile_read(const struct vecfile *f, const void *at, size_t n, void *to);
/* All checksums. ST_FORMAT names the block. */
enum status vecfile_verify(const struct vecfile *f, struct error *err);

/* Writing. vecfile_create starts a temporary that vecfile_commit renames; vecfile_append goes on at
 * the end of an existing file (after f->end, cutting a torn tail). One writer at a time: the caller
 * holds the lock. After a failure only vecfile_abort is allowed; the file is as before or has whole
 * blocks more. */
struct flat_ops;
struct vecfile_writer {
    struct file_out out; /* a new file */
    int fd;              /* an existing one; -1 = new */
    char *path;
    int dim;
    const struct flat_ops *ops; /* for f16; the caller's, must live on */
    uint64_t end;               /* where the next block goes */
    size_t n, cap, max;         /* rows gathered for the next block */
    int64_t *images, *gens;
    uint16_t *rows;
};
enum status vecfile_create(struct vecfile_writer *w, const char *path, const char *hex, int dim,
                           const struct flat_ops *ops, struct error *err);
enum status vecfile_append(struct vecfile_writer *w, const struct vecfile *f,
                           const struct flat_ops *ops, struct error *err);
/* Removals, in any order; before the rows of the same update. The file's generation becomes
 * `generation` only by what follows, so give that of the file so far. */
enum status vecfile_put_dead(struct vecfile_writer *w, const int64_t *images, const int64_t *gens,
                             size_t n, int64_t generation, uint64_t stamp, struct error *err);
/* One row, generations ascending. *full: vecfile_flush must follow before the next. */
enum status vecfile_put_row(struct vecfile_writer *w, int64_t image, int64_t gen, const float *v,
                            bool *full, struct error *err);
/* Writes the gathered rows (also none) as a block, after which the file holds everything up to
 * `generation`, and syncs it. */
enum status vecfile_flush(struct vecfile_writer *w, int64_t generation, uint64_t stamp,
                          struct error *err);
enum status vecfile_commit(struct vecfile_writer *w, struct error *err); /* after a flush */
void vecfile_abort(struct vecfile_writer *w);                            /* takes a committed one */

/* Marks the rows of `blocks` that these removals kill (same image, smaller generation) in the
 * bitset *dead, which is made where it is NULL; *n_dead counts up. */
enum status vec_mark_dead(const struct vec_block *blocks, size_t n_blocks, size_t n_rows,
                          const int64_t *images, const int64_t *gens, size_t n, uint8_t **dead,
                          size_t *n_dead, struct error *err);
/* The first row whose generation is greater, n_rows where none is. */
size_t vec_first_after(const struct vec_block *blocks, size_t n_blocks, int64_t gen);
/* The block that holds row number `row`, which must be there. */
size_t vec_block_of(const struct vec_block *blocks, size_t n_blocks, size_t row);
/* Row number of a generation, or SIZE_MAX; one look where generations are dense, as they are
 * until rows are replaced, else by binary search. */
size_t vec_find(const struct vec_block *blocks, size_t n_blocks, int64_t gen, size_t *block);

#endif
