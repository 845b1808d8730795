/* What people wrote of a picture: the same words from every kind of file that exiftool wrote them
 * into, and from odd and hostile text. */
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "image/codec.h"
#include "tests/unit/xmp_text.h"
#include <stdlib.h>
#include <unistd.h>

#define WORDS SOURCE_DIR "/tests/golden/words"

static void every_format_gives_the_words_that_exiftool_wrote(void **state)
{
    static const char *const names[] = {"xmp.jpg",  "xmp.png",  "xmp.webp", "xmp.tif",  "xmp.heic",
                                        "xmp.avif", "xmp.jp2",  "xmp.jxl",  "xmp.dng",  "xmp.gif",
                                        "iptc.jpg", "iptc.tif", "iptc.png", "exif.jpg", "exif.png"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        struct image_meta m;
        struct error err;
        snprintf(path, sizeof path, WORDS "/%s", names[i]);
        if (!image_name_supported(path)) {
            print_message("%s: built without its library, left out\n", names[i]);
            continue;
        }
        if (image_probe(&m, path, &err))
            fail_msg("%s", err.text);
        assert_string_equal(m.words.title, "Am Flu\xC3\x9F");
        assert_string_equal(m.words.description, "Fog over the river");
        keywords_are(&m.words, "Vienna|Gro\xC3\x9Fmutter Rosa|");
        assert_string_equal(m.taken, "2019-05-04T13:02:11+02:00");
        assert_int_equal(m.words.rating, names[i][0] == 'i' ? 0 : 4);
        assert_true(image_words_check(&m.words));
    }
}

static void latin1_without_a_character_set_is_read(void **state)
{
    struct image_meta m;
    (void)state;
    assert_int_equal(image_probe(&m, WORDS "/latin1.jpg", NULL), ST_OK);
    assert_string_equal(m.words.title, "Am Flu\xC3\x9F");
    keywords_are(&m.words, "Gro\xC3\x9Fmutter Rosa|");
}

static void the_default_language_is_taken_wherever_it_stands(void **state)
{
    struct image_words w;
    (void)state;
    assert_true(read_text(&w, HEAD "><dc:title><rdf:Alt><rdf:li xml:lang='de'>Morgen</rdf:li>"
                                   "<rdf:li xml:lang='x-default'>Morning &amp; <![CDATA[fog]]>"
                                   "</rdf:li><rdf:li xml:lang='fr'>Matin</rdf:li></rdf:Alt>"
                                   "</dc:title>" TAIL));
    assert_string_equal(w.title, "Morning & fog");
    assert_true(read_text(&w,
                          HEAD "><dc:title><rdf:Alt><rdf:li xml:lang='de'>Morgen</rdf:li>"
                               "<rdf:li xml:lang='fr'>Matin</rdf:li></rdf:Alt></dc:title>" TAIL));
    assert_string_equal(w.title, "Morgen");
}

static void attributes_and_elements_say_the_same(void **state)
{
    struct image_words w;
    (void)state;
    assert_true(read_text(&w,
                          HEAD " xmp:Rating='-1' photoshop:Headline='Head' "
                               "exif:GPSLatitude='48,12.5S' exif:GPSLongitude='16,22,30E'>" TAIL));
    assert_int_equal(w.rating, IMAGE_RATING_REJECTED);
    assert_string_equal(w.title, "Head");
    assert_true(w.has_gps && w.lat < -48.2083 && w.lat > -48.2084 && w.lon > 16.3749 &&
                w.lon < 16.3751);
    assert_true(read_text(&w, HEAD "><xmp:Rating>3</xmp:Rating><xmp:CreateDate>2001-01-01T10:00:00Z"
                                   "</xmp:CreateDate><photoshop:DateCreated>2019-05"
                                   "</photoshop:DateCreated>" TAIL));
    assert_int_equal(w.rating, 3);
    assert_string_equal(w.taken, "2019-05");
}

static void keywords_are_kept_once_and_levels_are_split(void **state)
{
    struct image_words w;
    (void)state;
    assert_true(read_text(
        &w, HEAD "><dc:subject><rdf:Bag>\n <rdf:li> Vienna </rdf:li><rdf:li>vienna</rdf:li>"
                 "<rdf:li/><rdf:li>a\nb</rdf:li></rdf:Bag></dc:subject><lr:hierarchicalSubject>"
                 "<rdf:Bag><rdf:li>Places|Vienna|Prater</rdf:li></rdf:Bag>"
                 "</lr:hierarchicalSubject>" TAIL));
    keywords_are(&w, "Vienna|a b|Places|Prater|");
}

/* A face's region has a description of its own, which is not the picture's. */
static void what_lies_deeper_is_not_the_pictures(void **state)
{
    struct image_words w;
    (void)state;
    assert_true(read_text(
        &w, HEAD "><xmp:Regions><rdf:Description><dc:title>no</dc:title><xmp:Rating>5</xmp:Rating>"
                 "</rdf:Description></xmp:Regions><dc:subject><rdf:Bag><rdf:li>"
                 "<rdf:Description><dc:title>no</dc:title></rdf:Description></rdf:li></rdf:Bag>"
                 "</dc:subject>" TAIL));
    assert_string_equal(w.title, "");
    assert_int_equal(w.rating, 0);
    keywords_are(&w, "");
}

static void no_entity_is_expanded(void **state)
{
    struct image_words w;
    (void)state;
    assert_false(read_text(&w, "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>"
                               "<x>&b;</x>"));
    assert_false(read_text(&w, "<!DOCTYPE x SYSTEM 'file:///etc/passwd'><x/>"));
    assert_false(read_text(&w, "not XML"));
    assert_false(read_text(&w, ""));
    char deep[4096] = "";
    for (int i = 0; i < 400; i++)
        memcpy(deep + 3 * i, "<a>", 4);
    assert_false(read_text(&w, deep));
}

static void what_was_read_before_an_error_stays(void **state)
{
    struct image_words w;
    (void)state;
    assert_false(read_text(&w, HEAD " xmp:Rating='2'><dc:title>cut"));
    assert_int_equal(w.rating, 2);
}

static void long_texts_are_cut_between_characters(void **state)
{
    struct image_words w = {0};
    char text[20000];
    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t i = 1; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xC3\x9F", 2);
    image_words_text(w.title, sizeof w.title, text, sizeof text - 1, false);
    assert_int_equal(strlen(w.title), sizeof w.title - 1);
    assert_true(utf8_valid(w.title, strlen(w.title)));
    for (int i = 0; i < 5000; i++) {
        char word[16];
        int n = snprintf(word, sizeof word, "word%d", i);
        image_words_add(&w, word, (size_t)n);
    }
    assert_true(w.keywords_size <= sizeof w.keywords && w.keywords_size > sizeof w.keywords - 16);
    assert_true(image_words_check(&w));
    w.keywords[3] = '\n';
    assert_false(image_words_check(&w));
    assert_int_equal(w.keywords_size, 0);
}

static void dates_of_all_kinds_become_iso_8601(void **state)
{
    static const char *const pairs[][2] = {
        {"2019", "2019"},
        {"2019-05", "2019-05"},
        {"2019:05:04", "2019-05-04"},
        {"2019-05-04T13:02", "2019-05-04T13:02:00"},
        {"2019-05-04T13:02:11.25Z", "2019-05-04T13:02:11+00:00"},
        {"2019:05:04 13:02:11+0530", "2019-05-04T13:02:11+05:30"},
        {"2019-05-04T13:02:11-08:00", "2019-05-04T13:02:11-08:00"},
        {"2019-05-04T13:02:11+99:00", "2019-05-04T13:02:11"},
        {"2011: 2: 3  4: 5: 6", "2011-02-03T04:05:06"},
        {"2020-02-29", "2020-02-29"},
        {"2019-02-29", NULL},
        {"2011:04:31", NULL},
        {"0000:00:00 00:00:00", NULL},
        {"2019-13-01", NULL},
        {"19", NULL},
        {"2019-05-04T", NULL},
        {"", NULL}};
    char out[32];
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        bool ok = image_words_date(out, pairs[i][0], strlen(pairs[i][0]));
        assert_int_equal(ok, pairs[i][1] != NULL);
        if (ok)
            assert_string_equal(out, pairs[i][1]);
    }
}

struct entry {
    unsigned tag, type, count;
    const char *value; /* of more than four bytes: behind the tables */
    size_t n;
};

/* An EXIF block of two tables, the first's 0x8825 leading to the second. */
static size_t exif_make(uint8_t out[1024], const struct entry *first, const struct entry *gps)
{
    size_t at = 14, tables[2] = {0}, lengths[2] = {0};
    const struct entry *lists[2] = {first, gps};
    for (int t = 0; t < 2; t++) {
        while (lists[t] && lists[t][lengths[t]].tag)
            lengths[t]++;
        tables[t] = at - 6;
        at += 2 + 12 * (lengths[t] + (t == 0)) + 4;
    }
    memset(out, 0, 1024);
    memcpy(out, "Exif\0\0MM\0*\0\0\0\x08", 14);
    for (int t = 0; t < 2; t++) {
        uint8_t *p = out + 6 + tables[t];
        p[1] = (uint8_t)(lengths[t] + (t == 0));
        p += 2;
        for (size_t i = 0; i < lengths[t]; i++, p += 12) {
            const struct entry *e = &lists[t][i];
            memcpy(p,
                   (uint8_t[8]){(uint8_t)(e->tag >> 8), (uint8_t)e->tag, 0, (uint8_t)e->type, 0, 0,
                                0, (uint8_t)e->count},
                   8);
            if (e->n <= 4) {
                memcpy(p + 8, e->value, e->n);
            } else {
                p[10] = (uint8_t)((at - 6) >> 8);
                p[11] = (uint8_t)(at - 6);
                memcpy(out + at, e->value, e->n);
                at += e->n;
            }
        }
        if (t == 0)
            memcpy(p, (uint8_t[12]){0x88, 0x25, 0, 4, 0, 0, 0, 1, 0, 0, 0, (uint8_t)tables[1]}, 12);
    }
    return at;
}

#define TEXT(tag, s)                                                                               \
    {                                                                                              \
        tag, 2, sizeof(s), s, sizeof(s)                                                            \
    }
#define ANGLE(tag, s)                                                                              \
    {                                                                                              \
        tag, 5, 3, "\0\0\0" s "\0\0\0\1\0\0\0\x1e\0\0\0\1\0\0\0\0\0\0\0\1", 24                     \
    }

static void exif_of_careless_programs_is_read(void **state)
{
    uint8_t block[1024];
    struct image_meta m = {.orientation = 1};
    const struct entry first[] = {TEXT(0x010E, "Sch\xf6ne Gr\xfc\xdf"
                                               "e \x93"
                                               "5 \x80\x94"),
                                  TEXT(0x0110, "Cam\xe9ra"),
                                  {0x0112, 4, 1, "\0\0\0\6", 4},
                                  TEXT(0x0132, "2011:02:03 04:05"),
                                  {0x4746, 1, 1, "\4", 1},
                                  {0}};
    const struct entry west[] = {
        TEXT(1, "n"), ANGLE(2, "\x30"), TEXT(3, "w"), ANGLE(4, "\x10"), {0}};
    const struct entry nowhere[] = {
        TEXT(1, "N"), ANGLE(2, "\x30"), TEXT(3, "X"), ANGLE(4, "\x10"), {0}};
    (void)state;
    exif_read(&m, block, exif_make(block, first, west));
    assert_string_equal(m.words.description, "Sch\xc3\xb6ne Gr\xc3\xbc\xc3\x9f"
                                             "e \xe2\x80\x9c"
                                             "5 \xe2\x82\xac\xe2\x80\x9d");
    assert_string_equal(m.camera, "Cam\xc3\xa9ra");
    assert_int_equal(m.orientation, 6);
    assert_string_equal(m.taken, "2011-02-03T04:05:00");
    assert_int_equal(m.words.rating, 4);
    assert_true(m.has_gps && m.lat > 48.49 && m.lat < 48.51 && m.lon < -16.49 && m.lon > -16.51);
    m = (struct image_meta){.orientation = 1};
    exif_read(&m, block, exif_make(block, first, nowhere));
    assert_false(m.has_gps);
}

static void sidecars_have_their_names_and_go_first(void **state)
{
    struct image_meta m;
    char dir[] = "/tmp/eidetic-words-XXXXXX", path[128], name[160];
    char *text = NULL;
    size_t n;
    (void)state;
    assert_null(image_sidecar_name("/p/no-extension", 2));
    char *second = image_sidecar_name("/p.d/a.b.jpg", 2);
    assert_string_equal(second, "/p.d/a.b.xmp");
    mem_free(second);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a.jpg", dir);
    assert_int_equal(file_read_all(&text, &n, WORDS "/exif.jpg", 1 << 20, NULL), ST_OK);
    assert_int_equal(file_write_new(path, text, n, NULL), ST_OK);
    mem_free(text);
    const char *const sidecars[][2] = {
        {"a.jpg.xmp", HEAD " xmp:Rating='1'><exif:DateTimeOriginal>2018-01-02T03:04:05"
                           "</exif:DateTimeOriginal>" TAIL},
        {"a.xmp", HEAD " xmp:Rating='2'><dc:title>Second</dc:title>" TAIL}};
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s/%s", dir, sidecars[i][0]);
        assert_int_equal(file_write_new(name, sidecars[i][1], strlen(sidecars[i][1]), NULL), ST_OK);
    }
    assert_int_equal(image_probe(&m, path, NULL), ST_OK);
    image_sidecars_read(&m, path);
    assert_int_equal(m.words.rating, 1);
    assert_string_equal(m.words.title, "Second");
    assert_string_equal(m.words.description, "Fog over the river");
    assert_string_equal(m.taken, "2018-01-02T03:04:05");
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s/%s", dir, sidecars[i][0]);
        unlink(name);
    }
    unlink(path);
    rmdir(dir);
    int64_t one = image_sidecar_stamp(0, 10, 20);
    assert_true(one != 0 && one != image_sidecar_stamp(0, 11, 20));
    assert_true(one != image_sidecar_stamp(0, 10, 21) && one != image_sidecar_stamp(one, 10, 20));
}

/* A picture with these segments in front. */
static enum status probe_with(struct image_meta *m, const uint8_t *segments, size_t n)
{
    char *jpeg = NULL;
    size_t size = 0;
    assert_int_equal(file_read_all(&jpeg, &size, WORDS "/latin1.jpg", 1 << 20, NULL), ST_OK);
    uint8_t *all = mem_alloc(size + n);
    memcpy(all, jpeg, 2);
    memcpy(all + 2, segments, n);
    memcpy(all + 2 + n, jpeg + 2, size - 2);
    enum status st = image_probe_memory(m, all, size + n, "made.jpg", NULL);
    mem_free(all);
    mem_free(jpeg);
    return st;
}

static size_t put_segment(uint8_t *to, const void *head, size_t n_head, const void *data, size_t n)
{
    size_t len = 2 + n_head + n;
    const uint8_t start[4] = {0xFF, 0xE1, (uint8_t)(len >> 8), (uint8_t)len};
    memcpy(to, start, 4);
    memcpy(to + 4, head, n_head);
    memcpy(to + 4 + n_head, data, n);
    return 2 + len;
}

#define GUID "0123456789ABCDEF0123456789ABCDEF"

/* The text in pieces of 100 bytes, the last one first; one is left out, or one says another size.
 */
static size_t put_extended(uint8_t *to, const char *text, size_t without, bool lies)
{
    size_t all = strlen(text), n = 0;
    for (size_t k = (all + 99) / 100; k-- > 0;) {
        uint8_t head[75] = "http://ns.adobe.com/xmp/extension/\0" GUID;
        size_t at = 100 * k, size = all - at < 100 ? all - at : 100;
        const size_t said[2] = {all + (lies && !k), at};
        for (int i = 0; i < 8; i++)
            head[67 + i] = (uint8_t)(said[i / 4] >> (24 - 8 * (i % 4)));
        if (k + 1 != without)
            n += put_segment(to + n, head, sizeof head, text + at, size);
    }
    return n;
}

static void xmp_that_goes_on_in_other_segments_is_read(void **state)
{
    static const char name[] = "http://ns.adobe.com/xap/1.0/";
    static const char first[] =
        HEAD " xmlns:xmpNote='http://ns.adobe.com/xmp/note/' xmpNote:HasExtendedXMP='" GUID "'>"
             "<dc:title>First</dc:title>" TAIL;
    static const char rest[] = HEAD "><dc:title>Second</dc:title><dc:description>The rest"
                                    "</dc:description>" TAIL;
    static const char other[] =
        HEAD " xmlns:xmpNote='http://ns.adobe.com/xmp/note/'><xmpNote:HasExtendedXMP>"
             "F" GUID "</xmpNote:HasExtendedXMP>" TAIL;
    uint8_t all[4096];
    struct image_meta m;
    (void)state;
    for (int lost = 0; lost < 4; lost++) { /* nothing, the first piece, one that lies, all */
        const char *text = lost < 3 ? first : other;
        size_t n = put_segment(all, name, sizeof name, text, strlen(text));
        n += put_extended(all + n, rest, lost == 1, lost == 2);
        assert_int_equal(probe_with(&m, all, n), ST_OK);
        assert_string_equal(m.words.title, lost < 3 ? "First" : "Am Flu\xC3\x9F");
        assert_string_equal(m.words.description, lost ? "" : "The rest");
    }
}

/* exiftool puts it in front of the frame; here it goes behind. */
static void xmp_of_a_gif_is_read_wherever_it_stands(void **state)
{
    static const char name[] = "\x21\xFF\x0BXMP DataXMP";
    struct image_meta m;
    char *gif = NULL;
    size_t size = 0, n = sizeof name - 1;
    (void)state;
    assert_int_equal(file_read_all(&gif, &size, WORDS "/xmp.gif", 1 << 20, NULL), ST_OK);
    uint8_t *d = (uint8_t *)gif, *at = memmem(d, size, name, n);
    assert_non_null(at);
    uint8_t *end = memmem(at, size - (size_t)(at - d), "\3\2\1\0", 5);
    assert_non_null(end);
    n = (size_t)(end + 5 - at);
    uint8_t *packet = mem_dup(at, n);
    assert_int_equal(d[size - 1], 0x3B);
    memmove(at, at + n, size - 1 - (size_t)(at - d) - n);
    memcpy(d + size - 1 - n, packet, n);
    assert_int_equal(image_probe_memory(&m, d, size, "x.gif", NULL), ST_OK);
    assert_string_equal(m.words.title, "Am Flu\xC3\x9F");
    assert_false(m.animated);
    const size_t wrong[] = {5, n - 258, n - 257}; /* its name; how its trailer begins */
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t *to = d + size - 1 - n + wrong[i];
        *to ^= 0xFF;
        assert_int_equal(image_probe_memory(&m, d, size, "x.gif", NULL), ST_OK);
        assert_string_equal(m.words.title, "");
        *to ^= 0xFF;
    }
    assert_int_equal(image_probe_memory(&m, d, size - 3, "x.gif", NULL), ST_OK);
    assert_string_equal(m.words.title, "");
    mem_free(packet);
    mem_free(gif);
}

static void put32(uint8_t *to, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Apple's maker note with one tag, its text of `said` bytes at `at`. */
static size_t put_apple(uint8_t *to, uint32_t said, uint32_t at)
{
    static const uint8_t head[] = "Exif\0\0MM\0\x2A\0\0\0\x08" /* TIFF, its folder at 8 */
                                  "\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x1A\0\0\0\0"
                                  "\0\x01\x92\x7C\0\x07\0\0\0\x45\0\0\0\x2C\0\0\0\0";
    static const char uuid[] = "0A1B2C3D-0000-4444-8888-ABCDEFABCDEF";
    uint8_t note[69] = "Apple iOS\0\0\x01MM\0\x01\0\x0B\0\x02";
    put32(note + 20, said);
    put32(note + 24, at);
    memcpy(note + 32, uuid, sizeof uuid);
    return put_segment(to, head, sizeof head - 1, note, sizeof note);
}

static void a_burst_is_read_from_apples_note_and_googles_xmp(void **state)
{
    uint8_t all[256] = {0};
    struct image_words w;
    struct image_meta m;
    static const uint32_t beyond[][2] = {{37, 33},         {38, 32}, {0xFFFFFFFF, 32},
                                         {37, 0xFFFFFFFF}, {4, 32},  {0, 0}};
    (void)state;
    assert_int_equal(probe_with(&m, all, put_apple(all, 37, 32)), ST_OK);
    assert_string_equal(m.words.burst, "0A1B2C3D-0000-4444-8888-ABCDEFABCDEF");
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        assert_int_equal(probe_with(&m, all, put_apple(all, beyond[i][0], beyond[i][1])), ST_OK);
        assert_string_equal(m.words.burst, "");
    }
    assert_true(read_text(&w, HEAD " xmlns:g='http://ns.google.com/photos/1.0/camera/' "
                                   "g:BurstID='77-a'>" TAIL));
    assert_string_equal(w.burst, "77-a");
    assert_true(image_words_check(&w));
    memset(w.burst, 'x', sizeof w.burst);
    assert_false(image_words_check(&w));
}

static void memory_may_run_out_at_any_point(void **state)
{
    struct image_words w;
    (void)state;
    const char *text = HEAD " xmp:Rating='2'><dc:title>x</dc:title>" TAIL;
    for (uint64_t n = 1; n < 200; n++) {
        memset(&w, 0, sizeof w);
        mem_fail_at(n, false);
        bool ok = xmp_read(&w, (const uint8_t *)text, strlen(text));
        mem_fail_at(0, false);
        assert_true(image_words_check(&w));
        if (ok)
            assert_string_equal(w.title, "x");
    }
    assert_int_equal(w.rating, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_gives_the_words_that_exiftool_wrote),
        cmocka_unit_test(latin1_without_a_character_set_is_read),
        cmocka_unit_test(exif_of_careless_programs_is_read),
        cmocka_unit_test(the_default_language_is_taken_wherever_it_stands),
        cmocka_unit_test(attributes_and_elements_say_the_same),
        cmocka_unit_test(keywords_are_kept_once_and_levels_are_split),
        cmocka_unit_test(what_lies_deeper_is_not_the_pictures),
        cmocka_unit_test(no_entity_is_expanded),
        cmocka_unit_test(what_was_read_before_an_error_stays),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(dates_of_all_kinds_become_iso_8601),
        cmocka_unit_test(sidecars_have_their_names_and_go_first),
        cmocka_unit_test(xmp_that_goes_on_in_other_segments_is_read),
        cmocka_unit_test(xmp_of_a_gif_is_read_wherever_it_stands),
        cmocka_unit_test(a_burst_is_read_from_apples_note_and_googles_xmp),
        cmocka_unit_test(memory_may_run_out_at_any_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
