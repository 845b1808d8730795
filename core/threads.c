/* A pool whose workers take loop indices from one atomic counter. Workers sleep on a condition
 * between loops after a short spin, since an operator is often followed by the next within
 * microseconds. */
#include "core/threads.h"
#include "core/mem.h"
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

struct pool {
    int threads;
    pthread_t *worker;
    int started;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    atomic_uint round; /* a new number = a new loop */
    atomic_int next, n;
    atomic_int running; /* workers still inside the current loop */
    bool quit;
    const volatile sig_atomic_t *stop;
    void (*body)(void *ctx, int i, int thread);
    void *ctx;
};

struct worker_arg {
    struct pool *p;
    int index;
};

enum { SPINS = 2000 };

static bool is_stopped(const struct pool *p)
{
    return p && p->stop && *p->stop;
}

static void take_all(struct pool *p, int thread)
{
    int n = atomic_load(&p->n);
    for (int i; (i = atomic_fetch_add(&p->next, 1)) < n && !is_stopped(p);)
        p->body(p->ctx, i, thread);
}

static void *worker_main(void *arg)
{
    struct worker_arg a = *(struct worker_arg *)arg;
    mem_free(arg);
    struct pool *p = a.p;
    unsigned seen = 0;
    for (;;) {
        for (int s = 0; s < SPINS && atomic_load(&p->round) == seen; s++)
            __builtin_ia32_pause();
        pthread_mutex_lock(&p->lock);
        while (atomic_load(&p->round) == seen && !p->quit)
            pthread_cond_wait(&p->wake, &p->lock);
        seen = atomic_load(&p->round);
        bool quit = p->quit;
        pthread_mutex_unlock(&p->lock);
        if (quit)
            return NULL;
        take_all(p, a.index);
        if (atomic_fetch_sub(&p->running, 1) == 1) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

/* Workers take no signals: they are the main thread's affair. */
static bool start_worker(struct pool *p, int index)
{
    struct worker_arg *arg = mem_alloc(sizeof *arg);
    if (!arg)
        return false;
    *arg = (struct worker_arg){p, index};
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&p->worker[index - 1], NULL, worker_main, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc)
        mem_free(arg);
    return rc == 0;
}

struct pool *pool_new(int threads)
{
    assert(threads >= 1);
    struct pool *p = mem_zalloc(sizeof *p);
    if (!p)
        return NULL;
    p->threads = threads;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    p->worker = mem_zarray((size_t)threads, sizeof *p->worker);
    while (p->worker && p->started < threads - 1 && start_worker(p, p->started + 1))
        p->started++;
    if (!p->worker || p->started < threads - 1) {
        pool_free(p);
        return NULL;
    }
    return p;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->quit = true;
    atomic_fetch_add(&p->round, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->started; i++)
        pthread_join(p->worker[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->worker);
    mem_free(p);
}

int pool_threads(const struct pool *p)
{
    return p ? p->threads : 1;
}

void pool_for(struct pool *p, int n, void (*body)(void *ctx, int i, int thread), void *ctx)
{
    if (!p || p->threads == 1 || n <= 1) {
        for (int i = 0; i < n && !is_stopped(p); i++)
            body(ctx, i, 0);
        return;
    }
    p->body = body;
    p->ctx = ctx;
    atomic_store(&p->n, n);
    atomic_store(&p->next, 0);
    atomic_store(&p->running, p->started);
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->round, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    take_all(p, 0);
    for (int s = 0; s < SPINS && atomic_load(&p->running); s++)
        __builtin_ia32_pause();
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->running))
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void pool_stop_when(struct pool *p, const volatile sig_atomic_t *flag)
{
    if (p)
        p->stop = flag;
}
