/* Group norm's two passes, the definition: sums in double. */
#include "nn/cpu/act.h"
#include "nn/cpu/gnorm.h"

void gnorm_sums_ref(double *sum, double *square, const float *x, int64_t rows, int64_t c)
{
    for (int64_t j = 0; j < c; j++) {
        sum[j] = square[j] = 0;
        for (int64_t i = 0; i < rows; i++) {
            double d = (double)x[i * c + j] - x[j];
            sum[j] += d;
            square[j] += d * d;
        }
    }
}

void gnorm_apply_ref(float *y, const float *x, const float *scale, const float *shift, int64_t rows,
                     int64_t c, enum act act)
{
    for (int64_t i = 0; i < rows; i++, x += c, y += c)
        for (int64_t j = 0; j < c; j++)
            y[j] = act_scalar_ref((float)((double)x[j] * scale[j] + shift[j]), act);
}
