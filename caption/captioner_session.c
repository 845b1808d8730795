/* Running a captioner: the prompt, the cache, decoding, and ids to text. */
#include "caption/captioner.h"
#include "caption/family.h"
#include "core/mem.h"
#include <string.h>

struct captioner_session {
    const struct captioner *c;
    struct backend *be;
    struct arena arena;
    struct lm_cache cache;
};

enum status captioner_session_new(struct captioner_session **out, const struct captioner *c,
                                  const char *device, int threads, struct error *err)
{
    *out = NULL;
    struct captioner_session *s = mem_zalloc(sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, "out of memory for a session");
    s->c = c;
    enum status st = backend_open(&s->be, device ? device : "cpu", threads, err);
    if (!st)
        s->arena.memory = backend_memory(s->be);
    if (st)
        captioner_session_free(s);
    else
        *out = s;
    return st;
}

void captioner_session_free(struct captioner_session *s)
{
    if (!s)
        return;
    lm_cache_release(&s->cache);
    arena_release(&s->arena);
    backend_close(s->be);
    mem_free(s);
}

void captions_release(struct captions *l)
{
    for (int i = 0; i < l->n; i++)
        mem_free(l->item[i].text);
    mem_free(l->item);
    *l = (struct captions){0};
}

static struct clip_run run_begin(struct captioner_session *s, struct error *err)
{
    arena_rewind(&s->arena, 0);
    return (struct clip_run){.be = s->be, .arena = &s->arena, .tower = "caption", .err = err};
}

static enum status step(void *ctx, int n, const int32_t *token, const int32_t *parent,
                        float *logits, struct error *err)
{
    struct captioner_session *s = ctx;
    struct clip_run r = run_begin(s, err);
    return lm_step(&r, &s->c->lm, &s->cache, n, token, parent, logits);
}

/* What a sentence begins with: the first token, and the prompt's. */
static enum status prompt_ids(const struct captioner *c, const char *prompt, struct token_list *l,
                              struct error *err)
{
    enum status st = tokenizer_encode(c->tokenizer, prompt, strlen(prompt), l, err);
    if (st)
        return st;
    l->n--; /* the end token */
    if (c->first >= 0)
        l->id[0] = c->first;
    else
        memmove(l->id, l->id + 1, --l->n * sizeof *l->id);
    return ST_OK;
}

static enum status decode_text(const struct captioner *c, const int32_t *ids, size_t n,
                               struct buf *b, struct error *err)
{
    buf_init(b, 1 << 16);
    return n ? tokenizer_decode(c->tokenizer, ids, n, b, err) : ST_OK;
}

/* The text of one sentence. The captioner's own prompt is left out, and only after all was decoded:
 * a piece that begins a sentence reads otherwise than within one. */
static enum status add_text(const struct captioner *c, const struct token_list *prompt, bool shown,
                            const struct decode_sentence *d, struct captions *l, struct error *err)
{
    struct buf whole = {0}, before = {0};
    size_t n = prompt->n + (size_t)d->n;
    int32_t *ids = mem_array(n + 1, sizeof *ids);
    enum status st = ids ? ST_OK : error_set(err, ST_NOMEM, "out of memory for a sentence");
    if (!st) {
        if (prompt->n)
            memcpy(ids, prompt->id, prompt->n * sizeof *ids);
        memcpy(ids + prompt->n, d->id, (size_t)d->n * sizeof *ids);
        st = decode_text(c, ids, n, &whole, err);
    }
    if (!st && !shown)
        st = decode_text(c, prompt->id, prompt->n, &before, err);
    if (!st) {
        const char *text = whole.data ? whole.data : "";
        if (before.len <= whole.len && before.len && !memcmp(text, before.data, before.len))
            text += before.len;
        text += strspn(text, " ");
        struct caption *item = mem_realloc_array(l->item, (size_t)l->n + 1, sizeof *l->item);
        if (item) {
            l->item = item;
            item[l->n] = (struct caption){mem_strdup(text), d->score};
        }
        if (!item || !item[l->n].text)
            st = error_set(err, ST_NOMEM, "out of memory for a sentence");
        else
            l->n++;
    }
    l->tokens += d->n;
    mem_free(ids);
    buf_release(&before);
    buf_release(&whole);
    return st;
}

static enum status say(struct captioner_session *s, const struct captioner_input *in,
                       struct decode_opts *d, const struct token_list *prompt, float *logits,
                       struct decode_list *out, struct error *err)
{
    const struct captioner *c = s->c;
    int64_t rows = d->beams ? d->beams : 1, room = c->lm.context - c->prefix - (int64_t)prompt->n;
    int most = d->max_tokens ? d->max_tokens : 20;
    if (room < 1)
        return error_set(err, ST_LIMIT, "the prompt has %zu tokens, the decoder %d places",
                         prompt->n, c->lm.context - c->prefix);
    d->max_tokens = most > room ? (int)room : most;
    enum status st = lm_cache_init(&s->cache, s->be, &c->lm, rows,
                                   c->prefix + (int64_t)prompt->n + d->max_tokens, err);
    if (st)
        return st;
    struct clip_run r = run_begin(s, err);
    st = c->family->begin(c, &r, in, prompt->id, (int64_t)prompt->n, &s->cache, logits);
    if (!st)
        st = decode_run(d, c->lm.vocab, logits, step, s, out, err);
    return st;
}

enum status captioner_say(struct captioner_session *s, const struct captioner_input *in,
                          const struct caption_opts *o, struct captions *l, struct error *err)
{
    const struct captioner *c = s->c;
    const char *prompt = o->prompt ? o->prompt : c->prompt ? c->prompt : "";
    struct token_list first = {0};
    struct decode_list out = {0};
    struct decode_opts d = o->decode;
    *l = (struct captions){0};
    float *logits = mem_array((size_t)c->lm.vocab, sizeof *logits);
    enum status st = logits ? prompt_ids(c, prompt, &first, err)
                            : error_set(err, ST_NOMEM, "out of memory for logits");
    d.eos = c->eos;
    d.n_eos = c->n_eos;
    d.prompt = first.id;
    d.n_prompt = first.n;
    if (!st)
        st = say(s, in, &d, &first, logits, &out, err);
    for (int i = 0; i < out.n && !st; i++)
        st = add_text(c, &first, o->prompt != NULL, &out.item[i], l, err);
    decode_list_release(&out);
    token_list_release(&first);
    mem_free(logits);
    if (st)
        captions_release(l);
    return st;
}

enum status captioner_logits(struct captioner_session *s, const struct captioner_input *in,
                             const int32_t *ids, int n, float *logits, struct error *err)
{
    const struct captioner *c = s->c;
    int32_t parent = 0, first = c->first;
    int64_t begun = c->first >= 0;
    enum status st = lm_cache_init(&s->cache, s->be, &c->lm, 1, c->prefix + n + 1, err);
    if (st)
        return st;
    struct clip_run r = run_begin(s, err);
    st = c->family->begin(c, &r, in, &first, begun, &s->cache, logits);
    for (int i = 0; i < n && !st; i++)
        st = step(s, 1, &ids[i], &parent, logits + (size_t)(i + 1) * (size_t)c->lm.vocab, err);
    return st;
}
