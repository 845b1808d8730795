/* What open_clip does to a text before it splits it: ftfy.fix_text less its mojibake repair,
 * html.unescape twice, strip, white space runs to one space, lower case.
 *
 *     struct utext t = {0};
 *     if (!utext_decode(&t, s, n) || !text_clean_open_clip(&t))
 *         ... no memory
 *     utext_release(&t);
 *
 * Follows ftfy 6.3 (TextFixerConfig(fix_encoding=False)) and Python 3.11's html module. Functions
 * return false when memory ran out. Thread rule: one text a thread. */
#ifndef EIDETIC_CLIP_TEXT_CLEAN_H
#define EIDETIC_CLIP_TEXT_CLEAN_H

#include "clip/unicode.h"

bool text_clean_open_clip(struct utext *t);
bool text_clean_canonicalize(struct utext *t); /* and no ASCII punctuation: SigLIP's */
bool text_clean_whitespace(struct utext *t);   /* the same without lower case: for HF tokenizers */
bool text_fix(struct utext *t);                /* ftfy.fix_text */
void text_unescape(struct utext *t);           /* html.unescape; a text never grows by it */
void text_unescape_strict(struct utext *t); /* ftfy's unescape_html: closed by ';', all-caps too */
void text_whitespace(struct utext *t);      /* " ".join(text.split()) */

#endif
