/* What a PNG says of itself in chunks: a generator's parameters, EXIF, XMP, IPTC. Surprising: the
 * last three may stand in chunks of text, as hexadecimal digits ("Raw profile type exif"), which
 * ImageMagick began before there were chunks for them; exiv2 and exiftool write such too. */
#include "core/bytes.h"
#include "core/path.h"
#include "image/png_int.h"
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 1 << 20 }; /* a chunk of text; ComfyUI's graphs take some 10 kB */

static size_t text_length(const png_text *t)
{
    return t->compression >= PNG_ITXT_COMPRESSION_NONE ? t->itxt_length : t->text_length;
}

/* tEXt and zTXt are Latin-1 by the standard; many write UTF-8 there all the same. */
static void copy_text(char out[PARAMETERS_MAX], const png_text *t)
{
    bool international = t->compression >= PNG_ITXT_COMPRESSION_NONE;
    size_t n = text_length(t), len = 0;
    bool utf8 = utf8_valid(t->text, n);
    if (memchr(t->text, 0, n) || (international && !utf8))
        return;
    for (size_t i = 0; i < n; i++) {
        char one[4] = {t->text[i]};
        size_t k = utf8 ? 1 : utf8_encode((unsigned char)t->text[i], one);
        if (len + k >= PARAMETERS_MAX) {
            len = 0;
            break;
        }
        memcpy(out + len, one, k);
        len += k;
    }
    out[len] = 0;
}

/* libpng unpacks compressed text too, within our limit of memory. */
static void read_texts(struct png *s, char out[PARAMETERS_MAX])
{
    static const png_byte skip[] = "iCCP\0sPLT\0hIST\0eXIf\0tIME\0pCAL\0sCAL";
    png_textp text = NULL;
    int n = 0;
    if (setjmp(png_jmpbuf(s->png)))
        return;
    png_set_chunk_cache_max(s->png, 64);
    png_set_chunk_malloc_max(s->png, TEXT_MAX);
    png_file_info(s, skip, sizeof skip / 5);
    png_get_text(s->png, s->info, &text, &n);
    for (int i = 0; i < n; i++)
        if (!strcmp(text[i].key, "parameters") && text[i].text)
            copy_text(out, &text[i]);
    for (int i = 0; i < n && !out[0]; i++)
        if (text[i].text)
            parameters_record(out, text[i].key, text[i].text, text_length(&text[i]));
}

/* Only what stands before the pixels is read; a file that breaks off there has no text. */
void png_parameters(char out[PARAMETERS_MAX], const struct codec_in *in)
{
    struct png s;
    out[0] = 0;
    if (png_file_open(&s, in, NULL))
        return;
    read_texts(&s, out);
    png_file_close(&s);
}

static bool is_one_of(const uint8_t *type, const char *names)
{
    for (; *names; names += 4)
        if (!memcmp(type, names, 4))
            return true;
    return false;
}

/* A chunk of one of these types, one behind the other in `names`, behind the one that *b is (NULL:
 * the first); stop at one called `end`. */
static bool find_chunk(struct codec_block *b, const struct codec_in *in, const char *names,
                       const char *end)
{
    const uint8_t *d = in->data;
    for (size_t i = b->data ? (size_t)(b->data - d) + b->size + 4 : 8; i + 12 <= in->size;) {
        size_t len = bytes_be32(d + i);
        if (len > in->size - i - 12)
            return false;
        if (!memcmp(d + i + 4, end, 4))
            return false;
        if (is_one_of(d + i + 4, names)) {
            *b = (struct codec_block){d + i + 8, len, NULL};
            return true;
        }
        i += 12 + len;
    }
    return false;
}

/* ---- profiles as text, which ImageMagick began and others read and write ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "\nexif\n     332\n", and so many bytes in lines of hexadecimal digits. Too few: none. */
static bool read_hex(struct codec_block *b, const char *p, size_t n)
{
    const char *end = p + n;
    size_t size = 0, at = 0;
    p = n ? memchr(p + 1, '\n', n - 1) : NULL;
    while (p && p < end && (*p == '\n' || *p == ' '))
        p++;
    for (; p && p < end && *p >= '0' && *p <= '9' && size <= TEXT_MAX; p++)
        size = 10 * size + (size_t)(*p - '0');
    if (!p || !size || size > (size_t)(end - p) / 2)
        return false;
    uint8_t *out = mem_zalloc(size);
    for (; out && p < end && at < 2 * size; p++) {
        int v = hex_digit(*p);
        if (v >= 0) {
            out[at / 2] = (uint8_t)(out[at / 2] << 4 | v);
            at++;
        } else if (*p != '\n' && *p != '\r' && *p != ' ') {
            break;
        }
    }
    if (at < 2 * size) {
        mem_free(out);
        return false;
    }
    *b = (struct codec_block){out, size, out};
    return true;
}

static void read_one_text(struct png *s, struct codec_block *b)
{
    png_textp text = NULL;
    int n = 0;
    if (setjmp(png_jmpbuf(s->png)))
        return;
    png_set_chunk_malloc_max(s->png, TEXT_MAX);
    png_file_info(s, NULL, 0);
    png_get_text(s->png, s->info, &text, &n);
    if (n == 1 && text->text)
        (void)read_hex(b, text->text, text_length(text));
}

/* libpng unpacks the chunk, in a file of its own between a header and where pixels begin: so it may
 * stand behind the pixels, where exiftool writes it, and nothing else has to be read. */
static bool unpack_profile(struct codec_block *b, const struct codec_block *chunk)
{
    static const uint8_t head[] =
        "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0:~\x9bU";
    static const uint8_t pixels[] = "\0\0\0\0IDAT";
    enum { HEAD = sizeof head - 1, PIXELS = sizeof pixels - 1 };
    struct png s;
    size_t n = chunk->size + 12; /* length, type and checksum with it */
    uint8_t *file = chunk->size <= TEXT_MAX ? mem_alloc(HEAD + n + PIXELS) : NULL;
    if (!file)
        return false;
    memcpy(file, head, HEAD);
    memcpy(file + HEAD, chunk->data - 8, n);
    memcpy(file + HEAD + n, pixels, PIXELS);
    const struct codec_in in = {.data = file, .size = HEAD + n + PIXELS, .name = "profile"};
    if (!png_file_open(&s, &in, NULL)) {
        read_one_text(&s, b);
        png_file_close(&s);
    }
    mem_free(file);
    return b->data != NULL;
}

/* Of several of a kind the first, whatever it is, so that a file of thousands costs no time. */
static bool find_profile(struct codec_block *b, const struct codec_in *in, const char *kind)
{
    char key[32];
    struct codec_block chunk = {0};
    size_t n = (size_t)snprintf(key, sizeof key, "Raw profile type %s", kind) + 1;
    *b = (struct codec_block){0};
    while (find_chunk(&chunk, in, "tEXtzTXtiTXt", "IEND"))
        if (chunk.size > n && !memcmp(chunk.data, key, n))
            return unpack_profile(b, &chunk);
    return false;
}

/* A JPEG's APP1 as it was: EXIF or XMP, told by the name in front. */
static bool find_app1(struct codec_block *b, const struct codec_in *in, const char *name, size_t n)
{
    if (find_profile(b, in, "APP1") && b->size > n && !memcmp(b->data, name, n))
        return true;
    mem_free(b->own);
    *b = (struct codec_block){0};
    return false;
}

bool png_exif(struct codec_block *b, const struct codec_in *in)
{
    *b = (struct codec_block){0};
    return find_chunk(b, in, "eXIf", "IEND") || find_profile(b, in, "exif") ||
           find_app1(b, in, "Exif", sizeof "Exif");
}

bool png_animated(const struct codec_in *in)
{
    struct codec_block b = {0};
    return find_chunk(&b, in, "acTL", "IDAT");
}

/* Uncompressed, as the standard has it; before or behind the pixels. */
static bool find_xmp(struct image_words *w, const struct codec_in *in)
{
    static const char head[] = "XML:com.adobe.xmp\0"; /* and the flag that says so */
    struct codec_block b = {0};
    while (find_chunk(&b, in, "iTXt", "IEND")) {
        if (b.size <= sizeof head + 3 || memcmp(b.data, head, sizeof head) != 0)
            continue;
        size_t at = sizeof head + 1; /* behind the method: language and translated name */
        for (int i = 0; i < 2 && at < b.size; i++)
            at += strnlen((const char *)b.data + at, b.size - at) + 1;
        if (at < b.size)
            (void)xmp_read(w, b.data + at, b.size - at);
        return true;
    }
    return false;
}

static void read_xmp_profile(struct image_words *w, const struct codec_in *in)
{
    static const char name[] = "http://ns.adobe.com/xap/1.0/";
    struct codec_block b;
    if (find_profile(&b, in, "xmp"))
        (void)xmp_read(w, b.data, b.size);
    else if (find_app1(&b, in, name, sizeof name))
        (void)xmp_read(w, b.data + sizeof name, b.size - sizeof name);
    mem_free(b.own);
}

/* Photoshop's resources, with the name of a JPEG's segment or without, or the records alone. */
static void read_iptc_profile(struct image_words *w, const struct codec_in *in)
{
    static const char name[] = "Photoshop 3.0";
    struct codec_block b;
    if (!find_profile(&b, in, "iptc") && !find_profile(&b, in, "8bim"))
        return;
    size_t skip = b.size > sizeof name && !memcmp(b.data, name, sizeof name) ? sizeof name : 0;
    const uint8_t *records = b.data;
    size_t size = b.size;
    if (*records == 0x1C || iptc_find(&records, &size, b.data + skip, b.size - skip))
        iptc_read(w, records, size);
    mem_free(b.own);
}

void png_words(struct image_words *w, const struct codec_in *in)
{
    if (!find_xmp(w, in))
        read_xmp_profile(w, in);
    read_iptc_profile(w, in);
}
