/* Any bytes as a config file, and each of its lines as a date as people write it and as the
 * arguments of a command. */
#include "app/options.h"
#include "core/mem.h"
#include "db/images.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct args {
    bool flag;
    int whole;
    double number;
    const char *text, *optional;
    struct option_list list, rest;
};

static const struct option_def common[] = {
    {"quiet", 'q', OPT_FLAG, offsetof(struct args, flag), NULL, ""},
    {"threads", 0, OPT_INT, offsetof(struct args, whole), "N", ""},
    {0}};
static const struct option_def own[] = {
    {"share", 0, OPT_NUMBER, offsetof(struct args, number), "X", ""},
    {"folder", 'f', OPT_TEXT, offsetof(struct args, text), "DIR", ""},
    {"watch", 'w', OPT_OPTIONAL, offsetof(struct args, optional), "N", ""},
    {"exclude", 0, OPT_LIST, offsetof(struct args, list), "NAME", ""},
    {"add", 'a', OPT_PAIR, 0, "Q", ""},
    {0}};

static void read_as_file(const uint8_t *data, size_t size)
{
    struct args a = {0};
    struct option_tables t = {common, own, &a, &a};
    char path[64], *text = NULL;
    size_t n = 0;
    int fd = memfd_create("config", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        __builtin_trap();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (options_read_file(&t, path, &text, &n, NULL) == ST_OK && n != size)
        __builtin_trap();
    for (size_t i = 0; i < a.list.n; i++) /* all of it lies in the text */
        if (a.list.item[i].value < text || a.list.item[i].value > text + n)
            __builtin_trap();
    option_list_release(&a.list);
    mem_free(text);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct args a = {0};
    struct option_tables t = {common, own, &a, &a};
    char name[] = "fuzz", *argv[18] = {name};
    int argc = 1;
    bool help = false;
    char *text = mem_strndup((const char *)data, size);
    read_as_file(data, size);
    for (char *line = text, *next; line && argc < 17; line = next) {
        int64_t from = 0, to = 0;
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        if (db_parse_when(line, 1700000000, &from, &to) && from > to)
            __builtin_trap();
        argv[argc++] = line;
    }
    if (text && options_parse(&t, argc, argv, &a.rest, &help, NULL) == ST_OK &&
        a.rest.n > (size_t)argc)
        __builtin_trap();
    option_list_release(&a.rest);
    option_list_release(&a.list);
    mem_free(text);
    return 0;
}
