/* The grid. Its rows are as many as AUTOMATIC1111's: the square root, rounded. */
#include "app/generate_grid.h"
#include "core/file.h"
#include "image/label.h"
#include <math.h>
#include <string.h>

enum { SIDE_MOST = INT16_MAX };

static int columns_of(const struct generate_grid *g)
{
    int rows = (int)lrint(sqrt(g->count));
    return g->columns ? g->columns : (g->count + rows - 1) / rows;
}

static int rows_of(const struct generate_grid *g)
{
    return (g->count + columns_of(g) - 1) / columns_of(g);
}

int generate_grid_check(struct app *a, const struct generate_grid *g)
{
    if (!g->path)
        return 0;
    if (!path_has_ext(g->path, "png"))
        return app_usage(a, "%.150s: a grid is written as .png", g->path);
    if (file_exists(g->path))
        return app_usage(a, "%.150s is there already, and is never overwritten", g->path);
    return 0;
}

static enum status check_size(const struct generate_grid *g, int width, int height,
                              struct error *err)
{
    if ((int64_t)columns_of(g) * width > SIDE_MOST || (int64_t)rows_of(g) * height > SIDE_MOST)
        return error_set(err, ST_LIMIT, "a grid of %d pictures would be too large", g->count);
    return ST_OK;
}

enum status generate_grid_put(struct generate_grid *g, int at, const struct image *img,
                              struct error *err)
{
    if (!g->path)
        return ST_OK;
    if (!g->cell && !(g->cell = mem_zarray((size_t)g->count, sizeof *g->cell)))
        return error_set(err, ST_NOMEM, "out of memory for a grid");
    enum status st = check_size(g, img->width, img->height, err); /* before all are made */
    return st ? st : image_crop(&g->cell[at], img, 0, 0, img->width, img->height, err);
}

/* Where the cells lie, and the letters' size. */
struct layout {
    int width, height, left, top, gap, scale;
};

static int lines_above(const struct generate_grid *g, const struct layout *l)
{
    int most = 0;
    for (int i = 0; g->above && i < columns_of(g); i++) {
        int n = image_label_lines(g->above[i], l->width / (LABEL_WIDTH * l->scale));
        most = n > most ? n : most;
    }
    return most;
}

static struct layout lay_out(const struct generate_grid *g)
{
    struct layout l = {.width = 1, .height = 1, .scale = 1};
    for (int i = 0; i < g->count; i++) {
        l.width = g->cell[i].width > l.width ? g->cell[i].width : l.width;
        l.height = g->cell[i].height > l.height ? g->cell[i].height : l.height;
    }
    if (!g->above && !g->beside)
        return l;
    int side = l.width < l.height ? l.width : l.height;
    l.scale = side < 256 ? 1 : side / 128;
    l.gap = 2 * l.scale;
    l.left = g->beside ? l.width * 3 / 4 : 0;
    l.left = g->beside && l.left < 12 * LABEL_WIDTH ? 12 * LABEL_WIDTH : l.left;
    if (l.width < 12 * LABEL_WIDTH) /* or no label would be readable */
        l.width = 12 * LABEL_WIDTH;
    l.top = g->above ? (lines_above(g, &l) * LABEL_HEIGHT + 4) * l.scale : 0;
    return l;
}

static void put_cell(struct image *canvas, const struct image *img, int x, int y)
{
    for (int i = 0; i < img->height; i++)
        memcpy(canvas->data + 3 * ((size_t)(y + i) * (size_t)canvas->width + (size_t)x),
               img->data + 3 * (size_t)i * (size_t)img->width, 3 * (size_t)img->width);
}

enum status generate_grid_compose(const struct generate_grid *g, struct image *canvas,
                                  struct error *err)
{
    struct layout l = lay_out(g);
    int columns = columns_of(g), rows = rows_of(g);
    int64_t w = l.left + (int64_t)columns * (l.width + l.gap) - l.gap;
    int64_t h = l.top + (int64_t)rows * (l.height + l.gap) - l.gap;
    if (w > 2 * SIDE_MOST || h > 2 * SIDE_MOST)
        return error_set(err, ST_LIMIT, "a grid of %d pictures would be too large", g->count);
    enum status st = image_alloc(canvas, (int)w, (int)h, err);
    if (st)
        return st;
    memset(canvas->data, g->above || g->beside ? 255 : 0, (size_t)w * (size_t)h * 3);
    for (int i = 0; i < g->count; i++) {
        const struct image *img = &g->cell[i];
        int x = l.left + i % columns * (l.width + l.gap),
            y = l.top + i / columns * (l.height + l.gap);
        if (img->data)
            put_cell(canvas, img, x + (l.width - img->width) / 2, y + (l.height - img->height) / 2);
    }
    int edge = 2 * l.scale;
    for (int i = 0; g->above && i < columns; i++)
        image_label_put(canvas, g->above[i], l.width / (LABEL_WIDTH * l.scale),
                        l.left + i * (l.width + l.gap), edge, l.scale);
    for (int i = 0; g->beside && i < rows; i++)
        image_label_put(canvas, g->beside[i], l.left / (LABEL_WIDTH * l.scale), edge,
                        l.top + i * (l.height + l.gap) + edge, l.scale);
    return ST_OK;
}

int generate_grid_write(struct app *a, const struct generate_grid *g, const char *text)
{
    struct image canvas = {0};
    const char *const words[] = {"parameters", text, NULL};
    if (!g->cell)
        return 0;
    if (generate_grid_compose(g, &canvas, &a->err))
        return app_fail(a, APP_USAGE);
    enum status st = image_write_png(g->path, &canvas, text ? words : NULL, &a->err);
    image_release(&canvas);
    if (st)
        return app_fail(a, APP_LIBRARY);
    log_info("%s: %d pictures in %d rows", g->path, g->count, rows_of(g));
    return 0;
}

void generate_grid_release(struct generate_grid *g)
{
    for (int i = 0; g->cell && i < g->count; i++)
        image_release(&g->cell[i]);
    mem_free(g->cell);
    g->cell = NULL;
}
