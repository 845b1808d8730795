/* Where things live: XDG folders, environment, and the models beside the program. */
#include "app/app.h"
#include "core/file.h"
#include "core/path.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *xdg(const char *variable, const char *below_home, const char *name)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    if (base && base[0] == '/') /* the specification: relative ones are ignored */
        return path_join(base, name);
    return mem_printf("%s/%s/%s", home && home[0] ? home : "/tmp", below_home, name);
}

char *app_user_path(const char *typed)
{
    const char *home = getenv("HOME");
    if (typed[0] != '~' || (typed[1] && typed[1] != '/') || !home || !home[0])
        return path_absolute(typed);
    char *joined = path_join(home, typed[1] ? typed + 2 : "."), *absolute = NULL;
    if (joined)
        absolute = path_absolute(joined);
    mem_free(joined);
    return absolute;
}

char *app_library_path(const char *option)
{
    const char *env = getenv("EIDETIC_LIBRARY");
    if (option && option[0])
        return app_user_path(option);
    if (env && env[0])
        return app_user_path(env);
    return xdg("XDG_DATA_HOME", ".local/share", "eidetic");
}

char *app_config_path(void)
{
    return xdg("XDG_CONFIG_HOME", ".config", "eidetic/config");
}

/* "<prefix>/bin/eidetic" -> "<prefix>/share/eidetic/models", so that a moved installation still
 * works. */
static char *models_beside_program(void)
{
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0)
        return mem_strdup("");
    exe[n] = 0;
    char *bin = path_dir(exe), *prefix = bin ? path_dir(bin) : NULL;
    char *models = prefix ? path_join(prefix, "share/eidetic/models") : NULL;
    mem_free(bin);
    mem_free(prefix);
    return models;
}

enum { MODEL_FOLDERS = 5, NAMES_SHOWN = 130 };

/* In order of precedence; "" where there is none. */
static enum status model_folders(char *folder[MODEL_FOLDERS], struct error *err)
{
    const char *env = getenv("EIDETIC_MODELS");
    folder[0] = mem_strdup(env ? env : "");
    folder[1] = xdg("XDG_DATA_HOME", ".local/share", "eidetic/models");
    folder[2] = models_beside_program();
    folder[3] = mem_strdup(EIDETIC_MODELS_INSTALLED);
    folder[4] = mem_strdup(EIDETIC_MODELS_SOURCE); /* a program run from its build folder */
    for (int i = 0; i < MODEL_FOLDERS; i++)
        if (!folder[i])
            return error_set(err, ST_NOMEM, "out of memory");
    return ST_OK;
}

char *app_models_folder(void)
{
    const char *env = getenv("EIDETIC_MODELS");
    return env && env[0] ? path_absolute(env)
                         : xdg("XDG_DATA_HOME", ".local/share", "eidetic/models");
}

static void free_folders(char *folder[MODEL_FOLDERS])
{
    for (int i = 0; i < MODEL_FOLDERS; i++)
        mem_free(folder[i]);
}

static bool is_model(const char *name, const char *path)
{
    return name[0] != '.' &&
           (file_is_dir(path) || path_has_ext(name, "safetensors") || path_has_ext(name, "pt") ||
            path_has_ext(name, "bin") || path_has_ext(name, "gguf"));
}

enum status app_each_model(enum status (*each)(void *ctx, const char *name, const char *path),
                           void *ctx, struct error *err)
{
    char *folder[MODEL_FOLDERS] = {0};
    enum status st = model_folders(folder, err);
    for (int i = 0; !st && i < MODEL_FOLDERS; i++) {
        DIR *d = folder[i][0] ? opendir(folder[i]) : NULL;
        bool again = false; /* the installed and the source folder may be one */
        for (int k = 0; k < i; k++)
            again |= !strcmp(folder[k], folder[i]);
        for (struct dirent *e; d && !again && !st && (e = readdir(d));) {
            char *path = path_join(folder[i], e->d_name);
            if (path && is_model(e->d_name, path))
                st = each(ctx, e->d_name, path);
            mem_free(path);
        }
        if (d)
            closedir(d);
    }
    free_folders(folder);
    return st;
}

static bool is_listed(const struct buf *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list->len ? list->data : NULL; p && (p = strstr(p, name)); p++)
        if ((p == list->data || p[-1] == ' ') && (!p[n] || p[n] == ','))
            return true;
    return false;
}

/* A name that lies in two folders means the first of them: it is one model to choose from. */
static enum status add_name(void *ctx, const char *name, const char *path)
{
    struct buf *list = ctx, one;
    (void)path;
    buf_init(&one, NAME_MAX * 4);
    buf_text_safe(&one, name);
    if (!one.failed && one.len && !is_listed(list, one.data))
        buf_printf(list, "%s%s", list->len ? ", " : "", one.data);
    buf_release(&one);
    return ST_OK;
}

enum status app_find_model(const char *name, char **path, struct error *err)
{
    char *folder[MODEL_FOLDERS] = {0};
    *path = NULL;
    if (strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..")) {
        if (!(*path = app_user_path(name)))
            return error_set(err, ST_NOMEM, "out of memory");
        if (file_exists(*path))
            return ST_OK;
        mem_free(*path);
        *path = NULL;
        return error_set(err, ST_NOT_FOUND, "%s: no such model file or folder", name);
    }
    enum status st = model_folders(folder, err);
    for (int i = 0; !st && !*path && i < MODEL_FOLDERS; i++) {
        char *p = folder[i][0] ? path_join(folder[i], name) : NULL;
        if (p && file_exists(p))
            *path = p;
        else
            mem_free(p);
    }
    free_folders(folder);
    if (!st && !*path && file_exists(name))
        *path = path_absolute(name);
    if (st || *path)
        return st;
    struct buf names;
    buf_init(&names, 1 << 20);
    app_each_model(add_name, &names, NULL);
    size_t whole = names.len > NAMES_SHOWN ? utf8_whole(names.data, NAMES_SHOWN) : names.len;
    st = error_set(err, ST_NOT_FOUND, "no model is called \"%.60s\"; there is: %.*s%s", name,
                   whole ? (int)whole : 4, whole ? names.data : "none",
                   whole < names.len ? "..." : "");
    buf_release(&names);
    return st;
}
