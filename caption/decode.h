/* From a model that says how likely each next token is to whole sentences: greedy, beam search, and
 * sampling from the nucleus.
 *
 *     struct decode_opts o = {.beams = 3, .max_tokens = 20, .eos = &eos, .n_eos = 1};
 *     struct decode_list l = {0};
 *     decode_run(&o, vocab, logits, step, ctx, &l, &err);   // logits: of the first token
 *     use(l.item[0].id, l.item[0].n);                       // best first
 *     decode_list_release(&l);
 *
 * Counts and scores are those of transformers 5.23: beams 1 is its greedy search, more its beam
 * search with early_stopping false, max_tokens and min_tokens are max_new_tokens and
 * min_new_tokens, the repetition penalty is Keskar et al.'s 2019 (on logits in greedy search and
 * sampling, on log-probabilities in beam search, prompt included). top_p > 0 draws `beams`
 * sentences one by one from the smallest set of tokens that holds top_p (Holtzman et al. 2020); the
 * draws are our own, not torch's. A score is the sum of the log-probabilities over
 * length^length_penalty, as processed; for greedy and sampled sentences with a penalty of 1 the
 * mean. Thread rule: the caller's. */
#ifndef EIDETIC_CAPTION_DECODE_H
#define EIDETIC_CAPTION_DECODE_H

#include "core/error.h"
#include <stddef.h>
#include <stdint.h>

enum { DECODE_MAX_BEAMS = 32, DECODE_MAX_TOKENS = 256, DECODE_MAX_EOS = 4 };

struct decode_opts {
    int beams;                  /* 0 = 1 */
    int min_tokens, max_tokens; /* new ones, the end token included; max 0 = 20 */
    float top_p;                /* 0 = no sampling */
    float temperature;          /* of sampling; 0 = 1 */
    float repetition_penalty;   /* 0 = 1 */
    float length_penalty;       /* 0 = 1; DECODE_NO_LENGTH = 0 */
    uint64_t seed;
    const int32_t *eos; /* any of these ends a sentence */
    int n_eos;
    const int32_t *prompt; /* what the repetition penalty counts besides */
    size_t n_prompt;
};
#define DECODE_NO_LENGTH -1e-30f

struct decode_sentence {
    int32_t *id; /* the end token, where there is one, is the last */
    int n;
    float score;
};
struct decode_list {
    struct decode_sentence *item;
    int n;
};
void decode_list_release(struct decode_list *l); /* takes a zeroed struct */

/* n sentences: i continues parent[i] of the last call (the first call: 0) with token[i]. Fills
 * logits [n, vocab]. */
typedef enum status decode_step_fn(void *ctx, int n, const int32_t *token, const int32_t *parent,
                                   float *logits, struct error *err);

enum status decode_run(const struct decode_opts *o, int vocab, const float *logits,
                       decode_step_fn *step, void *ctx, struct decode_list *out, struct error *err);

/* For tests: what top_p leaves of logits [vocab], in place; the rest becomes -inf. */
enum status decode_nucleus(float *logits, int vocab, float top_p, struct error *err);

#endif
