#!/usr/bin/env bash
# The starter's own captioner, as it ships: sentences by default, while indexing, and before a prompt's flavors.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
share_labels
photos=$EIDETIC_SOURCE/samples/photos
printf 'sea\notter\n' >"$TMP/labels"

t "sentences are the default, and fit what can be seen"
eidetic caption --json "$photos"
assert_exit 0
cp "$TMP/out" "$TMP/said"
assert_eq "$(wc -l <"$TMP/said")" 20
assert_json '(.caption | split(" ") | length >= 4) and .score >= 0 and .score <= 1 and (.low_confidence | type) == "boolean"' "$TMP/said"
assert_json 'select(.path | endswith("ocean-waves.jpg")) | .caption | test("water|wave|ocean|sea|surf")' "$TMP/said"
eidetic caption --json --threads 1 --precision f32 "$photos"
assert_exit 0

t "what fits badly is said"
assert_true test "$(jq -s '[.[] | select(.low_confidence)] | length' "$TMP/said")" -ge 1
assert_json '.low_confidence == (.score < 0.5)' "$TMP/said"

t "index --caption says the same from the pass that makes the vector, and caption finds that done"
eidetic index --caption --json "$photos"
assert_exit 0
assert_err "20 pictures tagged, 20 captioned"
eidetic caption --write db --json "$photos"
assert_exit 0
assert_err "0 pictures captioned, 20 were already"
assert_eq "$(jq -r .caption "$TMP/out")" "$(jq -r .caption "$TMP/said")"
eidetic search -f 'caption:water'
assert_exit 0
eidetic check --read-data
assert_exit 0

t "--caption=tags leaves the sentences out"
EIDETIC_LIBRARY=$TMP/tagged eidetic index --caption=tags "$photos"
assert_exit 0
assert_err "20 pictures tagged, 0 captioned"
EIDETIC_LIBRARY=$TMP/tagged eidetic index --caption=poems "$photos"
assert_exit 2

t "a prompt begins with the caption, with a library and without"
for library in "$EIDETIC_LIBRARY" "$TMP/none"; do
    EIDETIC_LIBRARY=$library eidetic caption --mode interrogate --interrogate fast --labels "$TMP/labels" --json "$photos/ocean-waves.jpg"
    assert_exit 0
    assert_eq "$(jq -r .caption "$TMP/out")" "$(jq -r 'select(.path | endswith("ocean-waves.jpg")) | .caption' "$TMP/said")"
done
done_testing
