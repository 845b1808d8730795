/* Captioners: a picture to sentences.
 *
 *     struct captioner *c = NULL;
 *     if (captioner_open(&c, "blip-image-captioning-base", &err)) return err.code; // found out
 *     struct captioner_session *s = NULL;
 *     captioner_session_new(&s, c, "cpu", threads, &err);
 *     struct captions l = {0};
 *     captioner_say(s, &(struct captioner_input){.pixels = rgb}, &opts, &l, &err);
 *     puts(l.item[0].text);                              // best first
 *     captions_release(&l), captioner_session_free(s), captioner_close(c);
 *
 * Families (docs/ADDING-A-CAPTIONER.md has their layouts): ClipCap (Mokady et al. 2021, the
 * authors' .pt with a Hugging Face GPT-2 folder), BLIP (Li et al. 2022), eidetic's own. A captioner
 * says what it wants of a picture: pixels prepared its own way, the vector of a CLIP whose
 * dimension it names, or the states of the places of a CLIP that it names by id. Logits equal
 * transformers' and the authors' code on the same input within 1e-3. Thread rule: a captioner is
 * immutable after open; a session belongs to one thread. */
#ifndef EIDETIC_CAPTION_CAPTIONER_H
#define EIDETIC_CAPTION_CAPTIONER_H

#include "caption/decode.h"
#include "clip/clip.h"

enum captioner_wants {
    CAPTIONER_PIXELS,    /* RGB, prepared as captioner_prep says */
    CAPTIONER_VECTOR,    /* the CLIP's image vector, of unit length */
    CAPTIONER_EMBEDDING, /* the same before it is made unit length */
    CAPTIONER_PLACES,    /* the vector of unit length, and clip_look_images' states of places */
};
struct captioner_info {
    const char *family; /* "starter", "clipcap", "blip" */
    const char *layout; /* "hugging face folder", ... */
    enum captioner_wants wants;
    int clip_dim;            /* of the vector */
    int places, place_width; /* CAPTIONER_PLACES, as the next */
    char clip_id[33];        /* of the CLIP whose states it knows; "" = only its dimension counts */
    int vocab, context;      /* of the decoder */
    uint64_t parameters;
    char id[33]; /* of the weights: captions belong to it */
};

struct captioner;
enum status captioner_open(struct captioner **c, const char *path, struct error *err);
void captioner_close(struct captioner *c);
const struct captioner_info *captioner_info(const struct captioner *c);
struct decoder_prep captioner_prep(const struct captioner *c);
/* Whether a folder or file looks like one, by its small files alone. */
bool captioner_probe(const char *path);

struct captioner_input {
    const uint8_t *pixels; /* CAPTIONER_PIXELS: a square of captioner_prep's size */
    const float *vector;   /* otherwise: [clip_dim] */
    const float *places;   /* CAPTIONER_PLACES: [places, place_width] */
};
struct caption_opts {
    struct decode_opts decode; /* eos and prompt are the captioner's own */
    const char *prompt;        /* words that every caption begins with; NULL = the captioner's */
};
struct caption {
    char *text;
    float score; /* decode.h's */
};
struct captions {
    struct caption *item; /* best first */
    int n, tokens;        /* tokens: made in all, for a rate */
};
void captions_release(struct captions *l); /* takes a zeroed struct */

/* ST_UNSUPPORTED and a sentence where the captioner was trained on another CLIP than this one. */
enum status captioner_fits(const struct captioner *c, const struct clip_info *clip,
                           struct error *err);
/* A name of everything that decides a caption: 32 hexadecimal digits. clip: the id of the CLIP that
 * chooses among the beams. */
void captioner_key(char key[33], const struct captioner *c, const struct caption_opts *o,
                   const char *clip);

struct captioner_session;
enum status captioner_session_new(struct captioner_session **s, const struct captioner *c,
                                  const char *device, int threads, struct error *err);
void captioner_session_free(struct captioner_session *s);
enum status captioner_say(struct captioner_session *s, const struct captioner_input *in,
                          const struct caption_opts *o, struct captions *l, struct error *err);
/* For tests: logits [n + 1, vocab]: of the first word, and behind each of ids [n]. */
enum status captioner_logits(struct captioner_session *s, const struct captioner_input *in,
                             const int32_t *ids, int n, float *logits, struct error *err);

#endif
