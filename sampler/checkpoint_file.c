/* Single-file checkpoints. They hold no config; a few lines of a YAML file beside them may, of
 * which only "key: number or word" is looked at, wherever it stands. */
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "sampler/checkpoint_int.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define UNET "model.diffusion_model."
#define AVERAGED "model_ema.diffusion_model" /* names without dots follow */
#define VAE "first_stage_model."
#define TEXT "cond_stage_model.transformer."

static bool has_prefix(const struct weights *w, const char *prefix)
{
    for (int i = 0; i < weights_count(w); i++)
        if (strncmp(weights_name(w, i), prefix, strlen(prefix)) == 0)
            return true;
    return false;
}

/* What it lacks, or what else it is. */
static enum status check_family(const struct weights *w, const char *path, struct error *err)
{
    if (has_prefix(w, "conditioner.embedders."))
        return error_set(err, ST_UNSUPPORTED,
                         "%s is a checkpoint of Stable Diffusion XL; 1.x is what is read", path);
    if (has_prefix(w, "model.diffusion_model.double_blocks.") || has_prefix(w, "double_blocks."))
        return error_set(err, ST_UNSUPPORTED,
                         "%s is a Flux checkpoint; Stable Diffusion 1.x is what is read", path);
    if (has_prefix(w, "lora_unet_") || has_prefix(w, "lora_te_"))
        return error_set(err, ST_UNSUPPORTED, "%s is a LoRA, not a checkpoint", path);
    if (has_prefix(w, "cond_stage_model.model."))
        return error_set(err, ST_UNSUPPORTED,
                         "%s is a checkpoint of Stable Diffusion 2 (its text tower is OpenCLIP's); "
                         "1.x is what is read from single files",
                         path);
    static const char *const parts[3][2] = {
        {UNET, "denoiser"}, {VAE, "autoencoder"}, {TEXT, "text tower"}};
    for (int i = has_prefix(w, AVERAGED); i < 3; i++)
        if (!has_prefix(w, parts[i][0]))
            return error_set(err, ST_FORMAT, "%s: lacks the %s (%s*)", path, parts[i][1],
                             parts[i][0]);
    return ST_OK;
}

/* The value of the first line "  key: value", unquoted, or NULL. */
static const char *yaml_value(const char *text, const char *key, char value[64])
{
    size_t n = strlen(key);
    for (const char *s = text; s && *s; s = strchr(s, '\n') ? strchr(s, '\n') + 1 : NULL) {
        s += strspn(s, " \t");
        if (strncmp(s, key, n) != 0 || s[n] != ':')
            continue;
        const char *v = s + n + 1 + strspn(s + n + 1, " \t\"'");
        snprintf(value, 64, "%.*s", (int)strcspn(v, " \t\r\n\"'#"), v);
        return value;
    }
    return NULL;
}

static enum status yaml_number(const char *text, const char *key, double lo, double hi, double *x,
                               const char *path, struct error *err)
{
    char value[64], *end;
    if (!yaml_value(text, key, value))
        return ST_OK;
    double d = strtod(value, &end);
    if (end == value || *end || !(d >= lo && d <= hi))
        return error_set(err, ST_FORMAT, "%s: %s must be a number from %g to %g", path, key, lo,
                         hi);
    *x = d;
    return ST_OK;
}

static enum status read_yaml(struct checkpoint_numbers *n, const char *text, const char *path,
                             struct error *err)
{
    double heads = 0;
    char value[64];
    enum status st = yaml_number(text, "num_heads", -1, 1024, &heads, path, err);
    if (!st)
        st = yaml_number(text, "linear_start", 1e-9, 0.999, &n->beta_first, path, err);
    if (!st)
        st = yaml_number(text, "linear_end", 1e-9, 0.999, &n->beta_last, path, err);
    if (!st)
        st = yaml_number(text, "scale_factor", 1e-6, 1e6, &n->latent_scale, path, err);
    for (int i = 0; i < NET_MAX_LEVELS && heads > 0; i++) /* -1: as wide as num_head_channels */
        n->unet.heads[i] = (int)heads;
    if (yaml_value(text, "parameterization", value)) {
        if (strcmp(value, "v") != 0 && strcmp(value, "eps") != 0)
            return error_set(err, ST_UNSUPPORTED, "%s: parameterization %.40s is not read", path,
                             value);
        n->prediction = value[0] == 'v' ? PREDICT_V : PREDICT_NOISE;
    }
    return st;
}

static enum status read_beside(struct checkpoint_numbers *n, const char *path, struct error *err)
{
    const char *ext = path_ext(path);
    size_t stem = *ext ? (size_t)(ext - path) - 1 : strlen(path), size = 0;
    char *text = NULL, *yaml = mem_printf("%.*s.yaml", (int)stem, path);
    enum status st = yaml ? ST_OK : error_set(err, ST_NOMEM, "%s: out of memory", path);
    if (!st && file_exists(yaml))
        st = file_read_all(&text, &size, yaml, 1u << 20, err);
    if (!st && text)
        st = read_yaml(n, text, yaml, err);
    mem_free(text);
    mem_free(yaml);
    return st;
}

/* A tensor of any shape that says something by being there. */
static void read_marks(struct checkpoint_numbers *n, const struct weights *w)
{
    if (weights_find(w, "v_pred"))
        n->prediction = PREDICT_V;
    n->zero_snr |= weights_find(w, "ztsnr") != NULL;
    n->last_alpha = 4.8973451890853435e-08;
}

static enum status open_unet(struct checkpoint *c, const struct checkpoint_numbers *n,
                             const char *path, struct error *err)
{
    struct net_loader l;
    struct weights *w = c->weights[0];
    bool have = has_prefix(w, AVERAGED), averaged = have && (n->averaged || !has_prefix(w, UNET));
    if (n->averaged && !have)
        return error_set(err, ST_NOT_FOUND, "%s: has no averaged weights (" AVERAGED "*)", path);
    net_loader_init(&l, &c->model, w, averaged ? AVERAGED : UNET,
                    (struct net_names){.kind = NET_UNET, .ldm = true}, err);
    l.src.undotted = averaged;
    return net_unet_load(&c->unet, &l, &n->unet);
}

enum status checkpoint_open_file(struct checkpoint *c, struct checkpoint_numbers *n,
                                 const char *path, struct error *err)
{
    struct net_loader l;
    c->layout = "single file";
    enum status st = weights_open(&c->weights[0], path, err);
    if (!st)
        st = check_family(c->weights[0], path, err);
    if (!st)
        read_marks(n, c->weights[0]);
    if (!st)
        st = read_beside(n, path, err);
    if (!st)
        st = open_unet(c, n, path, err);
    if (!st) {
        net_loader_init(&l, &c->model, c->weights[0], VAE,
                        (struct net_names){.kind = NET_VAE, .ldm = true}, err);
        st = net_vae_load(&c->vae, &l, &n->vae);
    }
    if (!st)
        st = net_text_load(&c->text, &c->model, c->weights[0], TEXT, NULL, NULL, err);
    if (!st)
        st = tokenizer_open(&c->tokenizer, TOKENIZER_CLIP_HF, NULL, err);
    return st;
}
