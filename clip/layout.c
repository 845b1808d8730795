/* What lies at a path: which weight file, which config beside it, whose names. Names inside the
 * file decide over file names, since people rename files; a folder that has both OpenCLIP's and
 * transformers' files is read as OpenCLIP's. */
#include "clip/clip_int.h"
#include "clip/config.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <dirent.h>
#include <strings.h>

static const char *const open_clip_files[] = {"open_clip_model.safetensors",
                                              "open_clip_pytorch_model.bin", NULL};
static const char *const hf_files[] = {"model.safetensors", "model.safetensors.index.json",
                                       "pytorch_model.bin", "pytorch_model.bin.index.json", NULL};

/* *out = dir/name when that is a file, else untouched. A link whose file is gone is an error: what
 * the folder was meant to hold is not there. */
static enum status find(char **out, const char *dir, const char *name, struct error *err)
{
    char *p = path_join(dir, name);
    if (!p)
        return error_set(err, ST_NOMEM, "%s: out of memory", dir);
    enum status st = ST_OK;
    if (file_is_broken_link(p))
        st = error_set(err, ST_NOT_FOUND, "%s: is a link to a file that is not there", p);
    if (!st && !*out && file_exists(p) && !file_is_dir(p))
        *out = p;
    else
        mem_free(p);
    return st;
}

static enum status find_first(char **out, const char *dir, const char *const *names,
                              struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; names[i] && !*out && !st; i++)
        st = find(out, dir, names[i], err);
    return st;
}

static bool weight_name(const char *n)
{
    return path_has_ext(n, "safetensors") || path_has_ext(n, "pt") || path_has_ext(n, "pth") ||
           path_has_ext(n, "bin") || path_has_ext(n, "gguf");
}

/* The only weight file of a folder, whatever its name. */
static enum status find_only(char **out, const char *dir, struct error *err)
{
    DIR *d = opendir(dir);
    enum status st = ST_OK;
    int n = 0;
    char *only = NULL;
    if (!d)
        return error_set(err, ST_IO, "%s: cannot be listed", dir);
    for (struct dirent *e; !st && (e = readdir(d));) {
        if (e->d_name[0] == '.' || !weight_name(e->d_name))
            continue;
        char *found = NULL;
        st = find(&found, dir, e->d_name, err);
        n += found != NULL;
        if (n == 1 && found)
            only = found;
        else
            mem_free(found);
    }
    closedir(d);
    if (!st && !n && file_exists_in(dir, "0_CLIPModel")) /* sentence-transformers' CLIP */
        st = error_set(err, ST_NOT_FOUND,
                       "%s: no weight file in this folder; the model is in %s/0_CLIPModel", dir,
                       dir);
    if (!st && n != 1)
        st = error_set(err, ST_NOT_FOUND,
                       n ? "%s: several weight files, name one of them"
                         : "%s: no weight file in this folder (model.safetensors, "
                           "pytorch_model.bin, open_clip_model.safetensors, ...)",
                       dir);
    if (st)
        mem_free(only);
    else
        *out = only;
    return st;
}

static enum status in_folder(struct clip_source *s, char **file, struct error *err)
{
    char *oc = NULL;
    enum status st;
    s->dir = mem_strdup(s->path);
    if (!s->dir)
        return error_set(err, ST_NOMEM, "%s: out of memory", s->path);
    st = find(&oc, s->dir, "open_clip_config.json", err);
    if (!st && oc)
        st = find_first(file, s->dir, open_clip_files, err);
    if (!st && !*file)
        st = find_first(file, s->dir, hf_files, err);
    if (!st && !*file)
        st = find_only(file, s->dir, err);
    mem_free(oc);
    return st;
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), k = strlen(tail);
    return n >= k && strcmp(s + n - k, tail) == 0;
}

/* Finds the anchor tensor whose name tells the naming, and what stands before it. */
static bool anchor(struct clip_source *s, const char *name)
{
    for (int i = 0; i < weights_count(s->weights); i++) {
        const char *full = weights_name(s->weights, i);
        size_t n = strlen(full) - strlen(name);
        if (!ends_with(full, name) || n >= sizeof s->prefix)
            continue;
        if (n > 0 && full[n - 1] != '.')
            continue;
        memcpy(s->prefix, full, n);
        s->prefix[n] = 0;
        return true;
    }
    return false;
}

static bool has(const struct clip_source *s, const char *name)
{
    char full[128];
    snprintf(full, sizeof full, "%s%s", s->prefix, name);
    return weights_find(s->weights, full) != NULL;
}

/* OpenCLIP's towers over timm: ViTs, MobileCLIP's with convolutions, FastViT trained and folded. */
static bool has_trunk(struct clip_source *s)
{
    return anchor(s, "visual.trunk.patch_embed.proj.weight") ||
           anchor(s, "visual.trunk.patch_embed.backbone.0.conv.weight") ||
           anchor(s, "visual.trunk.stem.0.conv_kxk.0.conv.weight") ||
           anchor(s, "visual.trunk.stem.0.reparam_conv.weight");
}

static enum status find_config(struct clip_source *s, const char *file, bool openai_names,
                               struct error *err)
{
    enum status st = ST_OK;
    if (!openai_names)
        return find(&s->config_path, s->dir, "config.json", err);
    st = find(&s->config_path, s->dir, "open_clip_config.json", err);
    if (!st &&
        !s->config_path) { /* "ViT-B-32.pt" beside "ViT-B-32.json", as open_clip's model_configs */
        const char *base = path_base(file), *ext = path_ext(file);
        size_t stem = *ext ? (size_t)(ext - base) - 1 : strlen(base);
        char *name = mem_printf("%.*s.json", (int)stem, base);
        st = name ? find(&s->config_path, s->dir, name, err)
                  : error_set(err, ST_NOMEM, "%s: out of memory", file);
        mem_free(name);
    }
    s->open_clip = s->config_path != NULL;
    return st;
}

/* Our own converter puts a config that lay beside its source into the file. */
static enum status carried_config(struct clip_source *s, const char *text, struct error *err)
{
    const char *file = weights_path(s->weights);
    s->config_path = mem_strdup(file);
    if (!s->config_path)
        return error_set(err, ST_NOMEM, "%s: out of memory", file);
    s->open_clip = true;
    return clip_config_parse(&s->config, text, strlen(text), file, err);
}

static const char *layout_name(const struct clip_source *s, bool openai_names, bool folder)
{
    if (s->ours)
        return folder ? "eidetic folder" : "eidetic file";
    if (!strcmp(weights_format(s->weights), "gguf"))
        return "gguf file";
    if (!openai_names)
        return s->config ? "hugging face folder" : "state dict";
    if (s->openai)
        return "openai state dict";
    if (!s->config)
        return "open_clip state dict";
    return strcmp(path_base(s->config_path), "open_clip_config.json") == 0
               ? "open_clip folder"
               : "open_clip state dict with config";
}

enum status clip_source_open(struct clip_source *s, const char *path, struct error *err)
{
    bool folder = file_is_dir(path);
    char *file = NULL;
    *s = (struct clip_source){.path = path};
    enum status st = ST_OK;
    if (!folder && !file_exists(path))
        return error_set(err, ST_NOT_FOUND, "%s: no such model", path);
    if (folder) {
        st = in_folder(s, &file, err);
    } else {
        file = mem_strdup(path);
        s->dir = path_dir(path);
        if (!file || !s->dir)
            st = error_set(err, ST_NOMEM, "%s: out of memory", path);
    }
    if (!st)
        st = weights_open(&s->weights, file, err);
    if (st)
        goto out;
    bool openai_names = anchor(s, "visual.conv1.weight") || has_trunk(s);
    const char *carried = NULL;
    if (!openai_names && !anchor(s, "image_encoder.model.network.0.0.convffn.fc1.weight") &&
        !anchor(s, "image_encoder.model.patch_emb.0.block.conv.weight") &&
        !anchor(s, "vision_model.embeddings.class_embedding"))
        anchor(s, "vision_model.embeddings.patch_embedding.weight"); /* siglip has no class token */
    s->openai = openai_names && has(s, "input_resolution") && has(s, "context_length") &&
                has(s, "vocab_size");
    if (!s->openai)
        st = find_config(s, file, openai_names, err);
    if (!st && s->config_path)
        st = clip_config_read(&s->config, s->config_path, err);
    else if (!st && openai_names && !s->openai)
        carried = weights_meta(s->weights, CLIP_TRAIT_CONFIG);
    if (carried)
        st = carried_config(s, carried, err);
    const char *type = json_string_value(json_object_get(s->config, "model_type"));
    s->ours = type && strncmp(type, "eidetic_", 8) == 0;
    s->layout = layout_name(s, openai_names, folder);
out:
    mem_free(file);
    if (st)
        clip_source_release(s);
    return st;
}

void clip_source_release(struct clip_source *s)
{
    json_decref(s->config);
    weights_close(s->half);
    weights_close(s->weights);
    mem_free(s->config_path);
    mem_free(s->dir);
    *s = (struct clip_source){0};
}
