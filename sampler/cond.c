/* From a prompt to token states. Texts of one schedule go through the tower together and, as in
 * AUTOMATIC1111, share the mean that weighting restores. */
#include "sampler/cond.h"
#include "core/mem.h"
#include "sampler/lora/lora.h"
#include "sampler/prompt.h"
#include <math.h>
#include <string.h>

enum { COMMA_REACH = 20, MAX_CHUNKS = 256 };

struct chunks {
    int32_t *id;   /* [n, context] */
    float *weight; /* the same */
    int n, cap, context;
    int used;  /* tokens of the open chunk */
    int comma; /* where its last comma is, or -1 */
    const struct tokenizer *t;
    int32_t comma_id;
    struct error *err;
};

static void chunks_release(struct chunks *c)
{
    mem_free(c->id);
    mem_free(c->weight);
}

/* Room for the chunk that is open, filled with end tokens of weight 1. */
static enum status open_chunk(struct chunks *c)
{
    if (c->n >= MAX_CHUNKS)
        return error_set(c->err, ST_LIMIT, "the prompt has more than %d tokens",
                         MAX_CHUNKS * (c->context - 2));
    if (c->n == c->cap) {
        int cap = c->cap ? 2 * c->cap : 2;
        size_t count = (size_t)cap * (size_t)c->context;
        int32_t *id = mem_realloc_array(c->id, count, sizeof *id);
        float *weight = NULL;
        if (id) {
            c->id = id;
            weight = mem_realloc_array(c->weight, count, sizeof *weight);
        }
        if (!weight)
            return error_set(c->err, ST_NOMEM, "out of memory for a prompt");
        c->weight = weight;
        c->cap = cap;
    }
    int32_t *id = c->id + (size_t)c->n * (size_t)c->context;
    float *weight = c->weight + (size_t)c->n * (size_t)c->context;
    id[0] = tokenizer_bos(c->t);
    id[1] = tokenizer_eos(c->t);
    for (int i = 0; i < c->context; i++) {
        if (i > 1)
            id[i] = tokenizer_pad(c->t);
        weight[i] = 1;
    }
    c->used = 0;
    c->comma = -1;
    return ST_OK;
}

/* Ends the open chunk and opens the next. */
static enum status next_chunk(struct chunks *c)
{
    c->n++;
    return open_chunk(c);
}

static void put(struct chunks *c, int32_t id, float weight)
{
    size_t at = (size_t)c->n * (size_t)c->context + (size_t)c->used + 1;
    c->id[at] = id;
    c->weight[at] = weight;
    c->id[at + 1] = tokenizer_eos(c->t);
    c->used++;
}

/* The open chunk is full and ended lately with a comma: what follows the comma moves on. */
static enum status break_at_comma(struct chunks *c)
{
    int from = c->comma + 1, moved = c->used - from;
    size_t at = (size_t)c->n * (size_t)c->context + (size_t)from + 1;
    int32_t id[COMMA_REACH + 1];
    float weight[COMMA_REACH + 1];
    for (int i = 0; i < moved; i++) {
        id[i] = c->id[at + (size_t)i];
        weight[i] = c->weight[at + (size_t)i];
    }
    for (int i = from; i < c->context - 1; i++) {
        size_t k = (size_t)c->n * (size_t)c->context + (size_t)i + 1;
        c->id[k] = i == from ? tokenizer_eos(c->t) : tokenizer_pad(c->t);
        c->weight[k] = 1;
    }
    enum status st = next_chunk(c);
    for (int i = 0; i < moved && !st; i++)
        put(c, id[i], weight[i]);
    return st;
}

/* Before a token or an embedding that begins with it, n places long. */
static enum status make_room(struct chunks *c, int32_t id, int n)
{
    int room = c->context - 2;
    enum status st = ST_OK;
    if (id == c->comma_id)
        c->comma = c->used;
    else if (c->used == room && c->comma != -1 && c->used - c->comma <= COMMA_REACH)
        st = break_at_comma(c);
    if (!st && c->used + n > room)
        st = next_chunk(c);
    return st;
}

/* What stands at id[0]: a word of the text tower's, or an embedding. *used: how many ids. */
static enum status add_token(struct chunks *c, const struct cond_source *src, const int32_t *id,
                             size_t n, float weight, size_t *used)
{
    struct embedding_match m;
    enum status st = embeddings_find(src->embeddings, id, n, &m, c->err);
    *used = m.tokens ? (size_t)m.tokens : 1;
    if (!st && m.tokens) {
        st = make_room(c, id[0], m.rows);
        for (int i = 0; i < m.rows && !st; i++)
            put(c, src->c->text.vocab + m.row + i, weight);
    } else if (!st && id[0] >= 0 && id[0] < src->c->text.vocab) {
        st = make_room(c, id[0], 1);
        if (!st)
            put(c, id[0], weight);
    }
    return st;
}

static enum status add_piece(struct chunks *c, const struct cond_source *src,
                             const struct prompt_item *piece)
{
    struct token_list l = {0};
    if (piece->is_break)
        return next_chunk(c);
    enum status st = tokenizer_encode(c->t, piece->text, strlen(piece->text), &l, c->err);
    for (size_t i = 1, used; i + 1 < l.n && !st; i += used) /* between the begin and end tokens */
        st = add_token(c, src, l.id + i, l.n - 1 - i, (float)piece->weight, &used);
    token_list_release(&l);
    return st;
}

static int32_t comma_of(const struct tokenizer *t)
{
    struct token_list l = {0};
    int32_t id = -1;
    if (!tokenizer_encode(t, ",", 1, &l, NULL) && l.n == 3)
        id = l.id[1];
    token_list_release(&l);
    return id;
}

static enum status chunk_text(struct chunks *c, const struct cond_source *src, const char *text,
                              struct error *err)
{
    struct prompt_list pieces = {0};
    *c = (struct chunks){.context = src->c->text.v.context,
                         .t = checkpoint_tokenizer(src->c),
                         .comma_id = comma_of(checkpoint_tokenizer(src->c)),
                         .err = err};
    enum status st = open_chunk(c);
    if (!st)
        st = prompt_attention(&pieces, text, err);
    for (size_t i = 0; i < pieces.n && !st; i++)
        st = add_piece(c, src, &pieces.item[i]);
    prompt_list_release(&pieces);
    if (!st && (c->used > 0 || c->n == 0)) /* an empty last chunk is none, unless it is the only */
        st = next_chunk(c);
    return st;
}

/* An empty chunk more, for texts shorter than their schedule's longest. */
static enum status pad_chunks(struct chunks *c, int n)
{
    enum status st = ST_OK;
    while (c->n < n && !st) {
        st = open_chunk(c);
        if (!st)
            st = next_chunk(c);
    }
    return st;
}

static bool weighted(const struct chunks *c, int n)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < c[i].n * c[i].context; k++)
            if (c[i].weight[k] != 1.0f)
                return true;
    return false;
}

static double mean(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i];
    return sum / (double)n;
}

/* How many of a chunk's tokens are no padding: behind the end token there is nothing else. */
static int used_tokens(const struct chunks *c, int chunk)
{
    const int32_t *id = c->id + (size_t)chunk * (size_t)c->context;
    int n = c->context;
    while (n > 1 && id[n - 1] == tokenizer_pad(c->t) && id[n - 1] != tokenizer_eos(c->t))
        n--;
    return n;
}

/* One chunk of one text through the library's tower: y [context, width]. */
static enum status run_tower(struct cond_source *src, const struct chunks *c, int chunk, float *y)
{
    struct tensor all =
        tensor_view(y, DT_F32, 3, (int64_t[]){1, c->context, src->c->text.v.t.width});
    return clip_run_states(src->c->tower, &src->run, c->id + (size_t)chunk * (size_t)c->context,
                           used_tokens(c, chunk), &all);
}

/* One chunk of every text: y [n, context, width]. */
static enum status run_states(struct cond_source *src, const struct chunks *c, int n, int chunk,
                              struct tensor *y, int32_t *ids)
{
    int64_t context = y->dim[1], width = y->dim[2];
    enum status st = ST_OK;
    for (int i = 0; i < n && src->c->tower && !st; i++)
        st = run_tower(src, &c[i], chunk, (float *)y->data + i * context * width);
    if (!src->c->tower) {
        for (int i = 0; i < n; i++)
            memcpy(ids + i * context, c[i].id + chunk * context, (size_t)context * sizeof *ids);
        struct net_text text = src->c->text;
        text.extra = embeddings_rows(src->embeddings);
        st = net_text_run(&src->run, &text, y, ids, n, src->clip_skip);
    }
    backend_download(src->run.be, y);
    return st ? st : backend_sync(src->run.be, src->run.err);
}

/* The same times the tokens' weights, with the mean that there was before. */
static enum status run_chunk(struct cond_source *src, const struct chunks *c, int n, int chunk,
                             struct tensor *y, int32_t *ids)
{
    int64_t context = y->dim[1], width = y->dim[2];
    float *x = y->data;
    enum status st = run_states(src, c, n, chunk, y, ids);
    if (st || !weighted(c, n))
        return st;
    double before = mean(x, tensor_count(y));
    for (int64_t i = 0; i < n * context; i++)
        for (int64_t k = 0; k < width; k++)
            x[i * width + k] *= c[i / context].weight[chunk * context + i % context];
    double after = mean(x, tensor_count(y));
    for (int64_t i = 0; i < tensor_count(y); i++)
        x[i] *= (float)(before / after);
    return ST_OK;
}

static enum status encode(struct cond_part *p, struct cond_source *src, const struct chunks *c)
{
    int64_t context = src->c->text.v.context, width = src->c->text.v.t.width;
    size_t mark = arena_mark(src->run.arena), one = (size_t)(context * width);
    struct tensor y = clip_run_tensor(&src->run, 3, (int64_t[]){p->n, context, width});
    int32_t *ids = clip_run_array(&src->run, p->n * context, sizeof *ids);
    enum status st = src->run.status;
    for (int i = 0; i < p->n && !st; i++) {
        p->text[i].states = mem_array((size_t)c[0].n * one, sizeof(float));
        if (!p->text[i].states)
            st = error_set(src->run.err, ST_NOMEM, "out of memory for a prompt");
    }
    for (int k = 0; k < c[0].n && !st; k++) {
        st = run_chunk(src, c, p->n, k, &y, ids);
        for (int i = 0; i < p->n && !st; i++) {
            int64_t tokens = src->c->tower ? used_tokens(&c[i], k) : context;
            memcpy(p->text[i].states + p->text[i].tokens * width, (float *)y.data + (size_t)i * one,
                   (size_t)(tokens * width) * sizeof(float));
            p->text[i].tokens += (int)tokens;
        }
    }
    if (!src->run.status)
        arena_rewind(src->run.arena, mark);
    return st;
}

static enum status build_part(struct cond_part *p, struct cond_source *src, const char *text,
                              int steps, struct error *err)
{
    struct prompt_list times = {0};
    struct chunks *c = NULL;
    int most = 0;
    enum status st = prompt_schedule(&times, text, steps, err);
    if (!st) {
        p->n = (int)times.n;
        p->text = mem_zarray(times.n, sizeof *p->text);
        c = mem_zarray(times.n, sizeof *c);
        if (!p->text || !c)
            st = error_set(err, ST_NOMEM, "out of memory for a prompt");
    }
    for (int i = 0; i < p->n && !st; i++) {
        p->text[i].end_step = times.item[i].end_step;
        st = chunk_text(&c[i], src, times.item[i].text, err);
        most = c[i].n > most ? c[i].n : most;
    }
    for (int i = 0; i < p->n && !st; i++)
        st = pad_chunks(&c[i], most);
    if (!st)
        st = encode(p, src, c);
    for (int i = 0; c && i < p->n; i++)
        chunks_release(&c[i]);
    mem_free(c);
    prompt_list_release(&times);
    return st;
}

enum status cond_build(struct cond *c, struct cond_source *src, const char *prompt, int steps,
                       bool split, struct error *err)
{
    struct prompt_list networks = {0}, parts = {0};
    char *plain = NULL;
    *c = (struct cond){0};
    enum status st = ST_OK;
    if (split)
        st = prompt_networks(&networks, &plain, prompt, err);
    else if (!(plain = mem_strdup(prompt)))
        st = error_set(err, ST_NOMEM, "out of memory for a prompt");
    for (size_t i = 0; i < networks.n && !st; i++)
        if (!lora_patch_has(src->c->patch, networks.item[i].text))
            st = error_set(err, ST_UNSUPPORTED, "<%.80s> in the prompt was not added to %.80s",
                           networks.item[i].text, src->c->name);
    if (!st && split)
        st = prompt_split_and(&parts, plain, err);
    if (!st) {
        c->n = split ? (int)parts.n : 1;
        c->part = mem_zarray((size_t)c->n, sizeof *c->part);
        if (!c->part)
            st = error_set(err, ST_NOMEM, "out of memory for a prompt");
    }
    for (int i = 0; i < c->n && !st; i++) {
        c->part[i].weight = split ? parts.item[i].weight : 1;
        st = build_part(&c->part[i], src, split ? parts.item[i].text : plain, steps, err);
    }
    mem_free(plain);
    prompt_list_release(&parts);
    prompt_list_release(&networks);
    if (st)
        cond_release(c);
    return st;
}

void cond_release(struct cond *c)
{
    for (int i = 0; c->part && i < c->n; i++) {
        for (int k = 0; c->part[i].text && k < c->part[i].n; k++)
            mem_free(c->part[i].text[k].states);
        mem_free(c->part[i].text);
    }
    mem_free(c->part);
    *c = (struct cond){0};
}

const struct cond_text *cond_at(const struct cond_part *p, int step)
{
    int i = 0;
    while (i + 1 < p->n && step > p->text[i].end_step)
        i++;
    return &p->text[i];
}
