/* search --preview: each picture below its line. Decoded small, in a process of its own. */
#include "app/search_app.h"
#include "image/terminal.h"
#include <stdio.h>
#include <unistd.h>

enum { SIDE = 384, ROWS_MOST = 14 };

struct search_preview {
    struct terminal *terminal;
    struct decoder *decoder;
};

int search_preview_open(struct app *a, struct search_run *run)
{
    const struct search_args *args = run->args;
    /* a square, of which the part that is the picture is cut out again */
    struct decoder_opts o = {
        .workers = 1,
        .slots = 1,
        .prep = {.size = SIDE, .fit = DECODER_FIT_LONGEST_PAD, .filter = IMAGE_BICUBIC}};
    if (a->json || args->files || args->null || args->interactive)
        return app_usage(a, "--preview goes without --json, -f, -0 and -i");
    if (!args->preview[0] && app_dumb_terminal()) {
        log_info("this terminal shows no pictures (TERM is dumb)");
        return 0;
    }
    struct search_preview *p = run->preview = mem_zalloc(sizeof *p);
    if (!p)
        return app_no_memory(a);
    if (terminal_open(&p->terminal, args->preview, STDOUT_FILENO, &a->err))
        return app_fail(a, APP_USAGE);
    return decoder_open(&p->decoder, &o, &a->err) ? app_fail(a, APP_FILE) : 0;
}

void search_preview_close(struct search_run *run)
{
    if (!run->preview)
        return;
    terminal_close(run->preview->terminal);
    decoder_close(run->preview->decoder);
    mem_free(run->preview);
    run->preview = NULL;
}

static enum status cut_out(struct image *out, const struct decoder_job *job)
{
    const struct image all = {job->width, job->height, (uint8_t *)(uintptr_t)job->pixels};
    int w = job->meta.width, h = job->meta.height, longest = w > h ? w : h;
    int width = (int)((int64_t)SIDE * w / longest), height = (int)((int64_t)SIDE * h / longest);
    width = width < 1 ? 1 : width;
    height = height < 1 ? 1 : height;
    return image_crop(out, &all, (SIDE - width) / 2, (SIDE - height) / 2, width, height, NULL);
}

/* A file that is gone or broken has no preview. */
void search_preview_show(struct search_run *run, const char *path)
{
    struct search_preview *p = run->preview;
    struct decoder_job job = {0};
    struct image img = {0};
    struct buf b;
    int columns, rows;
    if (decoder_submit(p->decoder, 0, path, NULL) || decoder_next(p->decoder, &job, -1, NULL))
        return;
    if (!job.status && job.meta.width > 0 && job.meta.height > 0 && !cut_out(&img, &job)) {
        terminal_size(p->terminal, &columns, &rows);
        rows = rows / 2 < ROWS_MOST ? rows / 2 : ROWS_MOST;
        buf_init(&b, TERMINAL_MOST);
        if (terminal_draw(p->terminal, &b, &img, columns, rows < 2 ? 2 : rows)) {
            fwrite(b.data, 1, b.len, stdout);
            fflush(stdout);
        }
        buf_release(&b);
        image_release(&img);
    }
    decoder_done(p->decoder, &job);
}
