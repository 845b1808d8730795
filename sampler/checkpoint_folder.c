/* diffusers folders. Their attention_head_dim is, in spite of its name, the number of heads. */
#include "clip/config.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "sampler/checkpoint_int.h"
#include <string.h>

static const char *const net_files[] = {"diffusion_pytorch_model.safetensors",
                                        "diffusion_pytorch_model.safetensors.index.json",
                                        "diffusion_pytorch_model.fp16.safetensors",
                                        "diffusion_pytorch_model.bin",
                                        "diffusion_pytorch_model.bin.index.json",
                                        "diffusion_pytorch_model.fp16.bin",
                                        "diffusion_pytorch_model.non_ema.safetensors",
                                        "diffusion_pytorch_model.non_ema.bin",
                                        NULL};
static const char *const text_files[] = {"model.safetensors",
                                         "model.safetensors.index.json",
                                         "model.fp16.safetensors",
                                         "pytorch_model.bin",
                                         "pytorch_model.bin.index.json",
                                         "pytorch_model.fp16.bin",
                                         NULL};

static enum status open_weights(struct weights **w, const char *path, const char *part,
                                const char *const *files, struct error *err)
{
    for (; *files; files++) {
        char *file = mem_printf("%s/%s/%s", path, part, *files);
        if (!file)
            return error_set(err, ST_NOMEM, "%s: out of memory", path);
        bool there = file_exists(file);
        enum status st = there ? weights_open(w, file, err) : ST_OK;
        mem_free(file);
        if (there)
            return st;
    }
    return error_set(err, ST_NOT_FOUND, "%s: lacks weights in its folder %s", path, part);
}

/* One component's config while it is read. */
struct part {
    char *file;
    json_t *root;
    struct clip_config g;
};

static enum status part_open(struct part *p, const char *path, const char *part, const char *name,
                             struct error *err)
{
    *p = (struct part){.file = mem_printf("%s/%s/%s", path, part, name)};
    if (!p->file)
        return error_set(err, ST_NOMEM, "%s: out of memory", path);
    p->g = (struct clip_config){.file = p->file, .err = err};
    if (!file_exists(p->file))
        return error_set(err, ST_NOT_FOUND, "%s: lacks %s/%s", path, part, name);
    return clip_config_read(&p->root, p->file, err);
}

static void part_close(struct part *p)
{
    json_decref(p->root);
    mem_free(p->file);
}

/* Words and numbers that change the computation and have only one supported value. */
static void want_text(struct part *p, const char *key, const char *value)
{
    const char *is = clip_config_text(&p->g, p->root, key, value);
    if (strcmp(is, value) != 0 && !(strcmp(value, "silu") == 0 && strcmp(is, "swish") == 0))
        clip_config_fail(&p->g, ST_UNSUPPORTED, "%s %.40s is not read", key, is);
}

static void want_number(struct part *p, const char *key, double value)
{
    if (clip_config_real(&p->g, p->root, key, value, -1e9, 1e9) != value)
        clip_config_fail(&p->g, ST_UNSUPPORTED, "%s other than %g is not read", key, value);
}

static void want_flag(struct part *p, const char *key, bool value)
{
    if (clip_config_bool(&p->g, p->root, key, value) != value)
        clip_config_fail(&p->g, ST_UNSUPPORTED, "%s is not read", key);
}

static void want_nothing(struct part *p, const char *key)
{
    const json_t *v = json_object_get(p->root, key);
    if (v && !json_is_null(v))
        clip_config_fail(&p->g, ST_UNSUPPORTED, "%s is not read", key);
}

static void read_heads(struct part *p, struct net_unet_config *c)
{
    const char *key = "num_attention_heads";
    const json_t *v = json_object_get(p->root, key);
    if (!v || json_is_null(v))
        v = json_object_get(p->root, key = "attention_head_dim");
    for (size_t i = 0; i < NET_MAX_LEVELS; i++) {
        const json_t *e = json_is_array(v) ? json_array_get(v, i) : v;
        double d = json_is_number(e) ? json_number_value(e) : 0;
        if (json_is_array(v) && i >= json_array_size(v))
            break;
        if (!v || json_is_null(v))
            d = 8;
        if (!(d >= 1 && d <= 1024 && d == (int)d)) {
            clip_config_fail(&p->g, ST_FORMAT, "%s must be whole numbers from 1 to 1024", key);
            return;
        }
        c->heads[i] = (int)d;
    }
}

static enum status read_unet(struct part *p, struct net_unet_config *c)
{
    want_text(p, "act_fn", "silu");
    want_text(p, "time_embedding_type", "positional");
    want_text(p, "resnet_time_scale_shift", "default");
    want_number(p, "conv_in_kernel", 3);
    want_number(p, "conv_out_kernel", 3);
    want_number(p, "freq_shift", 0);
    want_number(p, "downsample_padding", 1);
    want_number(p, "mid_block_scale_factor", 1);
    want_number(p, "resnet_out_scale_factor", 1);
    want_flag(p, "flip_sin_to_cos", true);
    want_flag(p, "center_input_sample", false);
    want_flag(p, "dual_cross_attention", false);
    want_flag(p, "resnet_skip_time_act", false);
    static const char *const absent[] = {
        "class_embed_type",  "addition_embed_type",  "num_class_embeds",
        "encoder_hid_dim",   "time_cond_proj_dim",   "time_embedding_act_fn",
        "timestep_post_act", "cross_attention_norm", "time_embedding_dim"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        want_nothing(p, absent[i]);
    c->norm.groups = clip_config_int(&p->g, p->root, "norm_num_groups", 32, 1, 4096);
    c->norm.eps = (float)clip_config_real(&p->g, p->root, "norm_eps", 1e-5, 1e-12, 1);
    read_heads(p, c);
    return p->g.status;
}

static enum status read_vae(struct part *p, struct checkpoint_numbers *n)
{
    want_text(p, "act_fn", "silu");
    want_flag(p, "mid_block_add_attention", true);
    want_nothing(p, "shift_factor");
    n->vae.groups = clip_config_int(&p->g, p->root, "norm_num_groups", 32, 1, 4096);
    n->latent_scale =
        clip_config_real(&p->g, p->root, "scaling_factor", n->latent_scale, 1e-6, 1e6);
    return p->g.status;
}

static enum status read_scheduler(struct part *p, struct checkpoint *c,
                                  struct checkpoint_numbers *n)
{
    const char *kind = clip_config_text(&p->g, p->root, "beta_schedule", "linear");
    const char *prediction = clip_config_text(&p->g, p->root, "prediction_type", "epsilon");
    n->linear = strcmp(kind, "linear") == 0;
    if (!n->linear && strcmp(kind, "scaled_linear") != 0)
        clip_config_fail(&p->g, ST_UNSUPPORTED, "beta_schedule %.40s is not read", kind);
    n->prediction = strcmp(prediction, "v_prediction") == 0 ? PREDICT_V : PREDICT_NOISE;
    if (n->prediction == PREDICT_NOISE && strcmp(prediction, "epsilon") != 0)
        clip_config_fail(&p->g, ST_UNSUPPORTED, "prediction_type %.40s is not read", prediction);
    want_number(p, "num_train_timesteps", SIGMA_STEPS);
    want_nothing(p, "trained_betas");
    n->zero_snr = clip_config_bool(&p->g, p->root, "rescale_betas_zero_snr", false);
    n->last_alpha = 0x1p-24;
    const char *spacing = clip_config_text(&p->g, p->root, "timestep_spacing", "leading");
    c->trailing = strcmp(spacing, "trailing") == 0;
    n->beta_first = clip_config_real(&p->g, p->root, "beta_start", 0.0001, 1e-9, 0.999);
    n->beta_last = clip_config_real(&p->g, p->root, "beta_end", 0.02, 1e-9, 0.999);
    return p->g.status;
}

static enum status open_unet(struct checkpoint *c, struct checkpoint_numbers *n, const char *path,
                             struct error *err)
{
    struct part p;
    struct net_loader l;
    enum status st = part_open(&p, path, "unet", "config.json", err);
    if (!st)
        st = read_unet(&p, &n->unet);
    if (!st)
        st = open_weights(&c->weights[0], path, "unet", net_files, err);
    if (!st) {
        net_loader_init(&l, &c->model, c->weights[0], "", (struct net_names){.kind = NET_UNET},
                        err);
        st = net_unet_load(&c->unet, &l, &n->unet);
    }
    part_close(&p);
    return st;
}

static enum status open_tiny(struct checkpoint *c, struct checkpoint_numbers *n, const char *path,
                             struct error *err)
{
    char *folder = path_join(path, "vae");
    enum status st = folder ? checkpoint_open_tiny(c, n, folder, err)
                            : error_set(err, ST_NOMEM, "%s: out of memory", path);
    mem_free(folder);
    return st;
}

static enum status open_vae(struct checkpoint *c, struct checkpoint_numbers *n, const char *path,
                            struct error *err)
{
    struct part p;
    struct net_loader l;
    enum status st = part_open(&p, path, "vae", "config.json", err);
    const char *kind = st ? "" : clip_config_text(&p.g, p.root, "_class_name", "AutoencoderKL");
    if (!st && !strcmp(kind, "AutoencoderTiny")) {
        part_close(&p);
        return open_tiny(c, n, path, err);
    }
    if (!st)
        st = read_vae(&p, n);
    if (!st)
        st = open_weights(&c->weights[1], path, "vae", net_files, err);
    if (!st) {
        net_loader_init(&l, &c->model, c->weights[1], "", (struct net_names){.kind = NET_VAE}, err);
        st = net_vae_load(&c->vae, &l, &n->vae);
    }
    part_close(&p);
    return st;
}

static enum status open_text(struct checkpoint *c, const char *path, struct error *err)
{
    struct part p;
    enum status st = part_open(&p, path, "text_encoder", "config.json", err);
    if (!st)
        st = open_weights(&c->weights[2], path, "text_encoder", text_files, err);
    if (!st)
        st = net_text_load(&c->text, &c->model, c->weights[2], "", p.root, p.file, err);
    part_close(&p);
    return st;
}

static enum status open_tokenizer(struct checkpoint *c, const char *path, struct error *err)
{
    char *dir = path_join(path, "tokenizer");
    if (!dir)
        return error_set(err, ST_NOMEM, "%s: out of memory", path);
    enum status st =
        tokenizer_open(&c->tokenizer, TOKENIZER_CLIP_HF, file_is_dir(dir) ? dir : NULL, err);
    mem_free(dir);
    return st;
}

enum status checkpoint_open_folder(struct checkpoint *c, struct checkpoint_numbers *n,
                                   const char *path, struct error *err)
{
    struct part p;
    c->layout = "diffusers folder";
    enum status st = open_unet(c, n, path, err);
    if (!st)
        st = open_vae(c, n, path, err);
    if (!st && checkpoint_has_tower(path)) {
        c->layout = "eidetic sampler";
        st = checkpoint_open_tower(c, path, err);
    } else if (!st) {
        st = open_text(c, path, err);
        st = st ? st : open_tokenizer(c, path, err);
    }
    if (st)
        return st;
    st = part_open(&p, path, "scheduler", "scheduler_config.json", err);
    if (!st)
        st = read_scheduler(&p, c, n);
    part_close(&p);
    return st;
}

enum status checkpoint_folder_weights(struct weights **w, const char *path, struct error *err)
{
    return open_weights(w, path, ".", net_files, err);
}

enum status checkpoint_folder_vae(struct checkpoint_numbers *n, const char *path, struct error *err)
{
    struct part p;
    enum status st = part_open(&p, path, ".", "config.json", err);
    if (!st)
        st = read_vae(&p, n);
    part_close(&p);
    return st;
}
