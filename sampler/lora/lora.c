/* LoRAs added to a checkpoint. Each matrix that one of them touches gets one f32 copy, made when
 * the first needs it; the network's tensor then points there, and back again at the end. */
#include "sampler/lora/lora.h"
#include "core/mem.h"
#include "nn/packs.h"
#include "sampler/lora/lora_int.h"
#include <string.h>

/* One matrix of the checkpoint under the names that files may use. */
struct slot {
    struct net_module m;
    struct tensor was, was_lower;
    float *own; /* NULL = nothing added yet */
};
struct lora_patch {
    struct checkpoint *c;
    struct slot *slot;
    int n, cap;
    bool no_memory;
    struct packs *packs;
    char **text;
    int texts;
};

static void underscore(char *s)
{
    for (; *s; s++)
        if (*s == '.')
            *s = '_';
}

static void collect(void *ctx, const struct net_module *m)
{
    struct lora_patch *p = ctx;
    if (p->n == p->cap) {
        int cap = p->cap ? 2 * p->cap : 256;
        struct slot *s = mem_realloc_array(p->slot, (size_t)cap, sizeof *s);
        p->no_memory |= !s;
        if (!s)
            return;
        p->slot = s;
        p->cap = cap;
    }
    struct slot *s = &p->slot[p->n++];
    *s = (struct slot){.m = *m, .was = *m->w};
    if (m->lower)
        s->was_lower = *m->lower;
    underscore(s->m.name);
    underscore(s->m.ldm);
}

/* As `was` is used, at other values. What backends make of them must end with them, not with the
 * checkpoint. */
static struct tensor copy_view(const struct tensor *was, float *x, struct packs *packs)
{
    struct tensor t = tensor_view(x, DT_F32, was->ndim, was->dim);
    t.use = was->use;
    t.packs = was->packs ? packs : NULL;
    return t;
}

/* The slot's matrix in f32, its own. */
static enum status own_copy(struct slot *s, struct packs *packs, struct error *err)
{
    size_t count = 0, lower = s->m.lower ? (size_t)tensor_count(&s->was_lower) : 0;
    size_t upper = (size_t)tensor_count(&s->was);
    if (s->own)
        return ST_OK;
    if (!add_overflow_size(upper, lower, &count) && count <= SIZE_MAX / sizeof(float))
        s->own = mem_aligned(count * sizeof(float), 64);
    if (!s->own)
        return error_set(err, ST_NOMEM, "out of memory for a matrix that a LoRA changes");
    tensor_to_f32(&s->was, s->own);
    if (lower)
        tensor_to_f32(&s->was_lower, s->own + upper);
    *s->m.w = copy_view(&s->was, s->own, packs);
    tensor_give_back(&s->was);
    if (lower) {
        *s->m.lower = copy_view(&s->was_lower, s->own + upper, packs);
        tensor_give_back(&s->was_lower);
    }
    return ST_OK;
}

static enum status add_module(struct slot *s, struct packs *packs, struct clip_run *r,
                              const struct lora_file *f, const struct lora_module *m,
                              double strength)
{
    struct lora_target to = {s->m.out, s->m.in, s->m.k};
    int64_t n = to.out * to.in * to.k * to.k;
    size_t mark = arena_mark(r->arena);
    float *y = clip_run_array(r, n, sizeof *y);
    if (r->status || lora_delta(r, f, m, &to, y))
        return r->status;
    r->status = own_copy(s, packs, r->err);
    for (int64_t i = 0; i < n && !r->status; i++)
        s->own[i] += (float)(strength * (double)y[i]);
    arena_rewind(r->arena, mark);
    return r->status;
}

static enum status check_family(const struct lora_file *f, const struct checkpoint *c,
                                struct error *err)
{
    char file[LORA_QUOTE], name[LORA_QUOTE];
    int own = c->unet.context;
    bool fits = f->context ? f->context == own : !f->family;
    if (fits)
        return ST_OK;
    lora_quote(file, path_base(f->path));
    lora_quote(name, c->name);
    if (!f->context)
        return error_set(err, ST_UNSUPPORTED, "%s is a LoRA for %s, and %s is %s", file, f->family,
                         name, lora_family(own));
    return error_set(
        err, ST_UNSUPPORTED, "%s is a LoRA for %s (prompts %d wide), and %s is %s (%d wide)", file,
        f->family ? f->family : lora_family(f->context), f->context, name, lora_family(own), own);
}

static enum status add_file(struct lora_patch *p, struct clip_run *r, struct lora_use *use)
{
    struct lora_file f;
    char file[LORA_QUOTE], name[LORA_QUOTE];
    enum status st = lora_file_open(&f, use->path, r->err);
    if (!st)
        st = check_family(&f, p->c, r->err);
    use->keys = f.keys;
    use->applied = 0;
    for (int i = 0; i < p->n && !st; i++) {
        struct slot *s = &p->slot[i];
        const struct lora_module *m = lora_file_find(&f, s->m.name);
        if (!m && s->m.ldm[0])
            m = lora_file_find(&f, s->m.ldm);
        if (m)
            st = add_module(s, p->packs, r, &f, m, s->m.text ? use->tower : use->unet);
        use->applied += m ? m->keys : 0;
    }
    if (!st && use->applied == 0)
        st = error_set(r->err, ST_UNSUPPORTED,
                       "%s: none of its %d keys fits %s: is it a LoRA, and for this family?",
                       lora_quote(file, path_base(use->path)), use->keys,
                       lora_quote(name, p->c->name));
    lora_file_close(&f);
    return st;
}

static enum status keep_texts(struct lora_patch *p, const struct lora_list *l)
{
    p->text = mem_zarray((size_t)l->n + 1, sizeof *p->text);
    for (; p->text && p->texts < l->n; p->texts++)
        if (!(p->text[p->texts] = mem_strdup(l->item[p->texts].text)))
            return ST_NOMEM;
    return p->text ? ST_OK : ST_NOMEM;
}

enum status lora_apply(struct lora_patch **out, struct checkpoint *c, struct lora_list *l,
                       int threads, struct error *err)
{
    struct arena arena = {0};
    struct clip_run r = {.arena = &arena, .err = err};
    *out = NULL;
    if (c->tower && l->n)
        return error_set(err, ST_UNSUPPORTED,
                         "<%.80s> is made for Stable Diffusion, and %s is another network",
                         l->item[0].text, c->name);
    struct lora_patch *p = mem_zalloc(sizeof *p);
    enum status st = p ? ST_OK : ST_NOMEM;
    if (!st) {
        p->c = c;
        p->packs = packs_new();
        net_unet_modules(&c->unet, collect, p);
        net_text_modules(&c->text, collect, p);
        st = p->no_memory || !p->packs ? ST_NOMEM : keep_texts(p, l);
    }
    if (st)
        error_set(err, st, "out of memory for LoRAs");
    else
        st = backend_open(&r.be, "cpu", threads, err);
    for (int i = 0; i < l->n && !st; i++)
        st = add_file(p, &r, &l->item[i]);
    backend_close(r.be);
    arena_release(&arena);
    if (st) {
        lora_patch_free(p);
        return st;
    }
    c->patch = *out = p;
    return ST_OK;
}

void lora_patch_free(struct lora_patch *p)
{
    if (!p)
        return;
    packs_free(p->packs);
    for (int i = 0; i < p->n; i++) {
        struct slot *s = &p->slot[i];
        if (!s->own)
            continue;
        *s->m.w = s->was;
        if (s->m.lower)
            *s->m.lower = s->was_lower;
        mem_free(s->own);
    }
    for (int i = 0; i < p->texts; i++)
        mem_free(p->text[i]);
    mem_free(p->text);
    mem_free(p->slot);
    p->c->patch = NULL;
    mem_free(p);
}

bool lora_patch_has(const struct lora_patch *p, const char *text)
{
    for (int i = 0; p && i < p->texts; i++)
        if (strcmp(p->text[i], text) == 0)
            return true;
    return false;
}
