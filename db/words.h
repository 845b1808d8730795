/* Words of pictures: conditions on them as a tree, and who holds a word.
 *
 *     struct db_expr tag = {.kind = DB_TAG, .text = "dog"}, not = {.kind = DB_NOT, .a = &tag};
 *     struct db_filter f = {.where = &not};                  // images.h: pictures not tagged dog
 *     db_words_each(db, "names : \"lake\"", 1000, each, ctx, &err);
 *
 * Comparisons know no case; words and phrases know no accents either. */
#ifndef EIDETIC_DB_WORDS_H
#define EIDETIC_DB_WORDS_H

#include "db/db.h"

enum db_expr_kind {
    DB_AND, /* a and b */
    DB_OR,
    DB_NOT,     /* of a */
    DB_PHRASE,  /* the words of text, in this order, in a tag, caption or name */
    DB_TAG,     /* text is one of its tags or keywords */
    DB_CAPTION, /* as DB_PHRASE, in the caption, title or description */
    DB_PATH,    /* a file of it has text in its path */
    DB_CAMERA,  /* as db_filter.camera */
    DB_DATE,    /* taken within from..to, seconds, both inclusive */
};
struct db_expr {
    enum db_expr_kind kind;
    char *text;
    int64_t from, to;
    struct db_expr *a, *b;
};
enum { DB_EXPR_MOST = 256 }; /* nodes of one filter; more is ST_LIMIT */

/* Does the full-text table hold what it is made of? A library opened for writing also has its index
 * looked through (FTS5's integrity check); lengths are compared, not texts, since the order of
 * paths within one is free. What is wrong is made right by db_words_repair, from nothing. */
enum status db_words_check(struct db *db, void (*found)(void *ctx, const char *what), void *ctx,
                           int64_t *problems, struct error *err);
enum status db_words_repair(struct db *db, struct error *err);

/* The pictures that fit `match`, in FTS5's syntax over the columns tags, caption and names; at most
 * `most`. The caller quotes words. */
enum status db_words_each(struct db *db, const char *match, size_t most,
                          void (*each)(void *ctx, int64_t image), void *ctx, struct error *err);
/* Contents that there ever were: counting those there are would read the whole table. */
enum status db_words_count(struct db *db, int64_t *n, struct error *err);

#endif
