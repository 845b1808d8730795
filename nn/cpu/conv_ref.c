/* Depthwise convolution, the definition: sums in double. (The dense convolution needs no reference
 * of its own: it is im2col, shared by all versions, and the reference product.) */
#include "nn/cpu/act.h"
#include "nn/cpu/conv.h"

void dw_row_ref(const struct dw_args *a)
{
    for (int j = 0; j < a->wo; j++) {
        for (int ch = 0; ch < a->c; ch++) {
            double sum = a->b ? a->b[ch] : 0;
            for (int ky = 0; ky < a->kh; ky++) {
                for (int kx = 0; kx < a->kw; kx++) {
                    int col = j * a->stride - a->pad_left + kx;
                    if (a->row[ky] && col >= 0 && col < a->width)
                        sum += (double)a->row[ky][col * a->c + ch] *
                               a->w[(ky * a->kw + kx) * a->c + ch];
                }
            }
            a->y[j * a->c + ch] = act_scalar_ref((float)sum, a->act);
        }
    }
}
