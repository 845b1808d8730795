/* RoBERTa's byte-level byte-pair encoding, which is GPT-2's, for open_clip's text towers: the text
 * is cleaned as open_clip's HFTokenizer cleans it, but not lower-cased. */
#include "clip/text_clean.h"
#include "clip/tokenizer_int.h"

static bool clean(const struct tokenizer *t, struct utext *text)
{
    (void)t;
    return text_clean_whitespace(text);
}

static enum status finish(struct tokenizer *t, const char *name, struct error *err)
{
    if (t->bos < 0 || t->eos < 0 || t->unk < 0 || t->pad < 0)
        return error_set(err, ST_FORMAT, "%s: the tokenizer lacks <s>, </s>, <unk> or <pad>", name);
    for (unsigned b = 0; b < 256; b++) {
        char piece[8];
        int32_t id = vocab_find(&t->vocab, piece, tokenizer_byte_piece(b, false, piece));
        t->byte_id[0][b] = t->byte_id[1][b] = id < 0 ? t->unk : id;
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
    .normalize = tokenizer_unchanged,
    .words = tokenizer_gpt2_words,
    .finish = finish,
};
