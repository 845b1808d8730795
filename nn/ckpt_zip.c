/* A zip reader for mapped files, for what torch.save and torch.jit.save write: entries stored
 * whole. The central directory is believed only where the local headers agree; TorchScript's code/
 * entries are compressed, so these are listed but never handed out. Zip64 as in
 * APPNOTE 6.3, 4.3.14. */
#include "core/bytes.h"
#include "core/mem.h"
#include "nn/ckpt_int.h"

enum {
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR_SIZE = 20,
    CENTRAL_SIZE = 46,
    LOCAL_SIZE = 30,
};

struct zip_reader {
    struct zip *z;
    const uint8_t *data;
    uint64_t size;
    uint64_t dir, dir_size, count; /* the central directory */
    const char *label;
    struct error *err;
};

static enum status bad(struct zip_reader *r, const char *what)
{
    return error_set(r->err, ST_FORMAT, "%s: bad zip: %s", r->label, what);
}

/* The end record must end the file: a comment could hide a second directory. */
static enum status find_end(struct zip_reader *r)
{
    if (r->size < END_SIZE)
        return bad(r, "too short");
    uint64_t at = r->size - END_SIZE;
    const uint8_t *p = r->data + at;
    if (memcmp(p, "PK\5\6", 4) || bytes_le16(p + 20))
        return bad(r, "no directory at the end (cut short?)");
    if (bytes_le16(p + 4) || bytes_le16(p + 6) || bytes_le16(p + 8) != bytes_le16(p + 10))
        return bad(r, "in several parts");
    r->count = bytes_le16(p + 10);
    r->dir_size = bytes_le32(p + 12);
    r->dir = bytes_le32(p + 16);
    if (r->count == 0xffff || r->dir_size == 0xffffffff || r->dir == 0xffffffff) {
        const uint8_t *loc = at >= LOCATOR_SIZE ? p - LOCATOR_SIZE : NULL;
        if (!loc || memcmp(loc, "PK\6\7", 4))
            return bad(r, "no zip64 record");
        uint64_t where = bytes_le64(loc + 8);
        if (at < LOCATOR_SIZE + END64_SIZE || where > at - LOCATOR_SIZE - END64_SIZE)
            return bad(r, "zip64 record out of range");
        p = r->data + where;
        if (memcmp(p, "PK\6\6", 4) || bytes_le32(p + 16) || bytes_le32(p + 20) ||
            bytes_le64(p + 24) != bytes_le64(p + 32))
            return bad(r, "zip64 record");
        at = where;
        r->count = bytes_le64(p + 32);
        r->dir_size = bytes_le64(p + 40);
        r->dir = bytes_le64(p + 48);
    }
    if (r->dir > at || r->dir_size > at - r->dir || r->count > r->dir_size / CENTRAL_SIZE)
        return bad(r, "directory out of range");
    return ST_OK;
}

/* Relative, without "..", backslashes or control characters. */
static bool name_ok(const char *s, size_t n)
{
    size_t start = 0;
    if (!n || s[0] == '/')
        return false;
    for (size_t i = 0; i <= n; i++) {
        if (i < n && ((unsigned char)s[i] < 0x20 || s[i] == '\\'))
            return false;
        if (i < n && s[i] != '/')
            continue;
        if (i - start == 2 && s[start] == '.' && s[start + 1] == '.')
            return false;
        start = i + 1;
    }
    return true;
}

/* The 64-bit forms stand in the order of the fields that are all ones. */
static bool read_zip64_extra(const uint8_t *p, size_t n, uint64_t *full, uint64_t *packed,
                             uint64_t *local)
{
    uint64_t *field[3] = {full, packed, local};
    while (n >= 4) {
        uint32_t id = bytes_le16(p), len = bytes_le16(p + 2);
        if (len > n - 4)
            return false;
        if (id == 1) {
            const uint8_t *v = p + 4;
            for (int i = 0; i < 3; i++) {
                if (*field[i] != 0xffffffff)
                    continue;
                if (len < 8)
                    return false;
                *field[i] = bytes_le64(v);
                v += 8;
                len -= 8;
            }
            return true;
        }
        p += 4 + len;
        n -= 4 + len;
    }
    return *full != 0xffffffff && *packed != 0xffffffff && *local != 0xffffffff;
}

/* Local headers lie before the directory; their name must be the directory's. */
static enum status read_local(struct zip_reader *r, struct zip_entry *e, uint64_t at)
{
    if (at > r->dir || r->dir - at < LOCAL_SIZE)
        return bad(r, "entry out of range");
    const uint8_t *p = r->data + at;
    uint64_t names = (uint64_t)bytes_le16(p + 26) + bytes_le16(p + 28);
    uint64_t left = r->dir - at - LOCAL_SIZE;
    if (memcmp(p, "PK\3\4", 4) || names > left || e->size > left - names)
        return bad(r, "entry out of range");
    if (bytes_le16(p + 26) != e->name_len || memcmp(p + LOCAL_SIZE, e->name, e->name_len))
        return bad(r, "two names for one entry");
    e->data = p + LOCAL_SIZE + names;
    return ST_OK;
}

static enum status read_entry(struct zip_reader *r, uint64_t *at, struct zip_entry *e)
{
    uint64_t left = r->dir + r->dir_size - *at;
    const uint8_t *p = r->data + *at;
    if (left < CENTRAL_SIZE || memcmp(p, "PK\1\2", 4))
        return bad(r, "directory cut short");
    size_t name_len = bytes_le16(p + 28), extra = bytes_le16(p + 30), comment = bytes_le16(p + 32);
    if (left - CENTRAL_SIZE < name_len + extra + comment)
        return bad(r, "directory cut short");
    if (bytes_le16(p + 8) & 1)
        return bad(r, "an encrypted entry");
    *e = (struct zip_entry){.name = (const char *)p + CENTRAL_SIZE,
                            .name_len = name_len,
                            .crc = bytes_le32(p + 16),
                            .method = (int)bytes_le16(p + 10)};
    uint64_t packed = bytes_le32(p + 20), full = bytes_le32(p + 24), local = bytes_le32(p + 42);
    if (!read_zip64_extra(p + CENTRAL_SIZE + name_len, extra, &full, &packed, &local))
        return bad(r, "zip64 sizes");
    if (!name_ok(e->name, name_len))
        return bad(r, "an unsafe entry name");
    if (!e->method && packed != full)
        return bad(r, "a stored entry of two sizes");
    e->size = packed;
    *at += CENTRAL_SIZE + name_len + extra + comment;
    return read_local(r, e, local);
}

static int compare_names(const char *a, size_t an, const char *b, size_t bn)
{
    int c = memcmp(a, b, an < bn ? an : bn);
    return c ? c : an < bn ? -1 : an > bn;
}

static int by_name(const void *a, const void *b)
{
    const struct zip_entry *x = a, *y = b;
    return compare_names(x->name, x->name_len, y->name, y->name_len);
}

static int by_data(const void *a, const void *b)
{
    const struct zip_entry *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return x->size < y->size ? -1 : x->size > y->size;
}

/* Bombs share bytes between entries. The local header in front of data counts as the entry's. */
static enum status check_entries(struct zip_reader *r)
{
    struct zip *z = r->z;
    qsort(z->e, z->n, sizeof *z->e, by_data);
    for (size_t i = 1; i < z->n; i++) {
        uint64_t gap = (uint64_t)(z->e[i].data - z->e[i - 1].data);
        if (gap < z->e[i - 1].size || gap - z->e[i - 1].size < LOCAL_SIZE + z->e[i].name_len)
            return bad(r, "overlapping entries");
    }
    qsort(z->e, z->n, sizeof *z->e, by_name);
    for (size_t i = 1; i < z->n; i++)
        if (!by_name(&z->e[i - 1], &z->e[i]))
            return bad(r, "two entries of one name");
    return ST_OK;
}

enum status zip_open(struct zip *z, const uint8_t *data, size_t size, const char *label,
                     struct error *err)
{
    *z = (struct zip){0};
    struct zip_reader r = {.z = z, .data = data, .size = size, .label = label, .err = err};
    enum status st = find_end(&r);
    if (st)
        return st;
    z->e = mem_array((size_t)r.count + 1, sizeof *z->e);
    if (!z->e)
        return error_set(err, ST_NOMEM, "%s: out of memory", label);
    uint64_t at = r.dir;
    for (uint64_t i = 0; i < r.count && !st; i++)
        st = read_entry(&r, &at, &z->e[z->n++]);
    if (!st && z->n)
        st = check_entries(&r);
    if (st)
        zip_release(z);
    return st;
}

void zip_release(struct zip *z)
{
    mem_free(z->e);
    *z = (struct zip){0};
}

const struct zip_entry *zip_find(const struct zip *z, const char *prefix, size_t prefix_len,
                                 const char *name, size_t name_len)
{
    size_t lo = 0, hi = z->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct zip_entry *e = &z->e[mid];
        size_t head = e->name_len < prefix_len ? e->name_len : prefix_len;
        int c = compare_names(e->name, head, prefix, prefix_len);
        if (!c)
            c = compare_names(e->name + head, e->name_len - head, name, name_len);
        if (!c)
            return e;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static uint32_t crc32_of(const uint8_t *p, uint64_t n)
{
    uint32_t table[256], crc = 0xffffffff;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
        table[i] = c;
    }
    for (uint64_t i = 0; i < n; i++)
        crc = table[(crc ^ p[i]) & 0xff] ^ crc >> 8;
    return ~crc;
}

enum status zip_stored(const struct zip_entry *e, bool check_crc, const char *label,
                       struct error *err)
{
    char q[WEIGHTS_QUOTE];
    if (e->method)
        return error_set(err, ST_UNSUPPORTED,
                         "%s: entry '%s' is compressed, which torch never does", label,
                         weights_quote(q, e->name, e->name_len));
    if (check_crc && crc32_of(e->data, e->size) != e->crc)
        return error_set(err, ST_FORMAT, "%s: entry '%s' is damaged (checksum)", label,
                         weights_quote(q, e->name, e->name_len));
    return ST_OK;
}
