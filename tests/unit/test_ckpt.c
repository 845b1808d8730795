/* PyTorch files: every way in which torch saves is read to the last value, and nothing that a
 * pickle or a zip archive can say makes the reader run, leak, crash or ask for much memory. */
#include "pickle_make.h"
#include "weights_expect.h"
#include "zip_make.h"

#define FILES TEST_DATA "/weights/"

static struct weights *open_file(const char *name)
{
    struct weights *w;
    struct error err = {0};
    char *path = mem_printf(FILES "%s", name);
    if (weights_open(&w, path, &err))
        fail_msg("%s", err.text);
    mem_free(path);
    return w;
}

static void expect_state(const struct weights *w)
{
    expect_plain_tensors(w);
    expect_tensor(w, "view.slice", DT_F32, 2, (int64_t[]){4, 3});
    expect_tensor(w, "view.turned", DT_F32, 2, (int64_t[]){5, 3});
    expect_tensor(w, "view.last", DT_F32, 4, (int64_t[]){2, 3, 4, 5});
    expect_tensor(w, "view.one", DT_F32, 2, (int64_t[]){1, 9});
    expect_tensor(w, "param", DT_F32, 2, (int64_t[]){2, 3});
    const struct tensor *tied = weights_find(w, "view.tied");
    assert_non_null(tied);
    expect_values(tied, 5); /* holds a.f32 */
    assert_int_equal(weights_count(w), 17);
}

static void every_way_to_save_a_state_dict_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *file, *format;
    } files[] = {
        {"state.pt", "pytorch zip"},      {"protocol5.pt", "pytorch zip"},
        {"training.ckpt", "pytorch zip"}, {"repacked.pt", "pytorch zip"},
        {"legacy.pt", "pytorch pickle"},
    };
    char id[33], first[33] = "";
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct weights *w = open_file(files[i].file);
        expect_state(w);
        assert_string_equal(weights_format(w), files[i].format);
        weights_id(w, id);
        assert_true(!i || !strcmp(id, first));
        memcpy(first, id, sizeof id);
        weights_close(w);
    }
}

static void nested_dicts_get_dotted_names(void **state)
{
    (void)state;
    struct weights *w = open_file("nested.pt");
    expect_tensor(w, "layer.w", DT_F32, 2, (int64_t[]){2, 2}); /* inside "model" */
    assert_int_equal(weights_count(w), 2);
    expect_values(weights_find(w, "list.0"), 6);
    weights_close(w);
}

static void modules_and_torchscript_are_read(void **state)
{
    (void)state;
    static const char *const files[] = {"script.pt", "traced.pt", "module.pt", "module_legacy.pt"};
    for (int i = 0; i < 4; i++) {
        struct weights *w = open_file(files[i]);
        expect_tensor(w, "visual.conv1.weight", DT_F32, 4, (int64_t[]){4, 3, 2, 2});
        expect_tensor(w, "visual.block.weight", DT_F32, 2, (int64_t[]){4, 6});
        expect_tensor(w, "visual.proj", DT_F16, 2, (int64_t[]){4, 3});
        expect_tensor(w, "logit_scale", DT_F32, 0, NULL);
        expect_tensor(w, "positions", DT_I64, 2, (int64_t[]){2, 5});
        assert_int_equal(weights_count(w), 5);
        assert_string_equal(weights_format(w), i < 2    ? "torchscript zip"
                                               : i == 2 ? "pytorch zip"
                                                        : "pytorch pickle");
        assert_null(weights_meta(w, WEIGHTS_QUICK_GELU));
        weights_close(w);
    }
}

static void a_module_s_class_says_quick_gelu(void **state)
{
    (void)state;
    struct weights *w = open_file("quick.pt");
    assert_int_equal(weights_count(w), 1);
    assert_string_equal(weights_meta(w, WEIGHTS_QUICK_GELU), "true");
    weights_close(w);
}

static void expect_file_refused(const char *name, enum status code, const char *word)
{
    char *data, *path = mem_printf(FILES "%s", name);
    size_t size;
    assert_int_equal(file_read_all(&data, &size, path, 1 << 20, NULL), ST_OK);
    expect_refused(data, size, code, word);
    mem_free(data);
    mem_free(path);
}

static void code_in_a_pickle_is_named_and_never_run(void **state)
{
    (void)state;
    expect_file_refused("attack_os.pt", ST_FORMAT, "posix.system (nothing was run)");
    expect_file_refused("attack_eval.pt", ST_FORMAT, "__builtin__.eval");
    expect_file_refused("opaque.pt", ST_UNSUPPORTED, "pytorch_lightning.callbacks.Opaque");
    expect_file_refused("plain.pkl", ST_UNSUPPORTED, "not one that torch.save writes");
    expect_file_refused("compressed.pt", ST_UNSUPPORTED, "compressed");
    assert_false(file_exists("pwned"));
}

/* A pickle as the data.pkl of an archive with one storage "0" of 64 bytes. */
static struct buf archive_of(const void *pickle, size_t n)
{
    static const uint8_t zeros[64];
    struct zip_file f[] = {{"a/data.pkl", pickle, n, 0}, {"a/data/0", zeros, sizeof zeros, 0}};
    return zip_make(f, 2);
}

static void expect_pickle_refused(const void *pickle, size_t n, enum status code, const char *word)
{
    struct buf b = archive_of(pickle, n);
    expect_refused(b.data, b.len, code, word);
    buf_release(&b);
}

static void tensors_must_lie_in_their_storage(void **state)
{
    (void)state;
    static const struct {
        const char *pickle;
        size_t n;
        enum status code;
        const char *word;
    } bad[] = {
        {P(TENSOR("K\0", "K\x11\x85", "K\1\x85")), ST_FORMAT, "beyond"},
        {P(TENSOR("K\1", "K\x10\x85", "K\1\x85")), ST_FORMAT, "beyond"},
        {P(TENSOR("K\0", "K\4K\4\x86", "K\5K\1\x86")), ST_FORMAT, "beyond"},
        {P(TENSOR("J\xff\xff\xff\xff", "K\1\x85", "K\1\x85")), ST_FORMAT, "impossible"},
        {P(TENSOR("K\0", "J\xff\xff\xff\xff\x85", "K\1\x85")), ST_FORMAT, "impossible"},
        {P(TENSOR("K\0", "K\2\x85", "J\xff\xff\xff\xff\x85")), ST_FORMAT, "impossible"},
        {P(TENSOR("K\0", "K\2\x85", "K\1K\1\x86")), ST_FORMAT, "impossible"},
        {P(TENSOR("K\0", "N\x85", "K\1\x85")), ST_FORMAT, "impossible"},
        {P(TENSOR("K\0", "(K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1t")), ST_UNSUPPORTED,
         "5 dimensions"},
        {P(TENSOR("K\0", "\x8a\5\0\0\0\0\1\x8a\5\0\0\0\0\1\x86", "K\1K\1\x86")), ST_FORMAT,
         "impossible"},
        {P(TENSOR("K\0", "\x8a\5\0\0\0\0\1K\1\x86", "\x8a\x08\0\0\0\0\0\0\0\x40K\1\x86")),
         ST_FORMAT, "beyond"},
        {P(TENSOR("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", "K\2\x85", "K\1\x85")), ST_FORMAT,
         "beyond"},
        {P(TENSOR("K\0", "\x8a\4\xff\xff\xff\x7f\x85", "K\0\x85")), ST_UNSUPPORTED, "repeats"},
        {P(TENSOR("K\0", "]", "]")), ST_FORMAT, "wrong parts"},
        {P(TENSOR("X\1\0\0\0x", "K\1\x85", "K\1\x85")), ST_FORMAT, "wrong parts"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_pickle_refused(bad[i].pickle, bad[i].n, bad[i].code, bad[i].word);
    struct buf b = archive_of(P(TENSOR("K\1", "K\3K\5\x86", "K\5K\1\x86")));
    struct weights *w;
    assert_int_equal(weights_open_memory(&w, b.data, b.len, "good", NULL), ST_OK);
    assert_int_equal(tensor_count(weights_find(w, "t")), 15);
    weights_close(w);
    buf_release(&b);
}

static void broken_pickles_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *pickle;
        size_t n;
        enum status code;
        const char *word;
    } bad[] = {
        {P(""), ST_FORMAT, "ends in the middle"},
        {P("\x80"), ST_FORMAT, "ends in the middle"},
        {P("\x80\x06."), ST_UNSUPPORTED, "protocol"},
        {P("\x80\x02."), ST_FORMAT, "runs empty"},
        {P("\x80\x02}"), ST_FORMAT, "ends in the middle"},
        {P("\x80\x02}."), ST_FORMAT, "no tensors"},
        {P("\x80\x02K\1."), ST_FORMAT, "no tensors"},
        {P("\x80\x02(0}00."), ST_FORMAT, "runs empty"},
        {P("\x80\x02(K\1s."), ST_FORMAT, "runs empty"},
        {P("\x80\x02}K\1K\1K\1s."), ST_FORMAT, "holds none"},
        {P("\x80\x02}(K\1u."), ST_FORMAT, "holds none"},
        {P("\x80\x02(K\1d."), ST_FORMAT, "odd"},
        {P("\x80\x02u."), ST_FORMAT, "mark"},
        {P("\x80\x02\x85."), ST_FORMAT, "runs empty"},
        {P("\x80\x02h\0."), ST_FORMAT, "never stored"},
        {P("\x80\x02}r\xff\xff\xff\xff."), ST_FORMAT, "memo index"},
        {P("\x80\x02q\0."), ST_FORMAT, "runs empty"},
        {P("\x80\x02X\xff\xff\xff\xff"
           "abc."),
         ST_FORMAT, "ends in the middle"},
        {P("\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
           "abc."),
         ST_FORMAT, "ends in the middle"},
        {P("\x80\x02I1\n."), ST_UNSUPPORTED, "opcode 0x49"},
        {P("\x80\x02\xff."), ST_UNSUPPORTED, "opcode 0xff"},
        {P("\x80\x02\x82\1."), ST_UNSUPPORTED, "opcode 0x82"}, /* EXT1 */
        {P("\x80\x02\x97."), ST_UNSUPPORTED, "opcode 0x97"},   /* NEXT_BUFFER */
        {P("\x80\x02"
           "cos\nsystem\nX\2\0\0\0id\x85R."),
         ST_FORMAT, "os.system"},
        {P("\x80\x04\x8c\2os\x8c\6system\x93\x8c\2id\x85R."), ST_FORMAT, "os.system"},
        {P("\x80\x02"
           "csubprocess\nPopen\n)\x81."),
         ST_FORMAT, "subprocess.Popen"},
        {P("\x80\x02"
           "c__builtin__\nexec\n)R."),
         ST_FORMAT, "exec"},
        {P("\x80\x02"
           "cmy.module\nMaker\n)R."),
         ST_UNSUPPORTED, "my.module.Maker, which is not run"},
        {P("\x80\x02"
           "cmy.module\nMaker\nK\1R."),
         ST_FORMAT, "without a tuple"},
        {P("\x80\x02K\1)R."), ST_FORMAT, "no class"},
        {P("\x80\x02"
           "cno end"),
         ST_FORMAT, "without end"},
        {P("\x80\x02K\1K\2\x93."), ST_FORMAT, "not a string"},
        {P("\x80\x02"
           "ctorch._utils\n_rebuild_tensor_v2\n)R."),
         ST_FORMAT, "wrong parts"},
        {P("\x80\x02"
           "ctorch._utils\n_rebuild_parameter\n)R."),
         ST_FORMAT, "without arguments"},
        {P("\x80\x02"
           "ccollections\nOrderedDict\nK\1\x85R."),
         ST_FORMAT, "dict of the wrong parts"},
        {P("\x80\x02X\1\0\0\0xQ."), ST_UNSUPPORTED, "storage of an unknown kind"},
        {P("\x80\x02)Q."), ST_UNSUPPORTED, "storage of an unknown kind"},
        {P("\x80\x02]q\0h\0a."), ST_LIMIT, "circle"}, /* a list that holds itself */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_pickle_refused(bad[i].pickle, bad[i].n, bad[i].code, bad[i].word);
}

static void missing_or_short_storages_are_named(void **state)
{
    (void)state;
    static const char pickle[] = TENSOR("K\0", "K\2\x85", "K\1\x85");
    struct zip_file none[] = {{"a/data.pkl", P(pickle), 0}};
    struct zip_file small[] = {{"a/data.pkl", P(pickle), 0}, {"a/data/0", "12345678", 8, 0}};
    struct zip_file big[] = {{"a/data.pkl", P(pickle), 0}, {"a/byteorder", P("big"), 0}};
    struct zip_file packed[] = {{"a/data.pkl", P(pickle), 0},
                                {"a/data/0", P("1234"), ZIP_DEFLATED}};
    struct buf b = zip_make(none, 1);
    expect_refused(b.data, b.len, ST_FORMAT, "storage '0' is missing");
    buf_release(&b);
    b = zip_make(small, 2);
    expect_refused(b.data, b.len, ST_FORMAT, "storage '0' is shorter");
    buf_release(&b);
    b = zip_make(big, 2);
    expect_refused(b.data, b.len, ST_UNSUPPORTED, "little-endian");
    buf_release(&b);
    b = zip_make(packed, 2);
    expect_refused(b.data, b.len, ST_UNSUPPORTED, "compressed");
    buf_release(&b);
}

static void expect_bomb(struct buf *b, enum status code, const char *word)
{
    assert_false(b->failed);
    expect_pickle_refused(b->data, b->len, code, word);
    buf_release(b);
}

static void pickle_bombs_are_bounded(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 64 << 20); /* a list of the list before, twice, 40 levels up: 2^40 visits */
    buf_puts(&b, "\x80\x02");
    buf_puts(&b, "]");
    for (int i = 0; i < 40; i++) {
        zip_put(&b, 'q', 1);
        zip_put(&b, (uint64_t)i, 1);
        buf_puts(&b, "0](h");
        zip_put(&b, (uint64_t)i, 1);
        buf_putc(&b, 'h');
        zip_put(&b, (uint64_t)i, 1);
        buf_putc(&b, 'e');
    }
    buf_putc(&b, '.');
    expect_bomb(&b, ST_LIMIT, "circle");

    buf_init(&b, 64 << 20); /* nested beyond any module */
    buf_puts(&b, "\x80\x02");
    for (int i = 0; i < 100000; i++)
        buf_putc(&b, ']');
    for (int i = 0; i < 99999; i++)
        buf_putc(&b, 'a');
    buf_putc(&b, '.');
    expect_bomb(&b, ST_LIMIT, "deeply");

    buf_init(&b, 64 << 20); /* one byte each for 48 */
    buf_puts(&b, "\x80\x02");
    for (int i = 0; i < 1900000; i++)
        buf_putc(&b, 'N');
    buf_putc(&b, '.');
    expect_bomb(&b, ST_LIMIT, "64 MB");

    buf_init(&b, 64 << 20); /* marks */
    buf_puts(&b, "\x80\x02");
    for (int i = 0; i < 2100000; i++)
        buf_putc(&b, '(');
    buf_putc(&b, '.');
    expect_bomb(&b, ST_LIMIT, "too deep");
}

static void long_names_are_refused(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_puts(&b, "\x80\x02}X");
    zip_put(&b, 2000, 4);
    for (int i = 0; i < 2000; i++)
        buf_putc(&b, 'x');
    buf_puts(&b, "}s.");
    expect_bomb(&b, ST_FORMAT, "name of more than");
    buf_init(&b, 1 << 20);
    buf_puts(&b, "\x80\x02"
                 "c");
    for (int i = 0; i < 2000; i++)
        buf_putc(&b, 'x');
    buf_puts(&b, "\ny\n.");
    expect_bomb(&b, ST_FORMAT, "name without end");
    buf_init(&b, 1 << 20); /* x, then 1,022 bytes: 1,024 with the dot; then one more level */
    buf_puts(&b, "\x80\x02}X\1");
    zip_put(&b, 0, 3);
    buf_puts(&b, "x}X");
    zip_put(&b, 1022, 4);
    for (int i = 0; i < 1022; i++)
        buf_putc(&b, 'y');
    buf_puts(&b, "}X");
    zip_put(&b, 1500, 4);
    for (int i = 0; i < 1500; i++)
        buf_putc(&b, 'z');
    buf_puts(&b, "}sss.");
    expect_bomb(&b, ST_FORMAT, "name of more than");
}

static void names_must_be_text(void **state)
{
    (void)state;
    static const char nul[] =
        "\x80\2}X\3\0\0\0t\0xctorch._utils\n_rebuild_tensor_v2\n(" STORAGE "K\0))\x89}tRs.";
    static const char bad[] = "\x80\2}X\2\0\0\0t\xff"
                              "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE "K\0))\x89}tRs.";
    expect_pickle_refused(P(nul), ST_FORMAT, "no name");
    expect_pickle_refused(P(bad), ST_FORMAT, "no name");
}

static void strided_copies_are_bounded(void **state)
{
    (void)state;
    /* Many turned views of one storage: each costs a copy, together more than twice the file. */
    struct buf b;
    uint8_t *zeros = mem_zalloc(1 << 20);
    buf_init(&b, 1 << 20);
    buf_puts(&b, "\x80\2}(");
    for (int i = 0; i < 8; i++) {
        static const char part[] = "ctorch._utils\n_rebuild_tensor_v2\n("
                                   "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
                                   "0X\3\0\0\0cpuJ\0\0\4\0tQ"
                                   "K\0M\0\2M\0\2\x86K\1M\0\2\x86\x89}tR";
        zip_put(&b, 'K', 1);
        zip_put(&b, (uint64_t)i, 1);
        buf_append(&b, part, sizeof part - 1);
    }
    buf_puts(&b, "u.");
    struct zip_file f[] = {{"a/data.pkl", b.data, b.len, 0}, {"a/data/0", zeros, 1 << 20, 0}};
    struct buf z = zip_make(f, 2);
    expect_refused(z.data, z.len, ST_LIMIT, "more than twice");
    buf_release(&z);
    buf_release(&b);
    mem_free(zeros);
}

static void broken_archives_are_refused(void **state)
{
    (void)state;
    static const char pickle[] = TENSOR("K\0", "K\2\x85", "K\1\x85");
    static const uint8_t zeros[64];
    static const struct {
        struct zip_file second;
        unsigned first_faults;
        enum status code;
        const char *word;
    } bad[] = {
        {{"a/data/0", zeros, 64, 0}, ZIP_BAD_CRC, ST_FORMAT, "checksum"},
        {{"a/data/0", zeros, 64, 0}, ZIP_DEFLATED, ST_UNSUPPORTED, "compressed"},
        {{"a/data/0", zeros, 64, ZIP_ENCRYPTED}, 0, ST_FORMAT, "encrypted"},
        {{"a/data/0", zeros, 64, ZIP_OTHER_NAME}, 0, ST_FORMAT, "two names"},
        {{"a/data/0", zeros, 64, ZIP_TWO_SIZES}, 0, ST_FORMAT, "two sizes"},
        {{"a/data/0", zeros, 64, ZIP_TOO_LONG}, 0, ST_FORMAT, "out of range"},
        {{"a/data.pk_", zeros, 64, ZIP_AT_FIRST}, 0, ST_FORMAT, "two names"},
        {{"a/data.pkl", zeros, 64, ZIP_AT_FIRST}, 0, ST_FORMAT, "overlapping"},
        {{"a/data.pkl", zeros, 64, 0}, 0, ST_FORMAT, "two entries"},
        {{"b/data.pkl", zeros, 64, 0}, 0, ST_FORMAT, "two data.pkl"},
        {{"../data/0", zeros, 64, 0}, 0, ST_FORMAT, "unsafe"},
        {{"a/../../x", zeros, 64, 0}, 0, ST_FORMAT, "unsafe"},
        {{"a/..", zeros, 64, 0}, 0, ST_FORMAT, "unsafe"},
        {{"/a/data/0", zeros, 64, 0}, 0, ST_FORMAT, "unsafe"},
        {{"a\\data", zeros, 64, 0}, 0, ST_FORMAT, "unsafe"},
        {{"", zeros, 64, 0}, 0, ST_FORMAT, "unsafe"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct zip_file f[] = {{"a/data.pkl", P(pickle), bad[i].first_faults}, bad[i].second};
        struct buf b = zip_make(f, 2);
        expect_refused(b.data, b.len, bad[i].code, bad[i].word);
        buf_release(&b);
    }
    struct zip_file other[] = {{"word/document.xml", zeros, 64, 0}};
    struct buf b = zip_make(other, 1);
    expect_refused(b.data, b.len, ST_FORMAT, "no data.pkl");
    buf_release(&b);
    b = zip_make(NULL, 0);
    expect_refused(b.data, b.len, ST_FORMAT, "not a weight file");
    buf_release(&b);
}

static void zip64_archives_are_read(void **state)
{
    (void)state;
    static const char pickle[] = TENSOR("K\0", "K\2\x85", "K\1\x85");
    static const uint8_t zeros[64];
    struct zip_file f[] = {{"a/data.pkl", P(pickle), ZIP_64}, {"a/data/0", zeros, 64, ZIP_64}};
    struct buf b = zip_make(f, 2);
    struct weights *w;
    struct error err = {0};
    if (weights_open_memory(&w, b.data, b.len, "zip64", &err))
        fail_msg("%s", err.text);
    assert_int_equal(weights_count(w), 1);
    weights_close(w);
    for (size_t i = b.len - 98; i < b.len; i++) { /* both end records, each byte made large */
        char was = b.data[i];
        b.data[i] = (char)0xff;
        assert_true(weights_open_memory(&w, b.data, b.len, "zip64", &err) || (weights_close(w), 1));
        b.data[i] = was;
    }
    buf_release(&b);
}

static void cut_and_flipped_files_never_crash(void **state)
{
    (void)state;
    static const char *const files[] = {"nested.pt", "legacy.pt", "script.pt"};
    for (int k = 0; k < 3; k++) {
        char *data, *path = mem_printf(FILES "%s", files[k]);
        size_t size;
        struct weights *w;
        struct error err;
        assert_int_equal(file_read_all(&data, &size, path, 1 << 20, &err), ST_OK);
        for (size_t n = 0; n < size; n++) {
            char *copy = mem_dup(data, n ? n : 1);
            assert_int_not_equal(weights_open_memory(&w, copy, n, "cut", &err), ST_OK);
            mem_free(copy);
        }
        for (size_t i = 0; i < size; i++) {
            data[i] ^= (char)(1 << i % 8);
            if (!weights_open_memory(&w, data, size, "flip", &err))
                weights_close(w);
            data[i] ^= (char)(1 << i % 8);
        }
        mem_free(data);
        mem_free(path);
    }
}

static void opening_survives_every_failed_allocation(void **state)
{
    (void)state;
    expect_survives_no_memory(FILES "training.ckpt");
    expect_survives_no_memory(FILES "repacked.pt");
    expect_survives_no_memory(FILES "legacy.pt");
    expect_survives_no_memory(FILES "script.pt");
    expect_survives_no_memory(FILES "pytorch_model.bin.index.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_to_save_a_state_dict_is_read),
        cmocka_unit_test(nested_dicts_get_dotted_names),
        cmocka_unit_test(modules_and_torchscript_are_read),
        cmocka_unit_test(a_module_s_class_says_quick_gelu),
        cmocka_unit_test(code_in_a_pickle_is_named_and_never_run),
        cmocka_unit_test(tensors_must_lie_in_their_storage),
        cmocka_unit_test(broken_pickles_are_refused),
        cmocka_unit_test(missing_or_short_storages_are_named),
        cmocka_unit_test(pickle_bombs_are_bounded),
        cmocka_unit_test(long_names_are_refused),
        cmocka_unit_test(names_must_be_text),
        cmocka_unit_test(strided_copies_are_bounded),
        cmocka_unit_test(broken_archives_are_refused),
        cmocka_unit_test(zip64_archives_are_read),
        cmocka_unit_test(cut_and_flipped_files_never_crash),
        cmocka_unit_test(opening_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
