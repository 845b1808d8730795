/* Pictures in a terminal, by libchafa, which is loaded when they are wanted.
 *
 *     struct terminal *t = NULL;
 *     if (terminal_open(&t, NULL, fileno(stdout), &err)) return err.code;   // or "kitty", "sixel"
 *     struct buf b;
 *     buf_init(&b, TERMINAL_MOST);
 *     int rows = terminal_draw(t, &b, &img, 40, 12);     // of text, or 0: b.failed
 *     fwrite(b.data, 1, b.len, stdout);                  // the cursor is then below it, at the
 * left
 *     terminal_close(t);
 *
 * Kinds: kitty, iterm2 and sixel are pictures in pixels; blocks are half-blocks with two colours
 * each, in as many as the terminal has. Without a kind it is the best that the environment names
 * (TERM and what terminals set beside it); inside tmux these are blocks, which work everywhere. A
 * kind that is named goes through tmux, whose option allow-passthrough must be on. Thread rule: one
 * thread. */
#ifndef EIDETIC_IMAGE_TERMINAL_H
#define EIDETIC_IMAGE_TERMINAL_H

#include "core/buf.h"
#include "image/image.h"

#define TERMINAL_MOST ((size_t)64 << 20)

struct terminal;
/* fd: whose size counts. ST_USAGE: no such kind. ST_UNSUPPORTED: libchafa is not installed. */
enum status terminal_open(struct terminal **t, const char *kind, int fd, struct error *err);
void terminal_close(struct terminal *t);
bool terminal_ready(void);
const char *terminal_kind(const struct terminal *t);

/* The terminal's size; 80 and 24 where fd is none. */
void terminal_size(const struct terminal *t, int *columns, int *rows);
/* Appends the picture, at most so many columns and rows large. The rows that it takes. */
int terminal_draw(struct terminal *t, struct buf *b, const struct image *img, int columns,
                  int rows);
/* Appends what takes away the picture that begins `rows` rows above the cursor, and all below. */
void terminal_wipe(const struct terminal *t, struct buf *b, int rows);

#endif
