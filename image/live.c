/* See live.h. Surprising: a picture is not parsed. Apple's maker note is looked for as bytes, which
 * finds it in JPEG and HEIC alike; its offsets count from its own beginning. */
#include "image/live.h"
#include "core/bytes.h"
#include "core/file.h"
#include "core/mem.h"
#include "image/boxes.h"
#include "image/codec.h"
#include <ctype.h>
#include <string.h>
#include <unistd.h>

enum { PICTURE_MOST = 1 << 20, META_MOST = 1 << 20, ATOMS_MOST = 1000, NOTES_MOST = 8, LEAST = 8 };

static bool is_id(char id[IMAGE_LIVE_ID], const uint8_t *p, size_t n)
{
    while (n && !p[n - 1])
        n--;
    if (n < LEAST || n >= IMAGE_LIVE_ID)
        return false;
    for (size_t i = 0; i < n; i++)
        if (p[i] > 127 || (!isalnum(p[i]) && p[i] != '-'))
            return false;
    memcpy(id, p, n);
    id[n] = 0;
    return true;
}

static bool id_in_picture(char id[IMAGE_LIVE_ID], const uint8_t *p, size_t n)
{
    static const char head[] = APPLE_NOTE;
    const uint8_t *end = p + n, *note = p, *text;
    for (int i = 0; i < NOTES_MOST; i++, note++) {
        note = memmem(note, (size_t)(end - note), head, sizeof head - 1);
        if (!note)
            return false;
        size_t size = apple_note_text(&text, note, (size_t)(end - note), APPLE_LIVE);
        if (size && is_id(id, text, size))
            return true;
    }
    return false;
}

bool image_live_id(char id[IMAGE_LIVE_ID], const char *path)
{
    struct image_file f;
    if (image_file_open(&f, path, path, UINT64_MAX, NULL))
        return false;
    size_t n = f.size < PICTURE_MOST ? (size_t)f.size : PICTURE_MOST;
    uint8_t *data = mem_alloc(n);
    bool found =
        data && !file_pread_all(f.fd, data, n, 0, path, NULL) && id_in_picture(id, data, n);
    mem_free(data);
    close(f.fd);
    return found;
}

/* ---- videos ---- */

struct part {
    uint64_t at, end;
};

/* The first atom of the type within *in; what is in it. */
static bool find_atom(struct part *in, int fd, const char type[4])
{
    uint8_t h[16];
    for (int i = 0; i < ATOMS_MOST && in->end - in->at >= 8; i++) {
        uint64_t left = in->end - in->at, head = left < 16 ? 8 : 16;
        if (file_pread_all(fd, h, head, in->at, "", NULL))
            return false;
        uint64_t n = bytes_be32(h);
        head = 8;
        if (n == 1 && left >= 16) {
            n = (uint64_t)bytes_be32(h + 8) << 32 | bytes_be32(h + 12);
            head = 16;
        } else if (n == 0) {
            n = left;
        }
        if (n < head || n > left)
            return false;
        if (!memcmp(h + 4, type, 4)) {
            in->end = in->at + n;
            in->at += head;
            return true;
        }
        in->at += n;
    }
    return false;
}

static bool find_box(struct box *b, const uint8_t *p, size_t n, const char *type)
{
    *b = (struct box){0};
    while (box_next(b, p, n))
        if (!memcmp(b->type, type, 4))
            return true;
    return false;
}

/* keys: version and flags, their number, then each as size, "mdta", name. ilst: atoms whose type is
 * the key's number from 1 on, with one called data in them: type, locale, value. */
static bool id_in_meta(char id[IMAGE_LIVE_ID], const uint8_t *p, size_t n)
{
    static const char name[] = "com.apple.quicktime.content.identifier";
    struct box keys, list, key = {0}, item = {0}, data;
    uint32_t number = 0;
    bool found = false;
    if (n >= 8 && memcmp(p + 4, "hdlr", 4) != 0) { /* ISO's has version and flags */
        p += 4;
        n -= 4;
    }
    if (!find_box(&keys, p, n, "keys") || !find_box(&list, p, n, "ilst") || keys.size < 8)
        return false;
    while (!found && box_next(&key, keys.data + 8, keys.size - 8)) {
        number++;
        found = key.size == sizeof name - 1 && !memcmp(key.data, name, key.size);
    }
    while (found && box_next(&item, list.data, list.size))
        if (bytes_be32((const uint8_t *)item.type) == number &&
            find_box(&data, item.data, item.size, "data") && data.size > 8 &&
            is_id(id, data.data + 8, data.size - 8))
            return true;
    return false;
}

bool image_live_video_id(char id[IMAGE_LIVE_ID], const char *path)
{
    struct image_file f;
    if (image_file_open(&f, path, path, UINT64_MAX, NULL))
        return false;
    struct part in = {0, f.size};
    uint8_t *data = NULL;
    bool found = find_atom(&in, f.fd, "moov") && find_atom(&in, f.fd, "meta");
    size_t n = found && in.end - in.at <= META_MOST ? (size_t)(in.end - in.at) : 0;
    if (n)
        data = mem_alloc(n);
    found = data && !file_pread_all(f.fd, data, n, in.at, path, NULL) && id_in_meta(id, data, n);
    mem_free(data);
    close(f.fd);
    return found;
}
