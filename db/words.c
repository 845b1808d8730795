/* Conditions as SQL, and the full-text table. Texts are bound, never written into the SQL. */
#include "db/words.h"
#include "core/buf.h"
#include "core/mem.h"
#include "db/db_int.h"
#include <string.h>

/* A phrase as FTS5 wants it, after a column or nothing. */
static char *phrase(const char *column, const char *text)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_puts(&b, column);
    buf_putc(&b, '"');
    for (; *text; text++) {
        if (*text == '"')
            buf_putc(&b, '"');
        buf_putc(&b, *text);
    }
    buf_putc(&b, '"');
    return buf_take(&b);
}

/* Appends the condition; its parameters are numbered from DB_WHERE_FIRST on, two a node. */
static void write_node(struct buf *b, const struct db_expr *x, bool missing_too, int *n)
{
    int at = DB_WHERE_FIRST + 2 * (*n)++;
    if (*n > DB_EXPR_MOST)
        return;
    switch (x->kind) {
    case DB_AND:
    case DB_OR:
        buf_putc(b, '(');
        write_node(b, x->a, missing_too, n);
        buf_puts(b, x->kind == DB_AND ? " AND " : " OR ");
        write_node(b, x->b, missing_too, n);
        buf_putc(b, ')');
        return;
    case DB_NOT:
        buf_puts(b, "NOT ");
        write_node(b, x->a, missing_too, n);
        return;
    case DB_PHRASE:
    case DB_CAPTION:
        buf_printf(b, "id IN (SELECT rowid FROM words WHERE words MATCH ?%d)", at);
        return;
    case DB_TAG:
        buf_printf(b,
                   "id IN (SELECT image FROM image_tags WHERE tag = ?%d COLLATE NOCASE UNION ALL "
                   "SELECT image FROM file_keywords JOIN files ON files.id = file "
                   "WHERE keyword = ?%d COLLATE NOCASE AND image IS NOT NULL)",
                   at, at);
        return;
    case DB_PATH:
        buf_printf(b,
                   "id IN (SELECT image FROM files WHERE image IS NOT NULL%s AND "
                   "instr(lower(CAST(path AS TEXT)), lower(?%d)) > 0)",
                   missing_too ? "" : " AND status = 1", at);
        return;
    case DB_CAMERA:
        buf_printf(b, "instr(lower(make || ' ' || camera || ' ' || lens), lower(?%d)) > 0", at);
        return;
    case DB_DATE: /* never null, so that NOT holds for pictures without a date */
        buf_printf(b, "coalesce(taken_at BETWEEN ?%d AND ?%d, 0)", at, at + 1);
        return;
    }
}

static enum status bind_node(sqlite3_stmt *st, const struct db_expr *x, int *n, struct error *err)
{
    int at = DB_WHERE_FIRST + 2 * (*n)++;
    if (x->kind == DB_DATE) {
        sqlite3_bind_int64(st, at, x->from);
        sqlite3_bind_int64(st, at + 1, x->to);
        return ST_OK;
    }
    if (x->kind == DB_PHRASE || x->kind == DB_CAPTION) {
        char *match = phrase(x->kind == DB_CAPTION ? "caption : " : "", x->text);
        if (!match)
            return error_set(err, ST_NOMEM, "out of memory");
        sqlite3_bind_text(st, at, match, -1, SQLITE_TRANSIENT);
        mem_free(match);
        return ST_OK;
    }
    if (x->text)
        sqlite3_bind_text(st, at, x->text, -1, SQLITE_STATIC);
    enum status rc = x->a ? bind_node(st, x->a, n, err) : ST_OK;
    if (!rc && x->b)
        rc = bind_node(st, x->b, n, err);
    return rc;
}

enum status where_write(struct buf *b, const struct db_expr *x, bool missing_too, int *n,
                        struct error *err)
{
    buf_puts(b, " AND ");
    write_node(b, x, missing_too, n);
    return *n > DB_EXPR_MOST
               ? error_set(err, ST_LIMIT, "a query of more than %d conditions", DB_EXPR_MOST)
               : ST_OK;
}

enum status where_bind(sqlite3_stmt *st, const struct db_expr *x, int *n, struct error *err)
{
    return bind_node(st, x, n, err);
}

enum status db_words_each(struct db *db, const char *match, size_t most,
                          void (*each)(void *ctx, int64_t image), void *ctx, struct error *err)
{
    sqlite3_stmt *st;
    bool row;
    enum status rc = sql_open(db, "SELECT rowid FROM words WHERE words MATCH ? LIMIT ?", &st, err);
    if (!rc)
        sql_bind(st, "ti", match, (int64_t)most);
    while (!rc && !(rc = sql_step(db, st, &row, err)) && row)
        each(ctx, sqlite3_column_int64(st, 0));
    sql_close(db, st);
    return rc;
}

enum status db_words_count(struct db *db, int64_t *n, struct error *err)
{
    return sql_int(db, err, n, "SELECT coalesce(max(id), 0) FROM images", "");
}
