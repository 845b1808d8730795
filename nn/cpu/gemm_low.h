/* Matrix products in bf16 and int8: what a backend named "cpu:LEVEL/bf16" or "/int8" uses for
 * weights (tensors whose `use` says so) when there are more than a few rows.
 *
 * Both are the same loop over units of four bytes: two bf16 values, or four bytes. A panel holds
 * 32 columns of w as [units][32][4 bytes], the last unit filled up with zeros; rows of x become
 * units as well. bf16: x and w rounded to nearest even, products exact, sums in f32. int8: w is
 * q * scale of its row, q = round(w / scale), scale = max|w| / 127 (stored I8 weights as they are);
 * x likewise row by row, and stored as q + 128, so that bytes without and with sign meet; the 128
 * is taken off again by the sum of the column. Sums are exact, and
 *     y = act((float)sum * (scale_x * scale_w) + b) + r. */
#ifndef EIDETIC_NN_CPU_GEMM_LOW_H
#define EIDETIC_NN_CPU_GEMM_LOW_H

#include "nn/cpu/cpu_int.h"
#include "nn/packs.h"

enum { LOW_ROWS = 5 };                                     /* fewer are computed in f32 */
enum { LOW_COLS = 32, LOW_UNIT = 4, LOW_INT8_ZERO = 128 }; /* as tile_vnni.h's */

/* What is kept of a weight matrix; pack.kind is its enum precision. */
struct low_pack {
    struct pack pack; /* first: a struct pack * is a struct low_pack * */
    int64_t units;
    unsigned char *panels; /* [ceil(n / 32)][units][32][4] */
    float *scale;          /* int8: [n] */
    int32_t *sum;          /* int8: [n] 128 times the sum of a column's q */
};

/* Rows of x as units, `stride` bytes from one to the next, and int8's scales [m] (plain: without
 * the 128 that signed values are stored with). A row lies in `pieces` of equally many units, `step`
 * bytes apart: a matrix has one, a picture's patch one for each of its rows. */
struct low_rows {
    const unsigned char *units;
    int64_t stride;
    const float *scale;
    int pieces;
    int64_t step;
    bool plain;
};

void linear_low(struct cpu *c, const struct linear_args *a, enum precision kind);
/* The weights' pack, made where there is none; NULL: the backend has failed. */
const struct low_pack *low_pack_get(struct cpu *c, const struct linear_args *a,
                                    enum precision kind);
/* For a `make` of packs_get: fill writes row n's k floats, and may use `room` floats behind them;
 * on any thread. stored: a tensor of these values, whose I8 is taken as it lies, or NULL. NULL: the
 * backend has failed. */
struct low_source {
    void (*fill)(void *ctx, int64_t n, float *row);
    void *ctx;
    int64_t room;
    const struct tensor *stored;
};
struct pack *low_pack_make(struct cpu *c, const struct low_source *from, int64_t n, int64_t k,
                           enum precision kind);
/* The definition, from w itself. */
void linear_low_ref(struct cpu *c, const struct linear_args *a, enum precision kind);

/* One row of k values as `units` units; returns int8's scale. For rows of x, and of w with zero 0.
 */
float low_row_ref(unsigned char *units, enum precision kind, const float *x, int64_t k, int zero);
float low_row_vnni(unsigned char *units, enum precision kind, const float *x, int64_t k, int zero);
/* Rows [m0, m1) by the 32 (or fewer) columns of panel i of y, finished. */
void low_panel_vnni(const struct linear_args *a, const struct low_pack *p, const struct low_rows *x,
                    int64_t i, int64_t m0, int64_t m1);

static inline int64_t low_units(enum precision kind, int64_t k)
{
    int64_t each = kind == PREC_BF16 ? 2 : 4;
    return (k + each - 1) / each;
}

#endif
