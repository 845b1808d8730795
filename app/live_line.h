/* The line that is typed in search --interactive: bytes of a terminal in, a text and a cursor out.
 *
 *     struct live_line line = {0};
 *     switch (live_line_byte(&line, c)) {          // for each byte, however reads cut them
 *     case LIVE_EDITED: ...                        // line.text is another
 *     case LIVE_ENTER: ...
 *     }
 *     if (live_line_waits(&line)) ...              // an Escape: alone, or an arrow key begins?
 *         key = live_line_idle(&line);             // nothing came: alone
 *
 * Keys as readline's: arrows, Home, End, Delete, Ctrl-A/E/B/F, Ctrl-H/U/W/K, Ctrl-P/N. What is
 * pasted between brackets (xterm's mode 2004) is text, its line ends blanks. Pure; one thread. */
#ifndef EIDETIC_APP_LIVE_LINE_H
#define EIDETIC_APP_LIVE_LINE_H

#include <stdbool.h>
#include <stddef.h>

enum { LIVE_LINE_CAP = 1024 };

enum live_key {
    LIVE_NOTHING,
    LIVE_EDITED,
    LIVE_MOVED, /* the cursor, not the text; also Ctrl-L, to draw again */
    LIVE_UP,
    LIVE_DOWN,
    LIVE_PAGE_UP,
    LIVE_PAGE_DOWN,
    LIVE_ENTER,
    LIVE_LEAVE,
    LIVE_SUSPEND,
};

struct live_line {
    char text[LIVE_LINE_CAP]; /* ends with a zero byte */
    size_t len, at;           /* at: bytes before the cursor */
    bool pasting;
    enum { LIVE_GROUND, LIVE_ESCAPE, LIVE_CSI, LIVE_SS3 } state;
    int number; /* the first of a sequence */
    bool numbered;
};

enum live_key live_line_byte(struct live_line *l, unsigned char c);
bool live_line_waits(const struct live_line *l);
enum live_key live_line_idle(struct live_line *l);

#endif
