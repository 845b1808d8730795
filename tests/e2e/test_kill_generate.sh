#!/usr/bin/env bash
# SIGKILL at random moments of `generate` and `search --or-generate`: every picture that has a name is whole, the library
# is sound, nothing filed is lost, and what was asked for is made once. 12 kills; 300 with scripts/test --full. SEED repeats
# a run.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
kill_rounds 12 300
"${EIDETIC_BUILD:-$EIDETIC_SOURCE/build/release}/tests/test_golden_sampler" write "$TMP/sd" || fail "the toy cannot be written"
mkdir -p "$XDG_CONFIG_HOME/eidetic"
printf 'width = 32\nheight = 32\nsteps = 2\ncheckpoint = %s\n' "$TMP/sd/toy.safetensors" >"$XDG_CONFIG_HOME/eidetic/config"
photos=$(sample_copy)
before=$(tree_hash "$photos")
eidetic index --quiet "$photos"
assert_exit 0
generated=$EIDETIC_LIBRARY/generated
rows() { sqlite3 -readonly "$EIDETIC_LIBRARY/library.db" "$1" 2>"$TMP/sqlite-err"; }
pngs() { find "$generated" -type f -name '*.png' | wc -l; }

check_pictures() {
    local f
    find "$generated" -type f ! -name .making >"$TMP/files"
    while read -r f; do
        case $f in *.png) ;; *) fail "kill $k: $f was left" ;; esac
        [ "$(tail -c 8 "$f" | od -An -tx1 | tr -d ' \n')" = 49454e44ae426082 ] || fail "kill $k: $f is half-written"
    done <"$TMP/files"
}

kill_measure "$EIDETIC" generate "a tree" --seed 1 -b 3 --quiet
rows 'select hex(hash) from images order by 1' >"$TMP/known"
partial=0
t "after each of $kills kills every picture is whole, the library is sound, and nothing is made twice"
for ((k = 1; landed < kills; k++)); do
    [ $k -le $((kills * 5)) ] || fail "only $landed of $k kills met a running generate"
    had=$(pngs)
    words="a list of chemical elements number $k"
    if ((k % 2)); then
        kill_within $((whole + whole / 20 + 1)) "$EIDETIC" generate "a tree" --seed $((k * 10)) -b 3 --quiet
    else
        kill_within $((whole + whole / 20 + 1)) "$EIDETIC" search "$words" --or-generate=3 --quiet
    fi
    eidetic check --read-data
    [ "$RC" -eq 0 ] || fail "kill $k after $delay ms"
    check_pictures
    rows 'select hex(hash) from images order by 1' >"$TMP/now" || fail "kill $k: $(cat "$TMP/sqlite-err")"
    lost=$(LC_ALL=C comm -23 "$TMP/known" "$TMP/now")
    [ -z "$lost" ] || fail "kill $k after $delay ms: lost: $lost"
    new=$(($(pngs) - had))
    if [ $new -gt 0 ] && [ $new -lt 3 ]; then partial=$((partial + 1)); fi
    if ((k % 2 == 0)); then
        eidetic search "$words" --or-generate=3 --json --quiet
        [ "$RC" -eq 0 ] || fail "kill $k after $delay ms: the next search"
        made=$(rows "select count(*) from images where prompt = '$words'")
        [ "$made" -ge 1 ] && [ "$made" -le 3 ] || fail "kill $k after $delay ms: $made pictures of one search"
        [ "$new" -eq 0 ] || [ "$(($(pngs) - had))" -eq "$new" ] || fail "kill $k after $delay ms: made again"
    fi
    rows 'select hex(hash) from images order by 1' >"$TMP/known"
done
printf '%s kills met a running generate (of %s tried), %s of them left a part\n' "$landed" "$((k - 1))" "$partial"

t "the next run files what was left"
eidetic generate "a tree" --seed 2 --quiet
assert_exit 0
assert_eq "$(rows "select count(*) from files where status = 1 and cast(path as text) like '$generated/%'")" "$(pngs)"
eidetic check --read-data
assert_exit 0
assert_eq "$(tree_hash "$photos")" "$before"

t "no worker process stays behind"
sleep 1
assert_true test -z "$(pgrep -f -- "$EIDETIC --eidetic-decode-worker" || true)"
done_testing
