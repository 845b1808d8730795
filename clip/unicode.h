/* Text as an array of code points, and the questions that tokenizers (and terminals) ask of one.
 *
 *     struct utext t = {0};
 *     if (!utext_decode(&t, s, n) || !unicode_nfc(&t, UNICODE_PYTHON))
 *         ... no memory
 *     for (size_t i = 0; i < t.n; i++)
 *         k = unicode_class(t.c[i], UNICODE_PYTHON);
 *     utext_release(&t);
 *
 * The data is utf8proc's, corrected by unicode_tables.c where a reference implementation knows
 * another Unicode version. Functions that may allocate return false when memory ran out; the text
 * then is unspecified but still to be released. Thread rule: one text a thread. */
#ifndef EIDETIC_CLIP_UNICODE_H
#define EIDETIC_CLIP_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct utext {
    uint32_t *c;
    size_t n, cap;
};
void utext_release(struct utext *t);
bool utext_reserve(struct utext *t, size_t n);
bool utext_push(struct utext *t, uint32_t c);
bool utext_append(struct utext *t, const uint32_t *c, size_t n);
/* Replaces the content. Invalid UTF-8 becomes U+FFFD, one for each maximal part of a sequence, as
 * Python's bytes.decode("utf-8", "replace") and the Encoding Standard have it. */
bool utext_decode(struct utext *t, const char *s, size_t n);

/* Whose rules: Python 3.11 with the regex module, or Rust's tokenizers with Oniguruma. */
enum unicode_rules { UNICODE_PYTHON, UNICODE_RUST };

enum unicode_class {
    UNICODE_OTHER,
    UNICODE_LETTER, /* \p{L} */
    UNICODE_NUMBER, /* \p{N} */
    UNICODE_NONE,   /* U+0345: no class of the regex module matches it when case is ignored */
    UNICODE_SPACE,  /* \s */
};
enum unicode_class unicode_class(uint32_t c, enum unicode_rules rules);
bool unicode_is_python_space(uint32_t c); /* str.isspace: \s and U+001C..U+001F */
bool unicode_is_digit(uint32_t c);        /* \d of Python's re: Nd */

bool unicode_nfc(struct utext *t, enum unicode_rules rules);
bool unicode_nfd(struct utext *t, enum unicode_rules rules);
/* str.lower() with its final sigma, or Rust's char::to_lowercase of each code point. */
bool unicode_lower(struct utext *t, enum unicode_rules rules);

/* How many columns of a terminal: 0 to 2. */
int unicode_columns(uint32_t c);

/* What BertNormalizer and BertPreTokenizer ask. */
bool unicode_bert_is_mark(uint32_t c);    /* Mn */
bool unicode_bert_is_punct(uint32_t c);   /* ASCII punctuation or P* */
bool unicode_bert_is_control(uint32_t c); /* removed: Cc but \t \n \r, Cf, Co, U+FFFD */
bool unicode_bert_is_cjk(uint32_t c);

#endif
