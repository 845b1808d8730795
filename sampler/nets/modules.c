/* Walks over the networks' matrices. The order is that of the network's run. */
#include "sampler/nets/modules.h"
#include <stdio.h>

struct walk {
    net_module_fn *f;
    void *ctx;
    struct net_names names;
    bool text;
    char stem[NET_NAME_MAX];
};

static void set_stem(struct walk *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void set_stem(struct walk *w, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(w->stem, sizeof w->stem, fmt, ap);
    va_end(ap);
}

static void visit(struct walk *w, struct tensor *t, struct tensor *lower, const char *part)
{
    struct net_module m = {.text = w->text, .w = t, .lower = lower, .k = 1};
    if (!t->data)
        return;
    int n = snprintf(m.name, sizeof m.name, "%s%s%s", w->stem, *w->stem ? "." : "", part);
    m.k = t->ndim == 4 ? (int)t->dim[1] : 1;
    m.out = t->dim[0] + (lower ? lower->dim[0] : 0);
    m.in = t->dim[t->ndim - 1];
    if (n < 0 || n >= NET_NAME_MAX)
        return;
    if (w->text || !net_name(&w->names, m.ldm, m.name))
        m.ldm[0] = 0;
    w->f(w->ctx, &m);
}

static void visit_resnet(struct walk *w, struct net_resnet *b)
{
    visit(w, &b->conv1.w, NULL, "conv1");
    visit(w, &b->time.w, NULL, "time_emb_proj");
    visit(w, &b->conv2.w, NULL, "conv2");
    visit(w, &b->shortcut.w, NULL, "conv_shortcut");
}

static void visit_attention(struct walk *w, struct net_attention *a)
{
    visit(w, &a->q.w, NULL, "to_q");
    visit(w, &a->k.w, NULL, "to_k");
    visit(w, &a->v.w, NULL, "to_v");
    visit(w, &a->o.w, NULL, "to_out.0");
}

static void visit_transformer(struct walk *w, struct net_transformer *t, const char *stem)
{
    if (t->depth == 0)
        return;
    set_stem(w, "%s", stem);
    visit(w, &t->in.w, NULL, "proj_in");
    for (int i = 0; i < t->depth; i++) {
        struct net_layer *y = &t->layer[i];
        set_stem(w, "%s.transformer_blocks.%d.attn1", stem, i);
        visit_attention(w, &y->self);
        set_stem(w, "%s.transformer_blocks.%d.attn2", stem, i);
        visit_attention(w, &y->cross);
        set_stem(w, "%s.transformer_blocks.%d.ff.net", stem, i);
        visit(w, &y->value.w, &y->gate.w, "0.proj");
        visit(w, &y->out.w, NULL, "2");
    }
    set_stem(w, "%s", stem);
    visit(w, &t->out.w, NULL, "proj_out");
}

static void visit_level(struct walk *w, struct net_level *v, const char *side, int level,
                        const char *resample)
{
    char stem[64];
    for (int i = 0; i < v->blocks; i++) {
        set_stem(w, "%s_blocks.%d.resnets.%d", side, level, i);
        visit_resnet(w, &v->block[i].res);
        snprintf(stem, sizeof stem, "%s_blocks.%d.attentions.%d", side, level, i);
        visit_transformer(w, &v->block[i].attn, stem);
    }
    w->names.up_slot = v->blocks > 0 && v->block[v->blocks - 1].attn.depth ? 2 : 1;
    set_stem(w, "%s_blocks.%d.%s.0", side, level, resample);
    visit(w, &v->resample.w, NULL, "conv");
}

void net_unet_modules(struct net_unet *u, net_module_fn *f, void *ctx)
{
    struct walk w = {.f = f, .ctx = ctx};
    w.names = (struct net_names){.kind = NET_UNET, .ldm = true, .per_level = u->down[0].blocks};
    visit(&w, &u->conv_in.w, NULL, "conv_in");
    visit(&w, &u->time1.w, NULL, "time_embedding.linear_1");
    visit(&w, &u->time2.w, NULL, "time_embedding.linear_2");
    for (int i = 0; i < u->levels; i++)
        visit_level(&w, &u->down[i], "down", i, "downsamplers");
    set_stem(&w, "mid_block.resnets.0");
    visit_resnet(&w, &u->mid1);
    visit_transformer(&w, &u->mid_attn, "mid_block.attentions.0");
    set_stem(&w, "mid_block.resnets.1");
    visit_resnet(&w, &u->mid2);
    for (int i = 0; i < u->levels; i++)
        visit_level(&w, &u->up[i], "up", i, "upsamplers");
    set_stem(&w, "%s", "");
    visit(&w, &u->conv_out.w, NULL, "conv_out");
}

void net_text_modules(struct net_text *t, net_module_fn *f, void *ctx)
{
    struct walk w = {.f = f, .ctx = ctx, .text = true};
    for (int i = 0; i < t->v.t.layers; i++) {
        struct clip_layer *y = &t->v.t.layer[i];
        set_stem(&w, "text_model.encoder.layers.%d", i);
        visit(&w, &y->q.w, NULL, "self_attn.q_proj");
        visit(&w, &y->k.w, NULL, "self_attn.k_proj");
        visit(&w, &y->v.w, NULL, "self_attn.v_proj");
        visit(&w, &y->o.w, NULL, "self_attn.out_proj");
        visit(&w, &y->fc1.w, NULL, "mlp.fc1");
        visit(&w, &y->fc2.w, NULL, "mlp.fc2");
    }
}
