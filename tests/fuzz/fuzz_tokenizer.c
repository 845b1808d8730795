/* Texts and vocabulary files that nobody meant: the first byte says what the rest is. */
#include "clip/tokenizer.h"
#include "clip/tokenizer_int.h"
#include "core/path.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_text(enum tokenizer_kind kind, const char *s, size_t n)
{
    static struct tokenizer *open[3]; /* once a process: opening takes longer than an input */
    struct token_list l = {0};
    int32_t row[77];
    if (!open[kind] && tokenizer_open(&open[kind], kind, NULL, NULL))
        return;
    if (!tokenizer_encode(open[kind], s, n, &l, NULL)) {
        assert(l.n >= 2 && l.id[0] == tokenizer_bos(open[kind]));
        for (size_t i = 0; i < l.n; i++)
            assert(tokenizer_piece(open[kind], l.id[i]));
        size_t k = tokenizer_fit(open[kind], &l, 77, row);
        assert(k >= 2 && row[k - 1] == tokenizer_eos(open[kind]));
    }
    token_list_release(&l);
}

/* The bytes as lines of a vocabulary, and all of them decoded: what a damaged model may say. */
static void fuzz_decode(const struct tokenizer_rules *rules, const char *s, size_t n)
{
    struct tokenizer t = {.rules = rules, .bos = -1, .eos = -1, .pad = -1, .unk = -1};
    struct buf b;
    int32_t id[64];
    for (int32_t i = 0; i < 64; i++)
        id[i] = i * 3 % 64 - 1;
    buf_init(&b, 1 << 16);
    if (!tokenizer_load_lines(&t, s, n, "vocab.txt", NULL) &&
        !tokenizer_decode(&t, id, 64, &b, NULL) && b.len)
        assert(utf8_valid(b.data, b.len));
    buf_release(&b);
    vocab_release(&t.vocab);
}

/* A vocabulary of lines, then merges behind the first zero byte. */
static void fuzz_files(const char *s, size_t n)
{
    struct tokenizer t = {.rules = &tokenizer_rules_clip_hf};
    const char *end = memchr(s, 0, n);
    size_t first = end ? (size_t)(end - s) : n;
    if (!tokenizer_load_lines(&t, s, first, "vocab.txt", NULL) && first < n)
        tokenizer_load_merges(&t, end + 1, n - first - 1, "merges.txt", NULL);
    vocab_release(&t.vocab);
    merges_release(&t.merges);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const char *s = (const char *)data + 1;
    switch (data[0] % 6) {
    case 3:
        fuzz_files(s, size - 1);
        break;
    case 4:
        fuzz_decode(&tokenizer_rules_gpt2, s, size - 1);
        break;
    case 5:
        fuzz_decode(&tokenizer_rules_wordpiece, s, size - 1);
        break;
    default:
        fuzz_text((enum tokenizer_kind)(data[0] % 6), s, size - 1);
    }
    return 0;
}
