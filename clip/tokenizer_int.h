/* Shared by the tokenizer_*.c files. A kind of tokenizer is one const struct tokenizer_rules and
 * one line in tokenizer_list.c. */
#ifndef EIDETIC_CLIP_TOKENIZER_INT_H
#define EIDETIC_CLIP_TOKENIZER_INT_H

#include "clip/tokenizer.h"
#include "clip/unicode.h"

struct json_t;
struct spm;
struct tokenizer;

/* Pieces by id and ids by piece. Zeroed is empty. */
struct vocab {
    char *text; /* all pieces, each followed by a NUL */
    size_t text_len, text_cap;
    uint32_t *at;  /* id -> offset in text; UINT32_MAX where an id has no piece */
    size_t n, cap; /* ids 0..n-1 */
    int32_t *slot; /* open addressing, -1 empty */
    size_t slots, used;
};
void vocab_release(struct vocab *v);
bool vocab_reserve(struct vocab *v, size_t n, size_t bytes);
/* A piece that is there already moves to the new id (the last one wins, as in a Python dict);
 * ST_FORMAT when another piece holds the id. */
enum status vocab_add(struct vocab *v, int32_t id, const char *s, size_t n, struct error *err);
int32_t vocab_find(const struct vocab *v, const char *s, size_t n); /* -1: none */
const char *vocab_piece(const struct vocab *v, int32_t id);

/* The merge of two neighbours: (left, right) -> rank and the id of both together. */
struct merge {
    int32_t left, right; /* left -1: empty slot */
    uint32_t rank;
    int32_t id;
};
struct merges {
    struct merge *slot;
    size_t slots, used;
};
void merges_release(struct merges *m);
bool merges_reserve(struct merges *m, size_t n);
bool merges_add(struct merges *m, struct merge x); /* a later one replaces an earlier one */
const struct merge *merges_find(const struct merges *m, int32_t left, int32_t right);

/* The same of a tokenizer, whichever table it has; false: the two do not merge. */
bool tokenizer_find_merge(const struct tokenizer *t, int32_t left, int32_t right, struct merge *m);

/* A token that is cut out of the text before it is split into words. */
struct added_token {
    char *text;
    int32_t id;
    bool normalized;     /* looked for in the normalised text, in its own normalised form */
    bool lstrip, rstrip; /* takes the white space on that side */
    struct utext c;      /* what is looked for */
};

enum { NAMED_BOS, NAMED_EOS, NAMED_UNK, NAMED_SEP, NAMED_PAD, NAMED_CLS, NAMED_MASK, NAMED_COUNT };

struct tokenizer_rules {
    enum tokenizer_kind kind;
    const char *name;
    const char *defaults[NAMED_COUNT]; /* the reference's class defaults; NULL: none */
    bool strips;                       /* named tokens take the white space on both sides */
    bool one_eos;                      /* a text that ends in the end token gets no other */
    /* From the data compiled in. */
    enum status (*load_embedded)(struct tokenizer *t, struct error *err);
    /* The vocabulary of a folder, full being its tokenizer.json or NULL; without this, vocabulary
     * and merges are read as BPE's or WordPiece's. */
    enum status (*load_model)(struct tokenizer *t, const char *dir, const struct json_t *full,
                              struct error *err);
    /* The whole text, before tokens are cut out of it; may be NULL. */
    bool (*prepare)(const struct tokenizer *t, struct utext *text);
    /* Makes a stretch of text ready for `words`; false: no memory. */
    bool (*normalize)(const struct tokenizer *t, struct utext *text);
    /* Splits normalised text and appends the ids; false: no memory. */
    bool (*words)(const struct tokenizer *t, const struct utext *text, struct token_list *l);
    /* What tokenizer_config.json and tokenizer.json say beyond the named tokens; may be NULL. */
    void (*special)(struct tokenizer *t, const struct json_t *config, const struct json_t *full);
    /* Appends one piece's text; first: nothing stands before it. NULL: cannot be decoded. */
    void (*decode)(const struct tokenizer *t, const char *piece, bool first, struct buf *b);
    /* After the vocabulary is known: tables of its own. */
    enum status (*finish)(struct tokenizer *t, const char *name, struct error *err);
    void (*release)(struct tokenizer *t); /* may be NULL */
};
extern const struct tokenizer_rules tokenizer_rules_clip_hf, tokenizer_rules_clip_open,
    tokenizer_rules_wordpiece, tokenizer_rules_siglip, tokenizer_rules_xlmr, tokenizer_rules_gemma,
    tokenizer_rules_roberta, tokenizer_rules_t5_clean, tokenizer_rules_gemma_clean,
    tokenizer_rules_gpt2;
extern const struct tokenizer_rules *const tokenizer_list[]; /* ended by NULL */

struct tokenizer {
    const struct tokenizer_rules *rules;
    struct vocab vocab;
    struct merges merges;
    /* Of CLIP's own merges, where piece `first_merge` + rank is what the merge of that rank makes:
     * how long its left part is. Then `merges` is empty. NULL elsewhere. */
    uint8_t *split;
    int32_t first_merge, n_split;
    struct added_token *added;
    size_t n_added;
    int32_t bos, eos, pad, unk; /* bos, eos: -1 where none is added */
    int32_t byte_id[2][256];    /* a byte's id inside a word and as its last; unk where missing */
    bool lower, strip, cjk;     /* BertNormalizer's switches */
    size_t max_piece;           /* bytes of the longest piece */
    bool pad_left;
    struct spm *spm; /* of SentencePiece's kinds */
    size_t skip;     /* SigLIP's: pieces of the unknown token's name */
};

bool token_list_push(struct token_list *l, int32_t id);

/* tokenizer_vocab.c */
enum status tokenizer_load_merges(struct tokenizer *t, const char *text, size_t size,
                                  const char *name, struct error *err);
enum status tokenizer_add_merge(struct tokenizer *t, const char *left, size_t n_left,
                                const char *right, size_t n_right, uint32_t rank, const char *name,
                                struct error *err);
enum status tokenizer_load_lines(struct tokenizer *t, const char *text, size_t size,
                                 const char *name, struct error *err);

/* tokenizer_folder.c: a folder in Hugging Face's layout. */
enum status tokenizer_load_folder(struct tokenizer *t, const char *dir, struct error *err);

/* tokenizer_added.c */
void added_token_release(struct added_token *a);
/* Replaces flags when the text is there already. */
enum status tokenizer_add_token(struct tokenizer *t, const char *text, bool normalized, bool lstrip,
                                bool rstrip, struct error *err);
/* Normalises the contents that are looked for in normalised text. */
enum status tokenizer_added_finish(struct tokenizer *t, struct error *err);
/* Cuts out added tokens, normalises what lies between and splits it. */
bool tokenizer_encode_text(const struct tokenizer *t, struct utext *text, struct token_list *l);

/* tokenizer_spm.c: for kinds that have no data compiled in. */
enum status tokenizer_no_embedded(struct tokenizer *t, struct error *err);

/* tokenizer_bpe.c: merges ids as the merge table says and appends what is left. */
bool tokenizer_merge_ids(const struct tokenizer *t, const int32_t *ids, size_t n,
                         struct token_list *l);
/* The character that stands for a byte (GPT-2's table), as UTF-8. */
size_t tokenizer_byte_piece(unsigned byte, bool last, char out[8]);
/* Merges text stretch by stretch, each as long as `length` says of what is left; 0 from it drops
 * the rest. */
bool tokenizer_bpe_stretches(const struct tokenizer *t, const struct utext *text,
                             size_t (*length)(const uint32_t *c, size_t n), struct token_list *l);
/* How long the 's, 't, 're, 've, 'm, 'll or 'd is that c[0..n) begins with; 0 = it does not. fold:
 * U+017F is an s. */
size_t tokenizer_contraction(const uint32_t *c, size_t n, bool fold);

/* tokenizer_gpt2.c: rules of the byte-level kinds: `normalize` that changes nothing, `words`. */
bool tokenizer_unchanged(const struct tokenizer *t, struct utext *text);
bool tokenizer_gpt2_words(const struct tokenizer *t, const struct utext *text,
                          struct token_list *l);

/* tokenizer_spm.c: open_clip's canonicalize as `prepare`. */
bool tokenizer_canonical(const struct tokenizer *t, struct utext *text);

#endif
