/* The op table: eager functions over tensors of one backend. They assert shapes, never allocate
 * from the caller's arena, never synchronise, and return nothing; backend_sync reports the first
 * failure.
 *
 *     op_layernorm(be, &h, &x, &w1, &b1, 1e-5f);
 *     op_linear(be, &qkv, &h, &w2, &b2, ACT_NONE, NULL);
 *     op_attention(be, &h, &q, &k, &v, &(struct attn_opts){.heads = 12, .ld_q = 3 * d, ...});
 *     op_linear(be, &x, &h, &w3, &b3, ACT_NONE, &x);       // the residual in place
 *
 * Letters: B batch, T tokens, D width, H heads, K input features, N output features. Activations
 * are f32 here; weights (w, table) may be f32, f16, bf16, i8 with scales, or q8_0. Unless said
 * otherwise y may be the same memory as x. Each op's plain-C reference in nn/cpu/<subject>_ref.c is
 * the definition; tests/ops compares every other version with it. Thread rule: as the backend's. */
#ifndef EIDETIC_NN_OPS_H
#define EIDETIC_NN_OPS_H

#include "nn/backend.h"
#include "nn/tensor.h"

enum act {
    ACT_NONE = 0,
    ACT_GELU,       /* x * Phi(x), erf form: torch.nn.GELU() */
    ACT_GELU_TANH,  /* torch.nn.GELU(approximate="tanh") */
    ACT_QUICK_GELU, /* x * sigmoid(1.702 x): OpenAI CLIP */
    ACT_SILU,       /* x * sigmoid(x) */
    ACT_RELU,
    ACT_RELU6,
    ACT_TANH,
    ACT_SIGMOID,
    ACT_COUNT
};
const char *act_name(enum act a);

/* y[M,N] = act(x[M,K] . w[N,K]^T + b[N]) + r[M,N]. M is the product of x's leading dims.
 * b and r may be NULL; y may be r, not x. torch.nn.Linear. */
void op_linear(struct backend *be, struct tensor *y, const struct tensor *x, const struct tensor *w,
               const struct tensor *b, enum act act, const struct tensor *r);

/* y[M,N] = x[M,K] . w[K,N] (no transpose), f32 only: projections stored as in OpenAI's files. */
void op_matmul(struct backend *be, struct tensor *y, const struct tensor *x,
               const struct tensor *w);

/* Over the last dim D: y = (x - mean) / sqrt(var + eps) * w[D] + b[D]; var is the biased one, b may
 * be NULL. */
void op_layernorm(struct backend *be, struct tensor *y, const struct tensor *x,
                  const struct tensor *w, const struct tensor *b, float eps);

struct groupnorm_opts {
    int groups; /* C % groups == 0; a group is C / groups neighbouring channels */
    float eps;
    enum act act;
};
/* x [B,...,C] -> y = act((x + e - mean) / sqrt(var + eps) * w[C] + b[C]); mean and biased variance
 * over a group of one of the B. e [B,C] is added everywhere first (a time embedding), or NULL.
 * torch.nn.GroupNorm, channels last. */
void op_groupnorm(struct backend *be, struct tensor *y, const struct tensor *x,
                  const struct tensor *e, const struct tensor *w, const struct tensor *b,
                  const struct groupnorm_opts *o);

/* Over the last dim: y = x / max(||x||_2, eps). torch.nn.functional.normalize. */
void op_l2norm(struct backend *be, struct tensor *y, const struct tensor *x, float eps);

/* Over the last dim, max-subtracted; scale multiplies x first. */
void op_softmax(struct backend *be, struct tensor *y, const struct tensor *x, float scale);

/* y = act(x), elementwise. */
void op_act(struct backend *be, struct tensor *y, const struct tensor *x, enum act act);

/* y = x + r. r has x's shape, or is broadcast over x's leading dims ([D] or [T,D]). */
void op_add(struct backend *be, struct tensor *y, const struct tensor *x, const struct tensor *r);
/* y = x * r, broadcast as op_add. */
void op_mul(struct backend *be, struct tensor *y, const struct tensor *x, const struct tensor *r);
/* y = x * s. */
void op_scale(struct backend *be, struct tensor *y, const struct tensor *x, float s);

/* y[n, D] = table[ids[n], :], dequantised; ids i32, asserted to be inside. */
void op_embedding(struct backend *be, struct tensor *y, const struct tensor *table,
                  const struct tensor *ids);

struct attn_opts {
    int heads;             /* D % heads == 0 */
    float scale;           /* positive; 0 = 1/sqrt(D/heads) */
    bool causal;           /* query t sees keys 0..t */
    const int32_t *kv_len; /* [B] keys that count in each sequence, or NULL = all Tk */
    /* Floats from one token to the next; 0 = D. In a fused [B,T,3D] qkv it is 3D. */
    int64_t ld_q, ld_k, ld_v;
};
/* Multi-head attention: q [B,Tq,D], k [B,Tk,D], v [B,Tk,D] -> y [B,Tq,D]; the heads are slices of
 * D, as torch.nn.functional.scaled_dot_product_attention after its reshape. Online softmax; the
 * score matrix is never written whole. y must not overlap the inputs. When a leading stride is
 * given, dim describes the logical shape and data the first element. */
void op_attention(struct backend *be, struct tensor *y, const struct tensor *q,
                  const struct tensor *k, const struct tensor *v, const struct attn_opts *o);

struct conv_opts {
    int stride;
    int pad_top, pad_left, pad_bottom, pad_right; /* zeros; TensorFlow's SAME is asymmetric */
    enum act act;
    bool circular; /* not zeros but the opposite edge: torch's padding_mode; conv2d alone */
};
/* x [B,H,W,C] -> y [B,Ho,Wo,O], w [O,kh,kw,C], b [O] or NULL. Not in place. torch conv2d, channels
 * last. */
void op_conv2d(struct backend *be, struct tensor *y, const struct tensor *x, const struct tensor *w,
               const struct tensor *b, const struct conv_opts *o);
/* Depthwise: x [B,H,W,C] -> y [B,Ho,Wo,C], w f32 [kh,kw,C], b [C] or NULL. Not in place. */
void op_depthwise(struct backend *be, struct tensor *y, const struct tensor *x,
                  const struct tensor *w, const struct tensor *b, const struct conv_opts *o);

/* A block of EfficientNet-Lite: y [B,Ho,Wo,N] = project(dw(expand(x [B,H,W,K]))) + r, expand and
 * project by 1x1 to and from C channels, ReLU6 behind the first two; o.act is not looked at.
 * Without expand x is what dw reads, K = C. The map of C channels lies nowhere whole. In int8:
 * expand as op_linear; what dw gives, 0 to 6, becomes bytes of 6 / 255 each; products with
 * project's weights are exact. r [B,Ho,Wo,N] or NULL; y may be r, not x. False: this backend has no
 * better way than the three ops, and did nothing. */
struct mbconv_weights {
    const struct tensor *expand, *expand_b;   /* [C,K], [C]; or both NULL */
    const struct tensor *dw, *dw_b;           /* [kh,kw,C] f32, [C] */
    const struct tensor *project, *project_b; /* [N,C], [N] */
};
bool op_mbconv(struct backend *be, struct tensor *y, const struct tensor *x,
               const struct mbconv_weights *w, const struct conv_opts *o, const struct tensor *r);

/* Mean over dim 1 of x [B,T,D] -> y [B,D]; len [B] counts tokens, or NULL = all T. */
void op_mean_tokens(struct backend *be, struct tensor *y, const struct tensor *x,
                    const int32_t *len);

/* The rows of v [N,D] (f32 or f16) nearest to each row of q [M,D]: score [M,K] = the largest of
 * sum_j q[m,j] v[n,j], best first and of equal ones the first row first, NaN behind all; row [M,K]
 * f32 = their numbers. keep: the host's, bit n % 8 of byte n / 8 set where row n counts; NULL = all
 * do. What fewer rows than K leave open has row -1 and score NaN. 1 <= K <= 1024, K <= N < 2^24,
 * D <= 3072. torch.topk(q @ v.T, K). */
void op_nearest(struct backend *be, struct tensor *score, struct tensor *row,
                const struct tensor *q, const struct tensor *v, const uint8_t *keep);

/* u8 picture(s) x [B,H,W,3] -> y [B,H,W,3] f32 = (x * alpha - mean[c]) / std[c]. */
void op_normalize_u8(struct backend *be, struct tensor *y, const struct tensor *x, float alpha,
                     const float mean[3], const float std[3]);
/* y [B, (H/p)*(W/p), 3*p*p] from x f32 [B,H,W,3]: each patch flattened in (c, py, px) order, so
 * that a ViT's conv1 weight [D,3,p,p] is used as a [D, 3*p*p] matrix unchanged. */
void op_patchify(struct backend *be, struct tensor *y, const struct tensor *x, int p);

/* y [B,2H,2W,C] from x [B,H,W,C]: each pixel four times; y may lack the last row, the last column
 * or both. Not in place. torch's interpolate, nearest, to y's size. */
void op_upsample2x(struct backend *be, struct tensor *y, const struct tensor *x);
/* y [...,A+B]: a's rows [...,A], each followed by b's [...,B]. Not in place. torch.cat over
 * channels. */
void op_concat(struct backend *be, struct tensor *y, const struct tensor *a,
               const struct tensor *b);

/* Copies and converts x to y's dtype (to f32 from any weight type; f32 -> f16, bf16). */
void op_convert(struct backend *be, struct tensor *y, const struct tensor *x);

#endif
