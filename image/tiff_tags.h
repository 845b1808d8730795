/* The directories of a TIFF file, or of a camera's raw file that is built like one, read by hand;
 * private to image/.
 *
 *     struct tiff_tags t;
 *     struct tiff_entry e;
 *     if (tiff_tags_open(&t, data, size) && tiff_tags_find(&e, &t, t.first, 0x8773))
 *         use(e.data, e.size);                 // inside the file; numbers in the file's order
 *     if (tiff_tags_exif(&block, &t)) ...      // a block of a few kilobytes for exif_read
 *
 * Classic and BigTIFF. The input is hostile: whatever lies outside the file is as if absent, and
 * nothing is followed further than said here. Thread rule: no state. */
#ifndef EIDETIC_IMAGE_TIFF_TAGS_H
#define EIDETIC_IMAGE_TIFF_TAGS_H

#include "image/codec.h"

struct tiff_tags {
    const uint8_t *data;
    size_t size;
    bool big_endian, big; /* byte order; BigTIFF */
    uint64_t first;       /* offset of the first directory */
};
struct tiff_entry {
    unsigned tag, type;
    const uint8_t *data;
    size_t count, size; /* values, bytes */
};

/* Also takes the magic numbers of Olympus' and Panasonic's raw files. */
bool tiff_tags_open(struct tiff_tags *t, const uint8_t *data, size_t size);
bool tiff_tags_find(struct tiff_entry *e, const struct tiff_tags *t, uint64_t directory,
                    unsigned tag);
/* Value i of a SHORT, LONG or offset; 0 where there is none. */
uint64_t tiff_tags_number(const struct tiff_tags *t, const struct tiff_entry *e, size_t i);
/* The directory behind this one; 0 = none. */
uint64_t tiff_tags_next(const struct tiff_tags *t, uint64_t directory);
/* A sensor's picture: a DNG, or any of the first directories holds a colour filter array. */
bool tiff_tags_is_raw(const struct tiff_tags *t);

/* Orientation, dates, camera, lens and place alone, as a small TIFF block of its own: the file's
 * directories may lie anywhere in a gigabyte. The caller frees b->own. */
bool tiff_tags_exif(struct codec_block *b, const struct tiff_tags *t);
/* XMP and IPTC of the first directory. */
void tiff_tags_words(struct image_words *w, const struct tiff_tags *t);

#endif
