/* Safetensors files and shard indexes that lie: the attacks that the format's own repository
 * collects (lying lengths, overlapping and missing spans, headers as bombs), and what else its
 * rules forbid. */
#ifndef EIDETIC_TESTS_HOSTILE_SAFETENSORS_H
#define EIDETIC_TESTS_HOSTILE_SAFETENSORS_H

#include "hostile.h"

#define ST_T(dtype, shape, from, to)                                                               \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"
#define ST_A(dtype, shape, from, to) "{\"a\":" ST_T(dtype, shape, from, to) "}"

static inline void hostile_header(struct buf *b, uint64_t says, const char *json, size_t n,
                                  size_t data)
{
    hostile_number(b, says, 8);
    buf_append(b, json, n);
    hostile_fill(b, 0, data);
}

static inline void hostile_headers(struct hostile *h)
{
    static const struct {
        const char *name, *json;
        size_t data;
        enum status code;
        const char *word;
    } all[] = {
        {"overlap",
         "{\"a\":" ST_T("F32", "[2]", "0", "8") ",\"b\":" ST_T("F32", "[2]", "4", "12") "}", 12,
         ST_FORMAT, "overlap"},
        {"overlap-same",
         "{\"a\":" ST_T("F32", "[2]", "0", "8") ",\"b\":" ST_T("F32", "[2]", "0", "8") "}", 8,
         ST_FORMAT, "overlap"},
        {"overlap-inside",
         "{\"a\":" ST_T("F32", "[4]", "0", "16") ",\"b\":" ST_T("F32", "[1]", "4", "8") "}", 16,
         ST_FORMAT, "overlap"},
        {"gap-front", ST_A("F32", "[1]", "4", "8"), 8, ST_FORMAT, "hole"},
        {"gap", "{\"a\":" ST_T("F32", "[1]", "0", "4") ",\"b\":" ST_T("F32", "[1]", "8", "12") "}",
         12, ST_FORMAT, "hole"},
        {"behind", ST_A("F32", "[1]", "0", "4"), 5, ST_FORMAT, "behind the last"},
        {"behind-nothing", "{}", 1, ST_FORMAT, "behind the last"},
        {"outside", ST_A("F32", "[400]", "0", "1600"), 16, ST_FORMAT, "outside"},
        {"outside-far", ST_A("F32", "[1]", "9223372036854775803", "9223372036854775807"), 16,
         ST_FORMAT, "outside"},
        {"offset-beyond-64-bits",
         ST_A("F32", "[1]", "18446744073709551612", "18446744073709551616"), 16, ST_FORMAT, "JSON"},
        {"offset-negative", ST_A("F32", "[1]", "-4", "0"), 4, ST_FORMAT, "outside"},
        {"offset-backwards", ST_A("F32", "[1]", "4", "0"), 4, ST_FORMAT, "outside"},
        {"offset-real", ST_A("F32", "[1]", "0.0", "4"), 4, ST_FORMAT, "data_offsets"},
        {"offset-one", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4,
         ST_FORMAT, "data_offsets"},
        {"offset-three", ST_A("F32", "[1]", "0", "4,8"), 8, ST_FORMAT, "data_offsets"},
        {"offset-none", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, ST_FORMAT, "data_offsets"},
        {"shape-negative", ST_A("F32", "[-1]", "0", "4"), 4, ST_FORMAT, "natural"},
        {"shape-two-negative", ST_A("F32", "[-1,-1]", "0", "4"), 4, ST_FORMAT, "natural"},
        {"shape-real", ST_A("F32", "[1.0]", "0", "4"), 4, ST_FORMAT, "natural"},
        {"shape-exponent", ST_A("F32", "[1e0]", "0", "4"), 4, ST_FORMAT, "natural"},
        {"shape-text", ST_A("F32", "[\"1\"]", "0", "4"), 4, ST_FORMAT, "natural"},
        {"shape-null", ST_A("F32", "null", "0", "4"), 4, ST_FORMAT, "no shape"},
        {"shape-nan", ST_A("F32", "[NaN]", "0", "4"), 4, ST_FORMAT, "JSON"},
        {"shape-product", ST_A("F32", "[4294967296,4294967296]", "0", "0"), 0, ST_FORMAT,
         "impossible"},
        {"shape-product-wraps-to-one", ST_A("F32", "[4294967297,4294967295,1]", "0", "4"), 4,
         ST_FORMAT, "impossible"},
        {"shape-product-zero", ST_A("F32", "[4294967296,4294967296,0]", "0", "0"), 0, ST_FORMAT,
         "impossible"},
        {"shape-bytes-wrap", ST_A("F32", "[4611686018427387905]", "0", "4"), 4, ST_FORMAT,
         "impossible"},
        {"shape-beyond-64-bits", ST_A("F32", "[99999999999999999999]", "0", "4"), 4, ST_FORMAT,
         "JSON"},
        {"shape-does-not-match", ST_A("F32", "[2]", "0", "4"), 4, ST_FORMAT, "match its bytes"},
        {"shape-zero-with-bytes", ST_A("F32", "[0]", "0", "4"), 4, ST_FORMAT, "match its bytes"},
        {"shape-deep", ST_A("F32", "[1,1,1,1,1,1,1,1,1]", "0", "4"), 4, ST_UNSUPPORTED,
         "9 dimensions"},
        {"dtype-unknown", ST_A("Q7", "[1]", "0", "4"), 4, ST_FORMAT, "unknown dtype 'Q7'"},
        {"dtype-nan", "{\"a\":{\"dtype\":NaN,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, ST_FORMAT,
         "JSON"},
        {"dtype-number", "{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, ST_FORMAT,
         "no dtype"},
        {"dtype-float8", ST_A("F8_E4M3", "[4]", "0", "4"), 4, ST_UNSUPPORTED, "F8_E4M3"},
        {"dtype-escapes", ST_A("\\u001b[31m", "[1]", "0", "4"), 4, ST_FORMAT, "unknown dtype"},
        {"key-twice",
         "{\"a\":" ST_T("F32", "[1]", "0", "4") ",\"a\":" ST_T("F32", "[1]", "0", "4") "}", 4,
         ST_FORMAT, "JSON"},
        {"key-of-meta-twice", "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, ST_FORMAT, "JSON"},
        {"key-nul", "{\"a\\u0000b\":" ST_T("F32", "[1]", "0", "4") "}", 4, ST_FORMAT, "JSON"},
        {"key-no-utf8", "{\"\xff\":" ST_T("F32", "[1]", "0", "4") "}", 4, ST_FORMAT, "JSON"},
        {"meta-number", "{\"__metadata__\":{\"k\":1}}", 0, ST_FORMAT, "metadata value"},
        {"meta-list", "{\"__metadata__\":[]}", 0, ST_FORMAT, "__metadata__"},
        {"tensor-list", "{\"a\":[]}", 0, ST_FORMAT, "no dtype"},
        {"header-list", "[]", 0, ST_FORMAT, "JSON"},
        {"header-open", "{\"a\":", 4, ST_FORMAT, "JSON"},
        {"header-tail", ST_A("F32", "[1]", "0", "4") " x", 4, ST_FORMAT, "JSON"},
        {"scale-shape",
         "{\"a\":" ST_T("I8", "[2,2]", "0", "4") ",\"a.scale\":" ST_T("F32", "[1]", "4", "8") "}",
         8, ST_FORMAT, "one f32 per row"},
        {"mark-shape",
         "{\"__metadata__\":{\"eidetic.q8_0:a\":\"99999999999999999999\"},\"a\":" ST_T(
             "U8", "[34]", "0", "34") "}",
         34, ST_FORMAT, "q8_0 mark"},
        {"empty-tensors",
         "{\"a\":" ST_T("F32", "[0]", "0", "0") ",\"b\":" ST_T("F32", "[7,0]", "0", "0") "}", 0,
         ST_OK, ""},
        {"no-tensors", "{}", 0, ST_OK, ""},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct buf *b = hostile_new(h, all[i].name, "safetensors", all[i].code, all[i].word);
        hostile_header(b, strlen(all[i].json), all[i].json, strlen(all[i].json), all[i].data);
    }
}

/* A header that is a bomb: `open` n times, then `close` n times, between two texts. */
static inline void hostile_bomb(struct hostile *h, const char *name, const char *before,
                                const char *open, size_t n, const char *close, const char *after,
                                enum status code, const char *word)
{
    struct buf *b = hostile_new(h, name, "safetensors", code, word);
    size_t size = strlen(before) + n * (strlen(open) + strlen(close)) + strlen(after);
    hostile_number(b, size, 8);
    buf_puts(b, before);
    for (size_t i = 0; i < n; i++)
        buf_puts(b, open);
    for (size_t i = 0; i < n; i++)
        buf_puts(b, close);
    buf_puts(b, after);
}

static inline void hostile_lengths(struct hostile *h)
{
    static const struct {
        const char *name;
        uint64_t says;
        enum status code;
        const char *word;
    } all[] = {
        {"length-zero", 0, ST_FORMAT, "not a JSON object"},
        {"length-one", 1, ST_FORMAT, "not a JSON object"},
        {"length-less", 20, ST_FORMAT, "JSON"},
        {"length-more", 5000, ST_FORMAT, "cut short"},
        {"length-the-most", 100000000, ST_FORMAT, "cut short"},
        {"length-32-bits", UINT32_MAX, ST_LIMIT, "at most"},
        {"length-63-bits", INT64_MAX, ST_LIMIT, "at most"},
        {"length-64-bits", UINT64_MAX, ST_LIMIT, "at most"},
        {"length-wraps", UINT64_MAX - 7, ST_LIMIT, "at most"},
    };
    static const char json[] = ST_A("F32", "[1]", "0", "4");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        hostile_header(hostile_new(h, all[i].name, "safetensors", all[i].code, all[i].word),
                       all[i].says, json, sizeof json - 1, 4);
    hostile_new(h, "empty", "safetensors", ST_FORMAT, "empty");
    hostile_header(hostile_new(h, "short", "safetensors", ST_FORMAT, "too short"), 2, "{", 1, 0);
    hostile_bomb(h, "deep-lists", "{\"a\":", "[", 100000, "]", "}", ST_FORMAT, "JSON");
    hostile_bomb(h, "deep-objects", "{\"a\":", "{\"a\":", 100000, "}", "}", ST_FORMAT, "JSON");
    hostile_bomb(h, "many-values", "{\"a\":[0", ",0", 1100000, "", "]}", ST_LIMIT, "values");
    hostile_bomb(h, "long-name", "{\"", "n", 2000000, "", "\":" ST_T("F32", "[0]", "0", "0") "}",
                 ST_FORMAT, "no name");
    hostile_bomb(h, "long-number", "{\"a\":{\"dtype\":\"F32\",\"shape\":[", "9", 1000000, "",
                 "],\"data_offsets\":[0,0]}}", ST_FORMAT, "JSON");
    hostile_bomb(h, "spaces", "{", " ", 4000000, "", "", ST_FORMAT, "JSON");
}

static inline void hostile_indexes(struct hostile *h)
{
    static const struct {
        const char *name, *json;
        enum status code;
        const char *word;
    } all[] = {
        {"index-parent", "{\"weight_map\":{\"a\":\"../x.safetensors\"}}", ST_FORMAT, "same folder"},
        {"index-absolute", "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", ST_FORMAT, "same folder"},
        {"index-hidden", "{\"weight_map\":{\"a\":\".netrc\"}}", ST_FORMAT, "same folder"},
        {"index-backslash", "{\"weight_map\":{\"a\":\"..\\\\x\"}}", ST_FORMAT, "same folder"},
        {"index-missing", "{\"weight_map\":{\"a\":\"none-such\"}}", ST_NOT_FOUND, "none-such"},
        {"index-number", "{\"weight_map\":{\"a\":1}}", ST_FORMAT, "not a string"},
        {"index-empty", "{\"weight_map\":{}}", ST_FORMAT, "weight_map"},
        {"index-other-tensor", "{\"weight_map\":{\"z\":\"empty-tensors.safetensors\"}}", ST_FORMAT,
         "not in its shard"},
        {"index-of-itself", "{\"weight_map\":{\"a\":\"index-of-itself.json\"}}", ST_FORMAT,
         "an index where"},
        {"index-of-a-broken-one", "{\"weight_map\":{\"a\":\"overlap.safetensors\"}}", ST_FORMAT,
         "overlap"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buf_puts(hostile_new(h, all[i].name, "json", all[i].code, all[i].word), all[i].json);
}

static inline void hostile_safetensors(struct hostile *h)
{
    hostile_headers(h);
    hostile_lengths(h);
    hostile_indexes(h);
}

#endif
