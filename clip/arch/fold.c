/* Folding in double, since the sums of a few dozen kernels are read as one. */
#include "clip/arch/fold.h"
#include "core/mem.h"
#include <math.h>

#define EPS 1e-5 /* of torch.nn.BatchNorm2d */

#define HAS(...) clip_load_has(l, "%s", clip_part_name(v, __VA_ARGS__).s)
#define SMALL(ndim, dims, ...)                                                                     \
    clip_load_small(l, ndim, dims, "%s", clip_part_name(v, __VA_ARGS__).s)

struct clip_part clip_part_name(const struct clip_parts *p, const char *fmt, ...)
{
    struct clip_part n, full;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(n.s, sizeof n.s, fmt, ap);
    va_end(ap);
    if (p->rename)
        p->rename(&n);
    snprintf(full.s, sizeof full.s, "%s%.160s", p->stem, n.s);
    return full;
}

static bool begin(struct clip_fold *f, struct clip_loader *l)
{
    size_t n = 0;
    if (l->status)
        return false;
    if (mul_overflow_size((size_t)(f->out * f->in), (size_t)(f->high * f->kernel), &n) ||
        !(f->w = mem_zarray(n, sizeof *f->w)) ||
        !(f->b = mem_zarray((size_t)f->out, sizeof *f->b))) {
        l->status = error_set(l->err, ST_NOMEM, "%s: out of memory", l->src->path);
        return false;
    }
    return true;
}

bool clip_fold_begin(struct clip_fold *f, struct clip_loader *l, int64_t out, int64_t in,
                     int kernel)
{
    *f = (struct clip_fold){.out = out, .in = in, .high = kernel, .kernel = kernel};
    return begin(f, l);
}

bool clip_fold_begin_row(struct clip_fold *f, struct clip_loader *l, int64_t out, int64_t in,
                         int kernel)
{
    *f = (struct clip_fold){.out = out, .in = in, .high = 1, .kernel = kernel};
    return begin(f, l);
}

void clip_fold_end(struct clip_fold *f)
{
    mem_free(f->w);
    mem_free(f->b);
    *f = (struct clip_fold){0};
}

/* y = x * scale + shift, as a batch norm does it when it has learned. */
bool clip_fold_norm(struct clip_loader *l, const struct clip_parts *v, const char *name, int64_t n,
                    double *scale, double *shift)
{
    struct tensor g = SMALL(1, &n, "%s.weight", name), b = SMALL(1, &n, "%s.bias", name);
    struct tensor mean = SMALL(1, &n, "%s.running_mean", name);
    struct tensor var = SMALL(1, &n, "%s.running_var", name);
    for (int64_t i = 0; i < n && !l->status; i++) {
        double root = sqrt((double)((float *)var.data)[i] + EPS);
        if (!(root > 0.0))
            l->status = error_set(l->err, ST_FORMAT, "%s: %s.running_var holds %g", l->src->path,
                                  clip_part_name(v, "%s", name).s, (double)((float *)var.data)[i]);
        scale[i] = (double)((float *)g.data)[i] / root;
        shift[i] = (double)((float *)b.data)[i] - (double)((float *)mean.data)[i] * scale[i];
    }
    return !l->status;
}

/* A convolution of this kernel, no larger than f's and about the same middle, and its batch norm;
 * conv NULL: the norm alone, which is a kernel of one 1. */
void clip_fold_branch(struct clip_fold *f, struct clip_loader *l, const struct clip_parts *v,
                      const char *conv, const char *norm, int kernel)
{
    int high = f->high == 1 ? 1 : kernel;
    int64_t area = (int64_t)high * kernel, all = (int64_t)f->high * f->kernel;
    int down = (f->high - high) / 2, right = (f->kernel - kernel) / 2;
    double *scale = mem_array(2 * (size_t)f->out, sizeof *scale);
    if (!scale && !l->status)
        l->status = error_set(l->err, ST_NOMEM, "%s: out of memory", l->src->path);
    struct tensor w = {0};
    if (conv)
        w = SMALL(4, ((int64_t[]){f->out, f->in, high, kernel}), "%s.weight", conv);
    if (l->status || !clip_fold_norm(l, v, norm, f->out, scale, scale + f->out)) {
        mem_free(scale);
        return;
    }
    for (int64_t o = 0; o < f->out; o++) {
        f->b[o] += scale[f->out + o];
        for (int64_t i = 0; i < f->in; i++)
            for (int64_t p = 0; p < area; p++) {
                int64_t at = (p / kernel + down) * f->kernel + p % kernel + right;
                double x = conv ? (double)((float *)w.data)[(o * f->in + i) * area + p]
                                : (double)(i == o % f->in);
                f->w[(o * f->in + i) * all + at] += x * scale[o];
            }
    }
    mem_free(scale);
}

/* A kernel that was folded before it was saved, or is just a convolution. */
void clip_fold_plain(struct clip_fold *f, struct clip_loader *l, const struct clip_parts *v,
                     const char *name)
{
    int64_t n = f->out * f->in * f->high * f->kernel;
    struct tensor w = SMALL(4, ((int64_t[]){f->out, f->in, f->high, f->kernel}), "%s.weight", name);
    struct tensor b = SMALL(1, &f->out, "%s.bias", name);
    for (int64_t i = 0; i < n && !l->status; i++)
        f->w[i] += (double)((float *)w.data)[i];
    for (int64_t i = 0; i < f->out && !l->status; i++)
        f->b[i] += (double)((float *)b.data)[i];
}

void clip_fold_skip(struct clip_fold *f)
{
    int64_t area = (int64_t)f->high * f->kernel;
    for (int64_t o = 0; o < f->out; o++)
        f->w[(o * f->in + o % f->in) * area + area / 2] += 1.0;
}

void clip_fold_mobileone(struct clip_fold *f, struct clip_loader *l, const struct clip_parts *v,
                         const char *name, bool skip)
{
    struct clip_part a, b;
    int convs = 0;
    snprintf(a.s, sizeof a.s, "%.150s.reparam_conv", name);
    if (HAS("%s.weight", a.s)) {
        clip_fold_plain(f, l, v, a.s);
        return;
    }
    for (; convs < 16; convs++) {
        snprintf(a.s, sizeof a.s, "%.150s.conv_kxk.%d.conv", name, convs);
        snprintf(b.s, sizeof b.s, "%.150s.conv_kxk.%d.bn", name, convs);
        if (!HAS("%s.weight", a.s))
            break;
        clip_fold_branch(f, l, v, a.s, b.s, f->kernel);
    }
    snprintf(a.s, sizeof a.s, "%.150s.conv_scale.conv", name);
    bool scaled = HAS("%s.weight", a.s);
    if (!convs && (scaled || !skip)) { /* says what is missing */
        snprintf(a.s, sizeof a.s, "%.150s.conv_kxk.0.conv", name);
        SMALL(4, ((int64_t[]){f->out, f->in, f->high, f->kernel}), "%s.weight", a.s);
    }
    snprintf(b.s, sizeof b.s, "%.150s.conv_scale.bn", name);
    if (scaled)
        clip_fold_branch(f, l, v, a.s, b.s, 1);
    snprintf(b.s, sizeof b.s, "%.150s.identity", name);
    if (skip)
        clip_fold_branch(f, l, v, NULL, b.s, 1);
}

float *clip_fold_take(struct clip_loader *l, int64_t n)
{
    float *p = l->status ? NULL : arena_array(&l->m->arena, (size_t)n, sizeof *p);
    if (!p && !l->status)
        l->status = error_set(l->err, ST_NOMEM, "%s: out of memory", l->src->path);
    return p;
}

/* The channel that stands at place p where halves lie one behind the other. */
int64_t clip_fold_channel(int64_t p, int64_t n, int halves)
{
    int64_t half = n / halves;
    return p % half * halves + p / half;
}

/* [O,k,k,C], of 1x1 [O,C]; its input's channels lie in halves. */
struct clip_linear clip_fold_dense(struct clip_fold *f, struct clip_loader *l, int halves)
{
    struct clip_linear y = {0};
    int64_t area = (int64_t)f->kernel * f->kernel;
    float *w = clip_fold_take(l, f->out * f->in * area), *b = clip_fold_take(l, f->out);
    for (int64_t o = 0; o < f->out && !l->status; o++) {
        b[o] = (float)f->b[o];
        for (int64_t i = 0; i < f->in; i++)
            for (int64_t p = 0; p < area; p++)
                w[(o * area + p) * f->in + i] =
                    (float)f->w[(o * f->in + clip_fold_channel(i, f->in, halves)) * area + p];
    }
    if (!l->status) {
        y.w = f->kernel == 1
                  ? tensor_view(w, DT_F32, 2, (int64_t[]){f->out, f->in})
                  : tensor_view(w, DT_F32, 4, (int64_t[]){f->out, f->kernel, f->kernel, f->in});
        y.b = tensor_view(b, DT_F32, 1, &f->out);
        y.w.use = TENSOR_WEIGHT;
        y.w.packs = y.b.packs = l->m->packs;
    }
    clip_fold_end(f);
    return y;
}
