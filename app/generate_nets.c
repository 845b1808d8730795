/* What generate adds to a checkpoint: autoencoders of the user's; LoRAs and embeddings that the
 * prompt names are looked up, added, and reported. */
#include "app/generate_app.h"

int generate_vae_open(struct app *a, struct checkpoint *c, const char *vae, const char *taesd)
{
    char *one = vae ? app_user_path(vae) : NULL, *two = taesd ? app_user_path(taesd) : NULL;
    enum status st = ST_OK;
    if ((vae && !one) || (taesd && !two))
        st = error_set(&a->err, ST_NOMEM, "out of memory");
    if (!st && one)
        st = checkpoint_replace_vae(c, one, &a->err);
    if (!st && two)
        st = checkpoint_add_taesd(c, two, &a->err);
    mem_free(one);
    mem_free(two);
    return st ? app_fail(a, APP_MODEL) : 0;
}

static int open_loras(struct app *a, struct generate_nets *g, struct checkpoint *c,
                      const char *prompt, const char *dir)
{
    if (lora_list_read(&g->loras, prompt, dir, &a->err))
        return app_fail(a, APP_USAGE);
    if (g->loras.n && lora_apply(&g->patch, c, &g->loras, a->threads, &a->err))
        return app_fail(a, APP_MODEL);
    for (int i = 0; i < g->loras.n; i++) {
        const struct lora_use *u = &g->loras.item[i];
        (u->applied < u->keys ? log_warn : log_info)("<%s>: applied %d of %d keys", u->text,
                                                     u->applied, u->keys);
    }
    return 0;
}

int generate_nets_open(struct app *a, struct generate_nets *g, struct checkpoint *c,
                       struct sampler_job *job)
{
    char *loras = g->lora_dir ? app_user_path(g->lora_dir) : NULL;
    char *words = g->embeddings_dir ? app_user_path(g->embeddings_dir) : NULL;
    int failed = 0;
    if ((g->lora_dir && !loras) || (g->embeddings_dir && !words))
        failed = app_no_memory(a);
    if (!failed)
        failed = open_loras(a, g, c, job->prompt, loras);
    if (!failed && words && embeddings_open(&g->embeddings, words, c, &a->err))
        failed = app_fail(a, APP_USAGE);
    job->embeddings = g->embeddings;
    mem_free(loras);
    mem_free(words);
    return failed;
}

void generate_nets_close(struct generate_nets *g)
{
    const char *name;
    for (int i = 0, rows; (name = embeddings_used(g->embeddings, i, &rows)); i++)
        log_info("embedding %s: %d vector%s", name, rows, rows == 1 ? "" : "s");
    embeddings_close(g->embeddings);
    lora_patch_free(g->patch);
    lora_list_release(&g->loras);
    *g = (struct generate_nets){0};
}
