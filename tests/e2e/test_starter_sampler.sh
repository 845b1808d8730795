#!/usr/bin/env bash
# The sampler that comes along: a picture without a checkpoint of one's own, filed and found.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
photos=$(sample_copy)
eidetic index "$photos"
assert_exit 0

t "a picture of the starter's own is filed, and says what made it"
eidetic generate "a forest" --seed 1 --json
assert_exit 0
assert_json '.width == 64 and .height == 64 and .filed and .seed == 1 and .clip_score > 0.2'
made=$(json .path)
assert_true grep -qa 'CFG scale: 5, Seed: 1, Size: 64x64, Model: starter' "$made"

t "it is found, and told apart from photographs"
eidetic search "a forest" --generated only --json
assert_json ".results[0].path == \"$made\" and .results[0].generated"

t "the same seed is the same picture"
cd "$TMP" || exit 1
eidetic generate "a forest" --seed 1 --no-file -o again.png
assert_exit 0
eidetic embed --json again.png "$made"
assert_json '.vectors[0] == .vectors[1]'

t "a search that finds nothing makes one without being told of a checkpoint"
eidetic search "a spreadsheet of quarterly revenue" --or-generate --json
assert_exit 0
assert_json '.fits and (.generated | length) == 1 and .results[0].generated'

t "other sides, and what is made for CLIP's tower is refused"
eidetic generate "a rose" -W 128 -H 96 --steps 4 --seed 1 --no-file -o wide.png --json
assert_exit 0
assert_json '.width == 128 and .height == 96'
eidetic generate "a rose" --clip-skip 2 --no-file -o skip.png
assert_exit 2
assert_err "clip skip"
mkdir embeddings
eidetic generate "a rose" --embeddings-dir embeddings --no-file -o words.png
assert_exit 2
assert_err "text tower"
done_testing
