/* PyTorch files that attack: every opcode of the pickle protocols, calls of what runs code, zip
 * archives as bombs and with names that lead elsewhere, and the older bare pickle. */
#ifndef EIDETIC_TESTS_HOSTILE_CKPT_H
#define EIDETIC_TESTS_HOSTILE_CKPT_H

#include "hostile.h"
#include "pickle_make.h"
#include "zip_make.h"

static inline void hostile_archive(struct hostile *h, const char *name, const void *pickle,
                                   size_t n, enum status code, const char *word)
{
    static const uint8_t zeros[64];
    struct zip_file f[] = {{"a/data.pkl", pickle, n, 0}, {"a/data/0", zeros, sizeof zeros, 0}};
    struct buf *b = hostile_new(h, name, "pt", code, word);
    buf_release(b);
    *b = zip_make(f, 2);
}

/* {"t": a good tensor, "x": what `value` leaves on the stack} */
static inline void hostile_beside(struct hostile *h, const char *name, const char *value, size_t n,
                                  enum status code, const char *word)
{
    static const char head[] =
        "\x80\2}(X\1\0\0\0t" TENSOR_OF(STORAGE, "K\0", "K\2\x85", "K\1\x85") "X\1\0\0\0x";
    struct buf b;
    buf_init(&b, HOSTILE_MOST);
    buf_append(&b, head, sizeof head - 1);
    buf_append(&b, value, n);
    buf_puts(&b, "u.");
    hostile_archive(h, name, b.data, b.len, code, word);
    buf_release(&b);
}

struct hostile_op {
    unsigned char op;
    const char *name, *value; /* a legal use that leaves one value */
    size_t n;
    bool read; /* else refused by its number */
};

/* All of protocols 0 to 5, as pickletools lists them. */
static const struct hostile_op hostile_ops[] = {
    {'I', "INT", P("I1\n"), false},
    {'J', "BININT", P("J\1\0\0\0"), true},
    {'K', "BININT1", P("K\1"), true},
    {'M', "BININT2", P("M\1\0"), true},
    {'L', "LONG", P("L1L\n"), false},
    {0x8a, "LONG1", P("\x8a\1\1"), true},
    {0x8b, "LONG4", P("\x8b\1\0\0\0\1"), true},
    {'S', "STRING", P("S'a'\n"), false},
    {'T', "BINSTRING", P("T\1\0\0\0a"), true},
    {'U', "SHORT_BINSTRING", P("U\1a"), true},
    {'B', "BINBYTES", P("B\1\0\0\0a"), true},
    {'C', "SHORT_BINBYTES", P("C\1a"), true},
    {0x8e, "BINBYTES8", P("\x8e\1\0\0\0\0\0\0\0a"), true},
    {0x96, "BYTEARRAY8", P("\x96\1\0\0\0\0\0\0\0a"), true},
    {0x97, "NEXT_BUFFER", P("\x97"), false},
    {0x98, "READONLY_BUFFER", P("C\1a\x98"), false},
    {'N', "NONE", P("N"), true},
    {0x88, "NEWTRUE", P("\x88"), true},
    {0x89, "NEWFALSE", P("\x89"), true},
    {'V', "UNICODE", P("Va\n"), false},
    {0x8c, "SHORT_BINUNICODE", P("\x8c\1a"), true},
    {'X', "BINUNICODE", P("X\1\0\0\0a"), true},
    {0x8d, "BINUNICODE8", P("\x8d\1\0\0\0\0\0\0\0a"), true},
    {'F', "FLOAT", P("F1.0\n"), false},
    {'G', "BINFLOAT", P("G\x3f\xf0\0\0\0\0\0\0"), true},
    {']', "EMPTY_LIST", P("]"), true},
    {'a', "APPEND", P("]Na"), true},
    {'e', "APPENDS", P("](NNe"), true},
    {'l', "LIST", P("(Nl"), true},
    {')', "EMPTY_TUPLE", P(")"), true},
    {'t', "TUPLE", P("(NNt"), true},
    {0x85, "TUPLE1", P("N\x85"), true},
    {0x86, "TUPLE2", P("NN\x86"), true},
    {0x87, "TUPLE3", P("NNN\x87"), true},
    {'}', "EMPTY_DICT", P("}"), true},
    {'d', "DICT", P("(NNd"), true},
    {'s', "SETITEM", P("}NNs"), true},
    {'u', "SETITEMS", P("}(NNu"), true},
    {0x8f, "EMPTY_SET", P("\x8f"), true},
    {0x90, "ADDITEMS", P("\x8f(N\x90"), true},
    {0x91, "FROZENSET", P("(N\x91"), true},
    {'0', "POP", P("NN0"), true},
    {'2', "DUP", P("N2\x86"), true},
    {'(', "MARK", P("(t"), true},
    {'1', "POP_MARK", P("N(NN1"), true},
    {'g', "GET", P("Nq\0g0\n\x86"), false},
    {'h', "BINGET", P("Nq\0h\0\x86"), true},
    {'j', "LONG_BINGET", P("Nq\0j\0\0\0\0\x86"), true},
    {'p', "PUT", P("Np0\n"), false},
    {'q', "BINPUT", P("Nq\0"), true},
    {'r', "LONG_BINPUT", P("Nr\0\0\0\0"), true},
    {0x94, "MEMOIZE", P("N\x94"), true},
    {0x82, "EXT1", P("\x82\1"), false},
    {0x83, "EXT2", P("\x83\1\0"), false},
    {0x84, "EXT4", P("\x84\1\0\0\0"), false},
    {'c', "GLOBAL", P("cmy.module\nName\n"), true},
    {0x93, "STACK_GLOBAL", P("\x8c\2my\x8c\4Name\x93"), true},
    {'R', "REDUCE", P("cmy.module\nName\n)R"), true},
    {'b', "BUILD", P("cmy.module\nName\n)R}b"), true},
    {'i', "INST", P("(ios\nsystem\n"), false},
    {'o', "OBJ", P("(cos\nsystem\no"), false},
    {0x81, "NEWOBJ", P("cmy.module\nName\n)\x81"), true},
    {0x92, "NEWOBJ_EX", P("cmy.module\nName\n)}\x92"), true},
    {0x80, "PROTO", P("\x80\4N"), true},
    {'.', "STOP", P("N"), true},
    {0x95, "FRAME", P("\x95\1\0\0\0\0\0\0\0N"), true},
    {'P', "PERSID", P("P1\n"), false},
    {'Q', "BINPERSID", P(STORAGE), true},
};
enum { HOSTILE_OPS = sizeof hostile_ops / sizeof *hostile_ops };

static inline void hostile_opcodes(struct hostile *h)
{
    static char word[256][32];
    bool legal[256] = {false};
    char name[64];
    for (int i = 0; i < HOSTILE_OPS; i++) {
        const struct hostile_op *o = &hostile_ops[i];
        legal[o->op] = true;
        snprintf(word[o->op], sizeof word[0], "opcode 0x%02x is not read", o->op);
        snprintf(name, sizeof name, "op-%s", o->name);
        hostile_beside(h, name, o->value, o->n, o->read ? ST_OK : ST_UNSUPPORTED,
                       o->read ? "" : word[o->op]);
    }
    for (int op = 0; op < 256; op++) {
        char c = (char)op;
        if (legal[op])
            continue;
        snprintf(word[op], sizeof word[0], "opcode 0x%02x is not read", op);
        snprintf(name, sizeof name, "op-%02x", op);
        hostile_beside(h, name, &c, 1, ST_UNSUPPORTED, word[op]);
    }
}

#define CALL(module, name) "c" module "\n" name "\n"
static inline void hostile_calls(struct hostile *h)
{
    static const struct {
        const char *name, *value;
        size_t n;
        const char *word;
    } all[] = {
        {"call-system", P(CALL("os", "system") "U\1x\x85R"), "os.system (nothing was run)"},
        {"call-posix", P(CALL("posix", "system") "U\1x\x85R"), "posix.system"},
        {"call-nt", P(CALL("nt", "system") "U\1x\x85R"), "nt.system"},
        {"call-eval", P(CALL("builtins", "eval") "U\1x\x85R"), "builtins.eval"},
        {"call-exec-python-2", P(CALL("__builtin__", "exec") "U\1x\x85R"), "__builtin__.exec"},
        {"call-import", P(CALL("builtins", "__import__") "U\1x\x85R"), "builtins.__import__"},
        {"call-popen", P(CALL("subprocess", "Popen") "U\1x\x85\x81"), "subprocess.Popen"},
        {"call-run-ex", P(CALL("subprocess", "run") ")}\x92"), "subprocess.run"},
        {"call-runpy", P(CALL("runpy", "_run_code") ")R"), "runpy._run_code"},
        {"call-submodule", P(CALL("multiprocessing.util", "spawnv_passfds") ")R"),
         "multiprocessing.util"},
        {"call-stack-global", P("\x8c\2os\x8c\6system\x93U\1x\x85R"), "os.system"},
        {"call-memoized",
         P(CALL("os", "system") "q\5"
                                "0h\5U\1x\x85R"),
         "os.system"},
        {"call-of-a-result", P(CALL("os", "system") "U\1x\x85R)R"), "os.system"},
        {"call-by-tensor",
         P(CALL("torch._tensor", "_rebuild_from_type_v2") "(" CALL("os", "system") "NU\1x\x85Nt"
                                                                                   "R"),
         "os.system"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        hostile_beside(h, all[i].name, all[i].value, all[i].n, ST_FORMAT, all[i].word);
    hostile_beside(h, "call-number", P("K\1)R"), ST_FORMAT, "no class");
    hostile_beside(h, "call-without-tuple", P(CALL("my", "Name") "K\1R"), ST_FORMAT, "tuple");
    hostile_archive(h, "call-only", P("\x80\2" CALL("my.module", "Maker") ")R."), ST_UNSUPPORTED,
                    "my.module.Maker, which is not run");
}

static inline void hostile_pickles(struct hostile *h)
{
    static const struct {
        const char *name, *pickle;
        size_t n;
        enum status code;
        const char *word;
    } all[] = {
        {"pickle-empty", P(""), ST_FORMAT, "ends in the middle"},
        {"pickle-open", P("\x80\2}"), ST_FORMAT, "ends in the middle"},
        {"pickle-protocol-9", P("\x80\x09."), ST_UNSUPPORTED, "protocol"},
        {"pickle-no-tensors", P("\x80\2}."), ST_FORMAT, "no tensors"},
        {"pickle-stack-empty", P("\x80\2s."), ST_FORMAT, "runs empty"},
        {"pickle-below-mark", P("\x80\2}K\1(s."), ST_FORMAT, "runs empty"},
        {"pickle-no-mark", P("\x80\2u."), ST_FORMAT, "mark"},
        {"pickle-memo-far", P("\x80\2}r\xff\xff\xff\xff."), ST_FORMAT, "memo index"},
        {"pickle-memo-absent", P("\x80\2h\7."), ST_FORMAT, "never stored"},
        {"pickle-string-64-bits", P("\x80\2\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), ST_FORMAT,
         "ends in the middle"},
        {"pickle-long-32-bits", P("\x80\2\x8b\xff\xff\xff\xff."), ST_FORMAT, "ends in the middle"},
        {"pickle-in-itself", P("\x80\2]q\0h\0a."), ST_LIMIT, "circle"},
        {"pickle-state-of-itself",
         P("\x80\2" CALL("torch.nn", "M") ")\x81q\1}X\x8\0\0\0_modulesh\1sb."), ST_UNSUPPORTED,
         "torch.nn.M"},
        {"tensor-beyond", P(TENSOR("K\0", "K\x11\x85", "K\1\x85")), ST_FORMAT, "beyond"},
        {"tensor-offset", P(TENSOR("K\1", "K\x10\x85", "K\1\x85")), ST_FORMAT, "beyond"},
        {"tensor-offset-63-bits",
         P(TENSOR("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", "K\2\x85", "K\1\x85")), ST_FORMAT,
         "beyond"},
        {"tensor-offset-negative", P(TENSOR("J\xff\xff\xff\xff", "K\1\x85", "K\1\x85")), ST_FORMAT,
         "impossible"},
        {"tensor-stride-wraps",
         P(TENSOR("K\0", "\x8a\5\0\0\0\0\1K\1\x86", "\x8a\x08\0\0\0\0\0\0\0\x40K\1\x86")),
         ST_FORMAT, "beyond"},
        {"tensor-stride-negative", P(TENSOR("K\0", "K\2\x85", "J\xff\xff\xff\xff\x85")), ST_FORMAT,
         "impossible"},
        {"tensor-product-wraps",
         P(TENSOR("K\0", "\x8a\5\0\0\0\0\1\x8a\5\0\0\0\0\1\x86", "K\1K\1\x86")), ST_FORMAT,
         "impossible"},
        {"tensor-repeats", P(TENSOR("K\0", "\x8a\4\xff\xff\xff\x7f\x85", "K\0\x85")),
         ST_UNSUPPORTED, "repeats"},
        {"tensor-long-size", P(TENSOR("K\0", "\x8a\x09\0\0\0\0\0\0\0\0\1\x85", "K\1\x85")),
         ST_FORMAT, "impossible"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        hostile_archive(h, all[i].name, all[i].pickle, all[i].n, all[i].code, all[i].word);
    struct buf b; /* a list of the list before, twice, 40 levels up */
    buf_init(&b, HOSTILE_MOST);
    buf_puts(&b, "\x80\x02]");
    for (int i = 0; i < 40; i++) {
        char step[] = {'q', (char)i, '0', ']', '(', 'h', (char)i, 'h', (char)i, 'e'};
        buf_append(&b, step, sizeof step);
    }
    buf_putc(&b, '.');
    hostile_archive(h, "pickle-laughs", b.data, b.len, ST_LIMIT, "circle");
    buf_clear(&b);
    buf_puts(&b, "\x80\x02");
    hostile_fill(&b, ']', 100000);
    hostile_fill(&b, 'a', 99999);
    buf_putc(&b, '.');
    hostile_archive(h, "pickle-deep", b.data, b.len, ST_LIMIT, "deeply");
    buf_clear(&b);
    buf_puts(&b, "\x80\x02");
    hostile_fill(&b, 'N', 1900000);
    buf_putc(&b, '.');
    hostile_archive(h, "pickle-unfolds", b.data, b.len, ST_LIMIT, "64 MB");
    buf_release(&b);
}

static inline void hostile_zip(struct hostile *h, const char *name, const struct zip_file *f, int n,
                               enum status code, const char *word)
{
    struct buf *b = hostile_new(h, name, "ckpt", code, word);
    buf_release(b);
    *b = zip_make(f, n);
}

/* The good archive with bytes of its end record changed: `at` from the record's start. */
static inline void hostile_end(struct hostile *h, const char *name, size_t at, uint64_t v,
                               int bytes, const char *word)
{
    static const char pickle[] = TENSOR("K\0", "K\2\x85", "K\1\x85"), zeros[64];
    struct zip_file f[] = {{"a/data.pkl", P(pickle), 0}, {"a/data/0", zeros, 64, 0}};
    hostile_zip(h, name, f, 2, ST_FORMAT, word);
    struct buf *b = &h->one[h->n - 1].b;
    for (int i = 0; i < bytes; i++)
        b->data[b->len - 22 + at + (size_t)i] = (char)(v >> (8 * i) & 0xff);
}

static inline void hostile_zips(struct hostile *h)
{
    static const char pickle[] = TENSOR("K\0", "K\2\x85", "K\1\x85"), zeros[64];
#define LEADS_TO                                                                                   \
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\x10\0\0\0../../etc/passwdX\3\0\0\0cpuK\20tQ"
    static const char leads[] =
        "\x80\2}X\1\0\0\0t" TENSOR_OF(LEADS_TO, "K\0", "K\2\x85", "K\1\x85") "s.";
    static const struct {
        const char *name;
        struct zip_file second;
        unsigned faults; /* of data.pkl */
        enum status code;
        const char *word;
    } all[] = {
        {"zip-deflated", {"a/data/0", zeros, 64, 0}, ZIP_DEFLATED, ST_UNSUPPORTED, "compressed"},
        {"zip-deflated-storage",
         {"a/data/0", zeros, 64, ZIP_DEFLATED},
         0,
         ST_UNSUPPORTED,
         "compressed"},
        {"zip-checksum", {"a/data/0", zeros, 64, 0}, ZIP_BAD_CRC, ST_FORMAT, "checksum"},
        {"zip-encrypted", {"a/data/0", zeros, 64, ZIP_ENCRYPTED}, 0, ST_FORMAT, "encrypted"},
        {"zip-two-names", {"a/data/0", zeros, 64, ZIP_OTHER_NAME}, 0, ST_FORMAT, "two names"},
        {"zip-two-sizes", {"a/data/0", zeros, 64, ZIP_TWO_SIZES}, 0, ST_FORMAT, "two sizes"},
        {"zip-2-gb", {"a/data/0", zeros, 64, ZIP_TOO_LONG}, 0, ST_FORMAT, "out of range"},
        {"zip-shared-bytes", {"a/data.pkl", zeros, 64, ZIP_AT_FIRST}, 0, ST_FORMAT, "overlapping"},
        {"zip-name-twice", {"a/data.pkl", zeros, 64, 0}, 0, ST_FORMAT, "two entries"},
        {"zip-two-pickles", {"b/data.pkl", zeros, 64, 0}, 0, ST_FORMAT, "two data.pkl"},
        {"zip-parent", {"../data/0", zeros, 64, 0}, 0, ST_FORMAT, "unsafe"},
        {"zip-parent-inside", {"a/../../x", zeros, 64, 0}, 0, ST_FORMAT, "unsafe"},
        {"zip-parent-at-the-end", {"a/..", zeros, 64, 0}, 0, ST_FORMAT, "unsafe"},
        {"zip-absolute", {"/etc/passwd", zeros, 64, 0}, 0, ST_FORMAT, "unsafe"},
        {"zip-backslash", {"a\\..\\x", zeros, 64, 0}, 0, ST_FORMAT, "unsafe"},
        {"zip-escapes", {"a/\x1b[31m", zeros, 64, 0}, 0, ST_FORMAT, "unsafe"},
        {"zip-no-name", {"", zeros, 64, 0}, 0, ST_FORMAT, "unsafe"},
        {"zip-no-storage", {"a/data/1", zeros, 64, 0}, 0, ST_FORMAT, "storage '0' is missing"},
        {"zip-short-storage", {"a/data/0", zeros, 8, 0}, 0, ST_FORMAT, "shorter than it says"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct zip_file f[] = {{"a/data.pkl", P(pickle), all[i].faults}, all[i].second};
        hostile_zip(h, all[i].name, f, 2, all[i].code, all[i].word);
    }
    struct zip_file other[] = {{"word/document.xml", zeros, 64, 0}};
    hostile_zip(h, "zip-of-something-else", other, 1, ST_FORMAT, "no data.pkl");
    struct zip_file path[] = {{"a/data.pkl", P(leads), 0}, {"a/data/0", zeros, 64, 0}};
    hostile_zip(h, "zip-storage-leads-away", path, 2, ST_FORMAT, "is missing");
    struct zip_file big[] = {{"a/data.pkl", P(pickle), 0}, {"a/byteorder", P("big"), 0}};
    hostile_zip(h, "zip-big-endian", big, 2, ST_UNSUPPORTED, "little-endian");
    hostile_end(h, "zip-many-entries", 8, 0xfffefffe, 4, "out of range");
    hostile_end(h, "zip-directory-far", 16, 0xfffffffe, 4, "out of range");
    hostile_end(h, "zip-directory-long", 12, 0xfffffffe, 4, "out of range");
    hostile_end(h, "zip-directory-64", 16, 0xffffffff, 4, "zip64");
    hostile_end(h, "zip-comment", 20, 1, 2, "directory at the end");
    hostile_end(h, "zip-second-disk", 4, 1, 2, "several parts");
}

/* magic, protocol 1001, {"little_endian": True}, the object, the list of keys, then the storages */
#define LEGACY                                                                                     \
    "\x80\2\x8a\12l\xfc\x9c\x46\xf9\x20j\xa8P\x19.\x80\2M\xe9\3.\x80\2}X\15\0\0\0little_"          \
    "endian\x88s."
static inline void hostile_legacies(struct hostile *h)
{
#define OBJECT TENSOR("K\0", "K\2\x85", "K\1\x85")
    static const struct {
        const char *name, *file;
        size_t n;
        const char *word;
    } all[] = {
        {"legacy-cut", P(LEGACY), "ends in the middle"},
        {"legacy-no-list", P(LEGACY OBJECT "\x80\2N."), "no list"},
        {"legacy-no-count",
         P(LEGACY OBJECT "\x80\2](X\1\0\0\0"
                         "0e.\1"),
         "cut short"},
        {"legacy-count-64-bits",
         P(LEGACY OBJECT "\x80\2](X\1\0\0\0"
                         "0e.\xff\xff\xff\xff\xff\xff\xff\xff"),
         "cut short"},
        {"legacy-count-wraps",
         P(LEGACY OBJECT "\x80\2](X\1\0\0\0"
                         "0e.\1\0\0\0\0\0\0\x40"
                         "1234"),
         "cut short"},
        {"legacy-strange-key",
         P(LEGACY OBJECT "\x80\2](X\1\0\0\0"
                         "9e.\0\0\0\0\0\0\0\0"),
         "nothing uses"},
        {"legacy-key-twice",
         P(LEGACY OBJECT "\x80\2](X\1\0\0\0"
                         "0X\1\0\0\0"
                         "0e.\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
         "nothing uses"},
        {"legacy-missing", P(LEGACY OBJECT "\x80\2]."), "is missing"},
        {"legacy-behind", P(LEGACY OBJECT "\x80\2].x"), "behind the last"},
        {"legacy-calls", P(LEGACY "\x80\2" CALL("os", "system") "U\1x\x85R."), "os.system"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buf_append(hostile_new(h, all[i].name, "bin", ST_FORMAT, all[i].word), all[i].file,
                   all[i].n);
}

static inline void hostile_ckpt(struct hostile *h)
{
    hostile_opcodes(h);
    hostile_calls(h);
    hostile_pickles(h);
    hostile_zips(h);
    hostile_legacies(h);
}

#endif
