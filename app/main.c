/* The program: one table of commands. The decoder's workers are this same binary, so their check
 * comes first. */
#include "app/app.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

/* The first Ctrl-C asks; a second one ends the process at once (nothing committed is lost by that).
 */
static void ask_to_stop(int number)
{
    interrupted = 1;
    signal(number, SIG_DFL);
}

static void stop_gently(void)
{
    signal(SIGINT, ask_to_stop);
    signal(SIGTERM, ask_to_stop);
    if (signal(SIGHUP, ask_to_stop) == SIG_IGN) /* nohup */
        signal(SIGHUP, SIG_IGN);
}

/* For commands that have nothing to bring to an end, and may be waiting for standard input. */
static void stop_now(int number)
{
    (void)number;
    _exit(EXIT_INTERRUPTED);
}

static void print_usage(FILE *out)
{
    fputs(
        "eidetic finds, by a sentence or a picture, what is in your own photographs. Offline.\n\n"
        "  eidetic index ~/Pictures            make them findable (again later: only what is new)\n"
        "  eidetic search \"otters by the water\"\n\n"
        "Commands:\n",
        out);
    for (const struct command *const *c = commands; *c; c++)
        fprintf(out, "  %-10s %s\n", (*c)->name, (*c)->summary);
    fputs("\nEach has --help with examples. eidetic --version tells the version.\n", out);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], DECODER_WORKER_ARG))
        return decoder_worker_main(argc, argv);
    char help[] = "--help";
    if (argc == 3 && !strcmp(argv[1], "help")) { /* as COMMAND --help */
        argv[1] = argv[2];
        argv[2] = help;
    }
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
        !strcmp(argv[1], "help")) {
        print_usage(argc < 2 ? stderr : stdout);
        return argc < 2 ? EXIT_WRONG_USAGE : EXIT_DONE;
    }
    if (!strcmp(argv[1], "--version")) {
        puts("eidetic " EIDETIC_VERSION);
        return EXIT_DONE;
    }
    signal(SIGPIPE, SIG_IGN); /* a closed pipe becomes a write error with a sentence */
    struct app a = {.stop = &interrupted, .stop_gently = stop_gently};
    for (const struct command *const *c = commands; *c; c++) {
        if (strcmp(argv[1], (*c)->name) != 0)
            continue;
        signal(SIGINT, stop_now);
        signal(SIGTERM, stop_now);
        /* those that look at a.stop from the start */
        if (*c == &cmd_index || *c == &cmd_generate || *c == &cmd_caption)
            stop_gently();
        a.exit = EXIT_DONE;
        int code = (*c)->run(&a, argc - 1, argv + 1);
        app_close(&a);
        return code;
    }
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_path_quoted(&b, argv[1]);
    if (argv[1][0] == '-')
        log_error("options stand behind the command: eidetic COMMAND %s", b.data ? b.data : "");
    else
        log_error("unknown command %s (see eidetic --help)", b.data ? b.data : "");
    buf_release(&b);
    return EXIT_WRONG_USAGE;
}
