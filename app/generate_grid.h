/* One picture of all that a run makes, in rows: --grid.
 *
 *     struct generate_grid grid = {.path = "all.png", .count = 6};      // 2 rows of 3
 *     if (generate_grid_check(a, &grid)) return a->exit;
 *     generate_grid_put(&grid, &img, &err), once for each picture, all as large as the first
 *     if (generate_grid_write(a, &grid)) ...
 *     generate_grid_release(&grid); */
#ifndef EIDETIC_APP_GENERATE_GRID_H
#define EIDETIC_APP_GENERATE_GRID_H

#include "app/app.h"
#include "image/image.h"

struct generate_grid {
    const char *path; /* a .png that is not there; NULL = no grid, and all here do nothing */
    int count;        /* pictures to come */
    int n;            /* that have come */
    struct image canvas;
};

int generate_grid_check(struct app *a, const struct generate_grid *g);
enum status generate_grid_put(struct generate_grid *g, const struct image *img, struct error *err);
int generate_grid_write(struct app *a, const struct generate_grid *g);
void generate_grid_release(struct generate_grid *g);

#endif
