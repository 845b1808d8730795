/* Gemma's byte-pair encoding, SigLIP 2's tokenizer: merges over characters, bytes where a character
 * has no piece. Surprising: the text is one word, spaces included; they are U+2581 by then. */
#include "clip/tokenizer_int.h"
#include "core/path.h"
#include <jansson.h>
#include <stdio.h>

enum { SPACE = 0x2581 };

static bool gemma_normalize(const struct tokenizer *t, struct utext *text)
{
    if (t->lower && !unicode_lower(text, UNICODE_RUST))
        return false;
    for (size_t i = 0; i < text->n; i++)
        if (text->c[i] == ' ')
            text->c[i] = SPACE;
    return true;
}

/* A character's own piece, else its bytes', else one unknown token for a run of such. */
static bool gemma_words(const struct tokenizer *t, const struct utext *text, struct token_list *l)
{
    struct token_list ids = {0};
    bool ok = true, unknown = false;
    for (size_t i = 0; ok && i < text->n; i++) {
        char s[4];
        size_t n = utf8_encode(text->c[i], s);
        int32_t id = vocab_find(&t->vocab, s, n);
        bool bytes = id < 0;
        for (size_t k = 0; bytes && k < n; k++)
            bytes = t->byte_id[0][(unsigned char)s[k]] >= 0;
        for (size_t k = 0; ok && bytes && k < n; k++)
            ok = token_list_push(&ids, t->byte_id[0][(unsigned char)s[k]]);
        if (id >= 0)
            ok = token_list_push(&ids, id);
        else if (!bytes && !unknown)
            ok = token_list_push(&ids, t->unk);
        unknown = id < 0 && !bytes;
    }
    ok = ok && tokenizer_merge_ids(t, ids.id, ids.n, l);
    token_list_release(&ids);
    return ok;
}

/* Whether a template puts a token before or behind the text. */
static void template_of(const json_t *post, bool *before, bool *behind)
{
    const json_t *parts = json_object_get(post, "processors"), *single;
    for (size_t i = 0; i < json_array_size(parts); i++)
        template_of(json_array_get(parts, i), before, behind);
    single = json_object_get(post, "single");
    bool seen = false;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *one = json_array_get(single, i);
        if (json_object_get(one, "Sequence"))
            seen = true;
        else if (json_object_get(one, "SpecialToken"))
            *(seen ? behind : before) = true;
    }
}

/* Classes of no model take the file's own rules; of Gemma's and Siglip2's, lowering the case is all
 * that differs. */
static bool lowers(const char *class, const json_t *full)
{
    if (!class || strcmp(class, "Siglip2Tokenizer") == 0)
        return class != NULL;
    if (strcmp(class, "PreTrainedTokenizerFast") != 0 && strcmp(class, "TokenizersBackend") != 0)
        return false;
    const json_t *n = json_object_get(full, "normalizer"), *one;
    const json_t *list = json_object_get(n, "normalizers");
    const char *type = json_string_value(json_object_get(n, "type"));
    bool found = type && strcmp(type, "Lowercase") == 0;
    size_t i;
    json_array_foreach(list, i, one)
    {
        type = json_string_value(json_object_get(one, "type"));
        found |= type && strcmp(type, "Lowercase") == 0;
    }
    return found;
}

static void gemma_special(struct tokenizer *t, const json_t *config, const json_t *full)
{
    const char *class = json_string_value(json_object_get(config, "tokenizer_class"));
    const char *side = json_string_value(json_object_get(config, "padding_side"));
    const json_t *bos = json_object_get(config, "add_bos_token");
    const json_t *eos = json_object_get(config, "add_eos_token");
    bool before = json_is_true(bos), behind = json_is_true(eos);
    if (!bos && !eos)
        template_of(json_object_get(full, "post_processor"), &before, &behind);
    t->lower = lowers(class, full);
    t->pad_left = !side || strcmp(side, "right") != 0;
    t->bos = before ? t->bos : -1;
    t->eos = behind ? t->eos : -1;
}

static enum status gemma_finish(struct tokenizer *t, const char *name, struct error *err)
{
    for (unsigned b = 0; b < 256; b++) {
        char piece[8];
        snprintf(piece, sizeof piece, "<0x%02X>", b);
        t->byte_id[0][b] = vocab_find(&t->vocab, piece, 6);
    }
    if (t->pad < 0 || t->unk < 0)
        return error_set(err, ST_FORMAT, "%s: the tokenizer lacks <pad> or <unk>", name);
    return ST_OK;
}

const struct tokenizer_rules tokenizer_rules_gemma = {
    .kind = TOKENIZER_GEMMA,
    .name = "gemma (bpe with bytes)",
    .defaults = {[NAMED_BOS] = "<bos>",
                 [NAMED_EOS] = "<eos>",
                 [NAMED_UNK] = "<unk>",
                 [NAMED_PAD] = "<pad>",
                 [NAMED_MASK] = "<mask>"},
    .load_embedded = tokenizer_no_embedded,
    .normalize = gemma_normalize,
    .words = gemma_words,
    .special = gemma_special,
    .finish = gemma_finish,
};

const struct tokenizer_rules tokenizer_rules_gemma_clean = {
    .kind = TOKENIZER_GEMMA_CLEAN,
    .name = "gemma (open_clip rules)",
    .defaults = {[NAMED_BOS] = "<bos>",
                 [NAMED_EOS] = "<eos>",
                 [NAMED_UNK] = "<unk>",
                 [NAMED_PAD] = "<pad>",
                 [NAMED_MASK] = "<mask>"},
    .load_embedded = tokenizer_no_embedded,
    .prepare = tokenizer_canonical,
    .normalize = gemma_normalize,
    .words = gemma_words,
    .special = gemma_special,
    .finish = gemma_finish,
};
