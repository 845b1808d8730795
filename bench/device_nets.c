/* Stable Diffusion 1.5's UNet and decoder, and the decoder of BLIP base, made of random weights by
 * their shapes alone. A step is what a sampler runs: inputs come up, ops are replayed, its answer
 * goes down. */
#include "bench/device.h"
#include "caption/lm.h"
#include "core/mem.h"
#include "sampler/nets/unet.h"
#include "sampler/nets/vae.h"
#include <stdio.h>
#include <string.h>

struct shape {
    int levels, mult[4], groups, heads, context, tokens, side;
    int64_t width, vae;
};
static const struct shape sd15 = {4, {1, 2, 4, 4}, 32, 8, 768, 77, 64, 320, 128};
static const struct shape tiny = {2, {1, 2, 0, 0}, 4, 2, 24, 5, 6, 16, 8};

/* Weights by shape; `flops` are those of one picture's run over `rows` pixels each. */
struct build {
    struct device *d;
    const struct shape *s;
    double rows, flops;
};

static struct clip_linear linear(struct build *b, double rows, int64_t n, int64_t k)
{
    b->flops += 2 * rows * (double)n * (double)k;
    return (struct clip_linear){device_weight_f16(b->d, 2, (int64_t[]){n, k}),
                                device_weight(b->d, 1, &n)};
}

static struct clip_norm norm(struct build *b, int64_t n)
{
    return (struct clip_norm){device_weight(b->d, 1, &n), device_weight(b->d, 1, &n)};
}

static struct net_conv conv(struct build *b, int64_t out, int64_t in)
{
    b->flops += 18 * b->rows * (double)out * (double)in;
    return (struct net_conv){device_weight_f16(b->d, 4, (int64_t[]){out, 3, 3, in}),
                             device_weight(b->d, 1, &out)};
}

static struct net_resnet resnet(struct build *b, int64_t in, int64_t out, int64_t time)
{
    struct net_resnet r = {.in = in, .out = out};
    r.norm1 = norm(b, in);
    r.conv1 = conv(b, out, in);
    r.norm2 = norm(b, out);
    r.conv2 = conv(b, out, out);
    if (time)
        r.time = linear(b, 1, out, time);
    if (in != out)
        r.shortcut = linear(b, b->rows, out, in);
    return r;
}

static void *array(struct device *d, size_t n, size_t size)
{
    void *p = device_must(arena_array(&d->weights, n, size));
    memset(p, 0, n * size);
    return p;
}

static struct net_transformer transformer(struct build *b, int64_t w)
{
    const struct shape *s = b->s;
    struct net_transformer t = {.depth = 1, .heads = s->heads, .width = w};
    struct net_layer *l = t.layer = array(b->d, 1, sizeof *l);
    struct net_attention *both[] = {&l->self, &l->cross};
    double rows = b->rows;
    t.norm = norm(b, w);
    t.in = linear(b, rows, w, w);
    t.out = linear(b, rows, w, w);
    for (int i = 0; i < 2; i++) {
        double keys = i ? s->tokens : rows;
        both[i]->norm = norm(b, w);
        both[i]->q = linear(b, rows, w, w);
        both[i]->k = linear(b, keys, w, i ? s->context : w);
        both[i]->v = linear(b, keys, w, i ? s->context : w);
        both[i]->o = linear(b, rows, w, w);
        b->flops += 4 * rows * keys * (double)w;
    }
    l->norm = norm(b, w);
    l->value = linear(b, rows, 4 * w, w);
    l->gate = linear(b, rows, 4 * w, w);
    l->out = linear(b, rows, w, 4 * w);
    return t;
}

static struct net_stage stage(struct build *b, int level, int64_t in)
{
    int64_t out = b->s->width * b->s->mult[level];
    struct net_stage y = {.res = resnet(b, in, out, 4 * b->s->width)};
    if (level < b->s->levels - 1)
        y.attn = transformer(b, out);
    return y;
}

static double make_unet(struct device *d, const struct shape *s, struct net_unet *u)
{
    struct build b = {.d = d, .s = s, .rows = (double)s->side * s->side};
    int64_t skip[32], w = s->width;
    int skips = 0, last = s->levels - 1;
    *u = (struct net_unet){.levels = s->levels, .in = 4, .out = 4, .context = s->context};
    u->width = w;
    u->time_width = 4 * w;
    u->norm = (struct net_norm_opts){s->groups, 1e-5f};
    u->time1 = linear(&b, 1, 4 * w, w);
    u->time2 = linear(&b, 1, 4 * w, 4 * w);
    u->conv_in = conv(&b, w, 4);
    skip[skips++] = w;
    for (int i = 0; i < s->levels; i++) {
        struct net_level *v = &u->down[i];
        v->blocks = 2;
        v->block = array(d, 2, sizeof *v->block);
        for (int k = 0; k < 2; k++) {
            v->block[k] = stage(&b, i, w);
            skip[skips++] = w = v->block[k].res.out;
        }
        if (i < last) {
            b.rows /= 4;
            v->resample = conv(&b, w, w);
            skip[skips++] = w;
        }
    }
    u->mid1 = resnet(&b, w, w, u->time_width);
    u->mid_attn = transformer(&b, w);
    u->mid2 = resnet(&b, w, w, u->time_width);
    for (int i = 0; i < s->levels; i++) {
        struct net_level *v = &u->up[i];
        v->blocks = 3;
        v->block = array(d, 3, sizeof *v->block);
        for (int k = 0; k < 3; k++) {
            v->block[k] = stage(&b, last - i, w + skip[--skips]);
            w = v->block[k].res.out;
        }
        if (i < last) {
            b.rows *= 4;
            v->resample = conv(&b, w, w);
        }
    }
    u->norm_out = norm(&b, w);
    u->conv_out = conv(&b, 4, w);
    return b.flops;
}

static double make_decoder(struct device *d, const struct shape *s, struct net_vae *v)
{
    static const int mult[] = {4, 4, 2, 1};
    struct build b = {.d = d, .s = s, .rows = (double)s->side * s->side};
    int64_t w = s->vae * mult[4 - s->levels];
    struct net_vae_half *h = &v->decoder;
    *v = (struct net_vae){.levels = s->levels, .latent = 4, .shrink = 1 << (s->levels - 1)};
    v->norm = (struct net_norm_opts){s->groups, 1e-6f};
    h->there = true;
    h->conv_in = conv(&b, w, 4);
    h->mid1 = resnet(&b, w, w, 0);
    h->attn.norm = norm(&b, w);
    struct clip_linear *all[] = {&h->attn.q, &h->attn.k, &h->attn.v, &h->attn.o};
    for (int i = 0; i < 4; i++)
        *all[i] = linear(&b, b.rows, w, w);
    b.flops += 4 * b.rows * b.rows * (double)w;
    h->mid2 = resnet(&b, w, w, 0);
    for (int i = 0; i < s->levels; i++) {
        struct net_vae_level *l = &h->level[i];
        l->blocks = 3;
        l->block = array(d, 3, sizeof *l->block);
        for (int k = 0; k < 3; k++) {
            l->block[k] = resnet(&b, w, s->vae * mult[4 - s->levels + i], 0);
            w = l->block[k].out;
        }
        if (i < s->levels - 1) {
            b.rows *= 4;
            l->resample = conv(&b, w, w);
        }
    }
    h->norm_out = norm(&b, w);
    h->conv_out = conv(&b, 3, w);
    return b.flops;
}

struct pass {
    struct device *d;
    struct net_unet unet;
    struct net_vae vae;
    struct lm lm;
    struct lm_cache cache;
    struct clip_run run;
    struct error err;
    struct tensor x, y, times, context, picture;
    float *logits;
    char key[64];
    size_t mark;
};

static enum status unet_ops(void *ctx)
{
    struct pass *p = ctx;
    return net_unet_step(&p->run, &p->unet, &p->y, &p->x, &p->times, &p->context, NULL);
}

static enum status decode_ops(void *ctx)
{
    struct pass *p = ctx;
    return net_vae_decode(&p->run, &p->vae, &p->picture, &p->x);
}

static void check(struct pass *p, enum status st)
{
    if (st) {
        fprintf(stderr, "bench_device: %s\n", p->err.text);
        device_must(NULL);
    }
}

static void run_unet(struct device *d, void *ctx)
{
    struct pass *p = ctx;
    arena_rewind(&d->arena, p->mark);
    backend_upload(d->be, &p->x);
    backend_upload(d->be, &p->times);
    backend_upload(d->be, &p->context);
    check(p, backend_repeat(d->be, &d->arena, p->key, unet_ops, p));
    backend_download(d->be, &p->y);
}

static void run_decode(struct device *d, void *ctx)
{
    struct pass *p = ctx;
    arena_rewind(&d->arena, p->mark);
    backend_upload(d->be, &p->x);
    check(p, backend_repeat(d->be, &d->arena, p->key, decode_ops, p));
    backend_download(d->be, &p->picture);
}

static void begin(struct pass *p, struct device *d, const struct shape *s, int64_t batch)
{
    *p = (struct pass){.d = d};
    p->run = (struct clip_run){.be = d->be, .arena = &d->arena, .tower = "bench", .err = &p->err};
    p->x = device_values(d, 4, (int64_t[]){batch, s->side, s->side, 4});
    p->y = device_values(d, 4, p->x.dim);
    p->times = device_values(d, 2, (int64_t[]){batch, s->width});
    p->context = device_values(d, 3, (int64_t[]){batch, s->tokens, s->context});
    int64_t side = s->side << (s->levels - 1);
    p->picture = device_values(d, 4, (int64_t[]){1, side, side, 3});
    p->mark = arena_mark(&d->arena);
    snprintf(p->key, sizeof p->key, "bench %d", d->passes++); /* weights go with each */
}

static void bench_sd(struct device *d, const struct shape *s)
{
    struct pass p;
    char name[64];
    for (int64_t batch = 1; batch <= 2; batch++) {
        snprintf(name, sizeof name, "UNet, latent %d x %d, batch %d", s->side, s->side, (int)batch);
        if (!device_wanted(d, name))
            continue;
        begin(&p, d, s, batch);
        double flops = make_unet(d, s, &p.unet);
        device_report(d, name, device_timed(d, run_unet, &p), flops * (double)batch, 1, "steps");
        device_forget(d);
    }
    int side = s->side << (s->levels - 1);
    snprintf(name, sizeof name, "VAE decode to %d x %d", side, side);
    if (!device_wanted(d, name))
        return;
    begin(&p, d, s, 1);
    double flops = make_decoder(d, s, &p.vae);
    device_report(d, name, device_timed(d, run_decode, &p), flops, 1, "pictures");
    device_forget(d);
}

static void make_lm(struct device *d, struct lm *lm, bool small)
{
    int64_t w = small ? 32 : 768, hidden = 4 * w;
    *lm = (struct lm){.width = (int)w, .heads = small ? 2 : 12, .layers = small ? 2 : 12};
    lm->hidden = (int)hidden;
    lm->vocab = small ? 50 : 30524;
    lm->context = 64;
    lm->eps = 1e-12f;
    lm->act = ACT_GELU;
    lm->post_norm = true;
    lm->tokens = device_weight_f16(d, 2, (int64_t[]){lm->vocab, w});
    lm->positions = device_weight(d, 2, (int64_t[]){lm->context, w});
    struct build b = {.d = d};
    lm->norm_in = norm(&b, w);
    lm->head = linear(&b, 1, lm->vocab, w);
    lm->layer = array(d, (size_t)lm->layers, sizeof *lm->layer);
    for (int i = 0; i < lm->layers; i++) {
        struct lm_layer *l = &lm->layer[i];
        struct clip_linear *square[] = {&l->q, &l->k, &l->v, &l->o};
        for (int k = 0; k < 4; k++)
            *square[k] = linear(&b, 1, w, w);
        l->ln1 = norm(&b, w);
        l->ln2 = norm(&b, w);
        l->fc1 = linear(&b, 1, hidden, w);
        l->fc2 = linear(&b, 1, w, hidden);
    }
}

enum { BEAMS = 3, WORDS = 20 };

static void run_sentence(struct device *d, void *ctx)
{
    struct pass *p = ctx;
    const int32_t ids[BEAMS] = {1, 2, 3}, parents[BEAMS] = {0, 0, 1};
    struct tensor x;
    arena_rewind(&d->arena, 0);
    check(p, lm_embed(&p->run, &p->lm, ids, 1, &x));
    check(p, lm_prefill(&p->run, &p->lm, &p->cache, &x, p->logits));
    for (int i = 0; i < WORDS; i++) {
        arena_rewind(&d->arena, 0);
        check(p, lm_step(&p->run, &p->lm, &p->cache, BEAMS, ids, parents, p->logits));
    }
}

static void bench_lm(struct device *d)
{
    struct pass p = {.d = d};
    p.run = (struct clip_run){.be = d->be, .arena = &d->arena, .tower = "bench", .err = &p.err};
    if (!device_wanted(d, "a sentence of 20 words"))
        return;
    make_lm(d, &p.lm, d->small);
    p.logits = device_must(mem_array((size_t)p.lm.vocab * BEAMS, sizeof *p.logits));
    check(&p, lm_cache_init(&p.cache, d->be, &p.lm, BEAMS, 2 + WORDS, &p.err));
    device_report(d, "a sentence of 20 words, 3 beams", device_timed(d, run_sentence, &p), 0, WORDS,
                  "tokens");
    lm_cache_release(&p.cache);
    mem_free(p.logits);
    device_forget(d);
}

void device_nets_bench(struct device *d)
{
    bench_sd(d, d->small ? &tiny : &sd15);
    bench_lm(d);
}

static void judge(struct device *d, const char *what, const float *x, const float *y, int64_t n)
{
    double cosine = device_cosine(x, y, n);
    bool ok = cosine >= (backend_precision(d->be) == PREC_F32 ? 1 - 1e-6 : 1 - 3e-3);
    printf("a small %s against %s: cosine %.8f: %s\n", what, backend_name(d->ref), cosine,
           ok ? "ok" : "WRONG");
    d->wrong += !ok;
}

void device_nets_check(struct device *d)
{
    struct device cpu = *d;
    float *eps[2], *pixels[2];
    int64_t n = 0, area = 0;
    cpu.be = d->ref;
    cpu.arena = (struct arena){0};
    for (int i = 0; i < 2; i++) {
        struct device *on = i ? &cpu : d;
        struct pass p;
        on->rng = (struct rng){5};
        begin(&p, on, &tiny, 2);
        make_unet(on, &tiny, &p.unet);
        for (int k = 0; k < 4; k++) /* the last ones are replayed */
            run_unet(on, &p);
        device_settle(on);
        n = tensor_count(&p.y);
        eps[i] = device_must(mem_dup(p.y.data, (size_t)n * sizeof(float)));
        device_forget(on);
        begin(&p, on, &tiny, 1);
        make_decoder(on, &tiny, &p.vae);
        run_decode(on, &p);
        device_settle(on);
        area = tensor_count(&p.picture);
        pixels[i] = device_must(mem_dup(p.picture.data, (size_t)area * sizeof(float)));
        device_forget(on);
        d->packs = cpu.packs = on->packs;
        d->weights = cpu.weights = on->weights;
    }
    judge(d, "UNet", eps[0], eps[1], n);
    judge(d, "decoder", pixels[0], pixels[1], area);
    arena_release(&cpu.arena);
    for (int i = 0; i < 2; i++) {
        mem_free(eps[i]);
        mem_free(pixels[i]);
    }
}
