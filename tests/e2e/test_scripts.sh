#!/usr/bin/env bash
# What people meet first: the scripts' own words, the program's help, and the README, which must agree.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
cd "$EIDETIC_SOURCE" || exit 1

t "setup explains itself and refuses what it does not know"
run scripts/setup --help
assert_exit 0
assert_out "usage: scripts/setup"
run scripts/setup --no-such-option
assert_exit 2
run scripts/setup "$TMP/no-such-folder"
assert_exit 1
assert_err "no such folder"

t "check lists its gates and refuses unknown ones"
run scripts/check --list
assert_exit 0
assert_out layers
run scripts/check no-such-gate
assert_exit 2

t "the layer check sees a wrong include"
mkdir -p "$TMP/tree/scripts" "$TMP/tree/core"
cp scripts/common.sh scripts/check_layers "$TMP/tree/scripts/"
printf '#include "core/mem.h"\n' >"$TMP/tree/core/a.c"
run "$TMP/tree/scripts/check_layers"
assert_exit 0
printf '#include "nn/ops.h"\n' >"$TMP/tree/core/b.c"
run "$TMP/tree/scripts/check_layers"
assert_exit 1
assert_out 'core/b.c:1'

t "the program names itself and its version"
eidetic --version
assert_exit 0
assert_out "eidetic "
eidetic --help
assert_exit 0
cp "$TMP/out" "$TMP/help"

t "README's commands are the program's, and each has help with an example"
commands=$(sed -n 's/^| `eidetic \([a-z]*\).*/\1/p' README.md | sort -u)
[ "$(wc -w <<<"$commands")" -ge 10 ] || fail "README's table of commands was not found"
for command in $commands; do
    assert_contains "$TMP/help" "$command"
    eidetic "$command" --help
    assert_exit 0
    assert_out "eidetic $command"
done

t "an unknown command and an unknown option are wrong usage"
eidetic no-such-command
assert_exit 2
eidetic search --no-such-option x
assert_exit 2
[ ! -s "$TMP/out" ] || fail "words about wrong usage went to stdout"

t "README's links lead somewhere"
for link in $(grep -ohE '\]\([^)#]+\)' README.md CONTRIBUTING.md | tr -d '])(' | grep -v '^http'); do
    [ -e "$link" ] || fail "README or CONTRIBUTING links to $link, which does not exist"
done
done_testing
