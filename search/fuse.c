/* Fusing the full-text table with cosines. */
#include "search/fuse.h"
#include "core/buf.h"
#include "core/mem.h"
#include "db/words.h"
#include "search/search_int.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COMMON_PART = 5, COMMON_LEAST = 10, WORD_BYTES = 64 };

static const char *const passed_over[] = {
    "a",    "an",  "and",   "are",   "as",   "at", "be",  "by",  "for", "from",
    "her",  "his", "in",    "into",  "is",   "it", "its", "of",  "on",  "or",
    "that", "the", "their", "there", "this", "to", "up",  "was", "with"};

struct held { /* what a picture holds of the sentence */
    int64_t image;
    float names, tags; /* sums of idf */
};
struct fusing {
    struct held *held; /* sorted by image after each word */
    size_t n, cap;
    int64_t *found; /* by the word at hand */
    size_t n_found, most;
};

float search_fused(const struct search_hit *h)
{
    float t = h->tags * h->tags;
    t *= t;
    return h->score + FUSE_NAMES * h->names * h->names + FUSE_TAGS * t * t;
}

static void take(void *ctx, int64_t image)
{
    struct fusing *f = ctx;
    f->found[f->n_found++] = image; /* room for `most`, which the query is limited to */
}

static int by_image(const void *a, const void *b)
{
    const struct held *x = a, *y = b;
    return (x->image > y->image) - (x->image < y->image);
}

static struct held *find(const struct fusing *f, size_t n, int64_t image)
{
    struct held key = {.image = image};
    return n ? bsearch(&key, f->held, n, sizeof key, by_image) : NULL;
}

static enum status add_found(struct fusing *f, float idf, bool names, struct error *err)
{
    size_t before = f->n;
    for (size_t i = 0; i < f->n_found; i++) {
        struct held *h = find(f, before, f->found[i]);
        if (!h && f->n == f->cap) {
            size_t cap = f->cap ? 2 * f->cap : 256;
            struct held *grown = mem_realloc_array(f->held, cap, sizeof *grown);
            if (!grown)
                return error_set(err, ST_NOMEM, "out of memory");
            f->held = grown;
            f->cap = cap;
        }
        if (!h) {
            h = &f->held[f->n++];
            *h = (struct held){.image = f->found[i]};
        }
        *(names ? &h->names : &h->tags) += idf;
    }
    if (f->n > before)
        qsort(f->held, f->n, sizeof *f->held, by_image);
    return ST_OK;
}

/* column : ("dogs" OR "dog" ...). Words hold no quote. */
static char *match_of(const char *columns, const char *w)
{
    size_t n = strlen(w);
    struct buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "{%s} : (\"%s\" OR \"%ss\" OR \"%ses\"", columns, w, w, w);
    if (n > 3 && w[n - 1] == 's')
        buf_printf(&b, " OR \"%.*s\"", (int)n - 1, w);
    if (n > 4 && !strcmp(w + n - 2, "es"))
        buf_printf(&b, " OR \"%.*s\"", (int)n - 2, w);
    if (n > 4 && !strcmp(w + n - 3, "ies"))
        buf_printf(&b, " OR \"%.*sy\"", (int)n - 3, w);
    buf_putc(&b, ')');
    return buf_take(&b);
}

static enum status look_up(struct db *db, struct fusing *f, const char *columns, const char *word,
                           struct error *err)
{
    char *match = match_of(columns, word);
    f->n_found = 0;
    enum status st = match ? db_words_each(db, match, f->most, take, f, err)
                           : error_set(err, ST_NOMEM, "out of memory");
    mem_free(match);
    return st;
}

/* A word's idf is that of all columns; one that is too common in a column counts only in the sum.
 */
static enum status add_word(struct db *db, struct fusing *f, const char *word, int64_t n,
                            float *total, struct error *err)
{
    static const char *const columns[] = {"names", "tags caption"};
    enum status st = look_up(db, f, "tags caption names", word, err);
    bool any = f->n_found > 0;
    float idf = (float)log(((double)n + 1) / ((double)f->n_found + 1));
    *total += idf > 0 ? idf : 0;
    for (int i = 0; !st && any && i < 2; i++) {
        st = look_up(db, f, columns[i], word, err);
        if (!st && idf > 0 && f->n_found < f->most)
            st = add_found(f, idf, i == 0, err);
    }
    return st;
}

static bool is_passed_over(const char *w)
{
    for (size_t i = 0; i < sizeof passed_over / sizeof *passed_over; i++)
        if (!strcmp(w, passed_over[i]))
            return true;
    return false;
}

/* The next word of ASCII letters and digits, and of any byte above; *s moves behind it. False: none
 * is left. Case of ASCII is lowered, the table's tokenizer does the rest. */
static bool next_word(const char **s, char word[WORD_BYTES])
{
    size_t n = 0;
    while (**s && !isalnum((unsigned char)**s) && !(**s & 0x80))
        ++*s;
    while (isalnum((unsigned char)**s) || **s & 0x80) {
        if (n < WORD_BYTES - 1)
            word[n++] = (char)tolower((unsigned char)**s);
        ++*s;
    }
    word[n] = 0;
    return n > 0;
}

static enum status hold_words(struct db *db, struct fusing *f, const char *sentence, float *total,
                              struct error *err)
{
    char words[FUSE_WORDS][WORD_BYTES];
    size_t n_words = 0;
    int64_t n = 0;
    enum status st = db_words_count(db, &n, err);
    f->most = (size_t)n / COMMON_PART;
    f->most = (f->most > COMMON_LEAST ? f->most : COMMON_LEAST) + 1;
    if (!st && !(f->found = mem_array(f->most, sizeof *f->found)))
        st = error_set(err, ST_NOMEM, "out of memory");
    while (!st && n_words < FUSE_WORDS && next_word(&sentence, words[n_words])) {
        bool again = is_passed_over(words[n_words]);
        for (size_t i = 0; i < n_words; i++)
            again |= !strcmp(words[i], words[n_words]);
        if (!again)
            st = add_word(db, f, words[n_words++], n, total, err);
    }
    return st;
}

static int by_share(const void *a, const void *b)
{
    const struct held *x = a, *y = b;
    float p = x->names + x->tags, q = y->names + y->tags;
    return p < q ? 1 : p > q ? -1 : by_image(a, b);
}

static int by_fused(const void *a, const void *b)
{
    const struct search_hit *x = a, *y = b;
    float p = search_fused(x), q = search_fused(y);
    return p < q ? 1 : p > q ? -1 : (x->image > y->image) - (x->image < y->image);
}

static bool selected(const struct db_idset *set, int64_t image)
{
    size_t lo = 0, hi = set->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (set->ids[mid] < image)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (lo < set->n && set->ids[lo] == image) != set->except;
}

/* Shares to the hits that are there; what they held is done with. */
static void share_hits(struct fusing *f, struct search_result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        struct held *h = find(f, f->n, r->hits[i].image);
        if (!h)
            continue;
        r->hits[i].names = h->names;
        r->hits[i].tags = h->tags;
        h->names = h->tags = 0;
    }
}

/* What else holds words becomes a hit. */
static enum status add_hits(struct search *s, const float *q, const struct fusing *f,
                            struct search_result *r, struct error *err)
{
    struct search_hit *hits = mem_realloc_array(r->hits, r->n + f->n + 1, sizeof *hits);
    enum status st = ST_OK;
    if (!hits)
        return error_set(err, ST_NOMEM, "out of memory");
    r->hits = hits;
    for (size_t i = 0; !st && i < f->n; i++) {
        const struct held *h = &f->held[i];
        struct search_hit hit = {h->image, 0, h->names, h->tags};
        bool have = false;
        st = search_score(s, q, h->image, &hit.score, &have, err);
        if (!st && have)
            hits[r->n++] = hit;
    }
    return st;
}

/* Only what the filter lets through, and the largest shares. */
static enum status choose(struct search *s, const struct db_filter *filter, struct fusing *f,
                          struct error *err)
{
    size_t kept = 0;
    enum status st = selection_make(s, filter, err);
    if (st)
        return st;
    for (size_t i = 0; i < f->n; i++)
        if (f->held[i].names + f->held[i].tags > 0 && selected(&s->chosen.set, f->held[i].image))
            f->held[kept++] = f->held[i];
    f->n = kept;
    if (f->n > FUSE_MOST) {
        qsort(f->held, f->n, sizeof *f->held, by_share);
        f->n = FUSE_MOST;
    }
    return ST_OK;
}

enum status search_fuse(struct search *s, const char *sentence, const float *q,
                        const struct db_filter *filter, struct search_result *r, struct error *err)
{
    struct fusing f = {0};
    float total = 0;
    enum status st = hold_words(s->db, &f, sentence, &total, err);
    for (size_t i = 0; i < f.n; i++) { /* total > 0 where anything is held */
        f.held[i].names /= total;
        f.held[i].tags /= total;
    }
    if (!st && f.n) {
        share_hits(&f, r);
        st = choose(s, filter, &f, err);
        if (!st)
            st = add_hits(s, q, &f, r, err);
        if (!st)
            qsort(r->hits, r->n, sizeof *r->hits, by_fused);
    }
    mem_free(f.held);
    mem_free(f.found);
    return st;
}
