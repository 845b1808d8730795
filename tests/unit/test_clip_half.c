/* The text tower's copy in f16: near f32, left alone by pictures, never believed when damaged. */
#undef TEST_DATA
#define TEST_DATA SOURCE_DIR "/tests/golden"
#include "golden/clip_toy.h"
#include <errno.h>
#include <sys/stat.h>

static char cache[64];

static int set_cache(void **state)
{
    (void)state;
    snprintf(cache, sizeof cache, "%s/half-%d-cache", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
             (int)getpid());
    return setenv("XDG_CACHE_HOME", cache, 1);
}

static int remove_cache(void **state)
{
    (void)state;
    char *clean = mem_printf("rm -rf '%s'", cache);
    int rc = system(clean);
    mem_free(clean);
    return rc;
}

/* The one copy there is, as "half-N-cache/eidetic/sentences/ID.safetensors" of these weights. */
static char *copy_of(const char *dir)
{
    struct weights *w = NULL;
    char id[33], *file = path_join(dir, "open_clip_model.safetensors");
    assert_int_equal(weights_open(&w, file, NULL), ST_OK);
    weights_id(w, id);
    weights_close(w);
    mem_free(file);
    return mem_printf("%s/eidetic/sentences/%s.safetensors", cache, id);
}

static void encode(const char *dir, int half, float *text, float *picture)
{
    struct clip *c = NULL;
    struct clip_session *s = NULL;
    struct error err = {0};
    const char *sentence = "a dog beside two cats";
    if (clip_open(&c, dir, &(struct clip_opts){.half = half}, &err) ||
        clip_session_new(&s, c, "cpu", 1, &err) || clip_encode_text(s, &sentence, 1, text, &err))
        fail_msg("%s", err.text);
    uint8_t *px = toy_pixels("open_clip_quick", 1, clip_info(c)->image_size);
    assert_int_equal(clip_encode_images(s, (const uint8_t *const *)&px, 1, picture, &err), ST_OK);
    mem_free(px);
    clip_session_free(s);
    clip_close(c);
}

static bool same(const float *x, const float *y)
{
    return memcmp(x, y, 24 * sizeof *x) == 0; /* the toy's dim */
}

static void sentences_in_f16_are_near_f32(void **state)
{
    (void)state;
    float t[CLIP_MAX_DIM], p[CLIP_MAX_DIM], h[CLIP_MAX_DIM], q[CLIP_MAX_DIM];
    char *dir = toy_make("open_clip_quick", "-copy", NULL, NULL), *copy = copy_of(dir);
    struct error err = {0};
    encode(dir, 1, t, p); /* no copy yet: f32 */
    encode(dir, 0, h, q);
    assert_true(same(t, h));
    assert_int_equal(clip_write_half(dir, &err), ST_OK);
    assert_true(file_exists(copy));
    encode(dir, 0, t, p);
    assert_true(same(t, h));
    encode(dir, 1, h, q);
    assert_false(same(t, h));
    assert_true(same(p, q));
    double cosine = 0;
    for (int i = 0; i < 24; i++)
        cosine += (double)t[i] * h[i];
    assert_true(cosine > 0.99999);

    struct stat st;
    assert_int_equal(stat(copy, &st), 0);
    assert_int_equal(truncate(copy, st.st_size / 2), 0); /* damaged: as if it were not there */
    encode(dir, 1, h, q);
    assert_true(same(t, h));
    assert_int_equal(clip_write_half(dir, &err), ST_OK); /* and made again */
    encode(dir, 1, h, q);
    assert_false(same(t, h));

    float one = 1;
    struct weights_out_tensor other = {"x", tensor_view(&one, DT_F32, 1, (int64_t[]){1})};
    const char *meta[] = {"eidetic.half_of", "00000000000000000000000000000000", NULL};
    assert_int_equal(weights_write(copy, &other, 1, meta, NULL), ST_OK);
    encode(dir, 1, h, q); /* of other weights */
    assert_true(same(t, h));
    mem_free(copy);
    toy_remove(dir);
}

static void count_found(void *ctx, const char *what)
{
    assert_non_null(strstr(what, "damaged"));
    ++*(int *)ctx;
}

static void count_passed(void *ctx, const char *why)
{
    assert_non_null(strstr(why, ".safetensors: "));
    ++*(int *)ctx;
}

/* No damage: what the system does not let us read, and what is no file. */
static void what_cannot_be_read_is_kept(void **state)
{
    (void)state;
    static const int errors[] = {EACCES, EMFILE, EIO};
    char *dir = toy_make("open_clip_quick", "-kept", NULL, NULL), *copy = copy_of(dir);
    char *folder = mem_printf("%s/eidetic/sentences/x.safetensors", cache);
    int passed = 0, files = 0;
    struct clip_half_check k = {
        .remove = true, .found = count_found, .passed = count_passed, .ctx = &passed};
    struct clip *c = NULL;
    assert_int_equal(clip_open(&c, dir, NULL, NULL), ST_OK); /* notes the id */
    clip_close(c);
    assert_int_equal(clip_write_half(dir, NULL), ST_OK);
    assert_int_equal(mkdir(folder, 0755), 0);
    assert_int_equal(clip_check_half(&k, NULL), ST_OK);
    assert_int_equal(passed, 0);
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        int before = passed;
        file_fail_at(1, FILE_OP_READ, errors[i], true);
        enum status st = clip_check_half(&k, NULL);
        file_fail_at(0, 0, 0, false);
        assert_int_equal(st, ST_OK);
        assert_true(passed > before);
        files = passed - before;
    }
    if (geteuid() != 0) {
        assert_int_equal(chmod(copy, 0), 0);
        assert_int_equal(clip_check_half(&k, NULL), ST_OK);
        assert_int_equal(chmod(copy, 0644), 0);
        assert_int_equal(passed, 3 * files + 1);
    }
    assert_int_equal(k.damaged, 0);
    assert_true(file_exists(copy));
    assert_true(file_is_dir(folder));
    assert_int_equal(rmdir(folder), 0);
    mem_free(folder);
    mem_free(copy);
    toy_remove(dir);
}

static void a_turned_bit_is_found_by_check(void **state)
{
    (void)state;
    char *dir = toy_make("open_clip_quick", "-turned", NULL, NULL), *copy = copy_of(dir);
    int told = 0;
    struct clip_half_check k = {.found = count_found, .passed = count_passed, .ctx = &told};
    struct clip *c = NULL;
    assert_int_equal(clip_open(&c, dir, NULL, NULL), ST_OK); /* notes the id */
    clip_close(c);
    assert_int_equal(clip_write_half(dir, NULL), ST_OK);
    assert_int_equal(clip_check_half(&k, NULL), ST_OK);
    assert_int_equal(k.damaged, 0);
    FILE *f = fopen(copy, "r+e");
    assert_non_null(f);
    fseek(f, -100, SEEK_END);
    int byte = fgetc(f);
    fseek(f, -100, SEEK_END);
    fputc(byte ^ 4, f);
    fclose(f);
    assert_int_equal(clip_check_half(&k, NULL), ST_OK);
    assert_int_equal(k.damaged, 1);
    assert_true(file_exists(copy));
    k.remove = true;
    assert_int_equal(clip_check_half(&k, NULL), ST_OK);
    assert_int_equal(told, 2);
    assert_false(file_exists(copy));
    assert_int_equal(clip_write_half(dir, NULL), ST_OK);
    assert_true(file_exists(copy));
    mem_free(copy);
    toy_remove(dir);
}

/* A matrix that f16 cannot hold is left out; the others are in the copy. */
static void what_f16_cannot_hold_stays_f32(void **state)
{
    (void)state;
    char *dir = toy_make("open_clip_quick", "-large", NULL, NULL), *copy = copy_of(dir);
    char *file = path_join(dir, "open_clip_model.safetensors");
    const char *name = "transformer.resblocks.0.mlp.c_fc.weight";
    struct weights *w = NULL;
    assert_int_equal(weights_open(&w, file, NULL), ST_OK);
    int n = weights_count(w);
    struct weights_out_tensor *t = mem_zarray((size_t)n, sizeof *t);
    float *large = NULL;
    for (int i = 0; i < n; i++) {
        t[i] = (struct weights_out_tensor){weights_name(w, i), *weights_at(w, i)};
        if (strcmp(t[i].name, name))
            continue;
        large = mem_dup(t[i].t.data, (size_t)tensor_count(&t[i].t) * sizeof *large);
        large[3] = 1e6F;
        t[i].t.data = large;
    }
    assert_non_null(large);
    char *changed = path_join(dir, "changed.safetensors");
    assert_int_equal(weights_write(changed, t, n, NULL, NULL), ST_OK);
    weights_close(w);
    assert_int_equal(rename(changed, file), 0);
    mem_free(copy);
    copy = copy_of(dir);
    struct clip *c = NULL; /* notes the id */
    assert_int_equal(clip_open(&c, dir, NULL, NULL), ST_OK);
    clip_close(c);
    assert_int_equal(clip_write_half(dir, NULL), ST_OK);
    assert_int_equal(weights_open(&w, copy, NULL), ST_OK);
    assert_null(weights_find(w, name));
    assert_non_null(weights_find(w, "transformer.resblocks.0.mlp.c_proj.weight"));
    weights_close(w);
    mem_free(large);
    mem_free(t);
    mem_free(changed);
    mem_free(file);
    mem_free(copy);
    toy_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_in_f16_are_near_f32),
        cmocka_unit_test(a_turned_bit_is_found_by_check),
        cmocka_unit_test(what_cannot_be_read_is_kept),
        cmocka_unit_test(what_f16_cannot_hold_stays_f32),
    };
    return cmocka_run_group_tests(tests, set_cache, remove_cache);
}
