/* SentencePiece's tokenizers against transformers: equal ids on 2,500 lines in all scripts, proven
 * by hashes (scripts/make_golden_spm.py), from a .model and from the tokenizer.json made of it; and
 * damaged models. */
#include "clip/spm.h"
#include "core/path.h"
#include "golden/tokenizer_corpus.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINES = 10000, STEP = 4, KINDS = 6 };
static const enum tokenizer_kind kinds[KINDS] = {TOKENIZER_SIGLIP,   TOKENIZER_XLMR,
                                                 TOKENIZER_GEMMA,    TOKENIZER_ROBERTA,
                                                 TOKENIZER_T5_CLEAN, TOKENIZER_GEMMA_CLEAN};

static struct tokenizer *open_kind(enum tokenizer_kind kind, const char *dir)
{
    struct tokenizer *t;
    struct error err;
    if (tokenizer_open(&t, kind, dir, &err))
        fail_msg("%s", err.text);
    return t;
}

static void check_corpus(int kind, const char *dir)
{
    size_t size, hash_size, bad = 0;
    char *corpus = read_data("corpus.bin", &size),
         *hashes = read_data("hashes_spm.bin", &hash_size);
    const char *p = corpus;
    struct token_list l = {0};
    struct tokenizer *t = open_kind(kinds[kind], dir);
    assert_int_equal(hash_size, LINES / STEP * KINDS * 8);
    for (int i = 0; i < LINES; i++) {
        size_t n;
        char *line = next_line(&p, &n);
        uint64_t want;
        if (i % STEP == 0) {
            struct error err;
            memcpy(&want, hashes + ((size_t)(i / STEP) * KINDS + (size_t)kind) * 8, 8);
            assert_int_equal(tokenizer_encode(t, line, n, &l, &err), ST_OK);
            if (hash_ids(&l) != want && bad++ < 10) {
                print_message("line %d differs: %.*s\n  ", i, n > 300 ? 300 : (int)n, line);
                for (size_t k = 0; k < l.n && k < 60; k++)
                    print_message(" %d", l.id[k]);
                print_message("\n");
            }
        }
        mem_free(line);
    }
    assert_int_equal(bad, 0);
    token_list_release(&l);
    tokenizer_close(t);
    mem_free(hashes);
    mem_free(corpus);
}

/* A folder with one file in it; remove_folder takes it away. */
static char *folder_with(const char *name, const void *data, size_t size)
{
    char *dir = mem_printf("spm-%d", (int)getpid()), *path = path_join(dir, name);
    assert_int_equal(file_make_dirs(dir, NULL), ST_OK);
    assert_int_equal(file_write_atomic(path, data, size, NULL), ST_OK);
    mem_free(path);
    return dir;
}

static void remove_folder(char *dir, const char *name)
{
    char *path = path_join(dir, name);
    unlink(path);
    rmdir(dir);
    mem_free(path);
    mem_free(dir);
}

static void siglip_s_ids_equal_transformers(void **state)
{
    (void)state;
    check_corpus(0, TEST_DATA "/tokenizer/folder_spm");
}

static void gemma_s_ids_equal_transformers(void **state)
{
    (void)state;
    check_corpus(2, TEST_DATA "/tokenizer/folder_gemma");
}

static void roberta_s_ids_equal_open_clip(void **state)
{
    (void)state;
    check_corpus(3, TEST_DATA "/tokenizer/folder_roberta");
}

static void ids_of_open_clip_s_siglip_equal_it(void **state)
{
    (void)state;
    check_corpus(4, TEST_DATA "/tokenizer/folder_t5");
    check_corpus(5, TEST_DATA "/tokenizer/folder_gemma");
}

static void xlm_r_s_ids_equal_open_clip(void **state)
{
    (void)state;
    check_corpus(1, TEST_DATA "/tokenizer/folder_spm");
}

static char *base64(const unsigned char *p, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = mem_alloc(n / 3 * 4 + 8), *o = out;
    assert_non_null(out);
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
                     (i + 2 < n ? p[i + 2] : 0);
        *o++ = digit[v >> 18];
        *o++ = digit[v >> 12 & 63];
        *o++ = i + 1 < n ? digit[v >> 6 & 63] : '=';
        *o++ = i + 2 < n ? digit[v & 63] : '=';
    }
    *o = 0;
    return out;
}

/* The model as transformers saves it: pieces with scores, and the rules in base64. */
static char *as_json(const char *data, size_t size)
{
    static const char *const front[] = {"<s>", "<pad>", "</s>", "<unk>"};
    struct spm s = {0};
    struct vocab v = {0};
    struct error err = {0};
    if (spm_read(&s, &v, data, size, "spiece.model", &err))
        fail_msg("%s", err.text);
    size_t blob_size = 4 + s.units * 4 + s.text_size;
    unsigned char *blob = mem_alloc(blob_size);
    uint32_t trie = (uint32_t)(s.units * 4);
    memcpy(blob, &trie, 4);
    memcpy(blob + 4, s.unit, trie);
    memcpy(blob + 4 + trie, s.text, s.text_size);
    char *text = base64(blob, blob_size);
    json_t *vocab = json_array();
    for (int i = 0; i < 4; i++)
        json_array_append_new(vocab, json_pack("[s,f]", front[i], 0.0));
    for (size_t i = 3; i < s.n; i++)
        json_array_append_new(vocab, json_pack("[s,f]", vocab_piece(&v, (int32_t)i), s.score[i]));
    json_array_append_new(vocab, json_pack("[s,f]", "<mask>", 0.0));
    json_t *full =
        json_pack("{s:[{s:s,s:b}],s:{s:s,s:[{s:s,s:s}]},s:{s:s,s:i,s:o}}", "added_tokens",
                  "content", "hasselblad", "normalized", 0, "normalizer", "type", "Sequence",
                  "normalizers", "type", "Precompiled", "precompiled_charsmap", text, "model",
                  "type", "Unigram", "unk_id", 3, "vocab", vocab);
    char *dump = json_dumps(full, JSON_REAL_PRECISION(17));
    json_decref(full);
    mem_free(text);
    mem_free(blob);
    spm_release(&s);
    vocab_release(&v);
    return dump;
}

static void a_tokenizer_json_gives_the_same_ids(void **state)
{
    (void)state;
    size_t size;
    char *data = read_data("folder_spm/spiece.model", &size), *text = as_json(data, size);
    char *dir = folder_with("tokenizer.json", text, strlen(text));
    check_corpus(1, dir);
    remove_folder(dir, "tokenizer.json");
    free(text);
    mem_free(data);
}

static void refuse(const char *data, size_t size, enum status code, const char *word)
{
    struct tokenizer *t;
    struct error err = {0};
    char *dir = folder_with("spiece.model", data, size);
    enum status st = tokenizer_open(&t, TOKENIZER_SIGLIP, dir, &err);
    if (st != code || !strstr(err.text, word))
        fail_msg("wanted %s with '%s', got %s: %s", status_name(code), word, status_name(st),
                 err.text);
    remove_folder(dir, "spiece.model");
}

static void damaged_models_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t size;
        enum status code;
        const char *word;
    } cases[] = {
        {"", 0, ST_FORMAT, "not a sentencepiece model"},
        {"\x0a", 1, ST_FORMAT, "not a sentencepiece model"},
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, ST_FORMAT, "not a sentencepiece"},
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13, ST_FORMAT, "not a sentence"},
        {"\x0b", 1, ST_FORMAT, "not a sentencepiece model"},
        {"\x0a\x03\x0a\x01"
         "a",
         5, ST_FORMAT, "not a sentencepiece model"}, /* no unknown */
        {"\x0a\x05\x0a\x01\xff\x18\x02", 7, ST_FORMAT, "no text"},
        {"\x0a\x05\x0a\x01"
         "a\x18\x09",
         7, ST_FORMAT, "not a sentencepiece model"},
        {"\x0a\x0a\x0a\x01"
         "a\x15\x00\x00\x80\x7f\x18\x02",
         12, ST_FORMAT, "no proper score"},
        {"\x0a\x05\x0a\x01"
         "a\x18\x02\x12\x02\x18\x03",
         11, ST_UNSUPPORTED, "words or characters"},
        {"\x0a\x05\x0a\x01"
         "a\x18\x02\x12\x02\x18\x02",
         11, ST_UNSUPPORTED, "a bpe model"},
        {"\x0a\x05\x0a\x01"
         "a\x18\x02\x1a\x04\x12\x02xx",
         13, ST_FORMAT, "rules are damaged"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(cases[i].data, cases[i].size, cases[i].code, cases[i].word);
    struct tokenizer *t;
    struct error err;
    assert_int_equal(tokenizer_open(&t, TOKENIZER_GEMMA, NULL, &err), ST_NOT_FOUND);
}

/* Rules whose trie points anywhere, and texts that walk them. */
static void hostile_rules_stay_in_their_file(void **state)
{
    (void)state;
    size_t size;
    char *data = read_data("folder_spm/spiece.model", &size);
    uint64_t x = 88172645463325252u;
    for (int round = 0; round < 40; round++) {
        struct spm s = {0};
        struct vocab v = {0};
        struct buf b;
        struct utext u = {0};
        assert_int_equal(spm_read(&s, &v, data, size, "spiece.model", NULL), ST_OK);
        for (size_t i = 0; i < s.units; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            if (x % 3 == 0)
                s.unit[i] = (uint32_t)(x >> 20);
        }
        buf_init(&b, (size_t)1 << 24);
        static const char text[] = "caf\xc3\xa9 \xef\xbc\xa1\xe2\x84\xa2 \xe3\x8e\x8f \r\n x";
        spm_normalize(&s, &v, text, sizeof text - 1, &b);
        assert_true(utext_decode(&u, text, sizeof text - 1) && spm_precompiled(&s, &u));
        utext_release(&u);
        buf_release(&b);
        spm_release(&s);
        vocab_release(&v);
    }
    mem_free(data);
}

static void padding_and_cuts(void **state)
{
    (void)state;
    struct tokenizer *t = open_kind(TOKENIZER_GEMMA, TEST_DATA "/tokenizer/folder_gemma");
    struct token_list l = {0};
    int32_t ids[8];
    assert_int_equal(tokenizer_bos(t), -1);
    assert_int_equal(tokenizer_encode(t, "a", 1, &l, NULL), ST_OK);
    size_t n = tokenizer_fit(t, &l, 8, ids);
    assert_int_equal(ids[n - 1], tokenizer_eos(t));
    for (size_t i = n; i < 8; i++)
        assert_int_equal(ids[i], tokenizer_pad(t));
    const char *text = "a long sentence that must be cut somewhere";
    assert_int_equal(tokenizer_encode(t, text, strlen(text), &l, NULL), ST_OK);
    assert_true(l.n > 8);
    assert_int_equal(tokenizer_fit(t, &l, 8, ids), 8);
    assert_int_equal(ids[7], tokenizer_eos(t));
    token_list_release(&l);
    tokenizer_close(t);
}

/* Siglip2's class lowers the case, Gemma's does not, and the general ones do as the file says. */
static void the_case_follows_the_class(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        bool lower;
    } cases[] = {{"{\"tokenizer_class\": \"Siglip2Tokenizer\"}", true},
                 {"{\"tokenizer_class\": \"GemmaTokenizer\"}", false},
                 {"{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}", true}};
    char *data = NULL;
    size_t size = 0;
    assert_int_equal(file_read_all(&data, &size, TEST_DATA "/tokenizer/folder_gemma/tokenizer.json",
                                   (size_t)8 << 20, NULL),
                     ST_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *dir = folder_with("tokenizer.json", data, size);
        char *config = path_join(dir, "tokenizer_config.json");
        struct token_list big = {0}, small = {0};
        assert_int_equal(file_write_atomic(config, cases[i].config, strlen(cases[i].config), NULL),
                         ST_OK);
        struct tokenizer *t = open_kind(TOKENIZER_GEMMA, dir);
        assert_int_equal(tokenizer_encode(t, "A DOG", 5, &big, NULL), ST_OK);
        assert_int_equal(tokenizer_encode(t, "a dog", 5, &small, NULL), ST_OK);
        bool same = big.n == small.n && memcmp(big.id, small.id, big.n * sizeof *big.id) == 0;
        assert_int_equal(same, cases[i].lower);
        token_list_release(&big);
        token_list_release(&small);
        tokenizer_close(t);
        unlink(config);
        mem_free(config);
        remove_folder(dir, "tokenizer.json");
    }
    mem_free(data);
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    static const char *const dirs[] = {TEST_DATA "/tokenizer/folder_spm",
                                       TEST_DATA "/tokenizer/folder_gemma"};
    static const enum tokenizer_kind which[] = {TOKENIZER_SIGLIP, TOKENIZER_GEMMA};
    for (int k = 0; k < 2; k++) {
        enum status st = ST_NOMEM;
        for (uint64_t n = 1; st; n += 1 + n / 8) {
            struct tokenizer *t = NULL;
            struct token_list l = {0};
            struct error err = {0};
            mem_fail_at(n, true);
            st = tokenizer_open(&t, which[k], dirs[k], &err);
            if (!st)
                st = tokenizer_encode(t, "caf\xc3\xa9 \xe7\x8c\xab", 9, &l, &err);
            mem_fail_at(0, false);
            if (st && (st != ST_NOMEM || !err.text[0]))
                fail_msg("allocation %d: %s: %s", (int)n, status_name(st), err.text);
            token_list_release(&l);
            tokenizer_close(t);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siglip_s_ids_equal_transformers),
        cmocka_unit_test(gemma_s_ids_equal_transformers),
        cmocka_unit_test(xlm_r_s_ids_equal_open_clip),
        cmocka_unit_test(roberta_s_ids_equal_open_clip),
        cmocka_unit_test(ids_of_open_clip_s_siglip_equal_it),
        cmocka_unit_test(a_tokenizer_json_gives_the_same_ids),
        cmocka_unit_test(damaged_models_are_refused),
        cmocka_unit_test(hostile_rules_stay_in_their_file),
        cmocka_unit_test(padding_and_cuts),
        cmocka_unit_test(the_case_follows_the_class),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("golden_spm", tests, NULL, NULL);
}
