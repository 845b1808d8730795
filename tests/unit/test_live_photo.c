/* The identifier of live photos, from the seeds of its fuzz target. */
#include "core/file.h"
#include "core/mem.h"
#include "image/live.h"
#include "test.h"
#include <string.h>
#include <unistd.h>

#define SEEDS SOURCE_DIR "/tests/fuzz/corpus/fuzz_live/"
#define ID "2F5A1C9E-7B3D-4C11-9A42-0D6E8F1B2C3D"

static void videos_tell_it(void **state)
{
    (void)state;
    static const char *const with[] = {"quicktime.mov", "iso.mp4", "wide.mov"};
    static const char *const without[] = {"long.mov", "other.mov", "cut.mov", "note.bin", "none"};
    char id[IMAGE_LIVE_ID], path[512];
    for (size_t i = 0; i < sizeof with / sizeof *with; i++) {
        snprintf(path, sizeof path, SEEDS "%s", with[i]);
        if (!image_live_video_id(id, path))
            fail_msg("%s has none", with[i]);
        assert_string_equal(id, ID);
    }
    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        snprintf(path, sizeof path, SEEDS "%s", without[i]);
        if (image_live_video_id(id, path))
            fail_msg("%s has %s", without[i], id);
    }
}

static void pictures_tell_it(void **state)
{
    (void)state;
    char id[IMAGE_LIVE_ID];
    assert_true(image_live_id(id, SEEDS "note.bin"));
    assert_string_equal(id, ID);
    assert_false(image_live_id(id, SEEDS "note_cut.bin"));
    assert_false(image_live_id(id, SEEDS "quicktime.mov"));
    assert_false(image_live_id(id, SEEDS "none"));
    /* 250 notes without it, and then one that is not looked at */
    assert_false(image_live_id(id, SEEDS "notes_many.bin"));
}

/* An identifier is never made up: of what a file says without one byte it is that, or none. */
static void no_prefix_tells_another(void **state)
{
    (void)state;
    static const char *const names[] = {SEEDS "quicktime.mov", SEEDS "iso.mp4", SEEDS "note.bin"};
    char id[IMAGE_LIVE_ID], *data;
    const char *file = "toy-live.bin";
    size_t n;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(file_read_all(&data, &n, names[i], 4096, NULL), ST_OK);
        for (size_t k = 1; k < n; k++) {
            assert_int_equal(file_write_atomic(file, data, k, NULL), ST_OK);
            if (image_live_video_id(id, file) || image_live_id(id, file))
                assert_string_equal(id, ID);
        }
        mem_free(data);
    }
    unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(videos_tell_it),
        cmocka_unit_test(pictures_tell_it),
        cmocka_unit_test(no_prefix_tells_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
