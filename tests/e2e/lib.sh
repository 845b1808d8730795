# shellcheck shell=bash
# Helpers of the end-to-end tests; sourced, never run. Every test gets a library and a home of its
# own in a temporary folder, which goes away at the end whatever happens.
#
#     . "$EIDETIC_SOURCE/tests/e2e/lib.sh"
#     t "search answers with the right picture"
#     eidetic index "$EIDETIC_SOURCE/samples/photos"
#     assert_exit 0
#     eidetic search --json "otters beside the water"
#     assert_json '.results[0].path | endswith("otters.jpg")'
#     done_testing
#
# Each command's results lie in $TMP/out and $TMP/err, its exit code in $RC. A failed assertion
# prints the place, both outputs, and ends the test with 1. EIDETIC, EIDETIC_SOURCE and EIDETIC_BUILD come
# from ctest; by hand: EIDETIC=build/release/eidetic bash tests/e2e/test_x.sh
set -u
EIDETIC_SOURCE=${EIDETIC_SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
EIDETIC=$(realpath -m "${EIDETIC:-$EIDETIC_SOURCE/build/release/eidetic}")
[ -x "$EIDETIC" ] || { echo "no program at $EIDETIC"; exit 1; }
command -v jq >/dev/null || { echo "jq is not installed"; exit 1; }

TMP=$(mktemp -d "${TMPDIR:-/tmp}/eidetic-e2e.XXXXXX") || exit 1
export TMP HOME="$TMP/home" XDG_DATA_HOME="$TMP/home/.local/share" XDG_CONFIG_HOME="$TMP/home/.config"
export XDG_CACHE_HOME="$TMP/home/.cache" EIDETIC_LIBRARY="$TMP/library" LC_ALL=C.UTF-8 TZ=UTC
unset EIDETIC_MODELS EIDETIC_CPU
mkdir -p "$HOME"
RC=0 TEST_NAME=start TEST_COUNT=0 FINISHED=0
# More repetitions under scripts/test --full.
# shellcheck disable=SC2034
FULL=${EIDETIC_TEST_FULL:-0}

cleanup() {
    local rc=$? pids
    trap - EXIT
    pids=$(jobs -p)
    # shellcheck disable=SC2086
    [ -n "$pids" ] && kill -KILL $pids 2>/dev/null
    wait 2>/dev/null
    [ -z "${AT_EXIT:-}" ] || $AT_EXIT 2>/dev/null
    if [ "${EIDETIC_KEEP:-0}" = 1 ]; then
        echo "kept: $TMP"
    else
        chmod -R u+rwX "$TMP" 2>/dev/null
        rm -rf "$TMP"
    fi
    if [ $rc -eq 0 ] && [ $FINISHED -eq 0 ]; then
        echo "the test ended before done_testing"
        rc=1
    fi
    exit $rc
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# AT_EXIT: a command of the test's own that comes before its folder goes.

# Names what must hold in the assertions that follow.
t() {
    TEST_NAME=$1
    TEST_COUNT=$((TEST_COUNT + 1))
    printf -- '- %s\n' "$1"
}

fail() {
    local i=0 place=
    while [ -n "${BASH_SOURCE[$i]:-}" ] && [ "${BASH_SOURCE[$i]}" = "${BASH_SOURCE[0]}" ]; do i=$((i + 1)); done
    place="${BASH_SOURCE[$i]:-?}:${BASH_LINENO[$((i > 0 ? i - 1 : 0))]}"
    printf 'FAILED: %s\n  %s: %s\n' "$TEST_NAME" "$place" "$*"
    printf '  last command: %s (exit %s)\n' "${LAST:-none}" "$RC"
    printf '  --- its output (last 20 lines)\n'
    tail -n 20 "$TMP/out" 2>/dev/null
    printf '  --- its messages (last 20 lines)\n'
    tail -n 20 "$TMP/err" 2>/dev/null
    exit 1
}

# Says why, and counts as skipped in ctest's summary.
skip_all() {
    printf 'SKIPPED: %s\n' "$*"
    FINISHED=1
    exit 77
}

# Runs any command; a time limit keeps a hang from eating the whole tier.
run() {
    LAST=$*
    timeout -k 10 "${RUN_TIMEOUT:-300}" "$@" >"$TMP/out" 2>"$TMP/err" </dev/null
    RC=$?
}

# Runs the program under test.
eidetic() { run "$EIDETIC" "$@"; }

assert_exit() { [ "$RC" -eq "$1" ] || fail "exit code is $RC, expected $1"; }
assert_eq() { [ "$1" = "$2" ] || fail "got '$1', expected '$2'${3:+ ($3)}"; }
assert_true() { "$@" || fail "does not hold: $*"; }
# assert_contains FILE TEXT: a fixed string, in out, err or any other file.
assert_contains() { grep -qF -- "$2" "$(output_file "$1")" || fail "no '$2' in $1"; }
assert_lacks() { ! grep -qF -- "$2" "$(output_file "$1")" || fail "'$2' is in $1"; }
assert_out() { assert_contains out "$1"; }
assert_err() { assert_contains err "$1"; }
# assert_json FILTER [FILE]: every JSON document of the file (default: the last output) passes.
assert_json() {
    local file
    file=$(output_file "${2:-out}")
    jq -e -s "length > 0 and all(.[]; $1)" "$file" >/dev/null 2>"$TMP/jq" ||
        fail "JSON fails: $1 $(tail -n 2 "$TMP/jq")"
}
# json FILTER [FILE]: prints what the filter picks.
json() { jq -r "$1" "$(output_file "${2:-out}")"; }
output_file() { case "$1" in out | err) printf '%s' "$TMP/$1" ;; *) printf '%s' "$1" ;; esac; }

# One hash over names, contents, modes and times of a folder: equal before and after means untouched.
tree_hash() {
    (
        cd "$1" || exit 1
        find . -printf '%y %m %s %T@ %P\0' | LC_ALL=C sort -z
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
    ) | sha256sum | cut -d' ' -f1
}

# assert_whole N DIR...: the next run indexes what of DIR is not in the library; N pictures are then, and it is sound.
assert_whole() {
    local n=$1
    shift
    eidetic index --json "$@"
    assert_exit 0
    eidetic stats --json
    assert_json ".images == $n and .vectors == $n"
    eidetic check --read-data
    assert_exit 0
}

# wait_until SECONDS COMMAND...: true as soon as the command is.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

# A copy of the sample photographs that may be changed; prints its path.
sample_copy() {
    local dir=$TMP/${1:-photos}
    mkdir -p "$dir"
    cp -p "$EIDETIC_SOURCE"/samples/photos/* "$dir/"
    printf '%s' "$dir"
}

# The starter model without what lies in its subfolders (captioner, sampler), alone in a folder of models;
# prints its path.
bare_model() {
    mkdir -p "$TMP/bare/starter"
    cp "$EIDETIC_SOURCE"/models/starter/*.* "$TMP/bare/starter/"
    printf '%s' "$TMP/bare/starter"
}

# The vectors of the shipped lists take half a minute a model: the first test of a build that is done with
# them leaves its file to the others. (The program believes no such file before it has looked at it.)
share_labels() {
    SHARED_LABELS=${EIDETIC_BUILD:-$(dirname "$EIDETIC")}/test-labels
    mkdir -p "$SHARED_LABELS" "$XDG_CACHE_HOME/eidetic/labels"
    cp "$SHARED_LABELS"/*.bin "$XDG_CACHE_HOME/eidetic/labels/" 2>/dev/null
    return 0
}

leave_labels() {
    local f new=$SHARED_LABELS/new.$$
    for f in "$XDG_CACHE_HOME"/eidetic/labels/*.bin; do
        [ -e "$f" ] && [ ! -e "$SHARED_LABELS/${f##*/}" ] && cp "$f" "$new" && mv "$new" "$SHARED_LABELS/${f##*/}"
    done
}

# kill_rounds QUICK FULL: sets kills to one of them (or to $KILLS), and the seed of what is random.
# shellcheck disable=SC2034
kill_rounds() {
    command -v sqlite3 >/dev/null || skip_all "sqlite3 is not installed"
    kills=$1
    [ "$FULL" = 0 ] || kills=$2
    kills=${KILLS:-$kills}
    RANDOM=${SEED:-$$}
    printf 'seed %s\n' "${SEED:-$$}"
    landed=0 delay=0 whole=0
}

# Runs a command and sets whole to the milliseconds that it took: the range of the random moments.
kill_measure() {
    local start
    start=$(date +%s%N)
    run "$@"
    assert_exit 0
    whole=$((($(date +%s%N) - start) / 1000000))
    printf 'a whole run takes %s ms\n' "$whole"
}

# kill_within MS COMMAND...: SIGKILL to it, not to its workers, after a random delay of less than MS; counts in landed
# those that met it running. One that ended sooner shows that whole was measured in a slower minute.
kill_within() {
    local range=$1 start took rc
    shift
    delay=$(((RANDOM * 32768 + RANDOM) % range + 1))
    start=$(date +%s%N)
    { timeout --foreground -s KILL "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))" "$@"; } >/dev/null 2>&1 </dev/null
    rc=$?
    if [ $rc -eq 137 ]; then
        landed=$((landed + 1))
    else
        took=$((($(date +%s%N) - start) / 1000000))
        [ $took -ge "$range" ] || whole=$((whole * (took + range) / (2 * range)))
    fi
}

done_testing() {
    FINISHED=1
    [ -z "${SHARED_LABELS:-}" ] || leave_labels
    printf '%d checks hold\n' "$TEST_COUNT"
}
