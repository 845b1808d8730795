/* vectors-<model>.bin: whatever happens to the file, opening gives whole blocks or an error. */
#include "core/rng.h"
#include "search/flat.h"
#include "unit/library_fixture.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIM 5
#define HEX "0123456789abcdef"

static struct flat_ops ops;
static char path[128];

static void row_of(int64_t gen, float *v)
{
    for (int j = 0; j < DIM; j++)
        v[j] = (float)((gen * 7 + j) % 11) / 16;
}

/* Rows gen..gen+n-1, image = gen + 1000. */
static enum status put_rows(struct vecfile_writer *w, int64_t gen, int n, struct error *err)
{
    enum status rc = ST_OK;
    for (int i = 0; !rc && i < n; i++) {
        float v[DIM];
        bool full;
        row_of(gen + i, v);
        rc = vecfile_put_row(w, gen + i + 1000, gen + i, v, &full, err);
    }
    return rc ? rc : vecfile_flush(w, gen + n - 1, (uint64_t)(gen + n - 1) * 3, err);
}

static int begin(void **state)
{
    flat_ops_init(&ops, cpu_level_max());
    int rc = setup_in_memory(state);
    snprintf(path, sizeof path, "%s/vectors-" HEX ".bin", dir);
    return rc;
}

static void create(int n)
{
    struct vecfile_writer w;
    OK(vecfile_create(&w, path, HEX, DIM, &ops, &e));
    OK(put_rows(&w, 1, n, &e));
    OK(vecfile_commit(&w, &e));
}

static enum status append(int n, bool with_dead, struct error *err)
{
    struct vecfile f;
    struct vecfile_writer w;
    enum status rc = vecfile_open(&f, path, HEX, DIM, err);
    if (rc)
        return rc;
    int64_t gen = f.generation;
    rc = vecfile_append(&w, &f, &ops, err);
    if (!rc && with_dead) {
        int64_t image = 1001, at = gen + 1; /* the first row */
        rc = vecfile_put_dead(&w, &image, &at, 1, gen, f.stamp, err);
        gen++;
    }
    if (!rc)
        rc = put_rows(&w, gen + 1, n, err);
    if (!rc)
        rc = vecfile_commit(&w, err);
    else
        vecfile_abort(&w);
    vecfile_close(&f);
    return rc;
}

/* The file as opened must be right as far as it says that it goes. Returns its rows, or -1. */
static int check_prefix(void)
{
    struct vecfile f;
    struct error err;
    enum status rc = vecfile_open(&f, path, HEX, DIM, &err);
    if (rc) {
        assert_true(rc == ST_FORMAT || rc == ST_UNSUPPORTED || rc == ST_NOT_FOUND);
        return -1;
    }
    assert_true(f.stamp == (uint64_t)f.generation * 3);
    size_t n = 0;
    for (size_t b = 0; b < f.n_blocks; b++) {
        for (size_t i = 0; i < f.blocks[b].n; i++, n++) {
            float v[DIM], got[DIM];
            row_of(f.blocks[b].gens[i], v);
            ops.to_f32(got, (const uint16_t *)f.blocks[b].rows + i * DIM, DIM);
            assert_int_equal(f.blocks[b].images[i], f.blocks[b].gens[i] + 1000);
            for (int j = 0; j < DIM; j++)
                assert_true(got[j] == v[j]);
        }
    }
    assert_int_equal(n, f.n_rows);
    n = f.n_rows;
    vecfile_close(&f);
    return (int)n;
}

static void rows_come_back_and_appending_rewrites_nothing(void **state)
{
    (void)state;
    create(100);
    assert_int_equal(check_prefix(), 100);
    char *before, *after;
    size_t n_before, n_after;
    OK(file_read_all(&before, &n_before, path, 1 << 20, &e));
    OK(append(3, true, &e));
    OK(append(20, false, &e));
    assert_int_equal(check_prefix(), 123);
    OK(file_read_all(&after, &n_after, path, 1 << 20, &e));
    assert_true(n_after > n_before);
    assert_memory_equal(before, after, n_before);
    mem_free(before);
    mem_free(after);
    struct vecfile f;
    OK(vecfile_open(&f, path, HEX, DIM, &e));
    OK(vecfile_verify(&f, &e));
    assert_int_equal(f.n_dead, 1);
    assert_true(f.dead[0] & 1);
    assert_int_equal(f.generation, 124);
    size_t block;
    assert_int_equal(vec_find(f.blocks, f.n_blocks, 100, &block), 99);
    assert_int_equal(vec_find(f.blocks, f.n_blocks, 101, &block),
                     SIZE_MAX); /* the removal's number */
    assert_int_equal(vec_find(f.blocks, f.n_blocks, 102, &block), 100);
    assert_int_equal(vec_find(f.blocks, f.n_blocks, 125, &block), SIZE_MAX);
    assert_int_equal(vec_find(f.blocks, f.n_blocks, -5, &block), SIZE_MAX);
    assert_int_equal(vec_first_after(f.blocks, f.n_blocks, 100), 100);
    assert_int_equal(vec_first_after(f.blocks, f.n_blocks, 0), 0);
    assert_int_equal(vec_first_after(f.blocks, f.n_blocks, 500), 123);
    vecfile_close(&f);
}

static void a_file_cut_anywhere_keeps_its_whole_blocks(void **state)
{
    (void)state;
    create(4);
    OK(append(3, false, &e));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    off_t whole = st.st_size;
    OK(append(6, true, &e));
    char *good;
    size_t size;
    OK(file_read_all(&good, &size, path, 1 << 20, &e));
    for (size_t cut = 0; cut < size; cut++) {
        OK(file_write_atomic(path, good, cut, &e));
        int rows = check_prefix();
        if (cut < 128)
            assert_int_equal(rows, -1);
        else if (cut >= (size_t)whole)
            assert_int_equal(rows, 7);
        if (rows < 0 || cut % 7)
            continue;
        OK(append(2, false, &e)); /* the torn tail is cut off */
        assert_int_equal(check_prefix(), rows + 2);
    }
    mem_free(good);
}

/* A torn tail may also hold zeros where data had not reached the disk. */
static void a_tail_with_holes_is_not_taken_for_rows(void **state)
{
    (void)state;
    create(4);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    OK(append(40, false, &e));
    char *good;
    size_t size;
    OK(file_read_all(&good, &size, path, 1 << 20, &e));
    for (size_t at = (size_t)st.st_size; at < size; at += 16) {
        char *bad = mem_dup(good, size);
        memset(bad + at, 0, size - at < 64 ? size - at : 64);
        OK(file_write_atomic(path, bad, size, &e));
        bool same = !memcmp(bad, good, size);
        assert_int_equal(check_prefix(), same ? 44 : 4);
        mem_free(bad);
    }
    mem_free(good);
}

static void flipped_bytes_are_found(void **state)
{
    (void)state;
    create(30);
    OK(append(5, true, &e));
    OK(append(5, false, &e));
    char *good;
    size_t size;
    OK(file_read_all(&good, &size, path, 1 << 20, &e));
    struct rng r = {.state = 5};
    for (size_t at = 0; at < size; at++) {
        char *bad = mem_dup(good, size);
        bad[at] = (char)(bad[at] ^ (1 + rng_below(&r, 255)));
        OK(file_write_atomic(path, bad, size, &e));
        mem_free(bad);
        struct vecfile f;
        enum status rc = vecfile_open(&f, path, HEX, DIM, &e);
        if (!rc) {
            assert_int_equal(vecfile_verify(&f, &e), ST_FORMAT);
            vecfile_close(&f);
        }
        if (at < 128)
            assert_true(rc == ST_FORMAT || rc == ST_UNSUPPORTED);
    }
    mem_free(good);
}

static void another_model_is_refused(void **state)
{
    (void)state;
    create(3);
    struct vecfile f;
    assert_int_equal(vecfile_open(&f, path, "0123456789abcdee", DIM, &e), ST_FORMAT);
    assert_int_equal(vecfile_open(&f, path, "0123456789abcde", DIM, &e), ST_FORMAT);
    assert_int_equal(vecfile_open(&f, path, HEX, DIM + 1, &e), ST_FORMAT);
    assert_int_equal(vecfile_open(&f, "/nonexistent/x", HEX, DIM, &e), ST_NOT_FOUND);
}

static void huge_counts_do_not_overflow(void **state)
{
    (void)state;
    uint64_t bytes;
    assert_true(vecfile_payload(VECFILE_ROWS, 3, 5, &bytes) && bytes == 128);
    assert_false(vecfile_payload(VECFILE_ROWS, UINT64_MAX / 26 + 1, 5, &bytes));
    assert_false(vecfile_payload(VECFILE_DEAD, UINT64_MAX / 16, 5, &bytes));
    assert_false(vecfile_payload(3, 1, 5, &bytes));
}

static void failed_writes_leave_the_old_state(void **state)
{
    (void)state;
    for (unsigned mask = FILE_OP_WRITE; mask <= FILE_OP_RENAME; mask *= 2) {
        create(10);
        enum status rc = ST_IO;
        for (uint64_t n = 1; rc; n++) {
            file_fail_at(n, mask, ENOSPC, n % 2);
            rc = append(6, true, &e);
            file_fail_at(0, 0, 0, false);
            assert_true(rc == ST_OK || rc == ST_NOSPACE);
            int rows = check_prefix();
            assert_true(rows == 10 || rows == 16);
            assert_true(n < 30);
            if (rc && rows == 16)
                create(10);
        }
        rc = ST_IO;
        for (uint64_t n = 1; rc; n++) { /* a new file in its place */
            struct vecfile_writer w;
            file_fail_at(n, mask, EIO, n % 2);
            rc = vecfile_create(&w, path, HEX, DIM, &ops, &e);
            if (!rc && !(rc = put_rows(&w, 1, 5, &e)))
                rc = vecfile_commit(&w, &e);
            else if (rc)
                vecfile_abort(&w);
            file_fail_at(0, 0, 0, false);
            int rows = check_prefix();
            assert_true(rows == 5 || (rc && rows == 16));
            assert_true(n < 30);
        }
        unlink(path);
    }
}

static void memory_failures_leave_nothing_behind(void **state)
{
    (void)state;
    create(10);
    enum status rc = ST_NOMEM;
    for (uint64_t n = 1; rc; n++) {
        mem_fail_at(n, false);
        rc = append(6, true, &e);
        mem_fail_at(0, false);
        assert_true(rc == ST_OK || rc == ST_NOMEM);
        assert_int_equal(check_prefix(), rc ? 10 : 16);
        assert_true(n < 60);
        create(10);
    }
}

#define V(f) cmocka_unit_test_setup_teardown(f, begin, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        V(rows_come_back_and_appending_rewrites_nothing),
        V(a_file_cut_anywhere_keeps_its_whole_blocks),
        V(a_tail_with_holes_is_not_taken_for_rows),
        V(flipped_bytes_are_found),
        V(another_model_is_refused),
        V(huge_counts_do_not_overflow),
        V(failed_writes_leave_the_old_state),
        V(memory_failures_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
