/* search --interactive: the answers change while one types. The picture of the screen goes to the
 * terminal, the chosen path to stdout, so that $(eidetic search -i) works. */
#include "app/live_screen.h"
#include "app/search_app.h"
#include "core/progress.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* A sentence is answered when so long no key came, or so long after its first change. */
enum { WAIT_MS = 60, LATEST_MS = 300, ESCAPE_MS = 50, LOOK_MS = 250 };

struct live {
    struct app *app;
    struct search_run *run;
    struct live_screen screen;
    struct live_line line;
    struct termios before, raw;
    size_t chosen;
    char **path; /* of the answer */
    float *score;
    size_t n;
    double changed; /* when the sentence became another than the answered one; 0: it is not */
    bool fits, done, cancelled;
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

/* A sentence that is not finished may be wrong, a path not be a picture yet; that is shown, and the
 * last answer stays. */
static int ask(struct live *l)
{
    struct app *a = l->app;
    struct query q = {0};
    struct error e = {ST_OK, ""};
    const char *words = l->line.text;
    int failed = 0;
    l->note[0] = 0;
    l->chosen = 0;
    l->changed = 0;
    if (!words[strspn(words, " ")]) {
        clear_answer(l);
        return 0;
    }
    if (query_add_words(&q, &words, 1, &e) || query_conditions(&q, &e)) {
        snprintf(l->note, sizeof l->note, "%s", e.text);
    } else if (search_answer(a, l->run, &q, l->line.text, time_now())) {
        failed = a->exit != EXIT_UNREADABLE && a->exit != EXIT_WRONG_USAGE;
        if (!failed)
            snprintf(l->note, sizeof l->note, "%s", a->err.text);
    }
    query_release(&q);
    return failed;
}

static void draw(struct live *l)
{
    char status[64];
    snprintf(status, sizeof status, "%zu of %zu; Enter chooses, Esc leaves", l->chosen + 1, l->n);
    const struct live_view v = {
        .line = &l->line,
        .path = l->path,
        .score = l->score,
        .n = l->n,
        .chosen = l->chosen,
        .note = l->note[0] ? l->note
                : l->n     ? l->fits ? status : "nothing fits this well; these are the nearest"
                : l->line.text[strspn(l->line.text, " ")]
                    ? "there is no picture, or none that passes the filters"
                    : "type what to look for; Enter chooses, Esc leaves",
    };
    live_screen_draw(&l->screen, &v);
}

static bool wait_for_input(const struct live *l, int ms)
{
    struct pollfd p = {.fd = l->screen.tty, .events = POLLIN};
    return poll(&p, 1, ms) > 0;
}

static bool make_raw(struct live *l)
{
    return !tcsetattr(l->screen.tty, TCSADRAIN, &l->raw);
}

/* As the shell had it; keys that nobody read are not left to it. */
static void make_usual(struct live *l)
{
    live_screen_leave(&l->screen);
    tcsetattr(l->screen.tty, TCSAFLUSH, &l->before);
}

static void come_back(struct live *l)
{
    make_raw(l);
    live_screen_enter(&l->screen);
    live_screen_resize(&l->screen);
    draw(l);
}

/* Windows change their size; who was stopped and goes on finds the terminal as the shell had it. */
static void look_round(struct live *l)
{
    struct termios now;
    if (tcgetpgrp(l->screen.tty) == getpgrp() && !tcgetattr(l->screen.tty, &now) &&
        now.c_lflag & ICANON)
        come_back(l);
    else if (live_screen_resize(&l->screen))
        draw(l);
}

static void choose(struct live *l, bool down, size_t rows)
{
    size_t left = l->n ? l->n - 1 - l->chosen : 0;
    if (down)
        l->chosen += rows < left ? rows : left;
    else
        l->chosen -= rows < l->chosen ? rows : l->chosen;
}

static int on_key(struct live *l, enum live_key key)
{
    size_t page = live_screen_room(&l->screen);
    if (key == LIVE_EDITED && !l->changed)
        l->changed = time_now();
    if (key == LIVE_LEAVE)
        l->done = l->cancelled = true;
    if (key < LIVE_UP || key > LIVE_ENTER)
        return 0;
    if (l->changed && ask(l)) /* the key is about the answer to what stands there */
        return 1;
    if (key == LIVE_ENTER)
        l->done = l->n && !l->note[0];
    else
        choose(l, key == LIVE_DOWN || key == LIVE_PAGE_DOWN,
               key == LIVE_UP || key == LIVE_DOWN ? 1
               : page                             ? page
                                                  : 1);
    return 0;
}

static void suspend(struct live *l)
{
    make_usual(l);
    kill(0, SIGTSTP); /* the pipeline too */
    come_back(l);
}

/* What one read gave. False: the terminal is gone. */
static bool read_keys(struct live *l, int *failed)
{
    unsigned char in[256];
    ssize_t n = read(l->screen.tty, in, sizeof in);
    bool edited = false, chose = false;
    for (ssize_t i = 0; i < n && !l->done && !*failed; i++) {
        enum live_key key = live_line_byte(&l->line, in[i]);
        if (key == LIVE_SUSPEND)
            suspend(l);
        edited |= key == LIVE_EDITED || key == LIVE_MOVED;
        chose |= key >= LIVE_UP && key <= LIVE_ENTER;
        *failed = on_key(l, key);
    }
    if (live_line_waits(&l->line) && !wait_for_input(l, ESCAPE_MS))
        *failed = *failed || on_key(l, live_line_idle(&l->line));
    if (l->done || *failed)
        return n > 0;
    if (chose && !wait_for_input(l, 0))
        draw(l);
    else if (edited)
        live_screen_draw_line(&l->screen, &l->line);
    return n > 0;
}

static int loop(struct live *l)
{
    int failed = 0;
    while (!failed && !l->done) {
        bool came = wait_for_input(l, l->changed ? WAIT_MS : LOOK_MS);
        if (*l->app->stop || (came && !read_keys(l, &failed))) {
            l->done = l->cancelled = true; /* told to end, or the terminal is gone */
        } else if (!failed && !l->done && l->changed &&
                   (!came || time_now() - l->changed > LATEST_MS * 1e-3)) {
            failed = ask(l);
            if (!failed)
                draw(l);
        } else if (!came) {
            look_round(l);
        }
    }
    return failed;
}

static int open_terminal(struct live *l)
{
    struct app *a = l->app;
    if (app_dumb_terminal())
        return app_usage(a, "--interactive needs a terminal that moves its cursor (TERM is dumb)");
    l->screen.tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (l->screen.tty < 0 || tcgetattr(l->screen.tty, &l->before))
        return app_usage(a, "--interactive needs a terminal");
    l->raw = l->before;
    l->raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
    l->raw.c_iflag &= ~(tcflag_t)(ICRNL | IXON);
    if (!make_raw(l)) {
        error_errno(&a->err, errno, "the terminal");
        return app_fail(a, APP_FILE);
    }
    live_screen_enter(&l->screen);
    live_screen_resize(&l->screen);
    return 0;
}

static int run_live(struct live *l)
{
    struct app *a = l->app;
    a->stop_gently();
    log_set_level(LOG_NOTHING); /* what stands on the screen says it */
    draw(l);
    int failed = l->line.len ? ask(l) : 0;
    if (!failed) {
        draw(l);
        failed = loop(l);
    }
    make_usual(l);
    log_set_level(LOG_ERROR);
    if (failed)
        log_error("%s", a->err.text);
    return failed;
}

/* One plain argument at most, and no --add or --subtract, which could not be edited. */
static int first_sentence(struct live *l)
{
    struct app *a = l->app;
    if (a->rest.n > 1 || (a->rest.n && a->rest.item[0].name[0]))
        return app_usage(a, "--interactive takes at most one sentence to begin with");
    if (a->rest.n)
        l->line.len =
            (size_t)snprintf(l->line.text, sizeof l->line.text, "%s", a->rest.item[0].value);
    l->line.at = l->line.len;
    return l->line.len < sizeof l->line.text
               ? 0
               : app_usage(a, "the sentence is longer than %d bytes", LIVE_LINE_CAP - 1);
}

int search_live(struct app *a, struct search_run *run)
{
    struct live l = {.app = a, .run = run, .screen = {.tty = -1}};
    if (first_sentence(&l))
        return 1;
    run->take = take;
    run->take_ctx = &l; /* cppcheck-suppress autoVariables; taken back below */
    int failed = search_open_all(a, run, NULL) || app_open_session(a) || open_terminal(&l);
    if (!failed)
        failed = run_live(&l);
    if (l.screen.tty >= 0)
        close(l.screen.tty);
    if (!failed) {
        a->exit = l.cancelled ? EXIT_INTERRUPTED : EXIT_DONE;
        if (!a->exit)
            print_plain_path(l.path[l.chosen], run->args->null);
        failed = app_check_stdout(a);
    }
    run->take = NULL;
    run->take_ctx = NULL;
    clear_answer(&l);
    return failed;
}
