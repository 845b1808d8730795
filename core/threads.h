/* One level of threads at a time: a pool that splits loops, owned by a session.
 *
 *     struct pool *p = pool_new(4);            // 3 workers and the caller
 *     pool_for(p, n, body, ctx);               // body(ctx, i, thread) for i in [0, n), any order
 *     pool_free(p);
 *
 * pool_for returns when all are done; it must not be nested, and one thread calls it at a time.
 * A NULL pool runs the loop in the caller. */
#ifndef EIDETIC_CORE_THREADS_H
#define EIDETIC_CORE_THREADS_H

#include <signal.h>

struct pool;

struct pool *pool_new(int threads); /* NULL: no memory or no threads; 1 = no workers */
void pool_free(struct pool *p);
int pool_threads(const struct pool *p); /* 1 for NULL */
void pool_for(struct pool *p, int n, void (*body)(void *ctx, int i, int thread), void *ctx);
/* From now on, what is left of a loop is skipped while *flag is not 0 (a signal handler's); NULL:
 * no more. The caller then throws the results away. Not while a loop runs. */
void pool_stop_when(struct pool *p, const volatile sig_atomic_t *flag);

#endif
