#!/usr/bin/env bash
# Completion scripts and man pages: each option of each command is in them, and the shells accept them.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"

eidetic --help
commands=$(sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p' "$TMP/out")
for shell in bash zsh fish; do
    eidetic completion $shell
    assert_exit 0
    cp "$TMP/out" "$TMP/completion.$shell"
done

t "every option that --help shows is in every script and in the man page"
for command in $commands; do
    eidetic man "$command"
    assert_exit 0
    sed 's/\\-/-/g' "$TMP/out" >"$TMP/page"
    eidetic "$command" --help
    assert_exit 0
    sed -n '/ptions:$/,$s/^  \(-., \|    \)--\([a-z0-9-]*\).*/\2/p' "$TMP/out" >"$TMP/options"
    assert_true test -s "$TMP/options"
    while read -r option; do
        assert_contains "$TMP/page" "--$option"
        assert_true grep -q "^        $command) words='.*--$option " "$TMP/completion.bash"
        assert_true grep -q "__fish_seen_subcommand_from $command' -l $option\b" "$TMP/completion.fish"
        assert_contains "$TMP/completion.zsh" "'--$option"
    done <"$TMP/options"
done

# completes WORD...: what bash offers behind these words, the last of which is being typed.
completes() {
    bash --norc -c '
        source "$1"; shift
        COMP_WORDS=(eidetic "$@") COMP_CWORD=$#
        _eidetic
        printf "%s\n" "${COMPREPLY[@]}"' - "$TMP/completion.bash" "$@" >"$TMP/out" 2>"$TMP/err"
    RC=$?
}
t "bash completes commands, options, words, folders and files"
completes sea
assert_eq "$(cat "$TMP/out")" search
completes search --fol
assert_eq "$(cat "$TMP/out")" --folder
completes search --generated o
assert_eq "$(cat "$TMP/out")" only
mkdir -p "$TMP/where/here"
touch "$TMP/where/hello.jpg"
completes search --folder "$TMP/where/he"
assert_eq "$(cat "$TMP/out")" "$TMP/where/here"
completes info "$TMP/where/hel"
assert_eq "$(cat "$TMP/out")" "$TMP/where/hello.jpg"
completes search --top 1
assert_eq "$(cat "$TMP/out")" ""
completes search --precision = b
assert_eq "$(cat "$TMP/out")" ""
assert_eq "$(cat "$TMP/err")" ""

t "the shells that are here accept their scripts"
for shell in bash zsh fish; do
    if command -v $shell >/dev/null; then
        run $shell -n "$TMP/completion.$shell"
        assert_exit 0
    else
        echo "  (skipped: no $shell here)"
    fi
done

t "man pages are pages"
eidetic man
assert_exit 0
assert_eq "$(head -c 11 "$TMP/out")" ".TH EIDETIC"
for command in $commands; do assert_contains "$TMP/out" "eidetic\\-$command"; done
eidetic man config
assert_exit 0
assert_out "eidetic\\-config"
for key in 'or\-generate' top library 'exclude\-dir' seed; do assert_out "\\fB$key\\fR = "; done
assert_lacks out '\fBsubtract'
if command -v groff >/dev/null; then
    for command in $commands config; do
        "$EIDETIC" man "$command" >"$TMP/page"
        run groff -man -Tutf8 -ww "$TMP/page"
        assert_exit 0
        assert_eq "$(cat "$TMP/err")" ""
        [ "$command" = config ] || assert_out "eidetic $command"
    done
else
    echo "  (skipped: no groff here)"
fi

t "what is not there is said"
eidetic completion tcsh
assert_exit 2
eidetic completion
assert_exit 2
eidetic man nothing
assert_exit 2
done_testing
