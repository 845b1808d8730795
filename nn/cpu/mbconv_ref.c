/* A block in int8, the definition: product, depthwise convolution, bytes, product. */
#include "core/mem.h"
#include "nn/cpu/act.h"
#include "nn/cpu/conv.h"
#include "nn/cpu/mbconv.h"
#include <math.h>
#include <string.h>

/* All of a picture's pixels, and room for its turned map; or NULL after backend_fail. */
static float *expand(struct cpu *c, const struct mbconv_args *a, const float *x)
{
    size_t wide = (size_t)(a->h * a->w * a->c), narrow = (size_t)(a->ho * a->wo * a->c);
    float *grown = cpu_scratch(c, SCRATCH_PATCHES, wide + narrow);
    const struct mbconv_weights *w = a->weights;
    if (!w->expand) {
        if (grown)
            memcpy(grown, x, wide * sizeof *x);
        return grown;
    }
    struct linear_args p = {.m = a->h * a->w,
                            .n = a->c,
                            .k = a->k,
                            .x = x,
                            .ldx = a->k,
                            .w = w->expand,
                            .b = w->expand_b->data,
                            .act = ACT_RELU6,
                            .y = grown,
                            .ldy = a->c};
    if (grown)
        linear_low_ref(c, &p, PREC_INT8);
    return grown;
}

static void turn(const struct mbconv_args *a, float *turned, const float *grown)
{
    const struct tensor *w = a->weights->dw;
    struct dw_args d = {.w = w->data,
                        .b = a->weights->dw_b->data,
                        .kh = (int)w->dim[0],
                        .kw = (int)w->dim[1],
                        .c = (int)a->c,
                        .width = (int)a->w,
                        .wo = (int)a->wo,
                        .stride = a->o->stride,
                        .pad_left = a->o->pad_left,
                        .act = ACT_RELU6};
    for (int64_t i = 0; i < a->ho; i++) {
        int64_t top = i * a->o->stride - a->o->pad_top;
        for (int ky = 0; ky < d.kh; ky++)
            d.row[ky] = top + ky >= 0 && top + ky < a->h ? grown + (top + ky) * a->w * a->c : NULL;
        d.y = turned + i * a->wo * a->c;
        dw_row_ref(&d);
    }
}

/* Weight i of row j in 8 bits, and the row's scale. */
static float project_row(struct cpu *c, const struct mbconv_args *a, int64_t j, int8_t *q)
{
    const struct tensor *w = a->weights->project;
    if (w->dtype == DT_I8) {
        memcpy(q, weight_row(w, j, a->c), (size_t)a->c);
        return w->scale[j];
    }
    float *row = cpu_scratch(c, SCRATCH_OP, (size_t)a->c);
    if (!row)
        return 0;
    c->k.widen(row, w->dtype, weight_row(w, j, a->c), 0, a->c, weight_scale(w, j));
    return low_row_ref((unsigned char *)q, PREC_INT8, row, a->c, 0);
}

static void project(struct cpu *c, const struct mbconv_args *a, int64_t image, const float *turned,
                    int8_t *q)
{
    const float *bias = a->weights->project_b->data;
    int64_t pixels = a->ho * a->wo, first = image * pixels;
    for (int64_t j = 0; j < a->n; j++) {
        float scale = project_row(c, a, j, q);
        for (int64_t i = 0; i < pixels; i++) {
            int64_t sum = 0, at = (first + i) * a->n + j;
            for (int64_t ch = 0; ch < a->c; ch++)
                sum += (int64_t)rintf(turned[i * a->c + ch] * MB_STEPS) * q[ch];
            float v = (float)((double)sum * (double)(1 / MB_STEPS * scale) + bias[j]);
            a->y[at] = v + (a->r ? a->r[at] : 0.0f);
        }
    }
}

void mbconv_ref(struct cpu *c, const struct mbconv_args *a)
{
    int8_t *q = mem_alloc((size_t)low_units(PREC_INT8, a->c) * LOW_UNIT);
    if (!q)
        backend_fail(&c->base, ST_NOMEM, "out of memory for a row of weights");
    for (int64_t i = 0; q && i < a->batch; i++) {
        float *grown = expand(c, a, a->x + i * a->h * a->w * a->k);
        if (!grown)
            break;
        float *turned = grown + a->h * a->w * a->c;
        turn(a, turned, grown);
        project(c, a, i, turned, q);
    }
    mem_free(q);
}
