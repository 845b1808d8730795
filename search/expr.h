/* A typed sentence with conditions in it, to the sentence and a tree of conditions.
 *
 *     char *sentence;
 *     struct db_expr *where;
 *     bool bare;
 *     expr_parse("a beach tag:dog NOT path:2018", &sentence, &where, &bare, &err);
 *     // "a beach"; tag is dog, and not: "2018" in the path
 *     expr_free(where); mem_free(sentence);
 *
 * Conditions: tag:T caption:T path:T camera:T date:D date:D..D, T also "in quotes"; a "phrase" in
 * quotes, which tags, caption or path must hold word by word. AND, OR, NOT (in capitals) and
 * parentheses join them; what stands side by side is joined by AND, which binds more than OR. Bare
 * words rank, and hide nothing; below OR and NOT they are conditions, as phrases of one word are. A
 * text without a condition, an operator or a quote is a sentence, whatever else is in it. */
#ifndef EIDETIC_SEARCH_EXPR_H
#define EIDETIC_SEARCH_EXPR_H

#include "db/words.h"

/* *where: NULL = no conditions. *sentence: never empty unless the text is; mem_free. Where nothing
 * is said but conditions, it is made of their words (of tags, captions and phrases not below NOT),
 * else it is "a photo", and *bare is false. ST_USAGE says what is wrong with the text. */
enum status expr_parse(const char *text, char **sentence, struct db_expr **where, bool *bare,
                       struct error *err);
void expr_free(struct db_expr *x); /* takes NULL */
/* Both, either may be NULL; takes both, also on failure. */
enum status expr_and(struct db_expr *a, struct db_expr *b, struct db_expr **out, struct error *err);
struct db_expr *expr_new(enum db_expr_kind kind, const char *text, size_t n); /* NULL: no memory */

#endif
