/* Tokenizers over SentencePiece's models: SigLIP's, which asks the sentencepiece library, and
 * XLM-R's, which transformers builds from the tokenizers library and open_clip cleans texts for.
 * Surprising: SigLIP's puts "<unk>" in front of each text and throws its pieces away again, so that
 * a leading space is neither added nor lost. */
#include "clip/spm.h"
#include "clip/text_clean.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <jansson.h>

enum { FILE_MAX = 64 << 20, SPACE = 0x2581 };

static enum status spm_of(struct tokenizer *t, struct error *err)
{
    t->spm = mem_zalloc(sizeof *t->spm);
    return t->spm ? ST_OK : error_set(err, ST_NOMEM, "out of memory (tokenizer)");
}

static void release(struct tokenizer *t)
{
    if (t->spm)
        spm_release(t->spm);
    mem_free(t->spm);
}

enum status tokenizer_no_embedded(struct tokenizer *t, struct error *err)
{
    return error_set(err, ST_NOT_FOUND, "no tokenizer files for %s beside the model",
                     t->rules->name);
}

static enum status read_file(const char *dir, const char *file, char **data, size_t *size,
                             char **path, struct error *err)
{
    *path = path_join(dir, file);
    return *path ? file_read_all(data, size, *path, FILE_MAX, err)
                 : error_set(err, ST_NOMEM, "out of memory (%s)", file);
}

static enum status read_model(struct spm *s, struct vocab *v, const char *dir, const char *file,
                              struct error *err)
{
    char *path = NULL, *data = NULL;
    size_t size = 0;
    enum status st = read_file(dir, file, &data, &size, &path, err);
    if (!st)
        st = spm_read(s, v, data, size, path, err);
    if (!st && s->kind != SPM_UNIGRAM)
        st = error_set(err, ST_UNSUPPORTED, "%s: a bpe model, where a unigram model is due", path);
    mem_free(data);
    mem_free(path);
    return st;
}

static bool append_utf8(struct buf *b, const uint32_t *c, size_t n)
{
    char s[4];
    for (size_t i = 0; i < n; i++)
        buf_append(b, s, utf8_encode(c[i], s));
    return !b->failed;
}

static enum status siglip_load(struct tokenizer *t, const char *dir, const json_t *full,
                               struct error *err)
{
    (void)full;
    enum status st = spm_of(t, err);
    return st ? st : read_model(t->spm, &t->vocab, dir, "spiece.model", err);
}

/* "_" stands for U+2581 and comes first; the text's own become spaces. */
static bool siglip_prepare(const struct tokenizer *t, struct utext *text)
{
    (void)t;
    struct utext out = {0};
    bool ok = utext_push(&out, SPACE);
    for (size_t i = 0; ok && i < text->n; i++)
        ok = utext_push(&out, text->c[i] == SPACE ? ' ' : text->c[i]);
    utext_release(text);
    *text = out;
    return ok;
}

static bool is_ascii_punct(uint32_t c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

/* Lower case, no ASCII punctuation, one space for each run of white space, none at the ends. */
static bool siglip_normalize(const struct tokenizer *t, struct utext *text)
{
    if (t->lower && !unicode_lower(text, UNICODE_PYTHON))
        return false;
    size_t w = 0;
    bool gap = true;
    for (size_t i = 0; i < text->n; i++) {
        uint32_t c = text->c[i];
        bool space = unicode_is_python_space(c);
        if (is_ascii_punct(c) || (space && gap))
            continue;
        text->c[w++] = space ? ' ' : c;
        gap = space;
    }
    if (w && text->c[w - 1] == ' ')
        w--;
    text->n = w;
    return true;
}

static bool siglip_split(const struct tokenizer *t, const struct utext *text, struct token_list *l)
{
    struct buf raw, b;
    const char *unk = tokenizer_piece(t, t->unk);
    buf_init(&raw, SIZE_MAX / 2);
    buf_init(&b, SIZE_MAX / 2);
    buf_puts(&raw, unk ? unk : "");
    bool ok = append_utf8(&raw, text->c, text->n) &&
              spm_normalize(t->spm, &t->vocab, raw.data ? raw.data : "", raw.len, &b) &&
              spm_split(t->spm, &t->vocab, b.data ? b.data : "", b.len, l);
    buf_release(&raw);
    buf_release(&b);
    return ok;
}

static bool siglip_words(const struct tokenizer *t, const struct utext *text, struct token_list *l)
{
    size_t before = l->n;
    if (!siglip_split(t, text, l))
        return false;
    size_t got = l->n - before, skip = t->skip;
    if (got < skip)
        return true;
    if (got > skip)
        memmove(l->id + before, l->id + before + skip, (got - skip) * sizeof *l->id);
    l->n -= skip;
    return true;
}

static enum status siglip_finish(struct tokenizer *t, const char *name, struct error *err)
{
    struct token_list l = {0};
    struct utext nothing = {0};
    if (t->eos < 0 || t->unk < 0)
        return error_set(err, ST_FORMAT, "%s: the tokenizer has no end or unknown token", name);
    t->bos = -1;
    if (t->pad < 0)
        t->pad = t->eos;
    bool ok = siglip_split(t, &nothing, &l);
    t->skip = l.n;
    token_list_release(&l);
    return ok ? ST_OK : error_set(err, ST_NOMEM, "%s: out of memory", name);
}

static int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

static enum status set_base64_rules(struct spm *s, const char *text, const char *name,
                                    struct error *err)
{
    size_t n = strlen(text), len = 0;
    char *blob = mem_alloc(n / 4 * 3 + 3);
    uint32_t bits = 0;
    int have = 0;
    if (!blob)
        return error_set(err, ST_NOMEM, "%s: out of memory", name);
    for (size_t i = 0; i < n && base64_digit(text[i]) >= 0; i++) {
        bits = bits << 6 | (uint32_t)base64_digit(text[i]);
        have += 6;
        if (have >= 8) {
            have -= 8;
            blob[len++] = (char)(bits >> have & 255);
        }
    }
    enum status st = spm_set_rules(s, blob, len, name, err);
    mem_free(blob);
    return st;
}

/* The first Precompiled among the normalizers. */
static const char *charsmap_of(const json_t *normalizer)
{
    const json_t *list = json_object_get(normalizer, "normalizers");
    const char *type = json_string_value(json_object_get(normalizer, "type"));
    if (type && strcmp(type, "Precompiled") == 0)
        return json_string_value(json_object_get(normalizer, "precompiled_charsmap"));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        type = json_string_value(json_object_get(one, "type"));
        if (type && strcmp(type, "Precompiled") == 0)
            return json_string_value(json_object_get(one, "precompiled_charsmap"));
    }
    return NULL;
}

static enum status unigram_json(struct tokenizer *t, const char *dir, const json_t *full,
                                struct error *err)
{
    const json_t *model = json_object_get(full, "model"), *vocab = json_object_get(model, "vocab");
    const char *type = json_string_value(json_object_get(model, "type"));
    const char *rules = charsmap_of(json_object_get(full, "normalizer"));
    if ((type && strcmp(type, "Unigram") != 0) || !json_array_size(vocab))
        return error_set(err, ST_UNSUPPORTED, "%s/tokenizer.json: not a unigram model", dir);
    if (!vocab_reserve(&t->vocab, json_array_size(vocab), json_array_size(vocab) * 12))
        return error_set(err, ST_NOMEM, "%s/tokenizer.json: out of memory", dir);
    enum status st = ST_OK;
    for (size_t i = 0; i < json_array_size(vocab) && !st; i++) {
        const json_t *row = json_array_get(vocab, i), *score = json_array_get(row, 1);
        const char *piece = json_string_value(json_array_get(row, 0));
        if (!piece || !json_is_number(score))
            return error_set(err, ST_FORMAT, "%s/tokenizer.json: piece %zu has no score", dir, i);
        st = spm_add(t->spm, &t->vocab, piece, strlen(piece), json_number_value(score), SPM_PLAIN,
                     err);
    }
    if (!st && rules)
        st = set_base64_rules(t->spm, rules, "tokenizer.json", err);
    return st ? error_prefix(err, st, "%s", dir) : ST_OK;
}

/* XLM-R's own numbering: four tokens in front, the file's first three left out, <mask> behind. */
static enum status unigram_file(struct tokenizer *t, const char *dir, struct error *err)
{
    static const char *const front[] = {"<s>", "<pad>", "</s>", "<unk>"};
    struct spm s = {0};
    struct vocab v = {0};
    enum status st = read_model(&s, &v, dir, "sentencepiece.bpe.model", err);
    if (!st && !vocab_reserve(&t->vocab, s.n + 8, v.text_len + 64))
        st = error_set(err, ST_NOMEM, "%s: out of memory", dir);
    for (size_t i = 0; i < 4 && !st; i++)
        st = spm_add(t->spm, &t->vocab, front[i], strlen(front[i]), 0, SPM_PLAIN, err);
    for (size_t i = 3; i < s.n && !st; i++) {
        const char *piece = vocab_piece(&v, (int32_t)i);
        st = piece ? spm_add(t->spm, &t->vocab, piece, strlen(piece), s.score[i], SPM_PLAIN, err)
                   : error_set(err, ST_FORMAT, "%s: a piece occurs twice", dir);
        if (!st && s.type[i] == SPM_USER)
            st = tokenizer_add_token(t, piece, false, false, false, err);
    }
    if (!st)
        st = spm_add(t->spm, &t->vocab, "<mask>", 6, 0, SPM_PLAIN, err);
    if (!st) {
        t->spm->unit = s.unit;
        t->spm->units = s.units;
        t->spm->text = s.text;
        t->spm->text_size = s.text_size;
        s.unit = NULL;
        s.text = NULL;
    }
    spm_release(&s);
    vocab_release(&v);
    return st;
}

static enum status unigram_load(struct tokenizer *t, const char *dir, const json_t *full,
                                struct error *err)
{
    enum status st = spm_of(t, err);
    if (st)
        return st;
    t->spm->hf = true;
    st = full ? unigram_json(t, dir, full, err) : unigram_file(t, dir, err);
    spm_finish(t->spm);
    return st;
}

static bool unigram_prepare(const struct tokenizer *t, struct utext *text)
{
    (void)t;
    return text_clean_whitespace(text);
}

static bool unigram_normalize(const struct tokenizer *t, struct utext *text)
{
    return spm_precompiled(t->spm, text);
}

/* Words at white space, each behind a U+2581, and cut before any further one. */
static bool unigram_words(const struct tokenizer *t, const struct utext *text, struct token_list *l)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    bool ok = true;
    for (size_t i = 0; ok && i < text->n;) {
        if (unicode_class(text->c[i], UNICODE_RUST) == UNICODE_SPACE) {
            i++;
            continue;
        }
        size_t end = i + 1;
        while (end < text->n && text->c[end] != SPACE &&
               unicode_class(text->c[end], UNICODE_RUST) != UNICODE_SPACE)
            end++;
        bool first = i == 0 || unicode_class(text->c[i - 1], UNICODE_RUST) == UNICODE_SPACE;
        buf_clear(&b);
        if (first && text->c[i] != SPACE)
            append_utf8(&b, (const uint32_t[]){SPACE}, 1);
        ok =
            append_utf8(&b, text->c + i, end - i) && spm_split(t->spm, &t->vocab, b.data, b.len, l);
        i = end;
    }
    buf_release(&b);
    return ok;
}

static enum status unigram_finish(struct tokenizer *t, const char *name, struct error *err)
{
    if (t->bos < 0 || t->eos < 0 || t->unk < 0 || t->pad < 0)
        return error_set(err, ST_FORMAT, "%s: the tokenizer lacks <s>, </s>, <unk> or <pad>", name);
    t->spm->unk = t->unk;
    return ST_OK;
}

const struct tokenizer_rules tokenizer_rules_siglip = {
    .kind = TOKENIZER_SIGLIP,
    .name = "siglip (sentencepiece unigram)",
    .defaults = {[NAMED_EOS] = "</s>", [NAMED_UNK] = "<unk>", [NAMED_PAD] = "</s>"},
    .strips = true,
    .one_eos = true,
    .load_embedded = tokenizer_no_embedded,
    .load_model = siglip_load,
    .prepare = siglip_prepare,
    .normalize = siglip_normalize,
    .words = siglip_words,
    .finish = siglip_finish,
    .release = release,
};

const struct tokenizer_rules tokenizer_rules_xlmr = {
    .kind = TOKENIZER_XLMR,
    .name = "xlm-roberta (open_clip rules)",
    .defaults = {[NAMED_BOS] = "<s>",
                 [NAMED_EOS] = "</s>",
                 [NAMED_UNK] = "<unk>",
                 [NAMED_SEP] = "</s>",
                 [NAMED_PAD] = "<pad>",
                 [NAMED_CLS] = "<s>",
                 [NAMED_MASK] = "<mask>"},
    .load_embedded = tokenizer_no_embedded,
    .load_model = unigram_load,
    .prepare = unigram_prepare,
    .normalize = unigram_normalize,
    .words = unigram_words,
    .finish = unigram_finish,
    .release = release,
};

bool tokenizer_canonical(const struct tokenizer *t, struct utext *text)
{
    (void)t;
    return text_clean_canonicalize(text);
}

static enum status t5_load(struct tokenizer *t, const char *dir, const json_t *full,
                           struct error *err)
{
    return full ? unigram_load(t, dir, full, err)
                : error_set(err, ST_NOT_FOUND, "%s: no tokenizer.json", dir);
}

static enum status t5_finish(struct tokenizer *t, const char *name, struct error *err)
{
    if (t->eos < 0 || t->unk < 0 || t->pad < 0)
        return error_set(err, ST_FORMAT, "%s: the tokenizer lacks </s>, <unk> or padding", name);
    t->bos = -1;
    t->spm->unk = t->unk;
    return ST_OK;
}

const struct tokenizer_rules tokenizer_rules_t5_clean = {
    .kind = TOKENIZER_T5_CLEAN,
    .name = "t5 (open_clip rules)",
    .defaults = {[NAMED_EOS] = "</s>", [NAMED_UNK] = "<unk>", [NAMED_PAD] = "<pad>"},
    .load_embedded = tokenizer_no_embedded,
    .load_model = t5_load,
    .prepare = tokenizer_canonical,
    .normalize = unigram_normalize,
    .words = unigram_words,
    .finish = t5_finish,
    .release = release,
};
