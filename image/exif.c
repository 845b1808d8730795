/* EXIF through libexif: orientation, date, camera, lens, place, a generator's comment. Surprising:
 * libexif "repairs" what it reads unless told not to, so a missing orientation would come back as
 * one; both of its default options are switched off. */
#include "core/bytes.h"
#include "core/path.h"
#include "image/codec.h"
#include <libexif/exif-data.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* An APP1 segment is at most 64 KiB; other containers are given a little more. */
#define EXIF_MAX (1 << 20)

static void *exif_alloc(ExifLong n)
{
    return mem_zalloc(n ? n : 1);
}

static void *exif_realloc(void *p, ExifLong n)
{
    return mem_realloc(p, n ? n : 1);
}

static const ExifEntry *find(const ExifData *d, ExifIfd ifd, ExifTag tag, ExifFormat format,
                             size_t bytes)
{
    const ExifEntry *e = exif_content_get_entry(d->ifd[ifd], tag);
    return e && e->data && e->format == format && e->size >= bytes ? e : NULL;
}

/* A whole number in any of the sizes that it is written in; 0 = none. */
static unsigned find_number(const ExifData *d, ExifTag tag, ExifByteOrder order)
{
    const ExifEntry *e;
    if ((e = find(d, EXIF_IFD_0, tag, EXIF_FORMAT_SHORT, 2)))
        return exif_get_short(e->data, order);
    if ((e = find(d, EXIF_IFD_0, tag, EXIF_FORMAT_LONG, 4)))
        return exif_get_long(e->data, order);
    e = find(d, EXIF_IFD_0, tag, EXIF_FORMAT_BYTE, 1);
    return e ? e->data[0] : 0;
}

static void put_text(char *dst, size_t cap, const ExifEntry *e, bool lines)
{
    char utf8[3 * 4096];
    size_t n = image_words_utf8(utf8, sizeof utf8, e->data, strnlen((char *)e->data, e->size));
    image_words_text(dst, cap, utf8, n, lines);
}

static bool find_text(char *dst, size_t cap, const ExifData *d, ExifIfd ifd, ExifTag tag)
{
    const ExifEntry *e = find(d, ifd, tag, EXIF_FORMAT_ASCII, 1);
    dst[0] = 0;
    if (e)
        put_text(dst, cap, e, false);
    return dst[0];
}

static bool is_offset(const char *s)
{
    return strlen(s) == 6 && (s[0] == '+' || s[0] == '-') && s[3] == ':' &&
           strspn(s + 1, "0123456789") == 2 && strspn(s + 4, "0123456789") == 2 &&
           strncmp(s + 1, "14", 2) <= 0 && s[4] < '6';
}

static void read_date(struct image_meta *m, const ExifData *d)
{
    static const struct {
        ExifIfd ifd;
        ExifTag date, offset;
    } kinds[] = {
        {EXIF_IFD_EXIF, EXIF_TAG_DATE_TIME_ORIGINAL, EXIF_TAG_OFFSET_TIME_ORIGINAL},
        {EXIF_IFD_EXIF, EXIF_TAG_DATE_TIME_DIGITIZED, EXIF_TAG_OFFSET_TIME_DIGITIZED},
        {EXIF_IFD_0, EXIF_TAG_DATE_TIME, EXIF_TAG_OFFSET_TIME},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char text[48], offset[7], iso[32];
        if (!find_text(text, sizeof text, d, kinds[i].ifd, kinds[i].date) ||
            !image_words_date(iso, text, strlen(text)))
            continue;
        find_text(offset, sizeof offset, d, EXIF_IFD_EXIF, kinds[i].offset);
        if (!strcmp(offset, "Z"))
            snprintf(offset, sizeof offset, "+00:00");
        bool whole = strlen(iso) == sizeof "2019-05-04T13:02:11" - 1; /* and none in it yet */
        snprintf(m->taken, sizeof m->taken, "%s%.6s", iso,
                 whole && is_offset(offset) ? offset : "");
        return;
    }
}

/* "Canon" + "Canon EOS 5D" and "NIKON CORPORATION" + "NIKON D90" name the maker once. */
static void read_camera(struct image_meta *m, const ExifData *d)
{
    char model[64], both[128];
    find_text(m->make, sizeof m->make, d, EXIF_IFD_0, EXIF_TAG_MAKE);
    find_text(model, sizeof model, d, EXIF_IFD_0, EXIF_TAG_MODEL);
    find_text(m->lens, sizeof m->lens, d, EXIF_IFD_EXIF, EXIF_TAG_LENS_MODEL);
    size_t word = strcspn(m->make, " ");
    bool named = word && !strncasecmp(model, m->make, word) &&
                 (model[word] == ' ' || model[word] == 0 || model[word] == '-');
    if (named || !model[0])
        snprintf(both, sizeof both, "%s", model[0] ? model : m->make);
    else
        snprintf(both, sizeof both, "%s %s", m->make, model);
    image_words_text(m->camera, sizeof m->camera, both, sizeof both,
                     false); /* cuts between characters */
}

static bool rational(double *v, const ExifEntry *e, int i, ExifByteOrder order)
{
    ExifRational r = exif_get_rational(e->data + 8 * (size_t)i, order);
    if (!r.denominator)
        return false;
    *v = (double)r.numerator / r.denominator;
    return true;
}

/* Degrees, minutes, seconds and a letter. Seconds of 0/0 occur where minutes hold the fraction. */
static bool read_angle(double *v, const ExifData *d, int ref_tag, int tag, char plus, char minus,
                       double max, ExifByteOrder order)
{
    const ExifEntry *e = find(d, EXIF_IFD_GPS, (ExifTag)tag, EXIF_FORMAT_RATIONAL, 24);
    const ExifEntry *ref = find(d, EXIF_IFD_GPS, (ExifTag)ref_tag, EXIF_FORMAT_ASCII, 1);
    double deg, min, sec;
    char letter = ref ? (char)(ref->data[0] & ~0x20) : 0; /* some write small ones */
    if (!e || (letter != plus && letter != minus) || !rational(&deg, e, 0, order))
        return false;
    min = sec = 0;
    rational(&min, e, 1, order);
    rational(&sec, e, 2, order);
    *v = deg + min / 60 + sec / 3600;
    if (!(*v <= max))
        return false;
    if (letter == minus)
        *v = -*v;
    return true;
}

static void read_place(struct image_meta *m, const ExifData *d, ExifByteOrder order)
{
    double lat, lon, alt;
    if (!read_angle(&lat, d, EXIF_TAG_GPS_LATITUDE_REF, EXIF_TAG_GPS_LATITUDE, 'N', 'S', 90,
                    order) ||
        !read_angle(&lon, d, EXIF_TAG_GPS_LONGITUDE_REF, EXIF_TAG_GPS_LONGITUDE, 'E', 'W', 180,
                    order))
        return;
    if (lat == 0 && lon == 0) /* what cameras write that have no fix */
        return;
    m->has_gps = true;
    m->lat = lat;
    m->lon = lon;
    const ExifEntry *e =
        find(d, EXIF_IFD_GPS, (ExifTag)EXIF_TAG_GPS_ALTITUDE, EXIF_FORMAT_RATIONAL, 8);
    const ExifEntry *below =
        find(d, EXIF_IFD_GPS, (ExifTag)EXIF_TAG_GPS_ALTITUDE_REF, EXIF_FORMAT_BYTE, 1);
    if (e && rational(&alt, e, 0, order))
        m->alt = below && below->data[0] == 1 ? -alt : alt;
}

/* What cameras write into the description by themselves. */
static bool is_no_description(const char *text)
{
    static const char *const own[] = {"SONY DSC", "SAMSUNG CAMERA PICTURES", "DCIM", "default",
                                      "untitled"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!strncmp(text, own[i], strlen(own[i])))
            return true;
    return strstr(text, "DIGITAL CAMERA") != NULL;
}

static void find_description(char *dst, size_t cap, const ExifData *d)
{
    const ExifEntry *e = find(d, EXIF_IFD_0, EXIF_TAG_IMAGE_DESCRIPTION, EXIF_FORMAT_ASCII, 1);
    if (e)
        put_text(dst, cap, e, true);
    if (is_no_description(dst))
        dst[0] = 0;
}

/* Windows' own tags: bytes that are UTF-16, the low one first. */
static void find_wide(char *dst, size_t cap, const ExifData *d, ExifTag tag, bool lines)
{
    const ExifEntry *e = find(d, EXIF_IFD_0, tag, EXIF_FORMAT_BYTE, 2);
    char utf8[4 * 1024];
    size_t n = 0;
    for (size_t i = 0; e && i + 1 < e->size && n + 4 <= sizeof utf8;) {
        uint32_t c;
        i += utf16_decode(e->data + i, e->size - i, false, &c);
        if (!c)
            break;
        n += utf8_encode(c >= 0xD800 && c < 0xE000 ? 0xFFFD : c, utf8 + n);
    }
    image_words_text(dst, cap, utf8, n, lines);
}

static void read_words(struct image_words *w, const ExifData *d, ExifByteOrder order)
{
    struct image_words own = {0};
    char list[sizeof own.description];
    unsigned rating = find_number(d, (ExifTag)0x4746, order);
    own.rating = rating <= 5 ? (int)rating : 0;
    own.is_rated = own.rating; /* of EXIF, 0 is also what stands there when nobody rated */
    find_description(own.description, sizeof own.description, d);
    find_wide(own.title, sizeof own.title, d, EXIF_TAG_XP_TITLE, false);
    if (!own.title[0])
        find_wide(own.title, sizeof own.title, d, EXIF_TAG_XP_SUBJECT, false);
    if (!own.description[0])
        find_wide(own.description, sizeof own.description, d, EXIF_TAG_XP_COMMENT, true);
    find_wide(list, sizeof list, d, EXIF_TAG_XP_KEYWORDS, false);
    for (char *p = list; *p;) {
        size_t n = strcspn(p, ";");
        image_words_add(&own, p, n);
        p += n + (p[n] == ';');
    }
    image_words_merge(w, &own);
}

/* A TIFF folder of its own, big-endian, with offsets from its beginning. */
size_t apple_note_text(const uint8_t **text, const uint8_t *note, size_t size, enum apple_tag tag)
{
    static const char name[] = APPLE_NOTE;
    enum { HEAD = sizeof name - 1, TYPE_TEXT = 2, ENTRIES_MOST = 256 };
    if (size < HEAD + 2 || memcmp(note, name, HEAD) != 0)
        return 0;
    size_t count = (size_t)note[HEAD] << 8 | note[HEAD + 1];
    for (size_t i = 0; i < count && i < ENTRIES_MOST && HEAD + 2 + 12 * (i + 1) <= size; i++) {
        const uint8_t *e = note + HEAD + 2 + 12 * i;
        size_t n = bytes_be32(e + 4), at = bytes_be32(e + 8);
        if ((unsigned)(e[0] << 8 | e[1]) != tag || (e[2] << 8 | e[3]) != TYPE_TEXT)
            continue;
        if (n <= 4 || at >= size || n > size - at)
            return 0;
        *text = note + at;
        return n;
    }
    return 0;
}

static void read_apple_burst(struct image_words *w, const ExifEntry *e)
{
    const uint8_t *text = NULL;
    size_t n = apple_note_text(&text, e->data, e->size, APPLE_BURST);
    if (n)
        image_words_text(w->burst, sizeof w->burst, (const char *)text, n, false);
}

static void read_all(struct image_meta *m, const ExifData *d)
{
    ExifByteOrder order = exif_data_get_byte_order((ExifData *)d);
    unsigned turn = find_number(d, EXIF_TAG_ORIENTATION, order);
    m->orientation = turn >= 1 && turn <= 8 ? (int)turn : 1;
    read_date(m, d);
    read_camera(m, d);
    read_place(m, d, order);
    read_words(&m->words, d, order);
    const ExifEntry *e = find(d, EXIF_IFD_EXIF, EXIF_TAG_MAKER_NOTE, EXIF_FORMAT_UNDEFINED, 16);
    if (e)
        read_apple_burst(&m->words, e);
    e = find(d, EXIF_IFD_EXIF, EXIF_TAG_USER_COMMENT, EXIF_FORMAT_UNDEFINED, 8);
    if (e)
        exif_read_parameters(m->parameters, e->data, e->size);
}

void exif_read(struct image_meta *meta, const uint8_t *p, size_t n)
{
    static const char prefix[6] = "Exif\0";
    ExifMem *mem = NULL;
    ExifData *d = NULL;
    bool has_prefix = n >= 6 && !memcmp(p, prefix, 5);
    size_t skip = has_prefix ? 6 : 0;
    if (n - skip < 8 || n > EXIF_MAX)
        return;
    uint8_t *block =
        mem_alloc(n - skip + sizeof prefix); /* with the prefix that libexif looks for */
    if (block) {
        memcpy(block, prefix, sizeof prefix);
        memcpy(block + sizeof prefix, p + skip, n - skip);
        mem = exif_mem_new(exif_alloc, exif_realloc, mem_free);
    }
    d = mem ? exif_data_new_mem(mem) : NULL;
    if (d) {
        exif_data_unset_option(d, EXIF_DATA_OPTION_IGNORE_UNKNOWN_TAGS);
        exif_data_unset_option(d, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
        exif_data_load_data(d, block, (unsigned)(n - skip + sizeof prefix));
        read_all(meta, d);
        exif_data_unref(d);
    }
    if (mem)
        exif_mem_unref(mem);
    mem_free(block);
}
