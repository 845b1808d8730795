/* Opening the library's database, transactions and settings. The surprise: a reader on a read-only
 * medium opens the file as immutable, since WAL needs a writable -shm file even to read. */
#include "db/db.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "db/db_int.h"
#include <ctype.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "file:" URI of a path of any bytes. */
static char *immutable_uri(const char *path)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_puts(&b, "file:");
    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        if (isalnum(*p) || strchr("/-_.~", *p))
            buf_putc(&b, (char)*p);
        else
            buf_printf(&b, "%%%02x", *p);
    }
    buf_puts(&b, "?immutable=1");
    return b.failed ? NULL : buf_take(&b);
}

static enum status open_handle(struct db *db, int flags, bool immutable, struct error *err)
{
    char *uri = immutable ? immutable_uri(db->path) : NULL;
    if (immutable && !uri)
        return error_set(err, ST_NOMEM, "out of memory");
    int rc = sqlite3_open_v2(immutable ? uri : db->path, &db->h,
                             flags | SQLITE_OPEN_NOMUTEX | (immutable ? SQLITE_OPEN_URI : 0), NULL);
    mem_free(uri);
    if (rc != SQLITE_OK) {
        enum status st = sql_error(db->h, db->path, err);
        sqlite3_close(db->h);
        db->h = NULL;
        return st;
    }
    sqlite3_extended_result_codes(db->h, 1);
    /* A damaged or foreign file must not run anything, nor confuse SQLite. */
    sqlite3_db_config(db->h, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    sqlite3_db_config(db->h, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
    return ST_OK;
}

static void close_handle(struct db *db)
{
    for (int i = 0; i < db->n_kept; i++)
        sqlite3_finalize(db->kept[i].st);
    db->n_kept = 0;
    sqlite3_close(db->h);
    db->h = NULL;
}

static enum status pragmas(struct db *db, int busy_ms, struct error *err)
{
    sqlite3_busy_timeout(db->h, busy_ms ? busy_ms : 10000);
    enum status rc = sql_exec(db,
                              "PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON;"
                              "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;"
                              "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864",
                              err);
    return rc;
}

/* Is it ours, and of which version? A new (empty) file has no tables and version 0. */
static enum status identify(struct db *db, int64_t *version, struct error *err)
{
    int64_t app = 0, tables = 0;
    enum status rc = sql_int(db, err, &app, "PRAGMA application_id", "");
    if (!rc)
        rc = sql_int(db, err, version, "PRAGMA user_version", "");
    if (!rc)
        rc = sql_int(db, err, &tables, "SELECT count(*) FROM sqlite_master", "");
    if (rc)
        return rc;
    if (tables == 0 && app == 0 && *version == 0)
        return ST_OK;
    if (app != DB_APPLICATION_ID || *version < 1)
        return error_set(err, ST_FORMAT, "%s: a database, but not a library of this program",
                         db->path);
    if (*version > db_schema_latest())
        return error_set(err, ST_UNSUPPORTED,
                         "%s: written by a newer version (schema %lld, this one knows %d)",
                         db->path, (long long)*version, db_schema_latest());
    return ST_OK;
}

/* The pragma asks for a mode or only reads it; either way it answers with the one in use. */
static enum status journal(struct db *db, const char *pragma, struct error *err)
{
    sqlite3_stmt *st;
    bool row;
    enum status rc = sql_open(db, pragma, &st, err);
    if (!rc)
        rc = sql_step(db, st, &row, err);
    if (!rc && row) {
        const char *mode = (const char *)sqlite3_column_text(st, 0);
        db->wal = mode && !strcmp(mode, "wal");
    }
    sql_close(db, st);
    return rc;
}

static enum status open_writer(struct db *db, const struct db_opts *o, struct error *err)
{
    enum status rc = ST_OK;
    if (o->mode == DB_CREATE && (rc = file_make_dirs(db->library, err)))
        return rc;
    if (o->mode != DB_CREATE && !file_exists(db->path))
        return error_set(err, ST_NOT_FOUND, "no library at %s", db->library);
    if ((rc = lock_take(&db->lock_fd, db->library, o->lock_wait_ms, o->command, err)))
        return rc;
    if ((rc = open_handle(db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, false, err)))
        return rc;
    if (sqlite3_db_readonly(db->h, "main") == 1)
        return error_set(err, ST_NOSPACE, "%s: not writable", db->path);
    int64_t version = 0;
    if ((rc = pragmas(db, o->busy_ms, err)) || (rc = identify(db, &version, err)))
        return rc;
    /* 2 kB vectors fill 4 kB pages badly. Without effect on a database that has tables. */
    if (version == 0 && (rc = sql_exec(db, "PRAGMA page_size = 16384", err)))
        return rc;
    /* WAL's shared memory works only between processes of one machine. */
    const char *want =
        file_on_network(db->library) ? "PRAGMA journal_mode = DELETE" : "PRAGMA journal_mode = WAL";
    if ((rc = journal(db, want, err)) || (rc = db_migrate(db, err)))
        return rc;
    db->writable = true;
    return ST_OK;
}

static bool wal_is_empty(const struct db *db)
{
    char *wal = mem_printf("%s-wal", db->path);
    struct stat st;
    bool empty = wal && (stat(wal, &st) != 0 || st.st_size == 0);
    mem_free(wal);
    return empty;
}

static enum status upgrade(struct db *db, const struct db_opts *o, struct error *err)
{
    struct db *w = NULL;
    struct db_opts wo = {.mode = DB_WRITE, .busy_ms = o->busy_ms, .command = "upgrade"};
    enum status rc = db_open(&w, db->library, &wo, err);
    db_close(w);
    return rc ? error_prefix(err, rc, "the library must be upgraded first") : ST_OK;
}

static enum status open_reader(struct db *db, const struct db_opts *o, struct error *err)
{
    if (!file_exists(db->path))
        return error_set(err, ST_NOT_FOUND, "no library at %s", db->library);
    int64_t version = 0;
    enum status rc = open_handle(db, SQLITE_OPEN_READONLY, false, err);
    if (!rc)
        rc = pragmas(db, o->busy_ms, err);
    if (!rc)
        rc = identify(db, &version, err);
    int code = db->h ? sqlite3_errcode(db->h) & 0xff : SQLITE_CANTOPEN;
    if (rc && rc != ST_FORMAT && rc != ST_UNSUPPORTED && access(db->library, W_OK) != 0 &&
        (code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_IOERR) &&
        wal_is_empty(db)) {
        close_handle(db);
        rc = open_handle(db, SQLITE_OPEN_READONLY, true, err);
        if (!rc)
            rc = pragmas(db, o->busy_ms, err);
        if (!rc)
            rc = identify(db, &version, err);
    }
    if (!rc)
        rc = journal(db, "PRAGMA journal_mode", err);
    if (!rc && version < db_schema_latest())
        rc = version == 0 ? error_set(err, ST_NOT_FOUND, "no library at %s", db->library)
                          : upgrade(db, o, err);
    return rc;
}

enum status db_open(struct db **out, const char *library, const struct db_opts *o,
                    struct error *err)
{
    static const struct db_opts defaults = {0};
    o = o ? o : &defaults;
    *out = NULL;
    struct db *db = mem_zalloc(sizeof *db);
    if (!db)
        return error_set(err, ST_NOMEM, "out of memory");
    db->lock_fd = -1;
    db->library = path_absolute(library);
    db->path = db->library ? path_join(db->library, "library.db") : NULL;
    enum status rc = ST_OK;
    if (!db->path)
        rc = error_set(err, ST_NOMEM, "out of memory");
    if (!rc)
        rc = o->mode == DB_READ ? open_reader(db, o, err) : open_writer(db, o, err);
    if (rc) {
        db_close(db);
        return rc;
    }
    *out = db;
    return ST_OK;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    if (db->h)
        db_rollback(db);
    close_handle(db);
    lock_release(db->lock_fd);
    mem_free(db->path);
    mem_free(db->library);
    mem_free(db);
}

const char *db_library(const struct db *db)
{
    return db->library;
}

bool db_is_wal(const struct db *db)
{
    return db->wal;
}

bool db_in_transaction(const struct db *db)
{
    return !db->to_end && !sqlite3_get_autocommit(db->h);
}

/* Or what is written next would be lost in a transaction that nobody commits. */
static enum status end_last(struct db *db, struct error *err)
{
    if (db->to_end)
        db_rollback(db);
    return db->to_end ? error_set(err, ST_NOMEM, "%s: out of memory", db->path) : ST_OK;
}

enum status db_begin(struct db *db, struct error *err)
{
    if (!db->writable)
        return error_set(err, ST_NOSPACE, "%s: opened for reading only", db->path);
    db->vectors_changed = false;
    enum status rc = end_last(db, err);
    return rc ? rc : sql_run(db, err, "BEGIN IMMEDIATE", "");
}

enum status db_begin_read(struct db *db, struct error *err)
{
    enum status rc = end_last(db, err);
    int64_t n;
    if (!rc)
        rc = sql_run(db, err, "BEGIN", "");
    /* BEGIN alone takes no snapshot; the first read does. */
    if (!rc && (rc = sql_int(db, err, &n, "SELECT count(*) FROM models", "")))
        db_rollback(db);
    return rc;
}

enum status db_commit(struct db *db, struct error *err)
{
    if (!db_in_transaction(db))
        return error_set(err, ST_INTERNAL, "%s: the transaction was already rolled back", db->path);
    enum status rc = ST_OK;
    if (db->vectors_changed)
        rc = sql_run(db, err,
                     "INSERT INTO vector_commits (model, generation, stamp) "
                     "SELECT id, generation, random() FROM models WHERE generation > "
                     "(SELECT coalesce(max(generation), 0) FROM vector_commits WHERE model = id)",
                     "");
    if (!rc)
        rc = words_refresh(db, err);
    if (!rc)
        rc = sql_run(db, err, "COMMIT", "");
    if (rc)
        db_rollback(db);
    db->vectors_changed = false;
    return rc;
}

void db_rollback(struct db *db)
{
    enum { TRIES = 3 }; /* SQLite takes memory to read the word */
    db->vectors_changed = false;
    for (int i = 0; i < TRIES && !sqlite3_get_autocommit(db->h); i++)
        sqlite3_exec(db->h, "ROLLBACK", NULL, NULL, NULL);
    db->to_end = !sqlite3_get_autocommit(db->h);
}

enum status db_auto_begin(struct db *db, bool *own, struct error *err)
{
    if (!db->writable)
        return error_set(err, ST_NOSPACE, "%s: opened for reading only", db->path);
    *own = !db_in_transaction(db);
    return *own ? db_begin(db, err) : ST_OK;
}

enum status db_auto_end(struct db *db, bool own, enum status rc, struct error *err)
{
    if (own && rc)
        db_rollback(db);
    else if (own)
        rc = db_commit(db, err);
    return rc;
}

enum status db_setting_get(struct db *db, const char *key, char **value, struct error *err)
{
    *value = NULL;
    sqlite3_stmt *st;
    enum status rc = sql_open(db, "SELECT value FROM settings WHERE key = ?", &st, err);
    if (rc)
        return rc;
    sql_bind(st, "t", key);
    bool row;
    rc = sql_step(db, st, &row, err);
    if (!rc && row) {
        const char *text = (const char *)sqlite3_column_text(st, 0);
        *value = text ? mem_strdup(text) : NULL;
        if (!*value)
            rc = error_set(err, ST_NOMEM, "out of memory");
    }
    sql_close(db, st);
    return rc;
}

enum status db_setting_set(struct db *db, const char *key, const char *value, struct error *err)
{
    bool own;
    enum status rc = db_auto_begin(db, &own, err);
    if (rc)
        return rc;
    if (value)
        rc = sql_run(db, err,
                     "INSERT INTO settings (key, value) VALUES (?, ?) "
                     "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                     "tt", key, value);
    else
        rc = sql_run(db, err, "DELETE FROM settings WHERE key = ?", "t", key);
    return db_auto_end(db, own, rc, err);
}
