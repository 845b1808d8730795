/* Ten thousand lines against transformers and open_clip: equal ids on every line, proven by hashes
 * (see scripts/make_golden_tokenizer.py for the files), and folders in the published layouts. */
#include "core/buf.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "golden/tokenizer_corpus.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { LINES = 10000, KINDS = 3 };
static const char *const kind_names[KINDS] = {"hf", "open", "wordpiece"};
extern const unsigned char clip_bpe_merges[];
extern const size_t clip_bpe_merges_size;

static struct tokenizer *open_kind(int kind, const char *dir)
{
    struct tokenizer *t;
    struct error err;
    if (tokenizer_open(&t, (enum tokenizer_kind)kind, dir, &err))
        fail_msg("%s", err.text);
    return t;
}

static void check_corpus(int kind)
{
    size_t size, hash_size, bad = 0;
    char *corpus = read_data("corpus.bin", &size);
    char *hashes = read_data("hashes.bin", &hash_size);
    assert_int_equal(hash_size, LINES * KINDS * 8);
    struct tokenizer *t = open_kind(kind, NULL);
    struct token_list l = {0};
    struct error err;
    const char *p = corpus;
    for (size_t i = 0; i < LINES; i++) {
        size_t n;
        uint64_t want;
        char *line = next_line(&p, &n);
        memcpy(&want, hashes + (i * KINDS + (size_t)kind) * 8, 8);
        if (tokenizer_encode(t, line, n, &l, &err))
            fail_msg("%s", err.text);
        if (hash_ids(&l) != want && bad++ < 5)
            print_error("line %zu differs: %.60s\n", i, line);
        mem_free(line);
    }
    assert_ptr_equal(p, corpus + size);
    assert_int_equal(bad, 0);
    token_list_release(&l);
    tokenizer_close(t);
    mem_free(corpus);
    mem_free(hashes);
}

static void ids_equal_transformers_clip(void **state)
{
    (void)state;
    check_corpus(TOKENIZER_CLIP_HF);
}

static void ids_equal_open_clip(void **state)
{
    (void)state;
    check_corpus(TOKENIZER_CLIP_OPEN);
}

static void ids_equal_transformers_bert(void **state)
{
    (void)state;
    check_corpus(TOKENIZER_WORDPIECE);
}

/* "1 2 3\n" as printed by the reference. */
static void check_ids(const char *s, const struct token_list *l, const char *what)
{
    char *end;
    size_t n = 0;
    for (; *s && *s != '\n'; s = end) {
        long id = strtol(s, &end, 10);
        assert_ptr_not_equal(s, end);
        if (n >= l->n || l->id[n] != id)
            fail_msg("%s: id %zu is not %ld", what, n, id);
        n++;
    }
    assert_int_equal(n, l->n);
}

static void samples_equal_id_by_id(void **state)
{
    (void)state;
    size_t size, corpus_size, at = 0, n = 0;
    char *sample = read_data("sample.txt", &size), *corpus = read_data("corpus.bin", &corpus_size);
    struct tokenizer *t[KINDS];
    struct token_list l = {0};
    struct error err;
    for (int k = 0; k < KINDS; k++)
        t[k] = open_kind(k, NULL);
    const char *p = corpus;
    char *line = next_line(&p, &n), *save = NULL;
    for (char *s = strtok_r(sample, "\n", &save); s; s = strtok_r(NULL, "\n", &save)) {
        char kind[16], *ids;
        size_t want = strtoul(s, &ids, 10);
        assert_int_equal(sscanf(ids, " %15s", kind), 1);
        for (; at < want; at++) {
            mem_free(line);
            line = next_line(&p, &n);
        }
        for (int k = 0; k < KINDS; k++)
            if (!strcmp(kind, kind_names[k])) {
                assert_int_equal(tokenizer_encode(t[k], line, n, &l, &err), ST_OK);
                check_ids(ids + 1 + strlen(kind), &l, s);
            }
    }
    assert_true(at > LINES * 9 / 10);
    for (int k = 0; k < KINDS; k++)
        tokenizer_close(t[k]);
    token_list_release(&l);
    mem_free(line);
    mem_free(corpus);
    mem_free(sample);
}

static void write_file(const char *dir, const char *name, const char *data, size_t n)
{
    char *path = path_join(dir, name);
    struct error err;
    if (file_write_atomic(path, data, n, &err))
        fail_msg("%s", err.text);
    mem_free(path);
}

static void remove_folder(const char *dir)
{
    static const char *const names[] = {"vocab.json",
                                        "merges.txt",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = path_join(dir, names[i]);
        unlink(path);
        mem_free(path);
    }
    assert_int_equal(rmdir(dir), 0);
}

static json_t *vocab_json(void)
{
    struct tokenizer *t = open_kind(TOKENIZER_CLIP_HF, NULL);
    json_t *v = json_object();
    for (int i = 0; i < tokenizer_vocab_size(t); i++)
        json_object_set_new(v, tokenizer_piece(t, i), json_integer(i));
    tokenizer_close(t);
    return v;
}

/* The published layouts: vocab.json and merges.txt, or all of it in tokenizer.json. */
static void write_model(const char *dir, bool full)
{
    json_t *vocab = vocab_json();
    if (!full) {
        char *text = json_dumps(vocab, 0);
        write_file(dir, "vocab.json", text, strlen(text));
        free(text);
        struct buf b;
        buf_init(&b, 1 << 20);
        buf_puts(&b, "#version: 0.2\n");
        buf_append(&b, clip_bpe_merges, clip_bpe_merges_size);
        write_file(dir, "merges.txt", b.data, b.len);
        buf_release(&b);
        json_decref(vocab);
        return;
    }
    json_t *merges = json_array();
    char *copy = mem_dup(clip_bpe_merges, clip_bpe_merges_size + 1), *save = NULL;
    for (char *s = strtok_r(copy, "\n", &save); s; s = strtok_r(NULL, "\n", &save)) {
        char *gap = strchr(s, ' ');
        if (json_array_size(merges) % 2) /* both forms are in use */
            json_array_append_new(merges, json_string(s));
        else
            json_array_append_new(merges, json_pack("[s%,s]", s, (size_t)(gap - s), gap + 1));
    }
    json_t *all = json_pack("{s:[],s:{s:s,s:o,s:o}}", "added_tokens", "model", "type", "BPE",
                            "vocab", vocab, "merges", merges);
    char *text = json_dumps(all, 0);
    write_file(dir, "tokenizer.json", text, strlen(text));
    free(text);
    mem_free(copy);
    json_decref(all);
}

static void copy_config(const char *dir, const char *folder)
{
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json",
                                        "added_tokens.json"};
    for (int i = 0; i < 3; i++) {
        char *path = mem_printf("%s/tokenizer/%s/%s", TEST_DATA, folder, names[i]), *data;
        size_t size;
        if (file_exists(path)) {
            assert_int_equal(file_read_all(&data, &size, path, 1 << 20, NULL), ST_OK);
            write_file(dir, names[i], data, size);
            mem_free(data);
        }
        mem_free(path);
    }
}

static void check_folder(const char *folder, bool full)
{
    char dir[] = "/tmp/tokenizer-XXXXXX", name[64], *save = NULL;
    size_t size;
    assert_non_null(mkdtemp(dir));
    write_model(dir, full);
    copy_config(dir, folder);
    snprintf(name, sizeof name, "%s/expected.txt", folder);
    char *expected = read_data(name, &size);
    struct tokenizer *t = open_kind(TOKENIZER_CLIP_HF, dir);
    struct token_list l = {0};
    char *s = strtok_r(expected, "\n", &save);
    assert_int_equal(tokenizer_pad(t), strtol(s + 4, NULL, 10));
    while ((s = strtok_r(NULL, "\n", &save))) {
        char *tab = strchr(s, '\t');
        json_t *text = json_loadb(s, (size_t)(tab - s), JSON_DECODE_ANY, NULL);
        assert_true(json_is_string(text));
        assert_int_equal(
            tokenizer_encode(t, json_string_value(text), json_string_length(text), &l, NULL),
            ST_OK);
        check_ids(tab, &l, s);
        json_decref(text);
    }
    token_list_release(&l);
    tokenizer_close(t);
    mem_free(expected);
    remove_folder(dir);
}

static void folders_equal_transformers(void **state)
{
    (void)state;
    check_folder("folder_plain", false);
    check_folder("folder_legacy", false);
    check_folder("folder_decoder", false);
    check_folder("folder_added", false);
}

static void tokenizer_json_equals_separate_files(void **state)
{
    (void)state;
    check_folder("folder_plain", true);
    check_folder("folder_legacy", true);
    check_folder("folder_decoder", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_equal_transformers_clip),
        cmocka_unit_test(ids_equal_open_clip),
        cmocka_unit_test(ids_equal_transformers_bert),
        cmocka_unit_test(samples_equal_id_by_id),
        cmocka_unit_test(folders_equal_transformers),
        cmocka_unit_test(tokenizer_json_equals_separate_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
