/* Preprocessing configs of transformers and open_clip. Both describe the same picture with
 * different words; the crops differ by a pixel when the margin is odd (transformers rounds down,
 * torchvision to even). */
#include "clip/preprocess.h"
#include "clip/config.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <math.h>

void clip_preprocess_default(struct clip_preprocess *p, int size)
{
    *p = (struct clip_preprocess){
        .prep = {.size = size, .fit = DECODER_FIT_SHORTEST_CROP, .filter = IMAGE_BICUBIC},
        .rescale = 1.0f / 255.0f,
        .mean = {0.48145466f, 0.4578275f, 0.40821073f},
        .std = {0.26862954f, 0.26130258f, 0.27577711f},
    };
}

static void check_std(struct clip_config *g, const struct clip_preprocess *p)
{
    for (int c = 0; c < 3; c++)
        if (!(p->std[c] > 1e-6f))
            clip_config_fail(g, ST_FORMAT, "the deviation of channel %d must be above 0", c);
}

/* transformers' sizes are 224, {"shortest_edge": 224} or {"height": 224, "width": 224}. */
static int hf_side(struct clip_config *g, const json_t *o, const char *key, int otherwise,
                   bool *square)
{
    const json_t *v = json_object_get(o, key);
    *square = false;
    if (!json_is_object(v))
        return clip_config_int(g, o, key, otherwise, 1, CLIP_MAX_IMAGE);
    if (json_object_get(v, "shortest_edge"))
        return clip_config_int(g, v, "shortest_edge", otherwise, 1, CLIP_MAX_IMAGE);
    int h = clip_config_int(g, v, "height", -1, 1, CLIP_MAX_IMAGE);
    int w = clip_config_int(g, v, "width", -1, 1, CLIP_MAX_IMAGE);
    *square = true;
    if (h < 0 || h != w)
        clip_config_fail(g, ST_UNSUPPORTED, "%s must be a square or a shortest edge", key);
    return h;
}

/* What all of transformers' image processors share. */
static void read_numbers(struct clip_preprocess *p, struct clip_config *g, const json_t *o,
                         int resample)
{
    static const enum image_filter filter[] = {IMAGE_NEAREST, IMAGE_LANCZOS, IMAGE_BILINEAR,
                                               IMAGE_BICUBIC, IMAGE_BOX};
    p->prep.filter = filter[clip_config_int(g, o, "resample", resample, 0, 4)];
    p->rescale = (float)clip_config_real(g, o, "rescale_factor", 1.0 / 255.0, 1e-6, 1e3);
    clip_config_real3(g, o, "image_mean", p->mean);
    clip_config_real3(g, o, "image_std", p->std);
    check_std(g, p);
    if (!clip_config_bool(g, o, "do_rescale", true))
        p->rescale = 1.0f;
    if (!clip_config_bool(g, o, "do_normalize", true))
        for (int c = 0; c < 3; c++)
            p->mean[c] = 0.0f, p->std[c] = 1.0f;
    if (!clip_config_bool(g, o, "do_resize", true))
        clip_config_fail(g, ST_UNSUPPORTED, "do_resize false is not read");
}

static enum status read_square(struct clip_preprocess *p, struct clip_config *g, const json_t *o,
                               bool crop_default)
{
    int want = p->prep.size;
    bool square = false, crop_square = false;
    int side = hf_side(g, o, "size", 224, &square);
    if (!json_object_get(o, "size"))
        square = p->prep.fit == DECODER_FIT_SQUASH;
    int crop = hf_side(g, o, "crop_size", 224, &crop_square);
    bool crops = clip_config_bool(g, o, "do_center_crop", crop_default);
    read_numbers(p, g, o, 3);
    if (g->status)
        return g->status;
    if (square)
        p->prep.fit = DECODER_FIT_SQUASH;
    if (!square && !crops)
        return clip_config_fail(g, ST_UNSUPPORTED,
                                "a shortest edge without do_center_crop is not read");
    if (crops && crop > side)
        return clip_config_fail(g, ST_UNSUPPORTED, "size %d with crop_size %d is not read", side,
                                crop);
    int last = crops ? crop : side;
    if (last != want)
        return clip_config_fail(
            g, ST_FORMAT, "makes pictures of %d pixels, the image tower takes %d", last, want);
    p->prep.resize = side > want ? side : 0;
    return g->status;
}

static enum status read_patches(struct clip_preprocess *p, struct clip_config *g, const json_t *o,
                                bool crop_default)
{
    (void)crop_default;
    int patch = clip_config_int(g, o, "patch_size", p->prep.patch, 1, CLIP_MAX_IMAGE);
    p->prep.patches = clip_config_int(g, o, "max_num_patches", p->prep.patches, 1, 1 << 14);
    read_numbers(p, g, o, 2);
    if (!g->status && patch != p->prep.patch)
        return clip_config_fail(g, ST_FORMAT,
                                "makes patches of %d pixels, the image tower takes %d", patch,
                                p->prep.patch);
    return g->status;
}

typedef enum status read_fn(struct clip_preprocess *p, struct clip_config *g, const json_t *o,
                            bool crop_default);

/* Newer transformers write one processor_config.json with the image processor inside; it has
 * precedence there. */
static enum status read_files(struct clip_preprocess *p, const char *dir, read_fn *read,
                              bool crop_default, struct error *err)
{
    static const char *const names[] = {"processor_config.json", "preprocessor_config.json"};
    enum status st = ST_OK;
    for (int i = 0; i < 2; i++) {
        char *path = path_join(dir, names[i]);
        json_t *root = NULL;
        if (!path)
            return error_set(err, ST_NOMEM, "%s: out of memory", dir);
        if (file_exists(path))
            st = clip_config_read(&root, path, err);
        const json_t *o = i ? root : json_object_get(root, "image_processor");
        struct clip_config g = {.file = path, .err = err};
        bool found = !st && json_is_object(o);
        if (found)
            st = read(p, &g, o, crop_default);
        json_decref(root);
        mem_free(path);
        if (st || found)
            break;
    }
    return st;
}

enum status clip_preprocess_hf(struct clip_preprocess *p, const char *dir, int size,
                               struct error *err)
{
    clip_preprocess_default(p, size);
    p->prep.crop = DECODER_CROP_FLOOR;
    return read_files(p, dir, read_square, true, err);
}

enum status clip_preprocess_siglip(struct clip_preprocess *p, const char *dir, int size,
                                   struct error *err)
{
    clip_preprocess_default(p, size);
    p->prep.fit = DECODER_FIT_SQUASH;
    for (int c = 0; c < 3; c++)
        p->mean[c] = p->std[c] = 0.5f;
    return read_files(p, dir, read_square, false, err);
}

enum status clip_preprocess_naflex(struct clip_preprocess *p, const char *dir, int patch,
                                   struct error *err)
{
    clip_preprocess_default(p, 0);
    p->prep.fit = DECODER_FIT_PATCHES;
    p->prep.filter = IMAGE_BILINEAR;
    p->prep.patch = patch;
    p->prep.patches = 256;
    for (int c = 0; c < 3; c++)
        p->mean[c] = p->std[c] = 0.5f;
    enum status st = read_files(p, dir, read_patches, false, err);
    if (st)
        return st;
    p->prep.size = decoder_patches_side(patch, p->prep.patches);
    if (p->prep.size > CLIP_MAX_IMAGE)
        return error_set(err, ST_UNSUPPORTED, "%s: %d patches of %d pixels are too many", dir,
                         p->prep.patches, patch);
    return ST_OK;
}

enum status clip_preprocess_open_clip(struct clip_preprocess *p, const char *file,
                                      const json_t *cfg, int size, struct error *err)
{
    clip_preprocess_default(p, size);
    p->prep.crop = DECODER_CROP_ROUND;
    if (!cfg)
        return ST_OK;
    struct clip_config g = {.file = file, .err = err};
    clip_config_real3(&g, cfg, "mean", p->mean);
    clip_config_real3(&g, cfg, "std", p->std);
    check_std(&g, p);
    const char *mode = clip_config_text(&g, cfg, "mode", "RGB");
    const char *filter = clip_config_text(&g, cfg, "interpolation", "bicubic");
    const char *fit = clip_config_text(&g, cfg, "resize_mode", "shortest");
    int fill = clip_config_int(&g, cfg, "fill_color", 0, 0, 255);
    /* "size" is not looked at: open_clip itself replaces it by the tower's image_size. */
    if (g.status)
        return g.status;
    if (strcmp(mode, "RGB") != 0)
        return clip_config_fail(&g, ST_UNSUPPORTED, "mode %s is not read", mode);
    if (strcmp(filter, "bilinear") == 0)
        p->prep.filter = IMAGE_BILINEAR;
    else if (strcmp(filter, "bicubic") != 0 && strcmp(filter, "random") != 0)
        return clip_config_fail(&g, ST_UNSUPPORTED, "interpolation %s is not read", filter);
    if (strcmp(fit, "squash") == 0)
        p->prep.fit = DECODER_FIT_SQUASH;
    else if (strcmp(fit, "longest") == 0)
        p->prep.fit = DECODER_FIT_LONGEST_PAD;
    else if (strcmp(fit, "shortest") != 0)
        return clip_config_fail(&g, ST_UNSUPPORTED, "resize_mode %s is not read", fit);
    for (int c = 0; c < 3; c++)
        p->prep.pad[c] = (uint8_t)fill;
    return ST_OK;
}

void clip_preprocess_line(const struct clip_preprocess *p, char *line, size_t size)
{
    /* Words, not numbers: ids outlive a change in an enum's order. */
    static const char *const fit[] = {
        [DECODER_FIT_SHORTEST_CROP] = "shortest crop",
        [DECODER_FIT_SQUASH] = "squash",
        [DECODER_FIT_LONGEST_PAD] = "longest pad",
        [DECODER_FIT_PATCHES] = "patches",
    };
    static const char *const filter[] = {
        [IMAGE_BICUBIC] = "bicubic", [IMAGE_BILINEAR] = "bilinear", [IMAGE_LANCZOS] = "lanczos",
        [IMAGE_BOX] = "box",         [IMAGE_NEAREST] = "nearest",
    };
    snprintf(line, size,
             "%d %s %s pad %d,%d,%d rescale %.9g mean %.9g,%.9g,%.9g std %.9g,%.9g,%.9g",
             p->prep.size, fit[p->prep.fit], filter[p->prep.filter], p->prep.pad[0], p->prep.pad[1],
             p->prep.pad[2], (double)p->rescale, (double)p->mean[0], (double)p->mean[1],
             (double)p->mean[2], (double)p->std[0], (double)p->std[1], (double)p->std[2]);
    size_t n = strlen(line);
    if (p->prep.resize)
        snprintf(line + n, size - n, " resize %d", p->prep.resize);
    if (p->prep.fit == DECODER_FIT_PATCHES)
        snprintf(line + n, size - n, " patches %d of %d", p->prep.patches, p->prep.patch);
}
