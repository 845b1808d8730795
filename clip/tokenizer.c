/* Opening, encoding and fitting, the same for every kind. Surprising: an added token written in
 * the text ("[CLS]", "<|endoftext|>") becomes that token, as it does in the references. */
#include "clip/tokenizer.h"
#include "clip/tokenizer_int.h"
#include "core/mem.h"
#include "core/path.h"

void token_list_release(struct token_list *l)
{
    mem_free(l->id);
    *l = (struct token_list){0};
}

bool token_list_push(struct token_list *l, int32_t id)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 32;
        int32_t *p = mem_realloc_array(l->id, cap, sizeof *p);
        if (!p)
            return false;
        l->id = p;
        l->cap = cap;
    }
    l->id[l->n++] = id;
    return true;
}

enum status tokenizer_open(struct tokenizer **out, enum tokenizer_kind kind, const char *dir,
                           struct error *err)
{
    *out = NULL;
    const struct tokenizer_rules *rules = NULL;
    for (size_t i = 0; tokenizer_list[i]; i++)
        if (tokenizer_list[i]->kind == kind)
            rules = tokenizer_list[i];
    if (!rules)
        return error_set(err, ST_USAGE, "no tokenizer of kind %d", (int)kind);
    struct tokenizer *t = mem_zalloc(sizeof *t);
    if (!t)
        return error_set(err, ST_NOMEM, "out of memory (tokenizer)");
    t->rules = rules;
    t->lower = t->strip = t->cjk = true;
    enum status st = dir ? tokenizer_load_folder(t, dir, err) : rules->load_embedded(t, err);
    if (!st)
        st = rules->finish(t, dir ? dir : rules->name, err);
    if (!st)
        st = tokenizer_added_finish(t, err);
    if (st) {
        tokenizer_close(t);
        return st;
    }
    *out = t;
    return ST_OK;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t)
        return;
    vocab_release(&t->vocab);
    merges_release(&t->merges);
    mem_free(t->split);
    for (size_t i = 0; i < t->n_added; i++)
        added_token_release(&t->added[i]);
    mem_free(t->added);
    if (t->rules->release)
        t->rules->release(t);
    mem_free(t);
}

const char *tokenizer_name(const struct tokenizer *t)
{
    return t->rules->name;
}

int tokenizer_vocab_size(const struct tokenizer *t)
{
    return (int)t->vocab.n;
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

int32_t tokenizer_pad(const struct tokenizer *t)
{
    return t->pad;
}

const char *tokenizer_piece(const struct tokenizer *t, int32_t id)
{
    return vocab_piece(&t->vocab, id);
}

enum status tokenizer_encode(const struct tokenizer *t, const char *text, size_t n,
                             struct token_list *l, struct error *err)
{
    struct utext c = {0};
    l->n = 0;
    bool ok = utext_decode(&c, text, n) && (t->bos < 0 || token_list_push(l, t->bos)) &&
              (!t->rules->prepare || t->rules->prepare(t, &c)) && tokenizer_encode_text(t, &c, l);
    bool ended = ok && t->rules->one_eos && l->n && l->id[l->n - 1] == t->eos;
    ok = ok && (t->eos < 0 || ended || token_list_push(l, t->eos));
    utext_release(&c);
    if (ok)
        return ST_OK;
    l->n = 0;
    return error_set(err, ST_NOMEM, "out of memory (a text of %zu bytes)", n);
}

static bool is_special(const struct tokenizer *t, int32_t id)
{
    bool special = id == t->bos || id == t->eos || id == t->pad || id == t->unk;
    for (size_t i = 0; i < t->n_added; i++)
        special |= t->added[i].id == id;
    return special;
}

/* Bytes from `start` on that are no UTF-8 become U+FFFD. */
static bool repair_text(struct buf *b, size_t start)
{
    struct utext c = {0};
    bool ok = utext_decode(&c, b->data + start, b->len - start);
    b->len = start;
    for (size_t i = 0; ok && i < c.n; i++) {
        char s[4];
        ok = buf_append(b, s, utf8_encode(c.c[i], s));
    }
    utext_release(&c);
    return ok;
}

enum status tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, struct buf *b,
                             struct error *err)
{
    size_t start = b->len;
    if (!t->rules->decode)
        return error_set(err, ST_UNSUPPORTED, "%s: ids are not turned into text",
                         tokenizer_name(t));
    for (size_t i = 0; i < n; i++) {
        const char *piece = vocab_piece(&t->vocab, ids[i]);
        if (piece && !is_special(t, ids[i]))
            t->rules->decode(t, piece, b->len == start, b);
    }
    if (!b->failed && b->len > start && !utf8_valid(b->data + start, b->len - start) &&
        !repair_text(b, start))
        b->failed = true;
    return b->failed ? error_set(err, ST_NOMEM, "out of memory (a text of %zu tokens)", n) : ST_OK;
}

size_t tokenizer_fit(const struct tokenizer *t, const struct token_list *l, size_t context,
                     int32_t *out)
{
    size_t n = l->n < context ? l->n : context;
    size_t fill = context - n, at = t->pad_left ? fill : 0;
    if (n)
        memcpy(out + at, l->id, n * sizeof *out);
    if (n < l->n && n && t->eos >= 0)
        out[at + n - 1] = t->eos;
    for (size_t i = 0; i < fill; i++)
        out[t->pad_left ? i : n + i] = t->pad;
    return n;
}
