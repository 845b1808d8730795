/* eidetic model pull: a Hugging Face repository by its name, or one file by its address. The list
 * of a repository says each file's size, and the SHA-256 of the large ones; both are held to. */
#include "app/fetch.h"
#include "app/model_app.h"
#include "core/file.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FILES_MAX = 64, LIST_MAX = 16 << 20 };

struct pull_file {
    char *url, *name; /* name: below the folder */
    char sha256[65];  /* "" where nothing says it */
    uint64_t size;
};
struct pull {
    struct app *a;
    char *folder; /* where the files go */
    struct pull_file file[FILES_MAX];
    size_t n;
    uint64_t total, done; /* of all files */
    size_t now;
    int shown; /* the per mille last shown */
};

static void release(struct pull *p)
{
    for (size_t i = 0; i < p->n; i++) {
        mem_free(p->file[i].url);
        mem_free(p->file[i].name);
    }
    mem_free(p->folder);
}

/* One path segment that may be a file's name here. */
static bool plain(const char *s, size_t n)
{
    static const char known[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return n > 0 && n <= 120 && s[0] != '.' && strspn(s, known) >= n;
}

/* "owner/name", as repositories are called. */
static bool is_repository(const char *s)
{
    const char *slash = strchr(s, '/');
    return slash && plain(s, (size_t)(slash - s)) && plain(slash + 1, strlen(slash + 1));
}

static enum status add(struct pull *p, const char *url, const char *name, uint64_t size,
                       const char *sha256)
{
    if (p->n == FILES_MAX)
        return error_set(&p->a->err, ST_LIMIT, "more than %d files", (int)FILES_MAX);
    struct pull_file *f = &p->file[p->n++];
    *f = (struct pull_file){.url = mem_strdup(url), .name = mem_strdup(name), .size = size};
    if (sha256 && strlen(sha256) == 64 && strspn(sha256, "0123456789abcdefABCDEF") == 64)
        memcpy(f->sha256, sha256, 65);
    p->total += size;
    return f->url && f->name ? ST_OK : error_set(&p->a->err, ST_NOMEM, "out of memory");
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), k = strlen(tail);
    return n >= k && strcmp(s + n - k, tail) == 0;
}

static const json_t *find(const json_t *list, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)list, i, one)
    {
        const char *s = json_string_value(json_object_get(one, "rfilename"));
        if (s && strcmp(s, name) == 0)
            return one;
    }
    return NULL;
}

/* The one form of the weights that is taken; with it go the shards of an index. */
static const char *choose_weights(const json_t *list)
{
    static const char *const forms[] = {
        "open_clip_model.safetensors", "open_clip_pytorch_model.bin",
        "model.safetensors",           "model.safetensors.index.json",
        "pytorch_model.bin",           "pytorch_model.bin.index.json"};
    bool open_clip = find(list, "open_clip_config.json") != NULL;
    for (size_t i = open_clip ? 0 : 2; i < sizeof forms / sizeof *forms; i++)
        if (find(list, forms[i]))
            return forms[i];
    return NULL;
}

/* Config, tokenizer and licence files, and sentence-transformers' modules. */
static bool is_wanted(const char *name, const char *weights)
{
    static const char *const plain_files[] = {"config.json",
                                              "open_clip_config.json",
                                              "preprocessor_config.json",
                                              "tokenizer.json",
                                              "tokenizer_config.json",
                                              "special_tokens_map.json",
                                              "vocab.json",
                                              "added_tokens.json",
                                              "processor_config.json",
                                              "merges.txt",
                                              "vocab.txt",
                                              "spiece.model",
                                              "modules.json",
                                              "sentence_bert_config.json",
                                              "sentencepiece.bpe.model",
                                              "LICENSE",
                                              "LICENSE.txt"};
    static const char *const module_files[] = {"config.json", "model.safetensors",
                                               "pytorch_model.bin"};
    const char *slash = strchr(name, '/');
    if (strcmp(name, weights) == 0)
        return true;
    if (slash) { /* "1_Pooling/config.json" */
        bool ours = name[0] >= '0' && name[0] <= '9' && name[1] == '_' &&
                    plain(name, (size_t)(slash - name));
        for (size_t i = 0; ours && i < sizeof module_files / sizeof *module_files; i++)
            if (strcmp(slash + 1, module_files[i]) == 0)
                return true;
        return false;
    }
    for (size_t i = 0; i < sizeof plain_files / sizeof *plain_files; i++)
        if (strcmp(name, plain_files[i]) == 0)
            return true;
    /* shards lie beside their index: model-00001-of-00002.safetensors */
    return ends_with(weights, ".index.json") && plain(name, strlen(name)) && strstr(name, "-of-") &&
           ends_with(name, weights[0] == 'm' ? ".safetensors" : ".bin");
}

static uint64_t size_of(const json_t *v)
{
    double d = json_number_value(v);
    return d > 0 && d < 9e15 ? (uint64_t)d : 0;
}

static enum status choose(struct pull *p, const char *base, const char *name, const json_t *list)
{
    const char *weights = choose_weights(list);
    enum status st = ST_OK;
    size_t i;
    json_t *one;
    if (!weights)
        return error_set(&p->a->err, ST_UNSUPPORTED,
                         "%.100s: has no weight file of a kind that is read", name);
    json_array_foreach((json_t *)list, i, one)
    {
        const char *file = json_string_value(json_object_get(one, "rfilename"));
        const json_t *lfs = json_object_get(one, "lfs");
        if (!file || !is_wanted(file, weights))
            continue;
        char *url = mem_printf("%s/%s/resolve/main/%s", base, name, file);
        st = url ? add(p, url, file, size_of(json_object_get(one, "size")),
                       json_string_value(json_object_get(lfs, "sha256")))
                 : error_set(&p->a->err, ST_NOMEM, "out of memory");
        mem_free(url);
        if (st)
            return st;
    }
    return ST_OK;
}

static enum status list_repository(struct pull *p, const char *base, const char *name)
{
    struct error *err = &p->a->err;
    char *url = mem_printf("%s/api/models/%s?blobs=true", base, name), *text = NULL;
    size_t size = 0;
    json_error_t why;
    enum status st = url ? fetch_text(url, LIST_MAX, &text, &size, err)
                         : error_set(err, ST_NOMEM, "out of memory");
    json_t *root = st ? NULL : json_loadb(text, size, JSON_DECODE_INT_AS_REAL, &why);
    const json_t *list = json_object_get(root, "siblings");
    if (!st)
        st = json_is_array(list)
                 ? choose(p, base, name, list)
                 : error_set(err, ST_FORMAT, "%.200s: not a list of a model's files", url);
    json_decref(root);
    mem_free(text);
    mem_free(url);
    return st;
}

/* One file by its address. */
static enum status list_address(struct pull *p, const char *url, const char *sha256)
{
    struct error *err = &p->a->err;
    size_t n = strcspn(url, "?#");
    const char *end = url + n, *name = end;
    uint64_t size = 0;
    while (name > url && name[-1] != '/')
        name--;
    char *own = mem_strndup(name, (size_t)(end - name));
    enum status st = !own ? error_set(err, ST_NOMEM, "out of memory")
                     : !plain(own, strlen(own))
                         ? error_set(err, ST_USAGE, "%.200s: does not end in a file's name", url)
                         : fetch_size(url, &size, err);
    if (!st)
        st = add(p, url, own, size, sha256);
    mem_free(own);
    return st;
}

static void show(void *ctx, uint64_t done, uint64_t total)
{
    struct pull *p = ctx;
    (void)total;
    int now = p->total ? (int)((double)(p->done + done) * 1000.0 / (double)p->total) : 0;
    if (p->a->quiet || !isatty(STDERR_FILENO) || now == p->shown)
        return;
    p->shown = now;
    fprintf(stderr, "\r%s: %.1f of %.1f MB (%.1f %%)\033[K", p->file[p->now].name,
            (double)(p->done + done) / 1e6, (double)p->total / 1e6, now / 10.0);
}

static bool has_room(struct pull *p)
{
    struct statvfs v;
    if (statvfs(p->folder, &v) || (double)v.f_bavail * (double)v.f_frsize >= (double)p->total)
        return true; /* where nothing is known, writing will tell */
    error_set(&p->a->err, ST_NOSPACE, "%s: %.1f MB are free, the files have %.1f MB", p->folder,
              (double)v.f_bavail * (double)v.f_frsize / 1e6, (double)p->total / 1e6);
    return false;
}

/* An earlier call may have brought the file already. */
static bool is_there(const struct pull_file *f, const char *path, struct fetched *got)
{
    struct error err;
    *got = (struct fetched){.bytes = f->size, .resumed = f->size};
    return f->sha256[0] && file_exists(path) && !file_is_dir(path) &&
           model_hash_file(path, got->sha256, &err) == ST_OK &&
           strcasecmp(got->sha256, f->sha256) == 0;
}

static enum status get(struct pull *p, size_t i, struct buf *sums, json_t *report)
{
    struct app *a = p->a;
    const struct pull_file *f = &p->file[i];
    struct fetch how = {.sha256 = f->sha256[0] ? f->sha256 : NULL,
                        .size = f->size,
                        .progress = show,
                        .ctx = p,
                        .stop = a->stop};
    struct fetched got = {0};
    char *path = path_join(p->folder, f->name), *dir = path ? path_dir(path) : NULL;
    enum status st =
        dir ? file_make_dirs(dir, &a->err) : error_set(&a->err, ST_NOMEM, "out of memory");
    p->now = i;
    if (!st && !is_there(f, path, &got))
        st = fetch_file(&how, f->url, path, &got, &a->err);
    if (!st) {
        p->done += got.bytes;
        buf_printf(sums, "%s  %s\n", got.sha256, f->name);
        json_array_append_new(report, json_pack("{s:s s:I s:s s:I}", "file", f->name, "bytes",
                                                (json_int_t)got.bytes, "sha256", got.sha256,
                                                "resumed", (json_int_t)got.resumed));
    }
    mem_free(dir);
    mem_free(path);
    return st;
}

/* Everything, and SHA256SUMS beside a repository's files for `model verify`. */
static enum status get_all(struct pull *p, bool folder, json_t *report)
{
    struct error *err = &p->a->err;
    struct buf sums;
    buf_init(&sums, 1 << 20);
    enum status st = file_make_dirs(p->folder, err);
    if (!st && !has_room(p))
        st = err->code;
    for (size_t i = 0; i < p->n && !st; i++)
        st = get(p, i, &sums, report);
    if (p->shown >= 0 && !p->a->quiet && isatty(STDERR_FILENO))
        fputc('\n', stderr);
    char *path = path_join(p->folder, MODEL_SUMS);
    if (!st && (sums.failed || !path))
        st = error_set(err, ST_NOMEM, "out of memory");
    if (!st && folder)
        st = file_write_atomic(path, sums.data, sums.len, err);
    mem_free(path);
    buf_release(&sums);
    return st;
}

static int fail(struct app *a, enum status st)
{
    return app_fail(a, st == ST_NOSPACE ? APP_LIBRARY : st == ST_USAGE ? APP_USAGE : APP_MODEL);
}

int model_pull(struct app *a, const char *base, const char *sha256)
{
    struct pull p = {.a = a, .shown = -1};
    if (a->rest.n != 2)
        return app_usage(a, "model pull needs a name (owner/name) or an address");
    const char *what = a->rest.item[1].value;
    bool address = strstr(what, "://") != NULL;
    if (!address && !is_repository(what))
        return app_usage(a, "\"%.100s\" is no name of a model (owner/name) and no address", what);
    if (sha256 && (!address || strlen(sha256) != 64))
        return app_usage(a, "--sha256 takes 64 hex digits and goes with an address");
    a->stop_gently();
    char *models = app_models_folder();
    p.folder = !models ? NULL : address ? mem_strdup(models) : path_join(models, path_base(what));
    mem_free(models);
    if (!p.folder)
        return app_no_memory(a);
    enum status st = address ? list_address(&p, what, sha256) : list_repository(&p, base, what);
    if (!st)
        log_info("%s: %zu file%s, %.1f MB, into %s", what, p.n, p.n == 1 ? "" : "s",
                 (double)p.total / 1e6, p.folder);
    json_t *report = json_array();
    if (!st)
        st = get_all(&p, !address, report);
    if (st) {
        json_decref(report);
        fail(a, st);
    } else if (a->json) {
        json_t *o = json_pack("{s:o s:o}", "name", json_text(what), "files", report);
        json_set_path(o, p.folder);
        app_print_json(a, o);
    } else {
        json_decref(report);
        print_path(stdout, p.folder);
        putchar('\n');
        app_check_stdout(a);
    }
    release(&p);
    return a->exit;
}
