#!/usr/bin/env bash
# Mixing checkpoints: what is written, what is refused, and that the mixture makes pictures.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
make_toy=${EIDETIC_BUILD:-$EIDETIC_SOURCE/build/release}/tests/test_golden_sampler
[ -x "$make_toy" ] || skip_all "no $make_toy"
"$make_toy" write "$TMP" || fail "the toy cannot be written"
cd "$TMP" || exit 1
cp toy.safetensors b.safetensors
blocks=$(printf '0.5,%.0s' {1..24})0

t "a mixture of a checkpoint with itself is that checkpoint"
eidetic merge toy.safetensors b.safetensors -r 0.3 -o mixed.safetensors --json
assert_exit 0
assert_json '.path == "mixed.safetensors" and .mixed == .tensors and .left_out == 0'
for model in toy mixed; do
    eidetic generate "a boat" --model ./$model.safetensors -W 16 -H 16 --steps 1 --seed 1 -o $model.png
    assert_exit 0
done
eidetic embed --json toy.png mixed.png
assert_json '.vectors[0] == .vectors[1]'

t "a third checkpoint, blocks and types are taken"
eidetic merge toy.safetensors b.safetensors toy.safetensors --blocks "$blocks" --type f16 -o half.safetensors
assert_exit 0
assert_true test "$(stat -c %s half.safetensors)" -lt "$(stat -c %s toy.safetensors)"

t "wrong words are wrong usage, files that do not fit bad files; nothing is overwritten"
eidetic merge toy.safetensors b.safetensors -o mixed.safetensors
assert_exit 2
assert_err "never overwritten"
for words in "-r 1e9 -o x.safetensors" "--blocks 1,2 -o x.safetensors" "--blocks $blocks,1 -o x.safetensors" \
    "--type i8 -o x.safetensors" "-o x.ckpt" ""; do
    # shellcheck disable=SC2086
    eidetic merge toy.safetensors b.safetensors $words
    assert_exit 2
done
eidetic merge toy.safetensors -o x.safetensors
assert_exit 2
eidetic merge toy.safetensors toy.png -o x.safetensors
assert_exit 4
assert_true test ! -e x.safetensors
done_testing
