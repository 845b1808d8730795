#!/usr/bin/env bash
# What happens to pictures between two runs: moved, copied, edited, gone, back, broken, mended.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
photos=$(sample_copy)
eidetic index "$photos"
n=$(find "$photos" -name '*.jpg' | wc -l)

t "a moved file keeps its vector"
mkdir "$photos/new"
mv "$photos/casa-mila.jpg" "$photos/new/renamed.jpg"
eidetic index --json
assert_json '.moved == 1 and .embedded == 0 and .missing == 1'
eidetic search --json "$EIDETIC_SOURCE/samples/photos/casa-mila.jpg" -t 1
assert_json '.results[0].score > 0.999 and (.results[0].path | endswith("new/renamed.jpg"))'

t "a copy costs no embedding"
cp "$photos/canyon-wren.jpg" "$photos/new/copy.jpg"
eidetic index --json
assert_json '.copies == 1 and .embedded == 0 and .moved == 0'

t "a touched file is read again but not embedded"
touch -d '2001-01-01' "$photos/canyon-wren.jpg"
eidetic index --json
assert_json '.embedded == 0 and .moved == 0 and .copies == 0'

t "an edited file gets a new vector"
cp "$photos/nasa-45068.jpg" "$photos/tea-gardens.jpg"
printf 'edited' >>"$photos/tea-gardens.jpg"
eidetic index --json
assert_json '.embedded == 1'
eidetic search --json "$photos/nasa-45068.jpg" -t 2
assert_json '[.results[].path | endswith("tea-gardens.jpg")] | any'

t "a deleted file is not found any more, and comes back without work"
mv "$photos/perched-osprey.jpg" "$TMP/away.jpg"
eidetic index --json
assert_json '.missing == 1'
eidetic search -f -t 100 "an osprey"
assert_lacks out perched-osprey.jpg
mv "$TMP/away.jpg" "$photos/perched-osprey.jpg"
eidetic index --json
assert_json '.embedded == 0'
eidetic search -f -t 100 "an osprey"
assert_out perched-osprey.jpg

t "a root that is gone loses nothing"
eidetic stats --json
images=$(json .images)
mv "$photos" "$TMP/unmounted"
eidetic index --json
assert_exit 0
assert_err "kept"
eidetic stats --json
assert_json ".images == $images"
mkdir "$photos"
eidetic index --json
assert_err "kept"
rmdir "$photos"
mv "$TMP/unmounted" "$photos"
eidetic index --json
assert_json '.embedded == 0 and .missing == 0 and .moved == 0'

t "only --prune forgets"
rm "$photos/spacex-81773.jpg"
eidetic index --json
assert_json '.missing == 1 and .pruned == 0'
eidetic index --prune --json
assert_json '.pruned >= 1'
cp -p "$EIDETIC_SOURCE/samples/photos/spacex-81773.jpg" "$photos/"
eidetic index --json
assert_json '.embedded == 1'

t "a broken file is listed, not retried, and found once mended"
head -c 5000 "$EIDETIC_SOURCE/samples/photos/roman-colosseum.jpg" >"$photos/broken.jpg"
eidetic index --json
assert_exit 3
assert_json '.failed == 1'
eidetic errors
assert_out broken.jpg
eidetic index --json
assert_exit 0
assert_json '.failed == 0 and .known_bad == 1'
{ cat "$EIDETIC_SOURCE/samples/photos/roman-colosseum.jpg"; printf 'mended'; } >"$photos/broken.jpg"
eidetic index --json
assert_json '.embedded == 1'
eidetic errors
assert_lacks out broken.jpg

t "another model embeds again and the first one's vectors stay"
eidetic stats --json
assert_json '(.models | length) == 1'
eidetic check --read-data
assert_exit 0
: "$n"
done_testing
