/* SHA-256 by FIPS 180-4's examples, every version of it the same; and what is kept of files. */
#include "app/file_hash.h"
#include "core/cpu.h"
#include "core/file.h"
#include "core/file_note.h"
#include "core/mem.h"
#include "core/rng.h"
#include "core/sha256.h"
#include "test.h"
#include <string.h>
#include <unistd.h>

static void expect(const char *text, size_t times, const char *want)
{
    struct sha256 h;
    char hex[65];
    sha256_init(&h);
    for (size_t i = 0; i < times; i++)
        sha256_update(&h, text, strlen(text));
    sha256_hex(&h, hex);
    assert_string_equal(hex, want);
}

static void examples_of_the_standard(void **state)
{
    (void)state;
    static const char *const levels[] = {"ref", "avx512vnni"};
    for (int i = 0; i < 2; i++) {
        setenv("EIDETIC_CPU", levels[i], 1);
        printf("%s: %s\n", levels[i], cpu_has_sha() ? "x86's instructions" : "plain C");
        expect("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        expect("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        expect("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        expect("aaaaaaaaaa", 100000,
               "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
    unsetenv("EIDETIC_CPU");
}

static void every_version_gives_the_same(void **state)
{
    (void)state;
    struct rng rng = {7};
    unsigned char data[1000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)rng_below(&rng, 256);
    for (int i = 0; i < 500; i++) {
        char hex[2][65];
        size_t from = rng_below(&rng, 64), n = rng_below(&rng, 900), cut = rng_below(&rng, 900);
        cut = cut < n ? cut : n;
        for (int k = 0; k < 2; k++) {
            struct sha256 h;
            setenv("EIDETIC_CPU", k ? "avx512vnni" : "ref", 1);
            sha256_init(&h);
            sha256_update(&h, data + from, cut);
            sha256_update(&h, data + from + cut, n - cut);
            sha256_hex(&h, hex[k]);
        }
        assert_string_equal(hex[0], hex[1]);
    }
    unsetenv("EIDETIC_CPU");
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
        cmocka_unit_test(every_version_gives_the_same),
        cmocka_unit_test(a_note_holds_as_long_as_the_file),
    };
    return cmocka_run_group_tests_name("sha256", tests, NULL, NULL);
}
