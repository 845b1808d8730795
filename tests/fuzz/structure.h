/* Mutations that keep a file's structure, for libFuzzer: records are removed, repeated, moved and
 * taken over from other inputs, what is in them is mutated, and the lengths and counts round them
 * are put right again. One in five mutations knows nothing of structure, as before.
 * Follows libFuzzer's interface of custom mutators (LLVMFuzzerCustomMutator, ...CrossOver). */
#ifndef EIDETIC_TESTS_FUZZ_STRUCTURE_H
#define EIDETIC_TESTS_FUZZ_STRUCTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A record's bytes: what introduces it, what it holds, what closes it. */
struct record {
    size_t head, body, tail;
};

struct grammar {
    size_t prefix; /* bytes before the first record */
    /* Reads the INDEX-th record of LEVEL (N bytes), which begins at AT < N. False: none does. The
     * engine drops records that are empty or longer than what is left. */
    bool (*next)(struct record *r, const uint8_t *level, size_t n, size_t at, size_t index);
    /* Writes into the record D that its body has BODY bytes now. NULL: nothing says so. */
    void (*resize)(uint8_t *d, const struct record *r, size_t body);
    /* The records that the record D holds, from *SKIP bytes of its body on. NULL, also as an
     * answer: it holds bytes. */
    const struct grammar *(*inside)(const uint8_t *d, const struct record *r, size_t index,
                                    size_t *skip);
    /* DELTA records more at INDEX: a level of at least PREFIX bytes that counts them puts it
     * right. May be NULL. */
    void (*count)(uint8_t *level, size_t index, int delta);
    /* For files of tables instead of records: where an entry of twelve bytes lies, chosen by
     * CHOICE. 0: nowhere. */
    size_t (*entry)(const uint8_t *d, size_t n, uint32_t choice);
};

extern const struct grammar grammar_png, grammar_riff, grammar_bmff, grammar_markers, grammar_gif,
    grammar_iptc, grammar_tiff, grammar_exif, grammar_icc;
extern const struct grammar grammar_json, grammar_json_files, grammar_xml;
extern const struct grammar grammar_safetensors, grammar_lora, grammar_gguf, grammar_pickle,
    grammar_protobuf, grammar_vecfile;

/* For grammars: v in so many bytes, the highest or the lowest first. */
void structure_put_be(uint8_t *p, uint64_t v, size_t bytes);
void structure_put_le(uint8_t *p, uint64_t v, size_t bytes);

/* Changes D (N bytes of CAP) and returns its new size, at most CAP. */
size_t structure_mutate(const struct grammar *g, uint8_t *d, size_t n, size_t cap, unsigned seed);

/* Puts one of B's records among those of D, as structure_mutate. */
size_t structure_cross(const struct grammar *g, uint8_t *d, size_t n, size_t cap, const uint8_t *b,
                       size_t nb, unsigned seed);

/* libFuzzer's own, and a plain one of ours in replay.c. */
size_t LLVMFuzzerMutate(uint8_t *d, size_t n, size_t cap);

size_t LLVMFuzzerCustomMutator(uint8_t *d, size_t n, size_t cap, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t na, const uint8_t *b, size_t nb,
                                 uint8_t *out, size_t cap, unsigned seed);

/* Gives a target its grammar. */
#define FUZZ_STRUCTURE(g)                                                                          \
    size_t LLVMFuzzerCustomMutator(uint8_t *d, size_t n, size_t cap, unsigned seed)                \
    {                                                                                              \
        return structure_mutate(&(g), d, n, cap, seed);                                            \
    }                                                                                              \
    size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t na, const uint8_t *b, size_t nb,     \
                                     uint8_t *out, size_t cap, unsigned seed)                      \
    {                                                                                              \
        size_t n = na < cap ? na : cap;                                                            \
        if (n)                                                                                     \
            memcpy(out, a, n);                                                                     \
        return structure_cross(&(g), out, n, cap, b, nb, seed);                                    \
    }

#endif
