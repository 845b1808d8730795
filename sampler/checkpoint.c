/* Opening a checkpoint of either layout, and what holds for both. */
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "sampler/checkpoint_int.h"
#include <math.h>
#include <string.h>

static void fill_sigmas(struct checkpoint *c, const struct checkpoint_numbers *n)
{
    double alphas[SIGMA_STEPS], product = 1;
    bool roots = !n->linear;
    double first = roots ? sqrt(n->beta_first) : n->beta_first;
    double last = roots ? sqrt(n->beta_last) : n->beta_last;
    for (int i = 0; i < SIGMA_STEPS; i++) {
        double beta = first + (last - first) * i / (SIGMA_STEPS - 1);
        alphas[i] = product *= 1 - (roots ? beta * beta : beta);
    }
    if (n->zero_snr)
        sigma_zero_snr(alphas, n->last_alpha);
    sigma_table_alphas(&c->sigmas, alphas);
}

/* Do the parts fit each other? Each is sound in itself already. */
static enum status check_parts(const struct checkpoint *c, const char *path, struct error *err)
{
    const struct tokenizer *t = checkpoint_tokenizer(c);
    if (c->unet.context != c->text.v.t.width)
        return error_set(err, ST_FORMAT,
                         "%s: the unet attends to states %d wide, its text tower gives %d", path,
                         c->unet.context, c->text.v.t.width);
    if (c->unet.out != c->vae.latent)
        return error_set(err, ST_FORMAT, "%s: the unet gives %d channels, its autoencoder takes %d",
                         path, c->unet.out, c->vae.latent);
    if (c->unet.in != c->unet.out && c->unet.in != 2 * c->unet.out + 1)
        return error_set(
            err, ST_UNSUPPORTED,
            "%s: the unet takes %d channels for %d; read are those that take the latent "
            "alone, or with a mask and a masked latent (for inpainting)",
            path, c->unet.in, c->unet.out);
    if (tokenizer_eos(t) >= c->text.vocab || tokenizer_bos(t) < 0)
        return error_set(err, ST_FORMAT, "%s: the text tower has %d tokens, its tokenizer %d", path,
                         c->text.vocab, tokenizer_vocab_size(t));
    return ST_OK;
}

static char *name_of(const char *path)
{
    char *whole = path_absolute(path);
    if (!whole)
        return NULL;
    const char *base = path_base(whole), *ext = path_ext(base);
    bool file = !file_is_dir(path) && *ext;
    char *name = mem_strndup(base, file ? (size_t)(ext - base) - 1 : strlen(base));
    mem_free(whole);
    return name;
}

enum status checkpoint_open(struct checkpoint **out, const char *path,
                            const struct checkpoint_opts *o, struct error *err)
{
    struct checkpoint_numbers n = {
        .latent_scale = 0.18215, .beta_first = 0.00085, .beta_last = 0.012};
    *out = NULL;
    n.averaged = o && o->averaged;
    if (!file_exists(path))
        return error_set(err, ST_NOT_FOUND, "%s: no such checkpoint", path);
    struct checkpoint *c = mem_zalloc(sizeof *c);
    if (!c || !(c->name = name_of(path)) || !(c->model.packs = packs_new())) {
        checkpoint_close(c);
        return error_set(err, ST_NOMEM, "%s: out of memory", path);
    }
    enum status st = file_is_dir(path) ? checkpoint_open_folder(c, &n, path, err)
                                       : checkpoint_open_file(c, &n, path, err);
    if (!st)
        st = check_parts(c, path, err);
    if (st) {
        checkpoint_close(c);
        return st;
    }
    c->prediction = o && o->prediction ? o->prediction : n.prediction;
    if (c->prediction == PREDICT_AUTO)
        c->prediction = PREDICT_NOISE;
    c->latent_scale = n.latent_scale;
    c->zero_snr = n.zero_snr = n.zero_snr || (o && o->zero_snr);
    c->side = c->side ? c->side : 512;
    c->guidance = c->guidance != 0 ? c->guidance : 7;
    fill_sigmas(c, &n);
    *out = c;
    return ST_OK;
}

void checkpoint_close(struct checkpoint *c)
{
    if (!c)
        return;
    tokenizer_close(c->tokenizer);
    clip_close(c->tower);
    packs_free(c->model.packs);
    arena_release(&c->model.arena);
    for (int i = 0; i < 5; i++)
        weights_close(c->weights[i]);
    mem_free(c->name);
    mem_free(c->vae_name);
    mem_free(c);
}
