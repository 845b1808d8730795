/* Texts and vocabulary files that nobody meant: the first byte says what the rest is. */
#include "clip/tokenizer.h"
#include "clip/tokenizer_int.h"
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
    if (data[0] % 4 == 3)
        fuzz_files(s, size - 1);
    else
        fuzz_text((enum tokenizer_kind)(data[0] % 4), s, size - 1);
    return 0;
}
