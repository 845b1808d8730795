/* Attention over the pool: a piece is a block of queries of one head of one sequence. */
#include "nn/cpu/attn.h"
#include "core/mem.h"
#include <assert.h>
#include <math.h>

struct attn_ctx {
    void (*kernel)(const struct attn_args *a);
    const struct attn_opts *o;
    const float *q, *k, *v;
    float *y, *scratch;
    size_t scratch_each;
    int64_t tq, tk, d, ld_q, ld_k, ld_v;
    int64_t blocks, block; /* of queries: how many, and how many in one */
    float scale;
};

static void attn_piece(void *ctx, int64_t i0, int64_t i1, int thread)
{
    const struct attn_ctx *s = ctx;
    int64_t dh = s->d / s->o->heads;
    for (int64_t i = i0; i < i1; i++) {
        int64_t q0 = i % s->blocks * s->block, head = i / s->blocks % s->o->heads;
        int64_t b = i / s->blocks / s->o->heads;
        int64_t tk = s->o->kv_len ? s->o->kv_len[b] : s->tk;
        assert(tk >= 0 && tk <= s->tk);
        struct attn_args a = {
            .q = s->q + (b * s->tq + q0) * s->ld_q + head * dh,
            .k = s->k + b * s->tk * s->ld_k + head * dh,
            .v = s->v + b * s->tk * s->ld_v + head * dh,
            .y = s->y + (b * s->tq + q0) * s->d + head * dh,
            .ld_q = s->ld_q,
            .ld_k = s->ld_k,
            .ld_v = s->ld_v,
            .ld_y = s->d,
            .tq = (int)min_i64(s->block, s->tq - q0),
            .tk = (int)tk,
            .dh = (int)dh,
            .q0 = (int)q0,
            .causal = s->o->causal,
            .scale = s->scale,
            .scratch = s->scratch + s->scratch_each * (size_t)thread,
        };
        s->kernel(&a);
    }
}

void cpu_attention(struct backend *be, struct tensor *y, const struct tensor *q,
                   const struct tensor *k, const struct tensor *v, const struct attn_opts *o)
{
    struct cpu *c = (struct cpu *)be;
    int64_t d = q->dim[2], dh = d / o->heads;
    assert(k->dim[1] < INT32_MAX / 2 && q->dim[1] < INT32_MAX / 2);
    struct attn_ctx s = {
        .kernel = c->base.precision == PREC_F32 ? c->k.attn : c->k.attn_bf16,
        .o = o,
        .q = q->data,
        .k = k->data,
        .v = v->data,
        .y = y->data,
        .tq = q->dim[1],
        .tk = k->dim[1],
        .d = d,
        .ld_q = o->ld_q ? o->ld_q : d,
        .ld_k = o->ld_k ? o->ld_k : d,
        .ld_v = o->ld_v ? o->ld_v : d,
        .blocks = (q->dim[1] + ATTN_QUERIES - 1) / ATTN_QUERIES,
        .scale = o->scale != 0.0f ? o->scale : (float)(1.0 / sqrt((double)dh)),
    };
    if (s.blocks == 0)
        return;
    s.block = (s.tq + s.blocks - 1) / s.blocks;
    s.scratch_each = pad16(attn_scratch((int)s.tk, (int)dh));
    s.scratch = cpu_scratch(c, SCRATCH_OP, s.scratch_each * (size_t)pool_threads(be->pool));
    if (s.scratch)
        cpu_split(c, q->dim[0] * o->heads * s.blocks, 1, attn_piece, &s);
}

/* A row of scores for the reference; else packed keys and values, scores of a strip (of at most 16
 * queries), sums, and two values a query. */
size_t attn_scratch(int tk, int dh)
{
    size_t width = ((size_t)dh + 31) / 32 * 32;
    size_t blocks = ATTN_KEYS * ((size_t)dh + width + 16) + ATTN_QUERIES * (width + 2);
    return blocks > (size_t)tk ? blocks : (size_t)tk;
}

void cpu_fill_attn(struct cpu_kernels *k, enum cpu_level level)
{
    k->attn = attn_ref;
    k->attn_bf16 = attn_bf16_ref;
    if (level >= CPU_AVX2)
        k->attn = attn_avx2;
    if (level >= CPU_AVX512)
        k->attn = attn_avx512;
    if (level >= CPU_AVX512VNNI)
        k->attn_bf16 = attn_bf16_vnni;
}
