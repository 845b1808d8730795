/* Fills a library with N made-up pictures, for timing what a large one costs: small JPEG files that
 * differ in their last bytes, and for each a vector of the model's size from 500 clusters. Nothing
 * is decoded or embedded, so 100,000 take seconds; what search keeps beside the database is made by
 * the first search, as in any library.
 *
 *     make_library LIBRARY FOLDER MODEL N [PHOTO.jpg]     the files' pixels (samples' first
 * picture)
 *
 * A file that is there already is kept, and so several libraries can share a folder. */
#include "clip/clip.h"
#include "core/file.h"
#include "core/path.h"
#include "core/rng.h"
#include "db/files.h"
#include "db/images.h"
#include "db/vectors.h"
#include "image/image.h"
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLUSTERS = 500, A_FOLDER = 1000 };

struct filler {
    struct db *db;
    int64_t root, model;
    int dim;
    float *centres, *v;
    char *jpeg;
    size_t jpeg_size;
    const char *folder;
    struct rng rng;
};

/* A thumbnail of the photo, as a camera's file begins: the pixels do not matter. */
static enum status make_jpeg(struct filler *f, const char *photo, struct error *err)
{
    struct image big = {0}, small = {0};
    char *path = path_join(f->folder, ".thumbnail.jpg");
    enum status st = path ? ST_OK : error_set(err, ST_NOMEM, "out of memory");
    if (!st)
        st = image_load(&big, photo, NULL, NULL, err);
    if (!st)
        st = image_resize(&small, 64, 48, &big, NULL, IMAGE_BICUBIC, err);
    if (!st)
        st = image_write_jpeg(path, &small, 80, err);
    if (!st)
        st = file_read_all(&f->jpeg, &f->jpeg_size, path, 1 << 20, err);
    if (!st)
        unlink(path);
    image_release(&small);
    image_release(&big);
    mem_free(path);
    return st;
}

/* Not file_write_atomic: that waits for the disk, 100,000 times. */
static enum status write_file(const struct filler *f, const char *path, const char *tail,
                              struct stat *sb, struct error *err)
{
    if (stat(path, sb) == 0)
        return ST_OK;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set(err, ST_IO, "%s: cannot be made", path);
    enum status st = file_pwrite_all(fd, f->jpeg, f->jpeg_size, 0, path, err);
    if (!st)
        st = file_pwrite_all(fd, tail, strlen(tail), f->jpeg_size, path, err);
    if (!st && fstat(fd, sb))
        st = error_set(err, ST_IO, "%s: gone", path);
    close(fd);
    return st;
}

static void make_vector(struct filler *f)
{
    const float *c = f->centres + (size_t)rng_below(&f->rng, CLUSTERS) * (size_t)f->dim;
    double s = 0;
    for (int j = 0; j < f->dim; j++) {
        f->v[j] = c[j] + 0.7f * rng_normal(&f->rng);
        s += (double)f->v[j] * f->v[j];
    }
    for (int j = 0; j < f->dim; j++)
        f->v[j] = (float)(f->v[j] / sqrt(s));
}

static enum status add_rows(struct filler *f, const char *path, const struct stat *sb, uint64_t i,
                            struct error *err)
{
    struct db_image im = {.width = 64, .height = 48, .bytes = sb->st_size, .format = "jpeg"};
    struct db_file file = {.root = f->root,
                           .path = path,
                           .size = sb->st_size,
                           .mtime_ns =
                               (int64_t)sb->st_mtim.tv_sec * 1000000000 + sb->st_mtim.tv_nsec,
                           .dev = sb->st_dev,
                           .ino = sb->st_ino,
                           .status = DB_FILE_PRESENT};
    memcpy(im.hash, &i, sizeof i); /* not the bytes' own: nothing reads them again */
    memcpy(im.hash + 8, "made-up!", 8);
    snprintf(im.taken, sizeof im.taken, "%04d-%02d-%02dT12:00:00", 2000 + (int)(i % 25),
             1 + (int)(i / 25 % 12), 1 + (int)(i / 300 % 28));
    enum status st = db_image_put(f->db, &im, &file.image, err);
    if (!st)
        st = db_file_put(f->db, &file, NULL, err);
    if (st)
        return st;
    make_vector(f);
    struct db_vector row = {.image = file.image, .v = f->v};
    return db_vector_put(f->db, f->model, &row, err);
}

static enum status add_picture(struct filler *f, uint64_t i, struct error *err)
{
    char name[64], tail[32];
    struct stat sb;
    snprintf(name, sizeof name, "%04" PRIu64 "/%07" PRIu64 ".jpg", i / A_FOLDER, i);
    snprintf(tail, sizeof tail, "%08" PRIu64, i);
    char *path = path_join(f->folder, name), *dir = path ? path_dir(path) : NULL;
    enum status st = dir ? ST_OK : error_set(err, ST_NOMEM, "out of memory");
    if (!st && i % A_FOLDER == 0)
        st = file_make_dirs(dir, err);
    if (!st)
        st = write_file(f, path, tail, &sb, err);
    if (!st)
        st = add_rows(f, path, &sb, i, err);
    mem_free(dir);
    mem_free(path);
    return st;
}

static enum status fill(struct filler *f, const char *library, const char *model, uint64_t n,
                        struct error *err)
{
    struct clip *c = NULL;
    struct db_opts o = {.mode = DB_CREATE, .command = "make_library"};
    enum status st = clip_open(&c, model, &(struct clip_opts){.no_image = 1, .no_text = 1}, err);
    if (!st)
        st = db_open(&f->db, library, &o, err);
    if (!st)
        st = db_begin(f->db, err);
    if (!st)
        st = db_root_put(f->db, f->folder, 0, &f->root, err);
    if (!st)
        st = db_model_put(f->db, clip_info(c)->id, clip_info(c)->name, clip_dim(c), &f->model, err);
    f->dim = st ? 1 : clip_dim(c);
    f->v = mem_array((size_t)f->dim, sizeof *f->v);
    f->centres = mem_array((size_t)f->dim * CLUSTERS, sizeof *f->centres);
    if (!st && (!f->v || !f->centres))
        st = error_set(err, ST_NOMEM, "out of memory");
    for (int i = 0; i < f->dim * CLUSTERS && !st; i++)
        f->centres[i] = rng_normal(&f->rng);
    for (uint64_t i = 0; i < n && !st; i++)
        st = add_picture(f, i, err);
    if (!st)
        st = db_root_scanned(f->db, f->root, err);
    if (!st)
        st = db_commit(f->db, err);
    db_close(f->db);
    clip_close(c);
    mem_free(f->centres);
    mem_free(f->v);
    return st;
}

int main(int argc, char **argv)
{
    struct filler f = {.rng = {.state = 5}};
    struct error err = {0};
    long n = argc == 5 || argc == 6 ? strtol(argv[4], NULL, 10) : 0;
    if (n < 1 || n > 9999999) {
        fprintf(stderr, "make_library LIBRARY FOLDER MODEL N [PHOTO.jpg]; at most 9999999\n");
        return 2;
    }
    char *library = path_absolute(argv[1]), *folder = path_absolute(argv[2]);
    const char *photo = argc == 6 ? argv[5] : "samples/photos/abstract-spiral.jpg";
    enum status st = library && folder ? file_make_dirs(folder, &err)
                                       : error_set(&err, ST_NOMEM, "out of memory");
    f.folder = folder;
    if (!st)
        st = make_jpeg(&f, photo, &err);
    if (!st)
        st = fill(&f, library, argv[3], (uint64_t)n, &err);
    if (st)
        fprintf(stderr, "make_library: %s\n", err.text);
    mem_free(f.jpeg);
    mem_free(folder);
    mem_free(library);
    return st ? 1 : 0;
}
