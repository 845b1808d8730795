/* GGUF files whose counts, lengths, offsets and shapes overflow when they are added or multiplied.
 */
#ifndef EIDETIC_TESTS_HOSTILE_GGUF_H
#define EIDETIC_TESTS_HOSTILE_GGUF_H

#include "hostile.h"

static inline void hostile_text(struct buf *b, const char *s)
{
    hostile_number(b, strlen(s), 8);
    buf_puts(b, s);
}

static inline struct buf *hostile_gguf_new(struct hostile *h, const char *name, uint64_t tensors,
                                           uint64_t pairs, enum status code, const char *word)
{
    struct buf *b = hostile_new(h, name, "gguf", code, word);
    buf_puts(b, "GGUF");
    hostile_number(b, 3, 4);
    hostile_number(b, tensors, 8);
    hostile_number(b, pairs, 8);
    return b;
}

/* One tensor of zeros. */
static inline void hostile_tensors(struct hostile *h)
{
    static const uint64_t half = UINT64_C(1) << 32, top = UINT64_C(1) << 63;
    const struct {
        const char *name;
        uint32_t ndim;
        uint64_t dim[5]; /* as in the file: columns first */
        uint32_t type;
        uint64_t offset;
        size_t data;
        enum status code;
        const char *word;
    } all[] = {
        {"one-byte-short", 1, {8}, 0, 0, 31, ST_FORMAT, "beyond the end"},
        {"offset-beyond", 1, {8}, 0, 32, 32, ST_FORMAT, "beyond the end"},
        {"offset-wraps", 1, {8}, 0, UINT64_MAX - 31, 32, ST_FORMAT, "beyond the end"},
        {"offset-uneven", 1, {8}, 0, 4, 64, ST_FORMAT, "general.alignment"},
        {"product-2-to-64", 2, {half, half}, 0, 0, 32, ST_FORMAT, "impossible shape"},
        {"product-wraps-to-8", 3, {half, half, 8}, 0, 0, 32, ST_FORMAT, "impossible shape"},
        {"product-of-four", 4, {4, half, half, half / 2}, 0, 0, 32, ST_FORMAT, "impossible shape"},
        {"dim-negative", 1, {UINT64_MAX}, 0, 0, 32, ST_FORMAT, "impossible shape"},
        {"dim-2-to-63", 1, {top}, 0, 0, 32, ST_FORMAT, "impossible shape"},
        {"bytes-2-to-64", 1, {top / 2}, 0, 0, 32, ST_FORMAT, "impossible shape"},
        {"zero-times-much", 2, {top / 2, 0}, 0, 0, 32, ST_FORMAT, "impossible shape"},
        {"blocks-wrap", 2, {half / 64, half}, 10, 0, 84, ST_FORMAT, "beyond the end"},
        {"blocks-uneven-32", 1, {48}, 2, 0, 64, ST_FORMAT, "blocks of 32"},
        {"blocks-uneven-256", 1, {128}, 14, 0, 210, ST_FORMAT, "blocks of 256"},
        {"block-of-a-number", 0, {0}, 12, 0, 144, ST_FORMAT, "blocks of 256"},
        {"dimensions-5", 5, {1, 1, 1, 1, 1}, 0, 0, 32, ST_FORMAT, "4 dimensions"},
        {"dimensions-32-bits", UINT32_MAX, {1}, 0, 0, 32, ST_FORMAT, "4 dimensions"},
        {"type-removed", 1, {8}, 4, 0, 32, ST_UNSUPPORTED, "unknown type 4"},
        {"type-known", 1, {256}, 23, 0, 256, ST_UNSUPPORTED, "iq4_xs, which is not read"},
        {"type-32-bits", 1, {8}, UINT32_MAX, 0, 32, ST_UNSUPPORTED, "unknown type 4294967295"},
        {"empty-tensor", 1, {0}, 0, 0, 0, ST_OK, ""},
        {"k-quants", 1, {256}, 11, 0, 110, ST_OK, ""},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct buf *b = hostile_gguf_new(h, all[i].name, 1, 0, all[i].code, all[i].word);
        hostile_text(b, "t");
        hostile_number(b, all[i].ndim, 4);
        for (uint32_t d = 0; d < all[i].ndim && d < 5; d++)
            hostile_number(b, all[i].dim[d], 8);
        hostile_number(b, all[i].type, 4);
        hostile_number(b, all[i].offset, 8);
        hostile_fill(b, 0, (32 - b->len % 32) % 32 + all[i].data);
    }
}

/* Two tensors of 16 floats, the second where `offset` says and by this name. */
static inline void hostile_two(struct hostile *h, const char *name, const char *second,
                               uint64_t offset, const char *word)
{
    struct buf *b = hostile_gguf_new(h, name, 2, 0, ST_FORMAT, word);
    for (int i = 0; i < 2; i++) {
        hostile_text(b, i ? second : "a");
        hostile_number(b, 1, 4);
        hostile_number(b, 16, 8);
        hostile_number(b, 0, 4);
        hostile_number(b, i ? offset : 0, 8);
    }
    hostile_fill(b, 0, (32 - b->len % 32) % 32 + 128);
}

static inline void hostile_counts(struct hostile *h)
{
    static const struct {
        const char *name;
        uint64_t tensors, pairs;
    } all[] = {
        {"tensors-64-bits", UINT64_MAX, 0},
        {"tensors-times-24-wrap", UINT64_C(0x0aaaaaaaaaaaaaab), 0},
        {"tensors-a-few-too-many", 4, 0},
        {"pairs-64-bits", 0, UINT64_MAX},
        {"pairs-times-13-wrap", 0, UINT64_C(0x13b13b13b13b13b2)},
        {"both", UINT64_MAX, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        hostile_fill(hostile_gguf_new(h, all[i].name, all[i].tensors, all[i].pairs, ST_FORMAT,
                                      "more than its size allows"),
                     0, 64);
    static const struct {
        const char *name;
        uint32_t version;
        const char *word;
    } versions[] = {
        {"version-0", 0, "version 0"},
        {"version-1", 1, "version 1"},
        {"version-4", 4, "version 4"},
        {"big-endian", 0x03000000, "little-endian"},
    };
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct buf *b = hostile_new(h, versions[i].name, "gguf", ST_UNSUPPORTED, versions[i].word);
        buf_puts(b, "GGUF");
        hostile_number(b, versions[i].version, 4);
        hostile_fill(b, 0, 16);
    }
    buf_puts(hostile_new(h, "magic-only", "gguf", ST_FORMAT, "middle of its header"), "GGUF");
    hostile_two(h, "shared-bytes", "b", 32, "shares bytes");
    hostile_two(h, "same-bytes", "b", 0, "shares bytes");
    hostile_two(h, "name-twice", "a", 64, "occurs twice");
    hostile_two(h, "name-no-utf8", "\xff\xfe", 64, "no name");
}

/* One key, then what `type` and `value` say; bytes of value are taken low first. */
static inline void hostile_keys(struct hostile *h)
{
    static const struct {
        const char *name, *key;
        uint32_t type;
        uint64_t value[2];
        int bytes[2];
        const char *word;
    } all[] = {
        {"key-type-13", "k", 13, {0}, {8}, "key of a kind"},
        {"key-type-32-bits", "k", UINT32_MAX, {0}, {8}, "key of a kind"},
        {"key-no-utf8", "\xff\xfe", 4, {0}, {4}, "key of a kind"},
        {"key-empty", "", 4, {0}, {4}, "key of a kind"},
        {"text-64-bits", "k", 8, {UINT64_MAX}, {8}, "middle of its header"},
        {"text-wraps", "k", 8, {UINT64_MAX - 40}, {8}, "middle of its header"},
        {"list-of-lists", "k", 9, {9, 1}, {4, 8}, "list of a kind"},
        {"list-type-13", "k", 9, {13, 1}, {4, 8}, "list of a kind"},
        {"list-times-8-wraps", "k", 9, {10, UINT64_C(1) << 61}, {4, 8}, "middle of its header"},
        {"list-of-texts-64-bits", "k", 9, {8, UINT64_MAX}, {4, 8}, "middle of its header"},
        {"list-of-bytes-64-bits", "k", 9, {0, UINT64_MAX}, {4, 8}, "middle of its header"},
        {"alignment-0", "general.alignment", 4, {0}, {4}, "power of two"},
        {"alignment-12", "general.alignment", 4, {12}, {4}, "power of two"},
        {"alignment-2-to-31", "general.alignment", 4, {UINT64_C(1) << 31}, {4}, "power of two"},
        {"alignment-64-bits", "general.alignment", 10, {32}, {8}, "power of two"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct buf *b = hostile_gguf_new(h, all[i].name, 0, 1, ST_FORMAT, all[i].word);
        hostile_text(b, all[i].key);
        hostile_number(b, all[i].type, 4);
        for (int v = 0; v < 2; v++)
            hostile_number(b, all[i].value[v], all[i].bytes[v]);
    }
    struct buf *b = hostile_gguf_new(h, "key-64-bits", 0, 1, ST_FORMAT, "middle of its header");
    hostile_number(b, UINT64_MAX - 23, 8);
    hostile_fill(b, 'k', 64);
}

static inline void hostile_gguf(struct hostile *h)
{
    hostile_tensors(h);
    hostile_counts(h);
    hostile_keys(h);
}

#endif
