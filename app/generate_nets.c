/* What generate adds to a checkpoint: autoencoders of the user's; LoRAs and embeddings that the
 * prompt names are looked up, added, and reported. */
#include "app/file_hash.h"
#include "app/generate_app.h"
#include "core/buf.h"
#include "core/bytes.h"
#include "nn/weights.h"
#include <string.h>

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

/* "name: 0123456789ab", with a comma before where there is one already. */
static void put_hash(struct buf *b, const char *name, const char *hash)
{
    buf_puts(b, b->len ? ", " : "");
    for (; *name; name++)
        if (*name != ':' && *name != ',')
            buf_putc(b, *name);
    buf_printf(b, ": %.12s", hash);
}

/* The one that kohya's scripts leave in the file, or that of its tensors. */
static enum status hash_lora(char hex[65], struct app *a, const char *path)
{
    struct weights *w = NULL;
    enum status st = weights_open(&w, path, &a->err);
    const char *own = st ? NULL : weights_meta(w, "sshs_model_hash");
    bool kept = own && text_is_hex(own, 64);
    if (kept)
        snprintf(hex, 65, "%s", own);
    weights_close(w);
    return st || kept ? st : file_hash(hex, path, true, a->stop, &a->err);
}

static int hash_loras(struct app *a, struct generate_nets *g)
{
    struct buf b;
    enum status st = ST_OK;
    buf_init(&b, 1 << 16);
    for (int i = 0; !st && i < g->loras.n; i++) {
        const struct lora_use *u = &g->loras.item[i];
        const char *name = strchr(u->text, ':') + 1;
        char hex[65], *only = mem_strndup(name, strcspn(name, ":"));
        st = only ? hash_lora(hex, a, u->path) : error_set(&a->err, ST_NOMEM, "out of memory");
        if (!st)
            put_hash(&b, only, hex);
        mem_free(only);
    }
    buf_puts(&b, "");
    g->lora_hashes = st ? NULL : buf_take(&b);
    buf_release(&b);
    if (st)
        return app_fail(a, APP_MODEL);
    return g->lora_hashes ? 0 : app_no_memory(a);
}

char *generate_embedding_hashes(struct app *a, const struct generate_nets *g)
{
    const char *name, *path;
    struct buf b;
    enum status st = ST_OK;
    buf_init(&b, 1 << 16);
    for (int i = 0, rows; !st && (name = embeddings_used(g->embeddings, i, &rows, &path)); i++) {
        char hex[65];
        st = file_hash(hex, path, false, a->stop, &a->err);
        if (!st)
            put_hash(&b, name, hex);
    }
    buf_puts(&b, "");
    char *list = st ? NULL : buf_take(&b);
    buf_release(&b);
    if (st)
        app_fail(a, APP_MODEL);
    else if (!list)
        app_no_memory(a);
    return list;
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
    return hash_loras(a, g);
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
    const char *name, *path;
    for (int i = 0, rows; (name = embeddings_used(g->embeddings, i, &rows, &path)); i++)
        log_info("embedding %s: %d vector%s", name, rows, rows == 1 ? "" : "s");
    embeddings_close(g->embeddings);
    lora_patch_free(g->patch);
    lora_list_release(&g->loras);
    mem_free(g->lora_hashes);
    *g = (struct generate_nets){0};
}
