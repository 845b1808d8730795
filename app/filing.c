/* Filing goes through index_run, so that a generated picture is embedded and committed exactly as
 * a photograph is, and what an earlier run left unfiled is taken in with it. */
#include "app/filing.h"
#include "app/prompt_tags.h"
#include "core/file.h"
#include "db/images.h"
#include "db/vectors.h"
#include "indexer/indexer.h"
#include "sampler/prompt.h"
#include "search/search.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* --model is the checkpoint in generate; the library has a model of its own. */
int filing_open_model(struct app *a)
{
    struct db_opts o = {.mode = DB_READ, .command = a->command->name};
    const char *named = a->model;
    bool opened = false;
    if (a->clip)
        return 0;
    if (!a->library_path && !(a->library_path = app_library_path(a->library)))
        return app_no_memory(a);
    if (!a->db) {
        enum status st = db_open(&a->db, a->library_path, &o, &a->err);
        if (st && st != ST_NOT_FOUND)
            return app_fail(a, APP_LIBRARY);
        opened = !st;
    }
    a->model = a->config_model;
    char *checkpoint = a->model_path;
    a->model_path = NULL;
    int failed = app_open_model(a, NULL);
    a->model = named;
    mem_free(checkpoint);
    if (opened) {
        db_close(a->db);
        a->db = NULL;
    }
    return failed;
}

int filing_open(struct filing *f, struct app *a)
{
    *f = (struct filing){.app = a, .lock = -1};
    if (filing_open_model(a))
        return 1;
    if (!(f->folder = path_join(a->library_path, "generated")))
        return app_no_memory(a);
    if (!a->decoder && app_open_decoder(a, 1, 4, false, 0))
        return 1;
    if (!a->session && app_open_session(a))
        return 1;
    f->vector = mem_zarray((size_t)clip_dim(a->clip), sizeof *f->vector);
    return f->vector ? 0 : app_no_memory(a);
}

void filing_close(struct filing *f)
{
    filing_unlock(f);
    mem_free(f->folder);
    mem_free(f->text);
    mem_free(f->vector);
    lexicon_release(&f->lexicon);
    *f = (struct filing){.lock = -1};
}

/* What the prompt shows at its last step, without weights and networks. */
char *filing_words(const char *prompt, struct error *err)
{
    struct prompt_list networks = {0}, parts = {0}, times = {0}, words = {0};
    char *text = NULL;
    struct buf b;
    buf_init(&b, 1 << 20);
    enum status st = prompt_networks(&networks, &text, prompt, err);
    if (!st)
        st = prompt_split_and(&parts, text, err);
    for (size_t i = 0; !st && i < parts.n; i++) {
        st = prompt_schedule(&times, parts.item[i].text, 1, err);
        if (!st)
            st = prompt_attention(&words, times.item[times.n - 1].text, err);
        for (size_t k = 0; !st && k < words.n; k++)
            buf_puts(&b, words.item[k].is_break ? " " : words.item[k].text);
        buf_puts(&b, i + 1 < parts.n ? " " : "");
        prompt_list_release(&times);
        prompt_list_release(&words);
    }
    prompt_list_release(&networks);
    prompt_list_release(&parts);
    mem_free(text);
    if (!st && !b.failed)
        return buf_take(&b);
    if (!st)
        error_set(err, ST_NOMEM, "out of memory");
    buf_release(&b);
    return NULL;
}

/* name with -2, -3, ... before its ending, below the folder. */
static char *numbered(const struct filing *f, const char *name, int number)
{
    const char *ext = path_ext(name);
    int stem = (int)(ext - name) - 1;
    if (number == 1)
        return path_join(f->folder, name);
    return mem_printf("%s/%.*s-%d.%s", f->folder, stem, name, number, ext);
}

/* A linked folder may lead elsewhere. */
static enum status check_inside(const struct filing *f, const char *dir, struct error *err)
{
    char *real = realpath(dir, NULL), *root = realpath(f->folder, NULL);
    enum status st = ST_OK;
    if (!real || !root || !path_inside(real, root))
        st = error_set(err, ST_USAGE, "%.150s leads out of the library's folder", dir);
    free(real); /* the C library's */
    free(root);
    return st;
}

int filing_path(struct filing *f, char **path, const char *name)
{
    struct app *a = f->app;
    for (int number = 1;; number++) {
        *path = numbered(f, name, number);
        if (!*path || !file_exists(*path))
            break;
        mem_free(*path);
    }
    if (!*path)
        return app_no_memory(a);
    char *dir = path_dir(*path);
    enum status st =
        dir ? file_make_dirs(dir, &a->err) : error_set(&a->err, ST_NOMEM, "out of memory");
    if (!st && access(dir, W_OK | X_OK))
        st = error_set(&a->err, ST_NOSPACE, "%.180s cannot be written to", dir);
    if (!st)
        st = check_inside(f, dir, &a->err);
    mem_free(dir);
    if (!st)
        return 0;
    if (st == ST_IO)
        a->err.code = ST_NOSPACE;
    mem_free(*path);
    *path = NULL;
    return app_fail(a, APP_LIBRARY);
}

static int text_vector(struct filing *f, const char *prompt)
{
    struct app *a = f->app;
    if (f->text && !strcmp(f->text, prompt))
        return 0;
    char *words = filing_words(prompt, &a->err);
    if (!words)
        return app_fail(a, APP_FILE);
    const char *one = words;
    enum status st = clip_encode_text(a->session, &one, 1, f->vector, &a->err);
    mem_free(words);
    mem_free(f->text);
    f->text = st ? NULL : mem_strdup(prompt);
    return st ? app_fail(a, APP_MODEL) : 0;
}

int filing_score(struct filing *f, const char *text, const struct image *img, float *score)
{
    struct app *a = f->app;
    struct decoder_prep prep = clip_prep(a->clip, true);
    struct image small = {0};
    float v[CLIP_MAX_DIM];
    if (text_vector(f, text))
        return 1;
    enum status st = decoder_prepare(&small, img, &prep, &a->err);
    const uint8_t *pixels = small.data;
    if (!st)
        st = clip_encode_images(a->session, &pixels, 1, v, &a->err);
    image_release(&small);
    if (st)
        return app_fail(a, APP_MODEL);
    double sum = 0;
    for (int i = 0; i < clip_dim(a->clip); i++)
        sum += (double)v[i] * (double)f->vector[i];
    *score = (float)sum;
    return 0;
}

/* In the transaction that makes the row. */
static enum status tag(void *ctx, int64_t image, const float *vector, const float *places,
                       struct error *err)
{
    struct filing *f = ctx;
    struct prompt_tags t = {0};
    struct db_image im = {0};
    (void)vector;
    (void)places;
    enum status st = f->lexicon.n ? ST_OK : lexicon_builtin(&f->lexicon, err);
    if (!st)
        st = db_image_get(f->db, image, &im, err);
    char *words = !st && im.generated && im.prompt ? filing_words(im.prompt, NULL) : NULL;
    if (words)
        st = prompt_tags_find(&t, words, &f->lexicon, err);
    if (!st && t.n)
        st = db_tags_put(f->db, image, PROMPT_TAGS_KEY, t.tag, t.n, err);
    prompt_tags_release(&t);
    db_image_release(&im);
    mem_free(words);
    return st;
}

/* A picture that cannot be read is nothing that its maker can help: `eidetic errors` lists it. */
static enum status index_one(struct filing *f, struct db *db, const char *root)
{
    struct app *a = f->app;
    struct index_opts o = {
        .roots = &root, .n_roots = 1, .batch_size = 4, .embedded = tag, .embedded_ctx = f};
    struct index_parts parts = {db, a->session, a->clip, a->decoder};
    struct index_report r;
    struct db_model m = {0};
    struct search_opts so = {.threads = a->threads};
    f->db = db;
    enum status st = index_run(&parts, &o, &r, &a->err);
    if (!st)
        st = db_model_get(db, clip_info(a->clip)->id, &m, &a->err);
    if (!st && r.embedded)
        st = search_maintain(db, m.id, &so, &a->err);
    return st;
}

int filing_add(struct filing *f, const char *path)
{
    struct app *a = f->app;
    struct db_opts o = {.mode = DB_CREATE, .lock_wait_ms = 10000, .command = a->command->name};
    struct db *db = NULL;
    bool sweep = !path || !f->swept;
    enum status st = db_open(&db, a->library_path, &o, &a->err);
    if (!st && sweep && file_is_dir(f->folder))
        st = index_one(f, db, f->folder);
    f->swept |= !st;
    if (!st && path && !(sweep && path_inside(path, f->folder)))
        st = index_one(f, db, path);
    db_close(db);
    return st ? app_fail(a, APP_LIBRARY) : 0;
}

int filing_lock(struct filing *f)
{
    struct app *a = f->app;
    enum status st = file_make_dirs(f->folder, &a->err);
    char *path = st ? NULL : path_join(f->folder, ".making");
    if (!st && !path)
        return app_no_memory(a);
    f->lock = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644) : -1;
    if (!st && f->lock < 0)
        st = error_errno(&a->err, errno, "%s", path);
    mem_free(path);
    for (bool told = false; !st && flock(f->lock, LOCK_EX | LOCK_NB);) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            st = error_errno(&a->err, errno, "%s", f->folder);
        if (!told)
            log_info("waiting: pictures are being made for another search of this library");
        told = true;
        if (*a->stop)
            st = error_set(&a->err, ST_INTERRUPTED, "interrupted");
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    if (!st)
        return 0;
    if (st == ST_IO)
        a->err.code = ST_NOSPACE;
    return app_fail(a, APP_LIBRARY);
}

void filing_unlock(struct filing *f)
{
    if (f->lock >= 0)
        close(f->lock);
    f->lock = -1;
}
