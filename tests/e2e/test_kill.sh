#!/usr/bin/env bash
# SIGKILL at random moments of indexing: the library stays sound, nothing committed is lost or embedded
# twice, and the photographs are untouched. 20 that meet a running index; 400 with scripts/test --full. SEED repeats a run.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
kill_rounds 20 400

# 120 different contents out of 20 pictures: bytes behind a JPEG's end change its hash, not its pixels.
photos=$TMP/photos
mkdir -p "$photos"
for f in "$EIDETIC_SOURCE"/samples/photos/*.jpg; do
    for i in 1 2 3 4 5 6; do
        { cat "$f"; printf '%s' "$i"; } >"$photos/$i-${f##*/}"
    done
done
n=$(find "$photos" -type f | wc -l)
before=$(tree_hash "$photos")

rows() { sqlite3 -readonly "$EIDETIC_LIBRARY/library.db" "$1" 2>"$TMP/sqlite-err"; }

kill_measure "$EIDETIC" index --batch-size 4 "$photos"

partial=0 have=0
rm -rf "$EIDETIC_LIBRARY"
: >"$TMP/known"
t "after each of $kills kills the library is sound and keeps what it had"
for ((k = 1; landed < kills; k++)); do
    [ $k -le $((kills * 5)) ] || fail "only $landed of $k kills met a running index"
    # what is left, and a little more
    kill_within $((whole * (n - have) / n + whole / 20 + 1)) "$EIDETIC" index --quiet --batch-size 4 "$photos"
    if [ -e "$EIDETIC_LIBRARY/library.db" ]; then
        eidetic check --read-data
        # a kill before the first commit leaves no library yet
        if [ "$RC" -ne 0 ]; then
            [ "$RC" -eq 2 ] && grep -q 'no library' "$TMP/err" || fail "kill $k after $delay ms"
        else
            rows 'select hex(i.hash), v.generation from vectors v join images i on i.id = v.image order by 1' >"$TMP/now" ||
                fail "kill $k: $(cat "$TMP/sqlite-err")"
            lost=$(LC_ALL=C comm -23 <(LC_ALL=C sort "$TMP/known") <(LC_ALL=C sort "$TMP/now"))
            [ -z "$lost" ] || fail "kill $k after $delay ms: lost or embedded again: $lost"
            cp "$TMP/now" "$TMP/known"
            have=$(wc -l <"$TMP/now")
            if [ "$have" -gt 0 ] && [ "$have" -lt "$n" ]; then partial=$((partial + 1)); fi
            if [ "$have" -eq "$n" ]; then # complete: begin anew, so that every kill meets work
                rm -rf "$EIDETIC_LIBRARY"
                : >"$TMP/known"
                have=0
            fi
        fi
    fi
    [ "$(tree_hash "$photos")" = "$before" ] || fail "kill $k: the photographs changed"
done
printf '%s kills met a running index (of %s tried), %s of them left a part\n' "$landed" "$((k - 1))" "$partial"

t "the next run completes it"
assert_whole "$n" "$photos"

t "no worker process stays behind"
sleep 1
assert_true test -z "$(pgrep -f -- "$EIDETIC --eidetic-decode-worker" || true)"
done_testing
