/* eidetic generate: a picture from a sentence, by a Stable Diffusion checkpoint. */
#include "app/app.h"
#include "app/generate_app.h"
#include "core/file.h"
#include "core/progress.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct generate_args {
    const char *negative, *seed, *sampler, *schedule, *rng, *output, *prediction, *checkpoint;
    const char *lora_dir;
    int width, height, steps, count, clip_skip;
    double guidance;
};

static const struct option_def defs[] = {
    {"negative-prompt", 'n', OPT_TEXT, offsetof(struct generate_args, negative), "TEXT",
     "what the picture is led away from"},
    {"width", 'W', OPT_INT, offsetof(struct generate_args, width), "N",
     "pixels, a multiple of 8 (512)"},
    {"height", 'H', OPT_INT, offsetof(struct generate_args, height), "N",
     "pixels, a multiple of 8 (512)"},
    {"steps", 0, OPT_INT, offsetof(struct generate_args, steps), "N", "steps of the solver (20)"},
    {"cfg-scale", 0, OPT_NUMBER, offsetof(struct generate_args, guidance), "X",
     "how strongly the prompt leads; 1 = without the negative (7)"},
    {"seed", 's', OPT_TEXT, offsetof(struct generate_args, seed), "N",
     "of the first picture, the next has N + 1; negative = random (-1)"},
    {"batch-count", 'b', OPT_INT, offsetof(struct generate_args, count), "N", "pictures (1)"},
    {"sampler", 0, OPT_TEXT, offsetof(struct generate_args, sampler), "NAME",
     "solver, in any program's spelling: \"DPM++ 2M\", dpmpp_2m_karras (Euler a)"},
    {"schedule", 0, OPT_TEXT, offsetof(struct generate_args, schedule), "NAME",
     "noise levels (the solver's, else normal)"},
    {"clip-skip", 0, OPT_INT, offsetof(struct generate_args, clip_skip), "N",
     "2 leaves out the text tower's last layer (1)"},
    {"rng", 0, OPT_TEXT, offsetof(struct generate_args, rng), "cpu|cuda",
     "whose noise: torch's on a processor or on a graphics card (cpu)"},
    {"prediction", 0, OPT_TEXT, offsetof(struct generate_args, prediction), "eps|v",
     "what the network predicts, where the files do not say (eps)"},
    {"output", 'o', OPT_TEXT, offsetof(struct generate_args, output), "FILE",
     "a .png that is not there yet; %d or %03d in it is the picture's number"},
    {"checkpoint", 0, OPT_TEXT, offsetof(struct generate_args, checkpoint), "NAME|PATH",
     "as --model; this is the name for the config file"},
    {"lora-dir", 0, OPT_TEXT, offsetof(struct generate_args, lora_dir), "DIR",
     "where <lora:NAME:0.8> in the prompt finds NAME.safetensors, folders below it included"},
    {0}};

/* AUTOMATIC1111 draws random seeds from 32 bits, so that they fit its fields. */
static int read_seed(struct app *a, const char *text, uint64_t *seed)
{
    char *end;
    errno = 0;
    long long v = text ? strtoll(text, &end, 10) : -1;
    if (text && (errno || end == text || *end))
        return app_usage(a, "--seed needs a whole number, not \"%.40s\"", text);
    *seed = (uint64_t)v;
    uint32_t random = 0;
    if (v >= 0)
        return 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = (uint32_t)(time_now() * 1e6);
    *seed = random;
    return 0;
}

static int unknown_name(struct app *a, const char *option, const char *name, struct buf *known)
{
    app_usage(a, "no %s is called \"%.40s\"; there are: %s", option, name,
              known->data ? known->data : "");
    buf_release(known);
    return 1;
}

static int read_names(struct app *a, const struct generate_args *g, struct sampler_job *job)
{
    struct buf known;
    buf_init(&known, 1 << 16);
    const struct schedule *own = NULL;
    if (g->sampler && !(job->solver = solver_find(g->sampler, &own))) {
        for (int i = 0; solver_list[i]; i++)
            buf_printf(&known, "%s%s", i ? ", " : "", solver_list[i]->name);
        return unknown_name(a, "sampler", g->sampler, &known);
    }
    job->schedule = own;
    if (g->schedule && !(job->schedule = schedule_find(g->schedule))) {
        for (int i = 0; schedule_list[i]; i++)
            buf_printf(&known, "%s%s", i ? ", " : "", schedule_list[i]->name);
        return unknown_name(a, "schedule", g->schedule, &known);
    }
    buf_release(&known);
    job->rng = g->rng && !strcmp(g->rng, "cuda") ? NOISE_PHILOX : NOISE_TORCH;
    if (g->rng && job->rng == NOISE_TORCH && strcmp(g->rng, "cpu") != 0)
        return app_usage(a, "--rng is cpu or cuda, not \"%.40s\"", g->rng);
    return 0;
}

static int read_job(struct app *a, const struct generate_args *g, struct sampler_job *job)
{
    *job = (struct sampler_job){.prompt = a->rest.item[0].value,
                                .negative = g->negative,
                                .width = g->width,
                                .height = g->height,
                                .steps = g->steps,
                                .has_guidance = true,
                                .guidance = g->guidance,
                                .clip_skip = g->clip_skip,
                                .stop = a->stop};
    if (!g->width || !g->height || !g->steps || !g->clip_skip)
        return app_usage(a, "--width, --height, --steps and --clip-skip are at least 1");
    if (g->count < 1 || g->count > 100000)
        return app_usage(a, "--batch-count is from 1 to 100000");
    if (!utf8_valid(job->prompt, strlen(job->prompt)) ||
        (job->negative && !utf8_valid(job->negative, strlen(job->negative))))
        return app_usage(a, "the prompt is not valid UTF-8");
    return read_names(a, g, job) || read_seed(a, g->seed, &job->seed);
}

static int open_checkpoint(struct app *a, const struct generate_args *g, struct checkpoint **c)
{
    struct checkpoint_opts o = {0};
    /* the config file's model is the library's */
    const char *name = a->model && a->model != a->config_model ? a->model : g->checkpoint;
    if (g->prediction && !strcmp(g->prediction, "v"))
        o.prediction = PREDICT_V;
    else if (g->prediction && strcmp(g->prediction, "eps") == 0)
        o.prediction = PREDICT_NOISE;
    else if (g->prediction)
        return app_usage(a, "--prediction is eps or v, not \"%.40s\"", g->prediction);
    if (!name)
        return app_usage(a, "generate needs a checkpoint: --model FILE, or a line \"checkpoint = "
                            "FILE\" in the config file");
    enum status st = app_find_model(name, &a->model_path, &a->err);
    if (!st)
        st = checkpoint_open(c, a->model_path, &o, &a->err);
    return st ? app_fail(a, APP_MODEL) : 0;
}

/* Free memory as the system tells it, swap not counted; 0 = it does not tell. */
static uint64_t memory_available(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    char line[128];
    uint64_t kib = 0;
    while (f && !kib && fgets(line, sizeof line, f))
        if (!strncmp(line, "MemAvailable:", 13))
            kib = strtoull(line + 13, NULL, 10);
    if (f)
        fclose(f);
    return kib * 1024;
}

static void warn_memory(const struct checkpoint *c, const struct sampler_job *job)
{
    uint64_t need = sampler_memory(c, job->width, job->height), have = memory_available();
    log_debug("%s: %s; activations take up to %" PRIu64 " MB", c->name, c->layout, need >> 20);
    if (have && need > have)
        log_warn("%d x %d needs %" PRIu64 " MB beside the weights, and %" PRIu64
                 " MB of memory are free",
                 job->width, job->height, need >> 20, have >> 20);
}

struct view {
    struct progress line;
    char label[64];
    int picture, pictures;
};

static void on_progress(void *ctx, const struct sampler_progress *p)
{
    struct view *v = ctx;
    if (v->pictures > 1)
        snprintf(v->label, sizeof v->label, "picture %d of %d, %.2f s a step, step", v->picture,
                 v->pictures, p->seconds);
    else
        snprintf(v->label, sizeof v->label, "%.2f s a step, step", p->seconds);
    v->line.total = (uint64_t)p->calls;
    progress_update(&v->line, (uint64_t)p->call);
}

static int print_picture(struct app *a, const struct sampler_job *job, const char *path,
                         double seconds)
{
    if (a->json) {
        json_t *o = json_pack("{s:I s:i s:o s:i s:i s:s s:s s:b}", "seed", (json_int_t)job->seed,
                              "steps", job->steps, "seconds", json_real6(seconds), "width",
                              job->width, "height", job->height, "sampler", job->solver->name,
                              "schedule", job->schedule->name, "filed", 0);
        if (o)
            json_set_path(o, path);
        return app_print_json(a, o);
    }
    print_path(stdout, path);
    putchar('\n');
    log_info("seed %" PRIu64 ", %.1f s", job->seed, seconds);
    return app_check_stdout(a);
}

/* What failed says whose fault it is: words, or weights. */
static int fail_run(struct app *a, enum status st)
{
    return app_fail(a, st == ST_UNSUPPORTED || st == ST_LIMIT ? APP_USAGE : APP_MODEL);
}

static int one_picture(struct app *a, struct sampler *s, const struct checkpoint *c,
                       struct sampler_job *job, const char *pattern, int *index, struct view *v)
{
    struct image img = {0};
    char *path = NULL, *text = NULL;
    double start = time_now();
    if (generate_path(&path, pattern, index, &a->err))
        return app_fail(a, APP_USAGE);
    progress_init(&v->line, stderr, v->label, 1, !a->quiet);
    job->progress = on_progress;
    job->progress_ctx = v;
    enum status st = sampler_run(s, job, &img, &a->err);
    progress_finish(&v->line);
    int failed = st ? fail_run(a, st) : 0;
    mem_free(path); /* somebody else may have taken the name in the meantime */
    path = NULL;
    if (!failed && generate_path(&path, pattern, index, &a->err))
        failed = app_fail(a, APP_USAGE);
    text = failed ? NULL : generate_parameters(job, c->name, c->prediction);
    const char *const pairs[] = {"parameters", text, NULL};
    if (!failed && !text) {
        error_set(&a->err, ST_NOMEM, "out of memory");
        failed = app_fail(a, APP_FILE);
    }
    if (!failed && image_write_png(path, &img, pairs, &a->err))
        failed = app_fail(a, APP_LIBRARY);
    if (!failed)
        failed = print_picture(a, job, path, time_now() - start);
    image_release(&img);
    mem_free(text);
    mem_free(path);
    return failed;
}

static int run(struct app *a, int argc, char **argv)
{
    struct generate_args g = {
        .width = 512, .height = 512, .steps = 20, .count = 1, .clip_skip = 1, .guidance = 7};
    struct checkpoint *c = NULL;
    struct sampler *s = NULL;
    struct generate_nets nets = {0};
    struct sampler_job job;
    struct view v = {0};
    int index = 1;
    if (app_begin(a, &cmd_generate, defs, &g, argc, argv) || app_want_args(a, 1, 1))
        return a->exit;
    if (read_job(a, &g, &job))
        return a->exit;
    if (a->precision && strcmp(a->precision, "auto") != 0 && strcmp(a->precision, "f32") != 0)
        return app_usage(a, "generate computes in f32, not %.40s", a->precision), a->exit;
    if (!g.output)
        return app_usage(a, "generate needs -o FILE, as in -o picture.png"), a->exit;
    if (generate_check_pattern(g.output, g.count, &a->err))
        return app_fail(a, APP_USAGE), a->exit;
    if (open_checkpoint(a, &g, &c))
        return a->exit;
    assert(c);
    const char *device = !a->device || !strcmp(a->device, "auto") ? "cpu" : a->device;
    nets.lora_dir = g.lora_dir;
    if (sampler_check(c, &job, &a->err))
        app_fail(a, APP_MODEL);
    else if (generate_nets_open(a, &nets, c, job.prompt))
        s = NULL;
    else if (sampler_new(&s, c, device, a->threads, &a->err))
        app_fail(a, APP_MODEL);
    else
        warn_memory(c, &job);
    v.pictures = g.count;
    for (v.picture = 1; s && v.picture <= g.count; v.picture++, job.seed++)
        if (one_picture(a, s, c, &job, g.output, &index, &v))
            break;
    sampler_free(s);
    generate_nets_close(&nets);
    checkpoint_close(c);
    return a->exit;
}

const struct command cmd_generate = {
    "generate", "a picture from a sentence",
    "usage: eidetic generate PROMPT --model CHECKPOINT -o FILE.png\n\n"
    "Makes a picture with a Stable Diffusion 1.x checkpoint (one file, or a diffusers folder), "
    "which --model\n"
    "names here. Solvers and noise follow k-diffusion and torch, step by step. The prompt has\n"
    "AUTOMATIC1111's grammar: (a:1.3), [a], [a:b:0.5], [a|b], AND, BREAK, <lora:NAME:0.8>, or\n"
    "<lora:NAME:TEXT:UNET> with a strength for the text tower and one for the denoiser. The file "
    "holds\n"
    "its parameters as text, and is never written over another.\n\n"
    "  eidetic generate \"a lighthouse at night\" --model ~/sd/v1-5.safetensors -o lighthouse.png\n"
    "  eidetic generate \"a (red:1.3) boat\" -n blurry --sampler \"DPM++ 2M Karras\" --steps 25 "
    "\\\n"
    "      --seed 42 -b 4 --model v1-5.safetensors -o boat-%03d.png",
    run};
