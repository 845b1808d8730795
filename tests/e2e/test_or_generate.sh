#!/usr/bin/env bash
# A search that finds nothing, the picture that it makes, and the search that then finds it.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
make_toy=${EIDETIC_BUILD:-$EIDETIC_SOURCE/build/release}/tests/test_golden_sampler
[ -x "$make_toy" ] || skip_all "no $make_toy"
"$make_toy" write "$TMP/sd" || fail "the toy cannot be written"
toy=$TMP/sd/toy.safetensors
cd "$TMP" || exit 1
mkdir -p "$XDG_CONFIG_HOME/eidetic"
printf 'width = 32\nheight = 32\nsteps = 2\nseed = 7\n' >"$XDG_CONFIG_HOME/eidetic/config"
photos=$(sample_copy)
eidetic index "$photos"
assert_exit 0
made() { find "$EIDETIC_LIBRARY/generated" -name '*.png' 2>/dev/null | wc -l; }
absent="a spreadsheet of quarterly revenue"

t "what is there is found, and nothing is made"
eidetic search --json "otters by the water" --or-generate --checkpoint "$toy"
assert_exit 0
assert_json '.fits and .generated == [] and (.results[0].path | endswith("otters.jpg"))'
assert_eq "$(made)" 0

t "what is not there is made, filed and answered with, the photographs behind it"
eidetic search --json "$absent" --or-generate=2 --checkpoint "$toy"
assert_exit 0
assert_json '.fits and (.generated | length) == 2 and ([.generated[].filed] | all) and ([.generated[].seed] == [7, 8])'
assert_json '[.results[0:2][].generated] == [true, true] and .results[2].generated == false'
assert_json '.results[0].score >= .results[1].score and ([.results[0:2][].path] | sort) == ([.generated[].path] | sort)'
assert_eq "$(made)" 2

t "the same search again finds them and makes nothing, other words are not answered by them"
eidetic search --json "$absent" --or-generate=2 --checkpoint "$toy"
assert_exit 0
assert_json '.fits and .generated == [] and .results[0].generated'
assert_eq "$(made)" 2
eidetic search --json "a diagram of the tax code" --or-generate --checkpoint "$toy"
assert_exit 0
assert_json '(.generated | length) == 1'
assert_eq "$(made)" 3

t "filters tell them apart"
eidetic search --json "$absent" --generated only
assert_json '[.results[].generated] | length == 3 and all'
eidetic search --json "$absent" --generated no
assert_exit 1
assert_json '[.results[].generated] | any | not'
eidetic search "$absent" --generated perhaps
assert_exit 2

t "a list of queries; --dry-run only lists those that nothing fits"
printf '%s\n' "otters by the water" "an invoice from the electricity company" "$absent" >queries
eidetic search --batch queries --or-generate --dry-run
assert_exit 1
assert_eq "$(cat "$TMP/out")" "an invoice from the electricity company"
assert_eq "$(made)" 3
eidetic search --batch queries --or-generate --checkpoint "$toy" --json
assert_exit 0
assert_eq "$(json '.generated | length' | paste -sd,)" "0,1,0"
assert_eq "$(made)" 4

t "two at once make it once"
"$EIDETIC" search "an invoice from the tax office" --or-generate --checkpoint "$toy" >/dev/null 2>"$TMP/err2" &
pid=$!
eidetic search "an invoice from the tax office" --or-generate --checkpoint "$toy"
assert_exit 0
wait $pid
assert_eq $? 0
assert_eq "$(made)" 5

t "a kill between file and row costs nothing: the next search takes the file in"
sqlite3 "$EIDETIC_LIBRARY/library.db" "PRAGMA foreign_keys = ON;
    DELETE FROM files WHERE image IN (SELECT id FROM images WHERE prompt LIKE '%tax office%');
    DELETE FROM images WHERE prompt LIKE '%tax office%'" || fail "the row cannot be taken out"
eidetic search --json "an invoice from the tax office" --or-generate --checkpoint "$toy"
assert_exit 0
assert_json '.generated == [] and .results[0].generated'
assert_eq "$(made)" 5
eidetic check --read-data
assert_exit 0

t "the config file may ask for it: how many, too"
cp "$XDG_CONFIG_HOME/eidetic/config" kept-config
printf 'or-generate = 2\ncheckpoint = %s\n' "$toy" >>"$XDG_CONFIG_HOME/eidetic/config"
eidetic search --json "a spreadsheet of yearly revenue"
assert_exit 0
assert_json '(.generated | length) == 2'
eidetic search --json "a spreadsheet of yearly revenue"
assert_json '.generated == []'
eidetic search --json "otters by the water" --add "./photos/ocean-waves.jpg"
assert_exit 0
assert_json '.generated == null or .generated == []'
eidetic search -i
assert_exit 2
assert_err "needs a terminal"
eidetic search -i --or-generate
assert_exit 2
assert_err "--or-generate"
printf 'preview = blocks\n' >>"$XDG_CONFIG_HOME/eidetic/config"
printf '%s\n' "an invoice from the gas company" "otters by the water" >queries
eidetic search --json --batch queries
assert_eq "$(json '.generated | length' | paste -sd,)" "2,0"
mv kept-config "$XDG_CONFIG_HOME/eidetic/config"

t "wrong words are wrong usage"
EIDETIC_MODELS=$(dirname "$(bare_model)") eidetic search "$absent" --or-generate
assert_exit 2
assert_err "checkpoint"
for words in "--or-generate=0" "--or-generate=x" "--dry-run" "--or-generate --add cat"; do
    # shellcheck disable=SC2086
    eidetic search "$absent x" --checkpoint "$toy" $words
    assert_exit 2
done
eidetic search "$absent" --or-generate --checkpoint "$TMP/nowhere.safetensors"
assert_exit 0
eidetic search "a list of chemical elements" --or-generate --checkpoint "$TMP/nowhere.safetensors"
assert_exit 4
done_testing
