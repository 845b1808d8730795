/* The codecs and what they share; private to image/. A codec is one file that ends in one const
 * struct, plus one line in the table of codecs.c:
 *
 *     static bool tga_sniff(const uint8_t *p, size_t n) ...
 *     const struct codec codec_tga = {.name = "tga", .sniff = tga_sniff, ...};
 *     {&codec_tga, "tga", NULL},                              // in codecs.c
 *
 * Contract: `in` is the whole file in memory, never empty, always hostile. header() fills w and h
 * with the size as stored (before orientation) and reads no further than it must. decode()
 * allocates out with codec_alloc, which checks the limits, and leaves it zeroed on failure. exif()
 * finds a TIFF block (with or without the "Exif\0\0" prefix), or returns false. Libraries that
 * report by longjmp are wrapped here, and never get to print or to start threads of their own
 * choice. Thread rule: no state outside the arguments. */
#ifndef EIDETIC_IMAGE_CODEC_H
#define EIDETIC_IMAGE_CODEC_H

#include "image/image.h"

struct codec_in {
    const uint8_t *data;
    size_t size;
    const char *name; /* of the file, safe to print */
    uint64_t max_pixels;
    int min_side; /* 0 = decode in full */
};

struct codec_block {
    const uint8_t *data; /* inside the file, or own */
    size_t size;
    uint8_t *own; /* mem_free after use, or NULL */
};

struct codec {
    const char *name; /* image_meta.format */
    bool (*sniff)(const uint8_t *p, size_t n);
    enum status (*header)(int *w, int *h, const struct codec_in *in, struct error *err);
    enum status (*decode)(struct image *out, const struct codec_in *in, struct error *err);
    bool (*exif)(struct codec_block *b, const struct codec_in *in); /* NULL: the format has none */
    /* A generator's text beside EXIF (image/parameters.h), valid UTF-8 or ""; NULL: none such. */
    void (*parameters)(char out[PARAMETERS_MAX], const struct codec_in *in);
    /* Adds what XMP and IPTC say in this file (image/words.h); NULL: it holds neither. */
    void (*words)(struct image_words *w, const struct codec_in *in);
    bool (*animated)(const struct codec_in *in); /* NULL: the format has one picture */
    bool (*ready)(void); /* NULL: always; else loads the library that decode() needs */
    bool upright;        /* header() and decode() turn by themselves: EXIF must not turn again */
};

extern const struct codec codec_jpeg; /* also of the previews in raw files */
extern const struct codec codec_png;

/* codecs.c: the codec of a file by content, or NULL; one after the other (tests walk the list),
 * NULL at the end. */
const struct codec *codec_find(const uint8_t *data, size_t size);
const struct codec *codec_at(size_t i);
/* Loads every library that codecs need, while files may still be opened. */
void codec_load_libraries(void);

/* Checks a size that a file claims (positive, at most 2^31-1, pixel limit). */
enum status codec_check_size(uint64_t w, uint64_t h, const struct codec_in *in, struct error *err);

/* image_alloc after codec_check_size of the same numbers. */
enum status codec_alloc(struct image *out, uint64_t w, uint64_t h, const struct codec_in *in,
                        struct error *err);

/* load.c: words come to their fields, and to the date and place of meta; those of a sidecar go
 * before what is there, for whoever wrote it could see that. */
void image_take_words(struct image_meta *meta, const struct image_words *w, bool sidecar);

/* exif.c: fills orientation, date, camera, lens and place; a block that cannot be read changes
 * nothing. */
void exif_read(struct image_meta *meta, const uint8_t *p, size_t n);
/* A text in Apple's maker note, which begins with APPLE_NOTE; its bytes, 0 = none. */
#define APPLE_NOTE "Apple iOS\0\0\1MM"
enum apple_tag { APPLE_BURST = 11, APPLE_LIVE = 17 };
size_t apple_note_text(const uint8_t **text, const uint8_t *note, size_t size, enum apple_tag tag);

/* orient.c: turns img by EXIF's 1..8 (anything else: unchanged). Needs a second picture of memory.
 */
enum status image_orient(struct image *img, int orientation, struct error *err);

/* load.c: path as one printable line of at most cap - 1 bytes, cut in front. */
void image_safe_name(char *out, size_t cap, const char *path);

/* load.c: opens a regular file of 1..max_bytes bytes for reading; never blocks on a FIFO or device.
 */
struct image_file {
    int fd;
    uint64_t size;
    int64_t mtime_ns;
};
enum status image_file_open(struct image_file *f, const char *path, const char *name,
                            uint64_t max_bytes, struct error *err);

#define IMAGE_MAX_BYTES (UINT64_C(1) << 30)
#define IMAGE_NAME_CAP 160

#endif
