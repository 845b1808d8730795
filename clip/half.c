/* The text tower in half precision: a file in the cache folder, named by the weights' id, with the
 * matrices that a sentence reads. Surprising: it holds no tokens' table, of which a sentence reads
 * a few rows, and a model is still its own file: the copy only replaces matrices that are there, of
 * the same name and shape. */
#include "clip/clip_int.h"
#include "core/file.h"
#include "core/file_note.h"
#include "core/mem.h"
#include "core/path.h"
#include <math.h>

#define HALF_OF "eidetic.half_of"

static char *path_of(const char id[33])
{
    char name[64];
    snprintf(name, sizeof name, "%s.safetensors", id);
    return file_note_path("sentences", name);
}

void clip_half_open(struct clip_source *s)
{
    char id[33], *path = clip_weights_known(s, id) ? path_of(id) : NULL;
    if (path && file_exists(path) && !weights_open(&s->half, path, NULL)) {
        const char *of = weights_meta(s->half, HALF_OF);
        if (!of || strcmp(of, id) != 0) {
            weights_close(s->half);
            s->half = NULL;
        }
    }
    mem_free(path);
}

/* Rounding costs a value half of 2^-10 of itself, unless it is too large for f16 or so small that
 * its last bits are missing. */
static bool fits(const float *x, const uint16_t *h, int64_t n)
{
    double error = 0, all = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)f16_to_f32(h[i]) - x[i];
        error += d * d;
        all += (double)x[i] * x[i];
    }
    return isfinite(error) && error <= all * 0x1p-20;
}

struct half {
    struct weights_out_tensor *t;
    int n, halves; /* all; those in f16, whose data is ours */
};

static bool has(const struct half *h, const char *name)
{
    int i = 0;
    while (i < h->n && strcmp(h->t[i].name, name) != 0)
        i++;
    return i < h->n;
}

/* Where it is worth having, what goes into the copy; ST_OK also where nothing does. */
static enum status turn_part(struct half *h, const struct clip_model *m, const struct clip_taken *k,
                             struct error *err)
{
    int64_t n = tensor_count(&k->t);
    if (k->t.dtype != DT_F32 || !n || has(h, k->name) || (!k->small && k->t.dim[0] == m->vocab))
        return ST_OK;
    uint16_t *to = k->small ? NULL : mem_array((size_t)n, sizeof *to);
    if (!to && !k->small)
        return error_set(err, ST_NOMEM, "out of memory for %s in f16", k->name);
    if (to)
        tensor_from_f32(k->t.data, k->t.dim[0], n / k->t.dim[0], DT_F16, to, NULL);
    if (to && !fits(k->t.data, to, n)) {
        mem_free(to);
        return ST_OK;
    }
    h->t[h->n] = (struct weights_out_tensor){.name = k->name, .t = k->t};
    if (to) {
        h->t[h->n].t.dtype = DT_F16;
        h->t[h->n].t.data = to;
        h->halves++;
    }
    h->n++;
    return ST_OK;
}

static enum status turn(struct half *h, const struct clip_model *m, struct error *err)
{
    size_t most = 0;
    enum status st = ST_OK;
    for (const struct clip_taken *k = m->parts; k; k = k->next)
        most++;
    h->t = mem_zarray(most + 1, sizeof *h->t);
    if (!h->t)
        return error_set(err, ST_NOMEM, "out of memory");
    for (const struct clip_taken *k = m->parts; k && !st; k = k->next)
        st = turn_part(h, m, k, err);
    return st;
}

static enum status write_to(const char *file, const struct clip *c, const char id[33],
                            struct error *err)
{
    struct half h = {0};
    const char *meta[] = {HALF_OF, id, NULL};
    char *dir = path_dir(file);
    enum status st =
        dir ? file_make_dirs(dir, err) : error_set(err, ST_NOMEM, "%s: out of memory", file);
    if (!st)
        st = turn(&h, &c->model, err);
    if (!st && h.halves)
        st = weights_write(file, h.t, h.n, meta, err);
    for (int i = 0; i < h.n; i++)
        if (h.t[i].t.dtype == DT_F16)
            mem_free(h.t[i].t.data);
    mem_free(h.t);
    mem_free(dir);
    return st;
}

enum status clip_write_half(const char *path, struct error *err)
{
    struct clip *c = NULL;
    char id[33], *file = NULL;
    enum status st = clip_open(&c, path, &(struct clip_opts){.no_image = 1}, err);
    if (!st)
        clip_half_open(&c->src);
    if (!st && !c->src.half && clip_weights_known(&c->src, id) && (file = path_of(id)))
        st = write_to(file, c, id, err);
    mem_free(file);
    clip_close(c);
    return st;
}
