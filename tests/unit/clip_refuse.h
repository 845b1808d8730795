/* Bad models: a golden toy (tests/golden/clip_toy.h) damaged in one way, and the one sentence that
 * opening it must give. */
#ifndef EIDETIC_TESTS_CLIP_REFUSE_H
#define EIDETIC_TESTS_CLIP_REFUSE_H

#undef TEST_DATA
#define TEST_DATA SOURCE_DIR "/tests/golden"
#include "golden/clip_toy.h"

static inline void assert_refused(const char *path, enum status want, const char *words)
{
    struct clip *c = NULL;
    struct error err = {0};
    enum status st = clip_open(&c, path, NULL, &err);
    if (st != want || !strstr(err.text, words))
        fail_msg("expected %s with \"%s\", got %s: %s", status_name(want), words, status_name(st),
                 err.text);
    assert_null(c);
    assert_null(strchr(err.text, '\n'));
}

static inline void refuse_edit(const char *toy, struct toy_edit e, enum status want,
                               const char *words)
{
    char *dir = toy_make(toy, "-bad", &e, NULL);
    assert_refused(dir, want, words);
    toy_remove(dir);
}

static inline void refuse_config(const char *toy, const char *file, enum status want,
                                 const char *content, const char *words)
{
    refuse_edit(toy, (struct toy_edit){.file = file, .content = content}, want, words);
}

#endif
