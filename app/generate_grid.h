/* One picture of all that a run makes, in rows: --grid.
 *
 *     struct generate_grid grid = {.path = "all.png", .count = 6};      // 2 rows of 3
 *     if (generate_grid_check(a, &grid)) return a->exit;
 *     generate_grid_put(&grid, i, &img, &err), for each picture
 *     if (generate_grid_write(a, &grid, NULL)) ...
 *     generate_grid_release(&grid);
 *
 * With columns set and labels there, they stand above the columns and left of the rows. Cells are
 * as wide and as high as the largest picture; smaller ones stand in the middle. */
#ifndef EIDETIC_APP_GENERATE_GRID_H
#define EIDETIC_APP_GENERATE_GRID_H

#include "app/app.h"
#include "image/image.h"

struct generate_grid {
    const char *path; /* a .png that is not there; NULL = none, and all here do nothing */
    int count;        /* pictures to come */
    int columns;      /* 0 = about as many as rows */
    char *const *above, *const *beside; /* a label for each column and row; NULL = none */
    struct image *cell;                 /* [count], those that have come */
};

int generate_grid_check(struct app *a, const struct generate_grid *g);
/* Picture number `at`, from 0 on, in rows; img is copied. */
enum status generate_grid_put(struct generate_grid *g, int at, const struct image *img,
                              struct error *err);
/* The grid itself, made here: image_release. */
enum status generate_grid_compose(const struct generate_grid *g, struct image *canvas,
                                  struct error *err);
/* text: AUTOMATIC1111's, or NULL. */
int generate_grid_write(struct app *a, const struct generate_grid *g, const char *text);
void generate_grid_release(struct generate_grid *g);

#endif
