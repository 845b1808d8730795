/* eidetic model verify: the files against the sums that came with them, and every weight a finite
 * number. */
#include "app/file_hash.h"
#include "app/model_app.h"
#include "core/file.h"
#include "nn/weights.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

struct verify {
    struct app *a;
    json_t *files;
    int wrong;
};

static void report(struct verify *v, const char *file, const char *what)
{
    bool ok = strcmp(what, "ok") == 0;
    v->wrong += !ok;
    json_array_append_new(v->files, json_pack("{s:o s:s}", "file", json_text(file), "state", what));
    if (!v->a->json) {
        print_path(stdout, file);
        printf(" %s\n", what);
    }
}

enum status model_hash_file(const char *path, char hex[65], struct error *err)
{
    struct file_map m = {0};
    struct sha256_ctx h;
    enum status st = file_map_open(&m, path, err);
    sha256_init(&h);
    if (!st)
        sha256_update(&h, m.size, (const uint8_t *)m.data);
    file_hash_hex(&h, hex);
    file_map_close(&m);
    return st;
}

/* One line of sha256sum: 64 digits, two spaces, a name without "..". */
static void check_line(struct verify *v, const char *dir, const char *line, size_t n)
{
    struct error err;
    char hex[65], *name = n > 66 ? mem_strndup(line + 66, n - 66) : NULL;
    char *path = name && name[0] != '/' && !strstr(name, "..") ? path_join(dir, name) : NULL;
    if (!path)
        report(v, MODEL_SUMS, "has a line that is not one");
    else if (model_hash_file(path, hex, &err))
        report(v, name, "cannot be read");
    else
        report(v, name, memcmp(hex, line, 64) == 0 ? "ok" : "has changed");
    mem_free(path);
    mem_free(name);
}

static enum status check_sums(struct verify *v, const char *dir)
{
    char *path = path_join(dir, MODEL_SUMS), *text = NULL;
    size_t size = 0;
    enum status st = !path               ? error_set(&v->a->err, ST_NOMEM, "out of memory")
                     : file_exists(path) ? file_read_all(&text, &size, path, 1 << 20, &v->a->err)
                                         : ST_OK;
    for (const char *s = text; !st && s && *s;) {
        size_t n = strcspn(s, "\n");
        check_line(v, dir, s, n);
        s += n + (s[n] == '\n');
    }
    mem_free(text);
    mem_free(path);
    return st;
}

/* The first tensor that holds NaN or infinity, or NULL. */
static const char *not_finite(const struct weights *w)
{
    for (int i = 0; i < weights_count(w); i++) {
        const struct tensor *t = weights_at(w, i);
        bool is_float = t->dtype == DT_F32 || t->dtype == DT_F16 || t->dtype == DT_BF16;
        int64_t rows = is_float && t->ndim ? t->dim[0] : is_float, each = 0;
        each = rows ? tensor_count(t) / rows : 0;
        float *x = each ? mem_array((size_t)each, sizeof *x) : NULL;
        size_t bytes = 0;
        bool ok = !each || (x && dtype_bytes(t->dtype, (size_t)each, &bytes));
        for (int64_t r = 0; ok && r < rows && each; r++) {
            struct tensor row =
                tensor_view((char *)t->data + (size_t)r * bytes, t->dtype, 1, &each);
            tensor_to_f32(&row, x);
            for (int64_t k = 0; ok && k < each; k++)
                ok = isfinite(x[k]);
        }
        mem_free(x);
        if (!ok)
            return weights_name(w, i);
    }
    return NULL;
}

static int check_weights(struct verify *v)
{
    struct app *a = v->a;
    struct weights *w = NULL;
    if (weights_open(&w, clip_info(a->clip)->weights, &a->err))
        return app_fail(a, APP_MODEL);
    const char *bad = not_finite(w);
    if (bad)
        log_warn("tensor %.100s holds what is no finite number", bad);
    report(v, path_base(clip_info(a->clip)->weights), bad ? "holds NaN or infinity" : "ok");
    weights_close(w);
    return 0;
}

int model_verify(struct app *a)
{
    struct verify v = {.a = a, .files = json_array()};
    if (a->rest.n == 2)
        a->model = a->rest.item[1].value;
    else if (a->rest.n > 2)
        return app_usage(a, "model verify takes one model");
    char *path = NULL;
    int failed = a->model && app_find_model(a->model, &path, &a->err) ? app_fail(a, APP_MODEL) : 0;
    if (!failed && path && file_is_dir(path) && check_sums(&v, path))
        failed = app_fail(a, APP_MODEL);
    if (!failed && !v.wrong) /* a model that has changed need not open */
        failed = app_open_model(a, NULL) || check_weights(&v);
    mem_free(path);
    if (failed) {
        json_decref(v.files);
        return 1;
    }
    if (v.wrong)
        a->exit = EXIT_BAD_FILE;
    if (!a->json) {
        json_decref(v.files);
        return app_check_stdout(a);
    }
    return app_print_json(a, json_pack("{s:b s:o}", "ok", v.wrong == 0, "files", v.files));
}
