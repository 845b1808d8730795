/* X/Y plots: the cells' options first, then their pictures. */
#include "app/generate_xy.h"
#include "app/generate_axis.h"
#include <inttypes.h>
#include <string.h>

enum { CELLS_MOST = 10000 };

struct cell {
    struct generate_args args;
    struct generate_axis_text text;
};
struct plot {
    struct app *app;
    const struct generate_args *base;
    const char *prompt;
    struct generate_axis x, y;
    struct cell *cell; /* [y.n * x.n], rows of x.n */
    char seed[24];     /* one for all, where none was given */
    char **above, **beside;
};

static int read_axes(struct plot *p)
{
    struct app *a = p->app;
    const struct generate_args *g = p->base;
    if (!g->grid)
        return app_usage(a, "--x and --y make a picture of pictures and need --grid FILE.png");
    if (g->count > 1)
        return app_usage(a, "--batch-count goes without --x and --y; for more of each take seed as "
                            "an axis");
    if (generate_axis_read(a, &p->x, "x", g->x) || generate_axis_read(a, &p->y, "y", g->y))
        return 1;
    if (p->x.label && p->y.label && p->x.def == p->y.def && p->x.def)
        return app_usage(a, "--x and --y are both %s", p->x.label);
    if ((int64_t)p->x.n * p->y.n > CELLS_MOST)
        return app_usage(a, "a plot of %d pictures is more than %d", p->x.n * p->y.n,
                         (int)CELLS_MOST);
    return 0;
}

/* Of one pair of values. */
static int fill_cell(struct plot *p, int column, int row)
{
    struct app *a = p->app;
    struct cell *c = &p->cell[row * p->x.n + column];
    struct sampler_job job;
    bool late = !p->x.def; /* what is replaced in a prompt comes behind what sets one */
    c->args = *p->base;
    c->args.count = p->x.n * p->y.n;
    c->args.seed = p->seed;
    c->text.prompt = p->prompt;
    int failed = 0;
    if (!late)
        failed = generate_axis_apply(a, &p->x, column, &c->args, &c->text);
    if (!failed)
        failed = generate_axis_apply(a, &p->y, row, &c->args, &c->text);
    if (!failed && late)
        failed = generate_axis_apply(a, &p->x, column, &c->args, &c->text);
    return failed || generate_read_job(a, &c->args, c->text.prompt, &job);
}

static int fill_cells(struct plot *p)
{
    uint64_t seed = 0;
    p->cell = mem_zarray((size_t)(p->x.n * p->y.n), sizeof *p->cell);
    if (!p->cell)
        return app_no_memory(p->app);
    if (generate_seed(p->app, "seed", p->base->seed, &seed))
        return 1;
    snprintf(p->seed, sizeof p->seed, "%" PRIu64, seed);
    for (int i = 0; i < p->x.n * p->y.n; i++)
        if (fill_cell(p, i % p->x.n, i / p->x.n))
            return 1;
    return 0;
}

static char **labels(const struct generate_axis *x)
{
    char **list = x->label ? mem_zarray((size_t)x->n + 1, sizeof *list) : NULL;
    bool whole = list != NULL;
    for (int i = 0; list && i < x->n; i++)
        whole &= (list[i] = generate_axis_label(x, i)) != NULL;
    if (whole || !list)
        return list;
    for (int i = 0; i < x->n; i++)
        mem_free(list[i]);
    mem_free(list);
    return NULL;
}

static void labels_free(char **list)
{
    for (int i = 0; list && list[i]; i++)
        mem_free(list[i]);
    mem_free(list);
}

static bool changes_weights(const struct generate_axis *x)
{
    static const char *const slow[] = {"checkpoint", "vae",      "taesd",    "prediction",
                                       "ema",        "zero-snr", "lora-dir", "embeddings-dir"};
    if (x->label && !x->def)
        return strchr(x->value[0], '<') != NULL || strchr(x->value[0], ':') != NULL;
    for (size_t i = 0; x->def && i < sizeof slow / sizeof *slow; i++)
        if (!strcmp(x->def->name, slow[i]))
            return true;
    return false;
}

/* Cell number i in the order in which they are made. */
static int nth_cell(const struct plot *p, int i)
{
    if (changes_weights(&p->x) && !changes_weights(&p->y))
        return i % p->y.n * p->x.n + i / p->y.n;
    return i;
}

/* What AUTOMATIC1111 writes of such a grid, behind what its first picture was made with. */
static char *grid_text(const struct plot *p, const struct generate_run *r)
{
    const struct generate_axis *axes[2] = {&p->x, &p->y};
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_puts(&b, ", Script: X/Y/Z plot");
    for (int i = 0; i < 2; i++)
        if (axes[i]->label) {
            parameters_put(&b, i ? "Y Type" : "X Type", axes[i]->label);
            parameters_put(&b, i ? "Y Values" : "X Values", axes[i]->text);
        }
    char *more = buf_take(&b), *text = NULL;
    if (more)
        text = generate_parameters(&(struct generate_told){.job = &r->job,
                                                           .checkpoint = r->checkpoint,
                                                           .picture = &r->source,
                                                           .model_hash = r->model_hash,
                                                           .vae_hash = r->vae_hash,
                                                           .lora_hashes = r->nets.lora_hashes,
                                                           .more = more});
    mem_free(more);
    return text;
}

static int make_cells(struct plot *p, struct generate_run *r)
{
    int n = p->x.n * p->y.n, failed = 0;
    char *text = NULL;
    for (int i = 0; i < n && !failed; i++) {
        int at = nth_cell(p, i);
        struct cell *c = &p->cell[at];
        failed = i ? generate_again(r, &c->args, c->text.prompt)
                   : generate_begin(r, p->app, &c->args, c->text.prompt);
        if (!failed && !i) {
            r->grid.columns = p->x.n;
            r->grid.above = p->above;
            r->grid.beside = p->beside;
            text = grid_text(p, r);
            failed = text ? 0 : app_no_memory(p->app);
        }
        r->done = at;
        if (!failed)
            failed = generate_make(r);
    }
    if (!failed)
        failed = generate_grid_write(p->app, &r->grid, text);
    mem_free(text);
    return failed;
}

int generate_xy(struct app *a, const struct generate_args *g, const char *prompt)
{
    struct plot p = {.app = a, .base = g, .prompt = prompt};
    struct generate_run r = {.filing.lock = -1};
    int failed = read_axes(&p);
    if (!failed)
        failed = fill_cells(&p);
    if (!failed) {
        p.above = labels(&p.x);
        p.beside = labels(&p.y);
        if ((p.x.label && !p.above) || (p.y.label && !p.beside))
            failed = app_no_memory(a);
    }
    if (!failed && p.x.def && !strcmp(p.x.def->name, "checkpoint"))
        a->model = a->config_model; /* the axis says which */
    if (!failed && p.y.def && !strcmp(p.y.def->name, "checkpoint"))
        a->model = a->config_model;
    if (!failed)
        failed = make_cells(&p, &r);
    generate_end(&r);
    labels_free(p.above);
    labels_free(p.beside);
    for (int i = 0; p.cell && i < p.x.n * p.y.n; i++)
        generate_axis_text_release(&p.cell[i].text);
    mem_free(p.cell);
    generate_axis_release(&p.x);
    generate_axis_release(&p.y);
    return failed;
}
