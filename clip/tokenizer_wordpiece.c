/* BERT's WordPiece. Surprising: the reference asks category tables of Unicode 9, so newer marks
 * stay and newer punctuation does not split (unicode_tables.c). */
#include "clip/tokenizer_int.h"
#include "core/mem.h"
#include "core/path.h"

extern const unsigned char bert_vocab[];
extern const size_t bert_vocab_size;

enum { WORD_MAX = 100 }; /* characters; a longer word is [UNK] */

static bool normalize(const struct tokenizer *t, struct utext *text)
{
    struct utext out = {0};
    bool ok = utext_reserve(&out, text->n);
    for (size_t i = 0; ok && i < text->n; i++) {
        uint32_t c = text->c[i];
        if (unicode_bert_is_control(c))
            continue;
        if (unicode_class(c, UNICODE_RUST) == UNICODE_SPACE)
            c = ' ';
        if (t->cjk && unicode_bert_is_cjk(c))
            ok = utext_push(&out, ' ') && utext_push(&out, c) && utext_push(&out, ' ');
        else
            ok = utext_push(&out, c);
    }
    if (ok && t->strip) {
        ok = unicode_nfd(&out, UNICODE_RUST);
        size_t w = 0;
        for (size_t i = 0; i < out.n; i++)
            if (!unicode_bert_is_mark(out.c[i]))
                out.c[w++] = out.c[i];
        out.n = w;
    }
    if (ok && t->lower)
        ok = unicode_lower(&out, UNICODE_RUST);
    utext_release(text);
    *text = out;
    return ok;
}

/* Greedy: the longest piece that the rest of the word begins with. */
static bool split_word(const struct tokenizer *t, const uint32_t *c, size_t n, struct token_list *l)
{
    char buf[2 + WORD_MAX * 4], *word = buf + 2;
    uint16_t at[WORD_MAX + 1] = {0}; /* where each character starts */
    size_t start = l->n;
    if (n > WORD_MAX)
        return token_list_push(l, t->unk);
    for (size_t i = 0; i < n; i++)
        at[i + 1] = (uint16_t)(at[i] + utf8_encode(c[i], word + at[i]));
    for (size_t i = 0; i < n;) {
        char *s = word + at[i];
        if (i) /* "##" goes over what lies before, which is done with */
            memcpy(s -= 2, "##", 2);
        int32_t id = -1;
        size_t k = n;
        for (; k > i; k--) {
            size_t len = (size_t)(word + at[k] - s);
            if (len <= t->max_piece && (id = vocab_find(&t->vocab, s, len)) >= 0)
                break;
        }
        if (id < 0) {
            l->n = start;
            return token_list_push(l, t->unk);
        }
        if (!token_list_push(l, id))
            return false;
        i = k;
    }
    return true;
}

static bool words(const struct tokenizer *t, const struct utext *text, struct token_list *l)
{
    const uint32_t *c = text->c;
    for (size_t i = 0; i < text->n;) {
        size_t end = i + 1;
        if (unicode_class(c[i], UNICODE_RUST) == UNICODE_SPACE) {
            i++;
            continue;
        }
        while (!unicode_bert_is_punct(c[i]) && end < text->n &&
               unicode_class(c[end], UNICODE_RUST) != UNICODE_SPACE &&
               !unicode_bert_is_punct(c[end]))
            end++;
        if (!split_word(t, c + i, end - i, l))
            return false;
        i = end;
    }
    return true;
}

static enum status finish(struct tokenizer *t, const char *name, struct error *err)
{
    for (size_t i = 0; i < t->vocab.n; i++) {
        const char *s = vocab_piece(&t->vocab, (int32_t)i);
        size_t n = s ? strlen(s) : 0;
        t->max_piece = n > t->max_piece ? n : t->max_piece;
    }
    if (t->bos < 0 || t->eos < 0 || t->unk < 0)
        return error_set(err, ST_FORMAT, "%s: the vocabulary lacks [CLS], [SEP] or [UNK]", name);
    return ST_OK;
}

static enum status load_embedded(struct tokenizer *t, struct error *err)
{
    static const char *const added[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    int32_t id[5];
    enum status st =
        tokenizer_load_lines(t, (const char *)bert_vocab, bert_vocab_size, "vocab.txt", err);
    for (int i = 0; i < 5 && !st; i++) {
        id[i] = vocab_find(&t->vocab, added[i], strlen(added[i]));
        st = tokenizer_add_token(t, added[i], false, false, false, err);
    }
    if (st)
        return st;
    t->pad = id[0];
    t->unk = id[1];
    t->bos = id[2];
    t->eos = id[3];
    return ST_OK;
}

/* The reference's decoder with its clean-up, which sees one piece at a time: "dog ' s" keeps its
 * spaces where the apostrophe is a piece of its own. */
static void decode(const struct tokenizer *t, const char *piece, bool first, struct buf *b)
{
    static const char *const close[] = {".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"};
    (void)t;
    bool gap = !first;
    if (gap && piece[0] == '#' && piece[1] == '#') {
        piece += 2;
        gap = false;
    }
    for (size_t i = 0; gap && i < sizeof close / sizeof *close; i++)
        gap = strncmp(piece, close[i], strlen(close[i])) != 0;
    if (gap)
        buf_putc(b, ' ');
    buf_puts(b, piece);
}

const struct tokenizer_rules tokenizer_rules_wordpiece = {
    .kind = TOKENIZER_WORDPIECE,
    .name = "wordpiece (bert, uncased)",
    .defaults = {[NAMED_UNK] = "[UNK]",
                 [NAMED_SEP] = "[SEP]",
                 [NAMED_PAD] = "[PAD]",
                 [NAMED_CLS] = "[CLS]",
                 [NAMED_MASK] = "[MASK]"},
    .load_embedded = load_embedded,
    .normalize = normalize,
    .words = words,
    .decode = decode,
    .finish = finish,
};
