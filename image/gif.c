/* GIF by hand: the first frame on its canvas. Surprising: what the frame does not cover has the
 * transparent colour where there is one, else the palette's first, as in Pillow; and a frame that
 * reaches beyond the canvas makes it larger. What follows the first frame is not looked at, but for
 * whether a second one is there, and for XMP. */
#include "image/codec.h"
#include <string.h>

struct gif {
    const struct codec_in *in;
    const uint8_t *d;
    size_t n, at;
    int width, height; /* of the canvas */
    int left, top, w, h;
    bool interlaced;
    int transparent; /* index, or -1 */
    const uint8_t *palette;
    int colours;        /* 0 = grey levels */
    const uint8_t *xmp; /* NULL = none passed yet */
    size_t xmp_size;
};

static enum status truncated(const struct gif *g, struct error *err)
{
    return error_set(err, ST_FORMAT, "%s: GIF: is truncated", g->in->name);
}

static int two(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}

static bool take_palette(struct gif *g, uint8_t flags)
{
    size_t bytes = (size_t)3 << ((flags & 7) + 1);
    if (!(flags & 0x80))
        return true;
    if (bytes > g->n - g->at)
        return false;
    g->palette = g->d + g->at;
    g->colours = (int)(bytes / 3);
    g->at += bytes;
    return true;
}

static bool skip_blocks(struct gif *g)
{
    while (g->at < g->n) {
        size_t len = g->d[g->at++];
        if (!len)
            return true;
        if (len > g->n - g->at)
            return false;
        g->at += len;
    }
    return false;
}

/* An XMP packet lies bare where blocks belong, and its bytes are taken as their lengths by whoever
 * skips it (XMP specification, part 3, 1.1.2). Wherever that has led to, 258 bytes behind the
 * packet, 1, 255, 254 ... 0, 0, bring everybody to their last one. */
static bool skip_extension(struct gif *g)
{
    static const char name[] = "\x21\xFF\x0BXMP DataXMP";
    enum { HEAD = sizeof name - 1, TRAILER = 258 };
    const uint8_t *p = g->d + g->at;
    size_t left = g->n - g->at;
    bool xmp = left >= HEAD && !memcmp(p, name, HEAD);
    g->at += left < 2 ? left : 2;
    if (!skip_blocks(g))
        return false;
    const uint8_t *end = g->d + g->at;
    if (xmp && !g->xmp && end - p > HEAD + TRAILER && end[-TRAILER] == 1 &&
        end[1 - TRAILER] == 0xFF) {
        g->xmp = p + HEAD;
        g->xmp_size = (size_t)(end - p) - HEAD - TRAILER;
    }
    return true;
}

/* Goes on to the next frame's data: 1 found, 0 no more, -1 truncated. */
static int next_frame(struct gif *g)
{
    while (g->at < g->n) {
        const uint8_t *p = g->d + g->at;
        size_t left = g->n - g->at;
        if (*p == 0x21 && left >= 8 && p[1] == 0xF9 && p[2] >= 4)
            g->transparent = p[3] & 1 ? p[6] : -1;
        if (*p == 0x21) {
            if (!skip_extension(g))
                return -1;
        } else if (*p == 0x2C) {
            if (left < 10)
                return -1;
            g->left = two(p + 1);
            g->top = two(p + 3);
            g->w = two(p + 5);
            g->h = two(p + 7);
            g->interlaced = p[9] & 0x40;
            g->at += 10;
            return take_palette(g, p[9]) ? 1 : -1;
        } else if (*p == 0x3B) {
            return 0;
        } else {
            g->at++; /* some writers pad */
        }
    }
    return -1;
}

static enum status gif_open(struct gif *g, const struct codec_in *in, struct error *err)
{
    *g = (struct gif){.in = in, .d = in->data, .n = in->size, .at = 13, .transparent = -1};
    if (in->size < 13 || !take_palette(g, in->data[10]))
        return truncated(g, err);
    int found = next_frame(g);
    if (found < 0)
        return truncated(g, err);
    if (!found)
        return error_set(err, ST_FORMAT, "%s: GIF: has no picture", in->name);
    g->width = two(in->data + 6);
    g->height = two(in->data + 8);
    g->width = g->width > g->left + g->w ? g->width : g->left + g->w;
    g->height = g->height > g->top + g->h ? g->height : g->top + g->h;
    if (!g->w || !g->h)
        return error_set(err, ST_FORMAT, "%s: GIF: the frame is %d x %d pixels", in->name, g->w,
                         g->h);
    return codec_check_size((uint64_t)g->width, (uint64_t)g->height, in, err);
}

static enum status gif_header(int *w, int *h, const struct codec_in *in, struct error *err)
{
    struct gif g;
    enum status st = gif_open(&g, in, err);
    if (st)
        return st;
    *w = g.width;
    *h = g.height;
    return ST_OK;
}

/* Codes of 3 to 12 bits, least significant first, from blocks of at most 255 bytes. */
struct bits {
    struct gif *g;
    uint32_t value;
    int have;
    size_t left; /* of this block */
};

static int next_code(struct bits *b, int bits)
{
    struct gif *g = b->g;
    while (b->have < bits) {
        if (!b->left) {
            if (g->at >= g->n || !(b->left = g->d[g->at++]) || b->left > g->n - g->at)
                return -1;
        }
        b->value |= (uint32_t)g->d[g->at++] << b->have;
        b->have += 8;
        b->left--;
    }
    int code = (int)(b->value & ((1u << bits) - 1));
    b->value >>= bits;
    b->have -= bits;
    return code;
}

/* LZW as in the GIF89a specification, appendix F. */
static enum status unpack(uint8_t *out, size_t n, struct gif *g, struct error *err)
{
    uint16_t prefix[4096], length[4096];
    uint8_t suffix[4096], first[4096];
    struct bits b = {.g = g};
    if (g->at >= g->n)
        return truncated(g, err);
    int min = g->d[g->at++];
    if (min < 1 || min > 8)
        return error_set(err, ST_FORMAT, "%s: GIF: codes of %d bits", g->in->name, min);
    int clear = 1 << min, next = clear + 2, width = min + 1, last = -1;
    for (int i = 0; i < clear; i++) {
        prefix[i] = 0;
        length[i] = 1;
        suffix[i] = first[i] = (uint8_t)i;
    }
    for (size_t at = 0; at < n;) {
        int code = next_code(&b, width);
        if (code == clear) {
            next = clear + 2;
            width = min + 1;
            last = -1;
            continue;
        }
        if (code < 0 || code == clear + 1)
            return truncated(g, err);
        if (code > next || (code == next && (last < 0 || next == 4096)) ||
            (last < 0 && code >= clear))
            return error_set(err, ST_FORMAT, "%s: GIF: is damaged", g->in->name);
        if (last >= 0 && next < 4096) {
            prefix[next] = (uint16_t)last;
            length[next] = (uint16_t)(length[last] + 1);
            first[next] = first[last];
            suffix[next] = first[code == next ? last : code];
            next++;
            if (next == 1 << width && width < 12)
                width++;
        }
        size_t len = length[code], end = at + len;
        int c = code;
        for (size_t k = end; k-- > at; c = prefix[c])
            if (k < n)
                out[k] = suffix[c];
        at = end;
        last = code;
    }
    return ST_OK;
}

static void colour(uint8_t *rgb, const struct gif *g, int i)
{
    if (!g->colours)
        memset(rgb, i, 3);
    else if (i < g->colours)
        memcpy(rgb, g->palette + 3 * (size_t)i, 3);
    else
        memset(rgb, 0, 3);
}

static void paint(struct image *out, const struct gif *g, const uint8_t *index)
{
    static const int start[] = {0, 4, 2, 1, 0}, step[] = {8, 8, 4, 2, 1};
    for (int pass = g->interlaced ? 0 : 4, row = 0; pass < (g->interlaced ? 4 : 5); pass++)
        for (int y = start[pass]; y < g->h; y += step[pass], row++) {
            const uint8_t *from = index + (size_t)row * (size_t)g->w;
            uint8_t *to =
                out->data + ((size_t)(g->top + y) * (size_t)out->width + (size_t)g->left) * 3;
            for (int x = 0; x < g->w; x++)
                colour(to + 3 * (size_t)x, g, from[x]);
        }
}

static enum status gif_decode(struct image *out, const struct codec_in *in, struct error *err)
{
    struct gif g;
    uint8_t *index = NULL;
    enum status st = gif_open(&g, in, err);
    if (st)
        return st;
    size_t n = (size_t)g.w * (size_t)g.h;
    st = codec_alloc(out, (uint64_t)g.width, (uint64_t)g.height, in, err);
    if (!st && !(index = mem_alloc(n)))
        st = error_set(err, ST_NOMEM, "%s: out of memory", in->name);
    if (!st)
        st = unpack(index, n, &g, err);
    if (!st) {
        if (g.w != g.width || g.h != g.height)
            for (size_t i = 0; i < (size_t)g.width * (size_t)g.height; i++)
                colour(out->data + 3 * i, &g, g.transparent < 0 ? 0 : g.transparent);
        paint(out, &g, index);
    }
    mem_free(index);
    if (st)
        image_release(out);
    return st;
}

static bool gif_sniff(const uint8_t *p, size_t n)
{
    return n >= 6 && (!memcmp(p, "GIF87a", 6) || !memcmp(p, "GIF89a", 6));
}

/* From a frame's data to that of the next one. */
static bool pass_frame(struct gif *g)
{
    if (g->at >= g->n)
        return false;
    g->at++; /* the size of the codes */
    return skip_blocks(g) && next_frame(g) > 0;
}

static bool gif_animated(const struct codec_in *in)
{
    struct gif g;
    return !gif_open(&g, in, NULL) && pass_frame(&g);
}

/* In front of the frames, between them, or behind. */
static void gif_words(struct image_words *w, const struct codec_in *in)
{
    struct gif g;
    if (gif_open(&g, in, NULL))
        return;
    while (!g.xmp && pass_frame(&g))
        continue;
    if (g.xmp)
        (void)xmp_read(w, g.xmp, g.xmp_size);
}

const struct codec codec_gif = {
    .name = "gif",
    .sniff = gif_sniff,
    .header = gif_header,
    .decode = gif_decode,
    .words = gif_words,
    .animated = gif_animated,
};
