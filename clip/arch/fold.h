/* Convolutions whose training-time branches are folded into one kernel (Ding et al. 2021, RepVGG):
 * several kernels, batch norms and skips side by side, or one that was folded before it was saved.
 *
 *     struct clip_fold f;
 *     if (clip_fold_begin(&f, l, out, in, 3))
 *         clip_fold_mobileone(&f, l, &parts, "stem.0");
 *     struct clip_linear conv = clip_fold_dense(&f, l, 1); // also releases f
 *
 * Sums are in double. Sticky as the loader is: after a failure everything does nothing. */
#ifndef EIDETIC_CLIP_ARCH_FOLD_H
#define EIDETIC_CLIP_ARCH_FOLD_H

#include "clip/arch/transformer.h"

/* A tensor's name, and how names are made: what stands before them, and what a layout calls them.
 */
struct clip_part {
    char s[192];
};
struct clip_parts {
    const char *stem;
    void (*rename)(struct clip_part *name); /* NULL = as they are */
};
struct clip_part clip_part_name(const struct clip_parts *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A kernel [out, in, high, wide] and a bias while branches are added to them; in counts a group's.
 * A kernel is a square, or one row. */
struct clip_fold {
    int64_t out, in;
    int high, kernel;
    double *w, *b;
};

bool clip_fold_begin(struct clip_fold *f, struct clip_loader *l, int64_t out, int64_t in,
                     int kernel);
bool clip_fold_begin_row(struct clip_fold *f, struct clip_loader *l, int64_t out, int64_t in,
                         int kernel);
void clip_fold_end(struct clip_fold *f);
/* y = x * scale[n] + shift[n], as a batch norm does it when it has learned. */
bool clip_fold_norm(struct clip_loader *l, const struct clip_parts *v, const char *name, int64_t n,
                    double *scale, double *shift);
/* Adds a convolution no larger than f's, about the same middle, and its batch norm; conv NULL: the
 * norm alone, which is a kernel of one 1. */
void clip_fold_branch(struct clip_fold *f, struct clip_loader *l, const struct clip_parts *v,
                      const char *conv, const char *norm, int kernel);
/* Adds <name>.weight and <name>.bias. */
void clip_fold_plain(struct clip_fold *f, struct clip_loader *l, const struct clip_parts *v,
                     const char *name);
/* Adds x itself. */
void clip_fold_skip(struct clip_fold *f);
/* Adds MobileOne's block: any number of convolutions, perhaps a 1x1 one, a batch norm of x itself
 * where there is a skip; or what they add up to. */
void clip_fold_mobileone(struct clip_fold *f, struct clip_loader *l, const struct clip_parts *v,
                         const char *name, bool skip);
/* [O,k,k,C], of 1x1 [O,C], where the input's channels lie in halves; releases f. */
struct clip_linear clip_fold_dense(struct clip_fold *f, struct clip_loader *l, int halves);
/* The channel at place p of n, where channel 2c + h is channel c of half h and the halves lie one
 * behind the other. */
int64_t clip_fold_channel(int64_t p, int64_t n, int halves);
/* n floats that live as long as the model. */
float *clip_fold_take(struct clip_loader *l, int64_t n);

#endif
