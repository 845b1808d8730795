/* PBM, PGM, PPM and PAM by hand, plain and raw. Surprising: samples are scaled to 0..255 with
 * rounding whatever the largest value is, as in Pillow; also 16-bit grey, which Pillow would clip
 * when it converts to RGB. */
#include "image/codec.h"
#include <stdlib.h>
#include <string.h>

struct pnm {
    const struct codec_in *in;
    size_t at;
    int kind; /* 1..7, as in the magic number */
    uint64_t width, height;
    unsigned max, depth; /* largest sample; samples a pixel */
};

static enum status wrong(const struct pnm *p, const char *what, struct error *err)
{
    return error_set(err, ST_FORMAT, "%s: PNM: %s", p->in->name, what);
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_space(struct pnm *p)
{
    const uint8_t *d = p->in->data;
    for (; p->at < p->in->size; p->at++) {
        if (d[p->at] == '#')
            while (p->at < p->in->size && d[p->at] != '\n')
                p->at++;
        else if (!is_space(d[p->at]))
            return;
    }
}

/* At most nine digits. */
static bool number(struct pnm *p, uint64_t *v)
{
    const uint8_t *d = p->in->data;
    size_t start;
    skip_space(p);
    *v = 0;
    for (start = p->at; p->at < p->in->size && d[p->at] >= '0' && d[p->at] <= '9'; p->at++) {
        if (p->at - start == 9)
            return false;
        *v = *v * 10 + (uint64_t)(d[p->at] - '0');
    }
    return p->at > start;
}

static bool word(struct pnm *p, const char *text)
{
    size_t n = strlen(text);
    if (n >= p->in->size - p->at || memcmp(p->in->data + p->at, text, n) ||
        !is_space(p->in->data[p->at + n]))
        return false;
    p->at += n;
    return true;
}

/* The lines of a PAM up to ENDHDR; TUPLTYPE only says what DEPTH says too. */
static bool pam_header(struct pnm *p)
{
    uint64_t depth = 0, max = 0;
    for (;;) {
        skip_space(p);
        bool ok = true;
        if (p->at >= p->in->size)
            return false;
        if (word(p, "ENDHDR"))
            break;
        if (word(p, "WIDTH"))
            ok = number(p, &p->width);
        else if (word(p, "HEIGHT"))
            ok = number(p, &p->height);
        else if (word(p, "DEPTH"))
            ok = number(p, &depth);
        else if (word(p, "MAXVAL"))
            ok = number(p, &max);
        else if (!word(p, "TUPLTYPE"))
            return false;
        if (!ok)
            return false;
        while (p->at < p->in->size && p->in->data[p->at] != '\n')
            p->at++;
    }
    p->depth = depth <= 4 ? (unsigned)depth : 0;
    p->max = max <= 65535 ? (unsigned)max : 0;
    return p->depth > 0 && p->max > 0;
}

static enum status pnm_open(struct pnm *p, const struct codec_in *in, struct error *err)
{
    *p = (struct pnm){.in = in, .at = 2, .kind = in->data[1] - '0', .max = 1, .depth = 1};
    uint64_t max = 1;
    if (p->kind == 7) {
        if (!pam_header(p))
            return wrong(p, "has no proper header", err);
    } else {
        if (!number(p, &p->width) || !number(p, &p->height) ||
            (p->kind != 1 && p->kind != 4 && !number(p, &max)) || max < 1 || max > 65535)
            return wrong(p, "has no proper header", err);
        p->max = (unsigned)max;
        p->depth = p->kind == 3 || p->kind == 6 ? 3 : 1;
    }
    if (p->at >= in->size)
        return wrong(p, "is truncated", err);
    if (p->kind > 3)
        p->at++; /* exactly one white-space character */
    return codec_check_size(p->width, p->height, in, err);
}

static enum status pnm_header(int *w, int *h, const struct codec_in *in, struct error *err)
{
    struct pnm p;
    enum status st = pnm_open(&p, in, err);
    if (st)
        return st;
    *w = (int)p.width;
    *h = (int)p.height;
    return ST_OK;
}

static uint8_t scale(uint64_t v, unsigned max)
{
    v = v > max ? max : v;
    return (uint8_t)(max == 255 ? v : (v * 255 + max / 2) / max);
}

/* One pixel's samples to RGB: grey, grey and alpha, colours, colours and alpha. */
static void store(uint8_t *rgb, const uint8_t *s, unsigned depth)
{
    for (int c = 0; c < 3; c++)
        rgb[c] = depth < 3 ? s[0] : s[c];
}

static enum status read_plain(struct image *out, struct pnm *p, struct error *err)
{
    size_t n = (size_t)out->width * (size_t)out->height;
    for (size_t i = 0; i < n; i++) {
        uint8_t s[3] = {0};
        for (unsigned c = 0; c < p->depth; c++) {
            uint64_t v = 0;
            skip_space(p);
            if (p->at >= p->in->size)
                return wrong(p, "is truncated", err);
            if (p->kind == 1) /* digits may stand close together */
                v = (uint64_t)(p->in->data[p->at++] - '0');
            else if (!number(p, &v))
                return wrong(p, "is damaged", err);
            if (v > p->max)
                return wrong(p, "a sample is larger than the largest", err);
            s[c] = p->kind == 1 ? (v ? 0 : 255) : scale(v, p->max);
        }
        store(out->data + 3 * i, s, p->depth);
    }
    return ST_OK;
}

static void read_bits(struct image *out, const uint8_t *d)
{
    size_t row = ((size_t)out->width + 7) / 8;
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++)
            memset(out->data + ((size_t)y * (size_t)out->width + (size_t)x) * 3,
                   d[(size_t)y * row + (size_t)x / 8] >> (7 - x % 8) & 1 ? 0 : 255, 3);
}

static void read_raw(struct image *out, const struct pnm *p, const uint8_t *d)
{
    size_t n = (size_t)out->width * (size_t)out->height, wide = p->max > 255 ? 2 : 1;
    for (size_t i = 0; i < n; i++) {
        uint8_t s[4] = {0};
        for (unsigned c = 0; c < p->depth; c++, d += wide)
            s[c] = scale(wide == 2 ? (unsigned)(d[0] << 8 | d[1]) : d[0], p->max);
        store(out->data + 3 * i, s, p->depth);
    }
}

static enum status pnm_decode(struct image *out, const struct codec_in *in, struct error *err)
{
    struct pnm p;
    size_t need;
    enum status st = pnm_open(&p, in, err);
    if (st)
        return st;
    size_t row =
        p.kind == 4 ? ((size_t)p.width + 7) / 8 : (size_t)p.width * p.depth * (p.max > 255 ? 2 : 1);
    if (p.kind <= 3) /* a sample is a digit at least */
        row = (size_t)p.width * p.depth;
    if (mul_overflow_size(row, (size_t)p.height, &need) || need > in->size - p.at)
        return wrong(&p, "is truncated", err);
    st = codec_alloc(out, p.width, p.height, in, err);
    if (st)
        return st;
    if (p.kind <= 3)
        st = read_plain(out, &p, err);
    else if (p.kind == 4)
        read_bits(out, in->data + p.at);
    else
        read_raw(out, &p, in->data + p.at);
    if (st)
        image_release(out);
    return st;
}

static bool pnm_sniff(const uint8_t *p, size_t n)
{
    return n >= 3 && p[0] == 'P' && p[1] >= '1' && p[1] <= '7' && (is_space(p[2]) || p[2] == '#');
}

const struct codec codec_pnm = {
    .name = "pnm",
    .sniff = pnm_sniff,
    .header = pnm_header,
    .decode = pnm_decode,
};
