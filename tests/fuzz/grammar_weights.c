/* The structure of files of weights, of what belongs to them, and of vector files. */
#include "core/bytes.h"
#include "search/vecfile.h"
#include "tests/fuzz/structure.h"
#include <string.h>

/* safetensors: the length of a header, the header, the data. */
static bool safetensors_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    if (index == 0 && n - at < 8)
        return false;
    *r = index ? (struct record){0, n - at, 0} : (struct record){8, bytes_le64(d + at), 0};
    return true;
}

static void safetensors_resize(uint8_t *d, const struct record *r, size_t body)
{
    if (r->head == 8)
        structure_put_le(d, body, 8);
}

static const struct grammar *safetensors_inside(const uint8_t *d, const struct record *r,
                                                size_t index, size_t *skip)
{
    (void)index;
    *skip = 1;
    return r->head == 8 && r->body > 1 && d[8] == '{' ? &grammar_json : NULL;
}

const struct grammar grammar_safetensors = {
    .next = safetensors_next, .resize = safetensors_resize, .inside = safetensors_inside};

/* A line, then safetensors. */
static bool lora_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    const uint8_t *end = index ? NULL : memchr(d + at, '\n', n - at);
    *r = end ? (struct record){0, (size_t)(end - d) - at, 1} : (struct record){0, n - at, 0};
    return true;
}

static const struct grammar *lora_inside(const uint8_t *d, const struct record *r, size_t index,
                                         size_t *skip)
{
    (void)d;
    (void)r;
    *skip = 0;
    return index ? &grammar_safetensors : NULL;
}

const struct grammar grammar_lora = {.next = lora_next, .inside = lora_inside};

/* GGUF: magic, version, numbers of tensors and of keys; keys with their values, tensors, data. */
#define GGUF_HEADER 24

/* Bytes of a value's element; 0: a string, an array or nothing known. */
static size_t gguf_size(uint32_t type)
{
    static const uint8_t size[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < sizeof size ? size[type] : 0;
}

static bool gguf_value(struct record *r, const uint8_t *p, size_t left)
{
    uint32_t type = bytes_le32(p + r->head - 4);
    if (type == 9 && left - r->head >= 12) { /* of type, number, elements */
        size_t one = gguf_size(bytes_le32(p + r->head));
        uint64_t count = bytes_le64(p + r->head + 4);
        r->head += 12;
        if (one && count <= (left - r->head) / one) {
            r->body = one * (size_t)count;
            return true;
        }
        for (; !one && count; count--) { /* strings */
            if (left - r->head < r->body || left - r->head - r->body < 8)
                return false;
            uint64_t size = bytes_le64(p + r->head + r->body);
            if (size > left)
                return false;
            r->body += 8 + (size_t)size;
        }
        return !one;
    }
    if (type == 8 && left - r->head >= 8) {
        r->body = bytes_le64(p + r->head);
        r->head += 8;
        return true;
    }
    r->body = gguf_size(type);
    return r->body > 0;
}

static bool gguf_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    uint64_t tensors = bytes_le64(d + 8), keys = bytes_le64(d + 16);
    size_t left = n - at;
    const uint8_t *p = d + at;
    if (index >= keys && index - keys >= tensors) {
        *r = (struct record){0, left, 0};
        return true;
    }
    if (left < 12 || bytes_le64(p) > left - 12)
        return false;
    r->head = 8 + (size_t)bytes_le64(p) + 4;
    if (index < keys)
        return gguf_value(r, p, left);
    r->body = (size_t)bytes_le32(p + r->head - 4) * 8 + 4 + 8; /* shape, type, offset */
    return true;
}

static void gguf_resize(uint8_t *d, const struct record *r, size_t body)
{
    size_t key = r->head ? 8 + (size_t)bytes_le64(d) + 4 : 0;
    if (key && r->head == key + 8)
        structure_put_le(d + key, body, 8);
    else if (key && r->head == key + 12 && gguf_size(bytes_le32(d + key)))
        structure_put_le(d + key + 4, body / gguf_size(bytes_le32(d + key)), 8);
}

static void gguf_count(uint8_t *d, size_t index, int delta)
{
    uint8_t *counter = index < bytes_le64(d + 16) ? d + 16 : d + 8;
    structure_put_le(counter, bytes_le64(counter) + (uint64_t)(int64_t)delta, 8);
}

const struct grammar grammar_gguf = {
    .prefix = GGUF_HEADER, .next = gguf_next, .resize = gguf_resize, .count = gguf_count};

/* Pickles: an operation and its argument, which has a fixed size, a size before it, or ends with
 * its line. */
static const struct {
    uint8_t op, size; /* of the argument, or of the number that says its size */
    enum { FIXED, COUNTED, LINE, TWO_LINES } kind;
} pickle_ops[] = {{'F', 0, LINE},      {'I', 0, LINE},      {'L', 0, LINE},     {'S', 0, LINE},
                  {'V', 0, LINE},      {'P', 0, LINE},      {'g', 0, LINE},     {'p', 0, LINE},
                  {'c', 0, TWO_LINES}, {'i', 0, TWO_LINES}, {'B', 4, COUNTED},  {'C', 1, COUNTED},
                  {'T', 4, COUNTED},   {'U', 1, COUNTED},   {'X', 4, COUNTED},  {0x8A, 1, COUNTED},
                  {0x8B, 4, COUNTED},  {0x8C, 1, COUNTED},  {0x8D, 8, COUNTED}, {0x8E, 8, COUNTED},
                  {0x96, 8, COUNTED},  {'G', 8, FIXED},     {'J', 4, FIXED},    {'K', 1, FIXED},
                  {'M', 2, FIXED},     {'h', 1, FIXED},     {'j', 4, FIXED},    {'q', 1, FIXED},
                  {'r', 4, FIXED},     {0x80, 1, FIXED},    {0x82, 1, FIXED},   {0x83, 2, FIXED},
                  {0x84, 4, FIXED},    {0x95, 8, FIXED}};

static bool pickle_lines(struct record *r, const uint8_t *p, size_t left, int lines)
{
    size_t end = 0;
    for (; lines; lines--) {
        const uint8_t *stop = memchr(p + 1 + end, '\n', left - 1 - end);
        if (!stop)
            return false;
        end = (size_t)(stop - p);
    }
    *r = (struct record){1, end - 1, 1};
    return true;
}

static bool pickle_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    const uint8_t *p = d + at;
    size_t left = n - at;
    (void)index;
    *r = (struct record){1, 0, 0};
    for (size_t i = 0; i < sizeof pickle_ops / sizeof *pickle_ops; i++) {
        size_t size = pickle_ops[i].size;
        if (p[0] != pickle_ops[i].op)
            continue;
        if (pickle_ops[i].kind >= LINE)
            return pickle_lines(r, p, left, pickle_ops[i].kind == LINE ? 1 : 2);
        if (left - 1 < size)
            return false;
        if (pickle_ops[i].kind == FIXED) {
            r->body = size;
            return true;
        }
        r->head += size;
        for (size_t k = size; k-- > 0;)
            r->body = r->body << 8 | p[1 + k];
        return true;
    }
    return true;
}

static void pickle_resize(uint8_t *d, const struct record *r, size_t body)
{
    structure_put_le(d + 1, body, r->head - 1);
}

const struct grammar grammar_pickle = {.next = pickle_next, .resize = pickle_resize};

/* Protocol buffers: number and kind of a field, then a number or bytes with their size. */
static size_t varint(uint64_t *v, const uint8_t *p, size_t n)
{
    *v = 0;
    for (size_t i = 0; i < n && i < 10; i++) {
        *v |= (uint64_t)(p[i] & 0x7F) << 7 * i;
        if (!(p[i] & 0x80))
            return i + 1;
    }
    return 0;
}

static bool protobuf_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    const uint8_t *p = d + at;
    uint64_t key, value;
    size_t left = n - at, head = varint(&key, p, left), size;
    (void)index;
    if (!head)
        return false;
    switch (key & 7) {
    case 0:
        *r = (struct record){head, varint(&value, p + head, left - head), 0};
        return r->body > 0;
    case 1:
        *r = (struct record){head, 8, 0};
        return true;
    case 2:
        size = varint(&value, p + head, left - head);
        *r = (struct record){head + size, value, 0};
        return size > 0;
    case 5:
        *r = (struct record){head, 4, 0};
        return true;
    }
    return false;
}

/* The size in as many bytes as it had: what does not fit stays away. */
static void protobuf_resize(uint8_t *d, const struct record *r, size_t body)
{
    uint64_t key;
    size_t at = varint(&key, d, r->head);
    for (; (key & 7) == 2 && at < r->head; at++, body >>= 7)
        d[at] = (uint8_t)((body & 0x7F) | (at + 1 < r->head ? 0x80 : 0));
}

/* A model holds pieces (1), how it was trained (2) and how it normalises (3). */
static const struct grammar *protobuf_inside(const uint8_t *d, const struct record *r, size_t index,
                                             size_t *skip)
{
    (void)r;
    (void)index;
    *skip = 0;
    return d[0] == 0x0A || d[0] == 0x12 || d[0] == 0x1A ? &grammar_protobuf : NULL;
}

const struct grammar grammar_protobuf = {
    .next = protobuf_next, .resize = protobuf_resize, .inside = protobuf_inside};

/* A byte that says whether checksums are put right, a header, blocks. */
static bool vecfile_next(struct record *r, const uint8_t *d, size_t n, size_t at, size_t index)
{
    (void)index;
    if (n - at < VECFILE_BLOCK_HEADER)
        return false;
    *r = (struct record){VECFILE_BLOCK_HEADER, bytes_le64(d + at + 16), 0};
    return true;
}

static void vecfile_resize(uint8_t *d, const struct record *r, size_t body)
{
    (void)r;
    structure_put_le(d + 16, body, 8);
}

const struct grammar grammar_vecfile = {
    .prefix = 1 + VECFILE_HEADER, .next = vecfile_next, .resize = vecfile_resize};
