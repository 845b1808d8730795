/* eidetic backup: the library's database, whole and verified, in one file. */
#include "app/app.h"
#include "core/progress.h"
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static const struct option_def defs[] = {{0}};

static void on_page(void *ctx, int64_t done, int64_t total)
{
    struct progress *p = ctx;
    p->total = (uint64_t)total;
    progress_update(p, (uint64_t)done);
}

static int report(struct app *a, const char *path, const struct db_stats *s)
{
    struct stat sb;
    int64_t bytes = stat(path, &sb) ? 0 : (int64_t)sb.st_size;
    if (a->json) {
        json_t *o = json_pack("{s:I s:I s:I}", "bytes", (json_int_t)bytes, "images",
                              (json_int_t)s->images, "vectors", (json_int_t)s->vectors);
        json_set_path(o, path);
        return app_print_json(a, o);
    }
    log_info("%" PRId64 " pictures and %" PRId64 " vectors in %.1f MB, read back and sound",
             s->images, s->vectors, (double)bytes / 1e6);
    return 0;
}

static int run(struct app *a, int argc, char **argv)
{
    struct progress p;
    struct db_stats s;
    if (app_begin(a, &cmd_backup, defs, NULL, argc, argv) || app_want_args(a, 1, 1) ||
        app_open_library(a, DB_READ))
        return a->exit;
    if (!strcmp(a->rest.item[0].value, "-")) {
        app_usage(a, "a backup is a file, which is read back; it cannot go to standard output");
        return a->exit;
    }
    char *path = app_user_path(a->rest.item[0].value);
    progress_init(&p, stderr, "copying", 0, !a->quiet);
    enum status st = path ? db_backup(a->db, path, on_page, &p, &a->err)
                          : error_set(&a->err, ST_NOMEM, "out of memory");
    progress_finish(&p);
    if (!st)
        st = db_stats(a->db, &s, &a->err);
    if (st)
        app_fail(a, APP_LIBRARY);
    else
        report(a, path, &s);
    mem_free(path);
    return a->exit;
}

const struct command cmd_backup = {"backup", "copy the library's database into one file",
                                   "usage: eidetic backup FILE\n\n"
                                   "Writes a copy of the database as it is now, while others may "
                                   "go on with it, reads it back, and\n"
                                   "only then gives it its name. A file that is there is never "
                                   "overwritten. The pictures are not in\n"
                                   "it; everything that the library knows of them is. To go back "
                                   "to it, put it into an empty folder\n"
                                   "as library.db and name the folder with --library.\n\n"
                                   "  eidetic backup /mnt/backup/eidetic-$(date +%F).db",
                                   run};
