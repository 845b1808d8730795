/* The text tower in half precision: a file in the cache folder, named by the weights' id, with the
 * matrices that a sentence reads. Surprising: it holds no tokens' table, of which a sentence reads
 * a few rows, and a model is still its own file: the copy only replaces matrices that are there, of
 * the same name and shape. */
#include "clip/clip_int.h"
#include "core/file.h"
#include "core/file_note.h"
#include "core/mem.h"
#include "core/path.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HALF_OF "eidetic.half_of"
#define HALF_SUM "eidetic.half_sum" /* weights_out_id of the tensors */

/* One without a sum is of an earlier version. */
static bool is_of(const struct weights *w, const char *id)
{
    const char *of = weights_meta(w, HALF_OF);
    return of && !strcmp(of, id) && weights_meta(w, HALF_SUM);
}

static char *path_of(const char id[33])
{
    char name[64];
    snprintf(name, sizeof name, "%s.safetensors", id);
    return file_note_path("sentences", name);
}

void clip_half_open(struct clip_source *s)
{
    char id[33], *path = clip_weights_known(s, id) ? path_of(id) : NULL;
    if (path && file_exists(path) && !weights_open(&s->half, path, NULL) && !is_of(s->half, id)) {
        weights_close(s->half);
        s->half = NULL;
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

static int by_name(const void *a, const void *b)
{
    const struct weights_out_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
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
    qsort(h->t, (size_t)h->n, sizeof *h->t, by_name);
    return st;
}

static enum status write_to(const char *file, const struct clip *c, const char id[33],
                            struct error *err)
{
    struct half h = {0};
    char sum[33];
    const char *meta[] = {HALF_OF, id, HALF_SUM, sum, NULL};
    char *dir = path_dir(file);
    enum status st =
        dir ? file_make_dirs(dir, err) : error_set(err, ST_NOMEM, "%s: out of memory", file);
    if (!st)
        st = turn(&h, &c->model, err);
    if (!st && h.halves) {
        weights_out_id(h.t, h.n, sum);
        st = weights_write(file, h.t, h.n, meta, err);
    }
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

/* Every byte is read. One of an earlier version has no sum, is not used, and will be replaced. What
 * the system does not let us read is an error, and no damage. */
static enum status look_at(const char *path, bool *sound, struct error *err)
{
    struct weights *w = NULL;
    char sum[33];
    enum status st = weights_open(&w, path, err);
    const char *wanted = st ? NULL : weights_meta(w, HALF_SUM);
    *sound = st != ST_FORMAT && st != ST_LIMIT && st != ST_UNSUPPORTED;
    if (wanted) {
        weights_id(w, sum);
        *sound = !strcmp(sum, wanted);
    }
    if (!st)
        weights_close(w);
    return *sound ? st : ST_OK;
}

static enum status check_one(const char *folder, const char *name, struct clip_half_check *k,
                             struct error *err)
{
    bool sound = true;
    struct error why;
    struct stat sb;
    char *path = path_join(folder, name), *what = NULL;
    bool file = path && !stat(path, &sb) && S_ISREG(sb.st_mode); /* we write nothing else */
    enum status st = !path ? ST_NOMEM : file ? look_at(path, &sound, &why) : ST_OK;
    if (st && st != ST_NOMEM) {
        if (st != ST_NOT_FOUND) /* else removed meanwhile */
            k->passed(k->ctx, why.text);
        st = ST_OK;
    }
    if (!st && !sound) {
        k->damaged++;
        what = mem_printf("%s: this copy of a text tower is damaged", path);
        if (what)
            k->found(k->ctx, what);
        if (k->remove && unlink(path) && errno != ENOENT)
            st = error_errno(err, errno, "%s", path);
    }
    mem_free(what);
    mem_free(path);
    return st;
}

enum status clip_check_half(struct clip_half_check *k, struct error *err)
{
    char *folder = file_note_path("sentences", "");
    DIR *d = folder ? opendir(folder) : NULL;
    enum status st = ST_OK;
    for (const struct dirent *e; d && !st && (e = readdir(d));)
        if (path_has_ext(e->d_name, "safetensors"))
            st = check_one(folder, e->d_name, k, err);
    if (d)
        closedir(d);
    mem_free(folder);
    return st == ST_NOMEM ? error_set(err, st, "out of memory") : st;
}
