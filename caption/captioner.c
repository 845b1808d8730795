/* Opening a captioner: which files, which family. Surprising: a folder may hold GPT-2's own weights
 * beside ClipCap's, so that a .pt goes before model.safetensors there. */
#include "caption/captioner.h"
#include "caption/family.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static void source_release(struct captioner_source *s)
{
    json_decref(s->config);
    mem_free(s->dir);
    mem_free(s->file);
    mem_free(s->config_path);
    *s = (struct captioner_source){0};
}

/* The folder's weight file: the first of these endings that one file alone has. */
static enum status find_file(struct captioner_source *s, struct error *err)
{
    static const char *const ends[] = {"pt", "pth", "safetensors", "bin"};
    for (size_t k = 0; k < sizeof ends / sizeof *ends && !s->file; k++) {
        DIR *d = opendir(s->dir);
        if (!d)
            return error_set(err, ST_IO, "%s: cannot be listed", s->dir);
        int n = 0;
        for (struct dirent *e; (e = readdir(d));) {
            if (e->d_name[0] == '.' || !path_has_ext(e->d_name, ends[k]))
                continue;
            mem_free(s->file);
            s->file = n++ ? NULL : path_join(s->dir, e->d_name);
        }
        closedir(d);
        if (n > 1)
            return error_set(err, ST_NOT_FOUND, "%s: several .%s files, name one of them", s->dir,
                             ends[k]);
    }
    return s->file ? ST_OK
                   : error_set(err, ST_NOT_FOUND, "%s: no weight file in this folder", s->dir);
}

/* A .pt file's tokenizer lies beside it, or in a folder gpt2 there. */
static enum status find_dir(struct captioner_source *s, struct error *err)
{
    s->dir = path_dir(s->file);
    if (s->dir && !file_exists_in(s->dir, "config.json") && file_exists_in(s->dir, "gpt2")) {
        char *below = path_join(s->dir, "gpt2");
        mem_free(s->dir);
        s->dir = below;
    }
    return s->dir ? ST_OK : error_set(err, ST_NOMEM, "%s: out of memory", s->path);
}

static enum status source_open(struct captioner_source *s, const char *path, struct error *err)
{
    *s = (struct captioner_source){.path = path};
    enum status st = ST_OK;
    if (!file_exists(path))
        return error_set(err, ST_NOT_FOUND, "%s: no such captioner", path);
    if (file_is_dir(path)) {
        s->dir = mem_strdup(path);
        st = s->dir ? find_file(s, err) : error_set(err, ST_NOMEM, "%s: out of memory", path);
    } else {
        s->file = mem_strdup(path);
        st = s->file ? find_dir(s, err) : error_set(err, ST_NOMEM, "%s: out of memory", path);
    }
    if (!st && file_exists_in(s->dir, "config.json")) {
        s->config_path = path_join(s->dir, "config.json");
        st = s->config_path ? clip_config_read(&s->config, s->config_path, err)
                            : error_set(err, ST_NOMEM, "%s: out of memory", path);
    }
    if (st)
        source_release(s);
    return st;
}

bool captioner_probe(const char *path)
{
    struct captioner_source s;
    bool is = false;
    if (source_open(&s, path, NULL))
        return false;
    for (int i = 0; captioner_families[i] && !is; i++)
        is = captioner_families[i]->probe(&s, NULL);
    source_release(&s);
    return is;
}

static enum status check(const struct captioner *c, struct error *err)
{
    const char *path = c->at.path;
    const struct lm *lm = &c->lm;
    if (c->prefix + 2 > lm->context)
        return error_set(err, ST_FORMAT, "%s: the picture takes %d of the decoder's %d places",
                         path, c->prefix, lm->context);
    if (tokenizer_vocab_size(c->tokenizer) > lm->vocab + 16)
        return error_set(err, ST_FORMAT, "%s: the tokenizer has %d pieces, the decoder %d", path,
                         tokenizer_vocab_size(c->tokenizer), lm->vocab);
    for (int i = 0; i < c->n_eos; i++)
        if (c->eos[i] < 0 || c->eos[i] >= lm->vocab)
            return error_set(err, ST_FORMAT, "%s: the end token %d is beyond the decoder's %d",
                             path, c->eos[i], lm->vocab);
    return ST_OK;
}

static void fill_info(struct captioner *c)
{
    c->info.family = c->family->name;
    c->info.vocab = c->lm.vocab;
    c->info.context = c->lm.context;
    for (int k = 0; k < 2; k++) {
        const struct weights *w = k ? c->more : c->weights;
        for (int i = 0; w && i < weights_count(w); i++)
            c->info.parameters += (uint64_t)tensor_count(weights_at(w, i));
    }
    weights_id(c->weights, c->info.id);
}

static enum status open_into(struct captioner *c, const char *path, struct error *err)
{
    enum status st = source_open(&c->at, path, err);
    if (!st)
        st = weights_open(&c->weights, c->at.file, err);
    if (st)
        return st;
    for (int i = 0; captioner_families[i] && !c->family; i++)
        if (captioner_families[i]->probe(&c->at, c->weights))
            c->family = captioner_families[i];
    if (!c->family)
        return error_set(err, ST_UNSUPPORTED, "%s: not a captioner of a kind that is read", path);
    if (!(c->m.packs = packs_new()))
        return error_set(err, ST_NOMEM, "%s: out of memory", path);
    c->src = (struct clip_source){.path = c->at.file, .weights = c->weights};
    struct clip_loader l = {.m = &c->m, .src = &c->src, .err = err};
    st = c->family->open(c, &l, err);
    if (!st)
        st = check(c, err);
    if (!st)
        fill_info(c);
    return st;
}

enum status captioner_open(struct captioner **out, const char *path, struct error *err)
{
    *out = NULL;
    struct captioner *c = mem_zalloc(sizeof *c);
    if (!c)
        return error_set(err, ST_NOMEM, "%s: out of memory", path);
    enum status st = open_into(c, path, err);
    if (st)
        captioner_close(c);
    else
        *out = c;
    return st;
}

void captioner_close(struct captioner *c)
{
    if (!c)
        return;
    packs_free(c->m.packs);
    arena_release(&c->m.arena);
    tokenizer_close(c->tokenizer);
    weights_close(c->weights);
    weights_close(c->more);
    source_release(&c->at);
    mem_free(c);
}

const struct captioner_info *captioner_info(const struct captioner *c)
{
    return &c->info;
}

enum status captioner_fits(const struct captioner *c, const struct clip_info *clip,
                           struct error *err)
{
    const struct captioner_info *i = &c->info;
    if (i->clip_id[0] && strcmp(i->clip_id, clip->id) != 0)
        return error_set(err, ST_UNSUPPORTED,
                         "%.100s: was trained on the states of the model %s, and %.60s is %s",
                         c->at.path, i->clip_id, clip->name, clip->id);
    if (i->wants == CAPTIONER_PLACES &&
        (i->places != clip->places || i->place_width != clip->place_width))
        return error_set(err, ST_FORMAT,
                         "%.100s: wants %d states of %d values, and those of the model %.60s are "
                         "%d of %d",
                         c->at.path, i->places, i->place_width, clip->name, clip->places,
                         clip->place_width);
    if (i->wants != CAPTIONER_PIXELS && i->clip_dim != clip->dim)
        return error_set(
            err, ST_FORMAT,
            "%.100s: wants vectors of %d values, and those of the model %.60s have %d; "
            "--model names the CLIP that it was trained with",
            c->at.path, i->clip_dim, clip->name, clip->dim);
    return ST_OK;
}

struct decoder_prep captioner_prep(const struct captioner *c)
{
    struct decoder_prep p = c->m.pre.prep;
    p.exact = true;
    return p;
}

void captioner_key(char key[33], const struct captioner *c, const struct caption_opts *o,
                   const char *clip)
{
    const struct decode_opts *d = &o->decode;
    char text[512];
    int n =
        snprintf(text, sizeof text, "caption 1 %s %s %d %d %d %g %g %g %g %llu %.300s", c->info.id,
                 clip, d->beams, d->min_tokens, d->max_tokens, (double)d->top_p,
                 (double)d->temperature, (double)d->repetition_penalty, (double)d->length_penalty,
                 (unsigned long long)d->seed, o->prompt ? o->prompt : "");
    XXH128_hash_t h = XXH3_128bits(text, (size_t)(n < (int)sizeof text ? n : (int)sizeof text - 1));
    snprintf(key, 33, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
}
