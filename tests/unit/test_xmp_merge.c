/* Adding words to a sidecar: what was there stays to the byte, what was missing can be read back.
 */
#include "core/mem.h"
#include "image/words.h"
#include "image/xmp_merge.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RDF_NS "xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'"
#define DC_NS "xmlns:dc='http://purl.org/dc/elements/1.1/'"
static const char *const two[] = {"dog", "sandy beach"};
static const struct xmp_words add = {"a dog & a beach", two, 2};
static struct error e;

static char *merge(const char *old, const struct xmp_words *what)
{
    char *text;
    size_t size;
    if (xmp_merge(&text, &size, old, old ? strlen(old) : 0, what, "a.xmp", &e))
        fail_msg("%s", e.text);
    if (text)
        assert_int_equal(strlen(text), size);
    return text;
}

static void reads(const char *text, const char *description, const char *keywords)
{
    struct image_words w = {0};
    char all[512] = "";
    size_t n = 0;
    assert_true(xmp_read(&w, (const uint8_t *)text, strlen(text)));
    for (const char *k = NULL; (k = image_words_next(&w, k));)
        n += (size_t)snprintf(all + n, sizeof all - n, "%s|", k);
    assert_string_equal(w.description, description);
    assert_string_equal(all, keywords);
}

/* Every byte of old is in text, in order, but for the '/' of an element that was opened. */
static void keeps(const char *text, const char *old)
{
    for (; *old && *text; text++)
        if (*old == *text)
            old++;
        else if (*text == '>' && !strncmp(old, "/>", 2))
            old += 2;
    assert_string_equal(old, "");
}

static void a_new_sidecar_can_be_read_back(void **state)
{
    (void)state;
    char *text = merge(NULL, &add);
    reads(text, "a dog & a beach", "dog|sandy beach|");
    assert_non_null(strstr(text, "<?xpacket begin="));
    assert_null(merge(text, &add)); /* everything is there */
    mem_free(text);
    assert_null(merge(NULL, &(struct xmp_words){"", NULL, 0}));
}

static void what_is_there_stays(void **state)
{
    static const struct {
        const char *old, *description, *keywords;
    } cases[] = {
        {"<x:xmpmeta xmlns:x='adobe:ns:meta/'>\n <rdf:RDF " RDF_NS ">\n  <!-- mine -->\n"
         "  <rdf:Description rdf:about='' " DC_NS " xmlns:d='urn:d' d:history='&lt;x&gt;'>\n"
         "   <dc:subject>\n    <rdf:Bag>\n     <rdf:li>Rosa</rdf:li>\n    </rdf:Bag>\n"
         "   </dc:subject>\n   <d:list><rdf:Seq><rdf:li d:a='1'/></rdf:Seq></d:list>\n"
         "  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n",
         "a dog & a beach", "Rosa|dog|sandy beach|"},
        {"<rdf:RDF " RDF_NS "><rdf:Description rdf:about='x'/></rdf:RDF>", "a dog & a beach",
         "dog|sandy beach|"},
        {"<rdf:RDF " RDF_NS "></rdf:RDF>", "a dog & a beach", "dog|sandy beach|"},
        {"<rdf:RDF " RDF_NS "/>", "a dog & a beach", "dog|sandy beach|"},
        {"<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><r:Description "
         "xmlns:p='http://purl.org/dc/elements/1.1/'><p:subject><r:Bag/></p:subject>"
         "</r:Description></r:RDF>",
         "a dog & a beach", "dog|sandy beach|"},
        {"<RDF xmlns='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><Description " DC_NS
         "><dc:description><Alt><li xml:lang='x-default'>mine</li></Alt></dc:description>"
         "</Description><Description " DC_NS "><dc:subject><Seq><li>DOG</li></Seq></dc:subject>"
         "</Description></RDF>",
         "mine", "DOG|sandy beach|"},
        {"<rdf:RDF " RDF_NS "><rdf:Description " DC_NS " dc:description='mine'/></rdf:RDF>", "mine",
         "dog|sandy beach|"},
        /* the list stands before the description that gets the rest */
        {"<rdf:RDF " RDF_NS "><rdf:Description rdf:about=''/><rdf:Description " DC_NS
         "><dc:subject><rdf:Bag><rdf:li>a</rdf:li></rdf:Bag></dc:subject></rdf:Description>"
         "</rdf:RDF>",
         "a dog & a beach", "a|dog|sandy beach|"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = merge(cases[i].old, &add);
        assert_non_null(text);
        reads(text, cases[i].description, cases[i].keywords);
        keeps(text, cases[i].old);
        assert_null(merge(text, &add));
        mem_free(text);
    }
}

static void what_cannot_be_added_to_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "not XML",
        "<x/>",
        "<rdf:RDF " RDF_NS "><rdf:Description>",
        "<rdf:RDF>",
        "<!DOCTYPE x [<!ENTITY a 'b'>]><rdf:RDF " RDF_NS "></rdf:RDF>",
        "<?xml version='1.0' encoding='iso-8859-1'?><rdf:RDF " RDF_NS "></rdf:RDF>",
        "<rdf:RDF " RDF_NS "><rdf:Description " DC_NS " dc:subject='a, b'/></rdf:RDF>",
        "<rdf:RDF " RDF_NS "><rdf:Description " DC_NS "><dc:subject>a, b</dc:subject>"
        "</rdf:Description></rdf:RDF>",
        "\xFF\xFE<\0x\0/\0>\0"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *text;
        size_t size;
        enum status st = xmp_merge(&text, &size, bad[i], strlen(bad[i]), &add, "a.xmp", &e);
        assert_true(st == ST_FORMAT || st == ST_UNSUPPORTED);
        assert_null(text);
        assert_non_null(strstr(e.text, "left alone"));
    }
}

static void memory_may_run_out_at_any_point(void **state)
{
    const char *old =
        "<rdf:RDF " RDF_NS "><rdf:Description " DC_NS "><dc:subject><rdf:Bag><rdf:li>a"
        "</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF>";
    enum status st = ST_NOMEM;
    (void)state;
    for (uint64_t n = 1; st && n < 300; n++) {
        char *text;
        size_t size;
        mem_fail_at(n, false);
        st = xmp_merge(&text, &size, old, strlen(old), &add, "a.xmp", &e);
        mem_fail_at(0, false);
        mem_free(text);
    }
    assert_int_equal(st, ST_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_sidecar_can_be_read_back),
        cmocka_unit_test(what_is_there_stays),
        cmocka_unit_test(what_cannot_be_added_to_is_refused),
        cmocka_unit_test(memory_may_run_out_at_any_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
