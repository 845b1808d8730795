/* See tiff_tags.h. Offsets are compared with what is left of the file before anything is read. */
#include "image/tiff_tags.h"
#include <string.h>

enum { EXIF_IFD = 0x8769, GPS_IFD = 0x8825, SUB_IFDS = 0x14A, PHOTOMETRIC = 0x106 };
enum { MAX_ENTRIES = 1000, MAX_DIRECTORIES = 16 };

static uint64_t number(const struct tiff_tags *t, const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[t->big_endian ? i : bytes - 1 - i];
    return v;
}

bool tiff_tags_open(struct tiff_tags *t, const uint8_t *data, size_t size)
{
    *t = (struct tiff_tags){.data = data, .size = size};
    if (size < 8 || (memcmp(data, "II", 2) && memcmp(data, "MM", 2)))
        return false;
    t->big_endian = data[0] == 'M';
    unsigned magic = (unsigned)number(t, data + 2, 2);
    if (magic == 43) {
        t->big = true;
        if (size < 16 || number(t, data + 4, 4) != 8)
            return false;
        t->first = number(t, data + 8, 8);
        return true;
    }
    t->first = number(t, data + 4, 4);
    return magic == 42 || magic == 0x55 || magic == 0x4F52 || magic == 0x5352;
}

/* How many entries a directory has that lie in the file; *at = the first. */
static size_t entries(const struct tiff_tags *t, uint64_t dir, size_t *at)
{
    size_t count_bytes = t->big ? 8 : 2, each = t->big ? 20 : 12;
    if (dir < 8 || dir > t->size || t->size - dir < count_bytes)
        return 0;
    *at = (size_t)dir + count_bytes;
    uint64_t n = number(t, t->data + dir, (int)count_bytes), fit = (t->size - *at) / each;
    n = n < fit ? n : fit;
    return n < MAX_ENTRIES ? (size_t)n : MAX_ENTRIES;
}

static bool read_entry(struct tiff_entry *e, const struct tiff_tags *t, const uint8_t *p)
{
    static const uint8_t bytes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8};
    int wide = t->big ? 8 : 4;
    e->tag = (unsigned)number(t, p, 2);
    e->type = (unsigned)number(t, p + 2, 2);
    uint64_t count = number(t, p + 4, wide);
    if (e->type >= sizeof bytes || !bytes[e->type] || count > t->size / bytes[e->type])
        return false;
    e->count = (size_t)count;
    e->size = e->count * bytes[e->type];
    e->data = p + 4 + wide;
    if (e->size > (size_t)wide) {
        uint64_t at = number(t, p + 4 + wide, wide);
        if (at > t->size || e->size > t->size - at)
            return false;
        e->data = t->data + at;
    }
    return true;
}

bool tiff_tags_find(struct tiff_entry *e, const struct tiff_tags *t, uint64_t directory,
                    unsigned tag)
{
    size_t at = 0, n = entries(t, directory, &at), each = t->big ? 20 : 12;
    for (size_t i = 0; i < n; i++)
        if (number(t, t->data + at + i * each, 2) == tag)
            return read_entry(e, t, t->data + at + i * each);
    return false;
}

uint64_t tiff_tags_number(const struct tiff_tags *t, const struct tiff_entry *e, size_t i)
{
    int bytes = e->type == 3                                   ? 2
                : e->type == 4 || e->type == 13                ? 4
                : e->type == 16 || e->type == 18               ? 8
                : e->type == 1 || e->type == 6 || e->type == 7 ? 1
                                                               : 0;
    return bytes && i < e->count ? number(t, e->data + i * (size_t)bytes, bytes) : 0;
}

uint64_t tiff_tags_next(const struct tiff_tags *t, uint64_t directory)
{
    size_t at = 0, n = entries(t, directory, &at), wide = t->big ? 8 : 4;
    if (!n)
        return 0;
    at += n * (t->big ? 20 : 12);
    return t->size - at < wide ? 0 : number(t, t->data + at, (int)wide);
}

static bool is_sensor(const struct tiff_tags *t, uint64_t dir)
{
    struct tiff_entry e;
    uint64_t kind = tiff_tags_find(&e, t, dir, PHOTOMETRIC) ? tiff_tags_number(t, &e, 0) : 0;
    return kind == 32803 || kind == 34892; /* colour filter array; linear raw */
}

bool tiff_tags_is_raw(const struct tiff_tags *t)
{
    struct tiff_entry e;
    if (tiff_tags_find(&e, t, t->first, 0xC612)) /* DNGVersion */
        return true;
    uint64_t dir = t->first;
    for (int i = 0; dir && i < MAX_DIRECTORIES; i++, dir = tiff_tags_next(t, dir)) {
        if (is_sensor(t, dir))
            return true;
        if (!tiff_tags_find(&e, t, dir, SUB_IFDS))
            continue;
        for (size_t k = 0; k < e.count && k < MAX_DIRECTORIES; k++)
            if (is_sensor(t, tiff_tags_number(t, &e, k)))
                return true;
    }
    return false;
}

/* ---- the small block ---- */

enum { BLOCK = 64 << 10, VALUE = 4096 };

struct block {
    const struct tiff_tags *t;
    uint8_t *p;
    size_t at; /* free from here */
};

static void put(const struct block *b, size_t at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        b->p[at + (size_t)i] = (uint8_t)(v >> 8 * (b->t->big_endian ? bytes - 1 - i : i));
}

/* Copies the tags of a list (ends in 0) from one directory, and appends `more` entries of type LONG
 * for the caller to fill. Returns where the first of those stands; 0 when there is no room. */
static size_t copy_directory(struct block *b, uint64_t from, const uint16_t *tags, int more)
{
    size_t count_at = b->at, room = 2 + 4, entry, n = 0;
    for (const uint16_t *tag = tags; *tag; tag++)
        room += 12;
    room += 12 * (size_t)more;
    if (room > BLOCK - b->at)
        return 0;
    b->at += room;
    entry = count_at + 2;
    for (; *tags; tags++) {
        struct tiff_entry e;
        if (!tiff_tags_find(&e, b->t, from, *tags) || e.size > VALUE || e.type > 12 ||
            e.size > BLOCK - b->at)
            continue;
        put(b, entry, e.tag, 2);
        put(b, entry + 2, e.type, 2);
        put(b, entry + 4, e.count, 4);
        if (e.size <= 4) {
            memcpy(b->p + entry + 8, e.data, e.size);
        } else {
            put(b, entry + 8, b->at, 4);
            memcpy(b->p + b->at, e.data, e.size);
            b->at += e.size + (e.size & 1);
        }
        entry += 12;
        n++;
    }
    put(b, count_at, n + (size_t)more, 2);
    return entry;
}

static void add_link(struct block *b, size_t entry, unsigned tag, const uint16_t *tags)
{
    struct tiff_entry e;
    uint64_t from = tiff_tags_find(&e, b->t, b->t->first, tag) ? tiff_tags_number(b->t, &e, 0) : 0;
    size_t to = b->at;
    put(b, entry, tag, 2);
    put(b, entry + 2, 4, 2);
    put(b, entry + 4, 1, 4);
    if (copy_directory(b, from, tags, 0))
        put(b, entry + 8, to, 4);
}

bool tiff_tags_exif(struct codec_block *b, const struct tiff_tags *t)
{
    static const uint16_t main_tags[] = {0x10E,  0x10F,  0x110,  0x112,  0x132, 0x4746,
                                         0x9C9B, 0x9C9C, 0x9C9E, 0x9C9F, 0};
    static const uint16_t exif_tags[] = {0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0xA434, 0};
    static const uint16_t gps_tags[] = {1, 2, 3, 4, 5, 6, 0};
    struct block to = {.t = t, .p = mem_zalloc(BLOCK), .at = 8};
    if (!to.p)
        return false;
    memcpy(to.p, t->big_endian ? "MM\0*" : "II*\0", 4);
    put(&to, 4, 8, 4);
    size_t links = copy_directory(&to, t->first, main_tags, 2);
    add_link(&to, links, EXIF_IFD, exif_tags);
    add_link(&to, links + 12, GPS_IFD, gps_tags);
    *b = (struct codec_block){to.p, to.at, to.p};
    return true;
}

void tiff_tags_words(struct image_words *w, const struct tiff_tags *t)
{
    struct tiff_entry e;
    const uint8_t *records;
    size_t size;
    if (tiff_tags_find(&e, t, t->first, 0x2BC))
        (void)xmp_read(w, e.data, e.size);
    if (tiff_tags_find(&e, t, t->first, 0x83BB)) /* as longs, by many writers: bytes all the same */
        iptc_read(w, e.data, e.size);
    else if (tiff_tags_find(&e, t, t->first, 0x8649) && iptc_find(&records, &size, e.data, e.size))
        iptc_read(w, records, size);
}
