/* Other autoencoders for a checkpoint: AutoencoderKL from a file of its own, and TAESD. */
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "sampler/checkpoint_int.h"

enum { OTHER_VAE = 3, TAESD = 4 };

static enum status open_weights(struct weights **w, const char *path, struct error *err)
{
    if (!file_exists(path))
        return error_set(err, ST_NOT_FOUND, "%s: no such autoencoder", path);
    return file_is_dir(path) ? checkpoint_folder_weights(w, path, err) : weights_open(w, path, err);
}

/* Which names a file has; false: none of an autoencoder's. */
static bool find_names(const struct weights *w, const char **prefix, bool *ldm)
{
    static const struct {
        const char *prefix, *name;
        bool ldm;
    } forms[] = {
        {"first_stage_model.", "first_stage_model.decoder.up.0.block.0.norm1.weight", true},
        {"", "decoder.up.0.block.0.norm1.weight", true},
        {"", "decoder.up_blocks.0.resnets.0.norm1.weight", false},
        {"vae.", "vae.decoder.up_blocks.0.resnets.0.norm1.weight", false}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (weights_find(w, forms[i].name)) {
            *prefix = forms[i].prefix;
            *ldm = forms[i].ldm;
            return true;
        }
    return false;
}

static enum status check_fits(const struct checkpoint *c, int latent, int shrink, const char *path,
                              struct error *err)
{
    if (latent != c->unet.out)
        return error_set(err, ST_UNSUPPORTED,
                         "%.110s is an autoencoder of %d latent channels, and the unet of %.60s "
                         "gives %d",
                         path, latent, c->name, c->unet.out);
    if (c->vae.shrink && shrink != c->vae.shrink)
        return error_set(err, ST_UNSUPPORTED,
                         "%.110s makes %d pixels of one latent, and %.60s's own autoencoder %d",
                         path, shrink, c->name, c->vae.shrink);
    return ST_OK;
}

/* What was made of the old file's weights must go with them: the new ones may come to lie where
 * they lay. */
static void put_weights(struct checkpoint *c, int which, struct weights *w)
{
    if (c->weights[which])
        packs_clear(c->model.packs);
    weights_close(c->weights[which]);
    c->weights[which] = w;
}

enum status checkpoint_replace_vae(struct checkpoint *c, const char *path, struct error *err)
{
    struct checkpoint_numbers n = {.latent_scale = c->latent_scale};
    struct weights *w = NULL;
    struct net_vae vae = {0};
    struct net_loader l;
    const char *prefix = "";
    bool ldm = false;
    enum status st = open_weights(&w, path, err);
    if (!st && file_is_dir(path))
        st = checkpoint_folder_vae(&n, path, err);
    if (!st && !find_names(w, &prefix, &ldm))
        st = error_set(
            err, ST_FORMAT,
            "%.200s: not an autoencoder (lacks decoder.up.0.* and decoder.up_blocks.0.*)", path);
    if (!st) {
        net_loader_init(&l, &c->model, w, prefix, (struct net_names){.kind = NET_VAE, .ldm = ldm},
                        err);
        st = net_vae_load(&vae, &l, &n.vae);
    }
    if (!st)
        st = check_fits(c, vae.latent, vae.shrink, path, err);
    char *name = st ? NULL : mem_strdup(path_base(path));
    if (!st && !name)
        st = error_set(err, ST_NOMEM, "%s: out of memory", path);
    if (st) {
        weights_close(w);
        return st;
    }
    mem_free(c->vae_name);
    c->vae_name = name;
    put_weights(c, OTHER_VAE, w);
    c->vae = vae;
    c->latent_scale = n.latent_scale;
    return ST_OK;
}

/* One half from the model's arena; NULL where the file has none. */
static enum status load_half(struct net_tiny **t, struct checkpoint *c, struct weights *w,
                             bool decoder, const char *path, struct error *err)
{
    struct net_tiny *half = arena_alloc(&c->model.arena, sizeof *half);
    *t = NULL;
    if (!half)
        return error_set(err, ST_NOMEM, "%s: out of memory", path);
    enum status st = net_tiny_load(half, &c->model, w, decoder, err);
    if (st == ST_NOT_FOUND && half->stages == 0 && !half->width)
        return ST_OK;
    if (!st)
        st = check_fits(c, half->latent, half->shrink, path, err);
    if (!st)
        *t = half;
    return st;
}

enum status checkpoint_add_taesd(struct checkpoint *c, const char *path, struct error *err)
{
    struct weights *w = NULL;
    struct net_tiny *decoder = NULL, *encoder = NULL;
    enum status st = open_weights(&w, path, err);
    if (!st)
        st = load_half(&decoder, c, w, true, path, err);
    if (!st)
        st = load_half(&encoder, c, w, false, path, err);
    if (!st && !decoder && !encoder)
        st = error_set(err, ST_FORMAT, "%.200s: not a tiny autoencoder (TAESD)", path);
    if (st) {
        weights_close(w);
        return st;
    }
    put_weights(c, TAESD, w);
    c->vae.tiny_decoder = decoder;
    c->vae.tiny_encoder = encoder;
    c->vae.tiny_scale = (float)c->latent_scale;
    c->vae.encoder.there |= encoder != NULL;
    return ST_OK;
}

enum status checkpoint_open_tiny(struct checkpoint *c, struct checkpoint_numbers *n,
                                 const char *path, struct error *err)
{
    n->latent_scale = c->latent_scale = 1; /* its latents are the denoiser's own */
    enum status st = checkpoint_add_taesd(c, path, err);
    const struct net_tiny *d = c->vae.tiny_decoder, *e = c->vae.tiny_encoder;
    if (st)
        return st;
    if (!d || (e && e->shrink != d->shrink))
        return error_set(err, ST_FORMAT, "%s: %s", path,
                         d ? "its two halves do not fit each other" : "lacks a decoder");
    c->vae.latent = d->latent;
    c->vae.shrink = d->shrink;
    return ST_OK;
}
