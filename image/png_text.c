/* The "parameters" text chunk of a PNG, through libpng, which also unpacks compressed ones and
 * keeps to our limit of memory. Only what stands before the pixels is read. */
#include "core/mem.h"
#include "core/path.h"
#include "image/parameters.h"
#include <png.h>
#include <setjmp.h>
#include <string.h>

struct source {
    const uint8_t *data;
    size_t size, pos;
};

static void fail(png_structp p, png_const_charp text)
{
    (void)text;
    png_longjmp(p, 1);
}

static void ignore(png_structp p, png_const_charp text)
{
    (void)p;
    (void)text;
}

static void read_bytes(png_structp p, png_bytep to, size_t n)
{
    struct source *s = png_get_io_ptr(p);
    if (n > s->size - s->pos)
        png_error(p, "truncated");
    memcpy(to, s->data + s->pos, n);
    s->pos += n;
}

/* tEXt and zTXt are Latin-1 by the standard; many write UTF-8 there all the same. */
static void copy_text(char out[PARAMETERS_MAX], const png_text *t)
{
    bool international = t->compression >= PNG_ITXT_COMPRESSION_NONE;
    size_t n = international ? t->itxt_length : t->text_length, len = 0;
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

static void read_guarded(png_structp png, png_infop info, char out[PARAMETERS_MAX])
{
    static const png_byte skip[] = "iCCP\0sPLT\0hIST\0eXIf\0tIME\0pCAL\0sCAL";
    png_textp text = NULL;
    int n = 0;
    if (setjmp(png_jmpbuf(png)))
        return;
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, skip, sizeof skip / 5);
    png_set_user_limits(png, 0x7FFFFFFF, 0x7FFFFFFF);
    png_set_chunk_cache_max(png, 64);
    png_set_chunk_malloc_max(png, 4 * PARAMETERS_MAX);
    png_read_info(png, info);
    png_get_text(png, info, &text, &n);
    for (int i = 0; i < n; i++)
        if (!strcmp(text[i].key, "parameters") && text[i].text)
            copy_text(out, &text[i]);
}

void png_read_parameters(char out[PARAMETERS_MAX], const uint8_t *data, size_t size)
{
    struct source s = {data, size, 0};
    out[0] = 0;
    if (size < 8 || png_sig_cmp(data, 0, 8))
        return;
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, fail, ignore);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (info) {
        png_set_read_fn(png, &s, read_bytes);
        read_guarded(png, info, out);
    }
    png_destroy_read_struct(&png, &info, NULL);
}
