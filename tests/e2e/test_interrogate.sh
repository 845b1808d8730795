#!/usr/bin/env bash
# A prompt from a picture, with the lists as they are shipped.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
photo=$EIDETIC_SOURCE/samples/photos/ocean-waves.jpg
printf 'sea\nocean wave\nairplane\n' >"$TMP/labels"
bare=$(bare_model)
ask() { eidetic caption --model "$bare" --mode interrogate --labels "$TMP/labels" "$@"; }
eidetic index "$photo"

t "fast: the label that fits and the phrases nearest to the picture, within 77 tokens"
ask --json --interrogate fast "$photo"
assert_exit 0
assert_json '.caption | test("^a photo of (a sea|an ocean wave)$")'
assert_json '.caption as $c | (.prompt | startswith($c + ", ")) and (.prompt | split(", ") | length > 5)'
assert_json '.score > 0.2 and .score < 1'
assert_true test "$(jq -r .prompt "$TMP/out" | wc -w)" -lt 77

t "the phrases' vectors are kept and answer at once"
assert_true test -s "$(echo "$XDG_CACHE_HOME"/eidetic/labels/labels-*-flavors.bin)"
before=$(sha256sum "$XDG_CACHE_HOME"/eidetic/labels/labels-*)
ask --json --interrogate classic "$photo"
assert_exit 0
assert_json '.prompt | test(" (by|inspired by) ")'
assert_eq "$(sha256sum "$XDG_CACHE_HOME"/eidetic/labels/labels-*)" "$before"

t "negative has no caption, and is farther from the picture"
ask --json --interrogate negative "$photo"
assert_exit 0
assert_json '.caption == null and .score < 0.1 and (.prompt | length) > 3'

t "best is the default, and prints the prompt alone behind the path"
ask "$photo"
assert_exit 0
assert_out "$(printf 'ocean-waves.jpg"\ta photo of')"

t "what does not go together is wrong usage"
ask --interrogate better "$photo"
assert_exit 2
ask --write txt "$photo"
assert_exit 2
eidetic caption --interrogate fast "$photo"
assert_exit 2
done_testing
