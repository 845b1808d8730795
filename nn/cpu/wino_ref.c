/* Winograd's convolution in bf16, the definition. (In f32 it has none of its own: it is the direct
 * sum's, which all versions are tested against.) */
#include "nn/cpu/act.h"
#include "nn/cpu/wino.h"

/* B^T d along one side, four values `step` apart. */
static void in4(float *d, int step)
{
    float first = d[0], second = d[step], third = d[2 * step];
    d[0] = first - third;
    d[step] = second + third;
    d[2 * step] = third - second;
    d[3 * step] = second - d[3 * step];
}

static double out4(const double *m, int step, int which)
{
    return which ? m[step] - m[2 * step] - m[3 * step] : m[0] + m[step] + m[2 * step];
}

void wino_low_ref(const struct wino_args *a, const struct wino_part *part, float *scratch)
{
    for (int64_t t = part->t0; t < part->t1; t++) {
        const float *p[WINO_PLACES];
        const float *u = (const float *)a->panels + part->n0 * WINO_PLACES * a->c;
        wino_patch(a, t, p);
        for (int64_t ch = 0; ch < a->c; ch++) {
            float d[WINO_PLACES];
            for (int i = 0; i < WINO_PLACES; i++)
                d[i] = p[i][ch];
            for (int i = 0; i < WINO_SIDE; i++)
                in4(d + i, WINO_SIDE);
            for (int i = 0; i < WINO_SIDE; i++)
                in4(d + i * WINO_SIDE, 1);
            for (int i = 0; i < WINO_PLACES; i++)
                scratch[i * a->c + ch] = bf16_to_f32(f32_to_bf16(d[i]));
        }
        for (int64_t n = part->n0; n < part->n1; n++, u += WINO_PLACES * a->c) {
            double m[WINO_PLACES] = {0}, half[8];
            for (int64_t i = 0; i < WINO_PLACES * a->c; i++)
                m[i / a->c] += (double)scratch[i] * u[i];
            for (int i = 0; i < 8; i++)
                half[i] = out4(m + i % 4, WINO_SIDE, i / 4);
            for (int i = 0; i < 4; i++) {
                float *y = wino_output(a, t, i);
                double sum = out4(half + i / 2 * WINO_SIDE, 1, i % 2) + (a->b ? a->b[n] : 0);
                if (y)
                    y[n] = act_scalar_ref((float)sum, a->act);
            }
        }
    }
}
