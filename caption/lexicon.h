/* The labels that pictures are compared with: a list, and what lies above what.
 *
 *     struct lexicon v;
 *     lexicon_builtin(&v, &err);                        // or lexicon_read(&v, "labels.txt", &err)
 *     for (size_t i = 0; i < v.n; i++)
 *         printf("%s, a kind of %s\n", v.term[i].text,
 *                v.term[i].parent < 0 ? "nothing" : v.term[v.term[i].parent].text);
 *     lexicon_release(&v);
 *
 * A list is UTF-8, one label a line: the label, then optionally, after tabs, its facet and its
 * parent, which must be a label of the list. Blanks at the ends of a label are dropped, empty lines
 * and repeated labels are passed over. ST_FORMAT names the line that is wrong, ST_LIMIT what is too
 * much. The built-in list is third_party/wordnet/vocabulary.tsv. */
#ifndef EIDETIC_CAPTION_LEXICON_H
#define EIDETIC_CAPTION_LEXICON_H

#include "core/error.h"
#include <stddef.h>
#include <stdint.h>

enum { LEXICON_MAX_TERMS = 100000, LEXICON_MAX_LABEL = 240, LEXICON_MAX_BYTES = 16 << 20 };

/* Labels compete within a facet: what a picture shows, and where, what is done, in which colours,
 * how it was taken, by whom, are answered side by side. */
enum lexicon_facet {
    LEXICON_THING, /* also the facet of labels that name none */
    LEXICON_SCENE,
    LEXICON_ACTIVITY,
    LEXICON_COLOUR,
    LEXICON_PHOTO,
    LEXICON_PERSON,
    LEXICON_FACETS
};

struct lexicon_term {
    const char *text; /* in the list's memory */
    int parent;       /* -1 = none; never in a circle */
    uint8_t facet;    /* enum lexicon_facet */
};
struct lexicon {
    struct lexicon_term *term;
    size_t n;
    int *up;         /* [n], every term before its parent */
    char *memory;    /* of the texts */
    uint8_t key[16]; /* of texts, facets and parents: equal lists have equal keys */
};

enum status lexicon_builtin(struct lexicon *v, struct error *err);
enum status lexicon_read(struct lexicon *v, const char *path, struct error *err);
/* The same from memory; name is for messages. */
enum status lexicon_parse(struct lexicon *v, const char *text, size_t size, const char *name,
                          struct error *err);
/* A list without facets and parents. */
enum status lexicon_from_texts(struct lexicon *v, const char *const *texts, size_t n,
                               struct error *err);
void lexicon_release(struct lexicon *v); /* takes a zeroed struct */

#endif
