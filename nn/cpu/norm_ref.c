/* Row norms and softmax, the definition: sums in double, so that what a test finds is the error of
 * the other version. */
#include "nn/cpu/norm.h"
#include <math.h>

void layernorm_ref(float *y, const float *x, const float *w, const float *b, float eps,
                   int64_t rows, int64_t d)
{
    for (int64_t i = 0; i < rows; i++, x += d, y += d) {
        double mean = 0, var = 0;
        for (int64_t j = 0; j < d; j++)
            mean += x[j];
        mean /= (double)d;
        for (int64_t j = 0; j < d; j++)
            var += (x[j] - mean) * (x[j] - mean);
        double inv = 1.0 / sqrt(var / (double)d + (double)eps);
        for (int64_t j = 0; j < d; j++)
            y[j] = (float)((x[j] - mean) * inv * w[j] + (b ? b[j] : 0.0f));
    }
}

void l2norm_ref(float *y, const float *x, float eps, int64_t rows, int64_t d)
{
    for (int64_t i = 0; i < rows; i++, x += d, y += d) {
        double sum = 0;
        for (int64_t j = 0; j < d; j++)
            sum += (double)x[j] * x[j];
        double norm = fmax(sqrt(sum), (double)eps);
        for (int64_t j = 0; j < d; j++)
            y[j] = (float)(x[j] / norm);
    }
}

void softmax_ref(float *y, const float *x, float scale, int64_t rows, int64_t d)
{
    for (int64_t i = 0; i < rows; i++, x += d, y += d) {
        double max = -INFINITY, sum = 0;
        for (int64_t j = 0; j < d; j++)
            max = fmax(max, (double)x[j] * scale);
        for (int64_t j = 0; j < d; j++)
            sum += exp((double)x[j] * scale - max);
        for (int64_t j = 0; j < d; j++)
            y[j] = (float)(exp((double)x[j] * scale - max) / sum);
    }
}
