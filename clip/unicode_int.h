/* Tables of unicode_tables.c (made by scripts/make_unicode_tables.py). Ranges are in order. */
#ifndef EIDETIC_CLIP_UNICODE_INT_H
#define EIDETIC_CLIP_UNICODE_INT_H

#include <stddef.h>
#include <stdint.h>

struct unicode_range {
    uint32_t lo, hi;
    int32_t value;
};
extern const struct unicode_range unicode_regex[], unicode_onig[], unicode_bert_mark[],
    unicode_bert_punct[], unicode_bert_control[], unicode_rust_lower[], unicode_python_barrier[],
    unicode_rust_barrier[], unicode_cased[], unicode_ignorable[];
extern const size_t unicode_regex_n, unicode_onig_n, unicode_bert_mark_n, unicode_bert_punct_n,
    unicode_bert_control_n, unicode_rust_lower_n, unicode_python_barrier_n, unicode_rust_barrier_n,
    unicode_cased_n, unicode_ignorable_n;
extern const uint16_t unicode_width[0xFFEF - 0xFF5F];

/* The value of the range that holds c, or none. */
int32_t unicode_lookup(const struct unicode_range *r, size_t n, uint32_t c, int32_t none);

#endif
