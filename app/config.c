/* ~/.config/eidetic/config: `key = value` lines, keys as the long options. */
#include "app/options.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include <string.h>

static char *trim(char *s)
{
    s += strspn(s, " \t\r");
    for (char *end = s + strlen(s); end > s && strchr(" \t\r", end[-1]);)
        *--end = 0;
    return s;
}

/* Options that only other commands know are passed over: the file holds defaults for all. */
static enum status take_line(const struct option_tables *t, char *line, struct error *err)
{
    char *key = trim(line), *eq = strchr(key, '=');
    if (!*key || *key == '#')
        return ST_OK;
    if (!eq || eq == key)
        return error_set(err, ST_USAGE, "not \"key = value\"");
    *eq = 0;
    enum status st = options_set(t, trim(key), trim(eq + 1), err);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

enum status options_read_file(const struct option_tables *t, const char *path, char **text,
                              size_t *size, struct error *err)
{
    int number = 0;
    enum status st = file_read_all(text, size, path, 1 << 20, err);
    if (st == ST_NOT_FOUND)
        return ST_OK;
    for (char *line = st ? NULL : *text + utf8_mark(*text, *size), *next; !st && line;
         line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        number++;
        if ((st = take_line(t, line, err)))
            error_prefix(err, st, "%s:%d", path, number);
    }
    return st;
}
