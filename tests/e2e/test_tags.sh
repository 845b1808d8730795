#!/usr/bin/env bash
# Tags: what is said of pictures, kept in the library, found again; bad lists; kills.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
photos=$(sample_copy)
before=$(tree_hash "$photos")
printf 'otter\tanimal\tanimal\ndog\tanimal\tanimal\nanimal\nocean\tscene\ncity\tscene\nspiral\nflower\ncar\n' >"$TMP/labels"

t "without a library pictures are described, and none is made"
eidetic caption --json --labels "$TMP/labels" "$photos"
assert_exit 0
assert_json '.caption == null and (.tags | type) == "array" and (.path | startswith("/"))'
assert_eq "$(wc -l <"$TMP/out")" 20
assert_eq "$(jq -r 'select(.path | endswith("otters.jpg")) | [.tags[].tag] | join(",")' "$TMP/out")" "animal,otter"
assert_true test ! -e "$EIDETIC_LIBRARY"

t "scores descend, lie within 0 and 1, and a parent's is not below its child's"
assert_json '[.tags[].score] | . == (sort | reverse) and all(. >= 0.15 and . <= 1)'

t "classify gives probabilities"
eidetic caption --mode classify --labels "$TMP/labels" --json "$photos/oakland-zoo-otters.jpg"
assert_exit 0
assert_json '(.tags | length) == 8 and .tags[0].tag == "otter" and ([.tags[].score] | add | . > 0.999 and . < 1.001)'
eidetic caption --mode classify --labels "$TMP/labels" --top 2 --json "$photos/oakland-zoo-otters.jpg"
assert_json '(.tags | length) == 2'

t "ask chooses, and says what it cannot do"
eidetic caption --mode ask "is it indoors or outdoors?" --choices indoors,outdoors --json "$photos/tea-gardens.jpg"
assert_exit 0
assert_json '.tags[0].tag == "outdoors" and (.tags | length) == 2'
assert_err "not understood"

eidetic index --quiet "$photos"
assert_exit 0

t "index --caption tags what it embeds, and caption finds that done"
EIDETIC_LIBRARY=$TMP/tagged eidetic index --caption --json "$photos"
assert_exit 0
assert_err "20 pictures tagged"
EIDETIC_LIBRARY=$TMP/tagged eidetic search -f tag:ocean
assert_out ocean-waves.jpg
EIDETIC_LIBRARY=$TMP/tagged eidetic caption --mode tags --write db --json "$photos"
assert_err "0 pictures tagged, 20 were already"
EIDETIC_LIBRARY=$TMP/tagged eidetic index --caption --json "$photos"
assert_json '.embedded == 0'
assert_err "0 pictures tagged"
EIDETIC_LIBRARY=$TMP/tagged eidetic check --read-data
assert_exit 0

t "the built-in vocabulary; its vectors are computed once"
eidetic caption --mode tags --write db --json "$photos"
assert_exit 0
cp "$TMP/out" "$TMP/first"
assert_json 'select(.path | endswith("ocean-waves.jpg")) | [.tags[].tag] | index("ocean") != null' "$TMP/first"
eidetic caption --mode tags --verbose --json "$photos/ocean-waves.jpg"
assert_lacks err "computing the vectors"
eidetic caption --mode tags --write db --json "$photos"
assert_err "0 pictures tagged, 20 were already"
assert_true cmp -s "$TMP/out" "$TMP/first"
eidetic caption --mode tags --write db --redo --json "$photos"
assert_err "20 pictures tagged"

t "a damaged cache of label vectors is mended"
cache=$(echo "$XDG_CACHE_HOME"/eidetic/labels/*.bin)
cp "$cache" "$TMP/whole"
printf 'x' | dd of="$cache" bs=1 seek=4000 conv=notrunc status=none
eidetic caption --mode tags --verbose --json "$photos/ocean-waves.jpg"
assert_exit 0
assert_err "computing the vectors"
assert_true cmp -s "$cache" "$TMP/whole"

t "search and info show tags"
eidetic search --json -t 1 "waves in the ocean"
assert_json '.results[0].tags | index("ocean") != null'
eidetic info --json "$photos/ocean-waves.jpg"
assert_json '[.tags[].tag] | index("ocean") != null'
eidetic info "$photos/ocean-waves.jpg"
assert_out "ocean"
eidetic check --read-data
assert_exit 0

t "words bring pictures forward, and conditions hide"
eidetic search --json -t 1 --explain "lake sherburne"
assert_exit 0
assert_json '.results[0] | (.path | endswith("lake-sherburne.jpg")) and .explain.names > 0.99 and .explain.order > .score'
eidetic search -f 'tag:ocean'
assert_exit 0
assert_out "ocean-waves.jpg"
eidetic search -f --tag ocean "the sea"
assert_out "ocean-waves.jpg"
eidetic search -f -t 50 'the sea NOT tag:ocean'
assert_lacks out "ocean-waves.jpg"
eidetic search -f -t 50 '(path:otters OR path:osprey) an animal'
assert_eq "$(wc -l <"$TMP/out")" 2
eidetic search -f '"casa mila"'
assert_eq "$(wc -l <"$TMP/out")" 1
eidetic search -f '"mila casa"'
assert_exit 1
eidetic search --explain -t 1 "otters"
assert_out "cosine"
printf 'tag:ocean\n"open\ndate:2001\n' >"$TMP/queries"
eidetic search --batch "$TMP/queries" --json
assert_exit 2
assert_eq "$(wc -l <"$TMP/out")" 3
for wrong in '"open' 'tag:a AND' '(path:x' 'date:soon'; do
    eidetic search "$wrong"
    assert_exit 2
    assert_eq "$(wc -l <"$TMP/err")" 1 "$wrong"
done

t "bad lists and wrong usage: one sentence and the right code"
: >"$TMP/empty"
printf 'dog\nc\xfft\n' >"$TMP/latin"
printf 'a\t\tb\nb\t\ta\n' >"$TMP/circle"
head -c 17000000 /dev/zero | tr '\0' 'a' >"$TMP/huge"
for bad in "$TMP/nothing-here" "$TMP/empty" "$TMP/latin" "$TMP/circle" "$TMP/huge" "$TMP" /dev/null; do
    eidetic caption --labels "$bad" "$photos/ocean-waves.jpg"
    assert_exit 3
    assert_eq "$(wc -l <"$TMP/err")" 1 "$bad"
done
rm "$TMP/huge"
for wrong in "--mode poetry" "--mode classify" "--mode ask --choices a,b" "--mode tags --choices a,b" "--thresh 2" \
    "--top 0" "--write nowhere" "--mode classify --labels $TMP/labels --write db" "--mode ask q --choices one"; do
    # shellcheck disable=SC2086
    eidetic caption $wrong "$photos/ocean-waves.jpg"
    assert_exit 2
    assert_eq "$(wc -l <"$TMP/err")" 1 "$wrong"
done
eidetic caption
assert_exit 2

t "one bad file costs itself; one that is not in the library is said"
printf 'no picture' >"$TMP/bad.jpg"
eidetic caption --labels "$TMP/labels" "$TMP/bad.jpg" "$photos/ocean-waves.jpg" "$TMP/gone.jpg"
assert_exit 3
assert_eq "$(wc -l <"$TMP/out")" 1
assert_eq "$(wc -l <"$TMP/err")" 2
cp "$photos/ocean-waves.jpg" "$TMP/other.jpg"
printf 'x' >>"$TMP/other.jpg"
eidetic caption --mode tags --write db "$TMP/other.jpg"
assert_exit 3
assert_err "not in the library"

t "after kills at random moments the library is sound and the next run completes it"
for i in 1 2 3 4 5 6 7 8; do
    rm -f "$XDG_CACHE_HOME"/eidetic/labels/*.bin
    [ $((i % 2)) = 0 ] && cp "$TMP/whole" "$cache"
    "$EIDETIC" caption --mode tags --write db --redo --quiet "$photos" >/dev/null 2>&1 &
    pid=$!
    sleep "0.$((RANDOM % 5))$((RANDOM % 10))"
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    eidetic check --read-data
    assert_exit 0
done
cp "$TMP/whole" "$cache"
eidetic caption --mode tags --write db --json "$photos"
assert_exit 0
assert_eq "$(wc -l <"$TMP/out")" 20

assert_eq "$(tree_hash "$photos")" "$before" "the photographs are untouched"
done_testing
