#!/usr/bin/env bash
# What happens to pictures between two runs: moved, copied, edited, gone, back, broken, mended.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
photos=$(sample_copy)
eidetic index "$photos"

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

t "a broken file that goes and comes back is told again"
head -c 5000 "$EIDETIC_SOURCE/samples/photos/nasa-45068.jpg" >"$photos/torn.jpg"
eidetic index --json
mv "$photos/torn.jpg" "$TMP/torn.jpg"
eidetic index --json
assert_json '.missing == 1'
mv "$TMP/torn.jpg" "$photos/torn.jpg"
eidetic index --json
assert_json '.failed == 1 and .known_bad == 0'
eidetic check
assert_exit 0
rm "$photos/torn.jpg"

t "a folder that could not be read is forgiven once it can"
mkdir -p "$photos/shut/.eideticignore"
eidetic index --json
assert_exit 3
eidetic errors
assert_out shut
rmdir "$photos/shut/.eideticignore"
eidetic index --json
assert_exit 0
eidetic errors
assert_lacks out shut

t "a file without permission is tried again once there is one"
cp "$photos/ocean-waves.jpg" "$photos/private.jpg"
printf 'private' >>"$photos/private.jpg"
chmod 000 "$photos/private.jpg"
if [ -r "$photos/private.jpg" ]; then
    echo "  (skipped: nothing is unreadable for this user)"
    chmod 600 "$photos/private.jpg"
    eidetic index
else
    eidetic index --json
    assert_exit 3
    chmod 600 "$photos/private.jpg"
    eidetic index --json
    assert_exit 0
    assert_json '.embedded == 1'
fi
eidetic errors
assert_lacks out private

t "a file that moves while others are pruned keeps its vector"
mv "$photos/private.jpg" "$photos/new/public.jpg"
eidetic index --prune --json
assert_json '.moved == 1 and .embedded == 0 and .pruned >= 1'

t "what an option brought in is told when a run leaves it out, and comes back without work"
mkdir "$photos/.odd"
cp "$photos/tea-gardens.jpg" "$photos/.odd/"
eidetic index --include-hidden
eidetic index --json
assert_json '.missing == 1'
assert_err "has 1 known files"
eidetic index --json
assert_lacks err "known files"
eidetic index --json --include-hidden
assert_json '.missing == 0 and .embedded == 0'
rm -r "$photos/.odd"
eidetic index --prune

t "a hidden folder that was named stays, whatever happens above it"
mkdir -p "$TMP/nest/.hidden"
cp "$photos/tea-gardens.jpg" "$TMP/nest/.hidden/"
cp "$photos/ocean-waves.jpg" "$TMP/nest/"
eidetic index --json "$TMP/nest/.hidden"
assert_json '.scanned == 1'
eidetic index --json "$TMP/nest"
assert_json '.scanned == 2 and .missing == 0'
eidetic index --json --prune "$TMP/nest" "$TMP/nest/.hidden"
assert_json '.scanned == 2 and .unchanged == 2 and .pruned == 0'
eidetic search -f -t 1 --folder "$TMP/nest/.hidden" "tea fields"
assert_out .hidden/tea-gardens.jpg

t "a folder inside another is scanned once, and with it when it goes"
mkdir "$TMP/nest/sub"
mv "$TMP/nest/ocean-waves.jpg" "$TMP/nest/sub/"
eidetic index --json "$TMP/nest/sub"
eidetic index --json "$TMP/nest"
assert_json '.scanned == 2'
mv "$TMP/nest/sub/ocean-waves.jpg" "$TMP/nest/again.jpg"
rmdir "$TMP/nest/sub"
eidetic index --json "$TMP/nest"
assert_json '.scanned == 2 and .embedded == 0 and .missing == 2'
assert_lacks err "is not there"

t "pruning a vanished root forgets the root too"
rm -r "$TMP/nest"
eidetic index --json
assert_err "is not there"
eidetic index --json --prune
assert_json '.pruned == 4'
eidetic stats --json
assert_json '[.roots[].path | contains("nest")] | any | not'
eidetic index --json
assert_lacks err "is not there"

t "a folder that is gone is named safely"
odd=$TMP/$(printf 'odd \033[31m')
mkdir "$odd"
cp "$EIDETIC_SOURCE/samples/photos/casa-mila.jpg" "$odd/"
eidetic index "$odd"
rm -r "$odd"
eidetic index
assert_err '\x1b[31m" is not there'
assert_true test -z "$(tr -d '\n\t' <"$TMP/err" | tr -d '\040-\176')"
eidetic forget "$odd"
assert_exit 0

t "another model embeds again and the first one's vectors stay"
cp -r "$EIDETIC_SOURCE/models/starter" "$TMP/other"
jq '.image.mean = [120, 120, 120]' "$EIDETIC_SOURCE/models/starter/config.json" >"$TMP/other/config.json"
eidetic stats --json
images=$(json .images)
eidetic search --model "$TMP/other" "tea fields"
assert_exit 2
assert_err "eidetic index --model"
eidetic index --json --model "$TMP/other"
assert_json ".embedded == $images and .moved == 0 and .copies == 0"
eidetic stats --json
assert_json '(.models | length) == 2 and (.models[0].vectors >= .images) and .models[1].vectors == .images'
eidetic search --json -t 1 --model starter "tea fields"
assert_json '.model == "starter" and (.results | length) == 1'
eidetic search --json -t 1 "tea fields"
assert_json '.model == "other" and (.results | length) == 1'
eidetic index --json
assert_json '.embedded == 0'
eidetic check --read-data
assert_exit 0
done_testing
