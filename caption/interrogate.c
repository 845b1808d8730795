/* clip-interrogator's four ways to a prompt. What takes time is the text tower: BEST reads some
 * hundred to a thousand sentences a picture, the others a handful. */
#include "caption/interrogate.h"
#include "core/buf.h"
#include "core/mem.h"
#include <stdio.h>
#include <string.h>

enum { TOKENS = 77, CLASSIC_FLAVORS = 3, PROMPT_MAX = 4096 };

struct phrase {
    const char *text;
    float score;
};
struct phrases { /* the best first */
    struct phrase at[INTERROGATE_TRIED + 64];
    size_t n;
};

static float cosine(const float *x, const float *y, size_t n)
{
    float s = 0;
    for (size_t i = 0; i < n; i++)
        s += x[i] * y[i];
    return s;
}

/* Adds the `most` phrases of a list that are nearest to x, or farthest where sign is -1. */
static void rank(const struct interrogator *q, enum interrogate_list list, const float *x,
                 float sign, size_t most, struct phrases *out)
{
    const struct labels *l = &q->vectors[list];
    for (size_t i = 0; i < l->n; i++) {
        float s = sign * cosine(x, l->rows + i * l->dim, l->dim);
        if (out->n == most && !(s > out->at[most - 1].score))
            continue;
        size_t at = out->n < most ? out->n++ : most - 1;
        for (; at > 0 && s > out->at[at - 1].score; at--)
            out->at[at] = out->at[at - 1];
        out->at[at] = (struct phrase){q->list[list].term[i].text, s};
    }
}

static const char *nearest(const struct interrogator *q, enum interrogate_list list, const float *x)
{
    struct phrases p = {.n = 0};
    rank(q, list, x, 1, 1, &p);
    return p.at[0].text;
}

/* All but the faults, in clip-interrogator's order: the first of equals counts. */
static void rank_all(const struct interrogator *q, const float *x, size_t most, struct phrases *out)
{
    static const enum interrogate_list lists[] = {INTERROGATE_ARTISTS, INTERROGATE_FLAVORS,
                                                  INTERROGATE_MEDIUMS, INTERROGATE_MOVEMENTS,
                                                  INTERROGATE_TRENDING};
    out->n = 0;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        rank(q, lists[i], x, 1, most, out);
}

/* Does it fit CLIP's 77 tokens and the model's context? */
static enum status fits(const struct interrogator *q, const char *text, bool *ok, struct error *err)
{
    struct token_list l = {0};
    size_t n = strlen(text);
    enum status st = tokenizer_encode(q->clip, text, n, &l, err);
    *ok = l.n <= TOKENS;
    if (!st && *ok)
        st = tokenizer_encode(q->model, text, n, &l, err);
    *ok &= l.n <= q->context;
    token_list_release(&l);
    return st;
}

/* *prompt becomes "prompt, phrase" where that fits; *added says whether. */
static enum status append(const struct interrogator *q, char **prompt, const char *phrase,
                          bool *added, struct error *err)
{
    char *longer = **prompt ? mem_printf("%s, %s", *prompt, phrase) : mem_strdup(phrase);
    *added = false;
    enum status st =
        longer ? fits(q, longer, added, err) : error_set(err, ST_NOMEM, "out of memory");
    if (!st && *added) {
        mem_free(*prompt);
        *prompt = longer;
    } else {
        mem_free(longer);
    }
    return st;
}

static enum status score_texts(const struct interrogator *q, const float *x, char *const *texts,
                               size_t n, float *scores, struct error *err)
{
    float *rows = mem_array(n, q->dim * sizeof *rows);
    if (!rows)
        return error_set(err, ST_NOMEM, "out of memory");
    enum status st = clip_encode_text(q->session, (const char *const *)texts, (int)n, rows, err);
    for (size_t i = 0; !st && i < n; i++)
        scores[i] = cosine(x, rows + i * q->dim, q->dim);
    mem_free(rows);
    return st;
}

static enum status fast(const struct interrogator *q, const float *x, char **prompt,
                        struct error *err)
{
    struct phrases p;
    enum status st = ST_OK;
    bool added = true;
    rank_all(q, x, INTERROGATE_MOST, &p);
    for (size_t i = 0; !st && added && i < p.n; i++)
        st = append(q, prompt, p.at[i].text, &added, err);
    return st;
}

static enum status classic(const struct interrogator *q, const float *x, char **prompt,
                           struct error *err)
{
    const char *medium = nearest(q, INTERROGATE_MEDIUMS, x);
    const char *artist = nearest(q, INTERROGATE_ARTISTS, x);
    struct phrases flavors = {.n = 0};
    bool begins = !strncmp(*prompt, medium, strlen(medium)), added;
    rank(q, INTERROGATE_FLAVORS, x, 1, CLASSIC_FLAVORS, &flavors);
    char *with_artist = begins || !**prompt
                            ? mem_printf("%s %s", **prompt ? *prompt : medium, artist)
                            : mem_printf("%s, %s %s", *prompt, medium, artist);
    enum status st =
        with_artist ? fits(q, with_artist, &added, err) : error_set(err, ST_NOMEM, "out of memory");
    if (!st && added) {
        mem_free(*prompt);
        *prompt = with_artist;
    } else {
        mem_free(with_artist);
    }
    if (!st)
        st = append(q, prompt, nearest(q, INTERROGATE_TRENDING, x), &added, err);
    if (!st)
        st = append(q, prompt, nearest(q, INTERROGATE_MOVEMENTS, x), &added, err);
    for (size_t i = 0; !st && i < flavors.n; i++)
        st = append(q, prompt, flavors.at[i].text, &added, err);
    return st;
}

/* One step of the chain: of all phrases behind `prompt` the one that brings it nearest; *best is
 * its place, or p->n where none fits. */
static enum status try_phrases(const struct interrogator *q, const float *x, float sign,
                               const char *prompt, const struct phrases *p, size_t *best,
                               float *score, struct error *err)
{
    char *texts[sizeof p->at / sizeof *p->at] = {0};
    float scores[sizeof p->at / sizeof *p->at];
    size_t of[sizeof p->at / sizeof *p->at], n = 0;
    enum status st = ST_OK;
    *best = p->n;
    for (size_t i = 0; !st && i < p->n; i++) {
        bool ok = false;
        char *text =
            *prompt ? mem_printf("%s, %s", prompt, p->at[i].text) : mem_strdup(p->at[i].text);
        st = text ? fits(q, text, &ok, err) : error_set(err, ST_NOMEM, "out of memory");
        if (ok && !st) {
            of[n] = i;
            texts[n++] = text;
        } else {
            mem_free(text);
        }
    }
    if (!st && q->stop && *q->stop)
        st = error_set(err, ST_INTERRUPTED, "interrupted");
    if (!st && n)
        st = score_texts(q, x, texts, n, scores, err);
    for (size_t i = 0; !st && i < n; i++)
        if (*best == p->n || sign * scores[i] > *score) {
            *best = of[i];
            *score = sign * scores[i];
        }
    for (size_t i = 0; i < n; i++)
        mem_free(texts[i]);
    return st;
}

/* *prompt may be empty; then the best phrase alone is the start. Becomes the best prompt met. */
static enum status chain(const struct interrogator *q, const float *x, float sign, size_t least,
                         struct phrases *p, char **prompt, struct error *err)
{
    float best = -1, now = -1;
    size_t most = INTERROGATE_MOST + !**prompt; /* a start is no step */
    char *longer = mem_strdup(*prompt);
    enum status st = longer ? ST_OK : error_set(err, ST_NOMEM, "out of memory");
    if (!st && *longer) {
        st = score_texts(q, x, &longer, 1, &best, err);
        now = best = sign * best;
    }
    for (size_t step = 0; !st && step < most && p->n; step++) {
        size_t at;
        float score = -1;
        bool added;
        st = try_phrases(q, x, sign, longer, p, &at, &score, err);
        if (st || at == p->n || (score <= now && step >= least))
            break;
        st = append(q, &longer, p->at[at].text, &added, err);
        now = score;
        memmove(p->at + at, p->at + at + 1, (p->n - at - 1) * sizeof *p->at);
        p->n--;
        if (!st && now > best) {
            char *copy = mem_strdup(longer);
            if (!copy) {
                st = error_set(err, ST_NOMEM, "out of memory");
                break;
            }
            mem_free(*prompt);
            *prompt = copy;
            best = now;
        }
    }
    mem_free(longer);
    return st;
}

static enum status negative(const struct interrogator *q, const float *x, char **prompt,
                            struct error *err)
{
    struct phrases p = {.n = 0};
    const struct lexicon *faults = &q->list[INTERROGATE_FAULTS];
    rank(q, INTERROGATE_FLAVORS, x, -1, INTERROGATE_TRIED, &p);
    for (size_t i = 0; i < faults->n && p.n < sizeof p.at / sizeof *p.at; i++)
        p.at[p.n++] = (struct phrase){faults->term[i].text, 0};
    return chain(q, x, -1, INTERROGATE_LEAST, &p, prompt, err);
}

/* The nearest of the caption and the three ways on from it. */
static enum status best(const struct interrogator *q, const float *x, char **prompt,
                        struct error *err)
{
    char *way[4] = {0};
    float scores[4];
    struct phrases p;
    enum status st = ST_OK;
    size_t top = 0;
    for (int i = 0; i < 4; i++)
        if (!(way[i] = mem_strdup(*prompt)))
            st = error_set(err, ST_NOMEM, "out of memory");
    rank_all(q, x, INTERROGATE_TRIED, &p);
    if (!st)
        st = chain(q, x, 1, INTERROGATE_LEAST, &p, &way[3], err);
    if (!st)
        st = fast(q, x, &way[2], err);
    if (!st)
        st = classic(q, x, &way[1], err);
    if (!st)
        st = score_texts(q, x, way, 4, scores, err);
    for (size_t i = 1; !st && i < 4; i++)
        top = scores[i] > scores[top] || !*way[top] ? i : top;
    if (!st) {
        mem_free(*prompt);
        *prompt = way[top];
        way[top] = NULL;
    }
    for (int i = 0; i < 4; i++)
        mem_free(way[i]);
    return st;
}

/* The caption as the prompt's grammar reads plain text, cut at a comma or blank until it fits. */
static enum status begin(const struct interrogator *q, const char *caption, char **prompt,
                         struct error *err)
{
    bool ok = false;
    char *s = mem_strdup(caption);
    enum status st = s ? ST_OK : error_set(err, ST_NOMEM, "out of memory");
    for (char *p = s; p && *p; p++)
        if (strchr("()[]{}<>\\|:\n", *p))
            *p = ' ';
    while (!st && !(st = fits(q, s, &ok, err)) && !ok) {
        char *at = strrchr(s, ' ');
        *(at ? at : s) = 0;
    }
    if (st)
        mem_free(s);
    else
        *prompt = s;
    return st;
}

enum status interrogator_ask(struct interrogator *q, enum interrogate_mode mode, const float *x,
                             const char *caption, struct interrogation *r, struct error *err)
{
    *r = (struct interrogation){0};
    enum status st = begin(q, mode == INTERROGATE_NEGATIVE ? "" : caption, &r->prompt, err);
    if (!st)
        st = mode == INTERROGATE_FAST      ? fast(q, x, &r->prompt, err)
             : mode == INTERROGATE_CLASSIC ? classic(q, x, &r->prompt, err)
             : mode == INTERROGATE_BEST    ? best(q, x, &r->prompt, err)
                                           : negative(q, x, &r->prompt, err);
    if (!st)
        st = score_texts(q, x, &r->prompt, 1, &r->score, err);
    if (st)
        interrogation_release(r);
    return st;
}

void interrogation_release(struct interrogation *r)
{
    mem_free(r->prompt);
    *r = (struct interrogation){0};
}
