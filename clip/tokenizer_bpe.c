/* CLIP's byte-pair encoding under its two sets of rules. Surprising: they differ in more than
 * cleaning. open_clip's pattern ignores case after lower-casing, so a long s counts as "s" in a
 * contraction; transformers' splits "<|endoftext|>" again into "<|", "endoftext" and "|>" wherever
 * it was not taken out as an added token. */
#include "clip/text_clean.h"
#include "clip/tokenizer_int.h"
#include "core/mem.h"
#include "core/path.h"

extern const unsigned char clip_bpe_merges[];
extern const size_t clip_bpe_merges_size;

/* One word on its way from bytes to pieces: a linked list of symbols and a heap of candidate
 * merges, so that a word of n bytes costs O(n log n). */
struct symbol {
    int32_t id, prev, next; /* prev, next: -1 at the ends; id -1: merged into its left */
};
struct bpe {
    const struct tokenizer *t;
    struct token_list *out;
    char *bytes;
    size_t bytes_cap;
    struct symbol *sym;
    size_t sym_cap;
    uint64_t *heap; /* rank << 32 | position of the left symbol; smallest first */
    size_t heap_n, heap_cap;
};

static void bpe_release(struct bpe *b)
{
    mem_free(b->bytes);
    mem_free(b->sym);
    mem_free(b->heap);
}

static bool heap_push(struct bpe *b, int32_t pos)
{
    int32_t next = b->sym[pos].next;
    struct merge m;
    if (next < 0 || !tokenizer_find_merge(b->t, b->sym[pos].id, b->sym[next].id, &m))
        return true;
    if (b->heap_n == b->heap_cap) {
        size_t cap = b->heap_cap ? b->heap_cap * 2 : 64;
        uint64_t *heap = mem_realloc_array(b->heap, cap, sizeof *heap);
        if (!heap)
            return false;
        b->heap = heap;
        b->heap_cap = cap;
    }
    uint64_t x = (uint64_t)m.rank << 32 | (uint32_t)pos;
    size_t i = b->heap_n++;
    for (; i > 0 && b->heap[(i - 1) / 2] > x; i = (i - 1) / 2)
        b->heap[i] = b->heap[(i - 1) / 2];
    b->heap[i] = x;
    return true;
}

static uint64_t heap_pop(struct bpe *b)
{
    uint64_t top = b->heap[0], x = b->heap[--b->heap_n];
    size_t i = 0;
    for (size_t k; (k = 2 * i + 1) < b->heap_n; i = k) {
        k += k + 1 < b->heap_n && b->heap[k + 1] < b->heap[k];
        if (b->heap[k] >= x)
            break;
        b->heap[i] = b->heap[k];
    }
    b->heap[i] = x;
    return top;
}

static bool bpe_merge(struct bpe *b)
{
    while (b->heap_n) {
        uint64_t top = heap_pop(b);
        int32_t pos = (int32_t)(uint32_t)top, next = b->sym[pos].next;
        if (b->sym[pos].id < 0 || next < 0)
            continue;
        struct merge m;
        if (!tokenizer_find_merge(b->t, b->sym[pos].id, b->sym[next].id, &m) ||
            m.rank != top >> 32) /* its neighbours have changed since */
            continue;
        b->sym[pos].id = m.id;
        b->sym[pos].next = b->sym[next].next;
        b->sym[next].id = -1;
        if (b->sym[pos].next >= 0)
            b->sym[b->sym[pos].next].prev = pos;
        if ((b->sym[pos].prev >= 0 && !heap_push(b, b->sym[pos].prev)) || !heap_push(b, pos))
            return false;
    }
    return true;
}

static bool bpe_room(struct bpe *b, size_t n)
{
    if (n <= b->sym_cap)
        return true;
    struct symbol *sym = n > INT32_MAX / 2 ? NULL : mem_realloc_array(b->sym, n, sizeof *sym);
    if (!sym)
        return false;
    b->sym = sym;
    b->sym_cap = n;
    return true;
}

static void bpe_put(struct bpe *b, size_t i, size_t n, int32_t id)
{
    b->sym[i] = (struct symbol){id, (int32_t)i - 1, i + 1 == n ? -1 : (int32_t)i + 1};
}

/* n > 0 symbols, put. */
static bool bpe_run(struct bpe *b, size_t n)
{
    b->heap_n = 0;
    for (size_t i = 0; i + 1 < n; i++)
        if (!heap_push(b, (int32_t)i))
            return false;
    if (!bpe_merge(b))
        return false;
    for (int32_t i = 0; i >= 0; i = b->sym[i].next)
        if (!token_list_push(b->out, b->sym[i].id))
            return false;
    return true;
}

static bool bpe_bytes(struct bpe *b, const char *s, size_t n)
{
    if (!n)
        return true;
    if (!bpe_room(b, n))
        return false;
    for (size_t i = 0; i < n; i++)
        bpe_put(b, i, n, b->t->byte_id[i + 1 == n][(unsigned char)s[i]]);
    return bpe_run(b, n);
}

bool tokenizer_merge_ids(const struct tokenizer *t, const int32_t *ids, size_t n,
                         struct token_list *l)
{
    struct bpe b = {.t = t, .out = l};
    bool ok = !n || bpe_room(&b, n);
    for (size_t i = 0; ok && i < n; i++)
        bpe_put(&b, i, n, ids[i]);
    ok = ok && (!n || bpe_run(&b, n));
    bpe_release(&b);
    return ok;
}

static bool bpe_word(struct bpe *b, const uint32_t *c, size_t n)
{
    if (n * 4 > b->bytes_cap) {
        char *bytes = mem_realloc_array(b->bytes, n, 4);
        if (!bytes)
            return false;
        b->bytes = bytes;
        b->bytes_cap = n * 4;
    }
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += utf8_encode(c[i], b->bytes + len);
    return bpe_bytes(b, b->bytes, len);
}

bool tokenizer_bpe_stretches(const struct tokenizer *t, const struct utext *text,
                             size_t (*length)(const uint32_t *c, size_t n), struct token_list *l)
{
    struct bpe b = {.t = t, .out = l};
    bool ok = true;
    for (size_t i = 0, len; ok && i < text->n && (len = length(text->c + i, text->n - i)); i += len)
        ok = bpe_word(&b, text->c + i, len);
    bpe_release(&b);
    return ok;
}

/* Does c[0..n) begin with s? With `fold`, U+017F counts as 's', as when case is ignored. */
static size_t begins(const uint32_t *c, size_t n, const char *s, bool fold)
{
    size_t i = 0;
    for (; s[i]; i++)
        if (i == n || !(c[i] == (unsigned char)s[i] || (fold && c[i] == 0x17F && s[i] == 's')))
            return 0;
    return i;
}

size_t tokenizer_contraction(const uint32_t *c, size_t n, bool fold)
{
    static const char *const all[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    size_t len = 0;
    for (size_t i = 0; c[0] == '\'' && !len && i < sizeof all / sizeof *all; i++)
        len = begins(c, n, all[i], fold);
    return len;
}

/* The length of the word that starts at c[0], which is no white space. */
static size_t word_length(const uint32_t *c, size_t n, enum unicode_rules rules)
{
    size_t i = tokenizer_contraction(c, n, rules == UNICODE_PYTHON);
    if (i)
        return i;
    enum unicode_class k = unicode_class(c[0], rules);
    for (i = 1; k != UNICODE_NUMBER && i < n && unicode_class(c[i], rules) == k;)
        i++;
    return i;
}

static bool hf_words(const struct tokenizer *t, const struct utext *text, struct token_list *l)
{
    static const char *const special[] = {"<|startoftext|>", "<|endoftext|>"};
    struct bpe b = {.t = t, .out = l};
    bool ok = true;
    for (size_t i = 0; ok && i < text->n;) {
        const uint32_t *c = text->c + i;
        size_t n = text->n - i, len = 0;
        for (int k = 0; k < 2 && c[0] == '<' && !len; k++)
            len = begins(c, n, special[k], false);
        if (len) { /* the byte-level step splits it once more */
            ok = bpe_word(&b, c, 2) && bpe_word(&b, c + 2, len - 4) && bpe_word(&b, c + len - 2, 2);
        } else if (unicode_class(c[0], UNICODE_RUST) == UNICODE_SPACE) {
            len = 1;
        } else {
            len = word_length(c, n, UNICODE_RUST);
            ok = bpe_word(&b, c, len);
        }
        i += len;
    }
    bpe_release(&b);
    return ok;
}

static bool open_words(const struct tokenizer *t, const struct utext *text, struct token_list *l)
{
    static const char *const special[] = {"<start_of_text>", "<end_of_text>"};
    struct bpe b = {.t = t, .out = l};
    bool ok = true;
    for (size_t i = 0; ok && i < text->n;) {
        const uint32_t *c = text->c + i;
        size_t n = text->n - i, len = 0;
        enum unicode_class k = unicode_class(c[0], UNICODE_PYTHON);
        int which = 0;
        for (; which < 2 && c[0] == '<'; which++)
            if ((len = begins(c, n, special[which], true)))
                break;
        if (len && begins(c, n, special[which], false)) {
            ok = token_list_push(l, which ? t->eos : t->bos);
        } else if (k == UNICODE_SPACE || k == UNICODE_NONE) {
            len = 1;
        } else {
            len = len ? len : word_length(c, n, UNICODE_PYTHON);
            ok = bpe_word(&b, c, len);
        }
        i += len;
    }
    bpe_release(&b);
    return ok;
}

static bool hf_normalize(const struct tokenizer *t, struct utext *text)
{
    (void)t;
    if (!unicode_nfc(text, UNICODE_RUST))
        return false;
    size_t w = 0;
    bool gap = false;
    for (size_t i = 0; i < text->n; i++) {
        bool space = unicode_class(text->c[i], UNICODE_RUST) == UNICODE_SPACE;
        if (!space || !gap)
            text->c[w++] = space ? ' ' : text->c[i];
        gap = space;
    }
    text->n = w;
    return unicode_lower(text, UNICODE_RUST);
}

static bool open_normalize(const struct tokenizer *t, struct utext *text)
{
    (void)t;
    return text_clean_open_clip(text);
}

size_t tokenizer_byte_piece(unsigned byte, bool last, char out[8])
{
    /* printable Latin-1 stands for itself, the others are counted on from U+0100 */
    bool shown = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    unsigned c = byte;
    if (!shown)
        c = 0x100 + (byte <= 32 ? byte : byte <= 0xA0 ? byte - 127 + 33 : 67);
    size_t n = utf8_encode(c, out);
    for (const char *end = "</w>"; last && *end; end++)
        out[n++] = *end;
    return n;
}

static enum status bpe_finish(struct tokenizer *t, const char *name, struct error *err)
{
    for (int last = 0; last < 2; last++)
        for (unsigned b = 0; b < 256; b++) {
            char piece[8];
            int32_t id = vocab_find(&t->vocab, piece, tokenizer_byte_piece(b, last, piece));
            t->byte_id[last][b] = id < 0 ? t->unk : id;
        }
    if (t->bos < 0 || t->eos < 0 || t->unk < 0)
        return error_set(err, ST_FORMAT, "%s: the tokenizer has no begin or end token", name);
    return ST_OK;
}

static enum status open_finish(struct tokenizer *t, const char *name, struct error *err)
{
    for (size_t i = 0; i < t->n_added; i++)
        added_token_release(&t->added[i]); /* it knows special tokens by its pattern only */
    t->n_added = 0;
    t->pad = 0;
    return bpe_finish(t, name, err);
}

/* Printable bytes come first in the vocabulary, in their order, then the others. */
static enum status add_bytes(struct tokenizer *t, struct error *err)
{
    int32_t id = 0;
    for (int last = 0; last < 2; last++)
        for (int shown = 1; shown >= 0; shown--)
            for (unsigned b = 0; b < 256; b++) {
                bool is_shown = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
                char piece[8];
                if (is_shown != shown)
                    continue;
                enum status st =
                    vocab_add(&t->vocab, id++, piece, tokenizer_byte_piece(b, last, piece), err);
                if (st)
                    return st;
            }
    return ST_OK;
}

/* The vocabulary follows from the merges: 512 byte pieces, one piece a merge, two special ones. */
static enum status load_embedded(struct tokenizer *t, const char *bos, const char *eos,
                                 struct error *err)
{
    const char *s = (const char *)clip_bpe_merges, *end = s + clip_bpe_merges_size;
    enum { PIECES = 49408, BYTES = 512, MERGES = PIECES - BYTES - 2 };
    t->first_merge = BYTES;
    t->n_split = MERGES;
    t->split = mem_zarray(MERGES, 1);
    if (!t->split || !vocab_reserve(&t->vocab, PIECES, clip_bpe_merges_size + 4096))
        return error_set(err, ST_NOMEM, "out of memory (tokenizer)");
    enum status st = add_bytes(t, err);
    for (int32_t id = BYTES; !st && s < end; id++) {
        char piece[256];
        const char *stop = memchr(s, '\n', (size_t)(end - s));
        const char *gap = memchr(s, ' ', (size_t)(end - s));
        if (!stop || !gap || gap > stop || stop - s > (ptrdiff_t)sizeof piece ||
            id >= BYTES + MERGES)
            return error_set(err, ST_INTERNAL, "the embedded merges are damaged at token %d", id);
        size_t left = (size_t)(gap - s), right = (size_t)(stop - gap - 1);
        memcpy(piece, s, left);
        memcpy(piece + left, gap + 1, right);
        st = vocab_add(&t->vocab, id, piece, left + right, err);
        t->split[id - BYTES] = (uint8_t)left;
        s = stop + 1;
    }
    t->bos = (int32_t)t->vocab.n;
    t->eos = t->unk = t->pad = t->bos + 1;
    if (!st)
        st = vocab_add(&t->vocab, t->bos, bos, strlen(bos), err);
    if (!st)
        st = vocab_add(&t->vocab, t->eos, eos, strlen(eos), err);
    return st;
}

static enum status hf_load(struct tokenizer *t, struct error *err)
{
    enum status st = load_embedded(t, "<|startoftext|>", "<|endoftext|>", err);
    if (!st)
        st = tokenizer_add_token(t, "<|startoftext|>", false, false, false, err);
    if (!st)
        st = tokenizer_add_token(t, "<|endoftext|>", false, false, false, err);
    return st;
}

static enum status open_load(struct tokenizer *t, struct error *err)
{
    return load_embedded(t, "<start_of_text>", "<end_of_text>", err);
}

const struct tokenizer_rules tokenizer_rules_clip_hf = {
    .kind = TOKENIZER_CLIP_HF,
    .name = "clip (transformers rules)",
    .defaults = {[NAMED_BOS] = "<|startoftext|>",
                 [NAMED_EOS] = "<|endoftext|>",
                 [NAMED_UNK] = "<|endoftext|>",
                 [NAMED_PAD] = "<|endoftext|>"},
    .load_embedded = hf_load,
    .normalize = hf_normalize,
    .words = hf_words,
    .finish = bpe_finish,
};

const struct tokenizer_rules tokenizer_rules_clip_open = {
    .kind = TOKENIZER_CLIP_OPEN,
    .name = "clip (open_clip rules)",
    .defaults = {[NAMED_BOS] = "<|startoftext|>",
                 [NAMED_EOS] = "<|endoftext|>",
                 [NAMED_UNK] = "<|endoftext|>",
                 [NAMED_PAD] = "<|endoftext|>"},
    .load_embedded = open_load,
    .normalize = open_normalize,
    .words = open_words,
    .finish = open_finish,
};
