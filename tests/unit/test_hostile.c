/* Weight files that attack. Each is read from a file and from memory that ends where it ends, and
 * gives the one sentence that it should. Given a folder as argument, the program writes the files
 * there and prints their names, for tests/e2e/test_hostile.sh. */
#include "hostile_ckpt.h"
#include "hostile_gguf.h"
#include "hostile_safetensors.h"
#include "nn/weights_int.h"
#include <stdio.h>
#include <unistd.h>

static struct hostile all_of_them(void)
{
    struct hostile h = {0};
    hostile_safetensors(&h);
    hostile_ckpt(&h);
    hostile_gguf(&h);
    return h;
}

static void look(const struct hostile_file *f, enum status st, struct weights *w,
                 const struct error *err)
{
    if (st != f->code || (st && !strstr(err->text, f->word)))
        fail_msg("%s: wanted %s with '%s', got %s: %s", f->name, status_name(f->code), f->word,
                 status_name(st), st ? err->text : "it is read");
    assert_true(!st == !!w);
    for (const char *s = st ? err->text : ""; *s; s++)
        assert_true((unsigned char)*s >= 0x20);
    for (int i = 0; w && i < weights_count(w); i++) {
        const struct tensor *t = weights_at(w, i);
        float *values = mem_array((size_t)tensor_count(t) + 1, sizeof *values);
        assert_non_null(values);
        tensor_to_f32(t, values);
        mem_free(values);
    }
    weights_close(w);
}

static void each_gives_one_sentence(void **state)
{
    (void)state;
    struct hostile h = all_of_them();
    struct weights *w;
    char *dir = mem_printf("hostile-%d", (int)getpid());
    assert_int_equal(file_make_dirs(dir, NULL), ST_OK);
    hostile_write(&h, dir);
    for (size_t i = 0; i < h.n; i++) {
        const struct hostile_file *f = &h.one[i];
        struct error err = {ST_OK, ""};
        char *path = path_join(dir, f->name);
        enum status st = weights_open(&w, path, &err);
        look(f, st, w, &err);
        mem_free(path);
        if (path_has_ext(f->name, "json"))
            continue; /* an index is its folder's */
        char *exact = f->b.len ? mem_dup(f->b.data, f->b.len) : mem_alloc(1);
        assert_non_null(exact);
        st = weights_open_memory(&w, exact, f->b.len, f->name, &err);
        look(f, st, w, &err);
        mem_free(exact);
    }
    for (size_t i = 0; i < h.n; i++) {
        char *path = path_join(dir, h.one[i].name);
        unlink(path);
        mem_free(path);
    }
    rmdir(dir);
    mem_free(dir);
    hostile_release(&h);
}

/* Wherever a file is cut, the rest is refused or whole, and never read beyond its end. */
static void each_may_be_cut_anywhere(void **state)
{
    (void)state;
    struct hostile h = all_of_them();
    for (size_t i = 0; i < h.n; i++) {
        const struct buf *b = &h.one[i].b;
        for (size_t n = 1; n < b->len && b->len < 4096; n += 1 + n / 64) {
            struct weights *w;
            struct error err = {ST_OK, ""};
            char *exact = mem_dup(b->data, n);
            enum status st = weights_open_memory(&w, exact, n, h.one[i].name, &err);
            assert_true(!st || err.text[0]);
            weights_close(w);
            mem_free(exact);
        }
    }
    hostile_release(&h);
}

static void every_opcode_is_there(void **state)
{
    (void)state;
    bool seen[256] = {false};
    int n = 0;
    for (int i = 0; i < HOSTILE_OPS; i++) {
        n += !seen[hostile_ops[i].op];
        seen[hostile_ops[i].op] = true;
    }
    assert_int_equal(n, 68); /* pickletools.opcodes, as of protocol 5 */
}

static int write_all(const char *dir)
{
    struct hostile h = all_of_them();
    hostile_write(&h, dir);
    for (size_t i = 0; i < h.n; i++)
        printf("%s\n", h.one[i].name);
    hostile_release(&h);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_gives_one_sentence),
        cmocka_unit_test(each_may_be_cut_anywhere),
        cmocka_unit_test(every_opcode_is_there),
    };
    return argc > 1 ? write_all(argv[1])
                    : cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
