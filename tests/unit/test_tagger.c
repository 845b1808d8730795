/* Scores of labels against their formula; and the file that keeps label vectors, with the starter.
 */
#include "caption/tagger.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/rng.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct error e;
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s", #call, e.text);                                                     \
    } while (0)

enum { DIM = 24, N = 2500 };

/* Random labels; every fifth hangs below the one five before it, facets go round. */
static void make(struct lexicon *v, struct labels *l)
{
    char *text = mem_alloc((size_t)N * 32);
    size_t n = 0;
    static const char *const kinds[] = {"thing", "scene", "activity", "colour", "photo", "person"};
    for (int i = 0; i < N; i++) {
        n += (size_t)snprintf(text + n, 32, "w%d\t%s\t", i, kinds[i % 6]);
        n += (size_t)(i % 5 == 0 && i >= 5 ? snprintf(text + n, 16, "w%d\n", i - 5)
                                           : snprintf(text + n, 16, "\n"));
    }
    OK(lexicon_parse(v, text, n, "list", &e));
    mem_free(text);
    struct rng r = {7};
    *l = (struct labels){mem_array(N, DIM * sizeof(float)), N, DIM, 0};
    for (size_t i = 0; i < N; i++) {
        double s = 0;
        for (size_t j = 0; j < DIM; j++) {
            l->rows[i * DIM + j] = rng_normal(&r);
            s += (double)l->rows[i * DIM + j] * l->rows[i * DIM + j];
        }
        for (size_t j = 0; j < DIM; j++)
            l->rows[i * DIM + j] /= (float)sqrt(s);
    }
}

static void scores_follow_the_formula(void **state)
{
    (void)state;
    struct lexicon v;
    struct labels l;
    struct tagger t;
    make(&v, &l);
    const float *x = l.rows + (size_t)10 * DIM, *mean = l.rows + DIM;
    OK(tagger_init(&t, &v, &l, 12, mean, 60, &e));
    float *scores = mem_array(N, sizeof *scores);
    tagger_score(&t, x, scores);
    double *z = mem_zarray(N, sizeof *z), facet[6] = {0}, all = 0, w = 0.5 * 60 / (60 + 20);
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < DIM; j++)
            z[i] += 12 * (double)l.rows[i * DIM + j] * ((double)x[j] - w * (double)mean[j]);
        z[i] = exp(z[i]);
        facet[v.term[i].facet] += z[i];
        all += z[i];
    }
    for (int i = 0; i < N; i++)
        z[i] /= facet[v.term[i].facet] + 0.1 * all;
    for (int i = N - 1; i >= 5; i--)
        if (i % 5 == 0)
            z[i - 5] += z[i];
    for (int i = 0; i < N; i++) {
        double want = z[i] < 1 ? z[i] : 1;
        if (fabs((double)scores[i] - want) > 1e-5 + 1e-4 * want)
            fail_msg("label %d: %g, not %g", i, (double)scores[i], want);
        if (v.term[i].parent >= 0)
            assert_true(scores[v.term[i].parent] >= scores[i]);
    }
    mem_free(z);
    mem_free(scores);
    tagger_release(&t);
    labels_close(&l);
    lexicon_release(&v);
}

static void probabilities_sum_to_one(void **state)
{
    (void)state;
    struct lexicon v;
    struct labels l;
    struct tagger t;
    make(&v, &l);
    OK(tagger_init(&t, &v, &l, 100, NULL, 0, &e));
    float *scores = mem_array(N, sizeof *scores);
    double sum = 0;
    tagger_classify(&t, l.rows + (size_t)77 * DIM, scores);
    for (int i = 0; i < N; i++) {
        sum += (double)scores[i];
        assert_true(scores[i] <= scores[77]);
    }
    assert_true(fabs(sum - 1) < 1e-4);
    mem_free(scores);
    tagger_release(&t);
    labels_close(&l);
    lexicon_release(&v);
}

static void the_best_come_first_and_parents_before_children(void **state)
{
    (void)state;
    struct lexicon v;
    const char text[] = "dachshund\t\tdog\ncat\t\tanimal\ndog\t\tanimal\nanimal\n";
    OK(lexicon_parse(&v, text, sizeof text - 1, "list", &e));
    struct tagger t = {.lexicon = &v, .n = 4};
    const float scores[] = {0.9F, 0.05F, 0.9F, 0.95F}, same[] = {0.5F, 0.5F, 0.5F, 0.5F};
    struct tag out[4];
    assert_int_equal(tagger_best(&t, scores, 0.1F, out, 4), 3);
    assert_int_equal(out[0].term, 3);
    assert_int_equal(out[1].term, 2);
    assert_int_equal(out[2].term, 0);
    assert_int_equal(tagger_best(&t, scores, 0.1F, out, 2), 2);
    assert_int_equal(out[1].term, 2);
    assert_int_equal(tagger_best(&t, same, 0, out, 4), 4);
    assert_int_equal(out[0].term, 3);
    assert_int_equal(tagger_best(&t, same, 0.6F, out, 4), 0);
    lexicon_release(&v);
}

static void the_file_of_label_vectors_is_checked_and_mended(void **state)
{
    (void)state;
    struct clip *c = NULL;
    struct clip_session *s = NULL;
    OK(clip_open(&c, SOURCE_DIR "/models/starter", &(struct clip_opts){.no_image = 1}, &e));
    OK(clip_session_new(&s, c, "cpu", 2, &e));
    char path[] = "/tmp/eidetic-labels-XXXXXX", *text = NULL;
    close(mkstemp(path));
    struct lexicon v, other;
    struct labels l, again;
    struct labels_opts o = {.cache = path};
    text = mem_alloc(400 * 16);
    size_t n = 0, size;
    for (int i = 0; i < 300; i++)
        n += (size_t)snprintf(text + n, 16, "number %d\n", i);
    OK(lexicon_parse(&v, text, n, "list", &e));
    OK(lexicon_parse(&other, text + 9, n - 9, "list", &e));
    mem_free(text);

    OK(labels_open(&l, s, c, &v, &o, &e)); /* an empty file is replaced */
    assert_int_equal(l.computed, 300);
    OK(labels_open(&again, s, c, &v, &o, &e));
    assert_int_equal(again.computed, 0);
    assert_memory_equal(l.rows, again.rows, l.n * l.dim * sizeof(float));
    labels_close(&again);

    OK(file_read_all(&text, &size, path, 1 << 24, &e));
    text[LABELS_HEADER + 1000] ^= 1;
    OK(file_write_atomic(path, text, size, &e));
    OK(labels_open(&again, s, c, &v, &o, &e));
    assert_int_equal(again.computed, LABELS_BLOCK); /* the damaged block alone */
    assert_memory_equal(l.rows, again.rows, l.n * l.dim * sizeof(float));
    labels_close(&again);

    OK(file_write_atomic(path, text, size - 5, &e)); /* torn, as by a kill, and damaged */
    OK(labels_open(&again, s, c, &v, &o, &e));
    assert_int_equal(again.computed, 300);
    labels_close(&again);
    mem_free(text);

    OK(labels_open(&again, s, c, &other, &o, &e)); /* another list */
    assert_int_equal(again.computed, 299);
    labels_close(&again);
    volatile sig_atomic_t stop = 1;
    o.stop = &stop;
    assert_int_equal(labels_open(&again, s, c, &v, &o, &e), ST_INTERRUPTED);
    o.stop = NULL;
    o.cache = "/nonexistent/labels.bin"; /* goes without */
    OK(labels_open(&again, s, c, &other, &o, &e));
    for (size_t i = 0; i < again.n * l.dim; i++) /* in other batches: other roundings */
        assert_true(fabsf(again.rows[i] - l.rows[l.dim + i]) < 1e-4F);
    labels_close(&again);
    labels_close(&l);
    lexicon_release(&v);
    lexicon_release(&other);
    unlink(path);
    clip_session_free(s);
    clip_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_follow_the_formula),
        cmocka_unit_test(probabilities_sum_to_one),
        cmocka_unit_test(the_best_come_first_and_parents_before_children),
        cmocka_unit_test(the_file_of_label_vectors_is_checked_and_mended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
