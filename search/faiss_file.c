/* Reading and writing faiss-<model>.idx. FAISS's readers trust their input, so the part that they
 * parse is verified by checksum first, at every open; the lists behind it, which they only map, by
 * a check. */
#include "search/faiss_file.h"
#include "core/file.h"
#include "core/mem.h"
#include "search/faiss_int.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define PIECE ((size_t)1 << 20)

/* The header's fields in the order of the file. */
struct header {
    char magic[8];
    uint32_t version, order, dim, nlist, nprobe, code_size;
    uint64_t rows, generation, stamp;
    double recall;
    char model[40], description[64];
    uint64_t parsed, lists; /* bytes of FAISS's two parts */
    uint64_t parsed_sum, lists_sum;
    uint8_t reserved[48];
    uint64_t sum; /* of all before it */
};
_Static_assert(sizeof(struct header) == FAISS_FILE_HEADER, "layout");

static enum status sum_range(int fd, const char *path, uint64_t from, uint64_t n, uint64_t *sum,
                             struct error *err)
{
    XXH3_state_t *state = XXH3_createState();
    uint8_t *piece = mem_alloc(PIECE);
    enum status rc = ST_OK;
    if (!state || !piece)
        rc = error_set(err, ST_NOMEM, "%s: out of memory", path);
    else
        XXH3_64bits_reset(state);
    while (!rc && n > 0) {
        size_t m = n < PIECE ? (size_t)n : PIECE;
        rc = file_pread_all(fd, piece, m, from, path, err);
        if (!rc)
            XXH3_64bits_update(state, piece, m);
        from += m;
        n -= m;
    }
    if (!rc)
        *sum = XXH3_64bits_digest(state);
    mem_free(piece);
    XXH3_freeState(state);
    return rc;
}

static enum status check_header(const struct header *h, uint64_t size, const char *path,
                                const char *model, int dim, struct error *err)
{
    uint64_t lists, all;
    if (memcmp(h->magic, FAISS_FILE_MAGIC, 8) != 0)
        return error_set(err, ST_FORMAT, "%s: not an index file", path);
    if (XXH3_64bits(h, sizeof *h - 8) != h->sum)
        return error_set(err, ST_FORMAT, "%s: damaged header", path);
    if (h->version != FAISS_FILE_VERSION || h->order != 0x01020304u)
        return error_set(err, ST_UNSUPPORTED, "%s: another version or byte order", path);
    if (strncmp(h->model, model, sizeof h->model) != 0 || h->dim != (uint32_t)dim)
        return error_set(err, ST_FORMAT, "%s: of another model", path);
    if (h->nlist < 1 || h->nlist > 1 << 24 || h->nprobe < 1 || h->nprobe > h->nlist ||
        __builtin_mul_overflow(h->rows, (uint64_t)h->code_size + 8, &lists) || lists != h->lists ||
        __builtin_add_overflow(h->parsed, h->lists, &all) || h->parsed > size ||
        all != size - sizeof *h)
        return error_set(err, ST_FORMAT, "%s: sizes do not fit", path);
    return ST_OK;
}

enum status faiss_file_open(FILE **out, const char *path, const char *model, int dim, bool deep,
                            struct vindex_info *info, struct error *err)
{
    struct header h;
    struct stat st;
    uint64_t sum;
    FILE *f = fopen(path, "rbe");
    if (!f)
        return error_errno(err, errno, "%s", path);
    enum status rc = ST_OK;
    int fd = fileno(f);
    if (fstat(fd, &st) != 0)
        rc = error_errno(err, errno, "%s", path);
    else if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof h)
        rc = error_set(err, ST_FORMAT, "%s: not an index file", path);
    if (!rc)
        rc = file_pread_all(fd, &h, sizeof h, 0, path, err);
    if (!rc)
        rc = check_header(&h, (uint64_t)st.st_size, path, model, dim, err);
    if (!rc && !(rc = sum_range(fd, path, sizeof h, h.parsed, &sum, err)) && sum != h.parsed_sum)
        rc = error_set(err, ST_FORMAT, "%s: damaged", path);
    if (!rc && deep && !(rc = sum_range(fd, path, sizeof h + h.parsed, h.lists, &sum, err)) &&
        sum != h.lists_sum)
        rc = error_set(err, ST_FORMAT, "%s: damaged lists", path);
    if (!rc && fseek(f, (long)sizeof h, SEEK_SET) != 0)
        rc = error_errno(err, errno, "%s", path);
    if (rc) {
        fclose(f);
        return rc;
    }
    *info = (struct vindex_info){
        .dim = dim,
        .nlist = (int)h.nlist,
        .nprobe = (int)h.nprobe,
        .generation = (int64_t)h.generation,
        .stamp = h.stamp,
        .rows = h.rows,
        .bytes = (uint64_t)st.st_size,
        .recall = h.recall,
    };
    memcpy(info->model, h.model, sizeof h.model);
    memcpy(info->description, h.description, sizeof info->description - 1);
    *out = f;
    return ST_OK;
}

/* FAISS's bytes behind the place of the header. */
static enum status write_payload(struct file_out *o, const struct FaissIndex_H *index,
                                 struct error *err)
{
    int fd = dup(o->fd);
    FILE *f = fd >= 0 ? fdopen(fd, "wb") : NULL;
    enum status rc = ST_OK;
    if (!f) {
        rc = error_errno(err, errno, "%s", o->path);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    errno = 0;
    if (fseek(f, FAISS_FILE_HEADER, SEEK_SET) != 0)
        rc = error_errno(err, errno, "%s", o->path);
    else if (faiss_write_index(index, f) != 0)
        rc = errno ? error_errno(err, errno, "%s", o->path)
                   : error_set(err, ST_IO, "%s: %.150s", o->path, faiss_get_last_error());
    if (fclose(f) != 0 && !rc)
        rc = error_errno(err, errno, "%s", o->path);
    return rc;
}

enum status faiss_file_write(const char *path, const struct FaissIndex_H *index,
                             struct vindex_info *info, struct error *err)
{
    struct file_out o;
    struct stat st;
    struct header h = {
        .magic = FAISS_FILE_MAGIC,
        .version = FAISS_FILE_VERSION,
        .order = 0x01020304u,
        .dim = (uint32_t)info->dim,
        .nlist = (uint32_t)info->nlist,
        .nprobe = (uint32_t)info->nprobe,
        .code_size = (uint32_t)info->dim, /* a byte a value */
        .rows = info->rows,
        .generation = (uint64_t)info->generation,
        .stamp = info->stamp,
        .recall = info->recall,
    };
    memcpy(h.model, info->model, strnlen(info->model, sizeof h.model));
    memcpy(h.description, info->description, strnlen(info->description, sizeof h.description));
    enum status rc = file_out_open(&o, path, err);
    if (rc)
        return rc;
    rc = write_payload(&o, index, err);
    if (!rc && fstat(o.fd, &st) != 0)
        rc = error_errno(err, errno, "%s", path);
    h.lists = h.rows * (h.code_size + 8);
    if (!rc && (uint64_t)st.st_size < sizeof h + h.lists)
        rc = error_set(err, ST_INTERNAL, "%s: FAISS wrote less than its lists", path);
    if (!rc) {
        h.parsed = (uint64_t)st.st_size - sizeof h - h.lists;
        rc = sum_range(o.fd, path, sizeof h, h.parsed, &h.parsed_sum, err);
    }
    if (!rc)
        rc = sum_range(o.fd, path, sizeof h + h.parsed, h.lists, &h.lists_sum, err);
    h.sum = XXH3_64bits(&h, sizeof h - 8);
    if (!rc)
        rc = file_pwrite_all(o.fd, &h, sizeof h, 0, path, err);
    if (rc) {
        file_out_abort(&o);
        return rc;
    }
    info->bytes = (uint64_t)st.st_size;
    return file_out_commit(&o, err);
}
