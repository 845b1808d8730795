/* Files: mapped for reading, written so that a crash leaves the old or the new one.
 *
 *     struct file_map m;
 *     if (file_map_open(&m, path, &err)) return err.code;
 *     use(m.data, m.size);
 *     file_map_close(&m);
 *
 * Writing goes through file_write_atomic (temporary file beside it, fsync, rename, fsync of the
 * folder). All reads and writes pass one shim so that tests can make the n-th call fail
 * (file_fail_at). Thread rule: any thread, one struct a thread. */
#ifndef EIDETIC_CORE_FILE_H
#define EIDETIC_CORE_FILE_H

#include "core/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct file_map {
    const uint8_t *data; /* NULL when size is 0 */
    size_t size;
};

enum status file_map_open(struct file_map *m, const char *path, struct error *err);
/* The same, and a descriptor to read from where m has data: the caller's to close. */
enum status file_map_open_fd(struct file_map *m, int *fd, const char *path, struct error *err);
void file_map_close(struct file_map *m); /* takes a zeroed struct */
/* Bytes inside a map will not be wanted soon: whole pages of them leave this process's memory, and
 * are read from the file again where they are. */
void file_map_give_back(const void *data, size_t size);

/* Whole file into memory (NUL behind it, not counted), refused above max bytes. mem_free it. */
enum status file_read_all(char **data, size_t *size, const char *path, size_t max,
                          struct error *err);

/* Replaces path with these bytes; mode 0644 less umask. */
enum status file_write_atomic(const char *path, const void *data, size_t size, struct error *err);
/* The same for a name that must not be there yet (ST_USAGE). */
enum status file_write_new(const char *path, const void *data, size_t size, struct error *err);

/* A streamed form of the same. file_out_commit renames; file_out_abort removes the temporary. */
struct file_out {
    int fd;       /* -1 when closed */
    bool unnamed; /* tmp is not there yet: a kill before the commit leaves nothing behind */
    char *path, *tmp;
    uint64_t written;
};
enum status file_out_open(struct file_out *o, const char *path, struct error *err);
enum status file_out_write(struct file_out *o, const void *data, size_t n, struct error *err);
enum status file_out_commit(struct file_out *o, struct error *err);
/* As commit, but ST_USAGE where the name is taken meanwhile: nothing is ever replaced. */
enum status file_out_commit_new(struct file_out *o, struct error *err);
void file_out_abort(struct file_out *o);

/* Renames to a name that must not be there yet: ST_USAGE where it is. */
enum status file_rename_new(const char *from, const char *to, struct error *err);
/* Copies a regular file, with its mode and times, to a name that must not be there yet. A file of
 * the same bytes there is not copied again: ST_OK, and *same is true. */
enum status file_copy_new(const char *from, const char *to, bool *same, struct error *err);

/* Loops over short counts and EINTR. Both pass the shim. file_pread_all fails on early EOF. */
enum status file_pread_all(int fd, void *data, size_t n, uint64_t off, const char *name,
                           struct error *err);
enum status file_pwrite_all(int fd, const void *data, size_t n, uint64_t off, const char *name,
                            struct error *err);
enum status file_fsync(int fd, const char *name, struct error *err);
enum status file_fsync_dir_of(const char *path, struct error *err);
enum status file_make_dirs(const char *path, struct error *err); /* mkdir -p, 0755 */
bool file_exists(const char *path);
bool file_exists_in(const char *dir, const char *name); /* false also where memory runs out */
bool file_is_dir(const char *path);
bool file_is_broken_link(const char *path); /* to what is not there, or to itself */
/* On NFS, SMB, FUSE (which may be sshfs), 9p and the like: others may write there unseen. */
bool file_on_network(const char *path);

enum file_op { FILE_OP_READ = 1, FILE_OP_WRITE = 2, FILE_OP_FSYNC = 4, FILE_OP_RENAME = 8 };
/* Test hook: the n-th call of the kinds in mask fails with errnum; 0 switches it off. */
/* Returns how many calls of the kinds were made since the last call, where it was not off. */
uint64_t file_fail_at(uint64_t n, unsigned mask, int errnum, bool persistent);

#endif
