/* generate's LoRAs: what the prompt names is looked up, added to the checkpoint, and reported. */
#include "app/generate_app.h"

int generate_nets_open(struct app *a, struct generate_nets *g, struct checkpoint *c,
                       const char *prompt)
{
    char *dir = g->lora_dir ? app_user_path(g->lora_dir) : NULL;
    if (g->lora_dir && !dir) {
        error_set(&a->err, ST_NOMEM, "out of memory");
        return app_fail(a, APP_USAGE);
    }
    enum status st = lora_list_read(&g->loras, prompt, dir, &a->err);
    mem_free(dir);
    if (st)
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

void generate_nets_close(struct generate_nets *g)
{
    lora_patch_free(g->patch);
    lora_list_release(&g->loras);
    *g = (struct generate_nets){0};
}
