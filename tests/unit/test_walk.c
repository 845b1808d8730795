/* indexer: the walk and its ignore rules, on trees made for the purpose. */
#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include "indexer/ignore.h"
#include "indexer/walk.h"
#include "test.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char base[64];

static void make_dir(const char *name)
{
    char *p = path_join(base, name);
    assert_int_equal(mkdir(p, 0755), 0);
    mem_free(p);
}

static void make_file(const char *name, const char *text)
{
    char *p = path_join(base, name);
    int fd = open(p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    mem_free(p);
}

static int setup(void **state)
{
    (void)state;
    snprintf(base, sizeof base, "/tmp/eidetic-walk-XXXXXX");
    return mkdtemp(base) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char *cmd = mem_printf("chmod -R u+rwx '%s'; rm -rf '%s'", base, base);
    int rc = system(cmd);
    mem_free(cmd);
    return rc;
}

struct seen {
    struct buf files;
    int errors;
};

static enum status on_file(void *ctx, const struct walk_file *f, struct error *err)
{
    struct seen *s = ctx;
    (void)err;
    buf_printf(&s->files, "%s ", f->path + strlen(base) + 1);
    return ST_OK;
}

static void on_error(void *ctx, const char *path, bool is_dir, const struct error *err)
{
    struct seen *s = ctx;
    (void)path;
    assert_true(is_dir);
    assert_true(err->text[0]);
    s->errors++;
}

static void expect(const struct walk_opts *o, const char *files, int errors)
{
    struct seen s = {.errors = 0};
    struct error err = {ST_OK, ""};
    buf_init(&s.files, 1 << 20);
    assert_int_equal(walk_tree(base, o, on_file, on_error, &s, &err), ST_OK);
    assert_string_equal(s.files.data ? s.files.data : "", files);
    assert_int_equal(s.errors, errors);
    buf_release(&s.files);
}

static void names_come_in_byte_order_without_hidden_and_excluded(void **state)
{
    (void)state;
    make_dir("b");
    make_dir(".git");
    make_dir(".hidden");
    make_dir("@eaDir");
    make_file("b/2.jpg", "");
    make_file("b/1.jpg", "");
    make_file("a.jpg", "");
    make_file(".c.jpg", "");
    make_file(".git/x.jpg", "");
    make_file(".hidden/y.jpg", "");
    make_file("@eaDir/z.jpg", "");
    expect(&(struct walk_opts){0}, "a.jpg b/1.jpg b/2.jpg ", 0);
    expect(&(struct walk_opts){.include_hidden = true},
           ".c.jpg .hidden/y.jpg a.jpg b/1.jpg b/2.jpg ", 0);
    const char *own[] = {"b", NULL};
    expect(&(struct walk_opts){.exclude_dirs = own}, "@eaDir/z.jpg a.jpg ", 0);
}

static bool is_raw(const char *name)
{
    return strstr(name, ".CR2") != NULL;
}

static bool is_jpeg(const char *name)
{
    return strstr(name, ".JPG") || strstr(name, ".jpg");
}

static void a_raw_file_beside_its_jpeg_is_left_out(void **state)
{
    (void)state;
    struct walk_opts o = {.is_second = is_raw, .is_first = is_jpeg};
    make_file("a.CR2", "");
    make_file("a.JPG", "");
    make_file("a-b.jpg", "");
    make_file("b.CR2", "");
    make_file("b.x.jpg", "");
    make_file("c.d.CR2", "");
    make_file("c.d.jpg", "");
    make_file("e.CR2", "");
    make_file("e.jpg", "");
    make_dir("f.CR2"); /* no file */
    make_file("f.CR2/g.jpg", "");
    make_file("f.jpg", "");
    make_file(".eideticignore", "e.jpg\n"); /* nothing stands for e.CR2 then */
    expect(&o, "a-b.jpg a.JPG b.CR2 b.x.jpg c.d.jpg e.CR2 f.CR2/g.jpg f.jpg ", 0);
}

static void a_loop_of_links_is_walked_once(void **state)
{
    (void)state;
    char link[128];
    make_dir("d");
    make_file("d/a.jpg", "");
    snprintf(link, sizeof link, "%s/d/loop", base);
    assert_int_equal(symlink("..", link), 0);
    snprintf(link, sizeof link, "%s/file-link.jpg", base);
    assert_int_equal(symlink("d/a.jpg", link), 0);
    snprintf(link, sizeof link, "%s/dangling.jpg", base);
    assert_int_equal(symlink("nowhere", link), 0);
    expect(&(struct walk_opts){0}, "d/a.jpg ", 0);
    expect(&(struct walk_opts){.follow_symlinks = true}, "d/a.jpg file-link.jpg ", 0);
}

static void an_unreadable_folder_costs_itself_only(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        print_message("skipped: root reads every folder\n");
        skip();
    }
    char p[128];
    make_dir("closed");
    make_file("closed/a.jpg", "");
    make_file("z.jpg", "");
    snprintf(p, sizeof p, "%s/closed", base);
    assert_int_equal(chmod(p, 0), 0);
    expect(&(struct walk_opts){0}, "z.jpg ", 1);
}

static void ignore_files_follow_gitignore(void **state)
{
    (void)state;
    make_dir("raw");
    make_dir("keep");
    make_dir("keep/raw");
    make_file("raw/a.jpg", "");
    make_file("keep/raw/b.jpg", "");
    make_file("keep/thumb_1.jpg", "");
    make_file("keep/thumb_2.jpg", "");
    make_file("top.tmp.jpg", "");
    make_file(".eideticignore", "\xef\xbb\xbf/raw/\n# comment\nthumb_*\n*.tmp.*\r\n");
    make_file("keep/.eideticignore", "!thumb_2.jpg\n");
    expect(&(struct walk_opts){0}, "keep/raw/b.jpg keep/thumb_2.jpg ", 0);
}

static void globs_match_as_git_says(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *path;
        bool hit;
    } c[] = {
        {"*.jpg", "a.jpg", true},
        {"*.jpg", "d/a.jpg", false},
        {"**/a", "a", true},
        {"**/a", "x/y/a", true},
        {"x/**", "x/y/z", true},
        {"x/**", "x/", false},
        {"x/**/z", "x/z", true},
        {"x/**/z", "x/1/2/z", true},
        {"x/**/z", "x/1/2/zz", false},
        {"[a-c]?", "b1", true},
        {"[!a-c]?", "b1", false},
        {"[]]", "]", true},
        {"a\\*", "a*", true},
        {"a\\*", "ab", false},
        {"?", "/", false},
        {"a*b*c", "a1b2b3c", true},
        {"a*b*c", "a1b2b3", false},
        {"", "", true},
        {"**/x/*.jpg", "a/x/b/x/c.jpg", true},
        {"*a", "aaab", false},
        {"[", "[", true},
    };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++)
        if (ignore_glob(c[i].pattern, c[i].path) != c[i].hit)
            fail_msg("\"%s\" against \"%s\"", c[i].pattern, c[i].path);
    char pattern[200], path[4000]; /* would take for ever with plain backtracking */
    for (size_t i = 0; i + 2 < sizeof pattern; i += 2)
        memcpy(pattern + i, "*a", 2);
    pattern[198] = 0;
    memset(path, 'a', sizeof path);
    path[sizeof path - 2] = 'b';
    path[sizeof path - 1] = 0;
    assert_false(ignore_glob(pattern, path));
}

static void a_missing_root_is_said(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(
        walk_tree("/nowhere/at/all", &(struct walk_opts){0}, on_file, on_error, NULL, &err),
        ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_come_in_byte_order_without_hidden_and_excluded),
        TEST(a_raw_file_beside_its_jpeg_is_left_out),
        TEST(a_loop_of_links_is_walked_once),
        TEST(an_unreadable_folder_costs_itself_only),
        TEST(ignore_files_follow_gitignore),
        cmocka_unit_test(globs_match_as_git_says),
        cmocka_unit_test(a_missing_root_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
