/* The prompt's <lora:...>: names and strengths, in AUTOMATIC1111's order, the text tower's first.
 */
#include "core/mem.h"
#include "sampler/lora/lora_int.h"
#include "sampler/prompt.h"
#include "sampler/shelf.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LORAS = 64, MAX_STRENGTH = 1000 };

static enum status read_number(double *x, const char *s, size_t n, const char *text,
                               struct error *err)
{
    char number[32], q[LORA_QUOTE], *end;
    snprintf(number, sizeof number, "%.*s", (int)(n < sizeof number ? n : 0), s);
    double v = strtod(number, &end);
    if (end == number || *end || !(fabs(v) <= MAX_STRENGTH))
        return error_set(err, ST_USAGE, "<%s>: a strength is a number from -%d to %d",
                         lora_quote(q, text), (int)MAX_STRENGTH, (int)MAX_STRENGTH);
    *x = v;
    return ST_OK;
}

struct strengths {
    double value[4]; /* first and second without a name; te=, unet= */
    bool has[4];
};

/* One part behind the name: "0.8", "te=0.5", "unet=1". */
static enum status read_part(struct strengths *v, const char *s, size_t n, const char *text,
                             struct error *err)
{
    const char *equals = memchr(s, '=', n);
    size_t key = equals ? (size_t)(equals - s) + 1 : 0;
    char q[LORA_QUOTE];
    int i = v->has[0] ? v->has[1] ? 4 : 1 : 0;
    if (equals)
        i = key == 3 && !strncmp(s, "te=", 3) ? 2 : key == 5 && !strncmp(s, "unet=", 5) ? 3 : 4;
    if (i == 4)
        return error_set(
            err, ST_USAGE,
            "<%s>: behind the name are two strengths at most, te= or unet=", lora_quote(q, text));
    v->has[i] = true;
    return read_number(&v->value[i], s + key, n - key, text, err);
}

/* The tower's strength is also the denoiser's where that has none, te= included, as there. */
static enum status read_parts(struct lora_use *u, const char *s, struct error *err)
{
    struct strengths v = {0};
    enum status st = ST_OK;
    while (*s == ':' && !st) {
        size_t n = strcspn(++s, ":");
        st = read_part(&v, s, n, u->text, err);
        s += n;
    }
    u->tower = v.has[2] ? v.value[2] : v.has[0] ? v.value[0] : 1;
    u->unet = v.has[3] ? v.value[3] : v.has[1] ? v.value[1] : u->tower;
    return st;
}

enum status lora_use_read(struct lora_use *u, char **name, const char *text, struct error *err)
{
    const char *from = strchr(text, ':') + 1;
    size_t n = strcspn(from, ":");
    *name = mem_strndup(from, n);
    u->text = mem_strdup(text);
    if (!*name || !u->text)
        return error_set(err, ST_NOMEM, "out of memory (LoRA)");
    return read_parts(u, from + n, err);
}

/* No file is called so: AUTOMATIC1111's prompts may also have the name that a LoRA was trained
 * under, which kohya's scripts leave in the file. NULL where none, or more than one, has it. */
static const char *find_trained_name(const struct shelf *shelf, const char *name)
{
    const char *found = NULL;
    for (size_t i = 0; i < shelf->n; i++) {
        const char *path = shelf->item[i].path;
        struct weights *w = NULL;
        if (!path_has_ext(path, "safetensors") || weights_open(&w, path, NULL))
            continue;
        const char *own = weights_meta(w, "ss_output_name");
        bool same = own && strcmp(own, name) == 0, second = same && found;
        weights_close(w);
        if (second)
            return NULL;
        found = same ? path : found;
    }
    return found;
}

static enum status add(struct lora_list *l, const char *text, const struct shelf *shelf,
                       struct error *err)
{
    char q[LORA_QUOTE], *name = NULL;
    const char *path = NULL;
    struct lora_use *u = &l->item[l->n++];
    enum status st = lora_use_read(u, &name, text, err);
    if (!st && !shelf->dir)
        st = error_set(err, ST_USAGE, "<%s>: no folder of LoRAs is given (--lora-dir)",
                       lora_quote(q, text));
    if (!st)
        st = shelf_find(shelf, name, "LoRA", &path, err);
    if (st == ST_NOT_FOUND && (path = find_trained_name(shelf, name)))
        st = ST_OK;
    if (!st && !(u->path = mem_strdup(path)))
        st = error_set(err, ST_NOMEM, "out of memory (LoRA)");
    mem_free(name);
    return st;
}

static bool is_lora(const char *text)
{
    return strncmp(text, "lora:", 5) == 0 || strncmp(text, "lyco:", 5) == 0;
}

enum status lora_list_read(struct lora_list *l, const char *prompt, const char *dir,
                           struct error *err)
{
    struct prompt_list found = {0};
    struct shelf shelf = {0};
    char *rest = NULL, q[LORA_QUOTE];
    *l = (struct lora_list){0};
    enum status st = prompt_networks(&found, &rest, prompt, err);
    mem_free(rest);
    if (!st && found.n > MAX_LORAS)
        st = error_set(err, ST_LIMIT, "more than %d LoRAs in a prompt", (int)MAX_LORAS);
    if (!st && found.n && dir)
        st = shelf_open(&shelf, dir, err);
    if (!st && !(l->item = mem_zarray(found.n + 1, sizeof *l->item)))
        st = error_set(err, ST_NOMEM, "out of memory (LoRA)");
    for (size_t i = 0; i < found.n && !st; i++) {
        if (is_lora(found.item[i].text))
            st = add(l, found.item[i].text, &shelf, err);
        else
            st = error_set(err, ST_USAGE, "<%s> in the prompt is not read; <lora:...> is",
                           lora_quote(q, found.item[i].text));
    }
    shelf_close(&shelf);
    prompt_list_release(&found);
    if (st)
        lora_list_release(l);
    return st;
}

void lora_list_release(struct lora_list *l)
{
    for (int i = 0; l->item && i < l->n; i++) {
        mem_free(l->item[i].text);
        mem_free(l->item[i].path);
    }
    mem_free(l->item);
    *l = (struct lora_list){0};
}
