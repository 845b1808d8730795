/* eidetic info: everything known of a picture. */
#include "app/companions.h"
#include "db/files.h"
#include "db/images.h"
#include "db/tags.h"
#include "db/vectors.h"
#include "db/written.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct option_def defs[] = {{0}};

struct facts {
    struct db_file file;
    struct db_image image;
    struct db_tags tags;
    struct db_written_all written;
    bool known; /* to the library, with a content */
    bool animated;
    json_t *vectors, *paths, *companions;
};

static json_t *hex_text(const uint8_t *bytes, size_t n)
{
    char text[65];
    for (size_t i = 0; i < n && i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return json_string(text);
}

struct each_vector {
    struct app *app;
    struct facts *f;
};

static enum status add_vector(void *ctx, const struct db_model *m)
{
    struct each_vector *e = ctx;
    enum db_precision precision;
    unsigned flags;
    char device[32];
    static const char *const names[] = {"?", "f32", "bf16", "int8", "f16"};
    enum status st =
        db_vector_info(e->app->db, m->id, e->f->image.id, &precision, &flags, device, &e->app->err);
    if (st == ST_NOT_FOUND)
        return ST_OK;
    if (!st)
        json_array_append_new(
            e->f->vectors,
            json_pack("{s:o s:s s:i s:s s:b s:s}", "model", json_text(m->name), "id", m->hex, "dim",
                      m->dim, "precision", precision <= DB_PREC_F16 ? names[precision] : "?",
                      "reduced_decode", (flags & DB_VEC_REDUCED) != 0, "device", device));
    return st;
}

static enum status add_path(void *ctx, const char *path, bool missing)
{
    json_t *o = json_object();
    json_set_path(o, path);
    json_object_set_new(o, "missing", json_boolean(missing));
    json_array_append_new(ctx, o);
    return ST_OK;
}

static int load_known(struct app *a, const char *path, struct facts *f)
{
    enum status st = db_file_get(a->db, path, &f->file, &a->err);
    if (st == ST_NOT_FOUND)
        return 0;
    if (st)
        return app_fail(a, APP_LIBRARY);
    if (!f->file.image)
        return 0;
    struct each_vector e = {a, f};
    st = db_image_get(a->db, f->file.image, &f->image, &a->err);
    if (!st)
        st = db_models_each(a->db, add_vector, &e, &a->err);
    if (!st)
        st = db_image_paths_each(a->db, f->file.image, add_path, f->paths, &a->err);
    if (!st)
        st = db_tags_get(a->db, f->file.image, &f->tags, &a->err);
    if (!st)
        st = db_written_get(a->db, f->file.image, &f->written, &a->err);
    f->known = !st;
    struct image_meta m; /* the catalogue does not say; the file does, where it is there */
    f->animated = !st && !image_probe(&m, path, NULL) && m.animated;
    return st ? app_fail(a, APP_LIBRARY) : 0;
}

static int probe_parameters(struct app *a, const struct image_meta *m, struct db_image *im)
{
    struct parameters p;
    enum status st = parameters_parse(&p, m->parameters, &a->err);
    if (st == ST_FORMAT)
        return 0;
    const char *model = st ? NULL : parameters_get(&p, "Model");
    if (!st) {
        im->generated = true;
        im->has_seed = parameters_whole(&p, "Seed", &im->seed);
        im->prompt = mem_strdup(p.prompt);
        im->negative = mem_strdup(p.negative);
        im->parameters = mem_strdup(m->parameters);
        im->gen_model = model ? mem_strdup(model) : NULL;
        parameters_release(&p);
    }
    if (!st && im->prompt && im->negative && im->parameters && (im->gen_model || !model))
        return 0;
    return app_no_memory(a);
}

static int probe_words(struct app *a, const struct image_words *w, struct db_written_all *all)
{
    bool ok = true;
    size_t n = 0;
    for (const char *k = NULL; (k = image_words_next(w, k));)
        n++;
    all->rating = w->rating;
    all->title = mem_strdup(w->title);
    all->description = mem_strdup(w->description);
    all->keyword = mem_zarray(n + 1, sizeof *all->keyword);
    for (const char *k = NULL; all->keyword && (k = image_words_next(w, k));)
        ok &= (all->keyword[all->n++] = mem_strdup(k)) != NULL;
    return ok && all->title && all->description && all->keyword ? 0 : app_no_memory(a);
}

/* The same from the file itself, where the library does not have it. */
static int probe(struct app *a, const char *path, struct facts *f)
{
    struct image_meta m;
    if (image_probe(&m, path, &a->err))
        return app_fail(a, APP_FILE);
    image_sidecars_read(&m, path);
    f->animated = m.animated;
    f->image.width = m.width;
    f->image.height = m.height;
    f->image.orientation = m.orientation;
    memcpy(f->image.format, m.format, sizeof m.format);
    memcpy(f->image.taken, m.taken, sizeof m.taken);
    memcpy(f->image.make, m.make, sizeof m.make);
    memcpy(f->image.camera, m.camera, sizeof m.camera);
    memcpy(f->image.lens, m.lens, sizeof m.lens);
    f->image.has_gps = m.has_gps;
    f->image.lat = m.lat;
    f->image.lon = m.lon;
    f->image.alt = m.alt;
    f->image.has_alt = m.has_gps && m.alt != 0;
    return probe_parameters(a, &m, &f->image) || probe_words(a, &m.words, &f->written);
}

/* What a generated picture's text has under this key; mem_free, NULL = nothing. */
static char *said(const struct db_image *im, const char *key)
{
    struct parameters p = {0};
    const char *value = im->parameters && !parameters_parse(&p, im->parameters, NULL)
                            ? parameters_get(&p, key)
                            : NULL;
    char *copy = value ? mem_strdup(value) : NULL;
    parameters_release(&p);
    return copy;
}

static void add_said(json_t *o, const struct db_image *im, const char *name, const char *key)
{
    char *value = said(im, key);
    json_object_set_new(o, name, json_text(value));
    mem_free(value);
}

static json_t *to_json(const char *path, const struct facts *f)
{
    const struct db_image *im = &f->image;
    json_t *o = json_object();
    json_set_path(o, path);
    json_object_set_new(o, "indexed", json_boolean(f->known));
    json_object_set_new(o, "format", json_text(im->format));
    json_object_set_new(o, "animated", json_boolean(f->animated));
    json_object_set_new(o, "width", json_integer(im->width));
    json_object_set_new(o, "height", json_integer(im->height));
    json_object_set_new(o, "orientation", json_integer(im->orientation));
    json_object_set_new(o, "taken", json_text(im->taken));
    json_object_set_new(o, "make", json_text(im->make));
    json_object_set_new(o, "camera", json_text(im->camera));
    json_object_set_new(o, "lens", json_text(im->lens));
    if (im->has_gps)
        json_object_set_new(o, "gps",
                            json_pack("{s:f s:f s:o}", "lat", im->lat, "lon", im->lon, "alt",
                                      im->has_alt ? json_real(im->alt) : json_null()));
    else
        json_object_set_new(o, "gps", json_null());
    json_object_set_new(o, "generated", json_boolean(im->generated));
    if (im->generated) {
        json_object_set_new(o, "prompt", json_text(im->prompt));
        json_object_set_new(o, "negative_prompt", json_text(im->negative));
        json_object_set_new(o, "seed", im->has_seed ? json_integer(im->seed) : json_null());
        json_object_set_new(o, "checkpoint", json_text(im->gen_model));
        add_said(o, im, "sampler", "Sampler");
        add_said(o, im, "model_hash", "Model hash");
        json_object_set_new(o, "parameters", json_text(im->parameters));
    }
    json_object_set_new(o, "title", json_text(f->written.title));
    json_object_set_new(o, "description", json_text(f->written.description));
    json_t *keywords = json_array();
    for (size_t i = 0; i < f->written.n; i++)
        json_array_append_new(keywords, json_text(f->written.keyword[i]));
    json_object_set_new(o, "keywords", keywords);
    json_object_set_new(o, "rating",
                        f->written.rating ? json_integer(f->written.rating) : json_null());
    json_object_set_new(o, "caption", json_text(f->tags.caption));
    json_object_set_new(o, "tags", json_tags(&f->tags));
    json_object_set(o, "companions", f->companions);
    if (f->known) {
        json_object_set_new(o, "bytes", json_integer(im->bytes));
        json_object_set_new(o, "hash", hex_text(im->hash, sizeof im->hash));
        json_object_set(o, "paths", f->paths);
        json_object_set(o, "vectors", f->vectors);
    }
    return o;
}

static void print_field(const char *name, const char *value)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_text_safe(&b, value);
    if (value[0])
        printf("%-12s %s\n", name, b.data ? b.data : "?");
    buf_release(&b);
}

static void print_said(const struct db_image *im, const char *name, const char *key)
{
    char *value = said(im, key);
    print_field(name, value ? value : "");
    mem_free(value);
}

/* Not from the JSON, which cannot hold every name. */
static enum status print_other(void *ctx, const char *path, bool missing)
{
    const char *shown = ctx;
    if (!strcmp(path, shown))
        return ST_OK;
    fputs("also at      ", stdout);
    print_path(stdout, path);
    puts(missing ? " (gone)" : "");
    return ST_OK;
}

static void print_written(const struct db_written_all *w)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < w->n; i++)
        buf_printf(&b, "%s%s", i ? ", " : "", w->keyword[i]);
    print_field("title", w->title ? w->title : "");
    print_field("description", w->description ? w->description : "");
    print_field("keywords", b.data ? b.data : "");
    if (w->rating)
        printf("rating       %s\n",
               w->rating < 0 ? "rejected" : &"*****"[5 - (w->rating > 5 ? 5 : w->rating)]);
    buf_release(&b);
}

static void print_tags(const struct db_tags *t)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < t->n; i++)
        buf_printf(&b, "%s%s %.2f", i ? ", " : "", t->tag[i].tag, t->tag[i].score);
    print_field("caption", t->caption ? t->caption : "");
    print_field("tags", b.data ? b.data : "");
    buf_release(&b);
}

static void print_companions(const json_t *list)
{
    size_t i;
    json_t *o;
    json_array_foreach(list, i, o)
    {
        bool video = !strcmp(json_string_value(json_object_get(o, "kind")), "video");
        print_field(video ? "live video" : "burst with",
                    json_string_value(json_object_get(o, "path")));
    }
}

static int print_text(struct app *a, const char *path, const struct facts *f)
{
    const struct db_image *im = &f->image;
    fputs("path         ", stdout);
    print_path(stdout, path);
    printf("\nindexed      %s\n", f->known ? "yes" : "no");
    printf("format       %s, %d x %d%s\n", im->format, im->width, im->height,
           f->animated ? ", animated" : "");
    print_field("taken", im->taken);
    print_field("camera", im->camera);
    print_field("lens", im->lens);
    if (im->has_gps)
        printf("position     %.6f, %.6f\n", im->lat, im->lon);
    if (im->generated) {
        print_field("prompt", im->prompt ? im->prompt : "");
        print_field("negative", im->negative ? im->negative : "");
        print_field("checkpoint", im->gen_model ? im->gen_model : "");
        print_said(im, "sampler", "Sampler");
        print_said(im, "model hash", "Model hash");
        if (im->has_seed)
            printf("seed         %" PRId64 "\n", im->seed);
    }
    print_written(&f->written);
    print_tags(&f->tags);
    print_companions(f->companions);
    if (!f->known)
        return 0;
    printf("bytes        %" PRId64 "\nhash         ", im->bytes);
    for (size_t i = 0; i < sizeof im->hash; i++)
        printf("%02x", im->hash[i]);
    putchar('\n');
    if (db_image_paths_each(a->db, f->file.image, print_other, (void *)(uintptr_t)path, &a->err))
        return app_fail(a, APP_LIBRARY);
    size_t i;
    json_t *v;
    json_array_foreach(f->vectors, i, v)
        printf("vector       model %s, %s%s\n", json_string_value(json_object_get(v, "model")),
               json_string_value(json_object_get(v, "precision")),
               json_is_true(json_object_get(v, "reduced_decode")) ? ", reduced decode" : "");
    return 0;
}

static int show(struct app *a, const char *arg)
{
    struct facts f = {.vectors = json_array(), .paths = json_array()};
    char *path = path_absolute(arg);
    if (!path || !f.vectors || !f.paths) {
        app_no_memory(a);
    } else if (!(a->db && load_known(a, path, &f)) && (f.known || !probe(a, path, &f))) {
        if (!(f.companions = app_companions(a, f.known ? f.image.id : 0, path, true)))
            app_fail(a, APP_LIBRARY);
        else if (a->json)
            app_print_json(a, to_json(path, &f));
        else
            print_text(a, path, &f);
    }
    db_image_release(&f.image);
    db_tags_release(&f.tags);
    db_written_release(&f.written);
    json_decref(f.vectors);
    json_decref(f.paths);
    json_decref(f.companions);
    mem_free(path);
    return a->exit;
}

static int run(struct app *a, int argc, char **argv)
{
    if (app_begin(a, &cmd_info, defs, NULL, argc, argv) || app_want_args(a, 1, 1))
        return a->exit;
    struct db_opts o = {.mode = DB_READ, .command = "info"};
    a->library_path = app_library_path(a->library);
    enum status st = a->library_path ? db_open(&a->db, a->library_path, &o, &a->err) : ST_NOMEM;
    if (st && st != ST_NOT_FOUND) /* without a library the file alone is described */
        app_fail(a, APP_LIBRARY);
    else if (!show(a, a->rest.item[0].value))
        app_check_stdout(a);
    return a->exit;
}

const struct command cmd_info = {
    "info", "everything known of a picture",
    "usage: eidetic info FILE\n\n"
    "What the library and the file itself say of a picture. A live photo's "
    "video is found beside it\n"
    "by its name, or by the identifier in both; search --json tells "
    "the one of its name alone.\n\n"
    "  eidetic info ~/Pictures/IMG_0042.jpg\n"
    "  eidetic info --json photo.jpg",
    run};
