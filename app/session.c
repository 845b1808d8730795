/* Opening what a command needs, with the exit code that belongs to each failure. */
#include "app/app.h"
#include "app/describe.h"
#include "core/cpu.h"
#include "core/file.h"
#include "db/files.h"
#include "db/vectors.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct option_def common_defs[] = {
    {"json", 0, OPT_FLAG, offsetof(struct app, json), NULL, "results as JSON lines"},
    {"library", 0, OPT_TEXT, offsetof(struct app, library), "DIR",
     "the library (or $EIDETIC_LIBRARY)"},
    {"model", 0, OPT_TEXT, offsetof(struct app, model), "NAME|PATH",
     "the CLIP model (the library's own, else starter); in generate the checkpoint"},
    {"device", 0, OPT_TEXT, offsetof(struct app, device), "DEV",
     "cpu, cuda or cuda:N; auto is cpu"},
    {"precision", 0, OPT_TEXT, offsetof(struct app, precision), "P",
     "arithmetic for pictures: f32, bf16, int8, f16 (cuda alone) or auto; generate: f32, bf16 or "
     "f16"},
    {"threads", 0, OPT_INT, offsetof(struct app, threads), "N", "threads (all processors)"},
    {"quiet", 'q', OPT_FLAG, offsetof(struct app, quiet), NULL, "only errors on stderr"},
    {"verbose", 'v', OPT_FLAG, offsetof(struct app, verbose), NULL, "more on stderr"},
    {0}};

static int exit_of(enum status st, enum app_what what)
{
    switch (st) {
    case ST_USAGE:
        return EXIT_WRONG_USAGE;
    case ST_LOCKED:
        return EXIT_LOCKED;
    case ST_NOSPACE:
        return EXIT_DISK;
    case ST_NOMEM:
    case ST_INTERNAL:
        return EXIT_INTERNAL;
    case ST_INTERRUPTED:
        return EXIT_INTERRUPTED;
    default:
        break;
    }
    if (what == APP_USAGE)
        return EXIT_WRONG_USAGE;
    if (what == APP_FILE)
        return EXIT_UNREADABLE;
    if (what == APP_MODEL)
        return st == ST_DEVICE ? EXIT_WRONG_USAGE : EXIT_BAD_FILE;
    return st == ST_IO ? EXIT_DISK : st == ST_NOT_FOUND ? EXIT_WRONG_USAGE : EXIT_BAD_FILE;
}

int app_fail(struct app *a, enum app_what what)
{
    log_error("%s%s%s", a->about ? a->about : "", a->about ? ": " : "", a->err.text);
    a->exit = exit_of(a->err.code, what);
    return 1;
}

int app_fail_config(struct app *a)
{
    return app_fail(a, a->err.code == ST_IO ? APP_FILE : APP_USAGE);
}

int app_no_memory(struct app *a)
{
    error_set(&a->err, ST_NOMEM, "out of memory");
    return app_fail(a, APP_FILE);
}

int app_usage(struct app *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    a->err.code = ST_USAGE;
    vsnprintf(a->err.text, sizeof a->err.text, fmt, ap);
    va_end(ap);
    return app_fail(a, APP_USAGE);
}

int app_want_args(struct app *a, size_t least, size_t most)
{
    if (a->rest.n < least)
        return app_usage(a, "%s needs %s (see eidetic %s --help)", a->command->name,
                         least == 1 ? "an argument" : "more arguments", a->command->name);
    if (a->rest.n > most)
        return app_usage(a, "%s takes no argument \"%.60s\"", a->command->name,
                         a->rest.item[most].value);
    return 0;
}

static enum status read_config(struct app *a, const struct option_tables *t)
{
    const char *library = getenv("EIDETIC_LIBRARY");
    char *path = app_config_path();
    enum status st = path ? options_read_file(t, path, &a->config_text, &a->config_size, &a->err)
                          : error_set(&a->err, ST_NOMEM, "out of memory");
    mem_free(path);
    if (library && library[0])
        a->library = NULL; /* the environment is nearer than the file */
    return st;
}

static void print_help(const struct command *c, const struct option_def *own)
{
    printf("%s\n", c->usage);
    if (own && own->name) {
        puts("\nOptions:");
        options_print(stdout, own);
    }
    puts("\nCommon options:");
    options_print(stdout, common_defs);
}

int app_begin(struct app *a, const struct command *c, const struct option_def *own, void *own_args,
              int argc, char **argv)
{
    struct option_tables t = {common_defs, own, a, own_args};
    bool help = false;
    a->command = c;
    if (a->describe) {
        *a->describe = (struct described){c, common_defs, own};
        return 1;
    }
    enum status bad = read_config(a, &t);
    struct error why = a->err;
    a->config_model = a->model;
    if (options_parse(&t, argc, argv, &a->rest, &help, &a->err))
        return app_fail(a, APP_USAGE);
    if (help) { /* also where the file is off */
        print_help(c, own);
        app_check_stdout(a);
        return 1;
    }
    a->err = why;
    if (bad)
        return app_fail_config(a);
    if (a->precision && strcmp(a->precision, "auto") != 0 && precision_parse(a->precision) < 0)
        return app_usage(a, "--precision is f32, bf16, int8, f16 or auto, not \"%.40s\"",
                         a->precision);
    if (a->precision && !strcmp(a->precision, "f16") && !app_on_card(a))
        return app_usage(a, "--precision f16 is for graphics cards (--device cuda)");
    if (!a->threads)
        a->threads = cpu_count();
    if (a->threads > 256)
        return app_usage(a, "--threads is at most 256");
    log_set_level(a->quiet ? LOG_ERROR : a->verbose ? LOG_DEBUG : LOG_INFO);
    return 0;
}

bool app_from_config(const struct app *a, const char *value)
{
    uintptr_t from = (uintptr_t)a->config_text, at = (uintptr_t)value;
    return from && at >= from && at <= from + a->config_size;
}

int app_read_again(struct app *a, const struct option_def *own, void *own_args, int argc,
                   char **argv, int (*between)(struct app *a, void *own_args, void *ctx), void *ctx)
{
    struct app aside = {0}; /* the common options are read already */
    struct option_tables t = {common_defs, own, &aside, own_args};
    bool help;
    char *path = app_config_path();
    size_t size;
    enum status st = path ? options_read_file(&t, path, &a->config_again, &size, &a->err)
                          : error_set(&a->err, ST_NOMEM, "out of memory");
    mem_free(path);
    if (st)
        return app_fail_config(a);
    if (between(a, own_args, ctx))
        return 1;
    st = options_parse(&t, argc, argv, &aside.rest, &help, &a->err);
    option_list_release(&aside.rest);
    return st ? app_fail(a, APP_USAGE) : 0;
}

void app_close(struct app *a)
{
    decoder_close(a->decoder);
    clip_session_free(a->session);
    clip_close(a->clip);
    db_close(a->db);
    option_list_release(&a->rest);
    mem_free(a->library_path);
    mem_free(a->model_path);
    mem_free(a->config_text);
    mem_free(a->config_again);
}

int app_open_library(struct app *a, enum db_mode mode)
{
    struct db_opts o = {.mode = mode, .lock_wait_ms = 2000, .command = a->command->name};
    a->library_path = app_library_path(a->library);
    enum status st = a->library_path ? db_open(&a->db, a->library_path, &o, &a->err)
                                     : error_set(&a->err, ST_NOMEM, "out of memory");
    if (mode == DB_CREATE && (st == ST_NOT_FOUND || st == ST_IO))
        a->err.code = ST_NOSPACE; /* its folder cannot be made */
    else if (st == ST_NOT_FOUND)
        error_set(&a->err, st,
                  "there is no library at %.160s yet; make one with: eidetic index DIR",
                  a->library_path);
    return st ? app_fail(a, APP_LIBRARY) : 0;
}

int app_locate_model(struct app *a)
{
    char *saved = NULL;
    const char *name = a->model;
    if (a->model_path)
        return 0;
    if (!name && a->db && db_setting_get(a->db, "model", &saved, &a->err))
        return app_fail(a, APP_LIBRARY);
    if (!name)
        name = saved ? saved : "starter";
    enum status st = app_find_model(name, &a->model_path, &a->err);
    mem_free(saved);
    return st ? app_fail(a, APP_MODEL) : 0;
}

int app_open_model(struct app *a, const struct clip_opts *o)
{
    if (app_locate_model(a))
        return 1;
    return clip_open(&a->clip, a->model_path, o, &a->err) ? app_fail(a, APP_MODEL) : 0;
}

bool app_on_card(const struct app *a)
{
    return a->device && !strncmp(a->device, "cuda", 4);
}

static bool asks_for_auto(const struct app *a)
{
    return !a->precision || precision_parse(a->precision) < 0;
}

static char *precision_key(const struct app *a)
{
    return mem_printf("precision-%s", clip_info(a->clip)->id);
}

/* -1: nothing is remembered. */
static int remembered_precision(const struct app *a)
{
    char *key = a->db ? precision_key(a) : NULL, *value = NULL;
    int p = -1;
    if (key && !db_setting_get(a->db, key, &value, NULL) && value)
        p = precision_parse(value);
    mem_free(value);
    mem_free(key);
    return p;
}

enum status app_remember_precision(struct app *a, enum precision p, struct error *err)
{
    char *key = precision_key(a);
    enum status st = key ? db_setting_set(a->db, key, precision_name(p), err)
                         : error_set(err, ST_NOMEM, "out of memory");
    mem_free(key);
    return st;
}

bool app_precision_open(const struct app *a)
{
    return asks_for_auto(a) && !app_on_card(a) && backend_has_low_precision() &&
           clip_info(a->clip)->near_f32 != PREC_INT8 && remembered_precision(a) < 0;
}

enum precision app_precision(const struct app *a)
{
    if (!asks_for_auto(a))
        return (enum precision)precision_parse(a->precision);
    if (app_on_card(a))
        return PREC_BF16;
    if (!backend_has_low_precision())
        return PREC_F32;
    int known = clip_info(a->clip)->near_f32 == PREC_INT8 ? -1 : remembered_precision(a);
    return known < 0 ? clip_info(a->clip)->near_f32 : (enum precision)known;
}

enum status app_new_session(const struct app *a, enum precision p, struct clip_session **s,
                            struct error *err)
{
    char device[48];
    snprintf(device, sizeof device, "%.30s/%s",
             !a->device || !strcmp(a->device, "auto") ? "cpu" : a->device, precision_name(p));
    return clip_session_new(s, a->clip, device, a->threads, err);
}

int app_open_session(struct app *a)
{
    enum precision p = app_precision(a);
    if (p != PREC_F32 && !app_on_card(a) && !backend_has_low_precision()) {
        log_warn("this processor has no arithmetic in %s; f32 is used", precision_name(p));
        p = PREC_F32;
    }
    enum status st = app_new_session(a, p, &a->session, &a->err);
    if (st == ST_UNSUPPORTED && asks_for_auto(a) && app_on_card(a)) /* a card before sm_80 */
        st = app_new_session(a, PREC_F16, &a->session, &a->err);
    return st ? app_fail(a, APP_MODEL) : 0;
}

int app_find_model_row(struct app *a)
{
    struct db_model m;
    enum status st = db_model_get(a->db, clip_info(a->clip)->id, &m, &a->err);
    a->model_row = st ? 0 : m.id;
    return st && st != ST_NOT_FOUND ? app_fail(a, APP_LIBRARY) : 0;
}

int app_open_decoder(struct app *a, int workers, int slots, bool exact, uint64_t max_pixels)
{
    struct decoder_opts o = {.workers = workers,
                             .slots = slots,
                             .prep = clip_prep(a->clip, exact),
                             .max_pixels = max_pixels,
                             .hash = true};
    return decoder_open(&a->decoder, &o, &a->err) ? app_fail(a, APP_FILE) : 0;
}

bool app_stored_vector(struct app *a, const char *path, float *out, int64_t *image)
{
    struct db_file f;
    struct stat s;
    bool have = false;
    if (!a->db || !a->model_row || stat(path, &s) || db_file_get(a->db, path, &f, NULL) ||
        !f.image || f.status == DB_FILE_FAILED || f.size != s.st_size ||
        f.mtime_ns != (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec)
        return false;
    if (db_vectors_get(a->db, a->model_row, &f.image, 1, clip_dim(a->clip), out, &have, NULL))
        return false;
    *image = f.image;
    return have;
}

int app_embed_file(struct app *a, const char *path, bool exact, float *out, uint8_t hash[16])
{
    struct decoder_job job;
    if (!a->decoder && app_open_decoder(a, 1, 2, exact, 0))
        return 1;
    if (!a->session && app_open_session(a))
        return 1;
    enum status st = decoder_submit(a->decoder, 0, path, &a->err);
    if (!st)
        st = decoder_next(a->decoder, &job, -1, &a->err);
    if (st)
        return app_fail(a, APP_FILE);
    if (job.status) {
        error_set(&a->err, job.status, "%s", job.text);
        decoder_done(a->decoder, &job);
        return app_fail(a, APP_FILE);
    }
    if (hash)
        memcpy(hash, job.hash, sizeof job.hash);
    st = clip_encode_images(a->session, &job.pixels, 1, out, &a->err);
    decoder_done(a->decoder, &job);
    return st ? app_fail(a, APP_MODEL) : 0;
}
