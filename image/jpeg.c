/* JPEG through libjpeg-turbo. Surprising: every 4-component file is taken as inverted (Adobe's
 * habit), as Pillow does, and a file that ends early is an error, also as Pillow: the library alone
 * would invent the rest in grey. */
#include "core/bytes.h"
#include "image/codec.h"
#include "image/color.h"
#include "image/jpeg_skim.h"
#include <jpeglib.h>
#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

/* More scans than any encoder writes; 1000 scans in 38 kB keep a decoder busy for a minute. */
#define JPEG_MAX_SCANS 500

struct jpeg {
    struct jpeg_decompress_struct d; /* first: the callbacks cast back from it */
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf out;
    const struct codec_in *in;
    struct error *err;
    enum status st;
    uint8_t *cmyk; /* one row */
    struct color_cmyk inks;
};

/* By the message's first words: jerror.h, which names the codes, cannot be included under
 * core/banned.h. */
static enum status status_of(const char *text)
{
    static const struct {
        const char *start;
        enum status st;
    } kinds[] = {
        {"Insufficient memory", ST_NOMEM},
        {"Maximum supported image dimension", ST_LIMIT},
        {"Unsupported ", ST_UNSUPPORTED},
        {"Sorry, ", ST_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strncmp(text, kinds[i].start, strlen(kinds[i].start)))
            return kinds[i].st;
    return ST_FORMAT;
}

static void fail_library(j_common_ptr c)
{
    struct jpeg *j = (struct jpeg *)c;
    char text[JMSG_LENGTH_MAX];
    c->err->format_message(c, text);
    j->st = error_set(j->err, status_of(text), "%s: JPEG: %s", j->in->name, text);
    longjmp(j->out, 1);
}

/* Warnings are counted (num_warnings) and otherwise ignored, as Pillow does; nothing is ever
 * printed. */
static void count_warning(j_common_ptr c, int level)
{
    if (level < 0)
        c->err->num_warnings++;
}

static void print_nothing(j_common_ptr c)
{
    (void)c;
}

static void source_nothing(j_decompress_ptr d)
{
    (void)d;
}

static boolean source_ended(j_decompress_ptr d)
{
    struct jpeg *j = (struct jpeg *)d;
    j->st = error_set(j->err, ST_FORMAT, "%s: JPEG: is truncated", j->in->name);
    longjmp(j->out, 1);
}

static void source_skip(j_decompress_ptr d, long n)
{
    if (n <= 0)
        return;
    if ((unsigned long)n > d->src->bytes_in_buffer)
        source_ended(d);
    d->src->next_input_byte += n;
    d->src->bytes_in_buffer -= (size_t)n;
}

static void limit_scans(j_common_ptr c)
{
    struct jpeg *j = (struct jpeg *)c;
    if (j->d.input_scan_number <= JPEG_MAX_SCANS)
        return;
    j->st =
        error_set(j->err, ST_LIMIT, "%s: JPEG: more than %d scans", j->in->name, JPEG_MAX_SCANS);
    longjmp(j->out, 1);
}

/* Reads up to the first scan; call with j->out set. */
static void open_header(struct jpeg *j)
{
    jpeg_create_decompress(&j->d);
    j->d.progress = &j->progress;
    j->progress.progress_monitor = limit_scans;
    j->source = (struct jpeg_source_mgr){.next_input_byte = j->in->data,
                                         .bytes_in_buffer = j->in->size,
                                         .init_source = source_nothing,
                                         .fill_input_buffer = source_ended,
                                         .skip_input_data = source_skip,
                                         .resync_to_restart = jpeg_resync_to_restart,
                                         .term_source = source_nothing};
    j->d.src = &j->source;
    jpeg_read_header(&j->d, TRUE);
    int n = j->d.num_components;
    if (n != 1 && n != 3 && n != 4) {
        j->st = error_set(j->err, ST_UNSUPPORTED, "%s: JPEG: %d colour components", j->in->name, n);
        longjmp(j->out, 1);
    }
}

static void jpeg_init(struct jpeg *j, const struct codec_in *in, struct error *err)
{
    memset(j, 0, sizeof *j);
    j->in = in;
    j->err = err;
    j->d.err = jpeg_std_error(&j->errors);
    j->errors.error_exit = fail_library;
    j->errors.emit_message = count_warning;
    j->errors.output_message = print_nothing;
}

/* The largest reduction whose both sides stay >= min_side, or three quarters of it for an eighth,
 * where most is gained; the library rounds sides up. */
static unsigned reduction(unsigned w, unsigned h, int min_side)
{
    unsigned side = w < h ? w : h, need = min_side > 0 ? (unsigned)min_side : 0;
    for (unsigned f = 8; need && f > 1; f /= 2)
        if ((side + f - 1) / f >= (f == 8 ? need - need / 4 : need))
            return f;
    return 1;
}

static void read_rows(struct jpeg *j, struct image *img)
{
    bool cmyk = j->d.num_components == 4;
    if (cmyk) {
        j->cmyk = mem_array((size_t)img->width, 4);
        if (!j->cmyk) {
            j->st = error_set(j->err, ST_NOMEM, "%s: out of memory", j->in->name);
            longjmp(j->out, 1);
        }
    }
    while (j->d.output_scanline < j->d.output_height) {
        uint8_t *to = img->data + (size_t)j->d.output_scanline * (size_t)img->width * 3;
        JSAMPROW row = cmyk ? j->cmyk : to;
        if (jpeg_read_scanlines(&j->d, &row, 1) == 1 && cmyk)
            color_cmyk_row(to, j->cmyk, (size_t)img->width, &j->inks);
    }
}

static void decode_all(struct jpeg *j, struct image *out)
{
    struct jpeg_decompress_struct *d = &j->d;
    open_header(j);
    d->scale_num = 8 / reduction(d->image_width, d->image_height, j->in->min_side);
    d->scale_denom = 8;
    d->out_color_space = d->num_components == 4 ? JCS_CMYK : JCS_RGB;
    j->st = codec_check_size(d->image_width, d->image_height, j->in, j->err);
    if (j->st)
        longjmp(j->out, 1);
    if (d->scale_num <= 2 && jpeg_skim(out, d, (int)d->scale_num))
        return;
    jpeg_start_decompress(d);
    j->st = codec_alloc(out, d->output_width, d->output_height, j->in, j->err);
    if (j->st)
        longjmp(j->out, 1);
    read_rows(j, out);
    jpeg_finish_decompress(d);
}

/* A function of its own, so that no variable of the caller is in doubt after the jump. out NULL:
 * header only. */
static void read_guarded(struct jpeg *j, struct image *out)
{
    if (setjmp(j->out))
        return;
    if (out)
        decode_all(j, out);
    else
        open_header(j);
}

static enum status jpeg_header(int *w, int *h, const struct codec_in *in, struct error *err)
{
    struct jpeg j;
    jpeg_init(&j, in, err);
    read_guarded(&j, NULL);
    *w = (int)j.d.image_width;
    *h = (int)j.d.image_height;
    jpeg_destroy_decompress(&j.d);
    return j.st;
}

enum { MAX_RESOURCES = 4 << 20 };

/* The next segment before the first scan: its marker and what it holds. *at is 2 at first. */
static bool next_segment(size_t *at, uint8_t *marker, struct codec_block *b,
                         const struct codec_in *in)
{
    const uint8_t *d = in->data;
    size_t i = *at;
    while (i + 4 <= in->size && d[i] == 0xFF && d[i + 1] == 0xFF) /* fill bytes */
        i++;
    if (i + 4 > in->size || d[i] != 0xFF)
        return false;
    size_t len = (size_t)d[i + 2] << 8 | d[i + 3];
    *marker = d[i + 1];
    if (*marker == 0xDA || *marker == 0xD9 || len < 2 || len > in->size - i - 2)
        return false;
    *b = (struct codec_block){d + i + 4, len - 2, NULL};
    *at = i + 2 + len;
    return true;
}

static bool jpeg_exif(struct codec_block *b, const struct codec_in *in)
{
    uint8_t marker;
    for (size_t at = 2; next_segment(&at, &marker, b, in);)
        if (marker == 0xE1 && b->size >= 6 && !memcmp(b->data, "Exif\0", 5))
            return true;
    return false;
}

/* Photoshop's resources may go on from segment to segment. */
static void jpeg_iptc(struct image_words *w, const struct codec_in *in)
{
    static const char name[] = "Photoshop 3.0";
    struct codec_block b;
    const uint8_t *records;
    size_t n = 0, size;
    uint8_t marker, *all = mem_alloc(in->size < MAX_RESOURCES ? in->size : MAX_RESOURCES);
    for (size_t at = 2; all && next_segment(&at, &marker, &b, in);)
        if (marker == 0xED && b.size > sizeof name && !memcmp(b.data, name, sizeof name) &&
            b.size <= MAX_RESOURCES - n) {
            memcpy(all + n, b.data + sizeof name, b.size - sizeof name);
            n += b.size - sizeof name;
        }
    if (n && iptc_find(&records, &size, all, n))
        iptc_read(w, records, size);
    mem_free(all);
}

enum { XMP_GUID = 32 };

/* What does not fit one segment lies in others, as a text of its own whose hash the first one names
 * (XMP specification, part 3, 1.1.3.1). A text with gaps is none. */
static void jpeg_extended_xmp(struct image_words *w, const struct codec_block *first,
                              const struct codec_in *in)
{
    static const char name[] = "http://ns.adobe.com/xmp/extension/";
    static const char key[] = "HasExtendedXMP";
    const size_t head = sizeof name + XMP_GUID + 8;
    const uint8_t *end = first->data + first->size;
    const uint8_t *guid = memmem(first->data, first->size, key, sizeof key - 1);
    struct codec_block b;
    size_t all = 0, have = 0;
    uint8_t marker, *text = NULL;
    if (!guid)
        return;
    guid += sizeof key - 1;
    while (guid < end && *guid && strchr(" \t\r\n=\"'>", *guid)) /* an attribute, or an element */
        guid++;
    if (end - guid < XMP_GUID)
        return;
    for (size_t at = 2; next_segment(&at, &marker, &b, in);) {
        if (marker != 0xE1 || b.size <= head || memcmp(b.data, name, sizeof name) != 0 ||
            memcmp(b.data + sizeof name, guid, XMP_GUID) != 0)
            continue;
        const uint8_t *numbers = b.data + sizeof name + XMP_GUID;
        size_t whole = bytes_be32(numbers), from = bytes_be32(numbers + 4), n = b.size - head;
        if (!text && whole && whole <= IMAGE_SIDECAR_MAX)
            text = mem_zalloc(all = whole);
        if (!text || whole != all || from > all || n > all - from)
            break;
        memcpy(text + from, b.data + head, n);
        have += n;
    }
    if (text && have == all)
        (void)xmp_read(w, text, all);
    mem_free(text);
}

static void jpeg_words(struct image_words *w, const struct codec_in *in)
{
    static const char name[] = "http://ns.adobe.com/xap/1.0/";
    struct codec_block b;
    uint8_t marker;
    for (size_t at = 2; next_segment(&at, &marker, &b, in);)
        if (marker == 0xE1 && b.size > sizeof name && !memcmp(b.data, name, sizeof name)) {
            (void)xmp_read(w, b.data + sizeof name, b.size - sizeof name);
            jpeg_extended_xmp(w, &b, in);
            break;
        }
    for (size_t at = 2; next_segment(&at, &marker, &b, in);)
        if (marker == 0xED) {
            jpeg_iptc(w, in);
            break;
        }
}

/* A colour profile comes in up to 255 numbered pieces (ICC.1, B.4). Incomplete: none. */
static bool jpeg_profile(struct codec_block *icc, const struct codec_in *in)
{
    struct codec_block piece[256] = {0}, b;
    unsigned pieces = 0;
    size_t size = 0;
    uint8_t marker;
    for (size_t at = 2; next_segment(&at, &marker, &b, in);)
        if (marker == 0xE2 && b.size > 14 && !memcmp(b.data, "ICC_PROFILE", 12)) {
            pieces = b.data[13];
            piece[b.data[12]] = (struct codec_block){b.data + 14, b.size - 14, NULL};
        }
    for (unsigned i = 1; i <= pieces; i++) {
        if (!piece[i].size)
            return false;
        size += piece[i].size; /* at most 255 times 64 KiB */
    }
    *icc = (struct codec_block){.own = size ? mem_alloc(size) : NULL};
    for (unsigned i = 1; icc->own && i <= pieces; i++) {
        memcpy(icc->own + icc->size, piece[i].data, piece[i].size);
        icc->size += piece[i].size;
    }
    icc->data = icc->own;
    return icc->own != NULL;
}

static enum status jpeg_decode(struct image *out, const struct codec_in *in, struct error *err)
{
    struct jpeg j;
    struct codec_block icc = {0};
    jpeg_init(&j, in, err);
    if (jpeg_profile(&icc, in))
        color_cmyk_init(&j.inks, icc.data, icc.size, true);
    j.inks.inverted = true;
    read_guarded(&j, out);
    if (!j.st && icc.size && j.d.num_components != 4)
        color_to_srgb(out, icc.data, icc.size);
    jpeg_destroy_decompress(&j.d);
    color_cmyk_release(&j.inks);
    mem_free(icc.own);
    mem_free(j.cmyk);
    if (j.st)
        image_release(out);
    return j.st;
}

static bool jpeg_sniff(const uint8_t *p, size_t n)
{
    return n >= 3 && p[0] == 0xFF && p[1] == 0xD8 && p[2] == 0xFF;
}

const struct codec codec_jpeg = {
    .name = "jpeg",
    .sniff = jpeg_sniff,
    .header = jpeg_header,
    .decode = jpeg_decode,
    .exif = jpeg_exif,
    .words = jpeg_words,
};
