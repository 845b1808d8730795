/* CLIP: pictures and sentences to unit vectors of one space.
 *
 *     struct clip *c = NULL;
 *     if (clip_open(&c, "models/starter", NULL, &err)) return err.code; // any layout: found out
 *     struct clip_session *s = NULL;
 *     clip_session_new(&s, c, "cpu", threads, &err);
 *     float v[CLIP_MAX_DIM];
 *     clip_encode_text(s, &text, 1, v, &err); // one row of clip_dim(c) floats, of length 1
 *
 * struct clip is immutable after open and shared by threads; the mutable part (arena, backend) is
 * the session, one a thread. Follows Radford et al. 2021 as transformers' CLIPModel and open_clip's
 * CLIP compute it in eval mode; cosine >= 0.9999 and max abs error <= 1e-4 in f32. */
#ifndef EIDETIC_CLIP_CLIP_H
#define EIDETIC_CLIP_CLIP_H

#include "clip/tokenizer.h"
#include "core/error.h"
#include "image/decoder.h"
#include "nn/backend.h"
#include "nn/tensor.h"

#define CLIP_MAX_DIM 2048

struct clip_opts {
    int no_image, no_text; /* skip a tower (start-up time) */
    int half;              /* sentences from clip_write_half's copy, where there is one */
};

struct clip;
enum status clip_open(struct clip **c, const char *path, const struct clip_opts *o,
                      struct error *err);
void clip_close(struct clip *c);
/* Keeps the text tower's f32 matrices in f16 in the user's cache folder, so that a sentence reads
 * half the bytes: sums stay in f32, vectors keep a cosine of 0.99999 to those of f32. ST_OK also
 * where there is nothing to do: the copy is there, the weights are not f32, their id is in no note,
 * or there is no cache folder. Matrices that do not fit f16 are left out of it. */
enum status clip_write_half(const char *path, struct error *err);
/* Reads all such copies, of whatever models, and compares their checksums, which nobody does who
 * only uses them. A damaged one is told, and removed where that is asked for; one that cannot be
 * read (no right to, too many open files) is passed over. */
struct clip_half_check {
    bool remove;
    void (*found)(void *ctx, const char *what);
    void (*passed)(void *ctx, const char *why);
    void *ctx;
    int damaged; /* out */
};
enum status clip_check_half(struct clip_half_check *k, struct error *err);

struct clip_info {
    const char *arch;      /* "hf clip vit", "open_clip vit", "eidetic starter" */
    const char *layout;    /* "hugging face folder", "open_clip folder", "openai state dict", ... */
    const char *name;      /* short, for people: folder or file stem, or config's name */
    const char *tokenizer; /* which rules */
    const char *license;   /* one line from a LICENSE file or the metadata, or NULL */
    const char *note;      /* what the files do not say and was decided by rule, or NULL */
    char id[33]; /* hex hash of source weights and preprocessing; a vector belongs to it */
    int dim, context, vocab, image_size, image_layers, text_layers, image_width, text_width, patch;
    int places, place_width; /* of clip_look_images; 0: this family has no such states */
    /* The fastest precision for pictures of which it is known that it keeps a median cosine of
     * 0.999 to f32: PREC_INT8 where the family says so, else PREC_BF16. */
    enum precision near_f32;
    float logit_scale; /* already exp'd, as multiplied */
    float logit_bias;
    uint64_t parameters, bytes;
    const char *dtype;   /* of most weights */
    const char *weights; /* the file that holds them, or the index of its shards */
};
const struct clip_info *clip_info(const struct clip *c);
/* What the path and the files beside the weights say of them, as metadata for a copy that may come
 * to lie elsewhere: key, value, ..., NULL. clip_open reads it where nothing else says it. Lives as
 * long as c. */
const char *const *clip_traits(const struct clip *c);
int clip_dim(const struct clip *c);
const struct tokenizer *clip_tokenizer(const struct clip *c);
/* How decoder workers must prepare pixels for clip_encode_images. */
struct decoder_prep clip_prep(const struct clip *c, bool exact);

/* Gives the pages of mapped weights back to the system: for after a pass that is not to come again.
 */
void clip_give_back(const struct clip *c);

struct clip_session;
enum status clip_session_new(struct clip_session **s, const struct clip *c, const char *device,
                             int threads, struct error *err);
void clip_session_free(struct clip_session *s);
/* Of pictures: what stands behind '/' in the device ("cpu/bf16"). Sentences are always f32. */
enum precision clip_session_precision(const struct clip_session *s);
const char *clip_session_device(const struct clip_session *s); /* "cpu", "cuda:0" */

/* pixels: n pointers to prepared RGB squares of image_size. out: [n, dim], unit rows. */
enum status clip_encode_images(struct clip_session *s, const uint8_t *const *pixels, int n,
                               float *out, struct error *err);
/* The same before rows are made unit length. */
enum status clip_embed_images(struct clip_session *s, const uint8_t *const *pixels, int n,
                              float *out, struct error *err);
/* Vectors of unit length as clip_encode_images gives them, and from the same pass the states of
 * each picture's places before they are pooled: places [n, info.places, info.place_width]. */
enum status clip_look_images(struct clip_session *s, const uint8_t *const *pixels, int n,
                             float *out, float *places, struct error *err);
/* n texts, cut at the model's context. out: [n, dim], unit rows. */
enum status clip_encode_text(struct clip_session *s, const char *const *texts, int n, float *out,
                             struct error *err);
/* Token states [T, d] of the text tower before pooling and head, and a key mask (1 = counts), T =
 * context. For the sampler. */
enum status clip_text_states(struct clip_session *s, const char *text, float *states, uint8_t *mask,
                             struct error *err);

/* Test hook: called with each block's output (f32, host) as it is computed; names as in
 * docs/ADDING-A-MODEL.md. */
typedef void clip_trace_fn(void *ctx, const char *name, const struct tensor *t);
void clip_session_trace(struct clip_session *s, clip_trace_fn *fn, void *ctx);

#endif
