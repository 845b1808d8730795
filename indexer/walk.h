/* Walks a folder tree, in byte order of names within each folder.
 *
 *     struct walk_opts o = {.want = image_name_supported};
 *     st = walk_tree("/photos", &o, on_file, on_error, ctx, &err);
 *
 * What cannot be read costs itself only: it goes to on_error and the walk goes on. Hidden names,
 * excluded folder names and .eideticignore's rules are left out. Symbolic links are left out too
 * unless followed; then a set of (device, inode) keeps a loop from being walked twice. Thread rule:
 * one thread. */
#ifndef EIDETIC_INDEXER_WALK_H
#define EIDETIC_INDEXER_WALK_H

#include "core/error.h"
#include <stdbool.h>
#include <stdint.h>

struct walk_opts {
    const char *const *exclude_dirs; /* names, NULL-terminated; NULL = walk_default_excludes */
    bool include_hidden, follow_symlinks;
    bool (*want)(const char *path);      /* NULL = every regular file */
    bool (*is_second)(const char *name); /* such a file is left out where one with the same stem */
    bool (*is_first)(
        const char *name);   /* lies in its folder: a raw file beside its JPEG; or NULL */
    const char *const *skip; /* paths left out, NULL-terminated; NULL = none */
    void (*on_dir)(void *dir_ctx, const char *dir); /* before a folder is read; NULL = not asked */
    void *dir_ctx;
    bool (*stopped)(void *ctx); /* asked in each folder; true ends with ST_INTERRUPTED */
};
extern const char *const walk_default_excludes[];

struct walk_file {
    const char *path; /* root joined with names; valid during the call */
    int64_t size, mtime_ns;
    uint64_t dev, ino;
    int64_t sidecars; /* image_sidecar_stamp of those beside it; 0 = none */
};

/* A status other than ST_OK ends the walk with it. */
typedef enum status walk_file_fn(void *ctx, const struct walk_file *f, struct error *err);
/* is_dir: everything below was not seen. */
typedef void walk_error_fn(void *ctx, const char *path, bool is_dir, const struct error *err);

/* ST_NOT_FOUND, ST_IO: the root itself cannot be read; ST_USAGE: it is a device or the like. A root
 * that is a regular file is walked as just itself. */
enum status walk_tree(const char *root, const struct walk_opts *o, walk_file_fn *on_file,
                      walk_error_fn *on_error, void *ctx, struct error *err);

#endif
