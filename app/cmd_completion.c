/* eidetic completion: what a shell needs to complete commands, options and their values, made from
 * the tables that --help prints. */
#include "app/describe.h"
#include <stdio.h>
#include <string.h>

/* s in single quotes. */
static void quote(const char *s, bool fish)
{
    putchar('\'');
    for (; *s; s++) {
        if (*s == '\'')
            fputs(fish ? "\\'" : "'\\''", stdout);
        else if (fish && *s == '\\')
            fputs("\\\\", stdout);
        else
            putchar(*s);
    }
    putchar('\'');
}

/* "a|b|c" as "a b c". */
static void put_words(const char *value)
{
    for (; *value; value++)
        putchar(*value == '|' ? ' ' : *value);
}

typedef void each_option(const struct option_def *o, const char *command);

static void each_of(const struct described *d, each_option *each)
{
    for (const struct option_def *o = d->own; o->name; o++)
        each(o, d->command->name);
    for (const struct option_def *o = d->common; o->name; o++)
        each(o, d->command->name);
}

static void bash_name(const struct option_def *o, const char *command)
{
    (void)command;
    printf("--%s ", o->name);
}

static void bash_value(const struct option_def *o, const char *command)
{
    enum value_kind kind = describe_value(o);
    if (kind == VALUE_NONE || o->kind == OPT_OPTIONAL)
        return;
    printf("    '%s --%s'", command, o->name);
    if (o->letter)
        printf(" | '%s -%c'", command, o->letter);
    fputs(") ", stdout);
    if (kind == VALUE_WORDS) {
        fputs("words='", stdout);
        put_words(o->value);
        fputs("' ;;\n", stdout);
    } else {
        printf("%s ;;\n", kind == VALUE_FOLDER ? "kind=folder"
                          : kind == VALUE_FILE ? "kind=file"
                                               : "kind=any");
    }
}

static void print_bash(void)
{
    puts("# bash completion for eidetic, made by: eidetic completion bash\n"
         "_eidetic() {\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} kind= words=\n"
         "    COMPREPLY=()\n"
         "    if [ \"$COMP_CWORD\" -eq 1 ]; then");
    fputs("        words='", stdout);
    for (const struct command *const *c = commands; *c; c++)
        printf("%s ", (*c)->name);
    puts("help --help --version'\n"
         "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
         "        return\n"
         "    fi\n"
         "    if [ \"$cur\" = = ]; then cur=; fi\n"
         "    if [ \"$prev\" = = ]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
         "    case \"${COMP_WORDS[1]} $prev\" in");
    struct described d;
    for (const struct command *const *c = commands; *c; c++) {
        describe_command(*c, &d);
        each_of(&d, bash_value);
    }
    puts("    esac\n"
         "    if [ -z \"$kind$words\" ] && [[ $cur == -* ]]; then\n"
         "        case \"${COMP_WORDS[1]}\" in");
    for (const struct command *const *c = commands; *c; c++) {
        describe_command(*c, &d);
        printf("        %s) words='", (*c)->name);
        each_of(&d, bash_name);
        puts("--help' ;;");
    }
    puts(
        "        esac\n"
        "    fi\n"
        "    case \"$kind$words\" in\n"
        "    any) ;;\n"
        "    folder) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
        "    file | '') compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
        "    *) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\") ;;\n"
        "    esac\n"
        "}\n"
        "complete -F _eidetic eidetic");
}

static void zsh_option(const struct option_def *o, const char *command)
{
    (void)command;
    enum value_kind kind = describe_value(o);
    char help[512], name[96];
    bool many = o->kind == OPT_LIST || o->kind == OPT_PAIR;
    snprintf(help, sizeof help, "[%.500s]", o->help);
    for (char *s = help + 1; s[1]; s++) /* brackets and colons end the text */
        *s = *s == '[' ? '(' : *s == ']' ? ')' : *s == ':' ? ';' : *s;
    for (int i = 0; i < 2; i++) {
        if (i && !o->letter)
            break;
        if (i)
            snprintf(name, sizeof name, "-%c", o->letter);
        else
            snprintf(name, sizeof name, "--%.80s%s", o->name,
                     o->kind == OPT_OPTIONAL ? "=-"
                     : kind != VALUE_NONE    ? "="
                                             : "");
        fputs("        ", stdout);
        if (many)
            fputs("'*'", stdout);
        quote(name, false);
        quote(help, false);
        if (kind == VALUE_WORDS) {
            fputs("':value:(", stdout);
            put_words(o->value);
            fputs(")'", stdout);
        } else if (kind != VALUE_NONE) {
            fputs(o->kind == OPT_OPTIONAL ? "'::value:'"
                  : kind == VALUE_FOLDER  ? "':folder:_files -/'"
                  : kind == VALUE_FILE    ? "':file:_files'"
                                          : "':value:'",
                  stdout);
        }
        puts(" \\");
    }
}

static void print_zsh(void)
{
    puts("#compdef eidetic\n"
         "# zsh completion for eidetic, made by: eidetic completion zsh\n"
         "_eidetic() {\n"
         "    local -a commands\n"
         "    commands=(");
    for (const struct command *const *c = commands; *c; c++) {
        char line[256];
        snprintf(line, sizeof line, "%.40s:%.200s", (*c)->name, (*c)->summary);
        fputs("        ", stdout);
        quote(line, false);
        putchar('\n');
    }
    puts("    )\n"
         "    if (( CURRENT == 2 )); then\n"
         "        _describe command commands\n"
         "        return\n"
         "    fi\n"
         "    local command=$words[2]\n"
         "    shift words\n"
         "    (( CURRENT-- ))\n"
         "    case $command in");
    struct described d;
    for (const struct command *const *c = commands; *c; c++) {
        describe_command(*c, &d);
        printf("    %s)\n        _arguments -s \\\n", (*c)->name);
        each_of(&d, zsh_option);
        puts("        '--help[all options and examples]' \\\n"
             "        '*:file:_files' ;;");
    }
    puts("    esac\n"
         "}\n"
         "if [ \"$funcstack[1]\" = _eidetic ]; then _eidetic \"$@\"; else compdef _eidetic "
         "eidetic; fi");
}

static void fish_option(const struct option_def *o, const char *command)
{
    enum value_kind kind = describe_value(o);
    printf("complete -c eidetic -n '__fish_seen_subcommand_from %s' -l %s", command, o->name);
    if (o->letter)
        printf(" -s %c", o->letter);
    if (kind == VALUE_WORDS) {
        fputs(" -x -a '", stdout);
        put_words(o->value);
        putchar('\'');
    } else if (kind != VALUE_NONE && o->kind != OPT_OPTIONAL) {
        fputs(kind == VALUE_FOLDER ? " -x -a '(__fish_complete_directories)'"
              : kind == VALUE_FILE ? " -r -F"
                                   : " -x",
              stdout);
    }
    fputs(" -d ", stdout);
    quote(o->help, true);
    putchar('\n');
}

static void print_fish(void)
{
    puts("# fish completion for eidetic, made by: eidetic completion fish");
    struct described d;
    for (const struct command *const *c = commands; *c; c++) {
        printf("complete -c eidetic -n __fish_use_subcommand -f -a %s -d ", (*c)->name);
        quote((*c)->summary, true);
        putchar('\n');
    }
    for (const struct command *const *c = commands; *c; c++) {
        describe_command(*c, &d);
        each_of(&d, fish_option);
    }
    puts("complete -c eidetic -n '! __fish_use_subcommand' -l help -d 'how a command is used'\n"
         "complete -c eidetic -n __fish_use_subcommand -l help -d 'the commands'\n"
         "complete -c eidetic -n __fish_use_subcommand -l version -d 'which version this is'");
}

static const struct option_def defs[] = {{0}};

static int run(struct app *a, int argc, char **argv)
{
    if (app_begin(a, &cmd_completion, defs, NULL, argc, argv) || app_want_args(a, 1, 1))
        return a->exit;
    const char *shell = a->rest.item[0].value;
    if (!strcmp(shell, "bash"))
        print_bash();
    else if (!strcmp(shell, "zsh"))
        print_zsh();
    else if (!strcmp(shell, "fish"))
        print_fish();
    else
        return app_usage(a, "completion knows bash, zsh and fish, not \"%.40s\"", shell), a->exit;
    app_check_stdout(a);
    return a->exit;
}

const struct command cmd_completion = {
    "completion", "completion for bash, zsh or fish",
    "usage: eidetic completion bash|zsh|fish\n\n"
    "Prints what the shell needs to complete commands, options and values. An installed program "
    "has\n"
    "it in place already; otherwise:\n\n"
    "  eval \"$(eidetic completion bash)\"                            (in ~/.bashrc)\n"
    "  eidetic completion zsh >~/.zfunc/_eidetic                    (a folder of $fpath)\n"
    "  eidetic completion fish >~/.config/fish/completions/eidetic.fish",
    run};
