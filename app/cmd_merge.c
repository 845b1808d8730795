/* eidetic merge: two or three checkpoints into one. */
#include "app/app.h"
#include "core/file.h"
#include "nn/merge.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As extensions for mixing by block count them: IN00 to IN11, M00, OUT00 to OUT11. */
enum { IN = 12, BLOCKS = 25 };

struct merge_args {
    double ratio;
    const char *blocks, *type, *output;
};

static const struct option_def defs[] = {
    {"ratio", 'r', OPT_NUMBER, offsetof(struct merge_args, ratio), "X",
     "of B, or of B's difference to C (0.5)"},
    {"blocks", 0, OPT_TEXT, offsetof(struct merge_args, blocks), "X,X,...",
     "ratios of the unet's 25 blocks: 12 in, the middle, 12 out; --ratio is for the rest"},
    {"type", 0, OPT_TEXT, offsetof(struct merge_args, type), "T",
     "f32, f16 or bf16 (each tensor's as in A)"},
    {"output", 'o', OPT_TEXT, offsetof(struct merge_args, output), "FILE",
     "a .safetensors file that is not there yet"},
    {0}};

struct ratios {
    double rest, block[BLOCKS];
};

/* "12." at s: the number, if it is below the limit; else -1. */
static int number_of(const char *s, int limit)
{
    char *end;
    long n = strtol(s, &end, 10);
    return end != s && *end == '.' && n >= 0 && n < limit ? (int)n : -1;
}

static double ratio_of(void *ctx, const char *name)
{
    static const char unet[] = "model.diffusion_model.";
    const struct ratios *r = ctx;
    int i = -1;
    if (strncmp(name, unet, sizeof unet - 1) != 0)
        return r->rest;
    name += sizeof unet - 1;
    if (strncmp(name, "input_blocks.", 13) == 0)
        i = number_of(name + 13, IN);
    else if (strncmp(name, "middle_block.", 13) == 0)
        i = IN;
    else if (strncmp(name, "output_blocks.", 14) == 0 && number_of(name + 14, IN) >= 0)
        i = IN + 1 + number_of(name + 14, IN);
    return i >= 0 ? r->block[i] : r->rest;
}

static bool fine(double x)
{
    return fabs(x) <= 100;
}

static int read_ratios(struct app *a, const struct merge_args *g, struct ratios *r)
{
    const char *s = g->blocks;
    int n = 0;
    r->rest = g->ratio;
    if (!fine(r->rest))
        return app_usage(a, "--ratio is a number from -100 to 100");
    for (int i = 0; i < BLOCKS; i++)
        r->block[i] = r->rest;
    for (; s && n < BLOCKS; n++) {
        char *end;
        r->block[n] = strtod(s, &end);
        if (end == s || (*end && *end != ',') || !fine(r->block[n]))
            break;
        s = *end ? end + 1 : NULL;
    }
    if (g->blocks && (n < BLOCKS || s))
        return app_usage(a, "--blocks needs %d numbers from -100 to 100 with commas between",
                         (int)BLOCKS);
    return 0;
}

static int merge(struct app *a, const struct merge_args *g, struct ratios *r)
{
    const char *in[4] = {NULL};
    char ratio[64];
    int type = g->type ? dtype_parse(g->type) : DT_F32;
    if (type != DT_F32 && type != DT_F16 && type != DT_BF16)
        return app_usage(a, "--type is f32, f16 or bf16, not \"%.40s\"", g->type);
    if (!g->output || !path_has_ext(g->output, "safetensors"))
        return app_usage(a, "merge needs -o FILE.safetensors");
    if (file_exists(g->output))
        return app_usage(a, "%.180s is there already, and is never overwritten", g->output);
    for (size_t i = 0; i < a->rest.n; i++) {
        in[i] = a->rest.item[i].value;
        if (file_is_dir(in[i]))
            return app_usage(a, "%.180s is a folder; merge takes single files", in[i]);
    }
    snprintf(ratio, sizeof ratio, "%g%s", r->rest, g->blocks ? ", by blocks" : "");
    const char *const meta[] = {"eidetic.merge",
                                a->rest.n == 3 ? "a + ratio * (b - c)" : "a + ratio * (b - a)",
                                "eidetic.merge_ratio", ratio, NULL};
    struct merge_opts o = {.ratio = ratio_of,
                           .ctx = r,
                           .has_type = g->type != NULL,
                           .type = (enum dtype)type,
                           .meta = meta};
    struct merge_stats s;
    enum status st = merge_weights(in, g->output, &o, &s, &a->err);
    if (st)
        return app_fail(a, st == ST_NOSPACE ? APP_LIBRARY : APP_MODEL);
    if (a->json) {
        json_t *j = json_pack("{s:i s:i s:i s:I}", "tensors", s.tensors, "mixed", s.mixed,
                              "left_out", s.left_out, "bytes", (json_int_t)s.bytes);
        if (j)
            json_set_path(j, g->output);
        return app_print_json(a, j);
    }
    if (s.mixed == 0)
        log_warn("no tensor is in all files; the result is the first one");
    log_info("mixed %d of %d tensors, %.1f MB; %d that only the second file has are left out",
             s.mixed, s.tensors, (double)s.bytes / 1e6, s.left_out);
    return 0;
}

static int run(struct app *a, int argc, char **argv)
{
    struct merge_args g = {.ratio = 0.5};
    struct ratios r;
    if (app_begin(a, &cmd_merge, defs, &g, argc, argv) || app_want_args(a, 2, 3) ||
        read_ratios(a, &g, &r) || merge(a, &g, &r))
        return a->exit;
    return a->exit;
}

const struct command cmd_merge = {
    "merge", "mix two or three checkpoints",
    "usage: eidetic merge A B [C] -o FILE.safetensors\n\n"
    "Two checkpoints are mixed as A + ratio * (B - A), the weighted sum; with a third it is A + "
    "ratio *\n"
    "(B - C), what B learned beyond C added to A. Single files; what only A has stays, and the "
    "type of\n"
    "each tensor too. --blocks has a ratio for each of the 25 blocks of Stable Diffusion 1's "
    "unet.\n\n"
    "  eidetic merge v1-5.safetensors other.safetensors --ratio 0.3 -o mixed.safetensors\n"
    "  eidetic merge mine.safetensors inpainting.safetensors v1-5.safetensors -r 1 -o "
    "both.safetensors",
    run};
