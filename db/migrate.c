/* Brings the schema up to date: db/migrations/NNNN_name.sql, compiled in, each in one transaction
 * with the user_version it leads to, so that a crash leaves one version or the next. */
#include "core/embed.h"
#include "core/mem.h"
#include "db/db_int.h"

extern const struct embedded db_migrations[];

int db_schema_latest(void)
{
    int n = 0;
    while (db_migrations[n].name)
        n++;
    return n;
}

static enum status apply(struct db *db, int number, struct error *err)
{
    enum status rc = sql_exec(db, "BEGIN IMMEDIATE", err);
    if (rc)
        return rc;
    int64_t version = 0;
    rc = sql_int(db, err, &version, "PRAGMA user_version", "");
    if (!rc && version >= number) { /* somebody else was faster */
        db_rollback(db);
        return ST_OK;
    }
    /* Embedded data end with a NUL, so they are a C string. */
    if (!rc)
        rc = sql_exec(db, (const char *)db_migrations[number - 1].data, err);
    char pragma[96];
    snprintf(pragma, sizeof pragma, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             DB_APPLICATION_ID, number);
    if (!rc)
        rc = sql_exec(db, pragma, err);
    if (!rc)
        rc = sql_exec(db, "COMMIT", err);
    if (rc) {
        error_prefix(err, rc, "upgrading to schema %d", number);
        db_rollback(db);
    }
    return rc;
}

enum status db_migrate(struct db *db, struct error *err)
{
    int64_t version = 0;
    enum status rc = sql_int(db, err, &version, "PRAGMA user_version", "");
    for (int n = (int)version + 1; !rc && n <= db_schema_latest(); n++)
        rc = apply(db, n, err);
    return rc;
}
