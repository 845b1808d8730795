/* Vocabulary and merge tables, and the two plain text formats they come in: BPE merges ("l e" a
 * line, in order of rank) and WordPiece's list (a piece a line; its id is the line's number). */
#include "clip/tokenizer_int.h"
#include "core/mem.h"

enum { VOCAB_MAX = 1 << 24, PIECE_MAX = 1 << 20 };

void vocab_release(struct vocab *v)
{
    mem_free(v->text);
    mem_free(v->at);
    mem_free(v->slot);
    *v = (struct vocab){0};
}

static uint64_t word(const char *s, size_t n)
{
    uint64_t w = 0;
    memcpy(&w, s, n);
    return w;
}

/* Eight bytes at a time; what is left overlaps what was taken. */
static uint32_t hash_bytes(const char *s, size_t n)
{
    const uint64_t by = 0x9E3779B97F4A7C15u;
    uint64_t h = n * by;
    for (size_t i = 0; i + 8 < n; i += 8)
        h = ((h ^ word(s + i, 8)) * by) ^ h >> 29;
    if (n >= 8)
        h ^= word(s + n - 8, 8);
    else if (n >= 4)
        h ^= word(s, 4) << 32 | word(s + n - 4, 4);
    else if (n)
        h ^= (uint64_t)(unsigned char)s[0] << 16 | (uint64_t)(unsigned char)s[n / 2] << 8 |
             (unsigned char)s[n - 1];
    h *= by;
    return (uint32_t)(h >> 32 ^ h >> 47);
}

/* The slot that holds s, or the empty one where it belongs. */
static size_t vocab_slot(const struct vocab *v, const char *s, size_t n)
{
    size_t i = hash_bytes(s, n) & (v->slots - 1);
    for (; v->slot[i] >= 0; i = (i + 1) & (v->slots - 1)) {
        const char *piece = v->text + v->at[v->slot[i]];
        if (!strncmp(piece, s, n) && !piece[n]) /* s holds no zero byte */
            break;
    }
    return i;
}

static bool vocab_grow_slots(struct vocab *v, size_t n)
{
    size_t slots = 1024;
    while (slots < n * 2)
        slots *= 2;
    if (slots <= v->slots)
        return true;
    int32_t *slot = mem_array(slots, sizeof *slot);
    if (!slot)
        return false;
    memset(slot, 0xFF, slots * sizeof *slot);
    int32_t *old = v->slot;
    size_t n_old = v->slots;
    v->slot = slot;
    v->slots = slots;
    for (size_t i = 0; i < n_old; i++)
        if (old[i] >= 0) {
            const char *piece = v->text + v->at[old[i]];
            v->slot[vocab_slot(v, piece, strlen(piece))] = old[i];
        }
    mem_free(old);
    return true;
}

bool vocab_reserve(struct vocab *v, size_t n, size_t bytes)
{
    if (n > v->cap) {
        size_t cap = n > v->cap + v->cap / 2 ? n : v->cap + v->cap / 2;
        uint32_t *at = mem_realloc_array(v->at, cap, sizeof *at);
        if (!at)
            return false;
        v->at = at;
        v->cap = cap;
    }
    if (bytes > v->text_cap) {
        size_t cap = bytes > v->text_cap * 2 ? bytes : v->text_cap * 2;
        char *text = mem_realloc(v->text, cap);
        if (!text)
            return false;
        v->text = text;
        v->text_cap = cap;
    }
    return vocab_grow_slots(v, n);
}

enum status vocab_add(struct vocab *v, int32_t id, const char *s, size_t n, struct error *err)
{
    if (id < 0 || id >= VOCAB_MAX || n > PIECE_MAX || v->text_len > UINT32_MAX - PIECE_MAX - 1)
        return error_set(err, ST_LIMIT, "token %d of %zu bytes is beyond the limits", id, n);
    if (memchr(s, 0, n))
        return error_set(err, ST_FORMAT, "token %d holds a zero byte", id);
    size_t ids = (size_t)id + 1 > v->n ? (size_t)id + 1 : v->n;
    if (!vocab_reserve(v, ids, v->text_len + n + 1) || !vocab_grow_slots(v, v->used + 1))
        return error_set(err, ST_NOMEM, "out of memory (vocabulary)");
    while (v->n < ids)
        v->at[v->n++] = UINT32_MAX;
    if (v->at[id] != UINT32_MAX)
        return error_set(err, ST_FORMAT, "two tokens have the id %d", id);
    size_t i = vocab_slot(v, s, n);
    if (v->slot[i] >= 0) {
        v->at[id] = v->at[v->slot[i]];
        v->at[v->slot[i]] = UINT32_MAX;
    } else {
        v->at[id] = (uint32_t)v->text_len;
        memcpy(v->text + v->text_len, s, n);
        v->text[v->text_len + n] = 0;
        v->text_len += n + 1;
        v->used++;
    }
    v->slot[i] = id;
    return ST_OK;
}

int32_t vocab_find(const struct vocab *v, const char *s, size_t n)
{
    return v->slots && !memchr(s, 0, n) ? v->slot[vocab_slot(v, s, n)] : -1;
}

const char *vocab_piece(const struct vocab *v, int32_t id)
{
    if (id < 0 || (size_t)id >= v->n || v->at[id] == UINT32_MAX)
        return NULL;
    return v->text + v->at[id];
}

void merges_release(struct merges *m)
{
    mem_free(m->slot);
    *m = (struct merges){0};
}

static size_t merge_slot(const struct merges *m, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t i = (size_t)(key * 0x9E3779B97F4A7C15u >> 32) & (m->slots - 1);
    while (m->slot[i].left >= 0 && (m->slot[i].left != left || m->slot[i].right != right))
        i = (i + 1) & (m->slots - 1);
    return i;
}

bool merges_reserve(struct merges *m, size_t n)
{
    size_t slots = 1024;
    while (slots < n * 2)
        slots *= 2;
    if (slots <= m->slots)
        return true;
    struct merges new = {mem_array(slots, sizeof *new.slot), slots, m->used};
    if (!new.slot)
        return false;
    for (size_t i = 0; i < slots; i++)
        new.slot[i].left = -1;
    for (size_t i = 0; i < m->slots; i++)
        if (m->slot[i].left >= 0)
            new.slot[merge_slot(&new, m->slot[i].left, m->slot[i].right)] = m->slot[i];
    mem_free(m->slot);
    *m = new;
    return true;
}

bool merges_add(struct merges *m, struct merge x)
{
    if (!merges_reserve(m, m->used + 1))
        return false;
    size_t i = merge_slot(m, x.left, x.right);
    m->used += m->slot[i].left < 0;
    m->slot[i] = x;
    return true;
}

const struct merge *merges_find(const struct merges *m, int32_t left, int32_t right)
{
    if (!m->slots)
        return NULL;
    const struct merge *x = &m->slot[merge_slot(m, left, right)];
    return x->left < 0 ? NULL : x;
}

/* Two pieces merge if what they are together is a piece whose merge splits there. Surprising: so
 * the table of 48,894 merges, which took longer to fill than a sentence to compute, is not needed.
 */
static bool find_split(const struct tokenizer *t, int32_t left, int32_t right, struct merge *m)
{
    const char *l = vocab_piece(&t->vocab, left), *r = vocab_piece(&t->vocab, right);
    char joined[512];
    size_t n = l ? strlen(l) : 0, k = r ? strlen(r) : 0;
    if (!n || !k || n + k > sizeof joined)
        return false;
    memcpy(joined, l, n);
    memcpy(joined + n, r, k);
    int32_t id = vocab_find(&t->vocab, joined, n + k);
    int32_t rank = id - t->first_merge;
    if (rank < 0 || rank >= t->n_split || t->split[rank] != n)
        return false;
    *m = (struct merge){left, right, (uint32_t)rank, id};
    return true;
}

bool tokenizer_find_merge(const struct tokenizer *t, int32_t left, int32_t right, struct merge *m)
{
    if (t->split)
        return find_split(t, left, right, m);
    const struct merge *found = merges_find(&t->merges, left, right);
    if (found)
        *m = *found;
    return found != NULL;
}

enum status tokenizer_add_merge(struct tokenizer *t, const char *left, size_t n_left,
                                const char *right, size_t n_right, uint32_t rank, const char *name,
                                struct error *err)
{
    char joined[512];
    if (!n_left || !n_right || n_left + n_right > sizeof joined)
        return error_set(err, ST_FORMAT, "%s: merge %u is not two pieces", name, rank);
    memcpy(joined, left, n_left);
    memcpy(joined + n_left, right, n_right);
    struct merge m = {vocab_find(&t->vocab, left, n_left), vocab_find(&t->vocab, right, n_right),
                      rank, vocab_find(&t->vocab, joined, n_left + n_right)};
    if (m.left < 0 || m.right < 0 || m.id < 0)
        return error_set(err, ST_FORMAT, "%s: merge %u names a piece that is not in the vocabulary",
                         name, rank);
    return merges_add(&t->merges, m) ? ST_OK
                                     : error_set(err, ST_NOMEM, "%s: out of memory (merges)", name);
}

/* The next line without its end; false when there is none. */
static bool next_line(const char **s, size_t *n, const char **line, size_t *len)
{
    if (!*n)
        return false;
    const char *end = memchr(*s, '\n', *n);
    *line = *s;
    *len = end ? (size_t)(end - *s) : *n;
    size_t step = *len + (end != NULL);
    *s += step;
    *n -= step;
    if (*len && (*line)[*len - 1] == '\r')
        --*len;
    return true;
}

enum status tokenizer_load_merges(struct tokenizer *t, const char *text, size_t size,
                                  const char *name, struct error *err)
{
    const char *line;
    size_t len;
    uint32_t rank = 0;
    while (next_line(&text, &size, &line, &len)) {
        if (!len || (len >= 8 && !memcmp(line, "#version", 8)))
            continue;
        const char *gap = memchr(line, ' ', len);
        size_t n = gap ? (size_t)(gap - line) : 0;
        if (!gap || memchr(gap + 1, ' ', len - n - 1))
            return error_set(err, ST_FORMAT, "%s: merge %u is not two pieces", name, rank);
        enum status st = tokenizer_add_merge(t, line, n, gap + 1, len - n - 1, rank++, name, err);
        if (st)
            return st;
    }
    return ST_OK;
}

enum status tokenizer_load_lines(struct tokenizer *t, const char *text, size_t size,
                                 const char *name, struct error *err)
{
    const char *line;
    size_t len;
    if (!vocab_reserve(&t->vocab, 0, size + 1))
        return error_set(err, ST_NOMEM, "%s: out of memory (vocabulary)", name);
    for (int32_t id = 0; next_line(&text, &size, &line, &len); id++) {
        while (len && (line[len - 1] == ' ' || line[len - 1] == '\t'))
            len--;
        enum status st = vocab_add(&t->vocab, id, line, len, err);
        if (st)
            return error_prefix(err, st, "%s", name);
    }
    return ST_OK;
}
