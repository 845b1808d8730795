/* Embeddings of a folder: names as tokens, files opened when they are wanted. */
#include "sampler/embedding.h"
#include "core/mem.h"
#include "core/path.h"
#include "sampler/lora/lora_int.h"
#include "sampler/shelf.h"
#include <math.h>
#include <string.h>

struct entry { /* beside the shelf's item of the same number */
    int32_t *id;
    int n, row, rows; /* rows 0 = not opened yet */
};
struct embeddings {
    struct shelf shelf;
    struct entry *entry;
    int width, most; /* of a vector; vectors that a chunk holds */
    char *model;
    float *row;
    int rows, *used, useds;
};

static enum status read_name(struct entry *e, const char *name, const struct tokenizer *t,
                             struct error *err)
{
    struct token_list l = {0};
    enum status st = tokenizer_encode(t, name, strlen(name), &l, err);
    if (!st && l.n > 2) { /* between the begin and the end token */
        e->n = (int)l.n - 2;
        e->id = mem_dup(l.id + 1, (size_t)e->n * sizeof *e->id);
        if (!e->id)
            st = error_set(err, ST_NOMEM, "out of memory for embeddings");
    }
    token_list_release(&l);
    return st;
}

enum status embeddings_open(struct embeddings **out, const char *dir, const struct checkpoint *c,
                            struct error *err)
{
    struct embeddings *e = mem_zalloc(sizeof *e);
    *out = NULL;
    if (c->tower) {
        mem_free(e);
        return error_set(err, ST_UNSUPPORTED,
                         "embeddings are made for a text tower of CLIP's; %s attends to %s",
                         c->name, clip_info(c->tower)->name);
    }
    if (!e)
        return error_set(err, ST_NOMEM, "out of memory for embeddings");
    e->width = c->text.v.t.width;
    e->most = c->text.v.context - 2;
    e->model = mem_strdup(c->name);
    enum status st = shelf_open(&e->shelf, dir, err);
    if (!st) {
        e->entry = mem_zarray(e->shelf.n + 1, sizeof *e->entry);
        e->used = mem_zarray(e->shelf.n + 1, sizeof *e->used);
        if (!e->entry || !e->used || !e->model)
            st = error_set(err, ST_NOMEM, "out of memory for embeddings");
    }
    for (size_t i = 0; i < e->shelf.n && !st; i++)
        st =
            read_name(&e->entry[i], path_base(e->shelf.item[i].name), checkpoint_tokenizer(c), err);
    if (st)
        embeddings_close(e);
    else
        *out = e;
    return st;
}

void embeddings_close(struct embeddings *e)
{
    if (!e)
        return;
    for (size_t i = 0; e->entry && i < e->shelf.n; i++)
        mem_free(e->entry[i].id);
    shelf_close(&e->shelf);
    mem_free(e->entry);
    mem_free(e->used);
    mem_free(e->model);
    mem_free(e->row);
    mem_free(e);
}

/* The one tensor that is the embedding. */
static enum status pick(const struct tensor **out, const struct weights *w, const char *file,
                        struct error *err)
{
    const struct tensor *t = weights_find(w, "emb_params");
    int terms = 0;
    for (int i = 0; i < weights_count(w) && (!t || terms); i++)
        if (strncmp(weights_name(w, i), "string_to_param.", 16) == 0 && ++terms)
            t = weights_at(w, i);
    if (!t && (t = weights_find(w, "clip_l")) && weights_find(w, "clip_g"))
        return error_set(err, ST_UNSUPPORTED, "%s is an embedding for Stable Diffusion XL", file);
    if (!t && weights_count(w) == 1)
        t = weights_at(w, 0);
    *out = t;
    if (t && terms <= 1)
        return ST_OK;
    return error_set(err, ST_FORMAT,
                     "%s: %d tensors, and not one embedding (string_to_param, emb_params, clip_l, "
                     "or a single one)",
                     file, weights_count(w));
}

static enum status check(const struct embeddings *e, const struct tensor *t, const char *file,
                         struct error *err)
{
    char model[LORA_QUOTE];
    int64_t width = t->ndim ? tensor_cols(t) : 0, rows = width > 0 ? tensor_count(t) / width : 0;
    if ((t->dtype != DT_F32 && t->dtype != DT_F16 && t->dtype != DT_BF16 && t->dtype != DT_F64) ||
        t->ndim < 1 || t->ndim > 2 || rows < 1)
        return error_set(err, ST_FORMAT,
                         "%s: an embedding is rows of floats, not %s in %d dimensions", file,
                         dtype_name(t->dtype), t->ndim);
    if (width != e->width)
        return error_set(
            err, ST_UNSUPPORTED,
            "%s is an embedding for %s (%lld wide), and the text tower of %s is %d wide", file,
            lora_family((int)(width < INT32_MAX ? width : 0)), (long long)width,
            lora_quote(model, e->model), e->width);
    if (rows > e->most)
        return error_set(err, ST_LIMIT, "%s: %lld vectors, and a chunk of a prompt holds %d", file,
                         (long long)rows, e->most);
    return ST_OK;
}

static enum status load(struct embeddings *e, size_t i, struct error *err)
{
    struct entry *y = &e->entry[i];
    struct weights *w = NULL;
    char file[LORA_QUOTE];
    lora_quote(file, path_base(e->shelf.item[i].path));
    enum status st = weights_open(&w, e->shelf.item[i].path, err);
    const struct tensor *t = NULL;
    if (!st)
        st = pick(&t, w, file, err);
    if (!st)
        st = check(e, t, file, err);
    if (!st) {
        size_t n = (size_t)tensor_count(t), at = (size_t)e->rows * (size_t)e->width;
        float *p = mem_realloc_array(e->row, at + n, sizeof *p);
        if (p) {
            e->row = p;
            tensor_to_f32(t, p + at);
            for (size_t k = 0; k < n && !st; k++)
                if (!isfinite(p[at + k]))
                    st = error_set(err, ST_FORMAT, "%s holds values that are no numbers", file);
        } else {
            st = error_set(err, ST_NOMEM, "%s: out of memory", file);
        }
        if (!st) {
            y->row = e->rows;
            y->rows = (int)(n / (size_t)e->width);
            e->rows += y->rows;
            e->used[e->useds++] = (int)i;
        }
    }
    weights_close(w);
    return st;
}

static bool begins(const struct entry *y, const int32_t *ids, size_t n)
{
    return y->n > 0 && (size_t)y->n <= n && memcmp(y->id, ids, (size_t)y->n * sizeof *ids) == 0;
}

enum status embeddings_find(struct embeddings *e, const int32_t *ids, size_t n,
                            struct embedding_match *m, struct error *err)
{
    size_t best = 0, rival = 0;
    *m = (struct embedding_match){0};
    for (size_t i = 0; e && i < e->shelf.n; i++) {
        if (!begins(&e->entry[i], ids, n) || e->entry[i].n < m->tokens)
            continue;
        rival = e->entry[i].n == m->tokens ? i + 1 : 0;
        best = rival ? best : i;
        m->tokens = e->entry[i].n;
    }
    if (!e || m->tokens == 0)
        return ST_OK;
    size_t skip = strlen(e->shelf.dir) + 1;
    if (rival)
        return error_set(err, ST_USAGE, "two embeddings have the same name: %.90s and %.90s",
                         e->shelf.item[best].path + skip, e->shelf.item[rival - 1].path + skip);
    enum status st = e->entry[best].rows ? ST_OK : load(e, best, err);
    m->row = e->entry[best].row;
    m->rows = e->entry[best].rows;
    return st;
}

const float *embeddings_rows(const struct embeddings *e)
{
    return e ? e->row : NULL;
}

const char *embeddings_used(const struct embeddings *e, int i, int *rows, const char **path)
{
    if (!e || i >= e->useds)
        return NULL;
    *rows = e->entry[e->used[i]].rows;
    *path = e->shelf.item[e->used[i]].path;
    return path_base(e->shelf.item[e->used[i]].name);
}
