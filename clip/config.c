/* JSON configs of models. They are hostile: every number has a range before anything is sized by
 * it. */
#include "clip/config.h"
#include "core/file.h"
#include "core/mem.h"
#include <math.h>

enum status clip_config_parse(json_t **root, const char *text, size_t size, const char *label,
                              struct error *err)
{
    json_error_t je;
    /* Integers as reals: transformers writes numbers beyond 64 bits, which jansson refuses
     * otherwise. */
    *root = json_loadb(text, size, JSON_DECODE_INT_AS_REAL, &je);
    if (!*root)
        return error_set(err, ST_FORMAT, "%s: not valid json at line %d", label, je.line);
    if (!json_is_object(*root)) {
        json_decref(*root);
        *root = NULL;
        return error_set(err, ST_FORMAT, "%s: not a json object", label);
    }
    return ST_OK;
}

enum status clip_config_read(json_t **root, const char *path, struct error *err)
{
    char *data = NULL;
    size_t size = 0;
    enum status st = file_read_all(&data, &size, path, 16u << 20, err);
    if (!st)
        st = clip_config_parse(root, data, size, path, err);
    mem_free(data);
    return st;
}

enum status clip_config_fail(struct clip_config *g, enum status code, const char *fmt, ...)
{
    if (g->status)
        return g->status;
    char text[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    g->status = code;
    return error_set(g->err, code, "%s: %s", g->file, text);
}

static const json_t *value_at(const struct clip_config *g, const json_t *o, const char *key)
{
    const json_t *v = g->status ? NULL : json_object_get(o, key);
    return json_is_null(v) ? NULL : v;
}

static bool whole_number(const json_t *v, int lo, int hi, int *out)
{
    double d = json_is_number(v) ? json_number_value(v) : NAN;
    if (!(d >= lo && d <= hi) || d != floor(d))
        return false;
    *out = (int)d;
    return true;
}

int clip_config_int(struct clip_config *g, const json_t *o, const char *key, int otherwise, int lo,
                    int hi)
{
    const json_t *v = value_at(g, o, key);
    int n = otherwise;
    if (v && !whole_number(v, lo, hi, &n))
        clip_config_fail(g, ST_FORMAT, "%s must be a whole number from %d to %d", key, lo, hi);
    return n;
}

int clip_config_side(struct clip_config *g, const json_t *o, const char *key, int otherwise, int lo,
                     int hi)
{
    const json_t *v = value_at(g, o, key);
    if (!json_is_array(v))
        return clip_config_int(g, o, key, otherwise, lo, hi);
    int a = 0, b = 0;
    if (json_array_size(v) != 2 || !whole_number(json_array_get(v, 0), lo, hi, &a) ||
        !whole_number(json_array_get(v, 1), lo, hi, &b))
        clip_config_fail(g, ST_FORMAT, "%s must be two whole numbers from %d to %d", key, lo, hi);
    else if (a != b)
        clip_config_fail(g, ST_UNSUPPORTED, "%s is %d x %d, and only squares are read", key, a, b);
    return g->status ? otherwise : a;
}

double clip_config_real(struct clip_config *g, const json_t *o, const char *key, double otherwise,
                        double lo, double hi)
{
    const json_t *v = value_at(g, o, key);
    if (!v)
        return otherwise;
    double d = json_is_number(v) ? json_number_value(v) : NAN;
    if (d >= lo && d <= hi)
        return d;
    clip_config_fail(g, ST_FORMAT, "%s must be a number from %g to %g", key, lo, hi);
    return otherwise;
}

bool clip_config_bool(struct clip_config *g, const json_t *o, const char *key, bool otherwise)
{
    const json_t *v = value_at(g, o, key);
    if (!v)
        return otherwise;
    if (!json_is_boolean(v))
        clip_config_fail(g, ST_FORMAT, "%s must be true or false", key);
    return json_is_true(v);
}

const char *clip_config_text(struct clip_config *g, const json_t *o, const char *key,
                             const char *otherwise)
{
    const json_t *v = value_at(g, o, key);
    if (!v)
        return otherwise;
    if (json_is_string(v))
        return json_string_value(v);
    clip_config_fail(g, ST_FORMAT, "%s must be a string", key);
    return otherwise;
}

void clip_config_real3(struct clip_config *g, const json_t *o, const char *key, float x[3])
{
    const json_t *v = value_at(g, o, key);
    if (!v)
        return;
    for (size_t i = 0; i < 3; i++) {
        const json_t *e = json_is_array(v) && json_array_size(v) == 3 ? json_array_get(v, i) : v;
        double d = json_is_number(e) ? json_number_value(e) : NAN;
        if (!(fabs(d) <= 1e6)) {
            clip_config_fail(g, ST_FORMAT, "%s must be three numbers", key);
            return;
        }
        x[i] = (float)d;
    }
}

const json_t *clip_config_object(struct clip_config *g, const json_t *o, const char *key)
{
    const json_t *v = value_at(g, o, key);
    if (v && !json_is_object(v)) {
        clip_config_fail(g, ST_FORMAT, "%s must be an object", key);
        return NULL;
    }
    return v;
}

void clip_config_heads(struct clip_config *g, const char *key, int width, int heads)
{
    if (heads < 1 || width % heads != 0)
        clip_config_fail(g, ST_FORMAT, "%s %d is not a multiple of %d heads", key, width, heads);
}
