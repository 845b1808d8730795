/* The only two ways in which anything leaves the library: db_forget and db_prune. */
#include "core/mem.h"
#include "db/db_int.h"
#include "db/files.h"
#include <string.h>

/* Contents that no file row refers to, with their vectors (by cascade; a trigger logs each for the
 * caches). */
static enum status remove_orphans(struct db *db, struct db_removed *n, struct error *err)
{
    enum status rc = sql_int(db, err, &n->vectors,
                             "SELECT count(*) FROM vectors WHERE image IN (SELECT id FROM images "
                             "WHERE present = 0 AND NOT EXISTS "
                             "(SELECT 1 FROM files WHERE image = images.id))",
                             "");
    if (!rc)
        rc = sql_run(db, err,
                     "DELETE FROM images WHERE present = 0 AND NOT EXISTS "
                     "(SELECT 1 FROM files WHERE image = images.id)",
                     "");
    if (!rc)
        n->images = sqlite3_changes64(db->h);
    db->vectors_changed = true;
    return rc;
}

static enum status forget_rows(struct db *db, const struct path_range *r, struct db_removed *n,
                               struct error *err)
{
    size_t self = strlen(r->self), lo = strlen(r->lo), hi = strlen(r->hi);
    int64_t errors = 0;
    enum status rc =
        sql_run(db, err, "DELETE FROM files WHERE path = ? OR (path >= ? AND path < ?)", "bbb",
                r->self, self, r->lo, lo, r->hi, hi);
    n->files = sqlite3_changes64(db->h);
    if (!rc) {
        rc = sql_run(db, err, "DELETE FROM errors WHERE path = ? OR (path >= ? AND path < ?)",
                     "bbb", r->self, self, r->lo, lo, r->hi, hi);
        errors = sqlite3_changes64(db->h);
    }
    if (!rc) {
        rc = sql_run(db, err, "DELETE FROM roots WHERE path = ? OR (path >= ? AND path < ?)", "bbb",
                     self ? r->self : "/", self ? self : (size_t)1, r->lo, lo, r->hi, hi);
        n->roots = sqlite3_changes64(db->h);
    }
    if (!rc && !n->files && !n->roots && !errors)
        rc = error_set(err, ST_NOT_FOUND, "%s: nothing of it is in the library",
                       self ? r->self : "/");
    return rc;
}

static enum status prune_rows(struct db *db, const struct path_range *r, struct db_removed *n,
                              struct error *err)
{
    enum status rc = sql_run(
        db, err, "DELETE FROM files WHERE status = 2 AND (path = ? OR (path >= ? AND path < ?))",
        "bbb", r->self, strlen(r->self), r->lo, strlen(r->lo), r->hi, strlen(r->hi));
    n->files = sqlite3_changes64(db->h);
    return rc;
}

/* Rows at or below path, by one of the two above, then the contents that no row refers to any more:
 * all or nothing. */
static enum status remove_below(struct db *db, const char *path,
                                enum status (*rows)(struct db *, const struct path_range *,
                                                    struct db_removed *, struct error *),
                                struct db_removed *removed, struct error *err)
{
    struct db_removed n = {0};
    struct path_range range;
    bool own;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    if (path_range_init(&range, path)) {
        rc = rows(db, &range, &n, err);
        path_range_release(&range);
    } else {
        rc = error_set(err, ST_NOMEM, "out of memory");
    }
    if (!rc)
        rc = remove_orphans(db, &n, err);
    rc = db_auto_end(db, own, rc, err);
    if (rc)
        n = (struct db_removed){0};
    if (removed)
        *removed = n;
    return rc;
}

enum status db_forget(struct db *db, const char *path, struct db_removed *removed,
                      struct error *err)
{
    return remove_below(db, path, forget_rows, removed, err);
}

enum status db_prune(struct db *db, const char *folder, struct db_removed *removed,
                     struct error *err)
{
    return remove_below(db, folder ? folder : "/", prune_rows, removed, err);
}
