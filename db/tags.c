/* Tags and captions. */
#include "db/tags.h"
#include "core/mem.h"
#include "db/db_int.h"
#include <stdio.h>
#include <string.h>

enum status db_tags_put(struct db *db, int64_t image, const char *key, const struct db_tag *tags,
                        size_t n, struct error *err)
{
    bool own;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    rc = sql_run(db, err, "DELETE FROM image_tags WHERE image = ?", "i", image);
    for (size_t i = 0; !rc && i < n; i++)
        rc =
            sql_run(db, err, "INSERT INTO image_tags (image, rank, tag, score) VALUES (?, ?, ?, ?)",
                    "iitr", image, (int64_t)i, tags[i].tag, tags[i].score);
    if (!rc)
        rc = sql_run(db, err,
                     "INSERT INTO image_texts (image, tags_key) VALUES (?, ?) "
                     "ON CONFLICT (image) DO UPDATE SET tags_key = excluded.tags_key",
                     "it", image, key);
    return db_auto_end(db, own, rc, err);
}

enum status db_caption_put(struct db *db, int64_t image, const char *key, const char *caption,
                           double score, struct error *err)
{
    return sql_run(db, err,
                   "INSERT INTO image_texts (image, caption_key, caption, caption_score) "
                   "VALUES (?, ?, ?, ?) ON CONFLICT (image) DO UPDATE SET "
                   "caption_key = excluded.caption_key, caption = excluded.caption, "
                   "caption_score = excluded.caption_score",
                   "ittr", image, key, caption, score);
}

static enum status add(struct db_tags *t, const char *tag, double score, struct error *err)
{
    struct db_tag *more = mem_realloc_array(t->tag, t->n + 1, sizeof *more);
    char *copy = mem_strdup(tag ? tag : "");
    if (more)
        t->tag = more;
    if (!more || !copy) {
        mem_free(copy);
        return error_set(err, ST_NOMEM, "out of memory");
    }
    t->tag[t->n++] = (struct db_tag){copy, score};
    return ST_OK;
}

static enum status get_text(struct db *db, int64_t image, struct db_tags *t, struct error *err)
{
    sqlite3_stmt *st;
    bool row;
    enum status rc = sql_open(
        db, "SELECT tags_key, caption, caption_key, caption_score FROM image_texts WHERE image = ?",
        &st, err);
    if (!rc)
        sql_bind(st, "i", image);
    if (!rc && !(rc = sql_step(db, st, &row, err)) && row) {
        const char *key = (const char *)sqlite3_column_text(st, 0);
        const char *caption = (const char *)sqlite3_column_text(st, 1);
        snprintf(t->key, sizeof t->key, "%s", key ? key : "");
        const char *made = (const char *)sqlite3_column_text(st, 2);
        snprintf(t->caption_key, sizeof t->caption_key, "%s", made ? made : "");
        t->caption_score = sqlite3_column_double(st, 3);
        if (caption && !(t->caption = mem_strdup(caption)))
            rc = error_set(err, ST_NOMEM, "out of memory");
    }
    sql_close(db, st);
    return rc;
}

enum status db_tags_get(struct db *db, int64_t image, struct db_tags *t, struct error *err)
{
    sqlite3_stmt *st;
    bool row;
    *t = (struct db_tags){0};
    enum status rc =
        sql_open(db, "SELECT tag, score FROM image_tags WHERE image = ? ORDER BY rank", &st, err);
    if (!rc)
        sql_bind(st, "i", image);
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row)
        rc = add(t, (const char *)sqlite3_column_text(st, 0), sqlite3_column_double(st, 1), err);
    sql_close(db, st);
    if (!rc)
        rc = get_text(db, image, t, err);
    if (rc)
        db_tags_release(t);
    return rc;
}

void db_tags_release(struct db_tags *t)
{
    for (size_t i = 0; i < t->n; i++)
        mem_free((char *)(uintptr_t)t->tag[i].tag);
    mem_free(t->tag);
    mem_free(t->caption);
    *t = (struct db_tags){0};
}

enum status words_refresh(struct db *db, struct error *err)
{
    int64_t stale = 0;
    enum status rc = sql_int(db, err, &stale, "SELECT EXISTS (SELECT 1 FROM words_stale)", "");
    if (rc || !stale)
        return rc;
    rc = sql_run(db, err, "DELETE FROM words WHERE rowid IN (SELECT image FROM words_stale)", "");
    if (!rc)
        rc = sql_run(db, err,
                     "INSERT INTO words (rowid, tags, caption, names) SELECT * FROM image_words "
                     "WHERE id IN (SELECT image FROM words_stale)",
                     "");
    if (!rc)
        rc = sql_run(db, err, "DELETE FROM words_stale", "");
    return rc;
}
