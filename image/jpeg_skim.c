/* JPEG by the low coefficients alone. Surprising: one look-up steps over as many Huffman symbols as
 * fit in SKIP_BITS bits, because where a coefficient ends can be told without knowing its value.
 * The bytes are unstuffed (FF 00) into a small window first, so that the bit reader needs no test a
 * byte. */
#include "image/jpeg_skim.h"
#include "core/mem.h"
#include <endian.h>
#include <string.h>

enum {
    ONE_BITS = 9,
    SKIP_BITS = 12,
    VALUE_BITS = 10,
    WINDOW = 32768,
    /* More than an MCU can take: 10 blocks of 64 symbols of 16 + 15 bits, and what refill reads. */
    MARGIN = 4096,
    EOB = 0x80, /* in an entry of skip: the block ends with it */
    SCALE = 32, /* fixed point of the quantisers */
};

struct table {
    uint16_t one[1 << ONE_BITS];    /* length << 8 | symbol; 0: a longer code */
    uint16_t skip[1 << SKIP_BITS];  /* coefficients << 8 | EOB | bits; NO_SKIP: not even one */
    int32_t value[1 << VALUE_BITS]; /* value << 16 | coefficients << 8 | EOB | bits; 0: longer */
    int32_t max_code[18];           /* of each length, -1: none */
    int32_t offset[18];             /* from code to symbol */
    const uint8_t *symbols;
};
#define NO_SKIP (127u << 8)

struct bits {
    const uint8_t *p;
    uint64_t buf; /* top-aligned */
    int n;        /* valid bits in buf */
};

struct source {
    const uint8_t *at, *end; /* of the file, stuffed */
    uint8_t window[WINDOW + 2 * MARGIN];
    size_t len;
    bool at_marker; /* the window holds all up to the next marker */
};

struct component {
    const struct table *dc, *ac;
    int h, v, n;          /* blocks an MCU, samples a block and direction */
    int shift_x, shift_y; /* from a pixel's position to a sample's */
    int32_t q[4];         /* of coefficients (0,0) (0,1) (1,0) (1,1), times SCALE */
    int predicted;
    uint8_t *strip; /* one row of MCUs */
    size_t stride;
};

struct skim {
    struct table dc[4], ac[4];
    struct source src;
    struct bits bits;
    struct component comp[3];
    int comps, mcu_w, mcu_h; /* pixels of the result an MCU */
    size_t mcus_x, mcus_y;
    uint8_t *strips, *chroma; /* chroma: two rows, enlarged */
};

static inline void refill(struct bits *b)
{
    uint64_t v;
    memcpy(&v, b->p, sizeof v);
    b->buf |= be64toh(v) >> b->n;
    b->p += (63 - b->n) >> 3;
    b->n |= 56;
}

static inline void drop(struct bits *b, int n)
{
    b->buf <<= n;
    b->n -= n;
}

/* The next symbol, or -1; takes at most 16 bits. */
static inline int next_symbol(struct bits *b, const struct table *t)
{
    unsigned e = t->one[b->buf >> (64 - ONE_BITS)];
    if (e) {
        drop(b, (int)(e >> 8));
        return (int)(e & 255);
    }
    for (int len = ONE_BITS + 1; len <= 16; len++) {
        int32_t code = (int32_t)(b->buf >> (64 - len));
        if (code <= t->max_code[len]) {
            drop(b, len);
            return t->symbols[(code + t->offset[len]) & 255];
        }
    }
    return -1;
}

/* A coefficient's value of s bits, 1 to 15 (ITU T.81, F.2.2.1: EXTEND). */
static inline int next_value(struct bits *b, int s)
{
    int v = (int)(b->buf >> (64 - s));
    drop(b, s);
    return v < 1 << (s - 1) ? v - (1 << s) + 1 : v;
}

/* From coefficient k (done) to the block's end; false: no such code. */
static inline bool skip_rest(struct bits *b, const struct table *ac, int k)
{
    while (k < 63) {
        refill(b);
        int tries = 4; /* of 12 bits each, of the 56 at hand */
        do {
            unsigned e = ac->skip[b->buf >> (64 - SKIP_BITS)];
            int to = k + (int)(e >> 8);
            if (to > 62)
                break;
            drop(b, (int)(e & 15));
            if (e & EOB)
                return true;
            k = to;
        } while (--tries);
        if (!tries)
            continue;
        refill(b);
        int symbol = next_symbol(b, ac), size = symbol & 15;
        if (symbol < 0)
            return false;
        if (!size && symbol != 0xF0)
            return true;
        drop(b, size);
        k += (symbol >> 4) + 1;
    }
    return k == 63;
}

/* One block: its mean's difference, and where low is given, coefficients (0,1) (1,0) (1,1), which
 * are numbers 1, 2 and 4 of the zigzag order. */
static inline bool read_block(struct bits *b, const struct component *c, int *difference,
                              int32_t low[5])
{
    refill(b);
    int k = 0;
    int32_t e = c->dc->value[b->buf >> (64 - VALUE_BITS)];
    if (e) {
        drop(b, e & 31);
        *difference = e >> 16;
    } else {
        int s = next_symbol(b, c->dc);
        if (s < 0 || s > 15)
            return false;
        *difference = s ? next_value(b, s) : 0;
    }
    while (low && k < 4) {
        refill(b);
        e = c->ac->value[b->buf >> (64 - VALUE_BITS)];
        if (e) {
            drop(b, e & 31);
            if (e & EOB)
                return true;
            k += e >> 8 & 127;
            if (k <= 4)
                low[k] = e >> 16;
            continue;
        }
        int symbol = next_symbol(b, c->ac), size = symbol & 15;
        if (symbol < 0)
            return false;
        if (!size && symbol != 0xF0)
            return true;
        k += (symbol >> 4) + 1;
        int v = size ? next_value(b, size) : 0;
        if (k <= 4)
            low[k] = v;
    }
    return skip_rest(b, c->ac, k);
}

static inline uint8_t sample(int32_t sum)
{
    int32_t v = (sum + 4 * SCALE + 128 * 8 * SCALE) >> 8; /* / 8 / SCALE */
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* Block (x, y) of the strip. The means of a block's quarters: the inverse DCT of its lowest 2 x 2
 * coefficients, each weighted by the mean of its cosine. */
static inline bool put_block(struct bits *b, struct component *c, size_t x, size_t y)
{
    int32_t low[5] = {0};
    int difference;
    if (!read_block(b, c, &difference, c->n == 2 ? low : NULL))
        return false;
    c->predicted = (int16_t)(c->predicted + difference);
    int32_t mean = c->predicted * c->q[0];
    if (c->n == 1) {
        c->strip[y * c->stride + x] = sample(mean);
        return true;
    }
    uint8_t *to = c->strip + 2 * y * c->stride + 2 * x;
    int32_t across = low[1] * c->q[1], down = low[2] * c->q[2], both = low[4] * c->q[3];
    to[0] = sample(mean + across + down + both);
    to[1] = sample(mean - across + down - both);
    to[c->stride] = sample(mean + across - down - both);
    to[c->stride + 1] = sample(mean - across - down + both);
    return true;
}

/* Moves what is unread to the front and unstuffs more behind it. */
static void source_fill(struct source *s, struct bits *b)
{
    size_t from = (size_t)(b->p - s->window);
    size_t rest = from < s->len ? s->len - from : 0;
    memmove(s->window, s->window + from, rest);
    b->p = s->window;
    s->len = rest;
    while (s->len < WINDOW && s->at < s->end) {
        size_t n = (size_t)(s->end - s->at), room = WINDOW - s->len;
        n = n < room ? n : room;
        const uint8_t *ff = memchr(s->at, 0xFF, n);
        n = ff ? (size_t)(ff - s->at) : n;
        memcpy(s->window + s->len, s->at, n);
        s->len += n;
        s->at += n;
        if (!ff)
            continue;
        if (s->end - s->at < 2 || s->at[1] != 0)
            break;
        s->window[s->len++] = 0xFF;
        s->at += 2;
    }
    s->at_marker = s->len < WINDOW;
    memset(s->window + s->len, 0, 2 * MARGIN);
}

/* Has the entropy-coded segment been read to its end, and no further? */
static bool source_used_up(const struct source *s, const struct bits *b)
{
    ptrdiff_t left = s->window + s->len - b->p + b->n / 8;
    return s->at_marker && left >= 0 && left <= 1;
}

/* Behind a marker: begins the next segment; false where it is not `marker`. */
static bool source_next(struct skim *s, int marker)
{
    struct source *src = &s->src;
    while (src->end - src->at > 2 && src->at[0] == 0xFF && src->at[1] == 0xFF)
        src->at++;
    if (src->end - src->at < 2 || src->at[0] != 0xFF || src->at[1] != marker)
        return false;
    src->at += 2;
    src->len = 0;
    s->bits = (struct bits){.p = src->window};
    source_fill(src, &s->bits);
    for (int i = 0; i < s->comps; i++)
        s->comp[i].predicted = 0;
    return true;
}

/* Codes in order of length, as ITU T.81 annex C gives them; false: more codes than bits hold. */
static bool table_init(struct table *t, const JHUFF_TBL *h, bool ac)
{
    int32_t code = 0, k = 0;
    if (!h)
        return false;
    memset(t, 0, sizeof *t);
    t->symbols = h->huffval;
    for (int len = 1; len <= 16; len++, code <<= 1) {
        int32_t n = h->bits[len];
        if (code + n > 1 << len || k + n > 256)
            return false;
        t->offset[len] = k - code;
        for (int32_t i = 0; len <= ONE_BITS && i < n << (ONE_BITS - len); i++)
            t->one[(code << (ONE_BITS - len)) + i] =
                (uint16_t)(len << 8 | h->huffval[k + (i >> (ONE_BITS - len))]);
        code += n;
        k += n;
        t->max_code[len] = n ? code - 1 : -1;
    }
    for (uint32_t i = 0; ac && i < 1u << SKIP_BITS; i++) {
        struct bits b = {.buf = (uint64_t)i << (64 - SKIP_BITS), .n = SKIP_BITS};
        unsigned used = 0, to = 0, eob = 0;
        while (!eob) {
            int symbol = next_symbol(&b, t), size = symbol & 15;
            if (symbol < 0 || b.n < size)
                break;
            bool end = !size && symbol != 0xF0;
            if (!end && to + (unsigned)(symbol >> 4) + 1 > 62)
                break;
            drop(&b, size);
            used = (unsigned)(SKIP_BITS - b.n);
            to += end ? 0 : (unsigned)(symbol >> 4) + 1;
            eob = end ? EOB : 0;
        }
        t->skip[i] = (uint16_t)(used ? to << 8 | eob | used : NO_SKIP);
    }
    for (uint32_t i = 0; i < 1u << VALUE_BITS; i++) {
        struct bits b = {.buf = (uint64_t)i << (64 - VALUE_BITS), .n = VALUE_BITS};
        int symbol = next_symbol(&b, t), size = ac ? symbol & 15 : symbol;
        if (symbol < 0 || b.n < size)
            continue;
        int run = ac ? symbol >> 4 : 0, value = size ? next_value(&b, size) : 0;
        bool end = ac && !size && symbol != 0xF0;
        t->value[i] = value * 65536 + ((run + 1) << 8) + (end ? EOB : 0) + VALUE_BITS - b.n;
    }
    return true;
}

static int shift_of(int pixels, int samples)
{
    return pixels == samples ? 0 : pixels == 2 * samples ? 1 : pixels == 4 * samples ? 2 : -1;
}

static bool component_init(struct skim *s, struct component *c, const jpeg_component_info *info,
                           const struct jpeg_decompress_struct *d, int n)
{
    bool alone = d->num_components == 1; /* then an MCU is one block, whatever the factors say */
    int h_max = alone ? 1 : d->max_h_samp_factor, v_max = alone ? 1 : d->max_v_samp_factor;
    int dc = info->dc_tbl_no, ac = info->ac_tbl_no, q = info->quant_tbl_no;
    if ((unsigned)dc > 3 || (unsigned)ac > 3 || (unsigned)q > 3 || !d->quant_tbl_ptrs[q])
        return false;
    const uint16_t *quant = d->quant_tbl_ptrs[q]->quantval;
    if (quant[0] > 255 || quant[1] > 255 || quant[8] > 255 || quant[9] > 255)
        return false;
    if (!table_init(&s->dc[dc], d->dc_huff_tbl_ptrs[dc], false) ||
        !table_init(&s->ac[ac], d->ac_huff_tbl_ptrs[ac], true))
        return false;
    c->dc = &s->dc[dc];
    c->ac = &s->ac[ac];
    c->h = alone ? 1 : info->h_samp_factor;
    c->v = alone ? 1 : info->v_samp_factor;
    /* Coarse components keep their detail where that comes free. */
    c->n = n == 1 && h_max % (2 * c->h) == 0 && v_max % (2 * c->v) == 0 ? 2 : n;
    c->shift_x = shift_of(h_max * n, c->h * c->n);
    c->shift_y = shift_of(v_max * n, c->v * c->n);
    c->q[0] = quant[0] * 32;
    c->q[1] = quant[1] * 29; /* the mean of cos over half a block: 0.906 */
    c->q[2] = quant[8] * 29;
    c->q[3] = quant[9] * 26;
    s->mcu_w = h_max * n;
    s->mcu_h = v_max * n;
    return c->shift_x >= 0 && c->shift_y >= 0;
}

static bool skim_init(struct skim *s, const struct jpeg_decompress_struct *d, int n)
{
    size_t total = 0, at[3];
    if (d->progressive_mode || d->arith_code || d->data_precision != 8 ||
        d->comps_in_scan != d->num_components ||
        !(d->num_components == 1 || (d->num_components == 3 && d->jpeg_color_space == JCS_YCbCr)))
        return false;
    s->comps = d->num_components;
    for (int i = 0; i < s->comps; i++)
        if (d->cur_comp_info[i] != &d->comp_info[i] ||
            !component_init(s, &s->comp[i], &d->comp_info[i], d, n))
            return false;
    size_t side_x = (size_t)(s->mcu_w / n) * 8, side_y = (size_t)(s->mcu_h / n) * 8;
    s->mcus_x = (d->image_width + side_x - 1) / side_x;
    s->mcus_y = (d->image_height + side_y - 1) / side_y;
    for (int i = 0; i < s->comps; i++) {
        struct component *c = &s->comp[i];
        c->stride = s->mcus_x * (size_t)(c->h * c->n);
        at[i] = total;
        total += c->stride * (size_t)(c->v * c->n);
    }
    s->strips = mem_alloc(total);
    s->chroma = mem_array(s->mcus_x * (size_t)s->mcu_w, 2);
    for (int i = 0; s->strips && i < s->comps; i++)
        s->comp[i].strip = s->strips + at[i];
    return s->strips && s->chroma;
}

static bool read_mcu(struct skim *s, size_t x)
{
    struct source *src = &s->src;
    struct bits b; /* a copy of one's own stays in registers */
    if (!src->at_marker && src->window + src->len - s->bits.p < MARGIN)
        source_fill(src, &s->bits);
    b = s->bits;
    for (int i = 0; i < s->comps; i++) {
        struct component *c = &s->comp[i];
        for (int v = 0; v < c->v; v++)
            for (int h = 0; h < c->h; h++)
                if (!put_block(&b, c, x * (size_t)c->h + (size_t)h, (size_t)v))
                    return false;
    }
    s->bits = b;
    return !src->at_marker || s->bits.p - s->bits.n / 8 <= src->window + src->len;
}

static const uint8_t *chroma_row(const struct component *c, int y, int width, uint8_t *room)
{
    const uint8_t *from = c->strip + (size_t)(y >> c->shift_y) * c->stride;
    if (!c->shift_x)
        return from;
    for (int x = 0; x < width; x++)
        room[x] = from[x >> c->shift_x];
    return room;
}

static inline uint8_t clamp(int v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* JFIF's YCbCr, 16 bits behind the point. */
static void write_row(struct skim *s, uint8_t *to, int width, int y)
{
    uint8_t *room = s->chroma;
    size_t half = s->mcus_x * (size_t)s->mcu_w;
    const uint8_t *luma = chroma_row(&s->comp[0], y, width, room);
    if (s->comps == 1) {
        for (int x = 0; x < width; x++)
            to[3 * x] = to[3 * x + 1] = to[3 * x + 2] = luma[x];
        return;
    }
    const uint8_t *cb = chroma_row(&s->comp[1], y, width, room);
    const uint8_t *cr = chroma_row(&s->comp[2], y, width, room + half);
    for (int x = 0; x < width; x++) {
        int base = (luma[x] << 16) + (1 << 15), b = cb[x] - 128, r = cr[x] - 128;
        to[3 * x] = clamp((base + 91881 * r) >> 16);
        to[3 * x + 1] = clamp((base - 22554 * b - 46802 * r) >> 16);
        to[3 * x + 2] = clamp((base + 116130 * b) >> 16);
    }
}

static bool read_picture(struct skim *s, struct image *out, unsigned restart)
{
    unsigned left = restart;
    int next = 0;
    for (size_t row = 0; row < s->mcus_y; row++) {
        for (size_t x = 0; x < s->mcus_x; x++, left--) {
            if (restart && !left) {
                if (!source_used_up(&s->src, &s->bits) || !source_next(s, 0xD0 + next))
                    return false;
                next = (next + 1) & 7;
                left = restart;
            }
            if (!read_mcu(s, x))
                return false;
        }
        int top = (int)row * s->mcu_h;
        for (int y = 0; y < s->mcu_h && top + y < out->height; y++)
            write_row(s, out->data + (size_t)(top + y) * (size_t)out->width * 3, out->width, y);
    }
    return source_used_up(&s->src, &s->bits) && source_next(s, JPEG_EOI);
}

bool jpeg_skim(struct image *out, const struct jpeg_decompress_struct *d, int n)
{
    struct skim *s = mem_zalloc(sizeof *s);
    *out = (struct image){0};
    bool ok = s && skim_init(s, d, n) &&
              !image_alloc(out, (int)((d->image_width * (unsigned)n + 7) / 8),
                           (int)((d->image_height * (unsigned)n + 7) / 8), NULL);
    if (ok) {
        s->src.at = d->src->next_input_byte;
        s->src.end = s->src.at + d->src->bytes_in_buffer;
        s->bits.p = s->src.window;
        source_fill(&s->src, &s->bits);
        ok = read_picture(s, out, d->restart_interval);
    }
    if (s) {
        mem_free(s->strips);
        mem_free(s->chroma);
    }
    mem_free(s);
    if (!ok)
        image_release(out);
    return ok;
}
