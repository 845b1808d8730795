/* Previews on stderr. What fails here is left out: the picture matters. */
#include "app/preview.h"
#include "core/progress.h"
#include <unistd.h>

#define LEAST_SECONDS 0.5

int preview_open(struct app *a, struct preview *p, const char *kind, const struct checkpoint *c)
{
    if (!isatty(STDERR_FILENO) || a->quiet)
        return 0;
    if (!sampler_can_preview(c))
        return app_usage(a, "%.80s: previews of its latents need a tiny autoencoder (--taesd)",
                         c->name);
    return terminal_open(&p->terminal, kind, STDERR_FILENO, &a->err) ? app_fail(a, APP_USAGE) : 0;
}

static void write_out(const struct buf *b)
{
    if (!b->failed && b->len) {
        fwrite(b->data, 1, b->len, stderr);
        fflush(stderr);
    }
}

void preview_wipe(struct preview *p)
{
    struct buf b;
    if (!p->terminal || !p->rows)
        return;
    buf_init(&b, TERMINAL_MOST);
    terminal_wipe(p->terminal, &b, p->rows);
    write_out(&b);
    buf_release(&b);
    p->rows = 0;
}

void preview_show(struct preview *p, struct sampler *s, const struct sampler_job *job,
                  const struct sampler_progress *at)
{
    struct image img = {0};
    struct error err;
    struct buf b;
    int columns, rows;
    if (!p->terminal || (p->every ? at->call % p->every : time_now() - p->last < LEAST_SECONDS))
        return;
    if (sampler_preview(s, job, at, &img, &err))
        return;
    terminal_size(p->terminal, &columns, &rows);
    buf_init(&b, TERMINAL_MOST);
    terminal_wipe(p->terminal, &b, p->rows);
    p->rows = terminal_draw(p->terminal, &b, &img, columns / 2, rows / 2);
    write_out(&b);
    buf_release(&b);
    image_release(&img);
    p->last = time_now();
}

void preview_close(struct preview *p)
{
    preview_wipe(p);
    terminal_close(p->terminal);
    p->terminal = NULL;
}
