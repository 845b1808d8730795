/* GPT-2's byte-level byte-pair encoding, as transformers' GPT2Tokenizer. Surprising: a space
 * belongs to the word behind it ("Ġdog"), and of several spaces only the last one does. */
#include "clip/tokenizer_int.h"
#include "core/path.h"
#include <string.h>

static enum unicode_class class_of(uint32_t c)
{
    enum unicode_class k = unicode_class(c, UNICODE_RUST);
    return k == UNICODE_NONE ? UNICODE_OTHER : k;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t stretch(const uint32_t *c, size_t n)
{
    size_t i = tokenizer_contraction(c, n, false);
    if (i)
        return i;
    i = c[0] == ' ' && n > 1 && class_of(c[1]) != UNICODE_SPACE;
    enum unicode_class k = class_of(c[i]);
    if (k != UNICODE_SPACE) {
        while (i < n && class_of(c[i]) == k)
            i++;
        return i;
    }
    while (i < n && class_of(c[i]) == UNICODE_SPACE)
        i++;
    return i < n && i > 1 ? i - 1 : i;
}

bool tokenizer_unchanged(const struct tokenizer *t, struct utext *text)
{
    (void)t;
    (void)text;
    return true;
}

bool tokenizer_gpt2_words(const struct tokenizer *t, const struct utext *text, struct token_list *l)
{
    return tokenizer_bpe_stretches(t, text, stretch, l);
}

/* Back from the characters that stand for bytes; others (in added tokens) stay themselves. */
static void decode(const struct tokenizer *t, const char *piece, bool first, struct buf *b)
{
    (void)t;
    (void)first;
    for (const char *s = piece; *s;) {
        size_t len = 1;
        while ((s[len] & 0xC0) == 0x80)
            len++;
        int byte = -1;
        for (unsigned i = 0; byte < 0 && i < 256; i++) {
            char is[8];
            if (tokenizer_byte_piece(i, false, is) == len && !memcmp(is, s, len))
                byte = (int)i;
        }
        if (byte > 0)
            buf_putc(b, (char)byte);
        else if (byte == 0) /* ends a string here */
            buf_puts(b, "\uFFFD");
        else
            buf_append(b, s, len);
        s += len;
    }
}

static enum status load_embedded(struct tokenizer *t, struct error *err)
{
    (void)t;
    return error_set(err, ST_NOT_FOUND, "GPT-2's vocabulary does not come with the program");
}

static enum status finish(struct tokenizer *t, const char *name, struct error *err)
{
    if (t->eos < 0)
        t->eos = t->bos;
    if (t->pad < 0)
        t->pad = t->eos;
    for (unsigned b = 0; b < 256; b++) {
        char piece[8];
        int32_t id = vocab_find(&t->vocab, piece, tokenizer_byte_piece(b, false, piece));
        if (id < 0)
            return error_set(err, ST_FORMAT, "%s: the vocabulary lacks a piece for byte %u", name,
                             b);
        t->byte_id[0][b] = t->byte_id[1][b] = id;
    }
    return t->eos < 0 ? error_set(err, ST_FORMAT, "%s: the tokenizer has no end token", name)
                      : ST_OK;
}

const struct tokenizer_rules tokenizer_rules_gpt2 = {
    .kind = TOKENIZER_GPT2,
    .name = "gpt-2 (byte-level)",
    .defaults = {[NAMED_BOS] = "<|endoftext|>",
                 [NAMED_EOS] = "<|endoftext|>",
                 [NAMED_UNK] = "<|endoftext|>"},
    .load_embedded = load_embedded,
    .normalize = tokenizer_unchanged,
    .words = tokenizer_gpt2_words,
    .decode = decode,
    .finish = finish,
};
