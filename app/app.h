/* What the commands share: the common options, where things live, and what is open.
 *
 *     static int run(struct app *a, int argc, char **argv) {
 *         struct my_args args = {.top = 10};
 *         if (app_begin(a, &cmd_mine, defs, &args, argc, argv)) return a->exit;
 *         if (app_open_library(a, DB_READ) || app_open_model(a, NULL)) return a->exit;
 *         ...
 *         return a->exit;          // main() closes what is open
 *     }
 *     const struct command cmd_mine = {"mine", "one line", "usage and examples", run};
 *
 * Every app_* step that fails prints one sentence, sets a->exit to a code of README's table and
 * returns non-zero. Results go to stdout, all else to stderr. */
#ifndef EIDETIC_APP_APP_H
#define EIDETIC_APP_APP_H

#include "app/options.h"
#include "clip/clip.h"
#include "core/error.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "db/db.h"
#include "image/decoder.h"
#include <jansson.h>
#include <signal.h>

enum exit_code { /* persisted in scripts: see README */
                 EXIT_DONE = 0,
                 EXIT_UNFIT = 1,
                 EXIT_WRONG_USAGE = 2,
                 EXIT_UNREADABLE = 3,
                 EXIT_BAD_FILE = 4,
                 EXIT_LOCKED = 5,
                 EXIT_DISK = 6,
                 EXIT_INTERNAL = 70,
                 EXIT_INTERRUPTED = 130,
};

struct app;
struct command {
    const char *name, *summary;
    const char *usage; /* the usage line, what it does, examples; options are printed behind it */
    int (*run)(struct app *a, int argc, char **argv);
};
extern const struct command *const commands[]; /* NULL-terminated, in the order of the help */
extern const struct command cmd_index, cmd_search, cmd_similar, cmd_caption, cmd_info, cmd_tokenize,
    cmd_embed, cmd_stats, cmd_errors, cmd_check, cmd_forget, cmd_generate, cmd_merge, cmd_bench,
    cmd_doctor, cmd_model, cmd_backup, cmd_export, cmd_duplicates, cmd_completion, cmd_man;

struct app {
    /* common options */
    const char *library, *model, *device, *precision;
    int threads;
    bool json, quiet, verbose;
    /* open things, closed by app_close */
    struct db *db;
    char *library_path, *model_path;
    char *config_text, *config_again; /* what options point into */
    size_t config_size;               /* of config_text */
    const char *config_model;         /* what the config file calls model */
    int64_t model_row;                /* in the library; 0 = the model has no vectors there */
    struct clip *clip;
    struct clip_session *session;
    struct decoder *decoder;
    struct option_list rest; /* plain arguments */
    const struct command *command;
    struct error err;
    const char *about; /* what messages are about ("line 3"), or NULL */
    int exit;
    volatile sig_atomic_t *stop;
    void (*stop_gently)(void); /* from now on Ctrl-C sets *stop instead of ending the process */
    struct described
        *describe; /* app_begin only fills this in, and the command ends (describe.h) */
};

/* Parses options (config file first, then argv), prints help where asked (then returns non-zero
 * with exit 0), and sets the log level. */
int app_begin(struct app *a, const struct command *c, const struct option_def *own, void *own_args,
              int argc, char **argv);
/* Was an option's text the config file's? Then it is a wish for where it fits, and no mistake where
 * it does not. */
bool app_from_config(const struct app *a, const char *value);
/* Reads a command's own options into own_args once more: the config file's, then what `between`
 * puts there (non-zero: it failed and said so), then argv's. */
int app_read_again(struct app *a, const struct option_def *own, void *own_args, int argc,
                   char **argv, int (*between)(struct app *a, void *own_args, void *ctx),
                   void *ctx);
void app_close(struct app *a);

enum app_what { APP_USAGE, APP_FILE, APP_MODEL, APP_LIBRARY };
/* Prints a->err's sentence and sets a->exit from its code and what failed; returns 1. */
int app_fail(struct app *a, enum app_what what);
int app_fail_config(struct app *a); /* of its file: what cannot be read is no wrong word in it */
int app_no_memory(struct app *a);   /* app_fail for memory that ran out */
int app_usage(struct app *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* As a sub-command or option set demands. */
int app_want_args(struct app *a, size_t least, size_t most);

int app_open_library(struct app *a, enum db_mode mode);
/* The library must be open where its own model is to be the default. a->model_path alone. */
int app_locate_model(struct app *a);
/* The same, and opens the model's towers. */
int app_open_model(struct app *a, const struct clip_opts *o);
int app_open_session(struct app *a);
bool app_on_card(const struct app *a); /* does --device name a graphics card? */
/* What --precision means here for pictures. auto is the fastest that keeps a cosine of 0.999 to
 * f32: as the model's family says, or as the open library remembers it from when it was measured.
 */
enum precision app_precision(const struct app *a);
/* True where auto is asked for and only measuring can tell. */
bool app_precision_open(const struct app *a);
/* Remembers what was measured, for the open model in the open library. */
enum status app_remember_precision(struct app *a, enum precision p, struct error *err);
/* A session of a's device and threads. */
enum status app_new_session(const struct app *a, enum precision p, struct clip_session **s,
                            struct error *err);
/* The folder of sample photographs, or NULL. */
const char *app_samples(void);
/* Looks the open model up in the open library: a->model_row. */
int app_find_model_row(struct app *a);
/* Decoder workers for the open model; call before app_open_session starts threads. */
int app_open_decoder(struct app *a, int workers, int slots, bool exact, uint64_t max_pixels);
/* The stored vector of the open model, where the open library knows this very file and it has not
 * changed. */
bool app_stored_vector(struct app *a, const char *path, float *out, int64_t *image);
/* One picture's vector, decoded in a worker process; hash (of its bytes) may be NULL. */
int app_embed_file(struct app *a, const char *path, bool exact, float *out, uint8_t hash[16]);

/* paths.c. All mem_free, NULL = no memory. */
char *app_library_path(const char *option);
char *app_config_path(void);
/* Absolute; "~" and "~/" are the home, for where no shell saw them (--library=~/x, the config). */
char *app_user_path(const char *typed);
/* Where models of the user's own go: $EIDETIC_MODELS, else the data folder. */
char *app_models_folder(void);
/* A folder or file for a --model value: a path, or a name in one of the model folders. ST_NOT_FOUND
 * lists the names there are. */
enum status app_find_model(const char *name, char **path, struct error *err);
enum status app_each_model(enum status (*each)(void *ctx, const char *name, const char *path),
                           void *ctx, struct error *err);

/* output.c */
/* Adds "path" (invalid UTF-8 replaced) and, only where that changed it, "path_hex". */
int json_set_path(json_t *object, const char *path);
json_t *json_text(const char *s); /* a string, invalid UTF-8 replaced; NULL or "" = null */
struct db_tags;
json_t *json_tags(const struct db_tags *t); /* an array of {"tag", "score"} */
json_t *json_real6(double v);               /* six significant decimals are what a score has */
int app_print_json(struct app *a, json_t *object); /* one line on stdout; takes the reference */
/* -o FILE: a file is replaced whole, a device or pipe is written to. */
int app_write_output(struct app *a, const char *path, const void *data, size_t size);
int app_check_stdout(struct app *a); /* a full disk must not look like success */
bool app_dumb_terminal(void);        /* TERM says that no sequence is understood */
/* One line, or ended by a NUL; on a terminal nothing that could move the cursor. */
void print_plain_path(const char *path, bool null);
void print_path(FILE *out, const char *path); /* quoted and safe for a terminal */

#endif
