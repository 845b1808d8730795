/* eidetic man: the manual as man pages, made from the tables and texts that --help prints. */
#include "app/describe.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Text that roff shows as it is. */
static void put_n(const char *s, size_t n)
{
    if (n && (*s == '.' || *s == '\''))
        fputs("\\&", stdout);
    for (; n; n--, s++) {
        if (*s == '\\')
            fputs("\\e", stdout);
        else if (*s == '-')
            fputs("\\-", stdout);
        else
            putchar(*s);
    }
}

static void put(const char *s)
{
    put_n(s, strlen(s));
}

static void put_title(const char *name, int section)
{
    fputs(".TH EIDETIC", stdout);
    if (name)
        putchar('-');
    for (; name && *name; name++)
        putchar(toupper((unsigned char)*name));
    printf(" %d \"\" \"eidetic " EIDETIC_VERSION "\" \"%s\"\n", section,
           section == 5 ? "File formats" : "User commands");
}

/* Lines of "usage: ..." are the synopsis; indented lines stand as they are; the rest is filled. */
static void put_usage(const char *usage)
{
    bool synopsis = true, plain = false;
    puts(".SH SYNOPSIS\n.nf");
    for (const char *line = usage, *end; *line; line = *end ? end + 1 : end) {
        end = line + strcspn(line, "\n");
        const char *text = line + strspn(line, " ");
        if (synopsis && text == end) {
            puts(".fi\n.SH DESCRIPTION");
            synopsis = false;
            continue;
        }
        if (synopsis && !strncmp(text, "usage: ", 7))
            text += 7;
        bool indented = !synopsis && text > line && text < end;
        if (indented != plain)
            puts(indented ? ".PP\n.nf\n.RS 4" : ".RE\n.fi");
        plain = indented;
        if (text == end)
            fputs(".PP", stdout);
        else
            put_n(text, (size_t)(end - text));
        putchar('\n');
    }
    puts(plain ? ".RE\n.fi" : synopsis ? ".fi" : ".PP");
}

static void put_options(const char *title, const struct option_def *o)
{
    if (!o->name)
        return;
    printf(".SH %s\n", title);
    for (; o->name; o++) {
        fputs(".TP\n\\fB", stdout);
        if (o->letter)
            printf("\\-%c\\fR, \\fB", o->letter);
        put("--");
        put(o->name);
        fputs("\\fR", stdout);
        if (o->value) {
            fputs(o->kind == OPT_OPTIONAL ? "[=\\fI" : " \\fI", stdout);
            put(o->value);
            fputs(o->kind == OPT_OPTIONAL ? "\\fR]" : "\\fR", stdout);
        }
        putchar('\n');
        put(o->help);
        putchar('\n');
    }
}

static void put_more(void)
{
    puts(".SH EXIT STATUS\n"
         ".TP 5\n0\ndone\n"
         ".TP\n1\nnothing in the library fits (the nearest pictures are still listed)\n"
         ".TP\n2\nwrong usage\n"
         ".TP\n3\nsome files could not be read; eidetic errors lists them\n"
         ".TP\n4\nbad model or index file\n"
         ".TP\n5\nthe library is locked by another process\n"
         ".TP\n6\nthe disk is full or not writable\n"
         ".TP\n70\ninternal error\n"
         ".TP\n130\ninterrupted; the work so far is kept\n"
         ".SH FILES\n"
         ".TP\n~/.config/eidetic/config\n"
         "defaults: lines of key = value, keys as the long options, see\n.BR eidetic\\-config (5)\n"
         ".TP\n~/.local/share/eidetic\nthe library, and models below models/\n"
         ".SH ENVIRONMENT\n"
         ".TP\nEIDETIC_LIBRARY\nthe library, where \\-\\-library is not given\n"
         ".TP\nEIDETIC_MODELS\na folder of models, looked into first");
}

static void page_of_command(const struct command *c)
{
    struct described d;
    describe_command(c, &d);
    put_title(c->name, 1);
    printf(".SH NAME\neidetic\\-%s \\- ", c->name);
    put(c->summary);
    putchar('\n');
    put_usage(c->usage);
    put_options("OPTIONS", d.own);
    put_options("COMMON OPTIONS", d.common);
    put_more();
    puts(".SH SEE ALSO\n.BR eidetic (1),\n.BR eidetic\\-config (5)");
}

/* Keys that the file may have: all but options whose place among the words counts. */
static void put_keys(const char *title, const char *of, const struct option_def *o)
{
    for (; o->name && o->kind == OPT_PAIR;)
        o++;
    if (!o->name)
        return;
    printf(".SH %s", title);
    for (; of && *of; of++)
        putchar(toupper((unsigned char)*of));
    putchar('\n');
    for (; o->name; o++) {
        if (o->kind == OPT_PAIR)
            continue;
        fputs(".TP\n\\fB", stdout);
        put(o->name);
        fputs("\\fR = \\fI", stdout);
        put(o->kind == OPT_FLAG ? "true|false" : o->value);
        if (o->kind == OPT_OPTIONAL)
            put("|true|false");
        fputs("\\fR\n", stdout);
        put(o->help);
        putchar('\n');
    }
}

static void page_of_config(void)
{
    struct described d;
    put_title("config", 5);
    puts(".SH NAME\neidetic\\-config \\- defaults for the options of eidetic\n"
         ".SH SYNOPSIS\n~/.config/eidetic/config\n"
         ".SH DESCRIPTION\n"
         "Lines of key = value; the keys are the long options of all commands. A line that begins\n"
         "with # is a comment. What follows the first = up to the end of the line is the value, "
         "without\n"
         "blanks around it and without quotes. An option that may be repeated may have several "
         "lines. A\n"
         "command passes over keys that it does not have, and so over words that no command has; a "
         "value\n"
         "that is none for its key is said with its line, and nothing is done.\n"
         ".PP\n"
         "The command line goes before the file, and EIDETIC_LIBRARY before its library. "
         "or\\-generate and\n"
         "preview are passed over where they do not fit, as in search \\-i. The folder is\n"
         "$XDG_CONFIG_HOME/eidetic where that is set.\n"
         ".SH EXAMPLE\n.nf\n.RS 4\n"
         "# where things are\n"
         "library = ~/Pictures/.eidetic\n"
         "model = siglip\\-base\n"
         "checkpoint = ~/sd/v1\\-5.safetensors\n"
         "# as I like it\n"
         "top = 20\n"
         "exclude\\-dir = trash\n"
         "exclude\\-dir = @eaDir\n"
         "dedup = true\n.RE\n.fi");
    describe_command(&cmd_index, &d);
    put_keys("KEYS OF ALL COMMANDS", NULL, d.common);
    for (const struct command *const *c = commands; *c; c++) {
        describe_command(*c, &d);
        put_keys("KEYS OF ", (*c)->name, d.own);
    }
    puts(".SH SEE ALSO\n.BR eidetic (1)");
}

static void page_of_program(void)
{
    put_title(NULL, 1);
    puts(".SH NAME\neidetic \\- find photographs by what is in them\n"
         ".SH SYNOPSIS\n.B eidetic\n\\fICOMMAND\\fR [\\fIARGUMENT\\fR...]\n"
         ".SH DESCRIPTION\n"
         "Finds, by a sentence or a picture, what is in your own photographs. Offline: a neural\n"
         "network looks at every picture once, on this machine. Pictures are only read.\n"
         ".SH COMMANDS");
    for (const struct command *const *c = commands; *c; c++) {
        printf(".TP\n.BR eidetic\\-%s (1)\n", (*c)->name);
        put((*c)->summary);
        putchar('\n');
    }
    puts(".SH EXAMPLES\n.nf\n.RS 4\n"
         "eidetic index ~/Pictures\n"
         "eidetic search \"otters by the water\"\n.RE\n.fi");
    put_more();
}

static const struct option_def defs[] = {{0}};

static int run(struct app *a, int argc, char **argv)
{
    if (app_begin(a, &cmd_man, defs, NULL, argc, argv) || app_want_args(a, 0, 1))
        return a->exit;
    const char *name = a->rest.n ? a->rest.item[0].value : NULL;
    const struct command *const *c = commands;
    if (name && !strcmp(name, "config")) {
        page_of_config();
        app_check_stdout(a);
        return a->exit;
    }
    while (name && *c && strcmp((*c)->name, name) != 0)
        c++;
    if (!*c) {
        app_usage(a, "no command is called \"%.40s\"", name);
        return a->exit;
    }
    if (name)
        page_of_command(*c);
    else
        page_of_program();
    app_check_stdout(a);
    return a->exit;
}

const struct command cmd_man = {
    "man", "the manual as a man page",
    "usage: eidetic man [COMMAND|config]\n\n"
    "Prints a page in man's format: of the program, of one command, or of the config file.\n\n"
    "  eidetic man search | man -l -",
    run};
