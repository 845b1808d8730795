/* What search --interactive shows: the line that is typed, the answer, a note below. The cursor
 * stands in the line before and after each call. Each picture is one write, so that nothing
 * flickers; no line is wider than the terminal, nothing stands below its last row. */
#ifndef EIDETIC_APP_LIVE_SCREEN_H
#define EIDETIC_APP_LIVE_SCREEN_H

#include "app/live_line.h"

struct live_screen {
    int tty;
    int rows, columns;
    size_t top; /* the first result that is seen */
};

struct live_view {
    const struct live_line *line;
    char *const *path;
    const float *score;
    size_t n, chosen; /* chosen is brought into sight */
    const char *note;
};

/* Asks the terminal for its size; true: it is another one. */
bool live_screen_resize(struct live_screen *s);
/* How many results are seen at once. */
size_t live_screen_room(const struct live_screen *s);
void live_screen_draw(struct live_screen *s, const struct live_view *v);
/* The typed line alone. */
void live_screen_draw_line(const struct live_screen *s, const struct live_line *line);
/* Pastes in brackets; wiped clean again when the program leaves or is suspended. */
void live_screen_enter(const struct live_screen *s);
void live_screen_leave(const struct live_screen *s);

#endif
