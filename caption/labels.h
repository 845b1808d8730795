/* Vectors of labels: each label in several sentences, their mean made a unit vector (the prompt
 * ensembles of Radford et al. 2021), and the file that keeps them.
 *
 *     struct labels l;
 *     struct labels_opts o = {.cache = "<folder>/labels-<model>.bin", .stop = &interrupted};
 *     labels_open(&l, session, clip, &lexicon, &o, &err);      // computes what the file lacks
 *     use(l.rows, l.n, l.dim);
 *     labels_close(&l);
 *
 * The file (docs/FILE-FORMATS.md) is a header and blocks of LABELS_BLOCK rows, each with a
 * checksum, written as they are computed: a kill costs the block in flight, a damaged block is
 * computed again, a file of another model, list or template is replaced. Where it cannot be written
 * the vectors are held in memory all the same. Thread rule: that of the session. */
#ifndef EIDETIC_CAPTION_LABELS_H
#define EIDETIC_CAPTION_LABELS_H

#include "caption/lexicon.h"
#include "clip/clip.h"
#include <signal.h>
#include <stdbool.h>

#define LABELS_MAGIC "EIDLABL1" /* persisted, as the two below */
#define LABELS_HEADER 128
#define LABELS_BLOCK 256
#define LABELS_FOLDER "labels" /* below the cache folder */

struct labels_opts {
    /* printf-like sentences with one "%s" for the label, NULL-terminated; NULL = labels_templates.
     */
    const char *const *templates;
    const char *cache;                                  /* NULL = none */
    const volatile sig_atomic_t *stop;                  /* NULL = never; ST_INTERRUPTED */
    void (*progress)(void *ctx, size_t done, size_t n); /* only while computing; may be NULL */
    void *ctx;
};
extern const char *const labels_templates[];

struct labels {
    float *rows; /* [n, dim], unit length */
    size_t n, dim;
    size_t computed; /* of them in this call */
};
enum status labels_open(struct labels *l, struct clip_session *s, const struct clip *c,
                        const struct lexicon *v, const struct labels_opts *o, struct error *err);
void labels_close(struct labels *l); /* takes a zeroed struct */

#endif
