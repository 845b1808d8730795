/* The names that a pickle may use and what they mean here. A name that is not in these tables is
 * held as an opaque word; being absent is what makes it harmless, the list of attacks only words
 * the error. */
#include "nn/ckpt_int.h"

static const struct {
    const char *module, *name;
    enum pk_known known;
} names[] = {
    {"collections", "OrderedDict", PK_ORDERED_DICT},
    {"torch._utils", "_rebuild_tensor", PK_REBUILD},
    {"torch._utils", "_rebuild_tensor_v2", PK_REBUILD},
    {"torch._utils", "_rebuild_tensor_v3", PK_REBUILD_V3},
    {"torch._utils", "_rebuild_parameter", PK_FIRST_ARG},
    {"torch._utils", "_rebuild_parameter_with_state", PK_FIRST_ARG},
    {"torch._tensor", "_rebuild_from_type_v2", PK_REBUILD_TYPE},
    {"torch", "Size", PK_FIRST_ARG},
    {"torch.jit._pickle", "restore_type_tag", PK_FIRST_ARG},
    {"torch.jit._pickle", "build_intlist", PK_FIRST_ARG},
    {"torch.jit._pickle", "build_doublelist", PK_FIRST_ARG},
    {"torch.jit._pickle", "build_boollist", PK_FIRST_ARG},
    {"torch.jit._pickle", "build_tensorlist", PK_FIRST_ARG},
};

static const struct pk_elem elems[] = {
    {"FloatStorage", "float32", "float", DT_F32, 4},
    {"HalfStorage", "float16", "half", DT_F16, 2},
    {"BFloat16Storage", "bfloat16", "", DT_BF16, 2},
    {"DoubleStorage", "float64", "double", DT_F64, 8},
    {"LongStorage", "int64", "long", DT_I64, 8},
    {"IntStorage", "int32", "int", DT_I32, 4},
    {"ShortStorage", "int16", "short", DT_COUNT, 2},
    {"CharStorage", "int8", "", DT_I8, 1},
    {"ByteStorage", "uint8", "", DT_U8, 1},
    {"BoolStorage", "bool", "", DT_BOOL, 1},
    {"ComplexFloatStorage", "complex64", "cfloat", DT_COUNT, 8},
    {"ComplexDoubleStorage", "complex128", "cdouble", DT_COUNT, 16},
    {"QInt8Storage", "qint8", "", DT_COUNT, 1},
    {"QUInt8Storage", "quint8", "", DT_COUNT, 1},
    {"QInt32Storage", "qint32", "", DT_COUNT, 4},
    {"UntypedStorage", "", "", DT_U8, 1},
};

static bool same(const char *a, const char *s, size_t n)
{
    return strlen(a) == n && !memcmp(a, s, n);
}

enum pk_known pk_lookup(const char *module, size_t mn, const char *name, size_t nn,
                        const struct pk_elem **elem)
{
    *elem = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (same(names[i].module, module, mn) && same(names[i].name, name, nn))
            return names[i].known;
    if (!nn || (!same("torch", module, mn) && !same("torch.storage", module, mn) &&
                !same("torch.cuda", module, mn)))
        return PK_UNKNOWN;
    for (size_t i = 0; i < sizeof elems / sizeof *elems; i++) {
        *elem = &elems[i];
        if (same(elems[i].storage, name, nn))
            return PK_STORAGE_CLASS;
        if (same(elems[i].dtype, name, nn) || same(elems[i].alias, name, nn))
            return PK_DTYPE;
    }
    *elem = NULL;
    return PK_UNKNOWN;
}

bool pk_is_attack(const struct pk *g)
{
    static const char *const modules[] = {
        "os",         "posix",    "nt",  "subprocess", "sys",       "socket",   "shutil",
        "pty",        "pdb",      "bdb", "runpy",      "importlib", "ctypes",   "code",
        "webbrowser", "commands", "pip", "pydoc",      "timeit",    "platform", "multiprocessing",
    };
    static const char *const builtins[] = {"eval", "exec",       "execfile", "compile",
                                           "open", "__import__", "input",    "breakpoint"};
    const char *m = g->global.module;
    size_t n = g->global.module_len;
    if (same("builtins", m, n) || same("__builtin__", m, n)) {
        for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
            if (same(builtins[i], g->global.name, g->global.name_len))
                return true;
        return false;
    }
    const char *dot = memchr(m, '.', n);
    n = dot ? (size_t)(dot - m) : n;
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (same(modules[i], m, n))
            return true;
    return false;
}

bool pk_is_str(const struct pk *v, const char *s)
{
    return v && v->kind == PK_STR && same(s, v->str.s, v->str.n);
}

const struct pk *pk_get(const struct pk *dict, const char *key)
{
    if (!dict || dict->kind != PK_DICT)
        return NULL;
    for (size_t i = dict->seq.n; i >= 2; i -= 2) /* the last of equal keys counts */
        if (pk_is_str(dict->seq.v[i - 2], key))
            return dict->seq.v[i - 1];
    return NULL;
}
