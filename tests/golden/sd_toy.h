/* A toy Stable Diffusion checkpoint for tests, in both layouts: the weights that
 * scripts/make_golden_sampler.py gave diffusers, made again from names alone. */
#ifndef EIDETIC_TESTS_SD_TOY_H
#define EIDETIC_TESTS_SD_TOY_H

#include "golden/clip_toy.h"
#include <ftw.h>

struct sd_toy {
    bool folder;          /* diffusers' layout, else a single file */
    bool bare_text;       /* text tower's names without "text_model.", as transformers 5 writes */
    enum dtype dtype;     /* DT_F16, DT_BF16: all matrices in it; 0 = as the manifest says */
    bool inpaints;        /* a UNet of 9 channels */
    bool averaged;        /* a single file's UNet under its averaged weights' names */
    const char *mark;     /* an empty tensor of this name besides */
    const char *drop;     /* leave this tensor out (the layout's name) */
    const char *shape_of; /* give this tensor one row more */
    const char *file, *text; /* write this file besides, or instead of the manifest's */
};

static inline json_t *sd_manifest(void)
{
    json_error_t je;
    json_t *m = json_load_file(SOURCE_DIR "/tests/golden/sampler/sd.json", 0, &je);
    assert_non_null(m);
    return m;
}

static inline const char *sd_row_text(const json_t *row, size_t i)
{
    return json_string_value(json_array_get(row, i));
}

/* One tensor as the layout has it; name is mem_printf'd. */
static inline struct weights_out_tensor sd_tensor(const json_t *row, const struct sd_toy *o)
{
    const char *part = sd_row_text(row, 0), *own = sd_row_text(row, 1), *ldm = sd_row_text(row, 2);
    json_t *shape = json_array_get(row, 3);
    bool vae = strcmp(part, "vae") == 0, text = strcmp(part, "text_encoder") == 0;
    int ndim = (int)json_array_size(shape);
    int64_t dims[TENSOR_MAX_DIMS] = {1, 1, 1, 1, 1};
    for (int i = 0; i < ndim; i++)
        dims[i] = json_integer_value(json_array_get(shape, (size_t)i));
    enum dtype dt = (enum dtype)dtype_parse(sd_row_text(row, 4));
    if (o->dtype && ndim >= 2)
        dt = o->dtype;
    char *key = mem_printf("%s/%s", part, own), *name;
    if (o->folder)
        name = mem_strdup(o->bare_text && text ? own + strlen("text_model.") : own);
    else
        name = mem_printf("%s%s",
                          text  ? "cond_stage_model.transformer."
                          : vae ? "first_stage_model."
                                : "model.diffusion_model.",
                          ldm);
    if (!o->folder && o->averaged && !text && !vae) { /* as LitEma: a prefix, dots taken out */
        char *to = name, *from = name + strlen("model.");
        for (; *from; from++)
            if (*from != '.')
                *to++ = *from;
        *to = 0;
        char *flat = mem_printf("model_ema.%s", name);
        mem_free(name);
        name = flat;
    }
    if (!o->folder && vae && ndim == 2)
        ndim = 4;
    if (o->inpaints && strcmp(key, "unet/conv_in.weight") == 0)
        dims[1] = 9;
    struct tensor v = tensor_view(NULL, dt, ndim, dims);
    size_t n = (size_t)tensor_count(&v);
    double middle = json_number_value(json_array_get(row, 5));
    double reach = json_number_value(json_array_get(row, 6));
    if (o->shape_of && strcmp(o->shape_of, name) == 0) {
        dims[0]++;
        v = tensor_view(NULL, dt, ndim, dims);
        n = (size_t)tensor_count(&v);
    }
    v.data = toy_values("sd", key, n, dt, middle, reach);
    mem_free(key);
    return (struct weights_out_tensor){name, v};
}

static inline void sd_write_part(const json_t *rows, const char *part, const char *path,
                                 const struct sd_toy *o)
{
    size_t n = json_array_size(rows), used = 0;
    struct weights_out_tensor *t = mem_zarray(n + 1, sizeof *t);
    struct error err = {0};
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, i);
        if (part && strcmp(part, sd_row_text(row, 0)) != 0)
            continue;
        t[used] = sd_tensor(row, o);
        if (o->drop && strcmp(o->drop, t[used].name) == 0) {
            mem_free(t[used].t.data);
            mem_free((char *)(uintptr_t)t[used].name);
            continue;
        }
        used++;
    }
    if (o->mark)
        t[used++] = (struct weights_out_tensor){mem_strdup(o->mark),
                                                tensor_view(NULL, DT_F32, 1, (int64_t[]){0})};
    if (weights_write(path, t, (int)used, NULL, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < used; i++) {
        mem_free(t[i].t.data);
        mem_free((char *)(uintptr_t)t[i].name);
    }
    mem_free(t);
}

static inline void sd_write_text(const char *dir, const char *name, const char *text)
{
    char *path = path_join(dir, name), *parent = path_dir(path);
    assert_int_equal(file_make_dirs(parent, NULL), ST_OK);
    assert_int_equal(file_write_atomic(path, text, strlen(text), NULL), ST_OK);
    mem_free(parent);
    mem_free(path);
}

/* Writes the checkpoint below dir; returns its path (mem_free). */
static inline char *sd_toy_write(const char *dir, const struct sd_toy *o)
{
    json_t *m = sd_manifest(), *rows = json_object_get(m, "tensors"), *v;
    const char *name;
    char *path = NULL;
    assert_int_equal(file_make_dirs(dir, NULL), ST_OK);
    if (o->folder) {
        json_object_foreach(json_object_get(m, "files"), name, v)
        {
            char *text = json_dumps(v, 0);
            sd_write_text(dir, name, text);
            free(text);
        }
        static const char *const parts[3][2] = {{"unet", "diffusion_pytorch_model"},
                                                {"vae", "diffusion_pytorch_model"},
                                                {"text_encoder", "model"}};
        for (int i = 0; i < 3; i++) {
            char *file = mem_printf("%s/%s/%s.safetensors", dir, parts[i][0], parts[i][1]);
            sd_write_part(rows, parts[i][0], file, o);
            mem_free(file);
        }
        path = mem_strdup(dir);
    } else {
        path = path_join(dir, "toy.safetensors");
        sd_write_part(rows, NULL, path, o);
    }
    if (o->file)
        sd_write_text(dir, o->file, o->text);
    json_decref(m);
    return path;
}

static inline int sd_remove_entry(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)st;
    (void)kind;
    (void)f;
    return remove(path);
}

/* Removes a folder that a test made, with what is in it. */
static inline void sd_toy_remove(const char *dir)
{
    nftw(dir, sd_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
