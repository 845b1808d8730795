/* eidetic's own samplers: a diffusers folder with a sampler.json in place of a text tower, inside
 * the folder of the CLIP model whose token states it was trained on. */
#include "clip/arch.h"
#include "clip/config.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "sampler/checkpoint_int.h"
#include "sampler/solver.h"
#include <math.h>
#include <string.h>

bool checkpoint_has_tower(const char *path)
{
    return file_exists_in(path, "sampler.json");
}

/* As many numbers as the latent has channels, or NULL and a sentence. */
static float *read_channels(struct clip_config *g, struct checkpoint *c, const json_t *root,
                            const char *key, bool positive)
{
    const json_t *list = json_object_get(root, key);
    size_t n = (size_t)c->unet.out;
    float *x = arena_array(&c->model.arena, n, sizeof *x);
    if (!x) {
        clip_config_fail(g, ST_NOMEM, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_is_array(list) ? json_array_get(list, i) : NULL;
        x[i] = json_is_number(v) ? (float)json_number_value(v) : NAN;
        if (json_array_size(list) != n || !isfinite(x[i]) || (positive && !(x[i] > 1e-6f))) {
            clip_config_fail(g, ST_FORMAT, "%s must be %zu %snumbers", key, n,
                             positive ? "positive " : "");
            return NULL;
        }
    }
    return x;
}

static enum status read_file(struct checkpoint *c, const char *file, char id[33], struct error *err)
{
    struct clip_config g = {.file = file, .err = err};
    json_t *root = NULL;
    enum status st = clip_config_read(&root, file, err);
    if (st)
        return st;
    snprintf(id, 33, "%s", clip_config_text(&g, root, "text_tower", ""));
    c->side = clip_config_int(&g, root, "side", 64, 8, 4096);
    c->guidance = clip_config_real(&g, root, "guidance", 4, 0.1, 100);
    const char *solver = clip_config_text(&g, root, "solver", "Euler a");
    c->solver = solver_find(solver, &c->schedule);
    if (!c->solver)
        clip_config_fail(&g, ST_UNSUPPORTED, "solver \"%.40s\" is not known", solver);
    c->latent_mean = read_channels(&g, c, root, "latent_mean", false);
    if (c->latent_mean)
        c->latent_std = read_channels(&g, c, root, "latent_std", true);
    json_decref(root);
    return g.status;
}

enum status checkpoint_open_tower(struct checkpoint *c, const char *path, struct error *err)
{
    char id[33] = "", *file = path_join(path, "sampler.json"), *whole = path_absolute(path);
    char *model = whole ? path_dir(whole) : NULL;
    enum status st = file && model ? read_file(c, file, id, err)
                                   : error_set(err, ST_NOMEM, "%s: out of memory", path);
    if (!st)
        st = clip_open(&c->tower, model, &(struct clip_opts){.no_image = 1}, err);
    const struct clip_info *i = st ? NULL : clip_info(c->tower);
    if (i && strcmp(i->id, id) != 0)
        st = error_set(err, ST_UNSUPPORTED,
                       "%s was trained on the states of the model %.32s, and %s beside it is %s",
                       path, id[0] ? id : "(none)", i->name, i->id);
    if (i && !st) {
        c->text.vocab = i->vocab;
        c->text.v.context = i->context;
        c->text.v.t.width = i->text_width;
        c->text.v.t.layers = i->text_layers;
        char *name = mem_strdup(i->name); /* "starter", not the folder's "sampler" */
        if (!name)
            st = error_set(err, ST_NOMEM, "%s: out of memory", path);
        else
            mem_free(c->name);
        c->name = name ? name : c->name;
    }
    mem_free(model);
    mem_free(whole);
    mem_free(file);
    return st;
}
