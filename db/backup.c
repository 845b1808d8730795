/* A consistent copy of the database by SQLite's backup API. The read transaction that is held round
 * it keeps one view, so that a writer's commits neither restart the copy nor get half into it. */
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "db/db_int.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum status copy_pages(struct db *db, sqlite3 *to, const char *path,
                              void (*progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                              struct error *err)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", db->h, "main");
    if (!b)
        return sql_error(to, path, err);
    int rc, waits = 0;
    do {
        rc = sqlite3_backup_step(b, 256);
        if (progress)
            progress(ctx, sqlite3_backup_pagecount(b) - sqlite3_backup_remaining(b),
                     sqlite3_backup_pagecount(b));
        if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
            nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    } while (rc == SQLITE_OK || ((rc == SQLITE_BUSY || rc == SQLITE_LOCKED) && waits++ < 500));
    sqlite3_backup_finish(b);
    return rc == SQLITE_DONE ? ST_OK : sql_error(to, path, err);
}

/* A copy is only worth something if it can be read back. */
static enum status verify(sqlite3 *h, const char *path, struct error *err)
{
    sqlite3_stmt *st = NULL;
    enum status rc = ST_OK;
    if (sqlite3_prepare_v2(h, "PRAGMA integrity_check(1)", -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW) {
        rc = sql_error(h, path, err);
    } else {
        const char *said = (const char *)sqlite3_column_text(st, 0);
        if (!said || strcmp(said, "ok") != 0)
            rc = error_set(err, ST_FORMAT,
                           "%.120s: the copy is damaged, as the library may be: %.80s", path,
                           said ? said : "?");
    }
    sqlite3_finalize(st);
    return rc;
}

static enum status sync_and_rename(const char *tmp, const char *path, struct error *err)
{
    int fd = open(tmp, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "%s", tmp);
    enum status rc = file_fsync(fd, tmp, err);
    close(fd);
    if (!rc)
        rc = file_rename_new(tmp, path, err);
    return rc ? rc : file_fsync_dir_of(path, err);
}

enum status db_backup(struct db *db, const char *path,
                      void (*progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                      struct error *err)
{
    if (file_exists(path))
        return error_set(err, ST_USAGE, "%s: exists already", path);
    char *dir = path_dir(path);
    bool there = dir && file_is_dir(dir);
    mem_free(dir);
    if (!there)
        return error_set(err, dir ? ST_IO : ST_NOMEM, "%s: there is no such folder", path);
    char *tmp = mem_printf("%s.tmp%ld", path, (long)getpid());
    if (!tmp)
        return error_set(err, ST_NOMEM, "out of memory");
    sqlite3 *to = NULL;
    bool own = !db_in_transaction(db), made = false;
    enum status rc = own ? db_begin_read(db, err) : ST_OK;
    if (rc)
        goto out;
    made = true;
    if (sqlite3_open_v2(tmp, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        rc = sql_error(to, path, err);
        goto out;
    }
    rc = copy_pages(db, to, tmp, progress, ctx, err);
    if (!rc)
        rc = verify(to, path, err);
    sqlite3_close(to);
    to = NULL;
    if (!rc)
        rc = sync_and_rename(tmp, path, err);
out:
    sqlite3_close(to);
    if (own)
        db_rollback(db);
    if (rc && made)
        unlink(tmp);
    mem_free(tmp);
    return rc;
}
