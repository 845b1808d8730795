/* A tokenizer from a folder in Hugging Face's layout, as transformers 5 reads it. Surprising:
 * it takes vocabulary, merges and added tokens from tokenizer.json and ignores the pipeline
 * written there, since the class (CLIPTokenizer, BertTokenizer) builds its own. */
#include "clip/tokenizer_int.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <jansson.h>
#include <math.h>

enum { FILE_MAX = 64 << 20 };

static const char *const named_keys[NAMED_COUNT] = {
    [NAMED_BOS] = "bos_token",  [NAMED_EOS] = "eos_token", [NAMED_UNK] = "unk_token",
    [NAMED_SEP] = "sep_token",  [NAMED_PAD] = "pad_token", [NAMED_CLS] = "cls_token",
    [NAMED_MASK] = "mask_token"};

struct folder {
    struct tokenizer *t;
    const char *dir;
    json_t *config, *map, *full, *added; /* the four files, NULL where missing */
};

/* *json stays NULL where there is no such file. */
static enum status load_json(const struct folder *f, const char *file, json_t **json,
                             struct error *err)
{
    char *path = path_join(f->dir, file), *text = NULL;
    size_t size = 0;
    enum status st = ST_OK;
    if (!path) {
        st = error_set(err, ST_NOMEM, "out of memory (%s)", file);
    } else if (file_exists(path)) {
        st = file_read_all(&text, &size, path, FILE_MAX, err);
        json_error_t e;
        /* Integers as reals: transformers writes model_max_length as 10^30, which jansson refuses
         * otherwise. */
        if (!st && !(*json = json_loadb(text, size, JSON_DECODE_INT_AS_REAL, &e)))
            st = error_set(err, ST_FORMAT, "%s: %s in line %d", path, e.text, e.line);
        if (!st && !json_is_object(*json))
            st = error_set(err, ST_FORMAT, "%s: not a json object", path);
    }
    mem_free(text);
    mem_free(path);
    return st;
}

/* Calls load on a text file of the folder. */
static enum status load_text(struct folder *f, const char *file,
                             enum status load(struct tokenizer *t, const char *text, size_t size,
                                              const char *name, struct error *err),
                             struct error *err)
{
    char *path = path_join(f->dir, file), *text = NULL;
    size_t size = 0;
    enum status st = path ? file_read_all(&text, &size, path, FILE_MAX, err)
                          : error_set(err, ST_NOMEM, "out of memory (%s)", file);
    if (!st)
        st = load(f->t, text, size, path, err);
    mem_free(text);
    mem_free(path);
    return st;
}

static enum status add_vocab(struct folder *f, const json_t *vocab, const char *file,
                             struct error *err)
{
    if (!json_is_object(vocab) || !json_object_size(vocab))
        return error_set(err, ST_FORMAT, "%s/%s: no vocabulary", f->dir, file);
    if (!vocab_reserve(&f->t->vocab, json_object_size(vocab), json_object_size(vocab) * 12))
        return error_set(err, ST_NOMEM, "%s/%s: out of memory", f->dir, file);
    const char *piece;
    json_t *id;
    json_object_foreach((json_t *)vocab, piece, id)
    {
        double v = json_is_number(id) ? json_number_value(id) : -1.0;
        if (!(v >= 0 && v <= INT32_MAX) || v != floor(v))
            return error_set(err, ST_FORMAT, "%s/%s: a token has no proper id", f->dir, file);
        enum status st = vocab_add(&f->t->vocab, (int32_t)v, piece, strlen(piece), err);
        if (st)
            return error_prefix(err, st, "%s/%s", f->dir, file);
    }
    return ST_OK;
}

/* Each merge is "a b" (older files) or ["a", "b"]. */
static enum status add_merges(struct folder *f, const json_t *merges, struct error *err)
{
    size_t n = json_array_size(merges);
    if (!json_is_array(merges) || n > UINT32_MAX)
        return error_set(err, ST_FORMAT, "%s/tokenizer.json: no merges", f->dir);
    if (!merges_reserve(&f->t->merges, n))
        return error_set(err, ST_NOMEM, "%s/tokenizer.json: out of memory", f->dir);
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(merges, i);
        const char *a = json_string_value(m), *gap = a ? strchr(a, ' ') : NULL;
        const char *b = gap ? gap + 1 : NULL;
        size_t n_a = gap ? (size_t)(gap - a) : 0;
        if (json_array_size(m) == 2) {
            a = json_string_value(json_array_get(m, 0));
            b = json_string_value(json_array_get(m, 1));
            n_a = a ? strlen(a) : 0;
        }
        if (!a || !b)
            return error_set(err, ST_FORMAT, "%s/tokenizer.json: merge %zu is not two pieces",
                             f->dir, i);
        enum status st =
            tokenizer_add_merge(f->t, a, n_a, b, strlen(b), (uint32_t)i, "tokenizer.json", err);
        if (st)
            return error_prefix(err, st, "%s", f->dir);
    }
    return ST_OK;
}

static enum status load_model(struct folder *f, struct error *err)
{
    bool bpe = f->t->rules->kind != TOKENIZER_WORDPIECE;
    const json_t *model = f->full ? json_object_get(f->full, "model") : NULL;
    enum status st = ST_OK;
    if (f->t->rules->load_model)
        return f->t->rules->load_model(f->t, f->dir, f->full, err);
    if (model) {
        const char *type = json_string_value(json_object_get(model, "type"));
        if (type && strcmp(type, bpe ? "BPE" : "WordPiece"))
            return error_set(err, ST_UNSUPPORTED, "%s/tokenizer.json: the model is %.40s, not %s",
                             f->dir, type, bpe ? "BPE" : "WordPiece");
        st = add_vocab(f, json_object_get(model, "vocab"), "tokenizer.json", err);
        return !st && bpe ? add_merges(f, json_object_get(model, "merges"), err) : st;
    }
    if (!bpe)
        return load_text(f, "vocab.txt", tokenizer_load_lines, err);
    json_t *vocab = NULL;
    st = load_json(f, "vocab.json", &vocab, err);
    if (!st && !vocab)
        st = error_set(err, ST_NOT_FOUND, "%s: neither tokenizer.json nor vocab.json", f->dir);
    if (!st)
        st = add_vocab(f, vocab, "vocab.json", err);
    json_decref(vocab);
    return st ? st : load_text(f, "merges.txt", tokenizer_load_merges, err);
}

/* A token is "text" or {"content": "text", ...flags}. */
static const char *content(const json_t *x)
{
    return json_is_object(x) ? json_string_value(json_object_get(x, "content"))
                             : json_string_value(x);
}

static bool flag(const json_t *x, const char *name)
{
    return json_is_true(json_object_get(x, name));
}

static enum status add_token(struct folder *f, const json_t *x, struct error *err)
{
    const char *text = content(x);
    if (!text)
        return error_set(err, ST_FORMAT, "%s: an added token has no content", f->dir);
    if (flag(x, "single_word"))
        return error_set(err, ST_UNSUPPORTED, "%s: the added token %.40s asks for single_word",
                         f->dir, text);
    bool normalized = json_object_get(x, "normalized") ? flag(x, "normalized")
                      : json_is_object(x)              ? !flag(x, "special")
                                                       : false;
    enum status st =
        tokenizer_add_token(f->t, text, normalized, flag(x, "lstrip"), flag(x, "rstrip"), err);
    return st ? error_prefix(err, st, "%s", f->dir) : ST_OK;
}

static bool is_added(const struct tokenizer *t, const char *text)
{
    for (size_t i = 0; i < t->n_added; i++)
        if (!strcmp(t->added[i].text, text))
            return true;
    return false;
}

/* What the folder says is token `which`: special_tokens_map.json goes before tokenizer_config.json,
 * unless the latter lists added tokens itself. NULL: nothing. */
static const json_t *named(const struct folder *f, int which)
{
    const json_t *x = NULL;
    if (!json_object_get(f->config, "added_tokens_decoder"))
        x = json_object_get(f->map, named_keys[which]);
    if (!content(x))
        x = json_object_get(f->config, named_keys[which]);
    return content(x) ? x : NULL;
}

/* The lists of tokens that are added, before the named ones. */
static enum status add_listed(struct folder *f, struct error *err)
{
    enum status st = ST_OK;
    json_t *decoder = json_object_get(f->config, "added_tokens_decoder");
    const char *key;
    json_t *x;
    size_t i;
    if (decoder) {
        json_object_foreach(decoder, key, x)
        {
            if ((st = add_token(f, x, err)))
                return st;
        }
        return ST_OK;
    }
    json_object_foreach(f->added, key, x)
    {
        bool special = false;
        for (int k = 0; k < NAMED_COUNT; k++) {
            const char *s = named(f, k) ? content(named(f, k)) : f->t->rules->defaults[k];
            special |= s && !strcmp(s, key);
        }
        if ((st = tokenizer_add_token(f->t, key, !special, false, false, err)))
            return st;
    }
    json_array_foreach(json_object_get(f->full, "added_tokens"), i, x)
    {
        if ((st = add_token(f, x, err)))
            return st;
    }
    return ST_OK;
}

/* The named tokens that no list has. A token named twice in the same form counts once; in both
 * forms, bare string and with flags, the later one decides (the reference adds both). */
static enum status add_named(struct folder *f, struct error *err)
{
    size_t listed = f->t->n_added;
    for (int k = 0; k < NAMED_COUNT; k++) {
        const json_t *x = named(f, k);
        const char *text = x ? content(x) : f->t->rules->defaults[k];
        bool known = !text, bare = !json_is_object(x);
        for (size_t i = 0; !known && i < listed; i++)
            known = !strcmp(f->t->added[i].text, text);
        for (int j = 0; !known && j < k; j++) {
            const json_t *y = named(f, j);
            const char *other = y ? content(y) : f->t->rules->defaults[j];
            known = other && !strcmp(other, text) && !json_is_object(y) == bare;
        }
        if (known)
            continue;
        bool strips = f->t->rules->strips;
        enum status st = bare ? tokenizer_add_token(f->t, text, false, strips, strips, err)
                              : add_token(f, x, err);
        if (st)
            return st;
    }
    return ST_OK;
}

static enum status add_extra(struct folder *f, const json_t *from, struct error *err)
{
    static const char *const keys[] = {"additional_special_tokens", "extra_special_tokens"};
    for (int k = 0; k < 2; k++) {
        size_t i;
        json_t *x;
        json_array_foreach(json_object_get(from, keys[k]), i, x)
        {
            if (content(x) && is_added(f->t, content(x)))
                continue;
            enum status st = add_token(f, x, err);
            if (st)
                return st;
        }
    }
    return ST_OK;
}

static int32_t named_id(const struct folder *f, int which)
{
    const json_t *x = named(f, which);
    const char *text = x ? content(x) : f->t->rules->defaults[which];
    return text ? vocab_find(&f->t->vocab, text, strlen(text)) : -1;
}

static void set_named(struct folder *f)
{
    struct tokenizer *t = f->t;
    bool bert = t->rules->kind == TOKENIZER_WORDPIECE;
    t->bos = named_id(f, bert ? NAMED_CLS : NAMED_BOS);
    t->eos = named_id(f, bert ? NAMED_SEP : NAMED_EOS);
    t->unk = named_id(f, NAMED_UNK);
    t->pad = named_id(f, NAMED_PAD);
    const json_t *lower = json_object_get(f->config, "do_lower_case");
    const json_t *cjk = json_object_get(f->config, "tokenize_chinese_chars");
    const json_t *strip = json_object_get(f->config, "strip_accents");
    t->lower = !json_is_false(lower);
    t->cjk = !json_is_false(cjk);
    t->strip = json_is_boolean(strip) ? json_is_true(strip) : t->lower;
    if (t->rules->special)
        t->rules->special(t, f->config, f->full);
}

enum status tokenizer_load_folder(struct tokenizer *t, const char *dir, struct error *err)
{
    struct folder f = {.t = t, .dir = dir};
    enum status st = load_json(&f, "tokenizer_config.json", &f.config, err);
    if (!st)
        st = load_json(&f, "special_tokens_map.json", &f.map, err);
    if (!st)
        st = load_json(&f, "added_tokens.json", &f.added, err);
    if (!st)
        st = load_json(&f, "tokenizer.json", &f.full, err);
    if (!st)
        st = load_model(&f, err);
    if (!st)
        st = add_listed(&f, err);
    if (!st)
        st = add_named(&f, err);
    if (!st)
        st = add_extra(&f, f.config, err);
    if (!st && !json_object_get(f.config, "added_tokens_decoder"))
        st = add_extra(&f, f.map, err);
    if (!st)
        set_named(&f);
    json_decref(f.config);
    json_decref(f.map);
    json_decref(f.added);
    json_decref(f.full);
    return st;
}
