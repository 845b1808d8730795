#include "app/live_screen.h"
#include "clip/unicode.h"
#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PROMPT 2 /* columns of "> " */

static void put_out(const struct live_screen *s, struct buf *b)
{
    size_t at = 0;
    while (at < b->len) {
        ssize_t n = write(s->tty, b->data + at, b->len - at);
        if (n <= 0)
            break; /* a terminal that is gone is noticed by who reads from it */
        at += (size_t)n;
    }
    buf_release(b);
}

static int width_of(const char *s, size_t n)
{
    int columns = 0;
    for (size_t at = 0; at < n;) {
        uint32_t cp;
        at += utf8_decode(s + at, n - at, &cp);
        columns += unicode_columns(cp);
    }
    return columns;
}

/* Bytes of s that fit `columns` columns; *used: how many those take. */
static size_t fit(const char *s, size_t n, int columns, int *used)
{
    size_t at = 0;
    for (*used = 0; at < n;) {
        uint32_t cp;
        size_t len = utf8_decode(s + at, n - at, &cp);
        if (*used + unicode_columns(cp) > columns)
            break;
        *used += unicode_columns(cp);
        at += len;
    }
    return at;
}

/* n bytes with nothing in them that could move the cursor; the caller releases it. */
static struct buf safe(const char *s, size_t n)
{
    struct buf b;
    char *copy = mem_strndup(s, n);
    buf_init(&b, 1 << 16);
    if (copy)
        buf_text_safe(&b, copy);
    mem_free(copy);
    return b;
}

static int put_cut(struct buf *to, const char *text, size_t n, int columns)
{
    struct buf b = safe(text, n);
    int used = 0;
    if (b.data)
        buf_append(to, b.data, fit(b.data, b.len, columns, &used));
    buf_release(&b);
    return used;
}

/* Where the longest end of b begins that fits `columns` columns. */
static size_t end_of(const struct buf *b, int columns)
{
    int all = b->data ? width_of(b->data, b->len) : 0, used = 0;
    size_t skip = all > columns ? fit(b->data, b->len, all - columns, &used) : 0;
    for (uint32_t cp; all - used > columns && skip < b->len;) { /* half of a wide character */
        size_t n = utf8_decode(b->data + skip, b->len - skip, &cp);
        used += unicode_columns(cp);
        skip += n;
    }
    return skip;
}

/* A path is told by its end. */
static void put_end(struct buf *to, const char *path, int columns)
{
    struct buf b = safe(path, strlen(path));
    if (b.data && columns > 0 && width_of(b.data, b.len) > columns) {
        size_t skip = end_of(&b, columns - 1);
        buf_puts(to, "\xe2\x80\xa6");
        buf_append(to, b.data + skip, b.len - skip);
    } else if (b.data && columns > 0) {
        buf_append(to, b.data, b.len);
    }
    buf_release(&b);
}

/* Returns the columns before the cursor. A line that is too long shows what is round the cursor. */
static int put_line(struct buf *to, const struct live_screen *s, const struct live_line *l)
{
    int room = s->columns > PROMPT + 1 ? s->columns - PROMPT - 1 : 1, before = 0;
    struct buf b = safe(l->text, l->at);
    buf_puts(to, "\r> ");
    if (b.data) {
        size_t skip = end_of(&b, room);
        before = width_of(b.data + skip, b.len - skip);
        buf_append(to, b.data + skip, b.len - skip);
    }
    buf_release(&b);
    put_cut(to, l->text + l->at, l->len - l->at, room - before);
    buf_puts(to, "\033[K");
    return PROMPT + before;
}

static void put_cursor(struct buf *to, int up, int columns)
{
    if (up)
        buf_printf(to, "\033[%dA", up);
    buf_printf(to, "\r\033[%dC", columns);
}

static void put_result(struct buf *to, const struct live_screen *s, const struct live_view *v,
                       size_t i)
{
    char score[32];
    snprintf(score, sizeof score, "%.3f ", (double)v->score[i]);
    buf_puts(to, i == v->chosen ? "\r\n\033[7m" : "\r\n");
    int used = put_cut(to, score, strlen(score), s->columns - 1);
    put_end(to, v->path[i], s->columns - 1 - used);
    buf_puts(to, i == v->chosen ? "\033[0m\033[K" : "\033[K");
}

bool live_screen_resize(struct live_screen *s)
{
    struct winsize size = {0};
    ioctl(s->tty, TIOCGWINSZ, &size);
    int rows = size.ws_row ? size.ws_row : 24, columns = size.ws_col ? size.ws_col : 80;
    bool changed = rows != s->rows || columns != s->columns;
    s->rows = rows;
    s->columns = columns;
    return changed;
}

size_t live_screen_room(const struct live_screen *s)
{
    return s->rows > 2 ? (size_t)s->rows - 2 : 0;
}

void live_screen_draw(struct live_screen *s, const struct live_view *v)
{
    struct buf b;
    size_t room = live_screen_room(s), lines = 0;
    if (v->chosen < s->top)
        s->top = v->chosen;
    if (room && v->chosen >= s->top + room)
        s->top = v->chosen - room + 1;
    buf_init(&b, 1 << 20);
    buf_puts(&b, "\033[?25l");
    int cursor = put_line(&b, s, v->line);
    for (size_t i = s->top; i < v->n && lines < room; i++, lines++)
        put_result(&b, s, v, i);
    if (s->rows > 1) {
        buf_puts(&b, "\r\n");
        put_cut(&b, v->note, strlen(v->note), s->columns - 1);
        buf_puts(&b, "\033[K");
        lines++;
    }
    buf_puts(&b, "\033[J");
    put_cursor(&b, (int)lines, cursor);
    buf_puts(&b, "\033[?25h");
    put_out(s, &b);
}

void live_screen_draw_line(const struct live_screen *s, const struct live_line *line)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    put_cursor(&b, 0, put_line(&b, s, line));
    put_out(s, &b);
}

void live_screen_enter(const struct live_screen *s)
{
    struct buf b;
    buf_init(&b, 64);
    buf_puts(&b, "\033[?2004h");
    put_out(s, &b);
}

void live_screen_leave(const struct live_screen *s)
{
    struct buf b;
    buf_init(&b, 64);
    buf_puts(&b, "\033[?2004l\r\033[J");
    put_out(s, &b);
}
