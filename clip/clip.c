/* Opening a model and saying what it is. The work is in layout.c (which files), arch/ (which
 * family) and session.c (running it). */
#include "clip/clip_int.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <math.h>

#define MOST_ADDED_TOKENS 16

static const struct clip_arch *find_arch(const struct clip_source *src)
{
    for (int i = 0; clip_arch_list[i]; i++)
        if (clip_arch_list[i]->probe(src))
            return clip_arch_list[i];
    return NULL;
}

static enum status check_model(const struct clip *c, struct error *err)
{
    const struct clip_model *m = &c->model;
    if (m->dim < 1 || m->dim > CLIP_MAX_DIM)
        return error_set(err, ST_UNSUPPORTED, "%s: vectors of %d values, at most %d are read",
                         c->src.path, m->dim, CLIP_MAX_DIM);
    if (!isfinite(m->logit_scale) || !isfinite(m->logit_bias))
        return error_set(err, ST_FORMAT, "%s: logit_scale is not a finite number", c->src.path);
    /* A few added tokens may lie behind the table: transformers' BertTokenizer invents a missing
     * [MASK]. */
    if (!c->opts.no_text &&
        (tokenizer_vocab_size(c->tokenizer) > m->vocab + MOST_ADDED_TOKENS ||
         tokenizer_bos(c->tokenizer) >= m->vocab || tokenizer_eos(c->tokenizer) >= m->vocab ||
         tokenizer_pad(c->tokenizer) >= m->vocab))
        return error_set(err, ST_FORMAT, "%s: the tokenizer has %d pieces, the text tower %d",
                         c->src.path, tokenizer_vocab_size(c->tokenizer), m->vocab);
    return ST_OK;
}

/* Values, and the dtype that most of them have. */
static void count_weights(struct clip_info *info, const struct weights *w)
{
    uint64_t per[DT_COUNT] = {0};
    enum dtype most = DT_F32;
    for (int i = 0; i < weights_count(w); i++) {
        const struct tensor *t = weights_at(w, i);
        if (t->dtype != DT_I64 && t->dtype != DT_I32 && t->dtype != DT_BOOL && t->dtype != DT_U8)
            per[t->dtype] += (uint64_t)tensor_count(t);
    }
    for (int i = 0; i < DT_COUNT; i++) {
        info->parameters += per[i];
        if (per[i] > per[most])
            most = (enum dtype)i;
    }
    info->dtype = dtype_name(most);
    info->bytes = weights_bytes(w);
}

static char *short_name(const char *path)
{
    char *full = path_absolute(path);
    const char *base = full ? path_base(full) : "";
    const char *ext = path_ext(base);
    bool folder = file_is_dir(path);
    size_t n = folder || !*ext ? strlen(base) : (size_t)(ext - base) - 1;
    char *name = full ? mem_strndup(base, n) : NULL;
    mem_free(full);
    return name;
}

/* The first line of LICENSE in the model's folder, or beside the folder when the model is one of
 * ours. */
static char *license_line(const struct clip_source *s)
{
    static const char *const where[] = {"LICENSE", "LICENSE.txt", "../LICENSE"};
    char *line = NULL;
    for (int i = 0; i < (s->ours ? 3 : 2) && !line; i++) {
        char *path = path_join(s->dir, where[i]), *data = NULL;
        size_t size = 0;
        if (path && file_exists(path) && !file_read_all(&data, &size, path, 1 << 20, NULL)) {
            const char *start = data + strspn(data, "# \t\r\n");
            line = mem_strndup(start, strcspn(start, "\r\n"));
        }
        mem_free(data);
        mem_free(path);
    }
    return line;
}

/* A config beside a single file does not move with it, and neither does what its name says. */
static enum status fill_traits(struct clip *c, struct error *err)
{
    size_t n = 0;
    if (c->src.open_clip) {
        c->trait_config = json_dumps(c->src.config, JSON_COMPACT | JSON_REAL_PRECISION(17));
        if (!c->trait_config)
            return error_set(err, ST_NOMEM, "%s: out of memory", c->src.path);
        c->traits[n++] = CLIP_TRAIT_CONFIG;
        c->traits[n++] = c->trait_config;
    }
    if (c->model.trait) {
        c->traits[n++] = c->model.trait;
        c->traits[n++] = "true";
    }
    return ST_OK;
}

static enum status fill_info(struct clip *c, struct error *err)
{
    const struct clip_model *m = &c->model;
    struct clip_info *info = &c->info;
    c->name = short_name(c->src.path);
    if (!c->name)
        return error_set(err, ST_NOMEM, "%s: out of memory", c->src.path);
    if (!m->license)
        c->license = license_line(&c->src);
    *info = (struct clip_info){
        .arch = c->arch->name,
        .layout = c->src.layout,
        .name = c->name,
        .tokenizer = tokenizer_name(c->tokenizer),
        .license = m->license ? m->license : c->license,
        .note = m->note,
        .dim = m->dim,
        .context = m->context,
        .vocab = m->vocab,
        .image_size = m->pre.prep.size,
        .image_layers = m->image_layers,
        .text_layers = m->text_layers,
        .image_width = m->image_width,
        .text_width = m->text_width,
        .patch = m->patch,
        .places = m->places,
        .place_width = m->place_width,
        .near_f32 = m->int8_near_f32 ? PREC_INT8 : PREC_BF16,
        .logit_scale = m->logit_scale,
        .logit_bias = m->logit_bias,
        .weights = weights_path(c->src.weights),
    };
    count_weights(info, c->src.weights);
    enum status st = fill_traits(c, err);
    return st ? st : clip_id_make(info->id, &c->src, m, err);
}

static enum status open_into(struct clip *c, const char *path, struct error *err)
{
    enum status st = clip_source_open(&c->src, path, err);
    if (st)
        return st;
    if (c->opts.half)
        clip_half_open(&c->src);
    c->arch = find_arch(&c->src);
    if (!c->arch)
        return error_set(err, ST_UNSUPPORTED,
                         "%s: no model family that is read here (CLIP in Hugging Face's, OpenAI's, "
                         "OpenCLIP's or clip.cpp's form, SigLIP, multilingual DistilBERT, the "
                         "starter)",
                         path);
    if (!(c->model.packs = packs_new()))
        return error_set(err, ST_NOMEM, "%s: out of memory", path);
    st = c->arch->open(&c->model, &c->src, &c->opts, err);
    if (!st)
        st = tokenizer_open(&c->tokenizer, c->model.tokenizer, c->model.tokenizer_dir, err);
    if (!st)
        st = check_model(c, err);
    return st ? st : fill_info(c, err);
}

enum status clip_open(struct clip **out, const char *path, const struct clip_opts *o,
                      struct error *err)
{
    *out = NULL;
    struct clip *c = mem_zalloc(sizeof *c);
    if (!c)
        return error_set(err, ST_NOMEM, "%s: out of memory", path);
    if (o)
        c->opts = *o;
    enum status st = open_into(c, path, err);
    if (st)
        clip_close(c);
    else
        *out = c;
    return st;
}

void clip_close(struct clip *c)
{
    if (!c)
        return;
    tokenizer_close(c->tokenizer);
    packs_free(c->model.packs);
    clip_close(c->model.image);
    arena_release(&c->model.arena);
    clip_source_release(&c->src);
    mem_free(c->name);
    mem_free(c->license);
    free(c->trait_config); /* Jansson's */
    mem_free(c);
}

const struct clip_info *clip_info(const struct clip *c)
{
    return &c->info;
}

const char *const *clip_traits(const struct clip *c)
{
    return c->traits;
}

int clip_dim(const struct clip *c)
{
    return c->info.dim;
}

const struct clip_vit_text *clip_vit_text_of(const struct clip *c)
{
    return c->model.vit_text;
}

const struct tokenizer *clip_tokenizer(const struct clip *c)
{
    return c->tokenizer;
}

void clip_give_back(const struct clip *c)
{
    weights_give_back(c->src.weights);
    if (c->model.image)
        clip_give_back(c->model.image);
}

struct decoder_prep clip_prep(const struct clip *c, bool exact)
{
    struct decoder_prep p = c->model.pre.prep;
    p.exact = exact;
    return p;
}
