/* For tests of db/ and search/: a temporary library folder, and calls that must succeed. */
#ifndef EIDETIC_TESTS_LIBRARY_FIXTURE_H
#define EIDETIC_TESTS_LIBRARY_FIXTURE_H

#include "core/file.h"
#include "core/mem.h"
#include "db/files.h"
#include "db/images.h"
#include "db/vectors.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct error e; /* of the calls in OK() */
static char dir[64];

#define OK(call)                                                                                   \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s", #call, e.text);                                                     \
    } while (0)

static int setup(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%.32s/eidetic-test-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(dir) ? 0 : -1;
}

/* In memory where the machine has it: for tests that write thousands of small files. */
static inline int setup_in_memory(void **state)
{
    snprintf(dir, sizeof dir, "/dev/shm/eidetic-test-XXXXXX");
    return mkdtemp(dir) ? 0 : setup(state);
}

static int teardown(void **state)
{
    (void)state;
    char cmd[256];
    snprintf(cmd, sizeof cmd, "chmod -R u+w %s; rm -rf %s", dir, dir);
    return system(cmd);
}

static inline struct db *open_mode(enum db_mode mode)
{
    struct db *db = NULL;
    OK(db_open(&db, dir, &(struct db_opts){.mode = mode, .command = "test"}, &e));
    return db;
}

static inline int64_t add_image(struct db *db, int n)
{
    struct db_image im = {.width = n, .height = 2, .bytes = 3, .format = "jpeg"};
    memcpy(im.hash, &n, sizeof n);
    int64_t id = 0;
    OK(db_image_put(db, &im, &id, &e));
    return id;
}

static inline void add_file(struct db *db, const char *path, int64_t image)
{
    struct db_file f = {
        .path = path, .size = 1, .mtime_ns = 2, .image = image, .status = DB_FILE_PRESENT};
    OK(db_file_put(db, &f, NULL, &e));
}

static inline int64_t problems(struct db *db)
{
    int64_t n = -1;
    int64_t words = 0;
    OK(db_check(db, true, NULL, NULL, &n, &e));
    OK(db_words_check(db, NULL, NULL, &words, &e));
    return n + words;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
