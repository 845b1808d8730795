#!/usr/bin/env bash
# A picture made is a picture filed: found by the next search, told apart from photographs, and
# taken in later where a kill came between its file and its row.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
make_toy=${EIDETIC_BUILD:-$EIDETIC_SOURCE/build/release}/tests/test_golden_sampler
[ -x "$make_toy" ] || skip_all "no $make_toy"
"$make_toy" write "$TMP/sd" || fail "the toy cannot be written"
toy=$TMP/sd/toy.safetensors
cd "$TMP" || exit 1
make() { eidetic generate --model "$toy" -W 32 -H 32 --steps 2 "$@"; }

t "without a library it makes one, and the picture lies in it under its seed and words"
make "a (red:1.3) boat, [at sea:in port:0.5]" -n "people" --seed 42 --json
assert_exit 0
assert_json '.filed and (.path | test("/library/generated/[0-9]{4}/[0-9]{2}/42-a-red-boat-in-port.png$"))'
picture=$(json .path)
eidetic search --json "a red boat"
assert_json '.results[0].path == "'"$picture"'" and .results[0].generated'
eidetic info --json "$picture"
assert_json '.generated and .prompt == "a (red:1.3) boat, [at sea:in port:0.5]" and .negative_prompt == "people" and .seed == 42 and .checkpoint == "toy" and .sampler == "Euler a"'
assert_json ".model_hash == \"$(sha256sum "$toy" | cut -c1-10)\""
eidetic info "$picture"
assert_out "a (red:1.3) boat"

t "its tags are what the prompt names"
assert_eq "$(eidetic info --json "$picture" && json '[.tags[].tag] | join("|")')" "red boat|red|boat|in port"
eidetic search --json "tag:boat"
assert_json '.results[0].path == "'"$picture"'"'

t "names by a pattern, from the command or the config file, and never outside the folder"
make "a hill, green" --seed 5 --name-pattern "[model_name]/[seed]_[prompt_words].jpg" --json
assert_exit 0
assert_json '.path | endswith("/library/generated/toy/5_a hill green.jpg")'
mkdir -p "$XDG_CONFIG_HOME/eidetic"
printf 'name-pattern = [width]x[height]/[seed]\n' >"$XDG_CONFIG_HOME/eidetic/config"
make "../../../a hill" --seed 6 --json
assert_json '.path | endswith("/library/generated/32x32/6.png")'
make "../../../a hill" --seed 6 --json --name-pattern "[prompt]"
assert_json '.path | endswith("/library/generated/_.._.._a_hill.png")'
rm "$XDG_CONFIG_HOME/eidetic/config"
for pattern in "../x" "/tmp/x" "[nothing]" ".x"; do
    make "a hill" --name-pattern "$pattern"
    assert_exit 2
    assert_err "name-pattern"
done
mkdir -p elsewhere && ln -s "$TMP/elsewhere" "$EIDETIC_LIBRARY/generated/link"
make "a hill" --name-pattern "link/[seed]"
assert_exit 2
assert_eq "$(ls elsewhere)" ""
rm "$EIDETIC_LIBRARY/generated/link"

t "the same again is another file with the same content; nothing is overwritten"
make "a (red:1.3) boat, [at sea:in port:0.5]" -n "people" --seed 42 --json
assert_exit 0
assert_json '.path | endswith("42-a-red-boat-in-port-2.png")'
assert_true cmp "$picture" "$(json .path)"

t "photographs stay photographs"
photos=$(sample_copy)
eidetic index "$photos"
assert_exit 0
eidetic search --json "otters by the water"
assert_json '.results[0].path | endswith("otters.jpg")'
assert_json '.results[0].generated == false'
eidetic stats --json
assert_json '.generated == 3'

t "-o FILE is filed where it is; --no-file is not"
make "a hill" --seed 1 -o hill.png --json
assert_exit 0
assert_json '.path == "hill.png" and .filed'
make "a lake" --seed 2 -o lake.png --no-file --json
assert_exit 0
assert_json '.filed == false'
eidetic info --json hill.png
assert_json '.indexed and .prompt == "a hill"'
eidetic info --json lake.png
assert_json '(.indexed | not) and .generated and .prompt == "a lake" and .seed == 2'

t "what a kill left without a row is taken in by the next picture"
folder=$(dirname "$picture")
cp lake.png "$folder/lost.png"
make "a tree" --seed 3
assert_exit 0
eidetic info --json "$folder/lost.png"
assert_json '.indexed and .prompt == "a lake"'

t "a locked library keeps the picture and says so; the next run files it"
"$EIDETIC" index "$photos" --retry-failed >/dev/null 2>&1
exec 7>"$EIDETIC_LIBRARY/lock"
if flock -n 7; then
    make "a locked door" --seed 9 --json
    assert_exit 5
    assert_json '.filed == false'
    locked=$(json .path)
    assert_true test -s "$locked"
    flock -u 7
    make "a door" --seed 10
    assert_exit 0
    eidetic info --json "$locked"
    assert_json .indexed
fi
eidetic check --read-data
assert_exit 0

t "--best-of keeps one of several"
make "a cat" --seed 20 --best-of 3 --json
assert_exit 0
assert_eq "$(wc -l <"$TMP/out")" 1
assert_json '.seed >= 20 and .seed <= 22'
done_testing
