/* XMP as short texts, for tests:
 *
 *     struct image_words w;
 *     assert_true(read_text(&w, HEAD " xmp:Rating='2'><dc:title>x</dc:title>" TAIL));
 *     keywords_are(&w, "Vienna|Rosa|"); */
#ifndef EIDETIC_TESTS_XMP_TEXT_H
#define EIDETIC_TESTS_XMP_TEXT_H

#include "image/words.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEAD                                                                                       \
    "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF "                                                \
    "xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about='' "       \
    "xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:xmp='http://ns.adobe.com/xap/1.0/' "        \
    "xmlns:exif='http://ns.adobe.com/exif/1.0/' "                                                  \
    "xmlns:lr='http://ns.adobe.com/lightroom/1.0/' "                                               \
    "xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/'"
#define TAIL "</rdf:Description></rdf:RDF></x:xmpmeta>"

static inline bool read_text(struct image_words *w, const char *text)
{
    memset(w, 0, sizeof *w);
    return xmp_read(w, (const uint8_t *)text, strlen(text));
}

static inline void keywords_are(const struct image_words *w, const char *wanted)
{
    char all[8192] = "";
    size_t n = 0;
    for (const char *k = NULL; (k = image_words_next(w, k));)
        n += (size_t)snprintf(all + n, sizeof all - n, "%s|", k);
    assert_string_equal(all, wanted);
}

#endif
