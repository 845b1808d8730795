/* Pictures and sentences a second, and memory, of models at full size. Weights are random, since
 * speed does not look at them: one block of values serves every tensor, written once as an OpenCLIP
 * folder in the temporary folder.
 *
 *     bench_clip                          the starter model and ViT-B-32
 *     bench_clip ViT-L-14-336 ViT-H-14    those (ViT-B-32 ViT-B-16 ViT-L-14 ViT-L-14-336 ViT-H-14)
 *     bench_clip models/starter           a model of yours
 *     bench_clip -o images:16 MODEL       one figure alone, by the median call: pictures a second,
 *                                         16 at a time
 *     bench_clip -o "text:a red boat" M   the same: sentences a second, one at a time
 *
 * -t N threads (all processors), -s SECONDS at least for each figure (3), -p f16|f32 of random
 * weights (f32), -P f32|bf16|int8|auto for pictures (f32); a sentence's figure under auto is that
 * of weights kept in f16, as search reads them */
#include "clip/clip.h"
#include "core/cpu.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/progress.h"
#include "core/rng.h"
#include "nn/backend.h"
#include "nn/weights.h"
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct shape {
    const char *name;
    int dim, image, patch, width, layers, head, text_width, text_layers;
};

static const struct shape shapes[] = {
    {"ViT-B-32", 512, 224, 32, 768, 12, 64, 512, 12},
    {"ViT-B-16", 512, 224, 16, 768, 12, 64, 512, 12},
    {"ViT-L-14", 768, 224, 14, 1024, 24, 64, 768, 12},
    {"ViT-L-14-336", 768, 336, 14, 1024, 24, 64, 768, 12},
    {"ViT-H-14", 1024, 224, 14, 1280, 32, 80, 1024, 24},
};

struct out {
    struct weights_out_tensor *t;
    char (*name)[96];
    int n, cap;
    void *data;
    enum dtype dtype;
};

static void add(struct out *o, int ndim, const int64_t *dims, const char *stem, int layer,
                const char *rest)
{
    if (o->n == o->cap)
        return;
    if (layer >= 0)
        snprintf(o->name[o->n], 96, "%sresblocks.%d.%s", stem, layer, rest);
    else
        snprintf(o->name[o->n], 96, "%s%s", stem, rest);
    o->t[o->n] =
        (struct weights_out_tensor){o->name[o->n], tensor_view(o->data, o->dtype, ndim, dims)};
    o->n++;
}

#define D1(a)                                                                                      \
    1, (int64_t[])                                                                                 \
    {                                                                                              \
        a                                                                                          \
    }
#define D2(a, b)                                                                                   \
    2, (int64_t[])                                                                                 \
    {                                                                                              \
        a, b                                                                                       \
    }

static void add_layers(struct out *o, const char *stem, int64_t d, int layers)
{
    for (int i = 0; i < layers; i++) {
        add(o, D2(3 * d, d), stem, i, "attn.in_proj_weight");
        add(o, D1(3 * d), stem, i, "attn.in_proj_bias");
        add(o, D2(d, d), stem, i, "attn.out_proj.weight");
        add(o, D1(d), stem, i, "attn.out_proj.bias");
        add(o, D1(d), stem, i, "ln_1.weight");
        add(o, D1(d), stem, i, "ln_1.bias");
        add(o, D1(d), stem, i, "ln_2.weight");
        add(o, D1(d), stem, i, "ln_2.bias");
        add(o, D2(4 * d, d), stem, i, "mlp.c_fc.weight");
        add(o, D1(4 * d), stem, i, "mlp.c_fc.bias");
        add(o, D2(d, 4 * d), stem, i, "mlp.c_proj.weight");
        add(o, D1(d), stem, i, "mlp.c_proj.bias");
    }
}

static void add_towers(struct out *o, const struct shape *s)
{
    int64_t d = s->width, e = s->text_width, g = s->image / s->patch;
    add(o, 4, (int64_t[]){d, 3, s->patch, s->patch}, "visual.", -1, "conv1.weight");
    add(o, D1(d), "visual.", -1, "class_embedding");
    add(o, D2(1 + g * g, d), "visual.", -1, "positional_embedding");
    add(o, D1(d), "visual.", -1, "ln_pre.weight");
    add(o, D1(d), "visual.", -1, "ln_pre.bias");
    add_layers(o, "visual.transformer.", d, s->layers);
    add(o, D1(d), "visual.", -1, "ln_post.weight");
    add(o, D1(d), "visual.", -1, "ln_post.bias");
    add(o, D2(d, s->dim), "visual.", -1, "proj");
    add(o, D2(49408, e), "", -1, "token_embedding.weight");
    add(o, D2(77, e), "", -1, "positional_embedding");
    add_layers(o, "transformer.", e, s->text_layers);
    add(o, D1(e), "", -1, "ln_final.weight");
    add(o, D1(e), "", -1, "ln_final.bias");
    add(o, D2(e, s->dim), "", -1, "text_projection");
    add(o, 0, NULL, "", -1, "logit_scale");
}

static enum status write_config(const struct shape *s, const char *dir, struct error *err)
{
    char *text = mem_printf(
        "{\"model_cfg\": {\"embed_dim\": %d, \"vision_cfg\": {\"image_size\": %d, \"layers\": %d, "
        "\"width\": %d, \"patch_size\": %d, \"head_width\": %d}, \"text_cfg\": {\"width\": %d, "
        "\"heads\": %d, \"layers\": %d}}}",
        s->dim, s->image, s->layers, s->width, s->patch, s->head, s->text_width, s->text_width / 64,
        s->text_layers);
    char *path = path_join(dir, "open_clip_config.json");
    enum status st = text && path ? file_write_atomic(path, text, strlen(text), err)
                                  : error_set(err, ST_NOMEM, "out of memory");
    mem_free(path);
    mem_free(text);
    return st;
}

static enum status write_random(const struct shape *s, const char *dir, enum dtype dtype,
                                struct error *err)
{
    size_t most = (size_t)49408 * (size_t)s->text_width, bytes = 0;
    struct out o = {.cap = 32 + 12 * (s->layers + s->text_layers), .dtype = dtype};
    struct rng r = {42};
    char *file = path_join(dir, "open_clip_model.safetensors");
    o.t = mem_zarray((size_t)o.cap, sizeof *o.t);
    o.name = mem_zarray((size_t)o.cap, sizeof *o.name);
    o.data = dtype_bytes(dtype, most, &bytes) ? mem_alloc(bytes) : NULL;
    enum status st = ST_OK;
    if (!file || !o.t || !o.name || !o.data)
        st = error_set(err, ST_NOMEM, "out of memory");
    for (size_t i = 0; i < most && !st; i++) {
        float f = (rng_uniform(&r) - 0.5f) * 0.1f;
        if (dtype == DT_F32)
            ((float *)o.data)[i] = f;
        else
            ((uint16_t *)o.data)[i] = f32_to_f16(f);
    }
    if (!st) {
        add_towers(&o, s);
        st = weights_write(file, o.t, o.n,
                           (const char *const[]){"eidetic.source_id", "random", NULL}, err);
    }
    if (!st)
        st = write_config(s, dir, err);
    mem_free(o.data);
    mem_free(o.name);
    mem_free(o.t);
    mem_free(file);
    return st;
}

/* Per second of the clock, and per second that processors worked: the second figure means something
 * on a busy machine, too. */
struct rate {
    double clock, work;
};

static double work_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static enum status time_images(struct clip_session *s, const struct clip_info *i, int n,
                               double least, struct rate *rate, struct error *err)
{
    size_t one = (size_t)i->image_size * (size_t)i->image_size * 3;
    uint8_t *px = mem_alloc(one);
    const uint8_t *many[64];
    float *v = mem_array((size_t)n * (size_t)i->dim, sizeof *v);
    enum status st = px && v ? ST_OK : error_set(err, ST_NOMEM, "out of memory");
    struct rng r = {7};
    for (size_t k = 0; k < one && !st; k++)
        px[k] = (uint8_t)rng_below(&r, 256);
    for (int k = 0; k < n; k++)
        many[k] = px;
    if (!st)
        st = clip_encode_images(s, many, n, v, err); /* pages the weights in, sizes the arena */
    double work = work_now(), start = time_now(), now = start;
    int done = 0;
    for (; !st && (done == 0 || now - start < least); now = time_now()) {
        st = clip_encode_images(s, many, n, v, err);
        done += n;
    }
    *rate = (struct rate){done / (now - start), done / (work_now() - work)};
    mem_free(v);
    mem_free(px);
    return st;
}

static enum status time_texts(struct clip_session *s, const struct clip_info *i, int n,
                              double least, struct rate *rate, struct error *err)
{
    const char *many[64];
    float *v = mem_array((size_t)n * (size_t)i->dim, sizeof *v);
    enum status st = v ? ST_OK : error_set(err, ST_NOMEM, "out of memory");
    for (int k = 0; k < n; k++)
        many[k] = "two children in red coats are building a snowman in front of a wooden house";
    if (!st)
        st = clip_encode_text(s, many, n, v, err);
    double work = work_now(), start = time_now(), now = start;
    int done = 0;
    for (; !st && (done == 0 || now - start < least); now = time_now()) {
        st = clip_encode_text(s, many, n, v, err);
        done += n;
    }
    *rate = (struct rate){done / (now - start), done / (work_now() - work)};
    mem_free(v);
    return st;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Calls for `least` seconds, at most 4096, and prints how many of `n` a second the median makes. */
static enum status print_figure(struct clip_session *s, const uint8_t *const *images,
                                const char *text, int n, float *v, double least, struct error *err)
{
    double *took = mem_array(4096, sizeof *took), start = time_now(), now = start;
    enum status st = took ? ST_OK : error_set(err, ST_NOMEM, "out of memory");
    int calls = 0;
    for (int warm = 2; !st && (warm > 0 || calls == 0 || (now - start < least && calls < 4096));) {
        double t = time_now();
        st =
            text ? clip_encode_text(s, &text, 1, v, err) : clip_encode_images(s, images, n, v, err);
        now = time_now();
        if (warm > 0 && warm--) /* pages the weights in, sizes the arena */
            start = now;
        else
            took[calls++] = now - t;
    }
    if (!st) {
        qsort(took, (size_t)calls, sizeof *took, by_size);
        printf("%.4f\n", n / took[calls / 2]);
    }
    mem_free(took);
    return st;
}

/* precision: a name, or auto as the program's --precision means it. */
static enum status open_session(struct clip_session **s, const struct clip *c,
                                const char *precision, int threads, struct error *err)
{
    char device[16];
    if (strcmp(precision, "auto") == 0)
        precision = precision_name(backend_has_low_precision() ? clip_info(c)->near_f32 : PREC_F32);
    snprintf(device, sizeof device, "cpu/%s", precision);
    return clip_session_new(s, c, device, threads, err);
}

/* what: "images:N" or "text:SENTENCE". */
static enum status bench_figure(const char *path, const char *what, const char *precision,
                                int threads, double least, struct error *err)
{
    struct clip *c = NULL;
    struct clip_session *s = NULL;
    const uint8_t *many[256];
    const char *text = strncmp(what, "text:", 5) == 0 ? what + 5 : NULL;
    long n = text ? 1 : strncmp(what, "images:", 7) == 0 ? strtol(what + 7, NULL, 10) : 0;
    if (n < 1 || n > 256)
        return error_set(err, ST_USAGE, "-o images:1 to images:256, or -o text:SENTENCE");
    struct clip_opts o = {.half = text && !strcmp(precision, "auto")}; /* as search has it */
    enum status st = o.half ? clip_write_half(path, err) : ST_OK;
    if (!st)
        st = clip_open(&c, path, &o, err);
    if (!st)
        st = open_session(&s, c, precision, threads, err);
    size_t one = st ? 1 : (size_t)clip_info(c)->image_size * (size_t)clip_info(c)->image_size * 3;
    uint8_t *px = mem_alloc(one);
    float *v = mem_array((size_t)n * CLIP_MAX_DIM, sizeof *v);
    if (!st && (!px || !v))
        st = error_set(err, ST_NOMEM, "out of memory");
    struct rng r = {7};
    for (size_t i = 0; i < one && !st; i++)
        px[i] = (uint8_t)rng_below(&r, 256);
    for (int i = 0; i < n; i++)
        many[i] = px;
    if (!st)
        st = print_figure(s, many, text, (int)n, v, least, err);
    mem_free(v);
    mem_free(px);
    clip_session_free(s);
    clip_close(c);
    return st;
}

static enum status bench_model(const char *path, const char *name, const char *precision,
                               int threads, double least, struct error *err)
{
    struct clip *c = NULL;
    struct clip_session *s = NULL;
    struct rate images = {0}, batch = {0}, one = {0}, texts = {0};
    double start = time_now();
    enum status st = clip_open(&c, path, NULL, err);
    double opened = time_now() - start;
    if (!st)
        st = open_session(&s, c, precision, threads, err);
    if (!st)
        st = time_images(s, clip_info(c), 1, least, &images, err);
    int many = images.work > 4.0 ? 32 : 2; /* what takes seconds a picture gains nothing by more */
    if (!st)
        st = time_images(s, clip_info(c), many, least, &batch, err);
    if (!st)
        st = time_texts(s, clip_info(c), 1, least, &one, err);
    if (!st)
        st = time_texts(s, clip_info(c), 64, least, &texts, err);
    if (!st) {
        struct rusage u;
        getrusage(RUSAGE_SELF, &u);
        printf("%-14s %6.1f M %-4s open %6.1f ms  images/s %7.2f (1) %7.2f (%d), %7.2f a "
               "processor  texts/s %7.1f (1) %7.1f (64), %7.1f a processor  peak %ld MB\n",
               name, (double)clip_info(c)->parameters / 1e6, clip_info(c)->dtype, 1e3 * opened,
               images.clock, batch.clock, many, batch.work, one.clock, texts.clock, texts.work,
               u.ru_maxrss / 1024);
        fflush(stdout);
    }
    clip_session_free(s);
    clip_close(c);
    return st;
}

static void remove_folder(const char *dir)
{
    static const char *const names[] = {"open_clip_config.json", "open_clip_model.safetensors"};
    for (int i = 0; i < 2; i++) {
        char *p = path_join(dir, names[i]);
        if (p)
            unlink(p);
        mem_free(p);
    }
    rmdir(dir);
}

static enum status bench_random(const struct shape *s, const char *precision, int threads,
                                double least, enum dtype dtype, struct error *err)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = mem_printf("%s/bench-clip-XXXXXX", tmp ? tmp : "/tmp");
    if (!dir || !mkdtemp(dir)) {
        mem_free(dir);
        return error_set(err, ST_IO, "no temporary folder");
    }
    enum status st = write_random(s, dir, dtype, err);
    if (!st)
        st = bench_model(dir, s->name, precision, threads, least, err);
    remove_folder(dir);
    mem_free(dir);
    return st;
}

static enum status bench_one(const char *name, const char *precision, int threads, double least,
                             enum dtype dtype, struct error *err)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        if (strcmp(name, shapes[i].name) == 0)
            return bench_random(&shapes[i], precision, threads, least, dtype, err);
    return bench_model(name, path_base(name), precision, threads, least, err);
}

int main(int argc, char **argv)
{
    int threads = cpu_count(), opt;
    double least = 3.0;
    enum dtype dtype = DT_F32;
    const char *what = NULL, *precision = "f32";
    struct error err = {0};
    enum status st = ST_OK;
    while ((opt = getopt(argc, argv, "t:s:p:o:P:")) != -1) {
        if (opt == 't')
            threads = (int)strtol(optarg, NULL, 10);
        else if (opt == 's')
            least = strtod(optarg, NULL);
        else if (opt == 'o')
            what = optarg;
        else if (opt == 'P' && (strcmp(optarg, "auto") == 0 || precision_parse(optarg) >= 0))
            precision = optarg;
        else if (opt == 'p' && (strcmp(optarg, "f16") == 0 || strcmp(optarg, "f32") == 0))
            dtype = strcmp(optarg, "f16") == 0 ? DT_F16 : DT_F32;
        else
            return 2;
    }
    if (what && optind + 1 != argc)
        return 2;
    if (what)
        st = bench_figure(argv[optind++], what, precision, threads, least, &err);
    else if (optind == argc) {
        if (file_is_dir("models/starter"))
            st = bench_one("models/starter", precision, threads, least, dtype, &err);
        if (!st)
            st = bench_one("ViT-B-32", precision, threads, least, dtype, &err);
    }
    for (int i = optind; i < argc && !st; i++)
        st = bench_one(argv[i], precision, threads, least, dtype, &err);
    if (st)
        fprintf(stderr, "bench_clip: %s\n", err.text);
    return st ? 1 : 0;
}
