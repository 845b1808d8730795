/* index --watch. */
#include "app/index_watch.h"
#include "db/files.h"
#include "image/image.h"
#include <stdlib.h>

static bool matters(const char *name)
{
    return image_name_supported(name) || path_has_ext(name, "xmp");
}

int index_watch_open(struct app *a, const char *seconds, struct index_opts *o, struct watch **w)
{
    struct watch_opts wo = {.want = matters};
    char *end;
    long n = strtol(seconds, &end, 10);
    if (seconds[0] && (*end || end == seconds || n < 1 || n > 86400))
        return app_usage(a, "--watch takes seconds, 1 to 86400, not \"%.40s\"", seconds);
    wo.poll_seconds = (int)n;
    if (watch_open(w, &wo, &a->err))
        return app_fail(a, APP_LIBRARY);
    o->walk.on_dir = watch_add;
    o->walk.dir_ctx = *w;
    return 0;
}

static enum status add_root(void *ctx, const struct db_root *r)
{
    return watch_add_root(ctx, r->path, NULL);
}

static void close_library(struct app *a)
{
    db_close(a->db);
    a->db = NULL;
    mem_free(a->library_path);
    a->library_path = NULL;
}

int index_watch_next(struct app *a, struct watch *w)
{
    bool polled = watch_polls(w);
    if (db_roots_each(a->db, add_root, w, &a->err))
        return app_fail(a, APP_LIBRARY);
    if (!polled && watch_polls(w))
        log_info(
            "a network drive, or more folders than can be watched: looking again at intervals");
    do {
        close_library(a);
        if (watch_wait(w, a->stop, &a->err))
            return app_fail(a, APP_LIBRARY);
        if (!app_open_library(a, DB_WRITE))
            return 0;
        watch_again(w); /* what is seen now must not be lost */
    } while (a->exit == EXIT_LOCKED && (a->exit = EXIT_DONE, true));
    return 1;
}
