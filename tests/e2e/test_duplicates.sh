#!/usr/bin/env bash
# duplicates: copies, one picture in several sizes, and near ones, told apart; nothing is deleted.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
photos=$(sample_copy)

t "where nothing is double, nothing is said"
eidetic index "$photos"
eidetic duplicates
assert_exit 0
assert_eq "$(cat "$TMP/out")" ""
assert_err "0 groups of the same bytes"

# The otters at 400 pixels and quality 40, and cut by a twelfth at two sides; Pillow made them of the sample.
data=$EIDETIC_SOURCE/tests/e2e/data
cp "$data/otters-small.jpg" "$data/otters-cut.jpg" "$photos/"
mkdir "$photos/copies"
cp "$photos/ocean-waves.jpg" "$photos/copies/ocean-waves (1).jpg"
cp "$photos/ocean-waves.jpg" "$photos/copies/z.jpg"
cp -p "$photos/casa-mila.jpg" "$photos/a copy.jpg"
eidetic index "$photos"
before=$(tree_hash "$photos")

t "copies are one exact group, whose keeper has the plain name"
eidetic duplicates --json --only exact
assert_exit 0
assert_json '.kind == "exact" and .files[0].keep and ([.files[] | select(.keep)] | length) == 1'
assert_eq "$(json '.files | length' | sort | paste -sd,)" "2,3"
assert_eq "$(json '.files[0].path' | sort | paste -sd,)" "$photos/casa-mila.jpg,$photos/ocean-waves.jpg"
for name in "otters-copy" "Copy of otters" "otters - Kopie" "otters(2)" "otters~"; do
    mkdir -p "$TMP/named"
    cp "$photos/perched-osprey.jpg" "$TMP/named/$name.jpg"
    cp "$photos/perched-osprey.jpg" "$TMP/named/a-copyright-photocopy-longer-and-newer.jpg"
    eidetic index --library "$TMP/named-library" "$TMP/named"
    assert_err "2 pictures"
    eidetic duplicates --json --only exact --library "$TMP/named-library"
    assert_json '.files[0].path | endswith("newer.jpg")'
    assert_err "1 group of"
    rm -r "$TMP/named"
done

t "a smaller version is the same picture, and the larger one is kept"
eidetic duplicates --json --only same
assert_json '.kind == "same" and (.files | length) == 2 and (.files[0].path | endswith("oakland-zoo-otters.jpg"))
    and .files[0].keep and (.files[1].path | endswith("otters-small.jpg")) and .files[1].score > 0.9'

t "a cut is near, not the same"
eidetic duplicates --json --only near --threshold 0.85
assert_json '.kind == "near" and ([.files[].path | endswith("otters-cut.jpg")] | any)
    and ([.files[].path | endswith("otters-small.jpg")] | any | not)'

t "a table, and the paths beside the keepers for other programs"
eidetic duplicates
assert_eq "$(head -1 "$TMP/out")" "group	kind	keep	score	filepath"
assert_true grep -qE '^1	exact	keep	1\.000	"' "$TMP/out"
eidetic duplicates --only exact -f
assert_eq "$(wc -l <"$TMP/out")" 3
eidetic duplicates --only exact -0
assert_eq "$(tr -cd '\000' <"$TMP/out" | wc -c)" 3

t "below a folder, only what lies there counts"
eidetic duplicates --json "$photos/copies"
assert_json '.kind == "exact" and (.files | length) == 2'
mkdir "$TMP/elsewhere"
eidetic duplicates --json "$TMP/elsewhere"
assert_exit 0
assert_eq "$(cat "$TMP/out")" ""

t "a folder that is neither there nor known is said"
eidetic duplicates --json "$TMP/elsewhre"
assert_exit 2
assert_eq "$(cat "$TMP/out")" ""
assert_err "elsewhre: no such folder"
assert_eq "$(grep -c . "$TMP/err")" 1

t "nothing was touched"
assert_eq "$(tree_hash "$photos")" "$before"

t "one that is known and not there, as on a drive that is unplugged, is answered for"
mv "$photos/copies" "$TMP/unplugged"
eidetic duplicates --json "$photos/copies"
assert_exit 0
assert_json '.kind == "exact" and (.files | length) == 2'
mv "$TMP/unplugged" "$photos/copies"

t "what is wrong is said"
eidetic duplicates --only alike
assert_exit 2
eidetic duplicates --threshold 0.1
assert_exit 2
eidetic duplicates a b
assert_exit 2
eidetic duplicates --library "$TMP/none"
assert_exit 2
done_testing
