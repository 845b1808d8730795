/* A whole model, file or folder, to another type. In a folder the weights become one safetensors
 * file under the name that its layout expects, and everything that is not weights is copied, so
 * that the result is a model again. */
#include "app/model_app.h"
#include "clip/clip.h"
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

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), k = strlen(tail);
    return n >= k && strcmp(s + n - k, tail) == 0;
}

/* What the weights are called once they are one safetensors file, so that their layout finds them:
 * mem_free it. */
static char *new_name(const char *from)
{
    const char *base = path_base(from);
    size_t n = strlen(base);
    if (ends_with(base, ".index.json"))
        n -= strlen(".index.json");
    if (ends_with(base, "pytorch_model.bin") || ends_with(base, "pytorch_model.bin.index.json"))
        return mem_printf("%.*smodel.safetensors", (int)(n - strlen("pytorch_model.bin")), base);
    while (n > 1 && base[n - 1] != '.')
        n--;
    return mem_printf("%.*s.safetensors", (int)n - 1, base);
}

/* The clip knows which of a folder's files it read, and what the copy must carry. */
static enum status convert_in_folder(const struct clip *clip, const char *out, enum dtype to,
                                     struct convert_stats *stats, struct error *err)
{
    const char *from = clip_info(clip)->weights;
    const struct convert_opts o = {.meta = clip_traits(clip)};
    char *name = new_name(from), *dest = name ? path_join(out, name) : NULL;
    enum status st = dest ? convert_weights(from, dest, to, &o, stats, err)
                          : error_set(err, ST_NOMEM, "out of memory");
    mem_free(name);
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
    const struct clip_opts cheap = {.no_image = true, .no_text = true};
    struct convert_opts o = {0};
    struct clip *clip = NULL;
    if (file_exists(out))
        return error_set(err, ST_USAGE, "%s: exists already", out);
    bool folder = file_is_dir(in);
    enum status st = clip_open(&clip, in, &cheap, folder ? err : NULL);
    if (!folder) { /* weights of any kind */
        o.meta = clip ? clip_traits(clip) : NULL;
        st = convert_weights(in, out, to, &o, stats, err);
    } else if (!st && !(st = file_make_dirs(out, err))) {
        st = convert_in_folder(clip, out, to, stats, err);
        if (!st)
            st = copy_rest(in, out, err);
        if (st)
            rmdir(out); /* only while it is empty */
    }
    clip_close(clip);
    return st;
}
