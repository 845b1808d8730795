/* Terminals by libchafa. A kind that is asked for by name is had by telling libchafa of a terminal
 * that knows it. Surprising: where a picture leaves the cursor differs from terminal to terminal,
 * so that room is made first, the cursor kept, and moved by ourselves. */
#include "image/terminal.h"
#include "core/library.h"
#include "core/mem.h"
#include <chafa.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CALLS(X)                                                                                   \
    X(chafa_term_db_get_default)                                                                   \
    X(chafa_term_db_detect)                                                                        \
    X(chafa_term_info_have_seq)                                                                    \
    X(chafa_term_info_unref)                                                                       \
    X(chafa_symbol_map_new)                                                                        \
    X(chafa_symbol_map_unref)                                                                      \
    X(chafa_symbol_map_add_by_tags)                                                                \
    X(chafa_canvas_config_new)                                                                     \
    X(chafa_canvas_config_unref)                                                                   \
    X(chafa_canvas_config_set_geometry)                                                            \
    X(chafa_canvas_config_set_cell_geometry)                                                       \
    X(chafa_canvas_config_set_pixel_mode)                                                          \
    X(chafa_canvas_config_set_canvas_mode)                                                         \
    X(chafa_canvas_config_set_symbol_map)                                                          \
    X(chafa_canvas_new)                                                                            \
    X(chafa_canvas_unref)                                                                          \
    X(chafa_canvas_draw_all_pixels)                                                                \
    X(chafa_canvas_print)                                                                          \
    X(chafa_calc_canvas_geometry)                                                                  \
    X(g_string_free)

struct chafa {
    CALLS(LIBRARY_FIELD)
};

struct kind {
    const char *name;
    ChafaPixelMode mode;
    ChafaTermSeq needs;     /* what a terminal of this kind has */
    const char *const *env; /* of a terminal that has it */
};
static const char *const env_kitty[] = {"TERM=xterm-kitty", NULL};
static const char *const env_iterm2[] = {"TERM=xterm-256color", "TERM_PROGRAM=iTerm.app", NULL};
static const char *const env_sixel[] = {"TERM=mlterm", NULL};
static const char *const env_blocks[] = {"TERM=xterm-256color", "COLORTERM=truecolor", NULL};
static const struct kind kinds[] = {
    {"kitty", CHAFA_PIXEL_MODE_KITTY, CHAFA_TERM_SEQ_BEGIN_KITTY_IMMEDIATE_IMAGE_V1, env_kitty},
    {"iterm2", CHAFA_PIXEL_MODE_ITERM2, CHAFA_TERM_SEQ_BEGIN_ITERM2_IMAGE, env_iterm2},
    {"sixel", CHAFA_PIXEL_MODE_SIXELS, CHAFA_TERM_SEQ_BEGIN_SIXELS, env_sixel},
    {"blocks", CHAFA_PIXEL_MODE_SYMBOLS, CHAFA_TERM_SEQ_MAX, env_blocks},
};
enum { KINDS = sizeof kinds / sizeof *kinds, BLOCKS = KINDS - 1 };

struct terminal {
    struct chafa lib;
    const struct kind *kind;
    ChafaTermInfo *info;
    ChafaSymbolMap *halves;
    bool tmux;
    int columns, rows, cell_width, cell_height;
};

static bool load(struct chafa *lib)
{
    static const char *const names[] = {CALLS(LIBRARY_NAME)};
    return library_open(lib, LIBCHAFA_SONAME, names, sizeof names / sizeof *names);
}

bool terminal_ready(void)
{
    struct chafa lib;
    return load(&lib);
}

static ChafaTermInfo *detect(const struct chafa *lib, const char *const *env)
{
    return lib->chafa_term_db_detect(lib->chafa_term_db_get_default(), (gchar **)(uintptr_t)env);
}

static void read_size(struct terminal *t, int fd)
{
    struct winsize w = {0};
    t->columns = 80;
    t->rows = 24;
    t->cell_width = 10;
    t->cell_height = 20;
    if (ioctl(fd, TIOCGWINSZ, &w) || !w.ws_col || !w.ws_row)
        return;
    t->columns = w.ws_col;
    t->rows = w.ws_row;
    if (w.ws_xpixel >= w.ws_col && w.ws_ypixel >= w.ws_row) {
        t->cell_width = w.ws_xpixel / w.ws_col;
        t->cell_height = w.ws_ypixel / w.ws_row;
    }
}

static enum status choose_kind(struct terminal *t, const char *name, struct error *err)
{
    if (!name || !*name || !strcmp(name, "auto")) {
        t->info = detect(&t->lib, (const char *const *)(uintptr_t)environ);
        t->kind = &kinds[BLOCKS];
        for (int i = BLOCKS - 1; i >= 0 && !t->tmux; i--)
            if (t->lib.chafa_term_info_have_seq(t->info, kinds[i].needs))
                t->kind = &kinds[i];
        return ST_OK;
    }
    for (int i = 0; i < KINDS; i++)
        if (!strcmp(name, kinds[i].name))
            t->kind = &kinds[i];
    if (!t->kind)
        return error_set(err, ST_USAGE,
                         "previews are kitty, iterm2, sixel, blocks or auto, not \"%.40s\"", name);
    t->info = detect(&t->lib, t->kind->env);
    return ST_OK;
}

enum status terminal_open(struct terminal **out, const char *kind, int fd, struct error *err)
{
    struct terminal *t = mem_zalloc(sizeof *t);
    const char *tmux = getenv("TMUX");
    *out = NULL;
    if (!t)
        return error_set(err, ST_NOMEM, "out of memory for previews");
    enum status st = load(&t->lib) ? ST_OK
                                   : error_set(err, ST_UNSUPPORTED,
                                               "previews need the library %s, which is not "
                                               "installed (package libchafa0)",
                                               LIBCHAFA_SONAME);
    t->tmux = tmux && *tmux;
    read_size(t, fd);
    if (!st)
        st = choose_kind(t, kind, err);
    if (!st) {
        t->halves = t->lib.chafa_symbol_map_new();
        t->lib.chafa_symbol_map_add_by_tags(t->halves,
                                            CHAFA_SYMBOL_TAG_SPACE | CHAFA_SYMBOL_TAG_VHALF);
    }
    if (st)
        terminal_close(t);
    else
        *out = t;
    return st;
}

void terminal_close(struct terminal *t)
{
    if (!t)
        return;
    if (t->info)
        t->lib.chafa_term_info_unref(t->info);
    if (t->halves)
        t->lib.chafa_symbol_map_unref(t->halves);
    mem_free(t);
}

const char *terminal_kind(const struct terminal *t)
{
    return t->kind->name;
}

void terminal_size(const struct terminal *t, int *columns, int *rows)
{
    *columns = t->columns;
    *rows = t->rows;
}

static ChafaCanvasMode colours(const struct terminal *t)
{
    if (t->lib.chafa_term_info_have_seq(t->info, CHAFA_TERM_SEQ_SET_COLOR_FGBG_DIRECT))
        return CHAFA_CANVAS_MODE_TRUECOLOR;
    if (t->lib.chafa_term_info_have_seq(t->info, CHAFA_TERM_SEQ_SET_COLOR_FGBG_256))
        return CHAFA_CANVAS_MODE_INDEXED_240;
    if (t->lib.chafa_term_info_have_seq(t->info, CHAFA_TERM_SEQ_SET_COLOR_FGBG_16))
        return CHAFA_CANVAS_MODE_INDEXED_16;
    return CHAFA_CANVAS_MODE_FGBG_BGFG;
}

/* One escape sequence inside of tmux's: its ESCs doubled. */
static void pass_through(struct buf *b, const char *s, size_t n)
{
    buf_puts(b, "\033Ptmux;");
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\033')
            buf_putc(b, '\033');
        buf_putc(b, s[i]);
    }
    buf_puts(b, "\033\\");
}

/* Each sequence by itself, since tmux holds no more than a megabyte of one; they end with ESC \ or,
 * iTerm2's, with a bell. */
static void put_graphics(const struct terminal *t, struct buf *b, const char *s, size_t n)
{
    bool bell = t->kind->mode == CHAFA_PIXEL_MODE_ITERM2;
    if (!t->tmux) {
        buf_append(b, s, n);
        return;
    }
    for (size_t i = 0, from = 0; i < n; i++) {
        bool end = bell ? s[i] == '\a' : i > from && s[i] == '\\' && s[i - 1] == '\033';
        if (end || i + 1 == n) {
            pass_through(b, s + from, i + 1 - from);
            from = i + 1;
        }
    }
}

static void put_blocks(struct buf *b, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\n')
            buf_putc(b, '\r'); /* the terminal may be in raw mode */
        buf_putc(b, s[i]);
    }
}

static GString *print(const struct terminal *t, const struct image *img, int columns, int rows)
{
    const struct chafa *c = &t->lib;
    ChafaCanvasConfig *config = c->chafa_canvas_config_new();
    c->chafa_canvas_config_set_geometry(config, columns, rows);
    c->chafa_canvas_config_set_cell_geometry(config, t->cell_width, t->cell_height);
    c->chafa_canvas_config_set_pixel_mode(config, t->kind->mode);
    c->chafa_canvas_config_set_canvas_mode(config, colours(t));
    c->chafa_canvas_config_set_symbol_map(config, t->halves);
    ChafaCanvas *canvas = c->chafa_canvas_new(config);
    c->chafa_canvas_draw_all_pixels(canvas, CHAFA_PIXEL_RGB8, img->data, img->width, img->height,
                                    img->width * 3);
    GString *text = c->chafa_canvas_print(canvas, t->info);
    c->chafa_canvas_unref(canvas);
    c->chafa_canvas_config_unref(config);
    return text;
}

int terminal_draw(struct terminal *t, struct buf *b, const struct image *img, int columns, int rows)
{
    t->lib.chafa_calc_canvas_geometry(img->width, img->height, &columns, &rows,
                                      (float)t->cell_width / (float)t->cell_height, TRUE, FALSE);
    columns = columns < 1 ? 1 : columns;
    rows = rows < 1 ? 1 : rows;
    GString *text = print(t, img, columns, rows);
    for (int i = 0; i < rows; i++)
        buf_putc(b, '\n');
    buf_printf(b, "\r\033[%dA\0337", rows);
    if (t->kind == &kinds[BLOCKS])
        put_blocks(b, text->str, text->len);
    else
        put_graphics(t, b, text->str, text->len);
    buf_printf(b, "\0338\033[%dB\r", rows);
    t->lib.g_string_free(text, TRUE);
    return b->failed ? 0 : rows;
}

void terminal_wipe(const struct terminal *t, struct buf *b, int rows)
{
    static const char at_cursor[] = "\033_Ga=d,d=c\033\\";
    if (rows < 1)
        return;
    buf_printf(b, "\r\033[%dA", rows);
    if (t->kind->mode == CHAFA_PIXEL_MODE_KITTY)
        put_graphics(t, b, at_cursor, sizeof at_cursor - 1);
    buf_puts(b, "\033[J");
}
