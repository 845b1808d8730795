/* BERT's encoder (Devlin et al. 2019) as a text tower: RoBERTa, XLM-R and DistilBERT under
 * transformers' names.
 *
 *     struct clip_bert b = {.first = 2, .eps...};          // zeroed, numbers set
 *     clip_bert_load(&loader, &b, vocab, "text.transformer.", CLIP_BERT_PLAIN);
 *     clip_bert_mean(r, &b, tokens, &y);                   // y [n, D]: the mean of each text's
 * tokens
 *
 * Padding is never looked at, so that a batch is as long as its longest text. Traces "embed",
 * "block.<i>" and "pooled". */
#ifndef EIDETIC_CLIP_ARCH_BERT_H
#define EIDETIC_CLIP_ARCH_BERT_H

#include "clip/arch/transformer.h"

enum clip_bert_names { CLIP_BERT_PLAIN, CLIP_BERT_DISTIL };

struct clip_bert {
    struct clip_transformer
        t;              /* width, heads, hidden, layers, eps and act are set before loading */
    int context, first; /* first: the position of the first token */
    int pad;            /* texts that hold this id lose it, as a mask would hide it */
    struct tensor words, positions;
    struct clip_norm norm;
};

/* Sizes from the tensors' shapes: layers 0 where they are none of BERT's. */
void clip_bert_guess(const struct clip_loader *l, struct clip_bert *b, const char *stem,
                     enum clip_bert_names names, int *vocab);
void clip_bert_load(struct clip_loader *l, struct clip_bert *b, int vocab, const char *stem,
                    enum clip_bert_names names);
enum status clip_bert_mean(struct clip_run *r, const struct clip_bert *b,
                           const struct clip_tokens *t, struct tensor *y);
/* y [n, D]: each text's first token. */
enum status clip_bert_first(struct clip_run *r, const struct clip_bert *b,
                            const struct clip_tokens *t, struct tensor *y);
/* As clip_arch's states. */
enum status clip_bert_states(struct clip_run *r, const struct clip_bert *b,
                             const struct clip_tokens *t, struct tensor *y, uint8_t *mask);

#endif
