/* A LoRA file's keys, whatever program wrote them: sorted into modules by the part of the name that
 * the network gives, with '_' for '.', since kohya's files have no dots to tell. */
#include "core/buf.h"
#include "core/mem.h"
#include "sampler/lora/lora_int.h"
#include <stdlib.h>
#include <string.h>

struct ending {
    const char *text;
    enum lora_field field;
};

/* The longer before those they end in. */
static const struct ending endings[] = {
    {".lora_down.weight", LORA_DOWN},
    {".lora_up.weight", LORA_UP},
    {".lora_mid.weight", LORA_MID},
    {".lora_A.default.weight", LORA_DOWN},
    {".lora_B.default.weight", LORA_UP},
    {".lora_A.weight", LORA_DOWN},
    {".lora_B.weight", LORA_UP},
    {".lora_linear_layer.down.weight", LORA_DOWN},
    {".lora_linear_layer.up.weight", LORA_UP},
    {".lora.down.weight", LORA_DOWN},
    {".lora.up.weight", LORA_UP},
    {"_lora.down.weight", LORA_DOWN}, /* behind "attn1.processor.to_q" */
    {"_lora.up.weight", LORA_UP},
    {".alpha", LORA_ALPHA},
    {".diff", LORA_DIFF},
    {".hada_w1_a", LOHA_W1A},
    {".hada_w1_b", LOHA_W1B},
    {".hada_w2_a", LOHA_W2A},
    {".hada_w2_b", LOHA_W2B},
    {".hada_t1", LOHA_T1},
    {".hada_t2", LOHA_T2},
    {".lokr_w1", LOKR_W1},
    {".lokr_w1_a", LOKR_W1A},
    {".lokr_w1_b", LOKR_W1B},
    {".lokr_w2", LOKR_W2},
    {".lokr_w2_a", LOKR_W2A},
    {".lokr_w2_b", LOKR_W2B},
    {".lokr_t2", LOKR_T2},
    {".dora_scale", LORA_MAGNITUDE},
    {".lora_magnitude_vector", LORA_MAGNITUDE},
    {".lora_magnitude_vector.weight", LORA_MAGNITUDE},
};

/* What stands before the network's own name. */
static const char *const openings[] = {
    "lora_unet_",    "lora_te_",         "lycoris_",          "unet.",
    "text_encoder.", "diffusion_model.", "base_model.model.",
};

static const struct {
    const char *start, *family;
} foreign[] = {
    {"lora_te1_", "Stable Diffusion XL"},
    {"lora_te2_", "Stable Diffusion XL"},
    {"text_encoder_2.", "Stable Diffusion XL"},
    {"lora_unet_double_blocks_", "Flux"},
    {"lora_unet_single_blocks_", "Flux"},
    {"diffusion_model.double_blocks.", "Flux"},
    {"transformer.single_transformer_", "Flux"},
    {"lora_unet_joint_blocks_", "Stable Diffusion 3"},
    {"diffusion_model.joint_blocks.", "Stable Diffusion 3"},
    {"transformer.", "a diffusion transformer"},
};

const char *lora_quote(char out[LORA_QUOTE], const char *s)
{
    struct buf b;
    size_t n = strlen(s), skip = n > 60 ? n - 60 : 0;
    while (skip && ((unsigned char)s[skip] & 0xc0) == 0x80)
        skip++; /* never half a character */
    buf_init(&b, 1024);
    buf_text_safe(&b, s + skip);
    const char *from = b.failed || !b.data ? "?" : b.len > 76 ? b.data + b.len - 76 : b.data;
    snprintf(out, LORA_QUOTE, "%s%s", skip || (!b.failed && b.len > 76) ? "..." : "", from);
    buf_release(&b);
    return out;
}

static bool starts(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

const char *lora_family(int context)
{
    return context == 768    ? "Stable Diffusion 1"
           : context == 1024 ? "Stable Diffusion 2"
           : context == 2048 ? "Stable Diffusion XL"
                             : "another model";
}

static void note_family(struct lora_file *f, const char *key)
{
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign && !f->family; i++)
        if (starts(key, foreign[i].start))
            f->family = foreign[i].family;
}

/* The field that a key names, and how long the module's part of it is; LORA_FIELDS = none. */
static enum lora_field field_of(const char *key, size_t *stem)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t k = strlen(endings[i].text);
        if (n > k && strcmp(key + n - k, endings[i].text) == 0) {
            *stem = n - k;
            return endings[i].field;
        }
    }
    return LORA_FIELDS;
}

/* The network's name for the module, dots as '_'; mem_free, NULL = no memory. */
static char *own_name(const char *key, size_t stem)
{
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++) {
        size_t n = strlen(openings[i]);
        if (stem > n && strncmp(key, openings[i], n) == 0) {
            key += n;
            stem -= n;
            break;
        }
    }
    char *name = mem_printf("%.*s__", (int)stem, key); /* room for to_out's ".0" */
    if (!name)
        return NULL;
    name[stem] = 0;
    char *at = strstr(name, ".processor.");
    if (at)
        memmove(at, at + strlen(".processor"), strlen(at + strlen(".processor")) + 1);
    size_t n = strlen(name);
    if (at && n > 7 && strcmp(name + n - 7, ".to_out") == 0)
        memcpy(name + n, ".0", 3);
    for (char *s = name; *s; s++)
        if (*s == '.')
            *s = '_';
    /* transformers 5 leaves the stem out */
    if (starts(name, "encoder_layers_")) {
        char *whole = mem_printf("text_model_%s", name);
        mem_free(name);
        name = whole;
    }
    return name;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct lora_module *)a)->name, ((const struct lora_module *)b)->name);
}

static enum status add(struct lora_file *f, const char *key, const struct tensor *t,
                       enum lora_field field, size_t stem, struct error *err)
{
    if (f->n == f->cap) {
        int cap = f->cap ? 2 * f->cap : 256;
        struct lora_module *p = mem_realloc_array(f->module, (size_t)cap, sizeof *p);
        if (!p)
            return error_set(err, ST_NOMEM, "%s: out of memory", f->path);
        f->module = p;
        f->cap = cap;
    }
    struct lora_module *m = &f->module[f->n];
    *m =
        (struct lora_module){.key = key, .stem = (int)stem, .keys = 1, .name = own_name(key, stem)};
    if (!m->name)
        return error_set(err, ST_NOMEM, "%s: out of memory", f->path);
    m->t[field] = t;
    f->n++;
    return ST_OK;
}

/* Modules of one name become one. */
static enum status join(struct lora_file *f, struct error *err)
{
    char a[LORA_QUOTE], b[LORA_QUOTE];
    int kept = 0;
    if (f->n)
        qsort(f->module, (size_t)f->n, sizeof *f->module, by_name);
    for (int i = 0; i < f->n; i++) {
        struct lora_module *m = &f->module[i], *to = kept ? &f->module[kept - 1] : NULL;
        if (!to || strcmp(to->name, m->name) != 0) {
            struct lora_module moved = *m;
            m->name = NULL;
            f->module[kept++] = moved;
            continue;
        }
        for (int k = 0; k < LORA_FIELDS; k++) {
            if (m->t[k] && to->t[k])
                return error_set(err, ST_FORMAT, "%s: %s is there twice", lora_quote(a, f->path),
                                 lora_quote(b, m->key));
            to->t[k] = m->t[k] ? m->t[k] : to->t[k];
        }
        to->keys++;
        mem_free(m->name);
        m->name = NULL;
    }
    f->n = kept;
    return ST_OK;
}

/* The prompt's width is that of the keys in attention to it. */
static void note_context(struct lora_file *f)
{
    for (int i = 0; i < f->n && !f->context; i++) {
        const struct lora_module *m = &f->module[i];
        const struct tensor *down = m->t[LORA_DOWN] ? m->t[LORA_DOWN] : m->t[LOHA_W1B];
        const struct tensor *a = m->t[LOKR_W1] ? m->t[LOKR_W1] : m->t[LOKR_W1B];
        const struct tensor *b = m->t[LOKR_W2] ? m->t[LOKR_W2] : m->t[LOKR_W2B];
        if (!strstr(m->name, "attn2_to_k"))
            continue;
        down = down ? down : m->t[LORA_DIFF];
        if (down && down->ndim >= 2 && down->dim[1] <= NET_MAX_WIDTH)
            f->context = (int)down->dim[1];
        else if (a && b && a->ndim >= 2 && b->ndim >= 2 && a->dim[1] <= NET_MAX_WIDTH &&
                 b->dim[1] <= NET_MAX_WIDTH && a->dim[1] * b->dim[1] <= NET_MAX_WIDTH)
            f->context = (int)(a->dim[1] * b->dim[1]);
    }
    if (!f->family && f->context && f->context != 768)
        f->family = lora_family(f->context);
}

enum status lora_file_read(struct lora_file *f, struct weights *w, struct error *err)
{
    enum status st = ST_OK;
    f->w = w;
    f->path = weights_path(w);
    f->keys = weights_count(w);
    for (int i = 0; i < f->keys && !st; i++) {
        const char *key = weights_name(w, i);
        size_t stem = 0;
        enum lora_field field = field_of(key, &stem);
        note_family(f, key);
        if (field != LORA_FIELDS)
            st = add(f, key, weights_at(w, i), field, stem, err);
    }
    if (!st)
        st = join(f, err);
    if (!st)
        note_context(f);
    if (!st)
        st = lora_meta_read(f, err);
    return st;
}

enum status lora_file_open(struct lora_file *f, const char *path, struct error *err)
{
    struct weights *w = NULL;
    *f = (struct lora_file){0};
    enum status st = weights_open(&w, path, err);
    if (!st)
        st = lora_file_read(f, w, err);
    if (st)
        lora_file_close(f);
    return st;
}

void lora_file_close(struct lora_file *f)
{
    for (int i = 0; i < f->n; i++)
        mem_free(f->module[i].name);
    mem_free(f->module);
    weights_close(f->w);
    *f = (struct lora_file){0};
}

const struct lora_module *lora_file_find(const struct lora_file *f, const char *name)
{
    struct lora_module key = {.name = (char *)(uintptr_t)name};
    return f->n ? bsearch(&key, f->module, (size_t)f->n, sizeof *f->module, by_name) : NULL;
}
