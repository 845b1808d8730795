/* What is kept of files: their SHA-256, as the standard's examples have it, until they change. */
#include "app/file_hash.h"
#include "core/file.h"
#include "core/file_note.h"
#include "core/mem.h"
#include "core/path.h"
#include "test.h"
#include <dirent.h>
#include <string.h>
#include <unistd.h>

static void examples_of_the_standard(void **state)
{
    (void)state;
    static const char *const examples[][2] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        struct sha256_ctx h;
        char hex[65];
        size_t n = strlen(examples[i][0]);
        sha256_init(&h);
        sha256_update(&h, n, (const uint8_t *)examples[i][0]);
        file_hash_hex(&h, hex);
        assert_string_equal(hex, examples[i][1]);
        sha256_update(&h, n, (const uint8_t *)examples[i][0]); /* as new again */
        file_hash_hex(&h, hex);
        assert_string_equal(hex, examples[i][1]);
    }
}

/* A file of the folder, mem_free; NULL = there is none. */
static char *any_file(const char *folder)
{
    DIR *d = opendir(folder);
    char *path = NULL;
    for (const struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.')
            path = path ? path : path_join(folder, e->d_name);
    if (d)
        closedir(d);
    return path;
}

/* The only file of a folder, with one bit of its byte `at` from the end turned. */
static void turn_bit(const char *folder, long at)
{
    char *path = any_file(folder);
    FILE *f = path ? fopen(path, "r+e") : NULL;
    assert_non_null(f);
    fseek(f, -at, SEEK_END);
    int c = fgetc(f);
    fseek(f, -at, SEEK_END);
    fputc(c ^ 1, f);
    fclose(f);
    mem_free(path);
}

static void a_damaged_note_is_none(void **state)
{
    (void)state;
    char text[80], *here = getcwd(NULL, 0), *cache = mem_printf("%s/toy-damaged-notes", here);
    char *folder = path_join(cache, "eidetic/ids");
    const char *file = "toy-damaged.bin", *id = "0123456789abcdef0123456789abcdef";
    setenv("XDG_CACHE_HOME", cache, 1);
    assert_int_equal(file_write_atomic(file, "abc", 3, NULL), ST_OK);
    for (char *old; (old = any_file(folder)); mem_free(old)) /* of a run before */
        assert_int_equal(unlink(old), 0);
    for (long at = 1; at < 60; at++) { /* of its sum, its id and its first line */
        file_note_put(file, "ids", id);
        assert_true(file_note_get(file, "ids", text, sizeof text));
        assert_string_equal(text, id);
        turn_bit(folder, at);
        assert_false(file_note_get(file, "ids", text, sizeof text));
    }
    unlink(file);
    mem_free(folder);
    mem_free(cache);
    free(here);
    unsetenv("XDG_CACHE_HOME");
}

static void a_note_holds_as_long_as_the_file(void **state)
{
    (void)state;
    char hex[65], text[80];
    char *here = getcwd(NULL, 0), *cache = mem_printf("%s/toy-notes", here);
    const char *file = "toy-noted.safetensors";
    const char data[] = "\x02\0\0\0\0\0\0\0{}abc";
    setenv("XDG_CACHE_HOME", cache, 1);
    assert_int_equal(file_write_atomic(file, data, sizeof data - 1, NULL), ST_OK);
    assert_false(file_note_get(file, "sha256", text, sizeof text));
    assert_int_equal(file_hash(hex, file, true, NULL, NULL), ST_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(file_note_get(file, "sha256-tensors", text, sizeof text));
    assert_string_equal(text, hex);
    assert_false(file_note_get(file, "sha256-tensors", text, 64)); /* does not fit */
    file_note_put(file, "sha256-tensors", "not a hash");           /* as a damaged disk would */
    assert_int_equal(file_hash(hex, file, true, NULL, NULL), ST_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(file_write_atomic(file, "abc", 3, NULL), ST_OK);
    assert_false(file_note_get(file, "sha256-tensors", text, sizeof text));
    assert_int_equal(file_hash(hex, file, true, NULL, NULL), ST_OK); /* no header: all of it */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    volatile sig_atomic_t stop = 1;
    assert_int_equal(file_hash(hex, file, false, &stop, NULL), ST_INTERRUPTED);
    unlink(file);
    mem_free(cache);
    free(here); /* the C library's */
    unsetenv("XDG_CACHE_HOME");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_standard),
        cmocka_unit_test(a_note_holds_as_long_as_the_file),
        cmocka_unit_test(a_damaged_note_is_none),
    };
    return cmocka_run_group_tests_name("file hash", tests, NULL, NULL);
}
