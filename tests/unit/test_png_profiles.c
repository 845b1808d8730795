/* EXIF, XMP and IPTC in a PNG's chunks of text: as exiv2 and exiftool wrote them
 * (test_image_words.c has those), in all the kinds that there are, and with lengths and digits that
 * lie. */
#include "core/buf.h"
#include "core/file.h"
#include "image/codec.h"
#include "tests/png_make.h"
#include "tests/unit/xmp_text.h"
#include <stdlib.h>

#define WORDS SOURCE_DIR "/tests/golden/words"
#define XMP_NAME "http://ns.adobe.com/xap/1.0/"
#define EXIF_TITLE                                                                                 \
    "MM\0*\0\0\0\x08\0\1\x01\x0E\0\2\0\0\0\x0D\0\0\0\x1A\0\0\0\0From a frog.\0" /* description */
static const char exif[] = EXIF_TITLE, exif_named[] = "Exif\0\0" EXIF_TITLE;
static const char packet[] = HEAD "><dc:title>Fog</dc:title>" TAIL;
static const char packet_named[] = XMP_NAME "\0" HEAD "><dc:title>Fog</dc:title>" TAIL;
static const char records[] = "\x1C\2\5\0\4Rosa\x1C\2\x19\0\6Vienna";
static const char resource[] = "8BIM\4\4\0\0\0\0\0\x14\x1C\2\5\0\4Rosa\x1C\2\x19\0\6Vienna";
static const char segment[] = "Photoshop 3.0\0"
                              "8BIM\4\4\0\0\0\0\0\x14\x1C\2\5\0\4Rosa\x1C\2\x19\0\6Vienna";

static void put32(uint8_t *to, size_t v)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(v >> (24 - 8 * i));
}

struct text {
    const char *type, *kind; /* of the chunk; "exif" */
    size_t said;             /* how many bytes the text says that it has; 0: as it is */
    const char *data;
    size_t n;
    const char *more; /* behind the digits */
    bool behind;      /* the pixels */
};

static size_t put_chunk(uint8_t *to, const struct text *t)
{
    struct buf b;
    uint8_t head[4], sum[4];
    buf_init(&b, 1 << 14);
    buf_puts(&b, t->type);
    buf_printf(&b, "Raw profile type %s", t->kind);
    /* not packed, by method 0, of no language, without a translated name */
    buf_append(&b, "\0\0\0\0", strcmp(t->type, "iTXt") ? 1 : 5);
    buf_printf(&b, "\n%s\n%8zu\n", t->kind, t->said ? t->said : t->n);
    for (size_t i = 0; i < t->n; i++)
        buf_printf(&b, "%02x%s", (uint8_t)t->data[i], i % 36 == 35 ? "\n" : "");
    buf_puts(&b, t->more ? t->more : "\n");
    assert_false(b.failed);
    size_t n = b.len;
    put32(head, n - 4);
    put32(sum, png_crc((const uint8_t *)b.data, n));
    memcpy(to, head, 4);
    memcpy(to + 4, b.data, n);
    memcpy(to + 4 + n, sum, 4);
    buf_release(&b);
    return n + 8;
}

/* bit1.png with these texts. */
static void probe_with(struct image_meta *m, const struct text *texts, size_t count)
{
    char *png = NULL;
    size_t size = 0, n = 33;
    assert_int_equal(
        file_read_all(&png, &size, SOURCE_DIR "/tests/golden/image/bit1.png", 1 << 20, NULL),
        ST_OK);
    uint8_t *all = calloc(1, 1 << 16);
    memcpy(all, png, n);
    for (size_t i = 0; i < count; i++)
        if (!texts[i].behind)
            n += put_chunk(all + n, &texts[i]);
    memcpy(all + n, png + 33, size - 33 - 12);
    n += size - 33 - 12;
    for (size_t i = 0; i < count; i++)
        if (texts[i].behind)
            n += put_chunk(all + n, &texts[i]);
    memcpy(all + n, png + size - 12, 12);
    uint8_t *copy = malloc(n + 12); /* so that a sanitizer sees the end */
    memcpy(copy, all, n + 12);
    assert_int_equal(image_probe_memory(m, copy, n + 12, "made.png", NULL), ST_OK);
    free(copy);
    free(all);
    mem_free(png);
}

static void every_kind_is_read_from_every_chunk_of_text(void **state)
{
    static const char *const types[] = {"tEXt", "iTXt"}; /* zTXt is what exiv2 wrote */
    static const struct {
        const char *kind, *data;
        size_t n;
        const char *title, *description, *keywords;
    } cases[] = {{"exif", exif, sizeof exif - 1, "", "From a frog.", ""},
                 {"exif", exif_named, sizeof exif_named - 1, "", "From a frog.", ""},
                 {"APP1", exif_named, sizeof exif_named - 1, "", "From a frog.", ""},
                 {"APP1", packet_named, sizeof packet_named - 1, "Fog", "", ""},
                 {"xmp", packet, sizeof packet - 1, "Fog", "", ""},
                 {"iptc", records, sizeof records - 1, "Rosa", "", "Vienna|"},
                 {"iptc", resource, sizeof resource - 1, "Rosa", "", "Vienna|"},
                 {"8bim", segment, sizeof segment - 1, "Rosa", "", "Vienna|"},
                 {"APP1", exif, sizeof exif - 1, "", "", ""}, /* of no name */
                 {"icm", exif, sizeof exif - 1, "", "", ""}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int k = 0; k < 4; k++) {
            struct image_meta m;
            const struct text t = {.type = types[k / 2],
                                   .kind = cases[i].kind,
                                   .data = cases[i].data,
                                   .n = cases[i].n,
                                   .behind = k % 2};
            probe_with(&m, &t, 1);
            assert_string_equal(m.words.title, cases[i].title);
            assert_string_equal(m.words.description, cases[i].description);
            keywords_are(&m.words, cases[i].keywords);
        }
}

static void they_go_together_and_xmp_goes_first(void **state)
{
    const struct text all[] = {
        {.type = "tEXt", .kind = "iptc", .data = resource, .n = sizeof resource - 1},
        {.type = "tEXt", .kind = "exif", .data = exif, .n = sizeof exif - 1},
        {.type = "tEXt", .kind = "xmp", .data = packet, .n = sizeof packet - 1}};
    struct image_meta m;
    (void)state;
    probe_with(&m, all, 3);
    assert_string_equal(m.words.title, "Fog");
    assert_string_equal(m.words.description, "From a frog.");
    keywords_are(&m.words, "Vienna|");
}

static void lengths_and_digits_that_lie_give_nothing(void **state)
{
    static const size_t n = sizeof exif - 1;
    const struct text cases[] = {
        {.said = n + 1, .n = n},                       /* one byte more than there is */
        {.said = n + 1, .n = n, .more = "0"},          /* half of one */
        {.said = n + 1, .n = n, .more = "\n  \n    "}, /* room, but no digits */
        {.said = n + 1, .n = n, .more = "0g"},         /* what is no digit */
        {.said = n + 1, .n = n, .more = "-1"},
        {.said = 4294967295, .n = n},
        {.said = SIZE_MAX, .n = n},
        {.said = SIZE_MAX / 2 + n + 1, .n = n}, /* twice that is a little again */
        {.said = 1 << 20, .n = n},
        {.said = 7, .n = n}, /* too short for EXIF */
        {.said = 7, .n = 0},
        {.n = 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct image_meta m;
        struct text t = cases[i];
        t.type = "tEXt";
        t.kind = "exif";
        t.data = exif;
        probe_with(&m, &t, 1);
        assert_string_equal(m.words.description, "");
    }
}

/* An eXIf chunk is believed before any text, and so is XMP in its own chunk. */
static void the_chunks_that_are_made_for_it_go_first(void **state)
{
    struct image_meta m;
    char *png = NULL;
    size_t size = 0;
    const struct text t[] = {
        {.type = "tEXt", .kind = "xmp", .data = packet, .n = sizeof packet - 1}};
    uint8_t all[1 << 14];
    (void)state;
    assert_int_equal(file_read_all(&png, &size, WORDS "/xmp.png", 8192, NULL), ST_OK);
    memcpy(all, png, 33);
    size_t n = 33 + put_chunk(all + 33, t);
    memcpy(all + n, png + 33, size - 33);
    assert_int_equal(image_probe_memory(&m, all, n + size - 33, "x.png", NULL), ST_OK);
    assert_string_equal(m.words.title, "Am Flu\xC3\x9F");
    mem_free(png);
}

/* 700,000 bytes of EXIF are 1.4 million digits, in 3 kB of file. */
static void what_unpacks_beyond_the_limit_of_texts_is_left_out(void **state)
{
    struct image_meta m;
    (void)state;
    assert_int_equal(image_probe(&m, WORDS "/short_profile.png", NULL), ST_OK);
    assert_string_equal(m.words.description, "From a frog.");
    assert_int_equal(image_probe(&m, WORDS "/long_profile.png", NULL), ST_OK);
    assert_string_equal(m.words.description, "");
}

static void memory_may_run_out_at_any_point(void **state)
{
    struct image_meta m;
    (void)state;
    for (uint64_t n = 1; n < 400; n++) {
        mem_fail_at(n, false);
        enum status st = image_probe(&m, WORDS "/exif.png", NULL);
        bool through = mem_fail_at(0, false) < n;
        if (through) {
            assert_int_equal(st, ST_OK);
            assert_string_equal(m.words.description, "Fog over the river");
            return;
        }
    }
    fail_msg("%s", "more than 400 allocations");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_read_from_every_chunk_of_text),
        cmocka_unit_test(they_go_together_and_xmp_goes_first),
        cmocka_unit_test(lengths_and_digits_that_lie_give_nothing),
        cmocka_unit_test(the_chunks_that_are_made_for_it_go_first),
        cmocka_unit_test(what_unpacks_beyond_the_limit_of_texts_is_left_out),
        cmocka_unit_test(memory_may_run_out_at_any_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
