/* Shared by the decoding strategies: rows of tokens, and what is done to scores first. */
#ifndef EIDETIC_CAPTION_DECODE_INT_H
#define EIDETIC_CAPTION_DECODE_INT_H

#include "caption/decode.h"
#include <stdbool.h>

struct decoding {
    const struct decode_opts *o;
    int vocab, rows, most; /* sentences at a time; tokens at most */
    int len;               /* tokens that each running sentence has */
    int32_t *ids, *spare;  /* [rows, most] */
    float *logits;         /* [rows, vocab] */
    decode_step_fn *step;
    void *ctx;
};

bool decode_is_eos(const struct decode_opts *o, int32_t id);
/* In place: x - log(sum exp x), in f32 as torch. */
void decode_log_softmax(float *x, int vocab);
/* The repetition penalty over prompt and ids [len], then no end token before min_tokens. */
void decode_process(const struct decoding *d, float *scores, const int32_t *ids);
bool decode_add(struct decode_list *out, const int32_t *ids, int n, float score);
float decode_score(const struct decode_opts *o, float sum, int n);

enum status decode_beam(struct decoding *d, struct decode_list *out, struct error *err);

#endif
