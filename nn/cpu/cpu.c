/* The CPU backend: which kernels, which threads, which scratch. "cpu" is the best level of the
 * machine; "cpu:blas" is the same with OpenBLAS for the products, for comparison, and what "cpu"
 * means on a processor without AVX2, where our own product has only its slow reference. */
#include "core/mem.h"
#include "nn/cpu/cpu_int.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct op_table cpu_ops = {
    .linear = cpu_linear,
    .matmul = cpu_matmul,
    .layernorm = cpu_layernorm,
    .groupnorm = cpu_groupnorm,
    .l2norm = cpu_l2norm,
    .softmax = cpu_softmax,
    .act = cpu_act,
    .add = cpu_add,
    .mul = cpu_mul,
    .scale = cpu_scale,
    .embedding = cpu_embedding,
    .attention = cpu_attention,
    .conv2d = cpu_conv2d,
    .depthwise = cpu_depthwise,
    .mbconv = cpu_mbconv,
    .mean_tokens = cpu_mean_tokens,
    .nearest = cpu_nearest,
    .normalize_u8 = cpu_normalize_u8,
    .patchify = cpu_patchify,
    .upsample2x = cpu_upsample2x,
    .concat = cpu_concat,
    .convert = cpu_convert,
};

/* The machine's level, lowered by EIDETIC_CPU; -1 when that names no level. */
static int level_limit(void)
{
    int max = (int)cpu_level_max();
    const char *env = getenv("EIDETIC_CPU");
    if (!env || !*env)
        return max;
    int level = cpu_level_parse(env);
    return level < 0 ? -1 : min_int(level, max);
}

static void cpu_close(struct backend *be)
{
    struct cpu *c = (struct cpu *)be;
    pool_free(be->pool);
    for (int i = 0; i < SCRATCH_COUNT; i++)
        mem_free(c->scratch[i]);
    mem_free(c);
}

static enum status choose_level(enum cpu_level *level, bool *blas, const char *variant,
                                struct error *err)
{
    int limit = level_limit();
    *blas = variant ? strcmp(variant, "blas") == 0 : limit == CPU_REF;
    if (limit < 0)
        return error_set(err, ST_USAGE, "EIDETIC_CPU=%.40s: no such processor level",
                         getenv("EIDETIC_CPU"));
    int want = variant && !*blas ? cpu_level_parse(variant) : limit;
    if (want < 0)
        return error_set(err, ST_USAGE, "cpu:%.40s: no such processor level", variant);
    if (want > limit)
        return error_set(err, ST_UNSUPPORTED, "cpu:%s: this processor goes up to %s", variant,
                         cpu_level_name((enum cpu_level)limit));
    *level = (enum cpu_level)want;
    return ST_OK;
}

static enum status cpu_open(struct backend **be, const char *variant, enum precision precision,
                            int threads, struct error *err)
{
    enum cpu_level level = CPU_REF;
    bool blas;
    enum status st = choose_level(&level, &blas, variant, err);
    if (st != ST_OK)
        return st;
    if (precision == PREC_F16)
        return error_set(err, ST_UNSUPPORTED, "arithmetic in f16 is for graphics cards alone");
    if (precision != PREC_F32 && (blas || (level != CPU_REF && level < CPU_AVX512VNNI)))
        return error_set(err, ST_UNSUPPORTED, "cpu:%s has no arithmetic in %s",
                         blas ? "blas" : cpu_level_name(level), precision_name(precision));
    struct cpu *c = mem_zalloc(sizeof *c);
    if (!c)
        return error_set(err, ST_NOMEM, "out of memory for the cpu backend");
    if (threads < 1)
        threads = cpu_count();
    if (threads > 1 && !(c->base.pool = pool_new(threads))) {
        mem_free(c);
        return error_set(err, ST_NOMEM, "cannot start %d threads", threads);
    }
    c->base.ops = &cpu_ops;
    c->base.precision = precision;
    snprintf(c->base.name, sizeof c->base.name, "cpu:%s%s%s", blas ? "blas" : cpu_level_name(level),
             precision == PREC_F32 ? "" : "/",
             precision == PREC_F32 ? "" : precision_name(precision));
    cpu_fill_gemm(&c->k, level, blas);
    cpu_fill_norm(&c->k, level);
    cpu_fill_gnorm(&c->k, level);
    cpu_fill_act(&c->k, level);
    cpu_fill_elem(&c->k, level);
    cpu_fill_attn(&c->k, level);
    cpu_fill_conv(&c->k, level);
    cpu_fill_mbconv(&c->k, level);
    *be = &c->base;
    return ST_OK;
}

static int cpu_names(const char **out, int max)
{
    static const char *const all[] = {"cpu",      "cpu:ref",    "cpu:blas",
                                      "cpu:avx2", "cpu:avx512", "cpu:avx512vnni"};
    int limit = level_limit();
    int n = min_int(max, (limit < 0 ? (int)cpu_level_max() : limit) + 3), i = 0;
    for (; i < n; i++)
        out[i] = all[i];
    return i;
}

const struct backend_kind backend_cpu = {
    .prefix = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .names = cpu_names,
};

float *cpu_scratch(struct cpu *c, enum scratch which, size_t n)
{
    if (n <= c->scratch_floats[which] && c->scratch[which])
        return c->scratch[which];
    size_t bytes;
    float *p = mul_overflow_size(n + 16, sizeof *p, &bytes) ? NULL : mem_aligned(bytes, 64);
    if (!p) {
        backend_fail(&c->base, ST_NOMEM, "out of memory (%zu values of scratch)", n);
        return NULL;
    }
    mem_free(c->scratch[which]);
    c->scratch[which] = p;
    c->scratch_floats[which] = n;
    return p;
}

struct split {
    int64_t n, grain;
    void (*body)(void *ctx, int64_t i0, int64_t i1, int thread);
    void *ctx;
};

static void split_body(void *ctx, int i, int thread)
{
    struct split *s = ctx;
    int64_t i0 = i * s->grain;
    s->body(s->ctx, i0, min_i64(i0 + s->grain, s->n), thread);
}

void cpu_split(struct cpu *c, int64_t n, int64_t grain,
               void (*body)(void *ctx, int64_t i0, int64_t i1, int thread), void *ctx)
{
    struct split s = {n, grain < 1 ? 1 : grain, body, ctx};
    int64_t pieces = (n + s.grain - 1) / s.grain;
    assert(pieces <= INT32_MAX);
    pool_for(c->base.pool, (int)pieces, split_body, &s);
}

const void *weight_row(const struct tensor *w, int64_t i, int64_t k)
{
    size_t bytes = 0;
    bool ok = dtype_bytes(w->dtype, (size_t)k, &bytes);
    assert(ok);
    (void)ok;
    return (const char *)w->data + (size_t)i * bytes;
}
