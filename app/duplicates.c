/* Pictures, pairs and groups of `duplicates`. */
#include "app/duplicates.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void dup_release(struct dup_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        db_image_release(&set->picture[i].im);
        mem_free(set->picture[i].path);
        mem_free(set->picture[i].pixels);
    }
    mem_free(set->picture);
    mem_free(set->pair);
    *set = (struct dup_set){0};
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static size_t find(const int64_t *ids, size_t n, int64_t id)
{
    const int64_t *at = n ? bsearch(&id, ids, n, sizeof *ids, by_value) : ids;
    return (size_t)(at - ids);
}

static int load_pictures(struct app *a, const int64_t *ids, size_t n, const char *folder,
                         struct dup_set *set)
{
    set->picture = mem_zarray(n + 1, sizeof *set->picture);
    if (!set->picture)
        return app_no_memory(a);
    for (size_t i = 0; i < n; i++) {
        struct dup_picture *p = &set->picture[set->n];
        if (db_image_get(a->db, ids[i], &p->im, &a->err))
            return app_fail(a, APP_LIBRARY);
        set->n++;
        if (db_image_path(a->db, ids[i], folder, &p->path, &a->err))
            return app_fail(a, APP_LIBRARY);
    }
    return 0;
}

int dup_load(struct app *a, const struct search_pairs *p, const char *folder, struct dup_set *set)
{
    int64_t *ids = mem_array(2 * p->n + 1, sizeof *ids);
    size_t n = 0;
    *set = (struct dup_set){.pair = mem_zarray(p->n + 1, sizeof *set->pair)};
    int failed = ids && set->pair ? 0 : app_no_memory(a);
    for (size_t i = 0; !failed && ids && i < p->n; i++) {
        ids[2 * i] = p->pair[i].a;
        ids[2 * i + 1] = p->pair[i].b;
    }
    if (!failed && ids) {
        qsort(ids, 2 * p->n, sizeof *ids, by_value);
        for (size_t i = 0; i < 2 * p->n; i++)
            if (!n || ids[n - 1] != ids[i])
                ids[n++] = ids[i];
        failed = load_pictures(a, ids, n, folder, set);
    }
    for (size_t i = 0; !failed && i < p->n; i++)
        set->pair[set->n_pairs++] = (struct dup_pair){
            find(ids, n, p->pair[i].a), find(ids, n, p->pair[i].b), p->pair[i].score, false};
    mem_free(ids);
    return failed;
}

static int64_t pixels(const struct dup_picture *p)
{
    return (int64_t)p->im.width * p->im.height;
}

static bool from_camera(const struct dup_picture *p)
{
    return p->im.has_taken || p->im.camera[0] || p->im.has_gps;
}

/* One of the words that file managers put into the name of a copy, standing alone. */
static bool has_copy_word(const char *name, size_t n)
{
    static const char *const words[] = {"copy", "kopie", "copie", "copia", "kopia", "duplicate"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);
        for (size_t at = 0; at + len <= n; at++)
            if (!strncasecmp(name + at, words[i], len) &&
                (!at || !isalpha((unsigned char)name[at - 1])) &&
                (at + len == n || !isalpha((unsigned char)name[at + len])))
                return true;
    }
    return false;
}

/* "name (1)" */
static bool ends_in_number(const char *name, size_t n)
{
    size_t digits = 0;
    if (!n || name[n - 1] != ')')
        return false;
    while (digits + 1 < n && isdigit((unsigned char)name[n - 2 - digits]))
        digits++;
    return digits && digits <= 3 && digits + 2 < n && name[n - 2 - digits] == '(';
}

bool dup_named_as_copy(const char *path)
{
    const char *name = path_base(path), *ext = path_ext(name);
    size_t all = strlen(name), stem = *ext ? (size_t)(ext - name) - 1 : all;
    return all && (name[all - 1] == '~' || (stem && name[stem - 1] == '~') ||
                   has_copy_word(name, stem) || ends_in_number(name, stem));
}

int dup_better(const struct dup_picture *a, const struct dup_picture *b)
{
    if (pixels(a) != pixels(b))
        return pixels(a) > pixels(b) ? -1 : 1;
    if (from_camera(a) != from_camera(b))
        return from_camera(a) ? -1 : 1;
    if (a->im.bytes != b->im.bytes)
        return a->im.bytes > b->im.bytes ? -1 : 1;
    bool a_copy = dup_named_as_copy(a->path), b_copy = dup_named_as_copy(b->path);
    if (a_copy != b_copy)
        return b_copy ? -1 : 1;
    if (strlen(a->path) != strlen(b->path))
        return strlen(a->path) < strlen(b->path) ? -1 : 1;
    return strcmp(a->path, b->path);
}

/* For each picture, its pairs: edges of i are edge[start[i]] to edge[start[i + 1]]. */
struct graph {
    size_t *start;
    struct {
        size_t to;
        float score;
    } * edge;
};

static bool graph_make(struct graph *g, const struct dup_set *set, bool same, float least)
{
    size_t *at = mem_zarray(set->n + 2, sizeof *at);
    g->start = mem_zarray(set->n + 2, sizeof *g->start);
    g->edge = mem_array(2 * set->n_pairs + 1, sizeof *g->edge);
    bool ok = at && g->start && g->edge;
    for (int pass = 0; ok && pass < 2; pass++) {
        for (size_t i = 0; i < set->n_pairs; i++) {
            const struct dup_pair *p = &set->pair[i];
            if (same ? !p->same : p->score < least)
                continue;
            if (!pass) {
                g->start[p->a + 1]++;
                g->start[p->b + 1]++;
                continue;
            }
            g->edge[at[p->a]].to = p->b;
            g->edge[at[p->a]++].score = p->score;
            g->edge[at[p->b]].to = p->a;
            g->edge[at[p->b]++].score = p->score;
        }
        for (size_t i = 0; !pass && i < set->n; i++) {
            g->start[i + 1] += g->start[i];
            at[i + 1] = g->start[i + 1];
        }
    }
    mem_free(at);
    return ok;
}

static int by_preference(const void *a, const void *b)
{
    return dup_better(*(const struct dup_picture *const *)a, *(const struct dup_picture *const *)b);
}

/* Members by falling score: few of them, insertion is enough. */
static void insert(struct dup_group *g, size_t member, float score)
{
    size_t i = g->n++;
    for (; i > 1 && g->score[i - 1] < score; i--) {
        g->member[i] = g->member[i - 1];
        g->score[i] = g->score[i - 1];
    }
    g->member[i] = member;
    g->score[i] = score;
}

static bool take(struct dup_set *set, const struct graph *g, size_t keeper, struct dup_group *to)
{
    size_t most = g->start[keeper + 1] - g->start[keeper] + 1;
    *to = (struct dup_group){mem_array(most, sizeof *to->member),
                             mem_array(most, sizeof *to->score), 0};
    if (!to->member || !to->score)
        return false;
    to->member[0] = keeper;
    to->score[0] = 1;
    to->n = 1;
    for (size_t e = g->start[keeper]; e < g->start[keeper + 1]; e++)
        if (set->picture[g->edge[e].to].group == SIZE_MAX)
            insert(to, g->edge[e].to, g->edge[e].score);
    return true;
}

static bool group_all(struct dup_set *set, const struct graph *g,
                      const struct dup_picture *const *order, struct dup_groups *out)
{
    for (size_t i = 0; i < set->n; i++) {
        size_t keeper = (size_t)(order[i] - set->picture);
        if (order[i]->group != SIZE_MAX || g->start[keeper] == g->start[keeper + 1])
            continue;
        struct dup_group *grown = mem_realloc_array(out->group, out->n + 1, sizeof *grown);
        if (!grown)
            return false;
        out->group = grown;
        struct dup_group *to = &out->group[out->n++];
        if (!take(set, g, keeper, to))
            return false;
        for (size_t k = 0; k < to->n && to->n > 1; k++)
            set->picture[to->member[k]].group = out->n;
        if (to->n == 1) {
            mem_free(to->member);
            mem_free(to->score);
            out->n--;
        }
    }
    return true;
}

int dup_group(struct app *a, struct dup_set *set, bool same, float least,
              const struct dup_groups *before, struct dup_groups *out)
{
    struct graph g = {0};
    const struct dup_picture **order = mem_array(set->n + 1, sizeof(void *));
    *out = (struct dup_groups){0};
    for (size_t i = 0; i < set->n; i++)
        set->picture[i].group = SIZE_MAX;
    for (size_t i = 0; before && i < before->n; i++)
        for (size_t k = 1; k < before->group[i].n; k++)
            set->picture[before->group[i].member[k]].group = 0;
    bool ok = order && graph_make(&g, set, same, least);
    for (size_t i = 0; ok && i < set->n; i++)
        order[i] = &set->picture[i];
    if (ok) {
        qsort(order, set->n, sizeof(void *), by_preference);
        ok = group_all(set, &g, order, out);
    }
    mem_free(order);
    mem_free(g.start);
    mem_free(g.edge);
    return ok ? 0 : app_no_memory(a);
}

void dup_groups_release(struct dup_groups *g)
{
    for (size_t i = 0; i < g->n; i++) {
        mem_free(g->group[i].member);
        mem_free(g->group[i].score);
    }
    mem_free(g->group);
    *g = (struct dup_groups){0};
}
