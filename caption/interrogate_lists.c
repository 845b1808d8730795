/* The lists of interrogation and their vectors: third_party/clip-interrogator, compiled in. */
#include "caption/interrogate.h"
#include "core/buf.h"
#include "core/mem.h"
#include <stdio.h>
#include <string.h>

#define LISTS(X) X(flavors) X(artists) X(mediums) X(movements) X(trending) X(negative)
#define DECLARE(list)                                                                              \
    extern const unsigned char interrogate_##list[];                                               \
    extern const size_t interrogate_##list##_size;
LISTS(DECLARE)

/* In the order of enum interrogate_list; forms: what is said of each line, as clip-interrogator
 * says it. */
static const struct {
    const char *name;
    const unsigned char *data;
    const size_t *size;
    const char *form[4][2]; /* before and behind the line */
} lists[INTERROGATE_LISTS] = {
    {"flavors", interrogate_flavors, &interrogate_flavors_size, {{"", ""}}},
    {"artists",
     interrogate_artists,
     &interrogate_artists_size,
     {{"by ", ""}, {"inspired by ", ""}}},
    {"mediums", interrogate_mediums, &interrogate_mediums_size, {{"", ""}}},
    {"movements", interrogate_movements, &interrogate_movements_size, {{"", ""}}},
    {"trending",
     interrogate_trending,
     &interrogate_trending_size,
     {{"", ""}, {"trending on ", ""}, {"featured on ", ""}, {"", " contest winner"}}},
    {"negative", interrogate_negative, &interrogate_negative_size, {{"", ""}}},
};

static enum status read_list(struct lexicon *v, enum interrogate_list list, struct error *err)
{
    struct buf b;
    const char *data = (const char *)lists[list].data, *end = data + *lists[list].size;
    buf_init(&b, LEXICON_MAX_BYTES);
    for (int f = 0; f < 4 && lists[list].form[f][0]; f++)
        for (const char *p = data; p < end;) {
            const char *stop = memchr(p, '\n', (size_t)(end - p));
            size_t n = (size_t)((stop ? stop : end) - p);
            buf_printf(&b, "%s%.*s%s\n", lists[list].form[f][0], (int)n, p, lists[list].form[f][1]);
            p += n + 1;
        }
    enum status st = b.failed ? error_set(err, ST_NOMEM, "out of memory")
                              : lexicon_parse(v, b.data, b.len, lists[list].name, err);
    buf_release(&b);
    return st;
}

static enum status read_vectors(struct interrogator *q, enum interrogate_list list,
                                const struct clip *c, const struct interrogator_opts *o,
                                struct error *err)
{
    static const char *const templates[] = {"%s", NULL};
    struct labels_opts lo = {
        .templates = templates, .stop = o->stop, .progress = o->progress, .ctx = o->ctx};
    char *path =
        o->cache ? mem_printf("%s/labels-%s-%s.bin", o->cache, clip_info(c)->id, lists[list].name)
                 : NULL;
    if (o->cache && !path)
        return error_set(err, ST_NOMEM, "out of memory");
    lo.cache = path;
    enum status st = labels_open(&q->vectors[list], q->session, c, &q->list[list], &lo, err);
    mem_free(path);
    return st;
}

enum status interrogator_open(struct interrogator *q, struct clip_session *s, const struct clip *c,
                              const struct interrogator_opts *o, struct error *err)
{
    *q = (struct interrogator){.session = s,
                               .model = clip_tokenizer(c),
                               .context = (size_t)clip_info(c)->context,
                               .stop = o->stop,
                               .dim = (size_t)clip_dim(c)};
    enum status st = tokenizer_open(&q->clip, TOKENIZER_CLIP_HF, NULL, err);
    for (int i = 0; !st && i < INTERROGATE_LISTS; i++) {
        st = read_list(&q->list[i], (enum interrogate_list)i, err);
        if (!st)
            st = read_vectors(q, (enum interrogate_list)i, c, o, err);
    }
    if (st)
        interrogator_close(q);
    return st;
}

void interrogator_close(struct interrogator *q)
{
    for (int i = 0; i < INTERROGATE_LISTS; i++) {
        labels_close(&q->vectors[i]);
        lexicon_release(&q->list[i]);
    }
    tokenizer_close(q->clip);
    *q = (struct interrogator){0};
}
