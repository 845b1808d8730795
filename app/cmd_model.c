/* eidetic model: its verbs, and what info, convert and quantize do. */
#include "app/app.h"
#include "app/model_app.h"
#include "nn/weights.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct model_args {
    const char *type, *base_url, *sha256;
    bool tensors, no_speed;
};

static const struct option_def defs[] = {
    {"type", 0, OPT_TEXT, offsetof(struct model_args, type), "T",
     "convert, quantize: f32, f16, bf16, i8 or q8_0"},
    {"tensors", 0, OPT_FLAG, offsetof(struct model_args, tensors), NULL,
     "info: also every tensor's name, type and shape"},
    {"no-speed", 0, OPT_FLAG, offsetof(struct model_args, no_speed), NULL,
     "list: without measuring pictures a second"},
    {"base-url", 0, OPT_TEXT, offsetof(struct model_args, base_url), "URL",
     "pull: where names are looked up "
     "(https://huggingface.co)"},
    {"sha256", 0, OPT_TEXT, offsetof(struct model_args, sha256), "HEX",
     "pull: what the file at the address must have"},
    {0}};

static int add_cosines(struct app *a, json_t *o)
{
    struct precision_cosine c[PREC_CPU];
    int n = app_measure_precisions(a, c);
    for (int p = PREC_BF16; n > 0 && p < PREC_CPU; p++) {
        char key[32];
        snprintf(key, sizeof key, "%s_cosine", precision_name((enum precision)p));
        json_object_set_new(o, key, json_real6(c[p].median));
        snprintf(key, sizeof key, "%s_least", precision_name((enum precision)p));
        json_object_set_new(o, key, json_real6(c[p].least));
    }
    return n < 0;
}

static json_t *info_json(const struct clip_info *i)
{
    json_t *o = json_object();
    const struct {
        const char *key;
        json_t *value;
    } fields[] = {
        {"name", json_text(i->name)},
        {"arch", json_text(i->arch)},
        {"layout", json_text(i->layout)},
        {"tokenizer", json_text(i->tokenizer)},
        {"note", json_text(i->note)},
        {"license", json_text(i->license)},
        {"id", json_text(i->id)},
        {"dim", json_integer(i->dim)},
        {"context", json_integer(i->context)},
        {"image_size", json_integer(i->image_size)},
        {"patch", json_integer(i->patch)},
        {"image_layers", json_integer(i->image_layers)},
        {"image_width", json_integer(i->image_width)},
        {"text_layers", json_integer(i->text_layers)},
        {"text_width", json_integer(i->text_width)},
        {"logit_scale", json_real6(i->logit_scale)},
        {"logit_bias", json_real6(i->logit_bias)},
        {"parameters", json_integer((json_int_t)i->parameters)},
        {"bytes", json_integer((json_int_t)i->bytes)},
        {"dtype", json_text(i->dtype)},
    };
    for (size_t k = 0; k < sizeof fields / sizeof *fields; k++)
        json_object_set_new(o, fields[k].key, fields[k].value);
    return o;
}

static int print_info(struct app *a)
{
    json_t *o = info_json(clip_info(a->clip)), *v;
    const char *key;
    if (add_cosines(a, o)) {
        json_decref(o);
        return 1;
    }
    if (a->json)
        return app_print_json(a, o);
    json_object_foreach(o, key, v)
    {
        struct buf b;
        buf_init(&b, 1 << 16);
        if (json_is_string(v))
            buf_text_safe(&b, json_string_value(v));
        else if (json_is_integer(v))
            buf_printf(&b, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        else if (json_is_real(v))
            buf_printf(&b, "%g", json_real_value(v));
        if (b.data)
            printf("%-14s %s\n", key, b.data);
        buf_release(&b);
    }
    json_decref(o);
    return app_check_stdout(a);
}

static int print_tensors(struct app *a)
{
    struct weights *w = NULL;
    if (weights_open(&w, clip_info(a->clip)->weights, &a->err))
        return app_fail(a, APP_MODEL);
    for (int i = 0; i < weights_count(w); i++) {
        const struct tensor *t = weights_at(w, i);
        struct buf b;
        buf_init(&b, 1 << 16);
        buf_text_safe(&b, weights_name(w, i));
        printf("%-5s ", dtype_name(t->dtype));
        for (int d = 0; d < t->ndim; d++)
            printf("%s%" PRId64, d ? "x" : "", t->dim[d]);
        printf("%s %s\n", t->ndim ? "" : "scalar", b.data ? b.data : "?");
        buf_release(&b);
    }
    weights_close(w);
    return app_check_stdout(a);
}

static int model_info(struct app *a, const struct model_args *args)
{
    if (a->rest.n == 2)
        a->model = a->rest.item[1].value;
    else if (a->rest.n > 2)
        return app_usage(a, "model info takes one model");
    if (app_open_model(a, NULL) || print_info(a))
        return 1;
    return args->tensors ? print_tensors(a) : 0;
}

static int model_convert(struct app *a, const struct model_args *args, const char *fallback)
{
    const char *name = args->type ? args->type : fallback;
    int type = name ? dtype_parse(name) : -1;
    char *in = NULL;
    if (a->rest.n != 3)
        return app_usage(a, "model %s needs a source and a destination", a->rest.item[0].value);
    if (type != DT_F32 && type != DT_F16 && type != DT_BF16 && type != DT_I8 && type != DT_Q8_0)
        return app_usage(a, "--type is f32, f16, bf16, i8 or q8_0%s",
                         name ? "" : " and must be given");
    if (app_find_model(a->rest.item[1].value, &in, &a->err))
        return app_fail(a, APP_MODEL);
    struct convert_stats c;
    const char *out = a->rest.item[2].value;
    enum status st = model_convert_all(in, out, (enum dtype)type, &c, &a->err);
    mem_free(in);
    if (st)
        return app_fail(a, st == ST_NOSPACE ? APP_LIBRARY : APP_MODEL);
    if (a->json) {
        json_t *o = json_pack("{s:I s:I s:s s:f s:s}", "bytes_in", (json_int_t)c.bytes_in,
                              "bytes_out", (json_int_t)c.bytes_out, "source_id", c.source_id,
                              "worst_error", c.worst_error, "worst_tensor", c.worst_name);
        json_set_path(o, out);
        return app_print_json(a, o);
    }
    log_info("%.1f MB to %.1f MB; largest relative error of a tensor %.4f (%s)",
             (double)c.bytes_in / 1e6, (double)c.bytes_out / 1e6, c.worst_error, c.worst_name);
    return 0;
}

static int run(struct app *a, int argc, char **argv)
{
    struct model_args args = {.base_url = "https://huggingface.co"};
    if (app_begin(a, &cmd_model, defs, &args, argc, argv))
        return a->exit;
    const char *verb = a->rest.n ? a->rest.item[0].value : "";
    if (!strcmp(verb, "list"))
        model_list(a, !args.no_speed);
    else if (!strcmp(verb, "pull"))
        model_pull(a, args.base_url, args.sha256);
    else if (!strcmp(verb, "verify"))
        model_verify(a);
    else if (!strcmp(verb, "info"))
        model_info(a, &args);
    else if (!strcmp(verb, "convert"))
        model_convert(a, &args, NULL);
    else if (!strcmp(verb, "quantize"))
        model_convert(a, &args, "i8");
    else
        app_usage(
            a,
            "model needs list, info, pull, verify, convert or quantize (see eidetic model --help)");
    return a->exit;
}

const struct command cmd_model = {
    "model", "list, describe, fetch, check, convert and quantize models",
    "usage: eidetic model list [--no-speed]\n"
    "       eidetic model info [NAME|PATH] [--tensors]\n"
    "       eidetic model pull OWNER/NAME|URL [--base-url URL] [--sha256 HEX]\n"
    "       eidetic model verify [NAME|PATH]\n"
    "       eidetic model convert SOURCE DEST --type f32|f16|bf16|i8|q8_0\n"
    "       eidetic model quantize SOURCE DEST [--type i8|q8_0]\n\n"
    "CLIP, SigLIP and multilingual models in their released layouts (.safetensors, .pt, .bin, "
    ".gguf), found\n"
    "out from the files. A converted model keeps its source's id, so its vectors stay usable.\n"
    "pull says how much it will fetch, goes on where it was cut off, and checks each file's "
    "SHA-256 where the\n"
    "server gives one; verify checks the files again, and that every weight is a finite number.\n\n"
    "  eidetic model pull google/siglip-base-patch16-224\n"
    "  eidetic model info ~/models/clip-vit-base-patch32\n"
    "  eidetic model quantize ~/models/clip-vit-base-patch32 ~/models/clip-b32-i8",
    run};
