/* The values of XMP in the less usual forms that the specification allows, and what they mean for
 * the picture. */
#include "image/codec.h"
#include "tests/unit/xmp_text.h"
#include <math.h>

/* The two forms of a qualified value that the specification has, and the one of attributes; the
 * qualifiers themselves are not the picture's. */
static void a_value_with_qualifiers_is_read(void **state)
{
    static const char *const forms[] = {
        "<%s rdf:parseType='Resource'>\n <rdf:value>%s</rdf:value>\n <xmp:q>no</xmp:q>\n</%s>",
        "<%s rdf:parseType='Resource'><xmp:q>no</xmp:q><rdf:value>%s</rdf:value></%s>",
        "<%s>\n <rdf:Description>\n <rdf:value>%s</rdf:value>\n "
        "<xmp:q>no</xmp:q></rdf:Description>\n</%s>",
        "<%s><rdf:Description "
        "xmp:q='no'><xmp:q>no</xmp:q><rdf:value>%s</rdf:value></rdf:Description></%s>",
        "<%s><rdf:Description rdf:value='%s'><xmp:q>no</xmp:q></rdf:Description></%s>",
        "<%s rdf:value='%s' xmp:q='no'></%s>"};
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct image_words w;
        char text[4096], item[2][512], rating[512], date[512];
        snprintf(item[0], sizeof *item, forms[i], "rdf:li", "Vienna", "rdf:li");
        snprintf(item[1], sizeof *item, forms[i], "rdf:li", "Fog", "rdf:li");
        snprintf(rating, sizeof rating, forms[i], "xmp:Rating", "3", "xmp:Rating");
        snprintf(date, sizeof date, forms[i], "exif:DateTimeOriginal", "2019-05",
                 "exif:DateTimeOriginal");
        snprintf(text, sizeof text,
                 HEAD "><dc:subject><rdf:Bag>%s<rdf:li>plain</rdf:li>%s</rdf:Bag></dc:subject>"
                      "<dc:title><rdf:Alt>%s</rdf:Alt></dc:title>%s%s" TAIL,
                 item[0], item[1], item[1], rating, date);
        assert_true(read_text(&w, text));
        keywords_are(&w, "Vienna|plain|Fog|");
        assert_string_equal(w.title, "Fog");
        assert_int_equal(w.rating, 3);
        assert_string_equal(w.taken, "2019-05");
    }
}

static void a_qualified_value_has_its_language_on_either_side(void **state)
{
    struct image_words w;
    (void)state;
    assert_true(read_text(&w, HEAD "><dc:title><rdf:Alt><rdf:li xml:lang='de'>Morgen</rdf:li>"
                                   "<rdf:li xml:lang='x-default' rdf:parseType='Resource'>"
                                   "<rdf:value>Morning</rdf:value></rdf:li></rdf:Alt></dc:title>"
                                   "<dc:description><rdf:Alt><rdf:li xml:lang='de'>Nebel</rdf:li>"
                                   "<rdf:li rdf:parseType='Resource'><rdf:value "
                                   "xml:lang='x-default'>Fog</rdf:value></rdf:li></rdf:Alt>"
                                   "</dc:description>" TAIL));
    assert_string_equal(w.title, "Morning");
    assert_string_equal(w.description, "Fog");
}

/* A field of a structure, or a qualifier, that has a value of its own; one without its property. */
static void a_value_of_something_else_is_not_taken(void **state)
{
    struct image_words w;
    (void)state;
    assert_true(read_text(&w, HEAD
                          "><dc:title rdf:parseType='Resource'><xmp:q rdf:parseType='Resource'>"
                          "<rdf:value>no</rdf:value></xmp:q></dc:title><rdf:value>no</rdf:value>"
                          "<dc:subject><rdf:Bag><rdf:value>no</rdf:value><rdf:li "
                          "rdf:parseType='Resource'><rdf:value>yes<xmp:q>no</xmp:q></rdf:value>"
                          "<rdf:value>no</rdf:value>no</rdf:li></rdf:Bag></dc:subject>" TAIL));
    assert_string_equal(w.title, "");
    keywords_are(&w, "yes|");
}

static void a_rating_of_0_takes_back_another(void **state)
{
    static const struct {
        const char *sidecar;
        int rating; /* of a picture that says 4 */
    } cases[] = {{"xmp:Rating='0'", 0},  {"xmp:Rating='0.0'", 0},
                 {"xmp:Rating='2'", 2},  {"xmp:Rating='-1'", -1},
                 {"xmp:Rating=''", 4},   {"xmp:Rating='6'", 4},
                 {"xmp:Rating='no'", 4}, {"", 4}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct image_words w, picture;
        char text[1024];
        assert_true(read_text(&picture, HEAD " xmp:Rating='4'>" TAIL));
        snprintf(text, sizeof text, HEAD " %s>" TAIL, cases[i].sidecar);
        assert_true(read_text(&w, text));
        image_words_merge(&w, &picture);
        assert_int_equal(w.rating, cases[i].rating);
        assert_true(image_words_check(&w));
    }
}

static void an_altitude_is_read_with_its_side_of_the_sea(void **state)
{
    static const struct {
        const char *text;
        double alt;
    } cases[] = {{"exif:GPSAltitude='17430/100'", 174.3},
                 {"exif:GPSAltitude='17430/100' exif:GPSAltitudeRef='0'", 174.3},
                 {"exif:GPSAltitudeRef='1' exif:GPSAltitude='431/1'", -431},
                 {"exif:GPSAltitude='12.5' exif:GPSAltitudeRef='1'", -12.5},
                 {"exif:GPSAltitude='1/0'", 0},
                 {"exif:GPSAltitude='0/0'", 0},
                 {"exif:GPSAltitude='-5/1'", 0},
                 {"exif:GPSAltitude='1/-5'", 0},
                 {"exif:GPSAltitude='5/'", 0},
                 {"exif:GPSAltitude='inf'", 0},
                 {"exif:GPSAltitude='nan'", 0},
                 {"exif:GPSAltitude='1e300/1e-300'", 0},
                 {"exif:GPSAltitude=''", 0},
                 {"exif:GPSAltitudeRef='1'", 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct image_words w, all = {0};
        char text[1024];
        snprintf(text, sizeof text,
                 HEAD " exif:GPSLatitude='48,12.5N' exif:GPSLongitude='16,22.5E' %s>" TAIL,
                 cases[i].text);
        assert_true(read_text(&w, text));
        assert_true(w.has_gps && fabs(w.alt - cases[i].alt) < 1e-9);
        image_words_merge(&all, &w);
        assert_true(all.has_gps && all.alt == w.alt && image_words_check(&all));
    }
}

/* Of a picture and its sidecar at the same place: the sidecar's, where it has one. */
static void an_altitude_stays_with_its_place(void **state)
{
    static const struct {
        double lat, alt; /* of the words */
        bool sidecar;
        double want; /* of a picture at 48 degrees and 174 m, and of one without altitude */
        double want_of_none;
    } cases[] = {{48.00001, 180, true, 180, 180},  {48.00001, 0, true, 174, 0},
                 {48.00001, 180, false, 174, 180}, {49, 0, true, 0, 0},
                 {49, 180, true, 180, 180},        {49, 180, false, 174, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int none = 0; none < 2; none++) {
            struct image_meta m = {.has_gps = true, .lat = 48, .lon = 16, .alt = none ? 0 : 174};
            const struct image_words w = {
                .has_gps = true, .lat = cases[i].lat, .lon = 16, .alt = cases[i].alt};
            image_take_words(&m, &w, cases[i].sidecar);
            assert_true(m.alt == (none ? cases[i].want_of_none : cases[i].want));
            assert_true(m.lat == (cases[i].sidecar ? cases[i].lat : 48));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_with_qualifiers_is_read),
        cmocka_unit_test(a_qualified_value_has_its_language_on_either_side),
        cmocka_unit_test(a_value_of_something_else_is_not_taken),
        cmocka_unit_test(a_rating_of_0_takes_back_another),
        cmocka_unit_test(an_altitude_is_read_with_its_side_of_the_sea),
        cmocka_unit_test(an_altitude_stays_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
