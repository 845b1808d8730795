/* Text to token ids.
 *
 *     struct tokenizer *t = NULL;
 *     if (tokenizer_open(&t, TOKENIZER_CLIP_OPEN, NULL, &err)) return err.code;
 *     struct token_list l = {0};
 *     tokenizer_encode(t, "a dog", 5, &l, &err); // with begin and end tokens, not cut, not padded
 *     token_list_release(&l);
 *     tokenizer_close(t);
 *
 * Kinds: CLIP's byte-pair encoding as transformers' CLIPTokenizer does it; the same as open_clip's
 * SimpleTokenizer (double HTML unescape, ftfy's steps except mojibake repair, whitespace clean,
 * lower); BERT's WordPiece as transformers' BertTokenizer (uncased unless the folder's
 * tokenizer_config.json says otherwise); SiglipTokenizer, GemmaTokenizer and
 * Siglip2Tokenizer; GPT-2's byte-level encoding; XLM-R and RoBERTa as open_clip's HFTokenizer calls
 * them. Ids equal transformers 5.23 (tokenizers 0.23), open_clip 3.3 and ftfy 6.3 on Python 3.11
 * for every text. Thread rule: immutable after open; encode may run in several threads. */
#ifndef EIDETIC_CLIP_TOKENIZER_H
#define EIDETIC_CLIP_TOKENIZER_H

#include "core/buf.h"
#include "core/error.h"
#include <stddef.h>
#include <stdint.h>

enum tokenizer_kind {
    TOKENIZER_CLIP_HF,   /* transformers */
    TOKENIZER_CLIP_OPEN, /* open_clip / OpenAI */
    TOKENIZER_WORDPIECE, /* BERT uncased */
    TOKENIZER_SIGLIP,    /* spiece.model */
    TOKENIZER_XLMR,      /* open_clip over tokenizer.json, or sentencepiece.bpe.model */
    TOKENIZER_GEMMA,     /* SigLIP 2: tokenizer.json */
    /* open_clip's SigLIP: the texts canonicalized, over tokenizer.json */
    TOKENIZER_T5_CLEAN,
    TOKENIZER_GEMMA_CLEAN,
    TOKENIZER_ROBERTA, /* open_clip over tokenizer.json, or vocab.json and merges.txt */
    TOKENIZER_GPT2,    /* GPT-2's byte-level pairs; begin and end are both <|endoftext|> */
};

struct token_list {
    int32_t *id;
    size_t n, cap;
};
void token_list_release(struct token_list *l);

struct tokenizer;

/* dir: a model folder with the files named above, or tokenizer.json, or else vocab.json +
 * merges.txt (CLIP, GPT-2) or vocab.txt (WordPiece); tokenizer_config.json, special_tokens_map.json
 * and added_tokens.json count where they exist. NULL = the data compiled into the program (CLIP's
 * merges; BERT's vocabulary; none of GPT-2's and SentencePiece's kinds). */
enum status tokenizer_open(struct tokenizer **t, enum tokenizer_kind kind, const char *dir,
                           struct error *err);
void tokenizer_close(struct tokenizer *t);
const char *tokenizer_name(const struct tokenizer *t); /* "clip (open_clip rules)" */
int tokenizer_vocab_size(const struct tokenizer *t);
int32_t tokenizer_bos(const struct tokenizer *t); /* <|startoftext|> or [CLS]; -1: none is put */
int32_t tokenizer_eos(const struct tokenizer *t); /* <|endoftext|> or [SEP]; -1: none is put */
/* What fills up: the folder's pad token, else 49407 (CLIP, transformers); 0 (open_clip, BERT). */
int32_t tokenizer_pad(const struct tokenizer *t);

/* Any bytes (invalid UTF-8 becomes U+FFFD). Replaces l's content: bos, pieces, eos; uncut. */
enum status tokenizer_encode(const struct tokenizer *t, const char *text, size_t n,
                             struct token_list *l, struct error *err);
/* The piece as the reference prints it ("dog</w>", "##ing"); NULL when id is out of range. */
const char *tokenizer_piece(const struct tokenizer *t, int32_t id);

/* Appends the text of ids as transformers' decode() gives it, begin, end and padding left out; ids
 * without a piece say nothing. GPT-2's bytes that are no UTF-8 become U+FFFD. Only for GPT-2 and
 * WordPiece: ST_UNSUPPORTED for the others. */
enum status tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, struct buf *b,
                             struct error *err);

/* Cuts or pads to exactly `context` ids as the reference does (cut: last id becomes eos; padding
 * behind, or before where the folder of a Gemma tokenizer says so).
 * Returns the number of ids before padding, eos included. */
size_t tokenizer_fit(const struct tokenizer *t, const struct token_list *l, size_t context,
                     int32_t *out);

#endif
