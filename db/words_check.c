/* The full-text table against what it is made of, and made again. */
#include "core/mem.h"
#include "db/db_int.h"
#include "db/words.h"
#include <stdio.h>
#include <string.h>

/* Each counts rows that must not exist. */
static const struct {
    const char *sql, *what;
} rules[] = {
    {"SELECT (SELECT count(*) FROM words_stale) + (SELECT count(*) FROM images LEFT JOIN words "
     "ON words.rowid = images.id WHERE words.rowid IS NULL)",
     "pictures that are not in the full-text table"},
    {"SELECT count(*) FROM words LEFT JOIN images ON words.rowid = images.id WHERE images.id IS "
     "NULL",
     "rows of the full-text table that belong to no picture"},
    {"SELECT count(*) FROM words JOIN image_words ON words.rowid = image_words.id WHERE "
     "length(words.tags) <> length(image_words.tags) OR "
     "length(words.caption) <> length(image_words.caption) OR "
     "length(words.names) <> length(image_words.names)",
     "pictures whose words in the full-text table are not theirs"},
};

static void report(void (*found)(void *ctx, const char *what), void *ctx, int64_t n,
                   const char *what)
{
    char text[128];
    snprintf(text, sizeof text, "%lld %s", (long long)n, what);
    if (found)
        found(ctx, text);
}

/* FTS5 reports damage as the failure of an insertion. */
static enum status check_index(struct db *db, bool *bad, struct error *err)
{
    struct error e = {0};
    enum status rc = sql_exec(db, "INSERT INTO words (words) VALUES ('integrity-check')", &e);
    *bad = rc == ST_FORMAT;
    if (rc && !*bad && err)
        *err = e;
    return *bad ? ST_OK : rc;
}

enum status db_words_check(struct db *db, void (*found)(void *ctx, const char *what), void *ctx,
                           int64_t *problems, struct error *err)
{
    enum status rc = ST_OK;
    bool bad = false;
    *problems = 0;
    for (size_t i = 0; !rc && i < sizeof rules / sizeof *rules; i++) {
        struct error e = {0};
        int64_t n = 0;
        rc = sql_int(db, &e, &n, rules[i].sql, "");
        if (rc == ST_FORMAT) { /* damage found on the way is the answer */
            rc = ST_OK;
            n = 1;
        } else if (rc && err) {
            *err = e;
        }
        if (!rc && n)
            report(found, ctx, n, rules[i].what);
        *problems += n;
    }
    if (!rc && db->writable)
        rc = check_index(db, &bad, err);
    if (bad)
        report(found, ctx, 1, "full-text index that does not fit its table");
    *problems += bad;
    return rc;
}

/* A table that is damaged cannot be emptied, but it can be dropped. As in db/migrations/0003. */
enum status db_words_repair(struct db *db, struct error *err)
{
    enum status rc = db_begin(db, err);
    if (rc)
        return rc;
    rc = sql_exec(db,
                  "DROP TABLE words;"
                  "CREATE VIRTUAL TABLE words USING fts5 (tags, caption, names, "
                  "tokenize = 'unicode61 remove_diacritics 2');"
                  "INSERT INTO words (rowid, tags, caption, names) SELECT * FROM image_words;"
                  "DELETE FROM words_stale",
                  err);
    if (!rc)
        rc = db_commit(db, err);
    if (rc)
        db_rollback(db);
    return rc;
}
