/* Words that people wrote. Few files have any, so a file without costs two deletions of nothing. */
#include "db/written.h"
#include "core/mem.h"
#include "db/db_int.h"
#include "db/images.h"
#include <string.h>
#include <strings.h>

/* Only what says something has a row. */
static enum status put_words(struct db *db, int64_t file, const struct db_written *w,
                             struct error *err)
{
    enum status rc = ST_OK;
    if (w->title[0] || w->description[0] || w->rating)
        rc =
            sql_run(db, err,
                    "INSERT INTO file_words (file, title, description, rating) VALUES (?, ?, ?, ?)",
                    "itti", file, w->title, w->description, (int64_t)w->rating);
    for (size_t i = 0; !rc && i < w->n; i++)
        rc = sql_run(db, err, "INSERT INTO file_keywords (file, rank, keyword) VALUES (?, ?, ?)",
                     "iit", file, (int64_t)i, w->keyword[i]);
    return rc;
}

enum status db_written_put(struct db *db, int64_t file, int64_t stamp, const struct db_written *w,
                           struct error *err)
{
    bool own;
    int64_t had = 0, has = w->title[0] || w->description[0] || w->rating || w->n;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    rc = sql_int(db, err, &had,
                 "SELECT EXISTS (SELECT 1 FROM file_words WHERE file = ?1) OR "
                 "EXISTS (SELECT 1 FROM file_keywords WHERE file = ?1)",
                 "i", file);
    if (!rc && had)
        rc = sql_run(db, err, "DELETE FROM file_words WHERE file = ?", "i", file);
    if (!rc && had)
        rc = sql_run(db, err, "DELETE FROM file_keywords WHERE file = ?", "i", file);
    if (!rc)
        rc = put_words(db, file, w, err);
    if (!rc)
        rc = sql_run(db, err, "UPDATE files SET sidecars = ? WHERE id = ?", "ii", stamp, file);
    if (!rc && (had || has))
        rc =
            sql_run(db, err,
                    "INSERT INTO words_stale SELECT image FROM files WHERE id = ? AND image IS NOT "
                    "NULL AND image NOT IN (SELECT image FROM words_stale)",
                    "i", file);
    return db_auto_end(db, own, rc, err);
}

static bool take_text(char **to, sqlite3_stmt *st, int column)
{
    const char *text = (const char *)sqlite3_column_text(st, column);
    return *to || !text || !*text || (*to = mem_strdup(text));
}

static enum status get_texts(struct db *db, int64_t image, struct db_written_all *all,
                             struct error *err)
{
    sqlite3_stmt *st;
    bool row;
    enum status rc = sql_open(db,
                              "SELECT title, description, rating FROM files JOIN file_words "
                              "ON file = files.id WHERE image = ? ORDER BY path",
                              &st, err);
    if (!rc)
        sql_bind(st, "i", image);
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row) {
        int rating = sqlite3_column_int(st, 2);
        if (!take_text(&all->title, st, 0) || !take_text(&all->description, st, 1))
            rc = error_set(err, ST_NOMEM, "out of memory");
        if (!all->rating || rating > all->rating)
            all->rating = rating;
    }
    sql_close(db, st);
    return rc;
}

static enum status add_keyword(struct db_written_all *all, const char *keyword, struct error *err)
{
    for (size_t i = 0; i < all->n; i++)
        if (!strcasecmp(all->keyword[i], keyword))
            return ST_OK;
    char **more = mem_realloc_array(all->keyword, all->n + 1, sizeof *more);
    if (more)
        all->keyword = more;
    if (!more || !(all->keyword[all->n] = mem_strdup(keyword)))
        return error_set(err, ST_NOMEM, "out of memory");
    all->n++;
    return ST_OK;
}

enum status db_written_get(struct db *db, int64_t image, struct db_written_all *all,
                           struct error *err)
{
    sqlite3_stmt *st;
    bool row;
    *all = (struct db_written_all){0};
    enum status rc = get_texts(db, image, all, err);
    if (rc)
        goto out;
    rc = sql_open(db,
                  "SELECT keyword FROM files JOIN file_keywords ON file = files.id "
                  "WHERE image = ? ORDER BY path, rank",
                  &st, err);
    if (!rc)
        sql_bind(st, "i", image);
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row) {
        const char *text = (const char *)sqlite3_column_text(st, 0);
        rc = add_keyword(all, text ? text : "", err);
    }
    sql_close(db, st);
out:
    if (rc)
        db_written_release(all);
    return rc;
}

void db_written_release(struct db_written_all *all)
{
    for (size_t i = 0; i < all->n; i++)
        mem_free(all->keyword[i]);
    mem_free(all->keyword);
    mem_free(all->title);
    mem_free(all->description);
    *all = (struct db_written_all){0};
}

enum status db_image_set_taken(struct db *db, int64_t image, const char *taken, struct error *err)
{
    int64_t at = 0;
    bool own, known = db_parse_time(taken, false, &at);
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    if (known)
        rc = sql_run(db, err,
                     "UPDATE images SET taken = ?, taken_at = ? WHERE id = ? AND taken <> ?1",
                     "tii", taken, at, image);
    else
        rc = sql_run(db, err,
                     "UPDATE images SET taken = '', taken_at = NULL WHERE id = ? AND taken <> ''",
                     "i", image);
    return db_auto_end(db, own, rc, err);
}

enum status db_image_set_place(struct db *db, int64_t image, bool known, double lat, double lon,
                               double alt, struct error *err)
{
    bool own;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    if (known)
        rc = sql_run(db, err,
                     "UPDATE images SET lat = ?1, lon = ?2, alt = nullif(?4, 0.0) WHERE id = ?3 "
                     "AND (lat IS NOT ?1 OR lon IS NOT ?2 OR alt IS NOT nullif(?4, 0.0))",
                     "rrir", lat, lon, image, alt);
    else
        rc = sql_run(db, err,
                     "UPDATE images SET lat = NULL, lon = NULL, alt = NULL WHERE id = ? AND "
                     "lat IS NOT NULL",
                     "i", image);
    return db_auto_end(db, own, rc, err);
}
