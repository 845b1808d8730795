#!/usr/bin/env bash
# index --watch: what changes is indexed by itself, the library stays free for others, and Ctrl-C ends it cleanly.
# index --shard: parts that make up the whole.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
photos=$TMP/photos samples=$EIDETIC_SOURCE/samples/photos
mkdir "$photos"
cp "$samples/oakland-zoo-otters.jpg" "$photos/"

"$EIDETIC" index --json --watch "$photos" >"$TMP/watch.out" 2>"$TMP/watch.err" &
watcher=$!
lines() { [ "$(wc -l <"$TMP/watch.out")" -ge "$1" ]; }
holds() { "$EIDETIC" search -f -t 100 "a picture" 2>/dev/null | grep -q "$1"; }
lacks() { ! holds "$1"; }

t "the first run tells what it did"
assert_true wait_until 120 lines 1
assert_json '.embedded == 1' "$TMP/watch.out"

t "a new picture, also in a new folder, is found without another command"
mkdir "$photos/new"
cp "$samples/ocean-waves.jpg" "$photos/new/"
assert_true wait_until 120 holds ocean-waves

t "a picture that goes is not found any more"
rm "$photos/new/ocean-waves.jpg"
assert_true wait_until 120 lacks ocean-waves

t "between two runs others may write to the library"
written() { eidetic forget "$photos/oakland-zoo-otters.jpg" && [ "$RC" -eq 0 ]; }
assert_true wait_until 60 written

t "Ctrl-C ends it, with what was done kept"
kill -INT $watcher
wait $watcher
assert_eq $? 130
eidetic check --read-data
assert_exit 0

t "what --watch does not take is said"
eidetic index --watch=often "$photos"
assert_exit 2

t "shards together are the whole, and none forgets another's"
rm -rf "$EIDETIC_LIBRARY"
cp "$samples"/*.jpg "$photos/"
n=$(find "$photos" -type f | wc -l) sum=0
for i in 1 2 3; do
    eidetic index --json --shard $i/3 "$photos"
    assert_exit 0
    assert_json '.missing == 0 and .scanned < '"$n"
    sum=$((sum + $(json .embedded)))
done
assert_eq $sum "$n"
eidetic index --json "$photos"
assert_json ".unchanged == $n and .embedded == 0"
for bad in 0/3 4/3 x 1 1/3/4 -1/3; do
    eidetic index --shard=$bad "$photos"
    assert_exit 2
done
done_testing
