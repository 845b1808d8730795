/* What the fuzz targets' mutations do to a file: it stays a row of whole records whose lengths and
 * counts are right, records come and go, and nothing is written past the room given. */
#include "core/bytes.h"
#include "core/mem.h"
#include "test.h"
#include "tests/fuzz/structure.h"

#define CAP 512
#define SEEDS 4000

static uint32_t tick;

/* One byte more, one byte less, another value. */
size_t LLVMFuzzerMutate(uint8_t *d, size_t n, size_t cap)
{
    tick++;
    if (tick % 3 == 0 && n < cap)
        d[n++] = 'x';
    else if (tick % 3 == 1 && n)
        n--;
    else if (n)
        d[tick % n] ^= 0x20;
    return n;
}

/* How many records the bytes are; 0 where they are not records to their end. */
static size_t records(const struct grammar *g, const uint8_t *d, size_t n)
{
    size_t found = 0;
    for (size_t at = g->prefix; at < n; found++) {
        struct record r = {0};
        if (!g->next(&r, d, n, at, found) || r.head > n - at || r.body > n - at - r.head ||
            r.tail > n - at - r.head - r.body || !(r.head + r.body + r.tail))
            return 0;
        at += r.head + r.body + r.tail;
    }
    return found;
}

/* Mutates and crosses SEED: the share of results that are whole, in percent, with records taken
 * out and put in among them. */
static int whole(const struct grammar *g, const void *seed, size_t n)
{
    size_t before = records(g, seed, n), good = 0, fewer = 0, more = 0;
    assert_true(before > 0);
    for (unsigned i = 0; i < SEEDS; i++) {
        uint8_t *d = mem_zalloc(CAP + 8); /* the last eight must stay zero */
        assert_non_null(d);
        memcpy(d, seed, n);
        size_t size =
            i % 4 ? structure_mutate(g, d, n, CAP, i) : structure_cross(g, d, n, CAP, seed, n, i);
        assert_true(size <= CAP && bytes_le64(d + CAP) == 0);
        size_t after = size >= g->prefix ? records(g, d, size) : 0;
        good += after > 0;
        fewer += after && after < before;
        more += after > before;
        mem_free(d);
    }
    assert_true(fewer > SEEDS / 100 && more > SEEDS / 100);
    return (int)(good * 100 / SEEDS);
}

/* One in five mutations keeps no structure, one in eight of the others changes a head: of the rest
 * all must be whole where a format's records do not depend on each other. */
#define MOST 70

static void chunks_of_png_keep_their_lengths(void **state)
{
    static const char png[] = "\x89PNG\r\n\x1a\n"
                              "\0\0\0\x05IHDRabcdeCRC1"
                              "\0\0\0\x02tEXthiCRC2"
                              "\0\0\0\0IENDCRC3";
    (void)state;
    assert_true(whole(&grammar_png, png, sizeof png - 1) >= MOST);
}

static void boxes_keep_their_lengths_however_deep(void **state)
{
    static const char mov[] = "\0\0\0\x0c"
                              "ftypheic"
                              "\0\0\0\x28moov"
                              "\0\0\0\x20trak"
                              "\0\0\0\x0ctkhdabcd"
                              "\0\0\0\x0cmdhdefgh"
                              "\0\0\0\x09mdatz";
    (void)state;
    assert_true(whole(&grammar_bmff, mov, sizeof mov - 1) >= MOST);
}

static void operations_of_a_pickle_stay_operations(void **state)
{
    static const char pickle[] = "\x80\x02}q\0(X\x01\0\0\0wctorch\nSize\nK\x03\x85Ru.";
    (void)state;
    assert_true(whole(&grammar_pickle, pickle, sizeof pickle - 1) >= MOST);
}

static void fields_of_protocol_buffers_keep_their_sizes(void **state)
{
    static const char model[] = "\x0a\x08\x0a\x01"
                                "a\x15\0\0\x80\x3f"
                                "\x0a\x05\x0a\x01"
                                "b\x18\x02"
                                "\x12\x02\x18\x01";
    (void)state;
    assert_true(whole(&grammar_protobuf, model, sizeof model - 1) >= MOST);
}

/* The counts in GGUF's header follow its keys and tensors. Those change places too, which is no
 * file any more. */
static void counts_of_gguf_follow(void **state)
{
    static const char gguf[] = "GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0"
                               "\x01\0\0\0\0\0\0\0k\x08\0\0\0\x02\0\0\0\0\0\0\0hi"
                               "\x01\0\0\0\0\0\0\0m\x04\0\0\0\x07\0\0\0"
                               "\x01\0\0\0\0\0\0\0t\x01\0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0"
                               "\0\0\0\0\0\0\0\0"
                               "DATADATADATADATA";
    (void)state;
    assert_int_equal(records(&grammar_gguf, (const uint8_t *)gguf, sizeof gguf - 1), 4);
    assert_true(whole(&grammar_gguf, gguf, sizeof gguf - 1) >= 55);
}

/* The length before safetensors' header is the header's, whatever became of its JSON. */
static void header_of_safetensors_keeps_its_length(void **state)
{
    static const char file[] = "\x38\0\0\0\0\0\0\0"
                               "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}  "
                               "DATA";
    size_t good = 0;
    (void)state;
    assert_int_equal(bytes_le64((const uint8_t *)file) + 8 + 4, sizeof file - 1);
    for (unsigned i = 0; i < SEEDS; i++) {
        uint8_t d[CAP];
        memcpy(d, file, sizeof file - 1);
        size_t n = structure_mutate(&grammar_safetensors, d, sizeof file - 1, CAP, i);
        good += n >= 12 && bytes_le64(d) == n - 12 && memcmp(d + n - 4, "DATA", 4) == 0;
    }
    assert_true(good * 100 / SEEDS >= 40);
}

/* An entry of a table changes, and what is round the table does not. */
static void entries_of_tiff_change_in_place(void **state)
{
    static const char tiff[] = "II*\0\x08\0\0\0\x02\0"
                               "\0\x01\x03\0\x01\0\0\0\x07\0\0\0"
                               "\x01\x01\x04\0\x02\0\0\0\x09\0\0\0"
                               "\0\0\0\0";
    size_t n = sizeof tiff - 1, kept = 0, changed = 0;
    (void)state;
    for (unsigned i = 0; i < SEEDS; i++) {
        uint8_t d[CAP];
        memcpy(d, tiff, n);
        kept += structure_mutate(&grammar_tiff, d, n, CAP, i) == n && memcmp(d, tiff, 10) == 0 &&
                memcmp(d + 34, tiff + 34, 4) == 0;
        changed += memcmp(d + 10, tiff + 10, 24) != 0;
    }
    assert_true(kept * 100 / SEEDS >= MOST && changed * 100 / SEEDS >= 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_of_png_keep_their_lengths),
        cmocka_unit_test(boxes_keep_their_lengths_however_deep),
        cmocka_unit_test(operations_of_a_pickle_stay_operations),
        cmocka_unit_test(fields_of_protocol_buffers_keep_their_sizes),
        cmocka_unit_test(counts_of_gguf_follow),
        cmocka_unit_test(header_of_safetensors_keeps_its_length),
        cmocka_unit_test(entries_of_tiff_change_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
