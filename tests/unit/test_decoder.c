/* Decoding in worker processes: what a hostile or missing file may cost (itself), and what it may
 * not (anything else). This program is its own worker, as every program that uses the decoder is.
 */
#include "core/path.h"
#include "core/progress.h"
#include "core/rng.h"
#include "image/decoder.h"
#include "image/decoder_int.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

#define PICTURES 24

struct place {
    char dir[64];
    char path[PICTURES][128];
};

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int make_pictures(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    char dir[] = "/tmp/eidetic-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    memcpy(p->dir, dir, sizeof dir);
    for (int i = 0; i < PICTURES; i++) {
        struct image img;
        struct rng r = {(uint64_t)i};
        assert_int_equal(image_alloc(&img, 40 + 17 * i, 300 - 9 * i, NULL), ST_OK);
        for (int k = 0; k < img.width * img.height * 3; k++)
            img.data[k] = (uint8_t)((k / 3 % img.width + k / 3 / img.width * i + k % 3 * 60) +
                                    (int)rng_below(&r, 9));
        snprintf(p->path[i], sizeof p->path[i], "%s/%02d.%s", dir, i, i % 2 ? "jpg" : "png");
        if (i % 2)
            assert_int_equal(image_write_jpeg(p->path[i], &img, 90, NULL), ST_OK);
        else
            assert_int_equal(image_write_png(p->path[i], &img, NULL, NULL), ST_OK);
        image_release(&img);
    }
    setenv(DECODER_TEST_ENV, "1", 1);
    *state = p;
    return 0;
}

static int remove_pictures(void **state)
{
    struct place *p = *state;
    DIR *d = opendir(p->dir);
    for (struct dirent *e; d && (e = readdir(d));)
        unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    rmdir(p->dir);
    free(p);
    return 0;
}

static struct decoder *open_decoder(int workers, int size, int timeout_ms)
{
    struct decoder *d;
    struct error err;
    struct decoder_opts o = {.workers = workers,
                             .slots = 8,
                             .prep = {.size = size},
                             .timeout_ms = timeout_ms,
                             .hash = true};
    if (decoder_open(&d, &o, &err))
        fail_msg("%s", err.text);
    return d;
}

static void next_job(struct decoder *d, struct decoder_job *job)
{
    struct error err;
    if (decoder_next(d, job, 60000, &err))
        fail_msg("%s", err.text);
}

/* The same file, in process. */
static struct image expected(const char *path, int size)
{
    struct image whole = {0}, out = {0};
    struct image_meta meta;
    struct error err;
    struct decoder_prep prep = {.size = size};
    struct image_opts o = {.min_side = decoder_min_side(&prep)};
    if (image_load(&whole, path, &o, &meta, &err) ||
        decoder_prepare_reduced(&out, &whole, &meta, &prep, &err))
        fail_msg("%s", err.text);
    image_release(&whole);
    return out;
}

static void check_pixels(const struct decoder_job *job, const char *path, int size)
{
    struct image want = expected(path, size);
    if (job->status)
        fail_msg("%s", job->text);
    assert_int_equal(job->width, want.width);
    assert_int_equal(job->height, want.height);
    assert_memory_equal(job->pixels, want.data, (size_t)want.width * (size_t)want.height * 3);
    image_release(&want);
}

static void check_hash(const struct decoder_job *job, const char *path)
{
    static char data[1 << 20];
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t n = fread(data, 1, sizeof data, f);
    fclose(f);
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(data, n));
    assert_true(job->has_hash);
    assert_int_equal(job->size, n);
    assert_memory_equal(job->hash, c.digest, 16);
}

static int count_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Children of `parent` that live; at most max. */
static int children(pid_t parent, pid_t *pids, int max)
{
    int n = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d)) && n < max;) {
        char path[300], state;
        int pid, ppid;
        snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        FILE *f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "re") : NULL;
        if (f && fscanf(f, "%d (%*[^)]) %c %d", &pid, &state, &ppid) == 3 && ppid == parent &&
            state != 'Z')
            pids[n++] = pid;
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return n;
}

static void two_hundred_files_through_two_workers(void **state)
{
    struct place *p = *state;
    int before = count_fds(), done = 0, sent = 0;
    bool seen[200] = {false};
    struct decoder *d = open_decoder(2, 32, 0);
    struct decoder_job job;
    while (done < 200) {
        while (sent < 200 && !decoder_submit(d, (uint64_t)sent, p->path[sent % PICTURES], NULL))
            sent++;
        next_job(d, &job);
        assert_true(job.ticket < 200 && !seen[job.ticket]);
        seen[job.ticket] = true;
        check_pixels(&job, p->path[job.ticket % PICTURES], 32);
        check_hash(&job, p->path[job.ticket % PICTURES]);
        decoder_done(d, &job);
        done++;
    }
    assert_int_equal(decoder_next(d, &job, 0, NULL), ST_NOT_FOUND);
    decoder_close(d);
    assert_int_equal(count_fds(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombies */
    assert_int_equal(errno, ECHILD);
}

struct producer {
    struct decoder *d;
    struct place *p;
    int n;
};

static void *produce(void *arg)
{
    struct producer *q = arg;
    for (int i = 0; i < q->n;) {
        if (decoder_submit(q->d, (uint64_t)i, q->p->path[i % PICTURES], NULL) == ST_OK)
            i++;
        else
            usleep(500);
    }
    return NULL;
}

static void one_thread_submits_and_another_takes(void **state)
{
    struct place *p = *state;
    struct producer q = {open_decoder(2, 24, 0), p, 120};
    pthread_t thread;
    pthread_create(&thread, NULL, produce, &q);
    for (int done = 0; done < q.n;) {
        struct decoder_job job;
        enum status st = decoder_next(q.d, &job, 1000, NULL);
        if (st == ST_NOT_FOUND) { /* the producer is behind */
            usleep(500);
            continue;
        }
        assert_int_equal(st, ST_OK);
        assert_int_equal(job.status, ST_OK);
        decoder_done(q.d, &job);
        done++;
    }
    pthread_join(thread, NULL);
    decoder_close(q.d);
}

static void whole_pictures_fit_slots_that_grow(void **state)
{
    struct place *p = *state;
    struct decoder *d = open_decoder(1, 0, 0);
    for (int i = 0; i < PICTURES; i++) {
        struct decoder_job job;
        assert_int_equal(decoder_submit(d, 7, p->path[i], NULL), ST_OK);
        next_job(d, &job);
        check_pixels(&job, p->path[i], 0);
        assert_int_equal(job.meta.width, job.width);
        decoder_done(d, &job);
    }
    decoder_close(d);
}

/* Submits path among good files; returns what became of it, and checks that the good ones are fine.
 */
static struct decoder_job among_good_files(struct decoder *d, struct place *p, const char *path)
{
    struct decoder_job job, bad = {.status = ST_INTERNAL};
    for (int i = 0; i < 8; i++)
        assert_int_equal(decoder_submit(d, (uint64_t)i, i == 3 ? path : p->path[i], NULL), ST_OK);
    assert_int_equal(decoder_submit(d, 9, path, NULL), ST_LIMIT);
    for (int i = 0; i < 8; i++) {
        next_job(d, &job);
        if (job.ticket == 3)
            bad = job;
        else
            check_pixels(&job, p->path[job.ticket], 16);
        decoder_done(d, &job);
    }
    assert_null(bad.pixels);
    return bad;
}

static void a_hostile_file_costs_one_file(void **state)
{
    struct place *p = *state;
    static const struct {
        const char *text, *says;
    } kinds[] = {
        {"EIDETIC-TEST-abort", "decoder crashed on this file (signal 6)"},
        {"EIDETIC-TEST-exit", "decoder crashed on this file (exit code 7)"},
        {"EIDETIC-TEST-hang", "decoder timed out on this file (0.7 s)"},
#ifndef EIDETIC_SANITIZED
        {"EIDETIC-TEST-memory", "is not a picture"}, /* no memory, but no crash */
        {"EIDETIC-TEST-open", "is not a picture"},   /* refused by the filter */
        {"EIDETIC-TEST-fork", "is not a picture"},   /* so is this; threads are not */
#endif
    };
    char path[128];
    struct decoder *d = open_decoder(2, 16, 700);
    snprintf(path, sizeof path, "%s/hostile\x1b.jpg", p->dir);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        put_file(path, kinds[i].text);
        struct decoder_job bad = among_good_files(d, p, path);
        assert_int_equal(bad.status, ST_FORMAT);
        if (!strstr(bad.text, kinds[i].says) || !strstr(bad.text, "hostile\\x1b.jpg"))
            fail_msg("%s: says \"%s\"", kinds[i].text, bad.text);
    }
#if defined HAVE_SECCOMP && !defined EIDETIC_SANITIZED
    assert_true(decoder_sandboxed(d));
#endif
    decoder_close(d);
    unlink(path);
}

static void unreadable_files_say_why(void **state)
{
    struct place *p = *state;
    struct decoder *d = open_decoder(1, 16, 0);
    char path[128];
    struct decoder_job bad;
    snprintf(path, sizeof path, "%s/missing.jpg", p->dir);
    bad = among_good_files(d, p, path);
    assert_int_equal(bad.status, ST_NOT_FOUND);
    assert_non_null(strstr(bad.text, "missing.jpg"));
    bad = among_good_files(d, p, p->dir);
    assert_int_equal(bad.status, ST_FORMAT);
    assert_non_null(strstr(bad.text, "is a folder"));
    snprintf(path, sizeof path, "%s/fifo.jpg", p->dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    bad = among_good_files(d, p, path);
    assert_non_null(strstr(bad.text, "is not a regular file"));
    unlink(path);
    put_file(path, "");
    bad = among_good_files(d, p, path);
    assert_non_null(strstr(bad.text, "is empty"));
    put_file(path, "\xff\xd8\xff\xe0 not much of a picture");
    bad = among_good_files(d, p, path);
    assert_int_equal(bad.status, ST_FORMAT);
    assert_true(bad.has_hash); /* the bytes are known all the same */
    unlink(path);
    decoder_close(d);
}

static void killed_workers_lose_nothing(void **state)
{
    struct place *p = *state;
    struct decoder *d = open_decoder(2, 32, 0);
    struct decoder_job job;
    pid_t pids[8];
    int sent = 0, kills = 0;
    for (int done = 0; done < 100; done++) {
        while (sent < 100 && !decoder_submit(d, (uint64_t)sent, p->path[sent % PICTURES], NULL))
            sent++;
        if (done % 20 == 5 && children(getpid(), pids, 8) > 0) {
            kill(pids[0], SIGKILL);
            kills++;
        }
        if (done % 20 == 15 && children(getpid(), pids, 8) > 0)
            kill(pids[0], SIGINT); /* as a terminal's Ctrl-C would: the parent decides */
        next_job(d, &job);
        check_pixels(&job, p->path[job.ticket % PICTURES], 32);
        decoder_done(d, &job);
    }
    assert_true(kills > 2);
    decoder_close(d);
}

#ifndef EIDETIC_SANITIZED
/* 64 files that leak 40 MiB each are more than the limit for small pictures leaves room for. */
static void a_worker_that_leaks_is_replaced_before_it_starves(void **state)
{
    struct place *p = *state;
    struct decoder_opts o = {.workers = 1, .slots = 8, .prep = {.size = 16}, .max_pixels = 1000000};
    struct decoder *d = NULL;
    struct decoder_job job;
    char path[128];
    pid_t pids[8], first;
    snprintf(path, sizeof path, "%s/leaks.jpg", p->dir);
    put_file(path, "EIDETIC-TEST-leak");
    assert_int_equal(decoder_open(&d, &o, NULL), ST_OK);
    assert_int_equal(children(getpid(), pids, 8), 1);
    first = pids[0];
    for (int sent = 0, done = 0; done < 128; done++) {
        while (sent < 128 &&
               !decoder_submit(d, (uint64_t)sent, sent % 2 ? path : p->path[sent % PICTURES], NULL))
            sent++;
        next_job(d, &job);
        if (job.ticket % 2 && !strstr(job.text, "is not a picture"))
            fail_msg("a file that leaks: \"%s\"", job.text);
        if (job.ticket % 2 == 0)
            check_pixels(&job, p->path[job.ticket % PICTURES], 16);
        decoder_done(d, &job);
    }
    assert_int_equal(children(getpid(), pids, 8), 1);
    assert_int_not_equal(pids[0], first);
    decoder_close(d);
    unlink(path);
}
#endif

static void workers_end_with_their_parent(void **state)
{
    struct place *p = *state;
    char path[128];
    int ends[2];
    pid_t pids[4] = {0}, pid;
    snprintf(path, sizeof path, "%s/hang.jpg", p->dir);
    put_file(path, "EIDETIC-TEST-hang");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    if (!pid) {
        struct decoder *d = open_decoder(2, 16, 60000);
        decoder_submit(d, 1, path, NULL); /* one busy worker, one idle */
        usleep(100000);
        int n = children(getpid(), pids, 4);
        if (write(ends[1], pids, sizeof pids) < 0)
            n = 0;
        _exit(n == 2 ? 0 : 1);
    }
    int word;
    assert_int_equal(waitpid(pid, &word, 0), pid);
    assert_int_equal(word, 0);
    assert_int_equal(read(ends[0], pids, sizeof pids), sizeof pids);
    double end = time_now() + 10;
    for (int i = 0; i < 2; i++) {
        int got = 0;
        while (!got && time_now() < end) {
            got = waitpid(pids[i], &word, WNOHANG);
            usleep(20000);
        }
        assert_int_equal(got, pids[i]);
    }
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    close(ends[0]);
    close(ends[1]);
    unlink(path);
}

static void waiting_ends_in_time(void **state)
{
    struct place *p = *state;
    struct decoder *d = open_decoder(1, 16, 60000);
    struct decoder_job job;
    char path[128];
    snprintf(path, sizeof path, "%s/hang.jpg", p->dir);
    put_file(path, "EIDETIC-TEST-hang");
    assert_int_equal(decoder_submit(d, 1, path, NULL), ST_OK);
    double start = time_now();
    assert_int_equal(decoder_next(d, &job, 200, NULL), ST_LIMIT);
    assert_true(time_now() - start > 0.19 && time_now() - start < 5);
    decoder_close(d); /* ends the hanging worker too */
    unlink(path);
}

static void a_program_that_is_no_worker_is_found_out(void **state)
{
    (void)state;
    struct decoder *d;
    struct decoder_opts o = {.workers = 1, .exe = "/bin/true"};
    struct error err;
    assert_int_equal(decoder_open(&d, &o, &err), ST_INTERNAL);
    o.exe = "/nonexistent/program";
    assert_int_equal(decoder_open(&d, &o, &err), ST_NOT_FOUND);
    assert_null(d);
    assert_true(strlen(decoder_sandbox_info()) > 3);
}

static void in_process_gives_the_same(void **state)
{
    struct place *p = *state;
    struct decoder *d;
    struct decoder_job job;
    struct decoder_opts o = {.in_process = true, .slots = 3, .prep = {.size = 20}, .hash = true};
    assert_int_equal(decoder_open(&d, &o, NULL), ST_OK);
    assert_int_equal(decoder_submit(d, 1, p->path[1], NULL), ST_OK);
    assert_int_equal(decoder_submit(d, 2, "/nonexistent", NULL), ST_OK);
    for (int i = 0; i < 2; i++) {
        next_job(d, &job);
        if (job.ticket == 1) {
            check_pixels(&job, p->path[1], 20);
            check_hash(&job, p->path[1]);
        } else {
            assert_int_equal(job.status, ST_NOT_FOUND);
        }
        decoder_done(d, &job);
    }
    decoder_close(d);
}

static void a_decoder_that_runs_out_of_memory_leaks_nothing(void **state)
{
    struct place *p = *state;
    int before = count_fds();
    for (uint64_t n = 1; n < 200; n++) {
        struct decoder *d = NULL;
        struct decoder_job job = {0};
        struct decoder_opts o = {
            .workers = 1, .slots = 2, .in_process = n % 2, .prep = {.size = 16}};
        mem_fail_at(n / 2 + 1, false);
        enum status st = decoder_open(&d, &o, NULL);
        if (!st)
            st = decoder_submit(d, 1, p->path[3], NULL);
        if (!st)
            st = decoder_next(d, &job, 60000, NULL);
        if (!st) {
            st = job.status;
            decoder_done(d, &job);
        }
        decoder_close(d);
        bool through = mem_fail_at(0, false) < n / 2 + 1;
        if (through && !st && n > 60)
            break;
    }
    assert_int_equal(count_fds(), before);
}

static void no_reply_is_believed(void **state)
{
    (void)state;
    struct rng r = {1};
    struct decoder_request q = {.serial = 3, .prep = {.size = 8}};
    for (int i = 0; i < 20000; i++) {
        struct decoder_reply reply = {0};
        for (size_t k = 0; k < sizeof reply; k++)
            ((unsigned char *)&reply)[k] = (unsigned char)rng_u64(&r);
        reply.serial = i % 7 ? 3 : 4;
        reply.status = i % 3 ? 0 : (int32_t)rng_below(&r, 40) - 10;
        reply.width = i % 5 ? 8 : (int32_t)rng_u64(&r);
        reply.height = i % 11 ? 8 : (int32_t)rng_u64(&r);
        if (!decoder_reply_check(&reply, &q))
            continue;
        assert_int_equal(reply.serial, 3);
        assert_true(reply.status >= 0 && reply.status <= ST_INTERNAL);
        assert_true(reply.status || (reply.width == 8 && reply.height == 8));
        assert_true(reply.meta.orientation >= 1 && reply.meta.orientation <= 8);
        assert_true(utf8_valid(reply.text, strlen(reply.text)));
        assert_true(strlen(reply.meta.camera) < sizeof reply.meta.camera);
        assert_true(utf8_valid(reply.meta.camera, strlen(reply.meta.camera)));
        assert_true(!reply.meta.has_gps || (reply.meta.lat <= 90 && reply.meta.lat >= -90));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hundred_files_through_two_workers),
        cmocka_unit_test(one_thread_submits_and_another_takes),
        cmocka_unit_test(whole_pictures_fit_slots_that_grow),
        cmocka_unit_test(a_hostile_file_costs_one_file),
        cmocka_unit_test(unreadable_files_say_why),
        cmocka_unit_test(killed_workers_lose_nothing),
#ifndef EIDETIC_SANITIZED
        cmocka_unit_test(a_worker_that_leaks_is_replaced_before_it_starves),
#endif
        cmocka_unit_test(workers_end_with_their_parent),
        cmocka_unit_test(waiting_ends_in_time),
        cmocka_unit_test(a_program_that_is_no_worker_is_found_out),
        cmocka_unit_test(in_process_gives_the_same),
        cmocka_unit_test(a_decoder_that_runs_out_of_memory_leaks_nothing),
        cmocka_unit_test(no_reply_is_believed),
    };
    if (argc > 1 && !strcmp(argv[1], DECODER_WORKER_ARG))
        return decoder_worker_main(argc, argv);
    return cmocka_run_group_tests(tests, make_pictures, remove_pictures);
}
