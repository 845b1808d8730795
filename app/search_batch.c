/* search --batch: one query a line, an answer each, in order. Sentences that are there together are
 * encoded together; a line that arrives alone is answered at once, so that another program can ask
 * through a pipe. A line that is wrong is said, and the rest goes on. */
#include "app/search_app.h"
#include "app/search_device.h"
#include "core/lines.h"
#include "core/path.h"
#include "core/progress.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TOGETHER = 64, LONGEST = 1 << 16 };

struct asked {
    char *text; /* the line */
    uint64_t line;
    struct query q; /* one term; none where the line is wrong */
    size_t row;     /* of a sentence's vector */
    struct error why;
};

struct batch {
    struct app *a;
    struct search_run *run;
    struct asked asked[TOGETHER];
    size_t n;
    float *rows;                  /* [TOGETHER, dim] */
    float *queries;               /* the same combined, for the device */
    struct search_device *device; /* or NULL */
    double encoding;              /* seconds a sentence */
    int worst;
};

static void note_exit(struct batch *b)
{
    if (b->a->exit > b->worst)
        b->worst = b->a->exit;
    b->a->exit = EXIT_DONE;
}

/* Empty lines are passed over. */
static int take_line(struct batch *b, const struct lines *l, char *s)
{
    struct asked *k = &b->asked[b->n];
    size_t mark = l->number == 1 ? utf8_mark(s, l->len) : 0, len = l->len - mark;
    s += mark;
    if (!s[strspn(s, " \t")] && len == strlen(s))
        return 0;
    *k = (struct asked){.text = mem_strdup(s), .line = l->number};
    if (!k->text) {
        error_set(&b->a->err, ST_NOMEM, "out of memory for a query");
        return app_fail(b->a, APP_FILE);
    }
    b->n++;
    if (l->cut)
        error_set(&k->why, ST_LIMIT, "a query is at most %d bytes long", LONGEST);
    else if (len != strlen(s))
        error_set(&k->why, ST_FORMAT, "the line holds a NUL byte");
    else if (!query_add(&k->q, s, 1, &k->why))
        query_conditions(&k->q, &k->why);
    return 0;
}

static int encode_sentences(struct batch *b)
{
    const char *texts[TOGETHER];
    size_t n = 0;
    double start = time_now();
    for (size_t i = 0; i < b->n; i++) {
        struct asked *k = &b->asked[i];
        if (k->why.code || k->q.terms[0].kind != QUERY_TEXT)
            continue;
        k->row = n;
        texts[n++] = k->q.terms[0].text;
    }
    if (n && !b->a->session && app_open_session(b->a))
        return 1;
    if (n && clip_encode_text(b->a->session, texts, (int)n, b->rows, &b->a->err))
        return app_fail(b->a, APP_MODEL);
    b->encoding = n ? (time_now() - start) / (double)n : 0;
    return 0;
}

/* Those of one sentence and no conditions of their own, on the device. */
static void look_ahead(struct batch *b)
{
    size_t dim = (size_t)clip_dim(b->a->clip), m = 0;
    struct db_filter filter = b->run->filter;
    filter.where = NULL;
    for (size_t i = 0; i < b->n && b->device; i++) {
        const struct asked *k = &b->asked[i];
        if (!k->why.code && k->q.terms[0].kind == QUERY_TEXT && !k->q.where &&
            !query_combine(&k->q, b->rows + k->row * dim, dim, b->queries + m * dim, NULL))
            m++;
    }
    if (m > 1)
        search_device_look(b->device, b->run->search, b->queries, m, &filter);
}

/* A line without an answer: said on stderr, and in its place on stdout. */
static int answer_wrong(struct batch *b, const struct asked *k)
{
    struct search_view v = {.query = k->text, .line = k->line, .error = b->a->err.text};
    note_exit(b);
    return search_print(b->a, b->run, &v);
}

static int answer_line(struct batch *b, struct asked *k)
{
    struct app *a = b->a;
    float vector[CLIP_MAX_DIM], picture[CLIP_MAX_DIM];
    const float *term = picture;
    double start = time_now();
    if (k->why.code) {
        a->err = k->why;
        app_fail(a, APP_USAGE);
        return answer_wrong(b, k);
    }
    if (k->q.terms[0].kind == QUERY_TEXT) {
        term = b->rows + k->row * (size_t)clip_dim(a->clip);
        start -= b->encoding;
    } else if (search_picture_vector(a, b->run, k->q.terms[0].text, picture)) {
        return a->exit > EXIT_UNREADABLE ? 1 : answer_wrong(b, k);
    }
    if (query_combine(&k->q, term, (size_t)clip_dim(a->clip), vector, &a->err)) {
        app_fail(a, APP_USAGE);
        return answer_wrong(b, k);
    }
    int failed = search_answer_vector(a, b->run, &k->q, vector, k->text, k->line, start);
    if (!failed)
        note_exit(b);
    return failed;
}

static int answer_all(struct batch *b)
{
    int failed = encode_sentences(b);
    if (!failed)
        look_ahead(b);
    for (size_t i = 0; i < b->n; i++) {
        char about[40];
        snprintf(about, sizeof about, "line %llu", (unsigned long long)b->asked[i].line);
        b->a->about = about;
        if (!failed)
            failed = answer_line(b, &b->asked[i]);
        b->a->about = NULL;
        query_release(&b->asked[i].q);
        mem_free(b->asked[i].text);
    }
    b->n = 0;
    return failed;
}

static int answer_lines(struct batch *b, int fd, const char *name)
{
    struct lines l;
    int failed = 0;
    lines_init(&l, fd, LONGEST);
    while (!failed) {
        char *s;
        bool wait = b->n == 0; /* those that are there are answered before more is waited for */
        if (lines_next(&l, wait, &s, &b->a->err)) {
            error_prefix(&b->a->err, ST_IO, "%.100s", name);
            failed = app_fail(b->a, APP_FILE);
        } else if (s) {
            failed = take_line(b, &l, s);
        }
        if (!failed && b->n && (!s || b->n == TOGETHER))
            failed = answer_all(b);
        else if (!s)
            break;
    }
    for (size_t i = 0; i < b->n; i++) {
        query_release(&b->asked[i].q);
        mem_free(b->asked[i].text);
    }
    lines_release(&l);
    return failed;
}

int search_batch(struct app *a, struct search_run *run)
{
    struct batch b = {.a = a, .run = run};
    const char *file = run->args->batch;
    bool from_stdin = !strcmp(file, "-");
    if (a->rest.n)
        return app_usage(a, "--batch takes its queries from the file, not from the command line");
    int fd = from_stdin ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        error_errno(&a->err, errno, "%s", file);
        return app_fail(a, APP_FILE);
    }
    if (!search_open_all(a, run, NULL)) {
        b.rows = mem_array((size_t)TOGETHER * (size_t)clip_dim(a->clip), sizeof *b.rows);
        b.queries = mem_array((size_t)TOGETHER * (size_t)clip_dim(a->clip), sizeof *b.queries);
        b.device = search_device_open(a);
        if (b.rows && b.queries) {
            answer_lines(&b, fd, from_stdin ? "standard input" : file);
        } else {
            app_no_memory(a);
        }
        search_device_close(b.device);
        mem_free(b.rows);
        mem_free(b.queries);
    }
    if (!from_stdin)
        close(fd);
    if (!a->exit)
        a->exit = b.worst;
    return a->exit;
}
