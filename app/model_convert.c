/* A whole model, file or folder, to another type. In a folder the weights become one safetensors
 * file under the name that its layout expects, and everything that is not weights is copied, so
 * that the result is a model again. */
#include "app/model_app.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_MAX = 64 << 20 };

static bool is_weights(const char *name)
{
    return path_has_ext(name, "safetensors") || path_has_ext(name, "bin") ||
           path_has_ext(name, "pt") || path_has_ext(name, "pth") || path_has_ext(name, "ckpt") ||
           strstr(name, ".index.json") != NULL;
}

/* The weights of a folder, in the order in which opening a model looks for them. */
static const char *const candidates[][2] = {
    {"model.safetensors", "model.safetensors"},
    {"model.safetensors.index.json", "model.safetensors"},
    {"open_clip_model.safetensors", "open_clip_model.safetensors"},
    {"open_clip_pytorch_model.bin", "open_clip_model.safetensors"},
    {"pytorch_model.bin", "model.safetensors"},
    {"pytorch_model.bin.index.json", "model.safetensors"},
};

/* *to_name (may be NULL): what the file is called once it is safetensors. */
static enum status find_weights(const char *folder, char **path, const char **to_name,
                                struct error *err)
{
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
        if (!(*path = path_join(folder, candidates[i][0])))
            return error_set(err, ST_NOMEM, "out of memory");
        if (to_name)
            *to_name = candidates[i][1];
        if (file_exists(*path))
            return ST_OK;
        mem_free(*path);
        *path = NULL;
    }
    return error_set(err, ST_NOT_FOUND, "%s: no weight file of a known name", folder);
}

enum status model_weights_path(const char *model, char **path, struct error *err)
{
    if (file_is_dir(model))
        return find_weights(model, path, NULL, err);
    *path = mem_strdup(model);
    return *path ? ST_OK : error_set(err, ST_NOMEM, "out of memory");
}

static enum status convert_in_folder(const char *in, const char *out, enum dtype to,
                                     struct convert_stats *stats, struct error *err)
{
    const char *name = NULL;
    char *from = NULL, *dest = NULL;
    enum status st = find_weights(in, &from, &name, err);
    if (!st && !(dest = path_join(out, name)))
        st = error_set(err, ST_NOMEM, "out of memory");
    if (!st)
        st = convert_weights(from, dest, to, NULL, stats, err);
    mem_free(from);
    mem_free(dest);
    return st;
}

static enum status copy_file(const char *in, const char *out, const char *name, struct error *err)
{
    char *from = path_join(in, name), *dest = path_join(out, name), *data = NULL;
    size_t size;
    struct stat s;
    enum status st = ST_OK;
    if (!from || !dest)
        st = error_set(err, ST_NOMEM, "out of memory");
    else if (stat(from, &s) == 0 && S_ISREG(s.st_mode))
        st = file_read_all(&data, &size, from, COPY_MAX, err);
    if (!st && data)
        st = file_write_atomic(dest, data, size, err);
    mem_free(data);
    mem_free(from);
    mem_free(dest);
    return st;
}

static enum status copy_rest(const char *in, const char *out, struct error *err)
{
    DIR *d = opendir(in);
    enum status st = ST_OK;
    for (struct dirent *e; d && !st && (e = readdir(d));)
        if (e->d_name[0] != '.' && !is_weights(e->d_name))
            st = copy_file(in, out, e->d_name, err);
    if (d)
        closedir(d);
    return st;
}

enum status model_convert_all(const char *in, const char *out, enum dtype to,
                              struct convert_stats *stats, struct error *err)
{
    if (!file_is_dir(in))
        return convert_weights(in, out, to, NULL, stats, err);
    if (file_exists(out))
        return error_set(err, ST_USAGE, "%s: exists already", out);
    enum status st = file_make_dirs(out, err);
    if (!st)
        st = convert_in_folder(in, out, to, stats, err);
    if (!st)
        st = copy_rest(in, out, err);
    if (st)
        rmdir(out); /* only while it is empty */
    return st;
}
