/* From a path or bytes to pixels: finds the codec by content, decodes, turns. The file is read into
 * memory rather than mapped, because a mapped file that somebody truncates meanwhile ends the
 * process with SIGBUS. */
#include "core/buf.h"
#include "core/file.h"
#include "core/path.h"
#include "image/codec.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void image_release(struct image *img)
{
    mem_free(img->data);
    *img = (struct image){0};
}

enum status image_alloc(struct image *img, int width, int height, struct error *err)
{
    size_t n;
    *img = (struct image){0};
    if (width < 1 || height < 1)
        return error_set(err, ST_FORMAT, "a picture of %d x %d pixels", width, height);
    if (mul_overflow_size((size_t)width, (size_t)height, &n) || mul_overflow_size(n, 3, &n) ||
        n > PTRDIFF_MAX)
        return error_set(err, ST_LIMIT, "a picture of %d x %d pixels is too large", width, height);
    img->data = mem_alloc(n);
    if (!img->data)
        return error_set(err, ST_NOMEM, "out of memory (a picture of %d x %d)", width, height);
    img->width = width;
    img->height = height;
    return ST_OK;
}

enum status codec_check_size(uint64_t w, uint64_t h, const struct codec_in *in, struct error *err)
{
    if (!w || !h)
        return error_set(err, ST_FORMAT, "%s: size is %llu x %llu pixels", in->name,
                         (unsigned long long)w, (unsigned long long)h);
    if (w > INT_MAX || h > INT_MAX || w > in->max_pixels / h)
        return error_set(err, ST_LIMIT, "%s: %llu x %llu pixels, at most %llu million in all",
                         in->name, (unsigned long long)w, (unsigned long long)h,
                         (unsigned long long)(in->max_pixels / 1000000));
    return ST_OK;
}

enum status codec_alloc(struct image *out, uint64_t w, uint64_t h, const struct codec_in *in,
                        struct error *err)
{
    enum status st = codec_check_size(w, h, in, err);
    if (st)
        return st;
    st = image_alloc(out, (int)w, (int)h, err);
    return st ? error_prefix(err, st, "%s", in->name) : ST_OK;
}

void image_safe_name(char *out, size_t cap, const char *path)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_text_safe(&b, path);
    if (b.failed || !b.len) {
        snprintf(out, cap, "%s", b.failed ? "(unprintable name)" : "(no name)");
    } else if (b.len < cap) {
        memcpy(out, b.data, b.len + 1);
    } else {
        const char *tail = b.data + b.len - (cap - 4);
        while ((*tail & 0xC0) == 0x80) /* not in the middle of a character */
            tail++;
        snprintf(out, cap, "...%s", tail);
    }
    buf_release(&b);
}

enum status image_file_open(struct image_file *f, const char *path, const char *name,
                            uint64_t max_bytes, struct error *err)
{
    struct stat sb;
    f->fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (f->fd < 0)
        return error_errno(err, errno, "%s", name);
    enum status st = ST_OK;
    if (fstat(f->fd, &sb))
        st = error_errno(err, errno, "%s", name);
    else if (S_ISDIR(sb.st_mode))
        st = error_set(err, ST_FORMAT, "%s: is a folder", name);
    else if (!S_ISREG(sb.st_mode))
        st = error_set(err, ST_FORMAT, "%s: is not a regular file", name);
    else if (!sb.st_size)
        st = error_set(err, ST_FORMAT, "%s: is empty", name);
    else if ((uint64_t)sb.st_size > max_bytes)
        st = error_set(err, ST_LIMIT, "%s: is %lld bytes, at most %llu", name,
                       (long long)sb.st_size, (unsigned long long)max_bytes);
    if (st) {
        close(f->fd);
        f->fd = -1;
        return st;
    }
    f->size = (uint64_t)sb.st_size;
    f->mtime_ns = (int64_t)sb.st_mtim.tv_sec * 1000000000 + sb.st_mtim.tv_nsec;
    return ST_OK;
}

/* EXIF of most cameras knows no offset; XMP of the same moment may. */
static bool tells_more(const char *date, const char *than)
{
    size_t n = strlen(than);
    return strlen(date) > n && !strncmp(date, than, n);
}

/* Writers of XMP round the place that EXIF has; the altitude of another place is not this one's. */
static void take_place(struct image_meta *meta, const struct image_words *w, bool sidecar)
{
    const double near = 1e-4; /* degrees: at most 11 m */
    bool same = meta->has_gps && fabs(meta->lat - w->lat) < near && fabs(meta->lon - w->lon) < near;
    bool take = sidecar || !meta->has_gps;
    if (take) {
        meta->has_gps = true;
        meta->lat = w->lat;
        meta->lon = w->lon;
    }
    if ((take && (!same || w->alt != 0)) || (same && meta->alt == 0))
        meta->alt = w->alt;
}

void image_take_words(struct image_meta *meta, const struct image_words *w, bool sidecar)
{
    struct image_words all = *w;
    image_words_merge(&all, &meta->words);
    meta->words = all;
    if (w->taken[0] &&
        (!meta->taken[0] || (sidecar && w->is_taken && !tells_more(meta->taken, w->taken)) ||
         tells_more(w->taken, meta->taken)))
        memcpy(meta->taken, w->taken, sizeof meta->taken);
    if (w->has_gps)
        take_place(meta, w, sidecar);
}

/* Size and EXIF; w and h are those of the file as stored. */
static void fill_meta(struct image_meta *meta, const struct codec *c, const struct codec_in *in,
                      int w, int h, bool ignore_orientation)
{
    struct codec_block exif = {0};
    struct image_words words = {0};
    *meta = (struct image_meta){.orientation = 1};
    snprintf(meta->format, sizeof meta->format, "%s", c->name);
    meta->animated = c->animated && c->animated(in);
    if (c->exif && c->exif(&exif, in)) {
        exif_read(meta, exif.data, exif.size);
        mem_free(exif.own);
    }
    if (c->words)
        c->words(&words, in);
    image_take_words(meta, &words, false);
    if (c->upright)
        meta->orientation = 1;
    if (c->parameters && !meta->parameters[0])
        c->parameters(meta->parameters, in);
    bool turned = meta->orientation >= 5 && !ignore_orientation;
    meta->width = turned ? h : w;
    meta->height = turned ? w : h;
}

/* img NULL: header only. */
static enum status load(struct image *img, const uint8_t *data, size_t size, const char *name,
                        const struct image_opts *o, struct image_meta *meta, struct error *err)
{
    const struct codec *c = size ? codec_find(data, size) : NULL;
    struct codec_in in = {.data = data,
                          .size = size,
                          .name = name,
                          .max_pixels = o->max_pixels ? o->max_pixels : IMAGE_MAX_PIXELS,
                          .min_side = o->min_side};
    struct image_meta m;
    int w = 0, h = 0;
    if (!c)
        return error_set(err, ST_FORMAT, "%s: is not a picture in a known format", name);
    enum status st = c->header(&w, &h, &in, err);
    if (!st)
        st = codec_check_size((uint64_t)w, (uint64_t)h, &in, err);
    if (st)
        return st;
    fill_meta(&m, c, &in, w, h, o->ignore_orientation);
    if (img) {
        st = c->decode(img, &in, err);
        if (!st && !o->ignore_orientation) {
            st = image_orient(img, m.orientation, err);
            if (st)
                error_prefix(err, st, "%s", name);
        }
        if (st)
            image_release(img);
    }
    if (!st && meta)
        *meta = m;
    return st;
}

enum status image_load_memory(struct image *img, const uint8_t *data, size_t size, const char *name,
                              const struct image_opts *o, struct image_meta *meta,
                              struct error *err)
{
    static const struct image_opts none;
    char safe[IMAGE_NAME_CAP];
    image_safe_name(safe, sizeof safe, name);
    *img = (struct image){0};
    return load(img, data, size, safe, o ? o : &none, meta, err);
}

enum status image_probe_memory(struct image_meta *meta, const uint8_t *data, size_t size,
                               const char *name, struct error *err)
{
    static const struct image_opts none;
    char safe[IMAGE_NAME_CAP];
    image_safe_name(safe, sizeof safe, name);
    return load(NULL, data, size, safe, &none, meta, err);
}

static enum status load_path(struct image *img, const char *path, const struct image_opts *o,
                             struct image_meta *meta, struct error *err)
{
    char name[IMAGE_NAME_CAP];
    struct image_file f;
    uint8_t *data = NULL;
    image_safe_name(name, sizeof name, path);
    enum status st =
        image_file_open(&f, path, name, o->max_bytes ? o->max_bytes : IMAGE_MAX_BYTES, err);
    if (st)
        return st;
    data = mem_alloc(f.size);
    if (!data)
        st = error_set(err, ST_NOMEM, "%s: out of memory (%llu bytes)", name,
                       (unsigned long long)f.size);
    if (!st)
        st = file_pread_all(f.fd, data, f.size, 0, name, err);
    if (!st)
        st = load(img, data, f.size, name, o, meta, err);
    mem_free(data);
    close(f.fd);
    return st;
}

enum status image_load(struct image *img, const char *path, const struct image_opts *o,
                       struct image_meta *meta, struct error *err)
{
    static const struct image_opts none;
    *img = (struct image){0};
    return load_path(img, path, o ? o : &none, meta, err);
}

enum status image_probe(struct image_meta *meta, const char *path, struct error *err)
{
    static const struct image_opts none;
    return load_path(NULL, path, &none, meta, err);
}

enum status image_crop(struct image *dst, const struct image *src, int x, int y, int w, int h,
                       struct error *err)
{
    if (x < 0 || y < 0 || w < 1 || h < 1 || w > src->width - x || h > src->height - y) {
        *dst = (struct image){0};
        return error_set(err, ST_USAGE, "crop %d,%d %dx%d is outside a picture of %d x %d", x, y, w,
                         h, src->width, src->height);
    }
    enum status st = image_alloc(dst, w, h, err);
    for (int i = 0; !st && i < h; i++)
        memcpy(dst->data + (size_t)i * (size_t)w * 3,
               src->data + ((size_t)(y + i) * (size_t)src->width + (size_t)x) * 3, (size_t)w * 3);
    return st;
}
