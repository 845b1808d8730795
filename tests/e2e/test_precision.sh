#!/usr/bin/env bash
# --precision: how near to f32, what is recorded, and what is refused.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
photos=$(sample_copy)
mapfile -t files < <(find "$photos" -name '*.jpg' | sort)

# The median of the pictures' cosines between two answers of embed.
median() {
    jq -s '[.[0].vectors, .[1].vectors] | transpose | map(transpose | map(.[0] * .[1]) | add) | sort | .[length / 2 | floor]' "$1" "$2"
}

t "embed is f32 unless told otherwise"
eidetic embed --json "${files[@]}"
assert_exit 0
cp "$TMP/out" "$TMP/f32"
eidetic embed --json --precision f32 "${files[@]}"
assert_true cmp -s "$TMP/out" "$TMP/f32"

t "bf16 and int8 are near f32, and not f32"
eidetic doctor
if grep -q 'bf16 and int8' "$TMP/out"; then
    for p in bf16 int8; do
        eidetic embed --json --precision $p "${files[@]}"
        assert_exit 0
        assert_true test "$(median "$TMP/f32" "$TMP/out" | jq '. >= 0.999 and . < 0.9999999')" = true
    done
    expected='["int8"]'
else
    echo "skipped: this processor has no arithmetic in bf16 and int8"
    eidetic embed --json --precision int8 "${files[@]}"
    assert_exit 0
    assert_err "f32 is used"
    assert_true cmp -s "$TMP/out" "$TMP/f32"
    expected='["f32"]'
fi

t "the precision of a vector is recorded, and precisions mix in one library"
eidetic index "$photos"
assert_exit 0
eidetic info --json "${files[0]}"
assert_json "[.vectors[].precision] == $expected"
eidetic search --json "otters beside the water" -t 1
assert_json '.results[0].path | endswith("oakland-zoo-otters.jpg")'
printf x >>"${files[0]}"
eidetic index --precision f32 "$photos"
assert_exit 0
eidetic info --json "${files[0]}"
assert_json '[.vectors[].precision] == ["f32"]'
eidetic search --json "otters beside the water" -t 1
assert_json '.results[0].path | endswith("oakland-zoo-otters.jpg")'

t "sentences are f32 in every precision"
eidetic embed --json --text "a red boat"
cp "$TMP/out" "$TMP/sentence"
eidetic embed --json --precision int8 --text "a red boat"
assert_true cmp -s "$TMP/out" "$TMP/sentence"

t "model info measures it"
eidetic model info --json starter
assert_json '(.bf16_cosine // 1) >= 0.999 and (.int8_cosine // 1) >= 0.999 and (.int8_least // 1) >= 0.99'

t "what is no precision is refused"
for p in fp4 BF16 "" 8; do
    eidetic embed --precision "$p" --text x
    assert_exit 2
    assert_err "--precision is f32, bf16, int8, f16 or auto"
done
eidetic embed --device cpu/fast --text x
assert_exit 2
eidetic embed --precision f16 --text x
assert_exit 2
assert_err "--precision f16 is for graphics cards"
done_testing
