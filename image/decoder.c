/* The parent's side of decoding: slots, queues, workers. Surprising: each worker holds up to two
 * requests, so that it need not wait for decoder_next between files; when one dies, only the first
 * of the two is to blame, and the other goes to somebody else. Replies are data from a process that
 * a hostile file may own: every field is checked. */
#include "core/cpu.h"
#include "core/progress.h"
#include "image/decoder_int.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUESTS_A_WORKER 2
#define MAX_SLOTS 4096
/* Workers that die before their first word, in a row, until we stop starting them. */
#define MAX_STILLBORN 5

enum job_state { JOB_FREE, JOB_OPENING, JOB_PENDING, JOB_SENT, JOB_READY, JOB_OUT };

struct job {
    enum job_state state;
    uint64_t ticket;
    struct decoder_slot slot;
    struct image_file file;
    int sidecar[IMAGE_SIDECARS]; /* -1 = none */
    struct decoder_request request;
    struct decoder_reply reply;
    struct image local; /* in_process: the pixels */
    bool killed_once;   /* a worker was killed (not by us) on this file: it gets one more chance */
};

struct worker {
    struct decoder_proc proc;
    int jobs[REQUESTS_A_WORKER]; /* in order; jobs[0] is being worked on */
    int n;
    double since, spent; /* when jobs[0] began, as far as we saw; seconds of ours it has had */
};

struct queue { /* of job numbers; never more than there are slots */
    int *at, head, n, cap;
};

struct decoder {
    struct decoder_opts o;
    struct job *jobs;
    struct worker *workers;
    struct pollfd *polls; /* workers, then wake */
    struct queue pending, ready;
    int slots, count, wake; /* count = jobs that decoder_next still owes */
    uint32_t serial;
    int stillborn;
    double last_look, retry_at;
    bool sandboxed;
    pthread_mutex_t lock; /* of all that changes after decoder_open; never held while waiting */
};

static void queue_put(struct queue *q, int v)
{
    q->at[(q->head + q->n++) % q->cap] = v;
}

static void queue_put_first(struct queue *q, int v)
{
    q->head = (q->head + q->cap - 1) % q->cap;
    q->at[q->head] = v;
    q->n++;
}

static int queue_take(struct queue *q)
{
    int v = q->at[q->head];
    q->head = (q->head + 1) % q->cap;
    q->n--;
    return v;
}

static void close_files(struct job *j)
{
    if (j->file.fd >= 0)
        close(j->file.fd);
    j->file.fd = -1;
    for (int i = 0; i < IMAGE_SIDECARS; i++) {
        if (j->sidecar[i] >= 0)
            close(j->sidecar[i]);
        j->sidecar[i] = -1;
    }
}

static void list_files(const struct job *j, int fds[DECODER_FDS])
{
    fds[0] = j->file.fd;
    fds[1] = j->slot.memfd;
    memcpy(fds + 2, j->sidecar, sizeof j->sidecar);
}

static void job_finish(struct decoder *d, int i)
{
    struct job *j = &d->jobs[i];
    close_files(j);
    j->state = JOB_READY;
    queue_put(&d->ready, i);
}

static void job_fail(struct decoder *d, int i, enum status st, const char *what)
{
    struct job *j = &d->jobs[i];
    struct error e;
    error_set(&e, st, "%s: %s", j->request.name, what);
    j->reply = (struct decoder_reply){.status = (int32_t)st};
    snprintf(j->reply.text, sizeof j->reply.text, "%s", e.text);
    job_finish(d, i);
}

/* Gives pending jobs to the workers that have least to do. */
static void dispatch(struct decoder *d)
{
    while (d->pending.n) {
        struct worker *best = NULL;
        int fds[DECODER_FDS];
        for (int i = 0; i < d->o.workers; i++) {
            struct worker *w = &d->workers[i];
            if (w->proc.pid && w->n < REQUESTS_A_WORKER && (!best || w->n < best->n))
                best = w;
        }
        if (!best)
            return;
        int i = d->pending.at[d->pending.head];
        struct job *j = &d->jobs[i];
        j->request.slot_bytes = decoder_slot_size(&j->slot);
        list_files(j, fds);
        if (!decoder_proc_send(&best->proc, &j->request, fds))
            return; /* full or dead: decoder_next finds out */
        queue_take(&d->pending);
        j->state = JOB_SENT;
        if (!best->n) {
            best->since = time_now();
            best->spent = 0;
        }
        best->jobs[best->n++] = i;
    }
}

static void worker_shift(struct worker *w)
{
    for (int i = 1; i < w->n; i++)
        w->jobs[i - 1] = w->jobs[i];
    w->n--;
    w->since = time_now();
    w->spent = 0;
}

static void death_text(char *out, size_t cap, int word, bool late, int timeout_ms)
{
    if (late)
        snprintf(out, cap, "decoder timed out on this file (%g s)", timeout_ms / 1000.0);
    else if (word >= 0 && WIFSIGNALED(word))
        snprintf(out, cap, "decoder crashed on this file (signal %d)", WTERMSIG(word));
    else if (word >= 0 && WIFEXITED(word))
        snprintf(out, cap, "decoder crashed on this file (exit code %d)", WEXITSTATUS(word));
    else
        snprintf(out, cap, "decoder crashed on this file");
}

static void worker_start(struct decoder *d, struct worker *w)
{
    w->n = 0;
    if (decoder_proc_start(&w->proc, d->o.exe, d->o.max_pixels, NULL)) {
        d->stillborn++;
        d->retry_at = time_now() + 0.5;
    }
}

static void job_again(struct decoder *d, int i)
{
    d->jobs[i].state = JOB_PENDING;
    queue_put_first(&d->pending, i);
}

/* It has said that it ends; nobody is to blame, and what it was given meanwhile is not begun. */
static void worker_replace(struct decoder *d, struct worker *w)
{
    decoder_proc_stop(&w->proc, true);
    for (int k = w->n - 1; k >= 0; k--)
        job_again(d, w->jobs[k]);
    worker_start(d, w);
}

/* Blames the first job, saves the others, starts a replacement. late: we end it for its time. */
static void worker_lost(struct decoder *d, struct worker *w, bool late)
{
    char text[96];
    bool spoke = w->proc.hello;
    int n = w->n, word = decoder_proc_stop(&w->proc, !late);
    bool killed = !late && word >= 0 && WIFSIGNALED(word) && WTERMSIG(word) == SIGKILL;
    w->n = 0;
    for (int k = n - 1; k >= 0; k--) {
        int i = w->jobs[k];
        struct job *j = &d->jobs[i];
        if (k > 0 || (!spoke && !late) || (killed && !j->killed_once)) {
            j->killed_once = j->killed_once || (k == 0 && spoke);
            job_again(d, i);
        } else {
            death_text(text, sizeof text, word, late, d->o.timeout_ms);
            job_fail(d, i, ST_FORMAT, text);
        }
    }
    d->stillborn = spoke ? 0 : d->stillborn + 1;
    if (d->stillborn < MAX_STILLBORN)
        worker_start(d, w);
}

static void worker_replied(struct decoder *d, struct worker *w, const struct decoder_reply *r)
{
    d->stillborn = 0;
    if (!w->proc.hello && r->serial == 0) {
        w->proc.hello = true;
        d->sandboxed = r->sandboxed == 1;
        return;
    }
    if (!w->n)
        return worker_lost(d, w, false);
    int i = w->jobs[0];
    struct job *j = &d->jobs[i];
    j->reply = *r;
    if (!decoder_reply_check(&j->reply, &j->request))
        return worker_lost(d, w, false);
    worker_shift(w);
    job_finish(d, i);
    if (r->last)
        worker_replace(d, w);
}

static void worker_listen(struct decoder *d, struct worker *w)
{
    struct decoder_reply r;
    while (w->proc.pid) {
        pid_t before = w->proc.pid;
        int got = decoder_proc_receive(&w->proc, &r);
        if (!got)
            return;
        if (got > 0)
            worker_replied(d, w, &r);
        else
            worker_lost(d, w, false);
        if (w->proc.pid != before)
            return;
    }
}

/* Reads what has come, ends who is late, restarts who is missing, hands out work. A second in which
 * nobody looked counts as one at most: a suspended parent must not blame its workers. */
static void look_round(struct decoder *d)
{
    double now = time_now(), passed = now - d->last_look;
    passed = passed > 1 ? 1 : passed;
    d->last_look = now;
    for (int i = 0; i < d->o.workers; i++) {
        struct worker *w = &d->workers[i];
        worker_listen(d, w);
        if (!w->proc.pid && d->stillborn < MAX_STILLBORN && now >= d->retry_at)
            worker_start(d, w);
        if (!w->n)
            continue;
        double own = time_now() - w->since;
        w->spent += own < passed ? own : passed;
        if (w->spent * 1000 > d->o.timeout_ms)
            worker_lost(d, w, true);
    }
    dispatch(d);
}

/* Waits at most ms for a worker or a submit; called without the lock. */
static void wait_for_news(struct decoder *d, int ms)
{
    uint64_t n;
    pthread_mutex_lock(&d->lock);
    for (int i = 0; i < d->o.workers; i++)
        d->polls[i] = (struct pollfd){.fd = d->workers[i].proc.sock, .events = POLLIN};
    pthread_mutex_unlock(&d->lock);
    d->polls[d->o.workers] = (struct pollfd){.fd = d->wake, .events = POLLIN};
    if (poll(d->polls, (nfds_t)d->o.workers + 1, ms) > 0 && d->polls[d->o.workers].revents)
        if (read(d->wake, &n, sizeof n) < 0)
            return; /* somebody else's news was read; harmless */
}

static void work_here(struct decoder *d, int i)
{
    struct job *j = &d->jobs[i];
    int fds[DECODER_FDS];
    list_files(j, fds);
    decoder_work(&j->reply, &j->local, &j->request, fds);
}

/* Fills *out from a finished job. */
static void hand_out(struct decoder *d, int i, struct decoder_job *out)
{
    struct job *j = &d->jobs[i];
    const struct decoder_reply *r = &j->reply;
    *out = (struct decoder_job){.ticket = j->ticket,
                                .status = (enum status)r->status,
                                .meta = r->meta,
                                .has_hash = r->has_hash,
                                .size = (int64_t)j->file.size,
                                .mtime_ns = j->file.mtime_ns,
                                .slot = i};
    snprintf(out->text, sizeof out->text, "%s", r->text);
    memcpy(out->hash, r->hash, sizeof out->hash);
    if (!r->status && !j->request.words_only) {
        out->width = r->width;
        out->height = r->height;
        out->pixels = d->o.in_process
                          ? j->local.data
                          : decoder_slot_view(&j->slot, (size_t)r->width * (size_t)r->height * 3);
    }
    if (!r->status && !out->pixels && !j->request.words_only) {
        out->status = ST_FORMAT;
        out->width = out->height = 0;
        snprintf(out->text, sizeof out->text, "%s: decoder handed over less than it said",
                 j->request.name);
    }
    j->state = JOB_OUT;
    d->count--;
}

enum status decoder_next(struct decoder *d, struct decoder_job *job, int timeout_ms,
                         struct error *err)
{
    double end = time_now() + timeout_ms / 1000.0;
    enum status st = ST_LIMIT;
    for (;;) {
        pthread_mutex_lock(&d->lock);
        int mine = -1, left = 100;
        if (!d->o.in_process)
            look_round(d);
        if (d->ready.n) {
            hand_out(d, queue_take(&d->ready), job);
            st = ST_OK;
        } else if (!d->count) {
            st = error_set(err, ST_NOT_FOUND, "no picture is being decoded");
        } else if (d->stillborn >= MAX_STILLBORN) {
            st = error_set(err, ST_INTERNAL, "decoder processes end as soon as they start");
        } else if (d->o.in_process && d->pending.n) {
            mine = queue_take(&d->pending);
        }
        pthread_mutex_unlock(&d->lock);
        if (st != ST_LIMIT)
            return st;
        if (mine >= 0) {
            work_here(d, mine);
            pthread_mutex_lock(&d->lock);
            job_finish(d, mine);
            pthread_mutex_unlock(&d->lock);
            continue;
        }
        if (timeout_ms >= 0) {
            double rest = (end - time_now()) * 1000;
            if (rest <= 0)
                return error_set(err, ST_LIMIT, "no picture was decoded within %d ms", timeout_ms);
            left = rest < left ? (int)rest + 1 : left;
        }
        wait_for_news(d, left);
    }
}

static void open_sidecars(struct job *j, const char *path)
{
    for (int i = 0; i < IMAGE_SIDECARS; i++) {
        char *name = image_sidecar_name(path, i);
        struct image_file f;
        if (name && !image_file_open(&f, name, j->request.name, IMAGE_SIDECAR_MAX, NULL)) {
            j->sidecar[i] = f.fd;
            j->request.sidecar_bytes[i] = f.size;
        }
        mem_free(name);
    }
}

static enum status submit(struct decoder *d, uint64_t ticket, const char *path, bool words_only,
                          struct error *err)
{
    int i = 0;
    struct error e = {0};
    pthread_mutex_lock(&d->lock);
    while (i < d->slots && d->jobs[i].state != JOB_FREE)
        i++;
    if (i < d->slots) {
        d->jobs[i].state = JOB_OPENING;
        d->count++;
    }
    uint32_t serial = ++d->serial ? d->serial : ++d->serial; /* 0 is hello's */
    pthread_mutex_unlock(&d->lock);
    if (i == d->slots)
        return error_set(err, ST_LIMIT, "all %d decoder slots are taken", d->slots);
    struct job *j = &d->jobs[i]; /* nobody else touches an opening job */
    j->ticket = ticket;
    j->killed_once = false;
    j->request = (struct decoder_request){.magic = DECODER_MAGIC,
                                          .serial = serial,
                                          .prep = d->o.prep,
                                          .max_pixels = d->o.max_pixels,
                                          .timeout_ms = d->o.timeout_ms,
                                          .hash = d->o.hash && !words_only,
                                          .words_only = words_only};
    image_safe_name(j->request.name, sizeof j->request.name, path);
    j->file = (struct image_file){.fd = -1};
    enum status st = image_file_open(&j->file, path, j->request.name, IMAGE_MAX_BYTES, &e);
    if (!st && !d->o.in_process && j->slot.memfd < 0) /* decoder_done could not make a new one */
        st = decoder_slot_open(&j->slot, 0, &e);
    if (!st)
        open_sidecars(j, path);
    j->request.file_bytes = j->file.size;
    pthread_mutex_lock(&d->lock);
    if (st) {
        j->reply = (struct decoder_reply){.status = (int32_t)st};
        snprintf(j->reply.text, sizeof j->reply.text, "%s", e.text);
        job_finish(d, i);
    } else {
        j->state = JOB_PENDING;
        queue_put(&d->pending, i);
        if (!d->o.in_process)
            dispatch(d);
    }
    pthread_mutex_unlock(&d->lock);
    uint64_t one = 1;
    if ((st || d->o.in_process) && write(d->wake, &one, sizeof one) < 0)
        return ST_OK; /* the counter is full: decoder_next will look anyway */
    return ST_OK;
}

enum status decoder_submit(struct decoder *d, uint64_t ticket, const char *path, struct error *err)
{
    return submit(d, ticket, path, false, err);
}

enum status decoder_submit_words(struct decoder *d, uint64_t ticket, const char *path,
                                 struct error *err)
{
    return submit(d, ticket, path, true, err);
}

void decoder_done(struct decoder *d, struct decoder_job *job)
{
    struct job *j = &d->jobs[job->slot];
    image_release(&j->local);
    job->pixels = NULL;
    if (!d->o.in_process && !d->o.prep.size)
        decoder_slot_trim(&j->slot, NULL); /* decoder_submit tries again where this fails */
    pthread_mutex_lock(&d->lock);
    j->state = JOB_FREE;
    pthread_mutex_unlock(&d->lock);
}

int decoder_slots(const struct decoder *d)
{
    return d->slots;
}

bool decoder_sandboxed(const struct decoder *d)
{
    return d->sandboxed;
}

static enum status queue_open(struct queue *q, int cap)
{
    q->cap = cap;
    q->at = mem_array((size_t)cap, sizeof *q->at);
    return q->at ? ST_OK : ST_NOMEM;
}

static enum status open_memory(struct decoder *d, struct error *err)
{
    size_t side = (size_t)d->o.prep.size;
    d->jobs = mem_zarray((size_t)d->slots, sizeof *d->jobs);
    d->workers = mem_zarray((size_t)d->o.workers, sizeof *d->workers);
    d->polls = mem_zarray((size_t)d->o.workers + 1, sizeof *d->polls);
    for (int i = 0; d->workers && i < d->o.workers; i++)
        d->workers[i].proc.sock = -1;
    for (int i = 0; d->jobs && i < d->slots; i++)
        d->jobs[i] = (struct job){.slot.memfd = -1, .file.fd = -1, .sidecar = {-1, -1, -1, -1}};
    if (!d->jobs || !d->workers || !d->polls || queue_open(&d->pending, d->slots) ||
        queue_open(&d->ready, d->slots))
        return error_set(err, ST_NOMEM, "out of memory (a decoder of %d slots)", d->slots);
    for (int i = 0; i < d->slots && !d->o.in_process; i++) {
        enum status st = decoder_slot_open(&d->jobs[i].slot, side * side * 3, err);
        if (st)
            return st;
    }
    d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return d->wake < 0 ? error_errno(err, errno, "cannot make an event counter") : ST_OK;
}

/* The first worker must say hello, so that a program that forgot decoder_worker_main fails here. */
static enum status open_workers(struct decoder *d, struct error *err)
{
    struct worker *first = d->workers;
    struct decoder_reply r;
    double end = time_now() + 30;
    enum status st = decoder_proc_start(&first->proc, d->o.exe, d->o.max_pixels, err);
    int got = 0;
    while (!st && !got && time_now() < end) {
        struct pollfd p = {.fd = first->proc.sock, .events = POLLIN};
        poll(&p, 1, 1000);
        got = decoder_proc_receive(&first->proc, &r);
    }
    if (!st && (got != 1 || r.serial))
        return error_set(err, ST_INTERNAL, "decoder process did not start");
    for (int i = 1; !st && i < d->o.workers; i++)
        st = decoder_proc_start(&d->workers[i].proc, d->o.exe, d->o.max_pixels, err);
    first->proc.hello = true;
    d->sandboxed = !st && r.sandboxed == 1;
    return st;
}

enum status decoder_open(struct decoder **out, const struct decoder_opts *o, struct error *err)
{
    struct decoder *d = mem_zalloc(sizeof *d);
    *out = NULL;
    if (!d)
        return error_set(err, ST_NOMEM, "out of memory (decoder)");
    pthread_mutex_init(&d->lock, NULL);
    d->wake = -1;
    d->o = *o;
    d->o.workers = o->workers > 0 ? o->workers : cpu_count();
    d->o.timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : 30000;
    d->slots = o->slots > 0 ? o->slots : 4 * d->o.workers;
    d->slots = d->slots > MAX_SLOTS ? MAX_SLOTS : d->slots;
    d->last_look = time_now();
    enum status st = ST_OK;
    int side = o->prep.resize ? o->prep.resize : o->prep.size;
    if (o->prep.size < 0 || side < o->prep.size || side > 16384)
        st = error_set(err, ST_USAGE, "a decoder cannot prepare squares of %d", side);
    if (!st)
        st = open_memory(d, err);
    if (!st && !o->in_process)
        st = open_workers(d, err);
    if (st)
        decoder_close(d);
    else
        *out = d;
    return st;
}

void decoder_close(struct decoder *d)
{
    if (!d)
        return;
    for (int i = 0; d->workers && i < d->o.workers; i++)
        decoder_proc_stop(&d->workers[i].proc, false);
    for (int i = 0; d->jobs && i < d->slots; i++) {
        close_files(&d->jobs[i]);
        decoder_slot_close(&d->jobs[i].slot);
        image_release(&d->jobs[i].local);
    }
    if (d->wake >= 0)
        close(d->wake);
    pthread_mutex_destroy(&d->lock);
    mem_free(d->pending.at);
    mem_free(d->ready.at);
    mem_free(d->jobs);
    mem_free(d->workers);
    mem_free(d->polls);
    mem_free(d);
}
