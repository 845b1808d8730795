/* "Does anything fit?" depends on the model, so its constants stand in the model's config.json:
 * "fits": {"bias":..., "score":..., "z":..., "gap":..., "logn":..., "gap_rank":...,
 * "min_score":..., "min_n":..., "small_score":...}; search/rank.h says what each does. */
#include "app/search_app.h"
#include "core/file.h"

static float number(const json_t *o, const char *key)
{
    return (float)json_number_value(json_object_get(o, key));
}

static size_t whole(const json_t *o, const char *key)
{
    double v = json_number_value(json_object_get(o, key));
    return v > 0 && v < 1e6 ? (size_t)v : 0;
}

void fits_load(struct fits_params *p, const char *model_path)
{
    char *path = path_join(model_path, "config.json"), *text = NULL;
    size_t size;
    *p = (struct fits_params){0};
    if (path && !file_read_all(&text, &size, path, 1 << 20, NULL)) {
        json_t *root = json_loadb(text, size, 0, NULL);
        const json_t *o = json_object_get(root, "fits");
        p->bias = number(o, "bias");
        p->w_score = number(o, "score");
        p->w_z = number(o, "z");
        p->w_gap = number(o, "gap");
        p->w_logn = number(o, "logn");
        p->gap_rank = whole(o, "gap_rank");
        p->min_score = number(o, "min_score");
        p->min_n = whole(o, "min_n");
        p->small_score = number(o, "small_score");
        json_decref(root);
    }
    mem_free(text);
    mem_free(path);
}
