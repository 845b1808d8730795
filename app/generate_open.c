/* What a run of `generate` has open: checkpoint, autoencoders, LoRAs, the picture it starts from,
 * the library's model; and what of it stays when the options change. */
#include "app/file_hash.h"
#include "app/generate_app.h"
#include "app/generate_name.h"
#include "core/buf.h"
#include "core/file.h"
#include "sampler/prompt.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *generate_starter_path(void)
{
    char *model = NULL, *path = NULL;
    if (!app_find_model("starter", &model, NULL))
        path = path_join(model, "sampler");
    mem_free(model);
    if (path && file_is_dir(path))
        return path;
    mem_free(path);
    return NULL;
}

/* "" of a folder, which has no such hash. */
static int hash_weights(struct app *a, char hex[65], const char *path)
{
    hex[0] = 0;
    if (!path || file_is_dir(path))
        return 0;
    return file_hash(hex, path, false, a->stop, &a->err) ? app_fail(a, APP_MODEL) : 0;
}

static int open_vae(struct generate_run *r)
{
    struct app *a = r->app;
    char *path = r->args->vae ? app_user_path(r->args->vae) : NULL;
    int failed = generate_vae_open(a, r->checkpoint, r->args->vae, r->args->taesd);
    if (!failed && r->args->vae)
        failed = path ? hash_weights(a, r->vae_hash, path) : app_no_memory(a);
    mem_free(path);
    return failed;
}

/* Checkpoint and autoencoders. */
static int open_weights(struct generate_run *r)
{
    struct app *a = r->app;
    const struct generate_args *g = r->args;
    struct checkpoint_opts o = {.averaged = g->averaged, .zero_snr = g->zero_snr};
    /* the config file's model is the library's */
    const char *name = a->model && a->model != a->config_model ? a->model : g->checkpoint;
    char *path = NULL;
    if (g->prediction && !strcmp(g->prediction, "v"))
        o.prediction = PREDICT_V;
    else if (g->prediction && strcmp(g->prediction, "eps") == 0)
        o.prediction = PREDICT_NOISE;
    else if (g->prediction)
        return app_usage(a, "--prediction is eps or v, not \"%.40s\"", g->prediction);
    enum status st = ST_OK;
    if (name)
        st = app_find_model(name, &path, &a->err);
    else if (!(path = generate_starter_path()))
        return app_usage(a, "generate needs a checkpoint: --model FILE, or a line \"checkpoint = "
                            "FILE\" in the config file");
    if (!st)
        st = checkpoint_open(&r->checkpoint, path, &o, &a->err);
    int failed = st ? app_fail(a, APP_MODEL) : hash_weights(a, r->model_hash, path);
    mem_free(path);
    if (failed || filing_open_model(a))
        return 1;
    if (checkpoint_share_text(r->checkpoint, a->clip))
        log_debug("%s has the text tower of the library's model, and uses that",
                  r->checkpoint->name);
    return open_vae(r);
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
    uint64_t need = sampler_memory(c, job), have = memory_available();
    int width, height;
    sampler_sides(c, job, &width, &height);
    log_debug("%s: %s; activations take up to %" PRIu64 " MB", c->name, c->layout, need >> 20);
    if (have && need > have)
        log_warn("%d x %d needs %" PRIu64 " MB beside the weights, and %" PRIu64
                 " MB of memory are free",
                 width, height, need >> 20, have >> 20);
}

static int check_output(struct app *a, const struct generate_args *g)
{
    if (a->precision && !strcmp(a->precision, "int8"))
        return app_usage(a, "generate computes in f32, bf16 or f16, not in int8");
    if (g->low_vram && !app_on_card(a))
        return app_usage(a, "--low-vram is for graphics cards (--device cuda)");
    if (!g->output && g->no_file && !g->grid)
        return app_usage(a, "with --no-file, generate needs -o FILE, as in -o picture.png, or "
                            "--grid FILE");
    char *none = NULL;
    if (g->output ? generate_check_pattern(g->output, g->count, &a->err)
                  : generate_name(&none, g->name_pattern, NULL, &a->err))
        return app_fail(a, APP_USAGE);
    return 0;
}

/* f32 unless halves are asked for: a seed's picture is then the same on every machine. */
static void choose_device(const struct app *a, const struct generate_args *g, char *device,
                          size_t size)
{
    int asked = a->precision ? precision_parse(a->precision) : -1;
    bool low = asked == PREC_BF16 || asked == PREC_F16;
    if (low && !app_on_card(a) && !backend_has_low_precision()) {
        log_warn("this processor has no arithmetic in bf16; f32 is used");
        low = false;
    }
    snprintf(device, size, "%.30s%s%s%s",
             !a->device || !strcmp(a->device, "auto") ? "cpu" : a->device,
             g->low_vram ? "+low" : "", low ? "/" : "", low ? a->precision : "");
}

/* The job as its checkpoint wants it, and the picture that it starts from. */
static int fit_job(struct generate_run *r)
{
    struct app *a = r->app;
    r->source = r->args->picture;
    if (generate_picture_open(a, &r->source, r->checkpoint, &r->job))
        return 1;
    return sampler_check(r->checkpoint, &r->job, &a->err) ? app_fail(a, APP_MODEL) : 0;
}

static int open_nets(struct generate_run *r)
{
    r->nets.lora_dir = r->args->lora_dir;
    r->nets.embeddings_dir = r->args->embeddings_dir;
    return generate_nets_open(r->app, &r->nets, r->checkpoint, &r->job);
}

static int open_sampler(struct generate_run *r)
{
    char device[64];
    choose_device(r->app, r->args, device, sizeof device);
    if (sampler_new(&r->sampler, r->checkpoint, device, r->app->threads, &r->app->err))
        return app_fail(r->app, APP_MODEL);
    warn_memory(r->checkpoint, &r->job);
    return 0;
}

int generate_begin(struct generate_run *r, struct app *a, const struct generate_args *g,
                   const char *prompt)
{
    *r = (struct generate_run){
        .app = a, .args = g, .asked = prompt, .index = 1, .picture = 1, .filing.lock = -1};
    r->pictures = g->count * g->best_of;
    r->grid = (struct generate_grid){.path = g->grid, .count = g->count};
    if (generate_read_job(a, g, prompt, &r->job) || check_output(a, g) || open_weights(r))
        return 1;
    assert(r->checkpoint);
    if (generate_grid_check(a, &r->grid) || fit_job(r) || open_nets(r))
        return 1;
    r->preview.every = g->preview_every;
    if (g->preview && preview_open(a, &r->preview, g->preview, r->checkpoint))
        return 1;
    return filing_open(&r->filing, a) || open_sampler(r); /* its processes come before threads */
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_weights(const struct generate_args *a, const struct generate_args *b)
{
    return same_text(a->checkpoint, b->checkpoint) && same_text(a->prediction, b->prediction) &&
           same_text(a->vae, b->vae) && same_text(a->taesd, b->taesd) &&
           a->averaged == b->averaged && a->zero_snr == b->zero_snr;
}

/* What it says of LoRAs; NULL = no memory. */
static char *networks_of(const char *prompt)
{
    struct prompt_list l = {0};
    struct buf b;
    char *rest = NULL;
    buf_init(&b, 1 << 20);
    buf_puts(&b, "");
    if (prompt_networks(&l, &rest, prompt, NULL))
        buf_release(&b);
    for (size_t i = 0; i < l.n; i++)
        buf_printf(&b, "<%s>", l.item[i].text);
    mem_free(rest);
    prompt_list_release(&l);
    return buf_take(&b);
}

static bool same_nets(const struct generate_args *a, const char *prompt_a,
                      const struct generate_args *b, const char *prompt_b)
{
    char *x = networks_of(prompt_a), *y = networks_of(prompt_b);
    bool same = x && y && strcmp(x, y) == 0 && same_text(a->lora_dir, b->lora_dir) &&
                same_text(a->embeddings_dir, b->embeddings_dir);
    mem_free(x);
    mem_free(y);
    return same;
}

static void close_weights(struct generate_run *r)
{
    checkpoint_close(r->checkpoint);
    r->checkpoint = NULL;
    r->vae_hash[0] = r->model_hash[0] = 0;
}

int generate_again(struct generate_run *r, const struct generate_args *g, const char *prompt)
{
    bool weights = !same_weights(r->args, g),
         nets = weights || !same_nets(r->args, r->asked, g, prompt);
    if (nets) {
        sampler_free(r->sampler);
        r->sampler = NULL;
        generate_nets_close(&r->nets);
    }
    if (weights)
        close_weights(r);
    generate_picture_release(&r->source);
    r->args = g;
    r->asked = prompt;
    if (generate_read_job(r->app, g, prompt, &r->job) || (weights && open_weights(r)) || fit_job(r))
        return 1;
    r->job.embeddings = r->nets.embeddings;
    return nets && (open_nets(r) || open_sampler(r));
}

void generate_end(struct generate_run *r)
{
    preview_close(&r->preview);
    sampler_free(r->sampler);
    generate_nets_close(&r->nets);
    generate_picture_release(&r->source);
    generate_grid_release(&r->grid);
    close_weights(r);
    filing_close(&r->filing);
    mem_free(r->words);
}
