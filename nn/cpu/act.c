/* Activations over the pool, by pieces of the flat array. */
#include "nn/cpu/act.h"

enum { GRAIN = 16384 };

struct act_ctx {
    const struct cpu_kernels *k;
    float *y;
    const float *x;
    enum act act;
};

static void act_piece(void *ctx, int64_t i0, int64_t i1, int thread)
{
    (void)thread;
    const struct act_ctx *a = ctx;
    a->k->act(a->y + i0, a->x + i0, i1 - i0, a->act);
}

void cpu_act(struct backend *be, struct tensor *y, const struct tensor *x, enum act act)
{
    struct cpu *c = (struct cpu *)be;
    struct act_ctx a = {&c->k, y->data, x->data, act};
    cpu_split(c, tensor_count(x), GRAIN, act_piece, &a);
}

void cpu_fill_act(struct cpu_kernels *k, enum cpu_level level)
{
    k->act = act_ref;
    if (level >= CPU_AVX2) {
        k->act = act_avx2;
    }
    if (level >= CPU_AVX512) {
        k->act = act_avx512;
    }
}
