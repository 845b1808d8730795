/* search --interactive: the answers change while one types. The picture of the screen goes to
 * stderr, the chosen path to stdout, so that $(eidetic search -i) works. */
#include "app/search_app.h"
#include "clip/unicode.h"
#include "core/file.h"
#include "core/progress.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { TYPED = 1024, WAIT_MS = 60, ESCAPE_MS = 50, LEAST_ROWS = 4 };

struct live {
    struct app *app;
    struct search_run *run;
    int tty;
    struct termios before;
    char typed[TYPED];
    size_t len;
    int rows, columns;
    size_t chosen;
    char **path; /* of the answer */
    float *score;
    size_t n;
    bool fits, changed, done, cancelled;
    char note[256]; /* what is wrong with the query */
};

static void clear_answer(struct live *l)
{
    for (size_t i = 0; i < l->n; i++)
        mem_free(l->path[i]);
    mem_free(l->path);
    mem_free(l->score);
    l->path = NULL;
    l->score = NULL;
    l->n = 0;
}

static int take(struct app *a, struct search_run *run, const struct search_view *v)
{
    struct live *l = run->take_ctx;
    clear_answer(l);
    l->fits = v->fits;
    l->path = mem_zarray(v->shown + 1, sizeof *l->path);
    l->score = mem_zarray(v->shown + 1, sizeof *l->score);
    if (!l->path || !l->score)
        return app_no_memory(a);
    for (; l->n < v->shown; l->n++) {
        const struct search_hit *h = &v->result->hits[l->n];
        if (db_image_path(a->db, h->image, run->folder, &l->path[l->n], &a->err))
            return app_fail(a, APP_LIBRARY);
        l->score[l->n] = h->score;
    }
    return 0;
}

static bool is_there(const char *typed)
{
    char *path = app_user_path(typed);
    bool there = path && file_exists(path) && !file_is_dir(path);
    mem_free(path);
    return there;
}

/* A sentence that is not finished may be wrong; that is shown, and the last answer stays. */
static int ask(struct live *l)
{
    struct app *a = l->app;
    struct query q = {0};
    struct error e = {ST_OK, ""};
    const char *words = l->typed;
    int failed = 0;
    l->note[0] = 0;
    l->chosen = 0;
    if (!l->typed[strspn(l->typed, " ")]) {
        clear_answer(l);
        return 0;
    }
    if (query_add_words(&q, &words, 1, &e) || query_conditions(&q, &e)) {
        snprintf(l->note, sizeof l->note, "%s", e.text);
    } else if (q.terms[0].kind == QUERY_IMAGE && !is_there(q.terms[0].text)) {
        snprintf(l->note, sizeof l->note, "%.200s: no such file", q.terms[0].text);
    } else {
        failed = search_answer(a, l->run, &q, l->typed, time_now());
    }
    query_release(&q);
    return failed;
}

/* At most `columns` columns, nothing that could move the cursor; how many they were. */
static int put_cut(const char *text, int columns)
{
    int used = 0;
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_text_safe(&b, text);
    const char *s = b.data ? b.data : "?";
    size_t all = strlen(s), at = 0;
    while (at < all) {
        uint32_t cp;
        size_t n = utf8_decode(s + at, all - at, &cp);
        int wide = unicode_columns(cp);
        if (used + wide > columns)
            break;
        used += wide;
        at += n;
    }
    fwrite(s, 1, at, stderr);
    buf_release(&b);
    return used;
}

/* Asked each time: windows are made larger and smaller. */
static void read_size(struct live *l)
{
    struct winsize size = {0};
    ioctl(l->tty, TIOCGWINSZ, &size);
    l->rows = size.ws_row >= LEAST_ROWS ? size.ws_row : 24;
    l->columns = size.ws_col >= 20 ? size.ws_col : 80;
}

static void draw(struct live *l)
{
    read_size(l);
    int most = l->rows - 3;
    fputs("\r\033[J> ", stderr);
    int typed = put_cut(l->typed, l->columns - 4), lines = 0;
    for (size_t i = 0; i < l->n && lines < most; i++, lines++) {
        fprintf(stderr, "\r\n%s%.3f ", i == l->chosen ? "\033[7m" : "", (double)l->score[i]);
        put_cut(l->path[i], l->columns - 8);
        if (i == l->chosen)
            fputs("\033[0m", stderr);
    }
    const char *note = l->note[0]         ? l->note
                       : l->n && !l->fits ? "nothing fits this well; these are the nearest"
                       : l->n             ? ""
                                          : "type what to look for; Enter chooses, Esc leaves";
    fputs("\r\n", stderr);
    put_cut(note, l->columns - 1);
    fprintf(stderr, "\033[%dA\r\033[2C", lines + 1);
    if (typed)
        fprintf(stderr, "\033[%dC", typed);
    fflush(stderr);
}

static void drop_last(struct live *l)
{
    while (l->len && ((unsigned char)l->typed[l->len - 1] & 0xC0) == 0x80)
        l->len--;
    l->len -= l->len > 0;
}

static void on_key(struct live *l, unsigned char c)
{
    if (c != '\r' && c != '\n')
        l->changed = true;
    if (c == '\r' || c == '\n') {
        l->done = true;
    } else if (c == 3 || c == 4) {
        l->done = l->cancelled = true;
    } else if (c == 127 || c == 8) {
        drop_last(l);
    } else if (c == 21) {
        l->len = 0;
    } else if (c == 23) {
        while (l->len && l->typed[l->len - 1] == ' ')
            l->len--;
        while (l->len && l->typed[l->len - 1] != ' ')
            l->len--;
    } else if (c >= 32 && l->len + 1 < TYPED) {
        l->typed[l->len++] = (char)c;
    }
    l->typed[l->len] = 0;
}

/* What one read gave: keys, or an escape sequence; Escape alone leaves. */
static void on_input(struct live *l, const unsigned char *s, ssize_t n)
{
    for (ssize_t i = 0; i < n && !l->done; i++) {
        if (s[i] != 27) {
            on_key(l, s[i]);
        } else if (i + 1 == n || s[i + 1] == 27) {
            l->done = l->cancelled = true;
        } else {
            bool arrow = i + 2 < n && (s[i + 1] == '[' || s[i + 1] == 'O');
            if (arrow && s[i + 2] == 'A')
                l->chosen -= l->chosen > 0;
            if (arrow && s[i + 2] == 'B')
                l->chosen += l->chosen + 1 < l->n;
            for (i += 1; i + 1 < n && (s[i] < 64 || s[i] == '[' || s[i] == 'O'); i++)
                continue; /* to the letter that ends it */
        }
    }
}

static bool wait_for_input(const struct live *l, int ms)
{
    struct pollfd p = {.fd = l->tty, .events = POLLIN};
    return poll(&p, 1, ms) > 0;
}

/* Keys that are there. An Escape at the end may begin an arrow key whose rest a slow line brings
 * later. */
static ssize_t read_keys(const struct live *l, unsigned char *in, size_t cap)
{
    ssize_t n = read(l->tty, in, cap);
    while (n > 0 && (size_t)n < cap && in[n - 1] == 27 && wait_for_input(l, ESCAPE_MS)) {
        ssize_t more = read(l->tty, in + n, cap - (size_t)n);
        if (more <= 0)
            break;
        n += more;
    }
    return n;
}

static int loop(struct live *l)
{
    unsigned char in[256];
    int failed = 0;
    draw(l);
    while (!failed && !l->done) {
        while (!wait_for_input(l, 250) && !*l->app->stop)
            continue;
        ssize_t n = *l->app->stop ? 0 : read_keys(l, in, sizeof in);
        if (n <= 0) {
            l->done = l->cancelled = true; /* told to end, or the terminal is gone */
            break;
        }
        on_input(l, in, n);
        if (!l->done && wait_for_input(l, l->changed ? WAIT_MS : 0))
            continue; /* the sentence goes on */
        if (l->changed && !l->cancelled)
            failed = ask(l);
        l->changed = false;
        if (!failed && !l->done)
            draw(l);
    }
    return failed;
}

static int open_terminal(struct live *l)
{
    struct app *a = l->app;
    l->tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (l->tty < 0 || !isatty(STDERR_FILENO) || tcgetattr(l->tty, &l->before))
        return app_usage(a, "--interactive needs a terminal");
    struct termios raw = l->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    raw.c_iflag &= ~(tcflag_t)(ICRNL | IXON);
    if (tcsetattr(l->tty, TCSADRAIN, &raw)) {
        error_errno(&a->err, errno, "the terminal");
        return app_fail(a, APP_FILE);
    }
    return 0;
}

int search_live(struct app *a, struct search_run *run)
{
    struct live l = {.app = a, .run = run, .tty = -1};
    if (a->rest.n > 1)
        return app_usage(a, "--interactive takes at most one sentence to begin with");
    if (a->rest.n)
        l.len = (size_t)snprintf(l.typed, sizeof l.typed, "%s", a->rest.item[0].value);
    if (l.len >= sizeof l.typed)
        return app_usage(a, "the sentence is longer than %d bytes", TYPED);
    run->take = take;
    run->take_ctx = &l; /* cppcheck-suppress autoVariables; taken back below */
    int failed = search_open_all(a, run, NULL) || app_open_session(a) || open_terminal(&l);
    if (!failed) {
        a->stop_gently();
        log_set_level(LOG_ERROR); /* what stands on the screen says it */
        failed = ask(&l);
        if (!failed)
            failed = loop(&l);
        fputs("\r\033[J", stderr);
        tcsetattr(l.tty, TCSADRAIN, &l.before);
    }
    if (l.tty >= 0)
        close(l.tty);
    if (!failed) {
        a->exit = l.cancelled || !l.n ? EXIT_INTERRUPTED : EXIT_DONE;
        if (!a->exit)
            print_plain_path(l.path[l.chosen], run->args->null);
        failed = app_check_stdout(a);
    }
    run->take = NULL;
    run->take_ctx = NULL;
    clear_answer(&l);
    return failed;
}
