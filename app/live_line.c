#include "app/live_line.h"
#include <string.h>

static bool continues(const struct live_line *l, size_t at)
{
    return at < l->len && ((unsigned char)l->text[at] & 0xC0) == 0x80;
}

static size_t before(const struct live_line *l, size_t at)
{
    while (at && continues(l, --at))
        continue;
    return at;
}

static size_t behind(const struct live_line *l, size_t at)
{
    at += at < l->len;
    while (continues(l, at))
        at++;
    return at;
}

/* Takes out what lies between, which begins or ends at the cursor. */
static enum live_key cut(struct live_line *l, size_t from, size_t to)
{
    if (from == to)
        return LIVE_NOTHING;
    memmove(l->text + from, l->text + to, l->len - to + 1);
    l->len -= to - from;
    l->at = from;
    return LIVE_EDITED;
}

static enum live_key move_to(struct live_line *l, size_t at)
{
    bool same = at == l->at;
    l->at = at;
    return same ? LIVE_NOTHING : LIVE_MOVED;
}

static enum live_key put(struct live_line *l, unsigned char c)
{
    if (l->len + 1 >= LIVE_LINE_CAP)
        return LIVE_NOTHING;
    memmove(l->text + l->at + 1, l->text + l->at, l->len - l->at + 1);
    l->text[l->at++] = (char)c;
    l->len++;
    return LIVE_EDITED;
}

static size_t word_before(const struct live_line *l)
{
    size_t at = l->at;
    while (at && l->text[at - 1] == ' ')
        at--;
    while (at && l->text[at - 1] != ' ')
        at--;
    return at;
}

static enum live_key control(struct live_line *l, unsigned char c)
{
    switch (c) {
    case '\r':
    case '\n':
        return LIVE_ENTER;
    case 1: /* Ctrl-A */
        return move_to(l, 0);
    case 2: /* Ctrl-B */
        return move_to(l, before(l, l->at));
    case 3: /* Ctrl-C, Ctrl-D */
    case 4:
        return LIVE_LEAVE;
    case 5: /* Ctrl-E */
        return move_to(l, l->len);
    case 6: /* Ctrl-F */
        return move_to(l, behind(l, l->at));
    case 8: /* Backspace */
    case 127:
        return cut(l, before(l, l->at), l->at);
    case 11: /* Ctrl-K */
        return cut(l, l->at, l->len);
    case 12: /* Ctrl-L */
        return LIVE_MOVED;
    case 14: /* Ctrl-N */
        return LIVE_DOWN;
    case 16: /* Ctrl-P */
        return LIVE_UP;
    case 21: /* Ctrl-U */
        return cut(l, 0, l->at);
    case 23: /* Ctrl-W */
        return cut(l, word_before(l), l->at);
    case 26: /* Ctrl-Z */
        return LIVE_SUSPEND;
    default:
        return LIVE_NOTHING;
    }
}

/* "\033[" NUMBER "~": VT220's keys, and the brackets round what is pasted. */
static enum live_key numbered(struct live_line *l)
{
    switch (l->number) {
    case 1:
    case 7:
        return move_to(l, 0);
    case 3:
        return cut(l, l->at, behind(l, l->at));
    case 4:
    case 8:
        return move_to(l, l->len);
    case 5:
        return LIVE_PAGE_UP;
    case 6:
        return LIVE_PAGE_DOWN;
    case 200:
    case 201:
        l->pasting = l->number == 200;
        return LIVE_NOTHING;
    default:
        return LIVE_NOTHING;
    }
}

static enum live_key sequence(struct live_line *l, unsigned char end)
{
    switch (end) {
    case 'A':
        return LIVE_UP;
    case 'B':
        return LIVE_DOWN;
    case 'C':
        return move_to(l, behind(l, l->at));
    case 'D':
        return move_to(l, before(l, l->at));
    case 'F':
        return move_to(l, l->len);
    case 'H':
        return move_to(l, 0);
    case '~':
        return numbered(l);
    default:
        return LIVE_NOTHING;
    }
}

static enum live_key within_sequence(struct live_line *l, unsigned char c)
{
    if (c >= '0' && c <= '9' && !l->numbered && l->number < 1000)
        l->number = l->number * 10 + (c - '0');
    else if (c == ';')
        l->numbered = true;
    if (c >= 0x20 && c < 0x40)
        return LIVE_NOTHING;
    l->state = LIVE_GROUND;
    return c < 0x40 || c > 0x7E ? live_line_byte(l, c) : sequence(l, c);
}

enum live_key live_line_byte(struct live_line *l, unsigned char c)
{
    switch (l->state) {
    case LIVE_ESCAPE:
        l->state = c == '[' ? LIVE_CSI : c == 'O' ? LIVE_SS3 : LIVE_GROUND;
        l->number = 0;
        l->numbered = false;
        return c == 27 && !l->pasting ? LIVE_LEAVE : LIVE_NOTHING;
    case LIVE_CSI:
    case LIVE_SS3:
        return within_sequence(l, c);
    default:
        break;
    }
    if (c == 27) {
        l->state = LIVE_ESCAPE;
        return LIVE_NOTHING;
    }
    if (l->pasting && (c == '\r' || c == '\n' || c == '\t'))
        c = ' ';
    if (c >= 32 && c != 127)
        return put(l, c);
    return l->pasting ? LIVE_NOTHING : control(l, c);
}

bool live_line_waits(const struct live_line *l)
{
    return l->state == LIVE_ESCAPE;
}

enum live_key live_line_idle(struct live_line *l)
{
    bool alone = l->state == LIVE_ESCAPE && !l->pasting;
    if (l->state == LIVE_ESCAPE)
        l->state = LIVE_GROUND;
    return alone ? LIVE_LEAVE : LIVE_NOTHING;
}
