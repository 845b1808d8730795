/* The pickle machine's opcodes for classes, calls and storages: where Python would run code, plain
 * data is made for the few names that torch.save needs, and an opaque object for all others. */
#include "nn/ckpt_machine.h"

static bool push_global(struct pickle_machine *m, const char *module, size_t mn, const char *name,
                        size_t nn)
{
    if (mn > PICKLE_WORD_MAX || nn > PICKLE_WORD_MAX)
        return pickle_fail(m, ST_FORMAT, "a class name of more than 1024 bytes");
    struct pk *v = pickle_value(m, PK_GLOBAL);
    if (!v)
        return false;
    v->global.module = module;
    v->global.module_len = (unsigned short)mn;
    v->global.name = name;
    v->global.name_len = (unsigned short)nn;
    v->global.known = pk_lookup(module, mn, name, nn, &v->global.elem);
    if (nn == strlen("QuickGELU") && !memcmp(name, "QuickGELU", nn))
        m->notes->quick_gelu = true;
    return pickle_push(m, v);
}

static bool take_line(struct pickle_machine *m, const char **s, size_t *n)
{
    size_t left = (size_t)(m->end - m->p);
    const uint8_t *nl =
        left ? memchr(m->p, '\n', left < PICKLE_WORD_MAX + 2 ? left : PICKLE_WORD_MAX + 2) : NULL;
    if (!nl)
        return pickle_fail(m, ST_FORMAT, "a class name without end");
    *s = (const char *)m->p;
    *n = (size_t)(nl - m->p);
    m->p = nl + 1;
    return true;
}

bool pickle_global(struct pickle_machine *m)
{
    const char *module, *name;
    size_t mn, nn;
    return take_line(m, &module, &mn) && take_line(m, &name, &nn) &&
           push_global(m, module, mn, name, nn);
}

bool pickle_stack_global(struct pickle_machine *m)
{
    const struct pk *name = pickle_pop(m), *module = name ? pickle_pop(m) : NULL;
    if (!module)
        return false;
    if (name->kind != PK_STR || module->kind != PK_STR)
        return pickle_fail(m, ST_FORMAT, "a class name that is not a string");
    return push_global(m, module->str.s, module->str.n, name->str.s, name->str.n);
}

static bool push_tensor(struct pickle_machine *m, const struct pk *args, const struct pk_elem *elem)
{
    struct pk *const *a = args->seq.v;
    if (args->seq.n < 4 || a[0]->kind != PK_STORAGE || a[1]->kind != PK_INT ||
        a[2]->kind != PK_TUPLE || a[3]->kind != PK_TUPLE)
        return pickle_fail(m, ST_FORMAT, "a tensor of the wrong parts");
    struct pk *t = pickle_value(m, PK_TENSOR);
    if (!t)
        return false;
    t->tensor.storage = a[0];
    t->tensor.offset = a[1]->i;
    t->tensor.size = a[2];
    t->tensor.stride = a[3];
    t->tensor.elem = elem ? elem : a[0]->storage.elem;
    return pickle_push(m, t);
}

/* OrderedDict() or, as Python 2 wrote it, OrderedDict([[key, value], ...]). */
static bool push_ordered_dict(struct pickle_machine *m, const struct pk *args)
{
    struct pk *d = pickle_value(m, PK_DICT);
    if (!d)
        return false;
    const struct pk *list = args->seq.n == 1 ? args->seq.v[0] : NULL;
    if (args->seq.n > 1 || (list && list->kind != PK_LIST && list->kind != PK_TUPLE))
        return pickle_fail(m, ST_FORMAT, "a dict of the wrong parts");
    for (size_t i = 0; list && i < list->seq.n; i++) {
        const struct pk *pair = list->seq.v[i];
        if ((pair->kind != PK_LIST && pair->kind != PK_TUPLE) || pair->seq.n != 2)
            return pickle_fail(m, ST_FORMAT, "a dict of the wrong parts");
        if (!pickle_append(m, d, pair->seq.v, 2))
            return false;
    }
    return pickle_push(m, d);
}

/* The name called is unknown, so the call does not take place. */
static bool push_opaque(struct pickle_machine *m, const struct pk *f)
{
    if (f->kind != PK_GLOBAL && f->kind != PK_OBJECT)
        return pickle_fail(m, ST_FORMAT, "a call of something that is no class");
    if (f->kind == PK_GLOBAL && pk_is_attack(f)) {
        char q[WEIGHTS_QUOTE], q2[WEIGHTS_QUOTE];
        error_set(m->err, ST_FORMAT,
                  "%s: refused: the file tries to run %.40s.%.40s (nothing was run)", m->label,
                  weights_quote(q, f->global.module, f->global.module_len),
                  weights_quote(q2, f->global.name, f->global.name_len));
        return false;
    }
    struct pk *o = pickle_value(m, PK_OBJECT);
    if (!o)
        return false;
    o->object.cls = f->kind == PK_GLOBAL ? f : f->object.cls;
    if (!m->notes->called)
        m->notes->called = o->object.cls;
    return pickle_push(m, o);
}

static bool reduce(struct pickle_machine *m, const struct pk *f, const struct pk *args)
{
    if (args->kind != PK_TUPLE)
        return pickle_fail(m, ST_FORMAT, "a call without a tuple");
    struct pk *const *a = args->seq.v;
    size_t n = args->seq.n;
    enum pk_known known = f->kind == PK_GLOBAL ? f->global.known : PK_UNKNOWN;
    if (known == PK_REBUILD_TYPE) { /* (function, type, args, state): the function decides */
        if (n < 3 || a[0]->kind != PK_GLOBAL || a[2]->kind != PK_TUPLE)
            return pickle_fail(m, ST_FORMAT, "a tensor of the wrong parts");
        f = a[0];
        known = f->global.known;
        n = a[2]->seq.n;
        args = a[2];
        a = args->seq.v;
    }
    switch (known) {
    case PK_ORDERED_DICT:
        return push_ordered_dict(m, args);
    case PK_REBUILD:
        return push_tensor(m, args, NULL);
    case PK_REBUILD_V3:
        if (n < 7 || a[6]->kind != PK_GLOBAL || a[6]->global.known != PK_DTYPE)
            return pickle_fail(m, ST_UNSUPPORTED, "a tensor of a dtype that is not read");
        return push_tensor(m, args, a[6]->global.elem);
    case PK_FIRST_ARG:
        if (!n)
            return pickle_fail(m, ST_FORMAT, "a call without arguments");
        return pickle_push(m, a[0]);
    default:
        return push_opaque(m, f);
    }
}

/* NEWOBJ has (class, args), REDUCE the same: for plain data they mean the same. */
bool pickle_reduce(struct pickle_machine *m, bool keywords)
{
    if (keywords && !pickle_pop(m))
        return false;
    const struct pk *args = pickle_pop(m), *f = args ? pickle_pop(m) : NULL;
    return f && reduce(m, f, args);
}

/* A state for an object is kept; on dicts and tensors it only carries attributes (_metadata). */
bool pickle_build(struct pickle_machine *m)
{
    struct pk *state = pickle_pop(m), *o = state ? pickle_top(m) : NULL;
    if (!o)
        return false;
    if (o->kind == PK_OBJECT)
        o->object.state = state;
    return true;
}

/* ("storage", class, key, location, count[, view]), or the class of a module that was saved whole
 * before 1.6: ("module", class, its file's name, its source). */
bool pickle_persistent(struct pickle_machine *m)
{
    const struct pk *id = pickle_pop(m);
    if (!id)
        return false;
    struct pk *const *a = id->seq.v;
    if (id->kind == PK_TUPLE && id->seq.n == 4 && pk_is_str(a[0], "module") &&
        a[1]->kind == PK_GLOBAL)
        return pickle_push(m, a[1]);
    if (id->kind != PK_TUPLE || id->seq.n < 5 || !pk_is_str(a[0], "storage") ||
        a[1]->kind != PK_GLOBAL || a[1]->global.known != PK_STORAGE_CLASS || a[2]->kind != PK_STR ||
        a[4]->kind != PK_INT || a[4]->i < 0)
        return pickle_fail(m, ST_UNSUPPORTED, "a storage of an unknown kind");
    if (id->seq.n > 5 && a[5]->kind != PK_NONE)
        return pickle_fail(m, ST_UNSUPPORTED, "a storage that is a view");
    struct pk *s = pickle_value(m, PK_STORAGE);
    struct pk_notes *k = m->notes;
    if (!s)
        return false;
    s->storage.key = a[2]->str.s;
    s->storage.key_len = a[2]->str.n;
    s->storage.elem = a[1]->global.elem;
    s->storage.count = a[4]->i;
    if (k->nstorage == k->storage_cap) {
        size_t cap = k->storage_cap ? k->storage_cap * 2 : 64;
        const struct pk **p = pickle_alloc(m, cap, sizeof(struct pk *));
        if (!p)
            return false;
        if (k->nstorage)
            memcpy(p, k->storage, k->nstorage * sizeof(struct pk *));
        k->storage = p;
        k->storage_cap = cap;
    }
    k->storage[k->nstorage++] = s;
    return pickle_push(m, s);
}
