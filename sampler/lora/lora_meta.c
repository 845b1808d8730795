/* Alphas that diffusers keeps in the metadata since 0.34: "lora_adapter_metadata" is peft's config
 * as JSON, {"unet.r": 4, "unet.lora_alpha": 8, "unet.alpha_pattern": {"a.to_q": 2}, ...}. */
#include "core/mem.h"
#include "sampler/lora/lora_int.h"
#include <jansson.h>
#include <math.h>
#include <string.h>

static const char *const parts[] = {"unet", "text_encoder"};

static const json_t *entry(const json_t *root, const char *part, const char *key)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", part, key);
    return json_object_get(root, name);
}

/* Is the module's name this one, or this one behind a dot? A pattern may begin with '^'. */
static bool names(const char *pattern, const char *name, size_t n)
{
    size_t k = strlen(pattern += *pattern == '^');
    return k && k <= n && memcmp(name + n - k, pattern, k) == 0 &&
           (k == n || name[n - k - 1] == '.');
}

static double alpha_of(const json_t *root, const char *part, const struct lora_module *m)
{
    const json_t *v = entry(root, part, "lora_alpha");
    json_t *own;
    const char *name = m->key + strlen(part) + 1, *pattern;
    size_t n = (size_t)m->stem - strlen(part) - 1;
    double alpha = json_number_value(v);
    json_object_foreach((json_t *)(uintptr_t)entry(root, part, "alpha_pattern"), pattern,
                        own) if (names(pattern, name, n) && json_is_number(own)) alpha =
        json_number_value(own);
    const struct tensor *down = m->t[LORA_DOWN];
    if (json_is_true(entry(root, part, "use_rslora")) && down && down->dim[0] > 0)
        alpha *= sqrt((double)down->dim[0]); /* it is divided by the rank later, not by its root */
    return alpha;
}

enum status lora_meta_read(struct lora_file *f, struct error *err)
{
    const char *text = weights_meta(f->w, "lora_adapter_metadata");
    json_error_t je;
    char q[LORA_QUOTE];
    if (!text)
        return ST_OK;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &je);
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(err, ST_FORMAT, "%s: its lora_adapter_metadata is not a JSON object",
                         lora_quote(q, f->path));
    }
    for (int i = 0; i < f->n; i++)
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            struct lora_module *m = &f->module[i];
            size_t k = strlen(parts[p]);
            if (strncmp(m->key, parts[p], k) == 0 && m->key[k] == '.' && (size_t)m->stem > k + 1)
                m->alpha = alpha_of(root, parts[p], m);
        }
    json_decref(root);
    return ST_OK;
}
