/* Activations, the definition: in double, rounded once. */
#include "nn/cpu/act.h"
#include <math.h>

float act_scalar_ref(float f, enum act act)
{
    double x = f;
    switch (act) {
    case ACT_GELU:
        return (float)(0.5 * x * erfc(-x * 0.70710678118654752440));
    case ACT_GELU_TANH:
        return (float)(0.5 * x * (1.0 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))));
    case ACT_QUICK_GELU:
        return (float)(x / (1.0 + exp(-1.702 * x)));
    case ACT_SILU:
        return (float)(x / (1.0 + exp(-x)));
    case ACT_RELU:
        return f > 0 ? f : 0.0f;
    case ACT_RELU6:
        return f > 6 ? 6.0f : f > 0 ? f : 0.0f;
    case ACT_TANH:
        return (float)tanh(x);
    case ACT_SIGMOID:
        return (float)(1.0 / (1.0 + exp(-x)));
    case ACT_NONE:
    case ACT_COUNT:
        break;
    }
    return f;
}

void act_ref(float *y, const float *x, int64_t n, enum act act)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = act_scalar_ref(x[i], act);
}
