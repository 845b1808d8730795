/* eidetic doctor: what this build, this machine and this library are, for a person with a problem.
 */
#include "app/app.h"
#include "core/cpu.h"
#include "core/file.h"
#include "image/terminal.h"
#include "nn/backend.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

static const struct option_def defs[] = {{0}};

struct report {
    struct app *app;
    json_t *facts;
    int problems;
};

__attribute__((format(printf, 4, 5))) static void fact(struct report *r, bool good,
                                                       const char *name, const char *fmt, ...)
{
    struct buf safe;
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    r->problems += !good;
    if (r->app->json) {
        json_array_append_new(r->facts, json_pack("{s:s s:o s:b}", "name", name, "value",
                                                  json_text(text), "ok", good));
        return;
    }
    buf_init(&safe, 1 << 16);
    buf_text_safe(&safe, text);
    printf("%-3s %-12s %s\n", good ? "ok" : "!!", name, safe.data ? safe.data : "");
    buf_release(&safe);
}

/* One line for all that can be read, and one for each format that lacks its library. */
static void report_formats(struct report *r)
{
    struct image_format f;
    struct buf all;
    buf_init(&all, 1 << 12);
    for (size_t i = 0; image_format_get(&f, i); i++)
        if (f.ready)
            buf_printf(&all, all.len ? " %s" : "%s", f.extensions);
    fact(r, true, "formats", "%s", all.data ? all.data : "");
    buf_release(&all);
    for (size_t i = 0; image_format_get(&f, i); i++)
        if (!f.ready)
            fact(r, false, "formats", "no %s: %s %s", f.extensions, f.library,
                 f.built ? "is not installed" : "was missing when this was built");
}

/* Graphics cards, or why there are none to compute on. */
static void report_cuda(struct report *r)
{
    struct backend *be = NULL;
    struct error err;
    if (backend_open(&be, "cuda", 1, &err))
        fact(r, true, "cuda", "%s", err.text);
    else
        fact(r, true, "cuda", "%s: %.1f GB free", backend_name(be), (double)backend_room(be) / 1e9);
    backend_close(be);
}

static void report_machine(struct report *r)
{
    fact(r, true, "version", "eidetic %s", EIDETIC_VERSION);
    fact(r, true, "processor", "%s kernels, %d threads", cpu_level_name(cpu_level_max()),
         cpu_count());
    for (const char *const *name = backend_list(); *name; name++)
        fact(r, true, "backend", "%s", *name);
    report_cuda(r);
    fact(r, true, "precision", "%s",
         backend_has_low_precision()
             ? "f32, bf16 and int8; auto takes the fastest that a model keeps near f32"
             : "f32; auto is f32");
    fact(r, true, "blas", "%s", backend_blas_info());
    report_formats(r);
    fact(r, terminal_ready(), "previews", "%s",
         terminal_ready() ? "kitty, iTerm2, sixel, half-blocks"
                          : "libchafa is not installed (package libchafa0)");
    fact(r, true, "decoding", "%s", decoder_sandbox_info());
    for (char **e = environ; *e; e++)
        if (!strncmp(*e, "OPENBLAS_", 9) || !strncmp(*e, "OMP_", 4) ||
            !strncmp(*e, "EIDETIC_CPU", 11))
            fact(r, false, "environment", "%.200s is set and changes the speed", *e);
}

static enum status report_model(void *ctx, const char *name, const char *path)
{
    struct report *r = ctx;
    struct clip *clip = NULL;
    struct error err;
    struct clip_opts o = {.no_image = true, .no_text = true};
    if (clip_open(&clip, path, &o, &err))
        fact(r, false, "model", "%s: %s", name, err.text);
    else
        fact(r, true, "model", "%s: %s, %d numbers a vector", name, clip_info(clip)->arch,
             clip_dim(clip));
    clip_close(clip);
    return ST_OK;
}

static void report_library(struct report *r)
{
    struct app *a = r->app;
    struct db_opts o = {.mode = DB_READ, .command = "doctor"};
    struct db_stats s;
    struct statvfs fs;
    char *path = app_library_path(a->library);
    char *holder = path ? db_lock_holder(path) : NULL;
    if (!path)
        return;
    enum status st = db_open(&a->db, path, &o, &a->err);
    if (st == ST_NOT_FOUND)
        fact(r, true, "library", "%s: none yet (eidetic index DIR makes it)", path);
    else if (st || db_stats(a->db, &s, &a->err))
        fact(r, false, "library", "%s", a->err.text);
    else
        fact(r, true, "library", "%s: %lld pictures, %s", path, (long long)s.images_present,
             db_is_wal(a->db) ? "write-ahead log" : "rollback journal (network file system)");
    if (holder)
        fact(r, true, "writer", "%s", holder);
    if (!st && statvfs(path, &fs) == 0) {
        double free_gb = (double)fs.f_bavail * (double)fs.f_frsize / 1e9;
        fact(r, free_gb > 0.1, "disk", "%.1f GB free", free_gb);
    }
    mem_free(holder);
    mem_free(path);
}

static int run(struct app *a, int argc, char **argv)
{
    if (app_begin(a, &cmd_doctor, defs, NULL, argc, argv) || app_want_args(a, 0, 0))
        return a->exit;
    struct report r = {.app = a, .facts = json_array()};
    report_machine(&r);
    app_each_model(report_model, &r, NULL);
    report_library(&r);
    if (a->json)
        app_print_json(a, json_pack("{s:b s:O}", "ok", r.problems == 0, "facts", r.facts));
    else
        app_check_stdout(a);
    json_decref(r.facts);
    return a->exit;
}

const struct command cmd_doctor = {"doctor", "what this build, machine and library are",
                                   "usage: eidetic doctor\n\n"
                                   "Lists the kernels in use, the libraries, models and the "
                                   "library's state; \"!!\" marks what deserves a look.\n\n"
                                   "  eidetic doctor --json",
                                   run};
