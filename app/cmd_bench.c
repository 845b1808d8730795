/* eidetic bench: what this machine does, stage by stage. */
#include "app/bench_app.h"
#include "core/file.h"
#include <stdio.h>

struct bench_args {
    int pictures;
};

static const struct option_def defs[] = {{"pictures", 'n', OPT_INT,
                                          offsetof(struct bench_args, pictures), "N",
                                          "measure with at most N pictures (64)"},
                                         {0}};

static bool is_tower(int stage)
{
    return stage == BENCH_TOWER;
}

static enum precision precision(const struct bench *b)
{
    return clip_session_precision(b->app->session);
}

/* What the machine can do at most in the precision in use; 0: it was not measured (a card). */
static double limit(const struct bench *b)
{
    const double limits[PREC_COUNT] = {b->peak.flops, b->peak.bf16, b->peak.int8};
    return app_on_card(b->app) ? 0 : limits[precision(b)];
}

static double gflops(const struct bench *b)
{
    return b->tower_flops / b->seconds[BENCH_TOWER] * 1e-9;
}

static json_t *stage_json(const struct bench *b, int stage)
{
    double s = b->seconds[stage];
    json_t *o = json_pack("{s:s s:i s:o s:o}", "name", bench_stage_names[stage], "threads",
                          is_tower(stage) ? b->app->threads : 1, "ms", json_real6(s * 1e3),
                          "images_per_second", json_real6(1 / s));
    if (is_tower(stage) && b->tower_flops > 0) {
        json_object_set_new(o, "gflops", json_real6(gflops(b)));
        if (limit(b) > 0)
            json_object_set_new(o, "share_of_limit", json_real6(gflops(b) * 1e9 / limit(b)));
    }
    return o;
}

static int print_json(const struct bench *b)
{
    struct app *a = b->app;
    json_t *stages = json_array();
    for (int s = 0; s < BENCH_STAGES; s++)
        json_array_append_new(stages, stage_json(b, s));
    return app_print_json(
        a, json_pack(
               "{s:o s:s s:s s:i s:I s:o s:o s:o s:o s:o}", "model",
               json_text(clip_info(a->clip)->name), "precision", precision_name(precision(b)),
               "processor", cpu_level_name(cpu_level_max()), "threads", a->threads, "pictures",
               (json_int_t)b->n, "mean_bytes", json_real6(b->bytes / (double)b->n), "limit_gflops",
               json_real6(limit(b) * 1e-9), "copy_gb_per_second", json_real6(b->peak.bytes * 1e-9),
               "stages", stages, "images_per_second", json_real6(b->together)));
}

static int print_table(const struct bench *b)
{
    struct app *a = b->app;
    struct buf name;
    buf_init(&name, 1 << 16);
    buf_text_safe(&name, clip_info(a->clip)->name);
    printf("%s in %s on %s, %d threads; %zu pictures of %.2f MB in the mean\n",
           name.data ? name.data : "?", precision_name(precision(b)),
           cpu_level_name(cpu_level_max()), a->threads, b->n, b->bytes / (double)b->n * 1e-6);
    if (limit(b) > 0)
        printf("limits: %.0f GFLOP/s in %s, copies at %.1f GB/s\n", limit(b) * 1e-9,
               precision_name(precision(b)), b->peak.bytes * 1e-9);
    putchar('\n');
    printf("%-10s %8s %12s %10s\n", "stage", "threads", "ms/picture", "pictures/s");
    for (int s = 0; s < BENCH_STAGES; s++) {
        printf("%-10s %8d %12.3f %10.1f", bench_stage_names[s], is_tower(s) ? a->threads : 1,
               b->seconds[s] * 1e3, 1 / b->seconds[s]);
        if (s == BENCH_READ)
            printf("   %.2f GB/s from the disk's cache",
                   b->bytes / (double)b->n / b->seconds[s] * 1e-9);
        if (is_tower(s) && b->tower_flops > 0)
            printf("   %.0f GFLOP/s", gflops(b));
        if (is_tower(s) && b->tower_flops > 0 && limit(b) > 0)
            printf(", %.0f %% of the limit", gflops(b) * 1e11 / limit(b));
        putchar('\n');
    }
    printf("%-10s %8d %12.3f %10.1f   as index does it, all at once\n", "together", a->threads,
           1e3 / b->together, b->together);
    buf_release(&name);
    return app_check_stdout(a);
}

static int collect(struct bench *b)
{
    struct app *a = b->app;
    const char *samples = app_samples();
    int bad = 0;
    if (!a->rest.n) {
        if (!samples)
            return app_usage(a, "name a folder of pictures: the samples are not installed here");
        return bench_collect(b, &samples, 1);
    }
    char **roots = mem_zarray(a->rest.n, sizeof *roots);
    for (size_t i = 0; roots && i < a->rest.n && !bad; i++)
        bad = !(roots[i] = path_absolute(a->rest.item[i].value));
    if (!roots || bad) {
        error_set(&a->err, ST_NOMEM, "out of memory");
        bad = app_fail(a, APP_FILE);
    } else {
        bad = bench_collect(b, (const char *const *)roots, a->rest.n);
    }
    for (size_t i = 0; roots && i < a->rest.n; i++)
        mem_free(roots[i]);
    mem_free(roots);
    return bad;
}

static int run(struct app *a, int argc, char **argv)
{
    struct bench_args args = {.pictures = 64};
    if (app_begin(a, &cmd_bench, defs, &args, argc, argv))
        return a->exit;
    if (args.pictures < 1 || args.pictures > 10000)
        return app_usage(a, "--pictures is 1 to 10000"), a->exit;
    struct bench b = {.app = a, .limit = (size_t)args.pictures};
    if (!collect(&b) && !bench_stages(&b) && !bench_together(&b)) {
        if (a->json)
            print_json(&b);
        else
            print_table(&b);
    }
    bench_release(&b);
    return a->exit;
}

const struct command cmd_bench = {
    "bench", "how fast this machine indexes, stage by stage",
    "usage: eidetic bench [DIR...]\n\n"
    "Times what index does with a picture: reading the file (from the disk's cache), decoding, "
    "resizing,\n"
    "the network's image tower and writing to a library, then all of it together. It uses the "
    "first\n"
    "pictures found below each DIR (without DIR: the sample photographs), writes only to a "
    "temporary "
    "folder\n"
    "in $TMPDIR and takes some ten seconds. All but the tower is timed on one thread; index runs "
    "it "
    "in as\n"
    "many processes as there are threads. The limit is what this machine's multiply-adds reach "
    "when "
    "nothing\n"
    "is read from memory.\n\n"
    "  eidetic bench\n"
    "  eidetic bench --model ~/models/ViT-B-32 ~/Pictures\n"
    "  eidetic bench --json --threads 1",
    run};
