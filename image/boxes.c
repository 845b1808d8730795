/* See boxes.h. A size of 1 means that 64 bits follow, 0 that the box goes on to the end. */
#include "image/boxes.h"
#include <string.h>

static uint64_t number(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    while (bytes--)
        v = v << 8 | *p++;
    return v;
}

bool box_next(struct box *b, const uint8_t *data, size_t size)
{
    size_t head = 8, left = size - b->next;
    if (b->next > size || left < 8)
        return false;
    const uint8_t *p = data + b->next;
    uint64_t n = number(p, 4);
    if (n == 1 && left >= 16) {
        n = number(p + 8, 8);
        head = 16;
    } else if (n == 0) {
        n = left;
    }
    if (n < head || n > left)
        return false;
    memcpy(b->type, p + 4, 4);
    b->data = p + head;
    b->size = (size_t)n - head;
    b->next += (size_t)n;
    return true;
}

bool box_has_brand(const uint8_t *data, size_t size, const char *const *brands)
{
    struct box b = {0};
    if (!box_next(&b, data, size) || memcmp(b.type, "ftyp", 4) || b.size < 8)
        return false;
    for (size_t i = 0; i + 4 <= b.size && i < 256; i += i ? 4 : 8) /* the second is a version */
        for (const char *const *name = brands; *name; name++)
            if (!memcmp(b.data + i, *name, 4))
                return true;
    return false;
}
