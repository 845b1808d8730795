/* The image towers that OpenCLIP takes from timm: SigLIP's, EVA02, and MobileCLIP's FastViTs and
 * ViTs. Surprising: the config has their names and nothing of their sizes, which come from the
 * tensors. */
#include "clip/arch/open_clip.h"
#include "clip/config.h"
#include <math.h>

static bool starts(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

/* timm's vit_<size>_patch<n>_siglip_<side>, with OpenCLIP's words for their pooling. */
static enum open_clip_image kind_of(const char *name)
{
    if (starts(name, "vit_") && strstr(name, "_siglip_") && !strstr(name, "_gap_"))
        return OPEN_CLIP_SIGLIP;
    if (starts(name, "eva02_base_patch16_clip_") || starts(name, "eva02_large_patch14_clip_"))
        return OPEN_CLIP_EVA;
    if (starts(name, "fastvit_mci"))
        return OPEN_CLIP_FASTVIT;
    if (starts(name, "vit_base_mci_") || starts(name, "vit_large_patch14_clip_"))
        return OPEN_CLIP_TIMM_VIT;
    return OPEN_CLIP_VIT;
}

/* How OpenCLIP pools and projects each; the trunk's own head where timm_proj is null. */
static void check_pool(struct clip_config *g, const json_t *o, enum open_clip_image kind)
{
    bool siglip = kind == OPEN_CLIP_SIGLIP, said = json_object_get(o, "timm_proj") != NULL;
    const char *pool = clip_config_text(g, o, "timm_pool", siglip ? "map" : "avg");
    const char *proj = clip_config_text(g, o, "timm_proj", siglip ? "none" : said ? "" : "linear");
    const char *want = siglip ? "map" : kind == OPEN_CLIP_FASTVIT ? "avg" : "token";
    if (strcmp(pool, want) != 0 || strcmp(proj, siglip ? "none" : "") != 0)
        clip_config_fail(g, ST_UNSUPPORTED, "timm_pool %.40s with timm_proj %.40s is not read",
                         pool, proj);
}

static void set_siglip_act(const char *name, struct clip_vit_image *v)
{
    static const char *const tanh_names[] = {"patch32_siglip", "large_patch16_siglip_512",
                                             "so400m_patch16", "giantopt"};
    v->t.act = ACT_GELU;
    for (size_t i = 0; i < sizeof tanh_names / sizeof *tanh_names; i++)
        if (strstr(name, tanh_names[i]))
            v->t.act = ACT_GELU_TANH;
}

bool clip_open_clip_read_timm(struct clip_config *g, const json_t *o, struct open_clip_cfg *c)
{
    struct open_clip *d = c->model;
    const char *name = json_string_value(json_object_get(o, "timm_model_name"));
    int *size = NULL, *grid = NULL, patch = 0;
    bool fits = false;
    d->kind = name ? kind_of(name) : OPEN_CLIP_VIT;
    if (d->kind == OPEN_CLIP_VIT)
        return false;
    int side = clip_config_side(g, o, "image_size", 224, 1, CLIP_MAX_IMAGE);
    check_pool(g, o, d->kind);
    if (g->status)
        return true;
    switch (d->kind) {
    case OPEN_CLIP_SIGLIP:
        set_siglip_act(name, &d->siglip.vit);
        fits = clip_siglip_guess_timm(c->loader, &d->siglip);
        size = &d->siglip.vit.size, grid = &d->siglip.vit.grid, patch = d->siglip.vit.patch;
        break;
    case OPEN_CLIP_EVA:
        fits = clip_eva_guess(c->loader, &d->eva);
        size = &d->eva.size, grid = &d->eva.grid, patch = d->eva.patch;
        break;
    case OPEN_CLIP_TIMM_VIT:
        fits = clip_timm_vit_guess(c->loader, &d->timm);
        if (strstr(name, "quickgelu"))
            d->timm.vit.t.act = ACT_QUICK_GELU;
        size = &d->timm.vit.size, grid = &d->timm.vit.grid, patch = d->timm.vit.patch;
        break;
    default:
        fits = clip_fastvit_guess(c->loader, &d->fastvit);
        size = &d->fastvit.size, grid = &d->fastvit.grid, patch = 4 << (d->fastvit.stages - 1);
        break;
    }
    if (!fits)
        clip_config_fail(g, ST_FORMAT, "lacks the image tower (visual.trunk.*)");
    else if (patch > side)
        clip_config_fail(g, ST_FORMAT, "patch_size %d exceeds image_size %d", patch, side);
    else if (d->kind == OPEN_CLIP_FASTVIT && side % patch)
        clip_config_fail(g, ST_UNSUPPORTED, "image_size %d is no multiple of %d", side, patch);
    else
        *size = side, *grid = side / patch;
    return true;
}

bool clip_open_clip_guess_mobile(struct open_clip_cfg *c)
{
    struct open_clip *d = c->model;
    const struct clip_loader *l = c->loader;
    struct clip_vit_image *v = &d->timm.vit;
    if (clip_fastvit_guess(l, &d->fastvit)) {
        d->kind = OPEN_CLIP_FASTVIT;
        d->fastvit.size = 256;
        d->fastvit.grid = 256 / (4 << (d->fastvit.stages - 1));
        c->dim = clip_load_dim(l, 0, CLIP_MAX_DIM, "visual.trunk.head.fc.weight");
    } else if (clip_timm_vit_guess(l, &d->timm) &&
               (d->timm.conv_width || clip_load_has(l, "visual.trunk.norm_pre.weight"))) {
        int places = clip_load_dim(l, 1, 1 << 20, "visual.trunk.pos_embed");
        places -= d->timm.class_has_place ? 1 : 0;
        d->kind = OPEN_CLIP_TIMM_VIT;
        v->grid = places > 0 ? (int)lround(sqrt((double)places)) : 0;
        if (v->grid * v->grid != places || v->grid > CLIP_MAX_IMAGE / v->patch)
            return false;
        v->size = v->grid * v->patch;
        c->dim = clip_load_dim(l, 0, CLIP_MAX_DIM, "visual.trunk.head.weight");
    }
    clip_open_clip_timm_sizes(d);
    return d->kind != OPEN_CLIP_VIT && c->dim;
}

void clip_open_clip_load_timm(struct clip_loader *l, struct open_clip *d, int dim)
{
    if (d->kind == OPEN_CLIP_SIGLIP)
        clip_siglip_load_timm(l, &d->siglip);
    else if (d->kind == OPEN_CLIP_EVA)
        clip_eva_load(l, &d->eva, dim);
    else if (d->kind == OPEN_CLIP_TIMM_VIT)
        clip_timm_vit_load(l, &d->timm, dim);
    else
        clip_fastvit_load(l, &d->fastvit, dim);
}

enum status clip_open_clip_run_timm(struct clip_run *r, const struct open_clip *d,
                                    const struct tensor *x, struct tensor *y)
{
    switch (d->kind) {
    case OPEN_CLIP_SIGLIP:
        return clip_siglip_run_image(r, &d->siglip, x, y);
    case OPEN_CLIP_EVA:
        return clip_eva_run(r, &d->eva, x, y);
    case OPEN_CLIP_TIMM_VIT:
        return clip_timm_vit_run(r, &d->timm, x, y);
    default:
        return clip_fastvit_run(r, &d->fastvit, x, y);
    }
}

void clip_open_clip_timm_sizes(struct open_clip *d)
{
    struct clip_vit_image *v = &d->vit.image;
    const struct clip_eva *e = &d->eva;
    const struct clip_fastvit *f = &d->fastvit;
    if (d->kind == OPEN_CLIP_SIGLIP) {
        *v = d->siglip.vit;
    } else if (d->kind == OPEN_CLIP_TIMM_VIT) {
        *v = d->timm.vit;
    } else if (d->kind == OPEN_CLIP_EVA) {
        *v = (struct clip_vit_image){.size = e->size, .patch = e->patch, .grid = e->grid};
        v->t = (struct clip_transformer){.width = e->width,
                                         .heads = e->heads,
                                         .layers = e->layers,
                                         .hidden = 2 * e->hidden + 3 * e->width,
                                         .eps = e->eps,
                                         .act = ACT_SILU};
    } else if (d->kind == OPEN_CLIP_FASTVIT) {
        *v = (struct clip_vit_image){.size = f->size, .patch = f->size / f->grid, .grid = f->grid};
        v->t = clip_fastvit_sizes(f);
    }
}

void clip_open_clip_describe_timm(struct clip_model *m, const struct open_clip *d)
{
    static const char *const words[] = {[OPEN_CLIP_VIT] = "",
                                        [OPEN_CLIP_RESNET] = "",
                                        [OPEN_CLIP_SIGLIP] = " siglip",
                                        [OPEN_CLIP_EVA] = " eva02",
                                        [OPEN_CLIP_FASTVIT] = " fastvit",
                                        [OPEN_CLIP_TIMM_VIT] = " timm vit"};
    size_t n = strlen(m->recipe);
    snprintf(m->recipe + n, sizeof m->recipe - n, "%s", words[d->kind]);
    m->image_alone |= d->kind == OPEN_CLIP_FASTVIT;
}
