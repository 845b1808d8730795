/* What the UNet and the autoencoder share: sticky loading by diffusers' names, and residual blocks.
 *
 *     struct net_loader l;
 *     net_loader_init(&l, &model, weights, "model.diffusion_model.", names, err);
 *     u->conv_in = net_load_conv(&l, width, 4, 3, "conv_in");
 *     if (l.l.status) return l.l.status;                // the first thing missing, in a sentence
 *
 * Activations are [B,H,W,C] f32. Matrices stay mapped in the file's type; kernels larger than 1x1
 * are copied in it, since PyTorch has their channels before their rows and columns. Everything
 * copied lives in the model's arena. Running takes clip/'s struct clip_run, whose arena each block
 * leaves as it found it. */
#ifndef EIDETIC_SAMPLER_NETS_NET_H
#define EIDETIC_SAMPLER_NETS_NET_H

#include "clip/arch/transformer.h"
#include "sampler/nets/names.h"

enum { NET_MAX_WIDTH = 1 << 16, NET_MAX_LEVELS = 8, NET_MAX_BLOCKS = 16, NET_MAX_DEPTH = 64 };

struct net_loader {
    struct clip_loader l;
    struct clip_source src;
    struct net_names names;
    bool wide; /* matrices and kernels are TENSOR_WEIGHT_WIDE */
};
void net_loader_init(struct net_loader *l, struct clip_model *m, struct weights *w,
                     const char *prefix, struct net_names names, struct error *err);

struct net_conv {
    struct tensor w, b; /* [O,k,k,C], [O] */
};
struct net_resnet {
    struct clip_norm norm1, norm2;
    struct net_conv conv1, conv2;
    struct clip_linear time;     /* [out, time width]; w.data NULL = none (autoencoder) */
    struct clip_linear shortcut; /* [out, in]; w.data NULL = the input as it is */
    int64_t in, out;
};

/* Stems are printf'd, in diffusers' spelling. */
bool net_load_has(const struct net_loader *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Dimension i of "<stem>.weight"; 0 (and a sentence) where the tensor is missing or has none. */
int64_t net_load_dim(struct net_loader *l, int i, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
struct clip_norm net_load_norm(struct net_loader *l, int64_t c, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* [n, k], or a 1x1 convolution's [n, k, 1, 1]. */
struct clip_linear net_load_linear(struct net_loader *l, int64_t n, int64_t k, bool bias,
                                   const char *fmt, ...) __attribute__((format(printf, 5, 6)));
struct net_conv net_load_conv(struct net_loader *l, int64_t out, int64_t in, int64_t k,
                              const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* The same without a bias. */
struct net_conv net_load_kernel(struct net_loader *l, int64_t out, int64_t in, int64_t k,
                                const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Its output width is the file's; time_width 0 = no time embedding. */
struct net_resnet net_load_resnet(struct net_loader *l, int64_t in, int64_t time_width,
                                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void *net_load_array(struct net_loader *l, size_t n, size_t size); /* zeroed */
enum status net_load_fail(struct net_loader *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

struct net_norm_opts {
    int groups;
    float eps;
};
void net_norm_run(struct clip_run *r, struct tensor *y, const struct tensor *x,
                  const struct tensor *e, const struct clip_norm *n, const struct net_norm_opts *o,
                  enum act act);
/* Odd kernels, padded to keep the size; stride 1. */
void net_conv_run(struct clip_run *r, struct tensor *y, const struct tensor *x,
                  const struct net_conv *c);
/* y [B,H,W,out] = shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))) + time(e)))). e: the time
 * embedding behind its SiLU [B, time width], or NULL. y may be x where in == out. */
enum status net_resnet_run(struct clip_run *r, const struct net_resnet *b, struct tensor *y,
                           const struct tensor *x, const struct tensor *e,
                           const struct net_norm_opts *o);

#endif
