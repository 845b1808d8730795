/* What is said of a picture: its tags, with scores, and its caption.
 *
 *     struct db_tag tags[] = {{"animal", 0.97}, {"dog", 0.93}};
 *     db_tags_put(db, image, key, tags, 2, &err);
 *     struct db_tags t;
 *     db_tags_get(db, image, &t, &err);          // t.tag[0].tag: "animal"
 *     db_tags_release(&t);
 *
 * The full-text table `words` over tags, captions and file names follows each change in the same
 * transaction: triggers note what is stale, and db_commit writes it anew. */
#ifndef EIDETIC_DB_TAGS_H
#define EIDETIC_DB_TAGS_H

#include "db/db.h"

#define DB_TAGS_KEY 32

struct db_tag {
    const char *tag;
    double score;
};
struct db_tags {
    struct db_tag *tag; /* as they were put: best first */
    size_t n;
    char key[DB_TAGS_KEY + 1];         /* "" = never tagged */
    char *caption;                     /* NULL = none */
    char caption_key[DB_TAGS_KEY + 1]; /* "" = not made by the program */
    double caption_score;              /* how well it fits, of 0 to 1 */
};
/* Replaces the picture's tags. key: up to DB_TAGS_KEY characters that name what made them. */
enum status db_tags_put(struct db *db, int64_t image, const char *key, const struct db_tag *tags,
                        size_t n, struct error *err);
/* Replaces the picture's caption; key as above. */
enum status db_caption_put(struct db *db, int64_t image, const char *key, const char *caption,
                           double score, struct error *err);
/* ST_OK with nothing in it where the picture has none. */
enum status db_tags_get(struct db *db, int64_t image, struct db_tags *t, struct error *err);
void db_tags_release(struct db_tags *t); /* takes a zeroed struct */

#endif
