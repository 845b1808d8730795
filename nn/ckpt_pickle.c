/* The pickle machine, protocols 2 to 5 (Python's Lib/pickletools.py describes every opcode).
 * Python's machine calls what a file names; this one has no way to call anything: REDUCE on a name
 * that ckpt_names.c does not know makes an opaque object. Memory, stack and memo are bounded by the
 * arena's limit and the file's size, so no opcode sequence costs more than a constant per byte. */
#include "core/mem.h"
#include "nn/ckpt_machine.h"

enum {
    OPS_MAX = 32000000,
    STACK_MAX = 2000000,
    SLAB = 256,
};

void pickle_error(struct pickle_machine *m, enum status st, const char *what)
{
    error_set(m->err, st, "%s: bad pickle: %s", m->label, what);
}

void *pickle_alloc(struct pickle_machine *m, size_t n, size_t size)
{
    size_t bytes;
    if (mul_overflow_size(n, size, &bytes) ||
        (m->mem->limit && bytes > m->mem->limit - m->mem->used)) {
        pickle_fail(m, ST_LIMIT, "it unfolds to more than 64 MB");
        return NULL;
    }
    void *p = arena_alloc(m->mem, bytes ? bytes : 1);
    if (!p)
        pickle_fail(m, ST_NOMEM, "out of memory");
    return p;
}

static bool grow(struct pickle_machine *m, void **array, size_t *cap, size_t want, size_t size)
{
    if (want <= *cap)
        return true;
    size_t n = *cap ? *cap : 256;
    while (n < want)
        n *= 2;
    void *p = want > STACK_MAX ? NULL : mem_realloc_array(*array, n, size);
    if (!p)
        return want > STACK_MAX ? pickle_fail(m, ST_LIMIT, "its stack or memo is too deep")
                                : pickle_fail(m, ST_NOMEM, "out of memory");
    *array = p;
    *cap = n;
    return true;
}

bool pickle_push(struct pickle_machine *m, struct pk *v)
{
    if (!v || !grow(m, (void **)&m->stack, &m->cap, m->n + 1, sizeof(struct pk *)))
        return false;
    m->stack[m->n++] = v;
    return true;
}

struct pk *pickle_value(struct pickle_machine *m, enum pk_kind kind)
{
    if (!m->slab_left) {
        m->slab = pickle_alloc(m, SLAB, sizeof *m->slab);
        if (!m->slab)
            return NULL;
        m->slab_left = SLAB;
    }
    struct pk *v = &m->slab[--m->slab_left];
    memset(v, 0, sizeof *v);
    v->kind = kind;
    return v;
}

static bool push_int(struct pickle_machine *m, enum pk_kind kind, int64_t i)
{
    struct pk *v = pickle_value(m, kind);
    if (v)
        v->i = i;
    return pickle_push(m, v);
}

static size_t floor_of(const struct pickle_machine *m)
{
    return m->nmark ? m->mark[m->nmark - 1] : 0;
}

/* NULL (and an error) when the stack holds no value above the last mark. */
struct pk *pickle_pop(struct pickle_machine *m)
{
    if (m->n > floor_of(m))
        return m->stack[--m->n];
    pickle_fail(m, ST_FORMAT, "its stack runs empty");
    return NULL;
}

struct pk *pickle_top(struct pickle_machine *m)
{
    if (m->n > floor_of(m))
        return m->stack[m->n - 1];
    pickle_fail(m, ST_FORMAT, "its stack runs empty");
    return NULL;
}

/* The values above the last mark, which is taken off with them. */
static bool pop_mark(struct pickle_machine *m, struct pk ***v, size_t *n)
{
    if (!m->nmark)
        return pickle_fail(m, ST_FORMAT, "a mark is missing");
    size_t at = m->mark[--m->nmark];
    *v = m->stack + at;
    *n = m->n - at;
    m->n = at;
    return true;
}

static const uint8_t *take(struct pickle_machine *m, uint64_t n)
{
    if (n > (uint64_t)(m->end - m->p)) {
        pickle_fail(m, ST_FORMAT, "it ends in the middle");
        return NULL;
    }
    const uint8_t *p = m->p;
    m->p += n;
    return p;
}

/* A little-endian number of n <= 8 bytes. */
static bool take_uint(struct pickle_machine *m, unsigned n, uint64_t *out)
{
    const uint8_t *p = take(m, n);
    *out = 0;
    for (unsigned i = n; p && i-- > 0;)
        *out = *out << 8 | p[i];
    return p != NULL;
}

bool pickle_append(struct pickle_machine *m, struct pk *seq, struct pk *const *v, size_t n)
{
    size_t want = seq->seq.n + n;
    if (want > seq->seq.cap) {
        size_t cap = seq->seq.cap * 2 > want ? seq->seq.cap * 2 : want;
        struct pk **p = pickle_alloc(m, cap, sizeof(struct pk *));
        if (!p)
            return false;
        if (seq->seq.n)
            memcpy(p, seq->seq.v, seq->seq.n * sizeof(struct pk *));
        seq->seq.v = p;
        seq->seq.cap = cap;
    }
    if (n)
        memcpy(seq->seq.v + seq->seq.n, v, n * sizeof(struct pk *));
    seq->seq.n = want;
    return true;
}

static bool push_seq(struct pickle_machine *m, enum pk_kind kind, struct pk *const *v, size_t n)
{
    struct pk *s = pickle_value(m, kind);
    return s && pickle_append(m, s, v, n) && pickle_push(m, s);
}

/* Into a list, set or dict; what a file puts into an opaque object is dropped. */
static bool extend(struct pickle_machine *m, enum pk_kind kind, struct pk *const *v, size_t n)
{
    struct pk *to = pickle_top(m);
    if (!to)
        return false;
    if (to->kind == PK_OBJECT)
        return true;
    if (to->kind != kind || (kind == PK_DICT && n % 2))
        return pickle_fail(m, ST_FORMAT, "items for something that holds none");
    return pickle_append(m, to, v, n);
}

static bool op_extend_mark(struct pickle_machine *m, enum pk_kind kind)
{
    struct pk **v;
    size_t n;
    return pop_mark(m, &v, &n) && extend(m, kind, v, n);
}

static bool op_extend_some(struct pickle_machine *m, enum pk_kind kind, size_t n)
{
    if (m->n < floor_of(m) + n)
        return pickle_fail(m, ST_FORMAT, "its stack runs empty");
    m->n -= n;
    return extend(m, kind, m->stack + m->n, n);
}

static bool op_seq_mark(struct pickle_machine *m, enum pk_kind kind)
{
    struct pk **v;
    size_t n;
    if (!pop_mark(m, &v, &n))
        return false;
    if (kind == PK_DICT && n % 2)
        return pickle_fail(m, ST_FORMAT, "a dict of an odd number of items");
    return push_seq(m, kind, v, n);
}

static bool op_tuple(struct pickle_machine *m, size_t n)
{
    if (m->n < floor_of(m) + n)
        return pickle_fail(m, ST_FORMAT, "its stack runs empty");
    m->n -= n;
    return push_seq(m, PK_TUPLE, m->stack + m->n, n);
}

static bool op_string(struct pickle_machine *m, unsigned length_bytes)
{
    uint64_t n;
    const uint8_t *p = take_uint(m, length_bytes, &n) ? take(m, n) : NULL;
    struct pk *v = p ? pickle_value(m, PK_STR) : NULL;
    if (!v)
        return false;
    v->str.s = (const char *)p;
    v->str.n = (size_t)n;
    return pickle_push(m, v);
}

static bool op_int(struct pickle_machine *m, unsigned bytes)
{
    uint64_t u;
    return take_uint(m, bytes, &u) &&
           push_int(m, PK_INT, bytes == 4 ? (int64_t)(int32_t)(uint32_t)u : (int64_t)u);
}

/* Two's complement of any length; what exceeds 64 bits is a float, since no size of ours is. */
static bool op_long(struct pickle_machine *m, unsigned length_bytes)
{
    uint64_t n, u = 0;
    const uint8_t *p = take_uint(m, length_bytes, &n) ? take(m, n) : NULL;
    if (!p)
        return false;
    if (n > 8) {
        struct pk *v = pickle_value(m, PK_FLOAT);
        return pickle_push(m, v);
    }
    if (n && p[n - 1] & 0x80)
        u = UINT64_MAX;
    for (uint64_t i = n; i-- > 0;)
        u = u << 8 | p[i];
    return push_int(m, PK_INT, (int64_t)u);
}

static bool op_float(struct pickle_machine *m)
{
    const uint8_t *p = take(m, 8); /* big-endian, alone among the opcodes */
    struct pk *v = p ? pickle_value(m, PK_FLOAT) : NULL;
    if (!v)
        return false;
    uint64_t u = 0;
    for (int i = 0; i < 8; i++)
        u = u << 8 | p[i];
    memcpy(&v->f, &u, sizeof v->f);
    return pickle_push(m, v);
}

static bool op_put(struct pickle_machine *m, uint64_t at)
{
    struct pk *v = pickle_top(m);
    if (!v)
        return false;
    if (at > m->ops) /* picklers count up: a larger index only asks for memory */
        return pickle_fail(m, ST_FORMAT, "a memo index out of range");
    if (!grow(m, (void **)&m->memo, &m->memo_cap, (size_t)at + 1, sizeof(struct pk *)))
        return false;
    while (m->nmemo <= at)
        m->memo[m->nmemo++] = NULL;
    m->memo[at] = v;
    return true;
}

static bool op_get(struct pickle_machine *m, uint64_t at)
{
    if (at >= m->nmemo || !m->memo[at])
        return pickle_fail(m, ST_FORMAT, "a memo entry that was never stored");
    return pickle_push(m, m->memo[at]);
}

static bool op_mark(struct pickle_machine *m)
{
    if (!grow(m, (void **)&m->mark, &m->mark_cap, m->nmark + 1, sizeof *m->mark))
        return false;
    m->mark[m->nmark++] = m->n;
    return true;
}

static bool op_pop(struct pickle_machine *m)
{
    if (m->nmark && m->n == m->mark[m->nmark - 1]) {
        m->nmark--;
        return true;
    }
    return pickle_pop(m) != NULL;
}

/* PROTO and FRAME say only what the bytes show anyway. */
static bool op_skip(struct pickle_machine *m, unsigned bytes, bool proto)
{
    uint64_t v;
    if (!take_uint(m, bytes, &v))
        return false;
    return !proto || (v >= 2 && v <= 5) ||
           pickle_fail(m, ST_UNSUPPORTED, "its protocol is not 2 to 5");
}

static bool op_memo(struct pickle_machine *m, unsigned bytes, bool put)
{
    uint64_t at;
    return take_uint(m, bytes, &at) && (put ? op_put(m, at) : op_get(m, at));
}

static bool unknown_op(struct pickle_machine *m, unsigned op)
{
    error_set(m->err, ST_UNSUPPORTED, "%s: bad pickle: opcode 0x%02x is not read", m->label, op);
    return false;
}

/* clang-format off */
static bool step(struct pickle_machine *m, unsigned op)
{
    struct pk **v;
    size_t n;
    switch (op) {
    case 0x80: return op_skip(m, 1, true);           /* PROTO */
    case 0x95: return op_skip(m, 8, false);          /* FRAME */
    case '.': m->done = true; return true;           /* STOP */
    case '(': return op_mark(m);
    case '0': return op_pop(m);
    case '1': return pop_mark(m, &v, &n);            /* POP_MARK */
    case '2': return pickle_push(m, pickle_top(m));                /* DUP */
    case 'N': return push_int(m, PK_NONE, 0);
    case 0x88: return push_int(m, PK_BOOL, 1);       /* NEWTRUE */
    case 0x89: return push_int(m, PK_BOOL, 0);       /* NEWFALSE */
    case 'J': return op_int(m, 4);                   /* BININT */
    case 'K': return op_int(m, 1);                   /* BININT1 */
    case 'M': return op_int(m, 2);                   /* BININT2 */
    case 0x8a: return op_long(m, 1);                 /* LONG1 */
    case 0x8b: return op_long(m, 4);                 /* LONG4 */
    case 'G': return op_float(m);                    /* BINFLOAT */
    case 'U': case 'C': case 0x8c: return op_string(m, 1); /* SHORT_BINSTRING, _BINBYTES, _BINUNICODE */
    case 'T': case 'B': case 'X': return op_string(m, 4);  /* BINSTRING, BINBYTES, BINUNICODE */
    case 0x8d: case 0x8e: case 0x96: return op_string(m, 8); /* BINUNICODE8, BINBYTES8, BYTEARRAY8 */
    case ']': case 0x8f: return push_seq(m, PK_LIST, NULL, 0); /* EMPTY_LIST, EMPTY_SET */
    case '}': return push_seq(m, PK_DICT, NULL, 0);  /* EMPTY_DICT */
    case ')': return op_tuple(m, 0);                 /* EMPTY_TUPLE */
    case 0x85: return op_tuple(m, 1);                /* TUPLE1 to TUPLE3 */
    case 0x86: return op_tuple(m, 2);
    case 0x87: return op_tuple(m, 3);
    case 't': return op_seq_mark(m, PK_TUPLE);       /* TUPLE */
    case 'l': case 0x91: return op_seq_mark(m, PK_LIST); /* LIST, FROZENSET */
    case 'd': return op_seq_mark(m, PK_DICT);        /* DICT */
    case 'a': return op_extend_some(m, PK_LIST, 1);  /* APPEND */
    case 's': return op_extend_some(m, PK_DICT, 2);  /* SETITEM */
    case 'e': case 0x90: return op_extend_mark(m, PK_LIST); /* APPENDS, ADDITEMS */
    case 'u': return op_extend_mark(m, PK_DICT);     /* SETITEMS */
    case 'h': return op_memo(m, 1, false);           /* BINGET */
    case 'j': return op_memo(m, 4, false);           /* LONG_BINGET */
    case 'q': return op_memo(m, 1, true);            /* BINPUT */
    case 'r': return op_memo(m, 4, true);            /* LONG_BINPUT */
    case 0x94: return op_put(m, m->nmemo);           /* MEMOIZE */
    case 'c': return pickle_global(m);                   /* GLOBAL */
    case 0x93: return pickle_stack_global(m);            /* STACK_GLOBAL */
    case 'R': case 0x81: return pickle_reduce(m, false); /* REDUCE, NEWOBJ */
    case 0x92: return pickle_reduce(m, true);            /* NEWOBJ_EX */
    case 'b': return pickle_build(m);                    /* BUILD */
    case 'Q': return pickle_persistent(m);               /* BINPERSID */
    default: return unknown_op(m, op);
    }
}
/* clang-format on */

enum status pickle_load(const uint8_t *data, size_t size, size_t *used, struct arena *mem,
                        struct pk **root, struct pk_notes *notes, const char *label,
                        struct error *err)
{
    struct error own = {ST_OK, ""};
    struct pickle_machine m = {.p = data,
                               .end = data + size,
                               .mem = mem,
                               .notes = notes,
                               .label = label,
                               .err = err ? err : &own};
    bool ok = true;
    while (ok && !m.done) {
        const uint8_t *op = take(&m, 1);
        if (++m.ops > OPS_MAX)
            ok = pickle_fail(&m, ST_LIMIT, "too many opcodes");
        else
            ok = op && step(&m, *op);
    }
    *root = ok ? pickle_pop(&m) : NULL;
    *used = (size_t)(m.p - data);
    mem_free(m.stack);
    mem_free(m.mark);
    mem_free(m.memo);
    return *root ? ST_OK : m.err->code; /* pickle_error set it */
}
