/* Added tokens: those that are cut out of the text before it is split. Surprising: whether one is
 * looked for in the raw or in the normalised text is a flag that differs between published copies
 * of the same model, and "<|STARTOFTEXT|>" is a token under one and nine pieces under the other. */
#include "clip/tokenizer_int.h"
#include "core/mem.h"

void added_token_release(struct added_token *a)
{
    mem_free(a->text);
    utext_release(&a->c);
    *a = (struct added_token){0};
}

enum status tokenizer_add_token(struct tokenizer *t, const char *text, bool normalized, bool lstrip,
                                bool rstrip, struct error *err)
{
    size_t n = strlen(text);
    struct added_token *a = NULL;
    for (size_t i = 0; i < t->n_added && !a; i++)
        if (!strcmp(t->added[i].text, text))
            a = &t->added[i];
    if (!n)
        return ST_OK; /* the reference ignores it too */
    if (!a) {
        int32_t id = vocab_find(&t->vocab, text, n);
        if (id < 0) {
            id = (int32_t)t->vocab.n;
            enum status st = vocab_add(&t->vocab, id, text, n, err);
            if (st)
                return st;
        }
        struct added_token *p = mem_realloc_array(t->added, t->n_added + 1, sizeof *p);
        if (!p)
            return error_set(err, ST_NOMEM, "out of memory (added tokens)");
        t->added = p;
        a = &p[t->n_added];
        *a = (struct added_token){mem_strdup(text), id, false, false, false, {0}};
        if (!a->text)
            return error_set(err, ST_NOMEM, "out of memory (added tokens)");
        t->n_added++;
    }
    a->normalized = normalized;
    a->lstrip = lstrip;
    a->rstrip = rstrip;
    return ST_OK;
}

enum status tokenizer_added_finish(struct tokenizer *t, struct error *err)
{
    for (size_t i = 0; i < t->n_added; i++) {
        struct added_token *a = &t->added[i];
        if (!utext_decode(&a->c, a->text, strlen(a->text)) ||
            (a->normalized && !t->rules->normalize(t, &a->c)))
            return error_set(err, ST_NOMEM, "out of memory (added tokens)");
    }
    return ST_OK;
}

/* The longest added token of this sort at text[i], or NULL. */
static const struct added_token *token_at(const struct tokenizer *t, const uint32_t *c, size_t n,
                                          bool normalized)
{
    const struct added_token *best = NULL;
    for (size_t k = 0; k < t->n_added; k++) {
        const struct added_token *a = &t->added[k];
        if (a->normalized == normalized && a->c.n && a->c.n <= n && a->c.c[0] == c[0] &&
            !memcmp(a->c.c, c, a->c.n * sizeof *c) && (!best || a->c.n > best->c.n))
            best = a;
    }
    return best;
}

static bool is_space(uint32_t c)
{
    return unicode_class(c, UNICODE_RUST) == UNICODE_SPACE;
}

static bool encode_between(const struct tokenizer *t, const uint32_t *c, size_t n, bool normalized,
                           struct token_list *l);

/* Cuts the tokens of one sort out of c[0..n) and hands on what lies between. */
static bool cut_tokens(const struct tokenizer *t, const uint32_t *c, size_t n, bool normalized,
                       struct token_list *l)
{
    size_t start = 0;
    if (!n) /* c may be NULL */
        return true;
    for (size_t i = 0; i < n;) {
        const struct added_token *a = token_at(t, c + i, n - i, normalized);
        if (!a) {
            i++;
            continue;
        }
        size_t from = i, to = i + a->c.n;
        while (a->lstrip && from > start && is_space(c[from - 1]))
            from--;
        while (a->rstrip && to < n && is_space(c[to]))
            to++;
        if (!encode_between(t, c + start, from - start, normalized, l) ||
            !token_list_push(l, a->id))
            return false;
        start = i = to;
    }
    return encode_between(t, c + start, n - start, normalized, l);
}

static bool encode_between(const struct tokenizer *t, const uint32_t *c, size_t n, bool normalized,
                           struct token_list *l)
{
    if (!n)
        return true;
    struct utext part = {0};
    bool ok = utext_append(&part, c, n);
    if (ok && normalized)
        ok = t->rules->words(t, &part, l);
    else if (ok)
        ok = t->rules->normalize(t, &part) && cut_tokens(t, part.c, part.n, true, l);
    utext_release(&part);
    return ok;
}

bool tokenizer_encode_text(const struct tokenizer *t, struct utext *text, struct token_list *l)
{
    return cut_tokens(t, text->c, text->n, false, l);
}
