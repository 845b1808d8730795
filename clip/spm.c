/* Reading a SentencePiece .model: a protobuf message of pieces and of the normaliser's rules.
 * Surprising: the format says neither how many pieces there are nor what the rules replace where;
 * the rules are a trie that is walked byte by byte with every step checked. */
#include "clip/spm.h"
#include "core/bytes.h"
#include "core/mem.h"
#include "core/path.h"
#include <math.h>

enum { PIECES_MAX = 1 << 22 };

void spm_release(struct spm *s)
{
    mem_free(s->score);
    mem_free(s->type);
    mem_free(s->unit);
    mem_free(s->text);
    *s = (struct spm){0};
}

enum status spm_add(struct spm *s, struct vocab *v, const char *piece, size_t n, double score,
                    int type, struct error *err)
{
    if (s->n >= PIECES_MAX)
        return error_set(err, ST_LIMIT, "more than %d pieces", (int)PIECES_MAX);
    if (!n || !utf8_valid(piece, n) || !isfinite(score) || fabs(score) > 1e30)
        return error_set(err, ST_FORMAT, "piece %zu is empty, no text or has no proper score",
                         s->n);
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 1024;
        double *p = mem_realloc_array(s->score, cap, sizeof *p);
        s->score = p ? p : s->score;
        uint8_t *q = p ? mem_realloc_array(s->type, cap, 1) : NULL;
        if (!q)
            return error_set(err, ST_NOMEM, "out of memory (vocabulary)");
        s->type = q;
        s->cap = cap;
    }
    enum status st = vocab_add(v, (int32_t)s->n, piece, n, err);
    if (st)
        return st;
    s->score[s->n] = score;
    s->type[s->n++] = (uint8_t)type;
    if (n > s->longest)
        s->longest = n;
    uint32_t *reach = &s->reach[(unsigned char)*piece];
    if (n > *reach)
        *reach = (uint32_t)n;
    return ST_OK;
}

void spm_finish(struct spm *s)
{
    s->least = INFINITY;
    s->most = -INFINITY;
    for (size_t i = 0; i < s->n; i++) {
        if (s->type[i] != SPM_NORMAL && s->type[i] != SPM_PLAIN)
            continue;
        s->least = s->score[i] < s->least ? s->score[i] : s->least;
        s->most = s->score[i] > s->most ? s->score[i] : s->most;
    }
    if (!(s->least <= s->most))
        s->least = s->most = 0;
}

enum status spm_set_rules(struct spm *s, const char *blob, size_t size, const char *name,
                          struct error *err)
{
    const unsigned char *p = (const unsigned char *)blob;
    if (!size)
        return ST_OK;
    size_t trie = size < 4 ? 0 : bytes_le32(p);
    if (!trie || trie % 4 || trie > size - 4 || size - 4 - trie < 1 || blob[size - 1])
        return error_set(err, ST_FORMAT, "%s: the normaliser's rules are damaged", name);
    mem_free(s->unit);
    mem_free(s->text);
    s->units = trie / 4;
    s->text_size = size - 4 - trie;
    s->unit = mem_array(s->units, sizeof *s->unit);
    s->text = mem_alloc(s->text_size);
    if (!s->unit || !s->text)
        return error_set(err, ST_NOMEM, "%s: out of memory", name);
    for (size_t i = 0; i < s->units; i++)
        s->unit[i] = bytes_le32(p + 4 + 4 * i);
    memcpy(s->text, blob + 4 + trie, s->text_size);
    return ST_OK;
}

/* One field of a protobuf message; bytes for wire type 2, else the number. */
struct field {
    unsigned number, wire;
    uint64_t v;
    const char *data;
    size_t size;
};

struct message {
    const char *p, *end;
};

static bool take_varint(struct message *m, uint64_t *v)
{
    *v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (m->p == m->end)
            return false;
        unsigned char b = (unsigned char)*m->p++;
        *v |= (uint64_t)(b & 127) << shift;
        if (b < 128)
            return true;
    }
    return false;
}

/* 1: a field, 0: the end, -1: damaged. */
static int take_field(struct message *m, struct field *f)
{
    uint64_t key, n;
    if (m->p == m->end)
        return 0;
    if (!take_varint(m, &key) || key >> 3 == 0 || key >> 3 > INT32_MAX)
        return -1;
    *f = (struct field){.number = (unsigned)(key >> 3), .wire = (unsigned)(key & 7)};
    if (f->wire == 0)
        return take_varint(m, &f->v) ? 1 : -1;
    if (f->wire == 2) {
        if (!take_varint(m, &n))
            return -1;
    } else if (f->wire == 5 || f->wire == 1) {
        n = f->wire == 5 ? 4 : 8;
    } else {
        return -1;
    }
    if (n > (uint64_t)(m->end - m->p))
        return -1;
    f->data = m->p;
    f->size = (size_t)n;
    m->p += n;
    for (size_t i = 0; f->wire != 2 && i < f->size; i++)
        f->v |= (uint64_t)(unsigned char)f->data[i] << (8 * i);
    return 1;
}

static enum status damaged(const char *name, struct error *err)
{
    return error_set(err, ST_FORMAT, "%s: not a sentencepiece model", name);
}

static enum status read_piece(struct spm *s, struct vocab *v, struct message m, const char *name,
                              struct error *err)
{
    struct field f, piece = {0};
    float score = 0.0f;
    uint64_t type = SPM_NORMAL;
    int got;
    while ((got = take_field(&m, &f)) > 0) {
        uint32_t bits = (uint32_t)f.v;
        if (f.number == 1 && f.wire == 2)
            piece = f;
        else if (f.number == 2 && f.wire == 5)
            memcpy(&score, &bits, sizeof score);
        else if (f.number == 3 && f.wire == 0)
            type = f.v;
    }
    if (got < 0 || !piece.data || type < SPM_NORMAL || type > SPM_BYTE)
        return damaged(name, err);
    if (type == SPM_UNKNOWN)
        s->unk = (int32_t)s->n;
    s->user |= type == SPM_USER;
    enum status st = spm_add(s, v, piece.data, piece.size, (double)score, (int)type, err);
    return st ? error_prefix(err, st, "%s", name) : ST_OK;
}

static enum status read_trainer(struct spm *s, struct message m, const char *name,
                                struct error *err)
{
    struct field f;
    int got;
    uint64_t kind = SPM_UNIGRAM;
    while ((got = take_field(&m, &f)) > 0) {
        if (f.number == 3 && f.wire == 0)
            kind = f.v;
        else if (f.number == 24 && f.wire == 0)
            s->suffix = f.v != 0;
        else if (f.number == 35 && f.wire == 0)
            s->bytes = f.v != 0;
    }
    if (got < 0)
        return damaged(name, err);
    if (kind != SPM_UNIGRAM && kind != SPM_BPE)
        return error_set(err, ST_UNSUPPORTED, "%s: splits words or characters, which is not read",
                         name);
    s->kind = (enum spm_kind)kind;
    return ST_OK;
}

static enum status read_rules(struct spm *s, struct message m, const char *name, struct error *err)
{
    struct field f;
    enum status st = ST_OK;
    int got = 0;
    while (!st && (got = take_field(&m, &f)) > 0) {
        if (f.number == 2 && f.wire == 2)
            st = spm_set_rules(s, f.data, f.size, name, err);
        else if (f.number == 3 && f.wire == 0)
            s->prefix = f.v != 0;
        else if (f.number == 4 && f.wire == 0)
            s->squeeze = f.v != 0;
        else if (f.number == 5 && f.wire == 0)
            s->escape = f.v != 0;
    }
    return !st && got < 0 ? damaged(name, err) : st;
}

enum status spm_read(struct spm *s, struct vocab *v, const char *data, size_t size,
                     const char *name, struct error *err)
{
    struct message m = {data, data + size};
    struct field f;
    enum status st = ST_OK;
    int got = 0;
    s->kind = SPM_UNIGRAM;
    s->unk = -1;
    s->prefix = s->squeeze = s->escape = true;
    if (!vocab_reserve(v, 0, 1024))
        return error_set(err, ST_NOMEM, "%s: out of memory (vocabulary)", name);
    while (!st && (got = take_field(&m, &f)) > 0) {
        struct message inner = {f.data, f.wire == 2 ? f.data + f.size : f.data};
        if (f.number == 1 && f.wire == 2)
            st = read_piece(s, v, inner, name, err);
        else if (f.number == 2 && f.wire == 2)
            st = read_trainer(s, inner, name, err);
        else if (f.number == 3 && f.wire == 2)
            st = read_rules(s, inner, name, err);
    }
    if (!st && (got < 0 || !s->n || s->unk < 0))
        st = damaged(name, err);
    spm_finish(s);
    return st;
}
