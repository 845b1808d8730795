/* RoBERTa's byte-level byte-pair encoding, which is GPT-2's, for open_clip's text towers: the text
 * is cleaned as open_clip's HFTokenizer cleans it, but not lower-cased. */
#include "clip/text_clean.h"
#include "clip/tokenizer_int.h"
#include "core/path.h"

static bool clean(const struct tokenizer *t, struct utext *text)
{
    (void)t;
    return text_clean_whitespace(text);
}

static bool normalize(const struct tokenizer *t, struct utext *text)
{
    (void)t;
    (void)text;
    return true;
}

static size_t contraction(const uint32_t *c, size_t n)
{
    static const char *const all[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        size_t k = 0;
        while (all[i][k] && k < n && c[k] == (unsigned char)all[i][k])
            k++;
        if (!all[i][k])
            return k;
    }
    return 0;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t word_length(const uint32_t *c, size_t n)
{
    size_t i = contraction(c, n), start = n > 1 && c[0] == ' ';
    enum unicode_class k = i ? UNICODE_OTHER : unicode_class(c[start], UNICODE_RUST);
    if (i)
        return i;
    if (k != UNICODE_SPACE) {
        for (i = start + 1; i < n && unicode_class(c[i], UNICODE_RUST) == k;)
            i++;
        return i;
    }
    for (i = 1; i < n && unicode_class(c[i], UNICODE_RUST) == UNICODE_SPACE;)
        i++;
    return i < n && i > 1 ? i - 1 : i; /* the last one may go with what follows */
}

static bool words(const struct tokenizer *t, const struct utext *text, struct token_list *l)
{
    struct token_list ids = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < text->n;) {
        size_t n = word_length(text->c + i, text->n - i);
        ids.n = 0;
        for (size_t j = i; ok && j < i + n; j++) {
            char s[4];
            size_t len = utf8_encode(text->c[j], s);
            for (size_t k = 0; ok && k < len; k++)
                ok = token_list_push(&ids, t->byte_id[0][(unsigned char)s[k]]);
        }
        ok = ok && tokenizer_merge_ids(t, ids.id, ids.n, l);
        i += n;
    }
    token_list_release(&ids);
    return ok;
}

static enum status finish(struct tokenizer *t, const char *name, struct error *err)
{
    if (t->bos < 0 || t->eos < 0 || t->unk < 0 || t->pad < 0)
        return error_set(err, ST_FORMAT, "%s: the tokenizer lacks <s>, </s>, <unk> or <pad>", name);
    for (unsigned b = 0; b < 256; b++) {
        char piece[8];
        int32_t id = vocab_find(&t->vocab, piece, tokenizer_byte_piece(b, false, piece));
        t->byte_id[0][b] = id < 0 ? t->unk : id;
    }
    return ST_OK;
}

const struct tokenizer_rules tokenizer_rules_roberta = {
    .kind = TOKENIZER_ROBERTA,
    .name = "roberta (open_clip rules)",
    .defaults = {[NAMED_BOS] = "<s>",
                 [NAMED_EOS] = "</s>",
                 [NAMED_UNK] = "<unk>",
                 [NAMED_SEP] = "</s>",
                 [NAMED_PAD] = "<pad>",
                 [NAMED_CLS] = "<s>",
                 [NAMED_MASK] = "<mask>"},
    .load_embedded = tokenizer_no_embedded,
    .prepare = clean,
    .normalize = normalize,
    .words = words,
    .finish = finish,
};
