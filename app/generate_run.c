/* One picture after the other: sampled, compared with its prompt, written, filed. */
#include "app/generate_app.h"
#include "app/generate_name.h"
#include "core/buf.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

int generate_read_job(struct app *a, const struct generate_args *g, const char *prompt,
                      struct sampler_job *job)
{
    *job = (struct sampler_job){.prompt = prompt,
                                .negative = g->negative,
                                .width = g->width < 0 ? 0 : g->width,
                                .height = g->height < 0 ? 0 : g->height,
                                .steps = g->steps,
                                .has_guidance = g->guidance != GENERATE_UNSAID,
                                .guidance = g->guidance,
                                .guidance_rescale = g->guidance_rescale,
                                .clip_skip = g->clip_skip,
                                .stop = a->stop};
    if (!g->width || !g->height || !g->steps || !g->clip_skip)
        return app_usage(a, "--width, --height, --steps and --clip-skip are at least 1");
    if (g->best_of < 1 || g->best_of > 1000)
        return app_usage(a, "--best-of is from 1 to 1000");
    if (g->quality < 1 || g->quality > 100)
        return app_usage(a, "--quality is from 1 to 100");
    if (g->count < 1 || g->count > 100000)
        return app_usage(a, "--batch-count is from 1 to 100000");
    if (!utf8_valid(job->prompt, strlen(job->prompt)) ||
        (job->negative && !utf8_valid(job->negative, strlen(job->negative))))
        return app_usage(a, "the prompt is not valid UTF-8");
    return read_names(a, g, job) || generate_seed(a, "seed", g->seed, &job->seed) ||
           generate_more_read(a, &g->more, job);
}

static void on_progress(void *ctx, const struct sampler_progress *p)
{
    struct generate_run *r = ctx;
    if (r->pictures > 1)
        snprintf(r->label, sizeof r->label, "picture %d of %d, %.2f s a step, step", r->picture,
                 r->pictures, p->seconds);
    else
        snprintf(r->label, sizeof r->label, "%.2f s a step, step", p->seconds);
    if (r->preview.terminal)
        progress_clear(&r->line);
    preview_show(&r->preview, r->sampler, &r->job, p);
    r->line.total = (uint64_t)p->calls;
    progress_update(&r->line, (uint64_t)p->call);
}

/* What failed says whose fault it is: words, or weights. */
static int fail_run(struct app *a, enum status st)
{
    return app_fail(a, st == ST_UNSUPPORTED || st == ST_LIMIT ? APP_USAGE : APP_MODEL);
}

/* Said once for each part. */
static void tell_redone(struct generate_run *r)
{
    char parts[64];
    sampler_redone(r->sampler, parts);
    if (strcmp(parts, r->redone) != 0)
        log_warn("in half precision %s gave values that are no numbers, and is computed in f32",
                 parts);
    snprintf(r->redone, sizeof r->redone, "%s", parts);
}

/* The pixels of one seed, and how near they are to the prompt. */
static int candidate(struct generate_run *r, struct image *img, float *score)
{
    struct app *a = r->app;
    progress_init(&r->line, stderr, r->label, 1, !a->quiet);
    r->job.progress = on_progress;
    r->job.progress_ctx = r;
    enum status st = sampler_run(r->sampler, &r->job, img, &a->err);
    progress_finish(&r->line);
    preview_wipe(&r->preview);
    if (st)
        return fail_run(a, st);
    tell_redone(r);
    if (generate_picture_finish(&r->source, img, &a->err)) {
        image_release(img);
        return app_fail(a, APP_FILE);
    }
    r->picture++;
    if (!filing_score(&r->filing, r->job.prompt, img, score))
        return 0;
    image_release(img);
    return 1;
}

static int best_candidate(struct generate_run *r, struct image *best, struct generate_made *m)
{
    for (int i = 0; i < r->args->best_of; i++, generate_next_seed(&r->job)) {
        struct image img = {0};
        float score = 0;
        if (candidate(r, &img, &score)) {
            image_release(best);
            return 1;
        }
        if (i && !(score > m->score)) {
            image_release(&img);
            continue;
        }
        image_release(best);
        *best = img;
        m->score = score;
        m->seed = r->job.seed;
        m->variation_seed = r->job.variation_seed;
    }
    return 0;
}

static int write_picture(struct generate_run *r, const struct image *img, struct generate_made *m)
{
    struct app *a = r->app;
    struct sampler_job job = r->job;
    job.seed = m->seed;
    job.variation_seed = m->variation_seed;
    char *words = generate_embedding_hashes(a, &r->nets);
    if (!words)
        return 1;
    char *text = generate_parameters(&(struct generate_told){.job = &job,
                                                             .checkpoint = r->checkpoint,
                                                             .picture = &r->source,
                                                             .model_hash = r->model_hash,
                                                             .vae_hash = r->vae_hash,
                                                             .lora_hashes = r->nets.lora_hashes,
                                                             .embedding_hashes = words,
                                                             .more = r->more});
    mem_free(words);
    int failed = 0;
    if (!text) {
        failed = app_no_memory(a);
    } else if (image_write_generated(m->path, img, text, r->args->quality, &a->err)) {
        failed = app_fail(a, APP_LIBRARY);
    }
    mem_free(text);
    return failed;
}

static int file_picture(struct generate_run *r, struct generate_made *m)
{
    struct app *a = r->app;
    char *absolute = path_absolute(m->path);
    int failed = 0;
    if (!absolute) {
        failed = app_no_memory(a);
    } else {
        failed = filing_add(&r->filing, absolute);
    }
    mem_free(absolute);
    m->filed = !failed;
    return failed;
}

/* The prompt of the picture at hand, by its seed. */
static int choose_words(struct generate_run *r)
{
    struct app *a = r->app;
    char *dir = r->args->wildcards_dir ? app_user_path(r->args->wildcards_dir) : NULL;
    char *words = NULL;
    if (!r->args->wildcards_dir)
        return 0;
    if (!dir)
        return app_no_memory(a);
    enum status st = generate_wildcards(&words, r->asked, dir, r->job.seed, &a->err);
    mem_free(dir);
    if (st)
        return app_fail(a, APP_USAGE);
    mem_free(r->words);
    r->words = words;
    r->job.prompt = words;
    return 0;
}

static int name_filed(struct generate_run *r, struct generate_made *m)
{
    struct app *a = r->app;
    struct sampler_job job = r->job;
    char *name = NULL, *words = filing_words(job.prompt, &a->err);
    if (!words)
        return app_fail(a, APP_FILE);
    job.seed = m->seed;
    struct generate_name_facts f = {.job = &job,
                                    .checkpoint = r->checkpoint,
                                    .model_hash = r->model_hash,
                                    .words = words,
                                    .number = r->done + 1};
    int failed = generate_name(&name, r->args->name_pattern, &f, &a->err)
                     ? app_fail(a, APP_USAGE)
                     : filing_path(&r->filing, &m->path, name);
    mem_free(words);
    mem_free(name);
    return failed;
}

/* A path for the picture, unless it is only for the grid. */
static int name_picture(struct generate_run *r, struct generate_made *m)
{
    struct app *a = r->app;
    mem_free(m->path);
    m->path = NULL;
    if (!r->args->output)
        return r->args->no_file ? 0 : name_filed(r, m);
    if (generate_path(&m->path, r->args->output, &r->index, &a->err))
        return app_fail(a, APP_USAGE);
    return 0;
}

int generate_one(struct generate_run *r, struct generate_made *m)
{
    struct image img = {0};
    double start = time_now();
    *m = (struct generate_made){.seed = r->job.seed};
    if (choose_words(r))
        return 1;
    int failed = name_picture(r, m); /* what keeps a file from being written is said first */
    if (!failed)
        failed = best_candidate(r, &img, m);
    if (!failed)
        failed = name_picture(r, m);
    if (!failed && m->path)
        failed = write_picture(r, &img, m);
    if (!failed && generate_grid_put(&r->grid, r->done++, &img, &r->app->err))
        failed = app_fail(r->app, APP_USAGE);
    m->width = img.width;
    m->height = img.height;
    image_release(&img);
    if (failed) {
        mem_free(m->path);
        m->path = NULL;
    } else if (!r->args->no_file) {
        failed = file_picture(r, m);
    }
    m->seconds = time_now() - start;
    return failed;
}

json_t *generate_json(const struct generate_run *r, const struct generate_made *m)
{
    const struct sampler_job *job = &r->job;
    json_t *o = json_pack("{s:I s:o s:i s:o s:i s:i s:s s:s s:b}", "seed", (json_int_t)m->seed,
                          "clip_score", json_real6(m->score), "steps", job->steps, "seconds",
                          json_real6(m->seconds), "width", m->width, "height", m->height, "sampler",
                          job->solver->name, "schedule", job->schedule->name, "filed", m->filed);
    if (o && m->path)
        json_set_path(o, m->path);
    return o;
}

static int print(struct generate_run *r, const struct generate_made *m)
{
    struct app *a = r->app;
    if (a->json)
        return app_print_json(a, generate_json(r, m));
    if (m->path) {
        print_path(stdout, m->path);
        putchar('\n');
    }
    log_info("seed %" PRIu64 ", %.1f s, score %.3f%s", m->seed, m->seconds, (double)m->score,
             m->filed ? ", filed" : "");
    return app_check_stdout(a);
}

int generate_make(struct generate_run *r)
{
    struct generate_made m = {0};
    int failed = generate_one(r, &m);
    if ((m.path || !failed) && print(r, &m))
        failed = 1;
    if (m.path && failed && !r->args->no_file && !m.filed)
        log_info("the picture is kept; the next index or generate files it");
    mem_free(m.path);
    return failed;
}
