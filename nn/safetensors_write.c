/* Safetensors, written. The header lists tensors by name, but their bytes lie by falling element
 * size (then name), as the reference library has it: so every tensor is aligned although holes are
 * forbidden. */
#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include "nn/weights_int.h"

#define HEADER_MAX 100000000u
#define DATA_ALIGN 64 /* the format asks for 8; a cache line costs nothing */

struct piece {
    char *name;
    const struct tensor *t;
    bool scale; /* this piece is t's scales */
    size_t bytes, align;
    uint64_t begin;
};

struct st_writer {
    struct piece *p;      /* by name */
    struct piece **order; /* by place in the file */
    size_t n;
    struct buf header;
    const char *path;
    struct error *err;
};

static const struct {
    const char *name;
    unsigned char align;
} codes[DT_COUNT] = {
    [DT_F32] = {"F32", 4}, [DT_F16] = {"F16", 2},   [DT_BF16] = {"BF16", 2}, [DT_I8] = {"I8", 1},
    [DT_Q8_0] = {"U8", 2}, [DT_I32] = {"I32", 4},   [DT_I64] = {"I64", 8},   [DT_U8] = {"U8", 1},
    [DT_F64] = {"F64", 8}, [DT_BOOL] = {"BOOL", 1},
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct piece *)a)->name, ((const struct piece *)b)->name);
}

static int by_place(const void *a, const void *b)
{
    const struct piece *x = *(struct piece *const *)a, *y = *(struct piece *const *)b;
    if (x->align != y->align)
        return x->align > y->align ? -1 : 1;
    return strcmp(x->name, y->name);
}

static enum status no_memory(struct st_writer *s)
{
    return error_set(s->err, ST_NOMEM, "%s: out of memory", s->path);
}

static enum status add_pieces(struct st_writer *s, const struct weights_out_tensor *in)
{
    char q[WEIGHTS_QUOTE];
    const struct tensor *t = &in->t;
    size_t count, len = strlen(in->name);
    struct piece *p = &s->p[s->n++];
    *p = (struct piece){.t = t, .align = codes[t->dtype].align, .name = mem_strdup(in->name)};
    if (!p->name)
        return no_memory(s);
    if (len > WEIGHTS_NAME_MAX || !utf8_valid(in->name, len) || !strcmp(in->name, "__metadata__") ||
        !weights_shape_count(t->ndim, t->dim, &count) || !dtype_bytes(t->dtype, count, &p->bytes) ||
        (t->dtype == DT_Q8_0 && (t->ndim < 1 || t->dim[t->ndim - 1] % 32)))
        return error_set(s->err, ST_FORMAT, "%s: tensor '%s' cannot be written", s->path,
                         weights_quote(q, in->name, len));
    if (!t->scale || t->dtype != DT_I8 || t->ndim < 1)
        return ST_OK;
    p = &s->p[s->n++];
    *p = (struct piece){.t = t,
                        .scale = true,
                        .align = 4,
                        .bytes = (size_t)t->dim[0] * sizeof(float),
                        .name = mem_printf("%s.scale", in->name)};
    return p->name ? ST_OK : no_memory(s);
}

static void put_string(struct buf *b, const char *s)
{
    buf_putc(b, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            buf_printf(b, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            buf_printf(b, "\\u%04x", (unsigned)*s);
        else
            buf_putc(b, *s);
    }
    buf_putc(b, '"');
}

static void put_mark(struct buf *b, const struct piece *p)
{
    char *key = mem_printf(WEIGHTS_Q8_KEY "%s", p->name);
    if (!key) {
        b->failed = true;
        return;
    }
    put_string(b, key);
    mem_free(key);
    buf_putc(b, ':');
    buf_putc(b, '"');
    for (int i = 0; i < p->t->ndim; i++)
        buf_printf(b, "%s%lld", i ? "," : "", (long long)p->t->dim[i]);
    buf_putc(b, '"');
}

static enum status put_meta(struct st_writer *s, const char *const *meta)
{
    struct buf *b = &s->header;
    const char *comma = "";
    buf_puts(b, "\"__metadata__\":{");
    for (; meta && meta[0] && meta[1]; meta += 2) {
        if (!utf8_valid(meta[0], strlen(meta[0])) || !utf8_valid(meta[1], strlen(meta[1])))
            return error_set(s->err, ST_FORMAT, "%s: metadata is not UTF-8", s->path);
        buf_puts(b, comma);
        put_string(b, meta[0]);
        buf_putc(b, ':');
        put_string(b, meta[1]);
        comma = ",";
    }
    for (size_t i = 0; i < s->n; i++) {
        if (s->p[i].t->dtype != DT_Q8_0)
            continue;
        buf_puts(b, comma);
        put_mark(b, &s->p[i]);
        comma = ",";
    }
    buf_putc(b, '}');
    return ST_OK;
}

static void put_piece(struct buf *b, const struct piece *p)
{
    buf_putc(b, ',');
    put_string(b, p->name);
    buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", p->scale ? "F32" : codes[p->t->dtype].name);
    int ndim = p->scale ? 1 : p->t->ndim;
    for (int i = 0; i < ndim; i++) {
        int64_t d = p->t->dim[i];
        if (p->t->dtype == DT_Q8_0 && i == ndim - 1)
            d = d / 32 * 34;
        buf_printf(b, "%s%lld", i ? "," : "", (long long)d);
    }
    uint64_t end = p->begin + p->bytes;
    buf_printf(b, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)p->begin,
               (unsigned long long)end);
}

/* The 8 bytes of length are part of the buffer. */
static enum status make_header(struct st_writer *s, const char *const *meta)
{
    struct buf *b = &s->header;
    char length[8] = {0};
    buf_append(b, length, 8);
    buf_putc(b, '{');
    enum status st = put_meta(s, meta);
    if (st)
        return st;
    for (size_t i = 0; i < s->n; i++)
        put_piece(b, &s->p[i]);
    buf_putc(b, '}');
    while (!b->failed && b->len % DATA_ALIGN)
        buf_putc(b, ' ');
    if (b->failed)
        return error_set(s->err, ST_NOMEM, "%s: no memory for the header, or it is too long",
                         s->path);
    uint64_t n = b->len - 8;
    for (int i = 0; i < 8; i++)
        b->data[i] = (char)(n >> (8 * i) & 0xff);
    return ST_OK;
}

static enum status place(struct st_writer *s)
{
    char q[WEIGHTS_QUOTE];
    uint64_t at = 0;
    qsort(s->p, s->n, sizeof *s->p, by_name);
    for (size_t i = 0; i < s->n; i++) {
        s->order[i] = &s->p[i];
        if (i && !strcmp(s->p[i - 1].name, s->p[i].name))
            return error_set(s->err, ST_FORMAT, "%s: tensor '%s' occurs twice", s->path,
                             weights_quote(q, s->p[i].name, strlen(s->p[i].name)));
    }
    qsort(s->order, s->n, sizeof(struct piece *), by_place);
    for (size_t i = 0; i < s->n; i++) {
        s->order[i]->begin = at;
        if (__builtin_add_overflow(at, s->order[i]->bytes, &at))
            return error_set(s->err, ST_LIMIT, "%s: too large", s->path);
    }
    return ST_OK;
}

static enum status write_file(struct st_writer *s)
{
    struct file_out o;
    enum status st = file_out_open(&o, s->path, s->err);
    if (st)
        return st;
    st = file_out_write(&o, s->header.data, s->header.len, s->err);
    for (size_t i = 0; i < s->n && !st; i++) {
        const struct piece *p = s->order[i];
        const void *data = p->scale ? (const void *)p->t->scale : p->t->data;
        st = p->bytes ? file_out_write(&o, data, p->bytes, s->err) : ST_OK;
    }
    if (!st)
        return file_out_commit(&o, s->err);
    file_out_abort(&o);
    return st;
}

enum status weights_write(const char *path, const struct weights_out_tensor *t, int n,
                          const char *const *meta, struct error *err)
{
    struct st_writer s = {.path = path, .err = err};
    enum status st = ST_OK;
    buf_init(&s.header, HEADER_MAX + 8);
    s.p = mem_zarray((size_t)n * 2 + 1, sizeof *s.p);
    s.order = mem_array((size_t)n * 2 + 1, sizeof(struct piece *));
    if (!s.p || !s.order)
        st = no_memory(&s);
    for (int i = 0; i < n && !st; i++)
        st = add_pieces(&s, &t[i]);
    if (!st)
        st = place(&s);
    if (!st)
        st = make_header(&s, meta);
    if (!st)
        st = write_file(&s);
    for (size_t i = 0; s.p && i < s.n; i++)
        mem_free(s.p[i].name);
    mem_free(s.p);
    mem_free(s.order);
    buf_release(&s.header);
    return st;
}
