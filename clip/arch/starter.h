/* The starter model's towers once loaded: starter.c fills them from config.json and the weights,
 * starter_towers.c runs them. Pictures are channels-last; models/starter/README.md has the maths.
 *
 *     image: stem -> blocks -> 1x1 head = the map -> mean, class names, attention -> vector
 *     text:  words + positions -> norm -> post-norm layers -> mean -> head -> vector */
#ifndef EIDETIC_CLIP_ARCH_STARTER_H
#define EIDETIC_CLIP_ARCH_STARTER_H

#include "clip/arch/transformer.h"

struct starter_conv {
    int kernel, stride, before, after; /* zeros in front and behind, on both axes */
    struct tensor w, b;
};
struct starter_block {
    int in, expand, out, side; /* expand 0: no such step; side: of its input */
    bool residual;
    struct clip_linear grow, shrink;
    struct starter_conv dw;
};
struct starter_image {
    int size, blocks, map_side, map_width, classes, stem_out;
    struct starter_conv stem;
    struct starter_block *block;
    struct clip_linear head, classifier, linear, fc1, fc2, token, value, out;
    struct tensor minus_mean, inv, ones; /* [map_width] */
    struct tensor names;                 /* [dim, classes] */
    struct tensor query;                 /* [heads, dim] */
    struct clip_norm token_norm;
    int heads, mlp; /* heads 0: no attention over the map */
    float softmax_scale, eps, token_eps;
};
struct starter_text {
    int context;
    struct clip_transformer t;
    struct tensor words, positions, ones;
    struct clip_norm norm;
    struct clip_linear linear, fc1, fc2;
    int mlp;
    float eps;
};
struct starter {
    int dim, vocab;
    struct starter_image image;
    struct starter_text text;
};

/* Side of a convolution's output; 0 when nothing is left. */
int clip_starter_side_after(int side, const struct starter_conv *c);

enum status clip_starter_run_image(const struct clip_model *m, struct clip_run *r,
                                   const struct tensor *x, struct tensor *z);
/* states [B, places, dim]: those of places, which the heads attend to. Only where there are heads.
 */
enum status clip_starter_run_look(const struct clip_model *m, struct clip_run *r,
                                  const struct tensor *x, struct tensor *z, struct tensor *states);
enum status clip_starter_run_text(const struct clip_model *m, struct clip_run *r,
                                  const struct clip_tokens *t, struct tensor *z);
/* States of the text's own tokens; zeros behind them, which the mask takes out. */
enum status clip_starter_run_states(const struct clip_model *m, struct clip_run *r,
                                    const struct clip_tokens *t, struct tensor *y, uint8_t *mask);

#endif
