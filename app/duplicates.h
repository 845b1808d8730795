/* Shared by the files of `duplicates`: pictures that take part in a pair, and what joins them.
 *
 *     pairs -> same_judge marks those that are one picture -> groups_make -> printed
 *
 * A group is a keeper and those joined to it directly, not by way of others: chains of ever so
 * slightly different pictures would otherwise join what has nothing in common. */
#ifndef EIDETIC_APP_DUPLICATES_H
#define EIDETIC_APP_DUPLICATES_H

#include "app/app.h"
#include "db/images.h"
#include "search/pairs.h"

enum { SAME_SIDE = 48 };
#define SAME_COSINE 0.85F /* below, two pictures are not even compared by their pixels */

struct dup_picture {
    struct db_image im;
    char *path;
    uint8_t *pixels; /* SAME_SIDE x SAME_SIDE RGB; NULL = not asked for, or not to be had */
    size_t group;    /* that it is a member or the keeper of; SIZE_MAX = none */
};
struct dup_pair {
    size_t a, b; /* indices of pictures */
    float score;
    bool same; /* one picture: resized or recompressed */
};
struct dup_set {
    struct dup_picture *picture; /* by id */
    size_t n;
    struct dup_pair *pair;
    size_t n_pairs;
};

/* The pictures of the pairs, with what is known of them. folder may be NULL. */
int dup_load(struct app *a, const struct search_pairs *p, const char *folder, struct dup_set *set);
void dup_release(struct dup_set *set); /* takes a zeroed struct */

/* same_picture.c: decodes what it must, in worker processes, and marks pairs. */
int same_judge(struct app *a, struct dup_set *set);
/* Root mean square difference of two, in steps of 8-bit pixels. */
double same_distance(const uint8_t *a, const uint8_t *b);

/* Does a file's name say that it is a copy: "otters-copy.jpg", "Copy of otters.jpg", "otters
 * (1).jpg", "otters.jpg~", the same in other languages? */
bool dup_named_as_copy(const char *path);
/* Which of two is to be kept: negative = a. More pixels, then what the camera said of it, then more
 * bytes, then the name that is not a copy's, then the shorter one. */
int dup_better(const struct dup_picture *a, const struct dup_picture *b);

struct dup_group {
    size_t *member; /* the keeper first, then by falling score */
    float *score;   /* with the keeper */
    size_t n;
};
struct dup_groups {
    struct dup_group *group;
    size_t n;
};
/* Groups by the pairs that are (same = true) or are not marked; pictures that are members, not
 * keepers, of `before` (may be NULL) stay out. */
int dup_group(struct app *a, struct dup_set *set, bool same, float least,
              const struct dup_groups *before, struct dup_groups *out);
void dup_groups_release(struct dup_groups *g);

#endif
