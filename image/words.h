/* What people and programs wrote of a picture: title, description, keywords, rating, date, place;
 * in it (XMP, IPTC-IIM, EXIF) and in XMP sidecars beside it.
 *
 *     struct image_words w = {0};
 *     xmp_read(&w, packet, n);                  // the first that has a title gives it, and so on
 *     iptc_read(&w, records, m);
 *     printf("%s, %d of 5\n", w.title, w.rating);
 *     for (const char *k = NULL; (k = image_words_next(&w, k)); ) puts(k);
 *
 * Readers only add: what is there stays, keywords are joined. All texts are valid UTF-8 without
 * control characters (a description keeps its line ends), cut between characters where they are
 * longer than their field; the input is hostile. Thread rule: any thread, one struct a thread. */
#ifndef EIDETIC_IMAGE_WORDS_H
#define EIDETIC_IMAGE_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IMAGE_RATING_REJECTED = -1, IMAGE_KEYWORD_MAX = 200 };

struct image_words {
    char title[512], description[4096]; /* "" = none */
    char keywords[6144]; /* one after the other, a NUL behind each; used bytes below */
    uint32_t keywords_size;
    int rating;     /* 1..5, 0 = none, IMAGE_RATING_REJECTED */
    bool is_rated;  /* the rating was said, 0 included, which takes back what others say */
    char taken[32]; /* ISO 8601, as far as it is known, with an offset where there is one; or "" */
    bool is_taken;  /* of when it was taken, not of when the file was made */
    bool has_gps;
    double lat, lon, alt; /* degrees, metres above the sea; alt 0 = not known */
    char burst[64]; /* what the pictures of one burst share, as their camera wrote it; or "" */
};

/* One keyword after the other; NULL begins, and is returned behind the last. */
const char *image_words_next(const struct image_words *w, const char *keyword);

/* Puts n bytes into dst (cap bytes) as described above; line ends become blanks unless `lines`. */
void image_words_text(char *dst, size_t cap, const char *src, size_t n, bool lines);
/* n bytes of a text in no named character set: as they are where they are UTF-8, else from
 * Windows-1252, which holds Latin-1. Returns the bytes of UTF-8 in out, at most cap; three for each
 * of n are enough. */
size_t image_words_utf8(char *out, size_t cap, const uint8_t *p, size_t n);
/* Adds a keyword unless it is there (ASCII case aside), empty, or there is no room. */
void image_words_add(struct image_words *w, const char *keyword, size_t n);
/* ISO 8601 or EXIF's form ("2019:05:04 13:02:11.25+0200"), from the year alone to a fraction, made
 * ISO 8601 without the fraction; false where it is neither. */
bool image_words_date(char out[32], const char *text, size_t n);
/* What `more` has and w lacks; more's keywords behind w's. */
void image_words_merge(struct image_words *w, const struct image_words *more);
/* After it came from another process: true and everything as promised above, or all empty. */
bool image_words_check(struct image_words *w);

/* xmp.c: an XMP packet, or a sidecar's whole text. False: it is no XML, or holds a DOCTYPE, which
 * no XMP has; what was read until then stays. */
bool xmp_read(struct image_words *w, const uint8_t *p, size_t n);
/* iptc.c: IPTC-IIM records, and the Photoshop resources that hold them. */
void iptc_read(struct image_words *w, const uint8_t *p, size_t n);
bool iptc_find(const uint8_t **records, size_t *size, const uint8_t *p, size_t n);

/* sidecar.c: the names that a sidecar of `path` may have, the nearest first: photo.jpg.xmp, then
 * photo.xmp, each also in capitals. NULL: no memory, or i is none. mem_free. */
enum { IMAGE_SIDECARS = 4, IMAGE_SIDECAR_MAX = 4 << 20 };
char *image_sidecar_name(const char *path, int i);
/* One number for the sidecars that there are, in that order: 0 without any, else never 0. */
int64_t image_sidecar_stamp(int64_t stamp, int64_t size, int64_t mtime_ns);

#endif
