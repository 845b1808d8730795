/* eidetic embed: vectors of texts and pictures, in the order given. Pictures are decoded in full
 * unless --reduced says otherwise, since here numbers matter more than time. */
#include "app/app.h"
#include "core/lines.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct embed_args {
    const char *from, *format, *output;
    bool exact, reduced;
};

static const struct option_def defs[] = {
    {"text", 't', OPT_PAIR, 0, "T", "a text to embed (repeatable)"},
    {"from", 0, OPT_TEXT, offsetof(struct embed_args, from), "F",
     "embed each line of F (- is standard input)"},
    {"format", 0, OPT_TEXT, offsetof(struct embed_args, format), "json|npy", "json"},
    {"output", 'o', OPT_TEXT, offsetof(struct embed_args, output), "F",
     "write to F (- is standard output)"},
    {"exact", 0, OPT_FLAG, offsetof(struct embed_args, exact), NULL,
     "decode pictures in full (the default here)"},
    {"reduced", 0, OPT_FLAG, offsetof(struct embed_args, reduced), NULL,
     "decode large JPEGs at a reduced scale, as index does"},
    {0}};

struct rows {
    float *v;
    size_t n, cap, dim;
};

static float *rows_add(struct app *a, struct rows *r, size_t n)
{
    if (r->n + n > r->cap) {
        size_t cap = (r->n + n) * 2;
        float *grown = mem_realloc_array(r->v, cap * r->dim, sizeof *grown);
        if (!grown) {
            error_set(&a->err, ST_NOMEM, "out of memory for %zu vectors", cap);
            app_fail(a, APP_FILE);
            return NULL;
        }
        r->v = grown;
        r->cap = cap;
    }
    r->n += n;
    return r->v + (r->n - n) * r->dim;
}

static int add_texts(struct app *a, struct rows *r, const char *const *texts, size_t n)
{
    float *out = rows_add(a, r, n);
    if (!out || (!a->session && app_open_session(a)))
        return 1;
    return clip_encode_text(a->session, texts, (int)n, out, &a->err) ? app_fail(a, APP_MODEL) : 0;
}

/* Lines in batches of 64: an empty line is an empty text, so that rows and lines stay in step. */
static int add_lines(struct app *a, struct rows *r, const char *from)
{
    enum { BATCH = 64, LONGEST = 1 << 20 };
    char *text[BATCH] = {0}, *s = NULL;
    size_t n = 0;
    int failed = 0, fd = strcmp(from, "-") ? open(from, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    struct lines l;
    if (fd < 0) {
        error_errno(&a->err, errno, "%s", from);
        return app_fail(a, APP_FILE);
    }
    lines_init(&l, fd, LONGEST);
    do {
        if (lines_next(&l, true, &s, &a->err)) {
            error_prefix(&a->err, ST_IO, "%.100s", from);
            failed = app_fail(a, APP_FILE);
        } else if (s && l.cut) {
            error_set(&a->err, ST_LIMIT, "%.100s: line %" PRIu64 " is longer than %d bytes", from,
                      l.number, (int)LONGEST);
            failed = app_fail(a, APP_FILE);
        } else if (s && !(text[n++] = mem_strdup(s))) {
            failed = app_no_memory(a);
        }
        if (!failed && n && (n == BATCH || !s)) {
            failed = add_texts(a, r, (const char *const *)text, n);
            for (size_t i = 0; i < n; i++) {
                mem_free(text[i]);
                text[i] = NULL;
            }
            n = 0;
        }
    } while (s && !failed);
    for (size_t i = 0; i < BATCH; i++)
        mem_free(text[i]);
    lines_release(&l);
    if (fd != STDIN_FILENO)
        close(fd);
    return failed;
}

static int add_pictures(struct app *a, struct rows *r, const struct embed_args *args)
{
    int failed = 0;
    for (size_t i = 0; !failed && i < a->rest.n; i++) {
        const struct option_item *it = &a->rest.item[i];
        float *out = NULL;
        if (it->name[0])
            failed = add_texts(a, r, &it->value, 1);
        else if (!(out = rows_add(a, r, 1)))
            failed = 1;
        else
            failed = app_embed_file(a, it->value, args->exact || !args->reduced, out, NULL);
    }
    return failed;
}

static json_t *rows_json(const struct app *a, const struct rows *r)
{
    json_t *vectors = json_array();
    for (size_t i = 0; i < r->n; i++) {
        json_t *row = json_array();
        for (size_t k = 0; k < r->dim; k++)
            json_array_append_new(row, json_real((double)r->v[i * r->dim + k]));
        json_array_append_new(vectors, row);
    }
    return json_pack("{s:s s:I s:o}", "model", clip_info(a->clip)->name, "dim", (json_int_t)r->dim,
                     "vectors", vectors);
}

/* NumPy's format 1.0: magic, length, a Python dict padded so that the data begins at a multiple
 * of 64. */
static char *rows_npy(const struct rows *r, size_t *size)
{
    struct buf b;
    char header[118];
    buf_init(&b, SIZE_MAX / 2);
    snprintf(header, sizeof header,
             "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", r->n, r->dim);
    buf_append(&b, "\x93NUMPY\x01\x00\x76\x00", 10);
    buf_printf(&b, "%-117s\n", header);
    buf_append(&b, r->v, r->n * r->dim * sizeof *r->v);
    *size = b.len;
    return buf_take(&b);
}

static int write_rows(struct app *a, const struct rows *r, const struct embed_args *args)
{
    bool npy = args->format && !strcmp(args->format, "npy");
    json_t *json = npy ? NULL : rows_json(a, r);
    size_t size = 0;
    const char *file = args->output && strcmp(args->output, "-") != 0 ? args->output : NULL;
    if (!npy && !file)
        return app_print_json(a, json);
    char *text = npy ? rows_npy(r, &size) : json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(json);
    if (!text) {
        error_set(&a->err, ST_NOMEM, "out of memory for the answer");
        return app_fail(a, APP_FILE);
    }
    if (!npy)
        size = strlen(text);
    int failed = 0;
    if (!file) {
        fwrite(text, 1, size, stdout);
        failed = app_check_stdout(a);
    } else {
        failed = app_write_output(a, file, text, size);
    }
    free(text);
    return failed;
}

static int run(struct app *a, int argc, char **argv)
{
    struct embed_args args = {0};
    struct rows r = {0};
    if (app_begin(a, &cmd_embed, defs, &args, argc, argv))
        return a->exit;
    if (!a->precision) /* exact unless told otherwise, unlike index and search */
        a->precision = "f32";
    bool pictures = false, texts = args.from != NULL;
    for (size_t i = 0; i < a->rest.n; i++)
        *(a->rest.item[i].name[0] ? &texts : &pictures) = true;
    if (args.format && strcmp(args.format, "json") != 0 && strcmp(args.format, "npy") != 0)
        app_usage(a, "--format is json or npy, not \"%.40s\"", args.format);
    else if (!pictures && !texts)
        app_usage(a, "embed needs a file, --text or --from");
    struct clip_opts o = {.no_image = !pictures, .no_text = !texts};
    if (a->exit || app_open_model(a, &o))
        return a->exit;
    r.dim = (size_t)clip_dim(a->clip);
    if (!add_pictures(a, &r, &args) && !(args.from && add_lines(a, &r, args.from)))
        write_rows(a, &r, &args);
    mem_free(r.v);
    return a->exit;
}

const struct command cmd_embed = {
    "embed", "vectors of texts and pictures, for other programs",
    "usage: eidetic embed [--text T]... [--from F] [FILE...]\n\n"
    "Unit vectors, in the order given: texts and files as they stand on the command line, then the "
    "lines\n"
    "of --from. {\"model\":...,\"dim\":D,\"vectors\":[[...]]}, or NumPy's format.\n\n"
    "  eidetic embed --text \"a red car\" photo.jpg\n"
    "  eidetic embed --from sentences.txt --format npy -o sentences.npy",
    run};
