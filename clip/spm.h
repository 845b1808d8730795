/* SentencePiece models: the .model file, its normaliser, and the unigram model's best split.
 *
 *     struct spm s = {0};
 *     struct vocab v = {0};
 *     if (spm_read(&s, &v, data, size, "spiece.model", &err)) ...   // hostile until parsed
 *     spm_normalize(&s, &v, text, n, &bytes);      // as sentencepiece does
 *     spm_split(&s, &v, bytes.data, bytes.len, &ids);
 *     spm_release(&s), vocab_release(&v);
 *
 * Follows sentencepiece 0.2 and, with `hf` set, Hugging Face's tokenizers 0.23, which compute the
 * same split in double and look rules up by whole characters as people see them. Functions that may
 * allocate return false when memory ran out. Thread rule: immutable after reading. */
#ifndef EIDETIC_CLIP_SPM_H
#define EIDETIC_CLIP_SPM_H

#include "clip/tokenizer_int.h"
#include "core/buf.h"

enum spm_type { /* as in the file; 0 where it came from a tokenizer.json */
                SPM_PLAIN = 0,
                SPM_NORMAL,
                SPM_UNKNOWN,
                SPM_CONTROL,
                SPM_USER,
                SPM_UNUSED,
                SPM_BYTE
};
enum spm_kind { SPM_UNIGRAM = 1, SPM_BPE };

struct spm {
    enum spm_kind kind;
    double *score; /* [n] by id */
    uint8_t *type;
    size_t n, cap, longest; /* longest: bytes of the longest piece that is looked for */
    uint32_t reach[256];    /* the same of those that begin with a byte */
    int32_t unk;
    double least, most; /* of the scores of normal pieces */
    bool hf;
    bool prefix, squeeze, escape, suffix, bytes, user; /* user: it has user-defined pieces */
    /* The rules: a double-array trie over bytes, whose values are places in `text`. */
    uint32_t *unit;
    size_t units;
    char *text;
    size_t text_size;
};
void spm_release(struct spm *s);

/* Adds piece s->n to both. */
enum status spm_add(struct spm *s, struct vocab *v, const char *piece, size_t n, double score,
                    int type, struct error *err);
enum status spm_read(struct spm *s, struct vocab *v, const char *data, size_t size,
                     const char *name, struct error *err);
/* After the last piece: the least and largest score. */
void spm_finish(struct spm *s);
/* The rules as they stand in a file: size of the trie, trie, replacements. Empty: none. */
enum status spm_set_rules(struct spm *s, const char *blob, size_t size, const char *name,
                          struct error *err);

/* sentencepiece's normaliser over valid UTF-8. */
bool spm_normalize(const struct spm *s, const struct vocab *v, const char *text, size_t n,
                   struct buf *out);
/* The tokenizers library's Precompiled normaliser. */
bool spm_precompiled(const struct spm *s, struct utext *text);
/* Appends the ids of the best split; runs of unknown characters are one token. */
bool spm_split(const struct spm *s, const struct vocab *v, const char *text, size_t n,
               struct token_list *l);

#endif
