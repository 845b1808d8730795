#!/usr/bin/env bash
# SIGKILL at random moments of `check --repair` over damaged caches and words: the database stays as it is, searches are
# answered as before, and the next repair completes it. 12 kills over 2,000 pictures; with scripts/test --full 300 over
# 51,000, where the FAISS index is trained and written again. SEED repeats a run.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
kill_rounds 12 300
n=2000
[ "$FULL" = 0 ] || n=51000
run "${EIDETIC_BUILD:-$EIDETIC_SOURCE/build/release}/bench/make_library" "$EIDETIC_LIBRARY" "$TMP/photos" \
    "$EIDETIC_SOURCE/models/starter" $n "$EIDETIC_SOURCE/samples/photos/ocean-waves.jpg"
assert_exit 0
db=$EIDETIC_LIBRARY/library.db
rows() { sqlite3 "$db" "$1" 2>"$TMP/sqlite-err"; }
contents() {
    rows "select count(*), sum(generation), sum(length(vec)), min(image), max(image) from vectors;
        select count(*), sum(size), sum(status), sum(image) from files; select count(*), max(id) from images"
}
best() {
    eidetic search --json -t 1 --generated any "a dog on a beach"
    [ "$RC" -le 1 ] || fail "the search"
    json '.results[0].path'
}
# What a bad disk or a bad program could do to what can be made again; each in its turn.
damage() {
    local f
    case $(($1 % 6)) in
    0) rm -f "$EIDETIC_LIBRARY"/vectors-* "$EIDETIC_LIBRARY"/faiss-* ;;
    1) for f in "$EIDETIC_LIBRARY"/vectors-*; do truncate -s $(($(stat -c %s "$f") / 2)) "$f"; done ;;
    2) for f in "$EIDETIC_LIBRARY"/vectors-*; do printf XXXXXXXX | dd of="$f" bs=1 seek=$(($(stat -c %s "$f") / 3)) conv=notrunc 2>/dev/null; done ;;
    3) rows "delete from words where rowid % 7 = 0; update words set names = 'no' where rowid % 11 = 0" ;;
    4) for f in "$EIDETIC_LIBRARY"/faiss-*; do [ ! -e "$f" ] || printf XXXXXXXX | dd of="$f" bs=1 seek=$(($(stat -c %s "$f") / 2)) conv=notrunc 2>/dev/null; done
        rm -f "$EIDETIC_LIBRARY"/vectors-* ;;
    5) for f in "$EIDETIC_LIBRARY"/faiss-*; do [ ! -e "$f" ] || : >"$f"; done
        rows "delete from words" ;;
    esac
}

eidetic check --repair
assert_exit 0
takes=()
for ((i = 0; i < 6; i++)); do
    damage $i
    kill_measure "$EIDETIC" check --read-data --repair
    takes+=("$whole")
done
[ "$FULL" = 0 ] || assert_true test -n "$(find "$EIDETIC_LIBRARY" -name 'faiss-*.idx')"
before=$(contents)
answer=$(best)

t "after each of $kills kills the database is as it was and searches are answered"
for ((k = 1; landed < kills; k++)); do
    [ $k -le $((kills * 5)) ] || fail "only $landed of $k kills met a running repair"
    damage $k
    kill_within $((takes[k % 6] + takes[k % 6] / 20 + 1)) "$EIDETIC" check --read-data --repair --quiet
    [ "$(contents)" = "$before" ] || fail "kill $k after $delay ms: the database changed"
    [ "$(best)" = "$answer" ] || fail "kill $k after $delay ms: another answer"
    if ((k % 6 == 0)); then
        eidetic check --read-data --repair
        [ "$RC" -eq 0 ] || fail "kill $k after $delay ms: the next repair"
        eidetic check --read-data
        [ "$RC" -eq 0 ] || fail "kill $k after $delay ms: not whole after the next repair"
    fi
done
printf '%s kills met a running repair (of %s tried)\n' "$landed" "$((k - 1))"

t "the next repair completes it, and nothing else is left in the library's folder"
eidetic check --read-data --repair
assert_exit 0
eidetic check --read-data
assert_exit 0
assert_eq "$(rows "pragma integrity_check")" ok
assert_eq "$(contents)" "$before"
find "$EIDETIC_LIBRARY" -type f -name '*.tmp-*' >"$TMP/left"
assert_eq "$(cat "$TMP/left")" ""
done_testing
