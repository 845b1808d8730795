/* Tokenizers: fitting, folders, broken folders, running out of memory, and time on long lines. */
#include "clip/text_clean.h"
#include "clip/tokenizer.h"
#include "clip/tokenizer_int.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/tokenizer-unit-XXXXXX";
static const char *const files[] = {"vocab.json",     "merges.txt",
                                    "tokenizer.json", "tokenizer_config.json",
                                    "vocab.txt",      "special_tokens_map.json"};

/* NULL removes the file. */
static void put(const char *name, const char *text)
{
    char *path = path_join(folder, name);
    if (text)
        assert_int_equal(file_write_atomic(path, text, strlen(text), NULL), ST_OK);
    else
        unlink(path);
    mem_free(path);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int clear_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        put(files[i], NULL);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static struct tokenizer *open_or_fail(enum tokenizer_kind kind, const char *dir)
{
    struct tokenizer *t;
    struct error err;
    if (tokenizer_open(&t, kind, dir, &err))
        fail_msg("%s", err.text);
    return t;
}

/* want ends with -1. */
static void check_encode(const struct tokenizer *t, const char *text, const int32_t *want)
{
    struct token_list l = {0};
    assert_int_equal(tokenizer_encode(t, text, strlen(text), &l, NULL), ST_OK);
    for (size_t i = 0; i < l.n; i++)
        assert_int_equal(l.id[i], want[i]);
    assert_int_equal(want[l.n], -1);
    token_list_release(&l);
}

/* For kinds that have no data compiled in. */
static const char *folder_of(enum tokenizer_kind kind)
{
    static const char *const dirs[] = {
        [TOKENIZER_WORDPIECE] = NULL,
        [TOKENIZER_SIGLIP] = SOURCE_DIR "/tests/golden/tokenizer/folder_spm",
        [TOKENIZER_XLMR] = SOURCE_DIR "/tests/golden/tokenizer/folder_spm",
        [TOKENIZER_T5_CLEAN] = SOURCE_DIR "/tests/golden/tokenizer/folder_t5",
        [TOKENIZER_GEMMA_CLEAN] = SOURCE_DIR "/tests/golden/tokenizer/folder_gemma",
        [TOKENIZER_GEMMA] = SOURCE_DIR "/tests/golden/tokenizer/folder_gemma",
        [TOKENIZER_ROBERTA] = SOURCE_DIR "/tests/golden/tokenizer/folder_roberta",
        [TOKENIZER_GPT2] = SOURCE_DIR "/tests/golden/tokenizer/folder_roberta"};
    return dirs[kind];
}

static void every_kind_opens_and_brackets_its_text(void **state)
{
    (void)state;
    for (size_t i = 0; tokenizer_list[i]; i++) {
        enum tokenizer_kind kind = tokenizer_list[i]->kind;
        struct tokenizer *t = open_or_fail(kind, folder_of(kind));
        assert_non_null(tokenizer_name(t));
        if (tokenizer_bos(t) >= 0 && kind != TOKENIZER_GPT2) /* a space is a piece there */
            check_encode(t, " ", (int32_t[]){tokenizer_bos(t), tokenizer_eos(t), -1});
        if (!folder_of(kind))
            assert_int_equal(tokenizer_vocab_size(t), i < 2 ? 49408 : 30522);
        for (int32_t id = 0; id < tokenizer_vocab_size(t); id++)
            assert_non_null(tokenizer_piece(t, id));
        assert_null(tokenizer_piece(t, -1));
        assert_null(tokenizer_piece(t, tokenizer_vocab_size(t)));
        tokenizer_close(t);
    }
    tokenizer_close(NULL);
}

static void pieces_read_as_the_reference_prints_them(void **state)
{
    (void)state;
    struct tokenizer *hf = open_or_fail(TOKENIZER_CLIP_HF, NULL);
    struct tokenizer *open = open_or_fail(TOKENIZER_CLIP_OPEN, NULL);
    struct tokenizer *bert = open_or_fail(TOKENIZER_WORDPIECE, NULL);
    assert_string_equal(tokenizer_piece(hf, 1929), "dog</w>");
    assert_string_equal(tokenizer_piece(hf, 188), "\u0100"); /* the zero byte */
    assert_string_equal(tokenizer_piece(hf, 49406), "<|startoftext|>");
    assert_string_equal(tokenizer_piece(open, 49407), "<end_of_text>");
    assert_string_equal(tokenizer_piece(bert, 2075), "##ing");
    assert_int_equal(tokenizer_pad(hf), 49407);
    assert_int_equal(tokenizer_pad(open), 0);
    assert_int_equal(tokenizer_pad(bert), 0);
    tokenizer_close(hf);
    tokenizer_close(open);
    tokenizer_close(bert);
}

static void pieces_become_text_again(void **state)
{
    (void)state;
    struct tokenizer *t = open_or_fail(TOKENIZER_WORDPIECE, NULL);
    struct token_list l = {0};
    struct buf b;
    buf_init(&b, 1000);
    const char *text = "A dog's unbelievablest run, isn't it? No! a-b ...";
    assert_int_equal(tokenizer_encode(t, text, strlen(text), &l, NULL), ST_OK);
    assert_int_equal(tokenizer_decode(t, l.id, l.n, &b, NULL), ST_OK);
    assert_string_equal(b.data, "a dog ' s unbelievablest run, isn ' t it? no! a - b...");
    struct tokenizer *clip = open_or_fail(TOKENIZER_CLIP_HF, NULL);
    assert_int_equal(tokenizer_decode(clip, l.id, l.n, &b, NULL), ST_UNSUPPORTED);
    tokenizer_close(clip);
    buf_release(&b);
    token_list_release(&l);
    tokenizer_close(t);
}

static void fit_pads_and_keeps_the_end_token_when_it_cuts(void **state)
{
    (void)state;
    struct tokenizer *hf = open_or_fail(TOKENIZER_CLIP_HF, NULL);
    struct tokenizer *open = open_or_fail(TOKENIZER_CLIP_OPEN, NULL);
    struct token_list l = {0};
    int32_t out[8];
    assert_int_equal(tokenizer_encode(hf, "a dog", 5, &l, NULL), ST_OK);
    assert_int_equal(tokenizer_fit(hf, &l, 6, out), 4);
    assert_memory_equal(out, ((int32_t[]){49406, 320, 1929, 49407, 49407, 49407}), 24);
    assert_int_equal(tokenizer_fit(open, &l, 6, out), 4);
    assert_memory_equal(out, ((int32_t[]){49406, 320, 1929, 49407, 0, 0}), 24);
    assert_int_equal(tokenizer_fit(open, &l, 4, out), 4);
    assert_memory_equal(out, ((int32_t[]){49406, 320, 1929, 49407}), 16);
    assert_int_equal(tokenizer_fit(open, &l, 3, out), 3);
    assert_memory_equal(out, ((int32_t[]){49406, 320, 49407}), 12);
    assert_int_equal(tokenizer_fit(open, &l, 0, out), 0);
    token_list_release(&l);
    tokenizer_close(hf);
    tokenizer_close(open);
}

static void toy_bpe_folder_gives_unknown_bytes_the_unknown_token(void **state)
{
    (void)state;
    put("vocab.json", "{\"h\":0,\"i\":1,\"h</w>\":2,\"i</w>\":3,\"hi</w>\":4,\"<|startoftext|>\":5,"
                      "\"<|endoftext|>\":6}");
    put("merges.txt", "#version: 0.2\r\nh i</w>\r\n\n");
    struct tokenizer *t = open_or_fail(TOKENIZER_CLIP_HF, folder);
    check_encode(t, "hi hih x\u00e9 i", (int32_t[]){5, 4, 0, 1, 2, 6, 6, 6, 3, 6, -1});
    tokenizer_close(t);
}

static void wordpiece_folder_follows_its_switches(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        int32_t want[12];
    } cases[] = {
        {"{\"do_lower_case\":false}", {2, 6, 8, 9, 10, 13, 13, 7, 15, 3, -1}},
        {"{\"do_lower_case\":true}", {2, 5, 7, 9, 11, 13, 13, 7, 15, 3, -1}},
        {"{\"do_lower_case\":false,\"strip_accents\":true}",
         {2, 6, 8, 9, 11, 13, 13, 7, 15, 3, -1}},
        {"{\"tokenize_chinese_chars\":false}", {2, 5, 7, 9, 11, 13, 14, 7, 15, 3, -1}},
        {"{\"strip_accents\":false}", {2, 5, 7, 9, 10, 13, 13, 7, 15, 3, -1}},
        {NULL, {2, 5, 7, 9, 11, 13, 13, 7, 15, 3, -1}},
    };
    put("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nA\ndog\nDog\n##s\n\u00e9\ne\n\u732b\n"
                     "\u5927\n##\u5927\n.\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put("tokenizer_config.json", cases[i].config);
        struct tokenizer *t = open_or_fail(TOKENIZER_WORDPIECE, folder);
        check_encode(t, "A Dogs \u00e9 \u5927\u5927 dog.", cases[i].want);
        tokenizer_close(t);
    }
}

/* A row is a folder's content, what the sentence must name, and the status. */
static void broken_folders_give_one_clear_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *vocab, *merges, *full, *config, *list, *text;
        enum status status;
        enum tokenizer_kind kind;
    } cases[] = {
        {NULL, NULL, NULL, NULL, NULL, "neither", ST_NOT_FOUND, TOKENIZER_CLIP_HF},
        {"{\"a\":0}", NULL, NULL, NULL, NULL, "merges.txt", ST_NOT_FOUND, TOKENIZER_CLIP_HF},
        {"[1]", "", NULL, NULL, NULL, "not a json object", ST_FORMAT, TOKENIZER_CLIP_HF},
        {"{\"a\":", "", NULL, NULL, NULL, "vocab.json", ST_FORMAT, TOKENIZER_CLIP_HF},
        {"{}", "", NULL, NULL, NULL, "no vocabulary", ST_FORMAT, TOKENIZER_CLIP_HF},
        {"{\"a\":0,\"b\":0}", "", NULL, NULL, NULL, "two tokens have the id 0", ST_FORMAT,
         TOKENIZER_CLIP_HF},
        {"{\"a\":-1}", "", NULL, NULL, NULL, "no proper id", ST_FORMAT, TOKENIZER_CLIP_HF},
        {"{\"a\":\"0\"}", "", NULL, NULL, NULL, "no proper id", ST_FORMAT, TOKENIZER_CLIP_HF},
        {"{\"a\":99999999999}", "", NULL, NULL, NULL, "no proper id", ST_FORMAT, TOKENIZER_CLIP_HF},
        {"{\"a\":2147483647}", "", NULL, NULL, NULL, "limit", ST_LIMIT, TOKENIZER_CLIP_HF},
        {"{\"a\":0,\"b\":1}", "a b\n", NULL, NULL, NULL, "not in the vocabulary", ST_FORMAT,
         TOKENIZER_CLIP_HF},
        {"{\"a\":0}", "ab\n", NULL, NULL, NULL, "not two pieces", ST_FORMAT, TOKENIZER_CLIP_HF},
        {"{\"a\":0}", "a b c\n", NULL, NULL, NULL, "not two pieces", ST_FORMAT, TOKENIZER_CLIP_HF},
        {"{\"a\":0}", "a \n", NULL, NULL, NULL, "not two pieces", ST_FORMAT, TOKENIZER_CLIP_HF},
        {NULL, NULL, "{\"model\":{\"type\":\"Unigram\"}}", NULL, NULL, "Unigram", ST_UNSUPPORTED,
         TOKENIZER_CLIP_HF},
        {NULL, NULL, "{\"model\":{\"vocab\":[]}}", NULL, NULL, "no vocabulary", ST_FORMAT,
         TOKENIZER_CLIP_HF},
        {NULL, NULL, "{\"model\":{\"vocab\":{\"a\":0}}}", NULL, NULL, "no merges", ST_FORMAT,
         TOKENIZER_CLIP_HF},
        {NULL, NULL, "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[3]}}", NULL, NULL,
         "not two pieces", ST_FORMAT, TOKENIZER_CLIP_HF},
        {NULL, NULL, "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\",1]]}}", NULL, NULL,
         "not two pieces", ST_FORMAT, TOKENIZER_CLIP_HF},
        {NULL, NULL,
         "{\"added_tokens\":[{\"id\":1}],\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}", NULL,
         NULL, "no content", ST_FORMAT, TOKENIZER_CLIP_HF},
        {"{\"a\":0}", "", NULL, "{\"added_tokens_decoder\":{\"0\":7}}", NULL, "no content",
         ST_FORMAT, TOKENIZER_CLIP_HF},
        {"{\"a\":0}", "", NULL,
         "{\"added_tokens_decoder\":{\"0\":{\"content\":\"a\",\"single_word\":true}}}", NULL,
         "single_word", ST_UNSUPPORTED, TOKENIZER_CLIP_HF},
        {NULL, NULL, NULL, NULL, NULL, "vocab.txt", ST_NOT_FOUND, TOKENIZER_WORDPIECE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tokenizer *t;
        struct error err;
        put("vocab.json", cases[i].vocab);
        put("merges.txt", cases[i].merges);
        put("tokenizer.json", cases[i].full);
        put("tokenizer_config.json", cases[i].config);
        put("vocab.txt", cases[i].list);
        enum status st = tokenizer_open(&t, cases[i].kind, folder, &err);
        if (st != cases[i].status || !strstr(err.text, cases[i].text))
            fail_msg("case %zu: status %d, %s", i, st, err.text);
        assert_null(t);
    }
}

static void running_out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    static const char text[] = "A d\u00f6g &amp;amp; \ufb03 \u0301\u0130 <|endoftext|> [CLS] "
                               "\u732b won't";
    put("vocab.json", "{\"d\":0,\"o\":1,\"do\":2,\"<|startoftext|>\":3,\"<|endoftext|>\":4}");
    put("merges.txt", "d o\n");
    put("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nd\n##o\n");
    for (int k = 0; k < 7; k++) {
        const char *dir = k < 3 ? NULL : folder;
        if (k == 6) /* the same once more from the other file */
            put("tokenizer.json", "{\"added_tokens\":[{\"content\":\"x y\",\"normalized\":true}],"
                                  "\"model\":{\"vocab\":{\"d\":0,\"o\":1,\"do\":2},"
                                  "\"merges\":[\"d o\"]}}");
        enum status st = ST_NOMEM;
        for (uint64_t n = 1; st; n++) {
            struct tokenizer *t = NULL;
            struct token_list l = {0};
            mem_fail_at(n, true);
            st = tokenizer_open(&t, (enum tokenizer_kind)(k % 3), dir, NULL);
            if (!st)
                st = tokenizer_encode(t, text, sizeof text - 1, &l, NULL);
            mem_fail_at(0, false);
            assert_true(st == ST_OK || st == ST_NOMEM);
            token_list_release(&l);
            tokenizer_close(t);
        }
    }
}

static void long_lines_take_no_time(void **state)
{
    (void)state;
    static const char *const units[] = {
        "a",  "ab",           "\u0301\u0316", "a\u0323\u0307", "&amp;",
        "&",  "\u03a3'",      "\u732b",       "\x1b[1",        "&#",
        "!",  "\u0130",       "<|endoftext",  "[CL",           "'",
        "\n", "&notanentity", "\U0001F44D",   "thethethe"};
    for (size_t k = 0; tokenizer_list[k]; k++) {
        enum tokenizer_kind kind = tokenizer_list[k]->kind;
        struct tokenizer *t = open_or_fail(kind, folder_of(kind));
        struct token_list l = {0};
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            size_t len = strlen(units[u]), n = 400000 / len;
            char *line = mem_alloc(n * len + 1);
            for (size_t i = 0; i < n; i++)
                memcpy(line + i * len, units[u], len);
            clock_t start = clock();
            assert_int_equal(tokenizer_encode(t, line, n * len, &l, NULL), ST_OK);
            double s = (double)(clock() - start) / CLOCKS_PER_SEC;
            if (s > 4) /* it is 0.1 s; a sanitizer takes its part */
                fail_msg("400 kB of \"%s\" take %.1f s with %s", units[u], s, tokenizer_name(t));
            mem_free(line);
        }
        token_list_release(&l);
        tokenizer_close(t);
    }
}

static void check_clean(const char *in, const char *want)
{
    struct utext t = {0}, w = {0};
    assert_true(utext_decode(&t, in, strlen(in)) && utext_decode(&w, want, strlen(want)));
    assert_true(text_clean_open_clip(&t));
    if (t.n != w.n || (t.n && memcmp(t.c, w.c, t.n * sizeof *t.c)))
        fail_msg("\"%s\" does not become \"%s\"", in, want);
    utext_release(&t);
    utext_release(&w);
}

static void cleaning_follows_ftfy_and_html(void **state)
{
    (void)state;
    check_clean("  A\t \u00a0 B\x1f\n", "a b");
    check_clean("&amp;amp;amp; &notit; &NOT; &EACUTE;", "& \u00acit; \u00ac \u00e9");
    check_clean("&lt;b> <&EACUTE;>", "<b> <&eacute;>"); /* '<' keeps entities from ftfy */
    check_clean("&#59;&#x2019;&#128;&#0;&#1;&#xD800;", ";'\u20ac\ufffd\ufffd");
    check_clean("\u201cit\u2019s\u201d \ufb01 \ufb05 \u0149", "\"it's\" fi \u017ft 'n");
    check_clean("\x1b[1;31mred\x1b[0m \x1b[", "red [");
    check_clean("\uff21\uff22\u3000\uff76\uff9e\uffe3", "ab \u30ac \u0304");
    check_clean("e\u0301 \u212b", "\u00e9 \u00e5");
    check_clean("\u039f\u0394\u039f\u03a3 \u03a3 \u0391\u03a3.", "\u03bf\u03b4\u03bf\u03c2 \u03c3 "
                                                                 "\u03b1\u03c2.");
    check_clean("\u0130", "i\u0307");
    check_clean("a\xff\xe2\x82z", "a\ufffd\ufffdz");
    check_clean("", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_opens_and_brackets_its_text),
        cmocka_unit_test(pieces_read_as_the_reference_prints_them),
        cmocka_unit_test(pieces_become_text_again),
        cmocka_unit_test(fit_pads_and_keeps_the_end_token_when_it_cuts),
        cmocka_unit_test_teardown(toy_bpe_folder_gives_unknown_bytes_the_unknown_token,
                                  clear_folder),
        cmocka_unit_test_teardown(wordpiece_folder_follows_its_switches, clear_folder),
        cmocka_unit_test_teardown(broken_folders_give_one_clear_sentence, clear_folder),
        cmocka_unit_test_teardown(running_out_of_memory_leaks_nothing, clear_folder),
        cmocka_unit_test(long_lines_take_no_time),
        cmocka_unit_test(cleaning_follows_ftfy_and_html),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
