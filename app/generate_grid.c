/* The grid. Its rows are as many as AUTOMATIC1111's: the square root, rounded. */
#include "app/generate_grid.h"
#include "core/file.h"
#include <math.h>
#include <string.h>

static int rows_of(const struct generate_grid *g)
{
    return (int)lrint(sqrt(g->count));
}

static int columns_of(const struct generate_grid *g)
{
    return (g->count + rows_of(g) - 1) / rows_of(g);
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

enum status generate_grid_put(struct generate_grid *g, const struct image *img, struct error *err)
{
    int64_t columns, width;
    if (!g->path)
        return ST_OK;
    columns = columns_of(g);
    if (!g->canvas.data) {
        int64_t w = columns * img->width, h = (int64_t)rows_of(g) * img->height;
        if (w > INT16_MAX || h > INT16_MAX)
            return error_set(err, ST_LIMIT, "a grid of %d pictures would be too large", g->count);
        enum status st = image_alloc(&g->canvas, (int)w, (int)h, err);
        if (st)
            return st;
        memset(g->canvas.data, 0, (size_t)(w * h * 3));
    }
    width = g->canvas.width;
    int64_t left = g->n % columns * img->width, top = g->n / columns * img->height;
    for (int64_t y = 0; y < img->height; y++)
        memcpy(g->canvas.data + 3 * ((top + y) * width + left), img->data + 3 * y * img->width,
               3 * (size_t)img->width);
    g->n++;
    return ST_OK;
}

int generate_grid_write(struct app *a, const struct generate_grid *g)
{
    if (!g->canvas.data)
        return 0;
    if (image_write_png(g->path, &g->canvas, NULL, &a->err))
        return app_fail(a, APP_LIBRARY);
    log_info("%s: %d pictures in %d rows", g->path, g->n, rows_of(g));
    return 0;
}

void generate_grid_release(struct generate_grid *g)
{
    image_release(&g->canvas);
}
