/* The records of ComfyUI and InvokeAI as AUTOMATIC1111's text. ComfyUI keeps the graph that made
 * the picture: what leads into its sampler's inputs is followed from node to node. */
#include "core/buf.h"
#include "core/mem.h"
#include "image/parameters.h"
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

enum { DEPTH = 16 }; /* of links that are followed; a graph may be a circle */

struct record {
    const char *prompt, *negative, *sampler, *schedule, *model;
    const json_t *steps, *guidance, *seed, *width, *height, *strength;
};

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static void put_text(struct buf *b, const char *key, const char *value)
{
    if (value && value[0])
        parameters_put(b, key, value);
}

static void put_number(struct buf *b, const char *key, const json_t *v)
{
    if (json_is_integer(v))
        buf_printf(b, ", %s: %" JSON_INTEGER_FORMAT, key, json_integer_value(v));
    else if (json_is_real(v))
        buf_printf(b, ", %s: %.9g", key, json_real_value(v));
}

/* "" where it is no record of a picture, or too long. */
static void write_text(char out[PARAMETERS_MAX], const struct record *r)
{
    struct parameters parsed;
    struct buf b;
    out[0] = 0;
    if (!json_is_integer(r->steps))
        return;
    buf_init(&b, PARAMETERS_MAX);
    buf_puts(&b, r->prompt ? r->prompt : "");
    if (r->negative && r->negative[0])
        buf_printf(&b, "\nNegative prompt: %s", r->negative);
    buf_printf(&b, "\nSteps: %" JSON_INTEGER_FORMAT, json_integer_value(r->steps));
    put_text(&b, "Sampler", r->sampler);
    put_text(&b, "Schedule type", r->schedule);
    put_number(&b, "CFG scale", r->guidance);
    put_number(&b, "Seed", json_is_integer(r->seed) ? r->seed : NULL);
    if (json_is_integer(r->width) && json_is_integer(r->height))
        buf_printf(&b, ", Size: %" JSON_INTEGER_FORMAT "x%" JSON_INTEGER_FORMAT,
                   json_integer_value(r->width), json_integer_value(r->height));
    put_text(&b, "Model", r->model);
    put_number(&b, "Denoising strength", r->strength);
    if (!b.failed && b.len < PARAMETERS_MAX && !parameters_parse(&parsed, b.data, NULL)) {
        memcpy(out, b.data, b.len + 1);
        parameters_release(&parsed);
    }
    buf_release(&b);
}

/* The inputs of the node that a link ["id", output] leads to; NULL: it is no link. */
static const json_t *follow(const json_t *graph, const json_t *link)
{
    const char *id = json_is_array(link) ? json_string_value(json_array_get(link, 0)) : NULL;
    return id ? json_object_get(json_object_get(graph, id), "inputs") : NULL;
}

/* The first text on the way from a link, by the names that nodes give it. */
static const char *find_text(const json_t *graph, const json_t *link, bool negative)
{
    static const char *const names[] = {"text", "text_g", "prompt", "string", "value", "wildcard"};
    static const char *const through[] = {"conditioning", "conditioning_1", "conditioning_to"};
    for (int depth = 0; depth < DEPTH; depth++) {
        const json_t *in = follow(graph, link);
        if (!in)
            return NULL;
        const json_t *next = NULL;
        for (size_t i = 0; i < sizeof names / sizeof *names && !next; i++) {
            const json_t *v = json_object_get(in, names[i]);
            if (json_is_string(v))
                return json_string_value(v);
            next = json_is_array(v) ? v : NULL;
        }
        for (size_t i = 0; i < sizeof through / sizeof *through && !next; i++)
            next = json_object_get(in, through[i]);
        link = next ? next : json_object_get(in, negative ? "negative" : "positive");
    }
    return NULL;
}

static const char *find_model(const json_t *graph, const json_t *link)
{
    for (int depth = 0; depth < DEPTH; depth++) {
        const json_t *in = follow(graph, link);
        const char *name = text_of(in, "ckpt_name");
        if (!name)
            name = text_of(in, "unet_name");
        if (!in || name)
            return name;
        link = json_object_get(in, "model");
    }
    return NULL;
}

static void find_size(const json_t *graph, const json_t *link, struct record *r)
{
    for (int depth = 0; depth < DEPTH && !r->width; depth++) {
        const json_t *in = follow(graph, link);
        if (json_is_integer(json_object_get(in, "width"))) {
            r->width = json_object_get(in, "width");
            r->height = json_object_get(in, "height");
        }
        link = json_object_get(in, "samples"); /* an enlarging node */
    }
}

/* The sampler that starts from noise, else any. */
static const json_t *find_sampler(const json_t *graph)
{
    const json_t *best = NULL, *node;
    const char *id;
    json_object_foreach((json_t *)(uintptr_t)graph, id, node)
    {
        const json_t *in = json_object_get(node, "inputs");
        if (!json_object_get(in, "steps") || !json_is_array(json_object_get(in, "positive")))
            continue;
        double strength = json_number_value(json_object_get(in, "denoise"));
        if (!best || strength == 1)
            best = in;
        if (strength == 1)
            break;
    }
    return best;
}

static void read_comfy(char out[PARAMETERS_MAX], const json_t *graph)
{
    const json_t *in = find_sampler(graph);
    if (!in)
        return;
    struct record r = {.prompt = find_text(graph, json_object_get(in, "positive"), false),
                       .negative = find_text(graph, json_object_get(in, "negative"), true),
                       .sampler = text_of(in, "sampler_name"),
                       .schedule = text_of(in, "scheduler"),
                       .model = find_model(graph, json_object_get(in, "model")),
                       .steps = json_object_get(in, "steps"),
                       .guidance = json_object_get(in, "cfg"),
                       .seed = json_object_get(in, "seed"),
                       .strength = json_object_get(in, "denoise")};
    if (!r.seed)
        r.seed = json_object_get(in, "noise_seed");
    if (json_number_value(r.strength) == 1)
        r.strength = NULL;
    find_size(graph, json_object_get(in, "latent_image"), &r);
    write_text(out, &r);
}

/* InvokeAI 3 and later: flat; before, the same below "image". */
static void read_invoke(char out[PARAMETERS_MAX], const json_t *o)
{
    const json_t *image = json_object_get(o, "image"), *model = json_object_get(o, "model");
    if (image) {
        const json_t *p = json_object_get(image, "prompt");
        if (json_is_array(p))
            p = json_object_get(json_array_get(p, 0), "prompt");
        write_text(out, &(struct record){.prompt = json_string_value(p),
                                         .sampler = text_of(image, "sampler"),
                                         .model = text_of(o, "model_weights"),
                                         .steps = json_object_get(image, "steps"),
                                         .guidance = json_object_get(image, "cfg_scale"),
                                         .seed = json_object_get(image, "seed"),
                                         .width = json_object_get(image, "width"),
                                         .height = json_object_get(image, "height")});
        return;
    }
    const char *name = text_of(model, "name");
    write_text(out, &(struct record){.prompt = text_of(o, "positive_prompt"),
                                     .negative = text_of(o, "negative_prompt"),
                                     .sampler = text_of(o, "scheduler"),
                                     .model = name ? name : text_of(model, "model_name"),
                                     .steps = json_object_get(o, "steps"),
                                     .guidance = json_object_get(o, "cfg_scale"),
                                     .seed = json_object_get(o, "seed"),
                                     .width = json_object_get(o, "width"),
                                     .height = json_object_get(o, "height"),
                                     .strength = json_object_get(o, "strength")});
}

bool parameters_record(char out[PARAMETERS_MAX], const char *key, const char *text, size_t n)
{
    bool comfy = !strcmp(key, "prompt");
    bool invoke = !strcmp(key, "invokeai_metadata") || !strcmp(key, "sd-metadata");
    out[0] = 0;
    if (!comfy && !invoke)
        return false;
    json_t *o = json_loadb(text, n, 0, NULL);
    if (!o) /* a seed beyond 63 bits: all else is there */
        o = json_loadb(text, n, JSON_DECODE_INT_AS_REAL, NULL);
    if (json_is_object(o) && comfy)
        read_comfy(out, o);
    else if (json_is_object(o))
        read_invoke(out, o);
    json_decref(o);
    return out[0] != 0;
}
