/* Speed and memory of a Stable Diffusion checkpoint: what a step and a decode take, without a
 * solver.
 *
 *     bench_sd CHECKPOINT [SIDE [BATCH [THREADS [DEVICE]]]]
 *
 * SIDE is that of the picture (512), BATCH 2 is a step with guidance, DEVICE "cpu" or "cpu/bf16".
 * Each line is one run, with the process's peak of resident memory so far (mapped weights are in
 * it). Values do not matter to speed: weights may be random, and the inputs are. */
#include "core/mem.h"
#include "core/progress.h"
#include "core/rng.h"
#include "sampler/checkpoint.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static void report(const char *what, double since)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    printf("%-8s %8.2f s   peak %ld MB\n", what, time_now() - since, r.ru_maxrss / 1024);
    fflush(stdout);
}

static struct tensor random_tensor(int ndim, const int64_t *dims)
{
    struct rng rng = {1};
    struct tensor t = tensor_view(NULL, DT_F32, ndim, dims);
    float *x = mem_array((size_t)tensor_count(&t), sizeof *x);
    if (!x) {
        fprintf(stderr, "bench_sd: out of memory\n");
        exit(70);
    }
    for (int64_t i = 0; i < tensor_count(&t); i++)
        x[i] = rng_normal(&rng);
    t.data = x;
    return t;
}

static void check(enum status st, const struct error *err)
{
    if (!st)
        return;
    fprintf(stderr, "bench_sd: %s\n", err->text);
    exit(1);
}

static int64_t number(int argc, char **argv, int i, int64_t otherwise)
{
    return argc > i ? strtol(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    struct checkpoint *c = NULL;
    struct backend *be = NULL;
    struct arena arena = {0};
    struct error err = {0};
    int64_t side = number(argc, argv, 2, 512), batch = number(argc, argv, 3, 2);
    if (argc < 2 || side < 64 || side % 64 || side > 4096 || batch < 1 || batch > 8) {
        fprintf(stderr, "usage: bench_sd CHECKPOINT [SIDE [BATCH [THREADS [DEVICE]]]]\n");
        return 2;
    }
    double t = time_now();
    check(checkpoint_open(&c, argv[1], NULL, &err), &err);
    check(backend_open(&be, argc > 5 ? argv[5] : "cpu", (int)number(argc, argv, 4, 0), &err), &err);
    report("open", t);
    struct clip_run r = {.be = be, .arena = &arena, .tower = "unet", .err = &err};
    int64_t h = side / c->vae.shrink;
    struct tensor x = random_tensor(4, (int64_t[]){batch, h, h, c->unet.in});
    struct tensor y = random_tensor(4, (int64_t[]){batch, h, h, c->unet.out});
    struct tensor context = random_tensor(3, (int64_t[]){batch, 77, c->unet.context});
    struct tensor z = random_tensor(4, (int64_t[]){1, h, h, c->vae.latent});
    struct tensor picture = random_tensor(4, (int64_t[]){1, side, side, 3});
    const float times[8] = {500, 500, 500, 500, 500, 500, 500, 500};
    for (int i = 0; i < 3; i++) {
        arena_rewind(&arena, 0);
        t = time_now();
        check(net_unet_run(&r, &c->unet, &y, &x, times, &context, NULL), &err);
        check(backend_sync(be, &err), &err);
        report("step", t);
    }
    for (int i = 0; i < 2; i++) {
        arena_rewind(&arena, 0);
        t = time_now();
        check(net_vae_decode(&r, &c->vae, &picture, &z), &err);
        check(backend_sync(be, &err), &err);
        report("decode", t);
    }
    struct tensor *all[] = {&x, &y, &context, &z, &picture};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        mem_free(all[i]->data);
    arena_release(&arena);
    backend_close(be);
    checkpoint_close(c);
    return 0;
}
