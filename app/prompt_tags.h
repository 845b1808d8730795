/* Tags of a generated picture, from what it was asked to be.
 *
 *     struct prompt_tags t = {0};
 *     prompt_tags_find(&t, "a red fox, autumn forest, from the collection of otters", &lexicon,
 * &err);
 *     // "red fox", "fox", "autumn forest", "forest", "otter"
 *     prompt_tags_release(&t);
 *
 * words is a prompt without its grammar. A part between commas of at most four words is a tag,
 * without an article before it; from every part come the labels of the vocabulary that stand in it,
 * the longest first, as they are or with an s. No more than PROMPT_TAGS_MOST, none twice. */
#ifndef EIDETIC_APP_PROMPT_TAGS_H
#define EIDETIC_APP_PROMPT_TAGS_H

#include "caption/lexicon.h"
#include "db/tags.h"

enum { PROMPT_TAGS_MOST = 32 };
#define PROMPT_TAGS_KEY "prompt" /* persisted: what db_tags_put names as their maker */

struct prompt_tags {
    struct db_tag tag[PROMPT_TAGS_MOST];
    size_t n;
    char *text[PROMPT_TAGS_MOST]; /* what tag points into */
};
enum status prompt_tags_find(struct prompt_tags *t, const char *words, const struct lexicon *v,
                             struct error *err);
void prompt_tags_release(struct prompt_tags *t); /* takes a zeroed struct */

#endif
