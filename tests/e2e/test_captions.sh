#!/usr/bin/env bash
# Captions in sentences, by toy captioners whose words mean nothing: what is printed, kept and refused.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
share_labels
photos=$(sample_copy)
before=$(tree_hash "$photos")
(cd "$TMP" && TOY_DIR=toy "$EIDETIC_BUILD/tests/test_golden_caption" write blip >/dev/null) || fail "the toy cannot be written"
toy=$TMP/toy
eidetic index "$photos"
assert_exit 0

t "without a captioner tags are the default, and --mode caption says what is missing"
bare=$(bare_model)
eidetic caption --model "$bare" --mode caption "$photos/oakland-zoo-otters.jpg"
assert_exit 2
assert_err "there is no captioner"
eidetic caption --model "$bare" --json "$photos/oakland-zoo-otters.jpg"
assert_json '.caption == null and (.tags | length) > 0'

t "with one a sentence is"
eidetic caption --captioner "$toy" --json "$photos/oakland-zoo-otters.jpg"
assert_exit 0
assert_json '(.caption | type) == "string" and .score >= 0 and .score <= 1 and (.low_confidence | type) == "boolean" and .tags == []'
first=$(jq -r .caption "$TMP/out")
eidetic caption --captioner "$toy" --threads 1 --json "$photos/oakland-zoo-otters.jpg"
assert_eq "$(jq -r .caption "$TMP/out")" "$first"

t "beams, lengths and draws are as asked for"
for o in "--beams 1" "--beams 8 --max-length 6 --min-length 6" "--top-p 0.9 --seed 3" "--repetition-penalty 1.5 --length-penalty 0" \
    "--prompt aphoto"; do
    # shellcheck disable=SC2086
    eidetic caption --captioner "$toy" $o --json "$photos/oakland-zoo-otters.jpg"
    assert_exit 0
done
for o in "--beams 0" "--beams 99" "--max-length 0" "--min-length 31" "--top-p 2" "--top-p x" "--temperature 2" \
    "--length-penalty nan" "--labels /dev/null" "--mode tags"; do
    # shellcheck disable=SC2086
    eidetic caption --captioner "$toy" $o "$photos/oakland-zoo-otters.jpg"
    assert_exit 2
done

t "captions are kept, found and not made again"
eidetic caption --captioner "$toy" --write db --json "$photos"
assert_exit 0
assert_eq "$(wc -l <"$TMP/out")" 20
assert_err "20 pictures captioned, 0 were already"
eidetic caption --captioner "$toy" --write db --json "$photos"
assert_err "0 pictures captioned, 20 were already"
eidetic info --json "$photos/oakland-zoo-otters.jpg"
assert_eq "$(jq -r .caption "$TMP/out")" "$(eidetic caption --captioner "$toy" --json "$photos/oakland-zoo-otters.jpg" >/dev/null; jq -r .caption "$TMP/out")"
eidetic check
assert_exit 0

t "a captioner in the model folders is found, and makes sentences the default"
mkdir -p "$XDG_DATA_HOME/eidetic/models"
cp -r "$toy" "$XDG_DATA_HOME/eidetic/models/toy"
eidetic caption --json "$photos/oakland-zoo-otters.jpg"
assert_exit 0
assert_json '(.caption | type) == "string"'

t "bad captioners and bad pictures are said"
eidetic caption --captioner "$TMP/none/such" "$photos/oakland-zoo-otters.jpg"
assert_exit 4
eidetic caption --captioner "$EIDETIC_SOURCE/models/starter" "$photos/oakland-zoo-otters.jpg"
assert_exit 4
echo "no picture" >"$TMP/bad.jpg"
eidetic caption --captioner "$toy" "$TMP/bad.jpg" "$photos/oakland-zoo-otters.jpg"
assert_exit 3
assert_eq "$(wc -l <"$TMP/out")" 1
(cd "$TMP" && TOY_DIR=own "$EIDETIC_BUILD/tests/test_golden_caption" write starter >/dev/null) || fail "the toy cannot be written"
eidetic caption --captioner "$TMP/own" "$photos/oakland-zoo-otters.jpg"
assert_exit 4
assert_err "was trained on the states of the model 0123456789abcdef0123456789abcdef, and starter is"
head -c 5000 "$toy/model.safetensors" >"$TMP/cut" && cp "$TMP/cut" "$toy/model.safetensors"
eidetic caption --captioner "$toy" "$photos/oakland-zoo-otters.jpg"
assert_exit 4
assert_eq "$(tree_hash "$photos")" "$before"
done_testing
