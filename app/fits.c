/* "Does anything fit?" depends on the model, so its constants stand in the model's config.json:
 * "fits": {"spread_weight":..., "threshold":..., "threshold_per_log10_n":..., "n_min":...,
 * "n_max":...}; search/rank.h says what each does. */
#include "app/search_app.h"
#include "core/file.h"

static float number(const json_t *o, const char *key)
{
    return (float)json_number_value(json_object_get(o, key));
}

static size_t whole(const json_t *o, const char *key)
{
    double v = json_number_value(json_object_get(o, key));
    return v > 0 && v < 1e9 ? (size_t)v : 0;
}

void fits_load(struct fits_params *p, const char *model_path)
{
    char *path = path_join(model_path, "config.json"), *text = NULL;
    size_t size;
    *p = (struct fits_params){0};
    if (path && !file_read_all(&text, &size, path, 1 << 20, NULL)) {
        json_t *root = json_loadb(text, size, 0, NULL);
        const json_t *o = json_object_get(root, "fits");
        p->calibrated = json_is_number(json_object_get(o, "threshold"));
        p->spread_weight = number(o, "spread_weight");
        p->threshold = number(o, "threshold");
        p->threshold_per_log10_n = number(o, "threshold_per_log10_n");
        p->n_min = whole(o, "n_min");
        p->n_max = whole(o, "n_max");
        json_decref(root);
    }
    mem_free(text);
    mem_free(path);
}
