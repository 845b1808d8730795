#!/usr/bin/env bash
# export and backup: what leaves the library, and that nothing is ever overwritten.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
photos=$(sample_copy)
mkdir "$photos/other"
{ cat "$photos/oakland-zoo-otters.jpg"; printf x; } >"$photos/other/oakland-zoo-otters.jpg"
eidetic index "$photos"
before=$(tree_hash "$photos")

t "copies have the bytes and times of the pictures, best first"
eidetic export --copy "$TMP/copies" -t 3 "otters beside the water"
assert_exit 0
assert_eq "$(wc -l <"$TMP/out")" 3
# the two of one picture are equally good: the one that was indexed first comes first
first=$photos/oakland-zoo-otters.jpg second=$photos/other/oakland-zoo-otters.jpg
cmp -s "$TMP/copies/oakland-zoo-otters.jpg" "$second" && first=$second second=$photos/oakland-zoo-otters.jpg
assert_true cmp -s "$TMP/copies/oakland-zoo-otters.jpg" "$first"
assert_eq "$(stat -c %Y "$TMP/copies/oakland-zoo-otters.jpg")" "$(stat -c %Y "$first")"

t "two pictures of one name get two names"
assert_true cmp -s "$TMP/copies/oakland-zoo-otters-2.jpg" "$second"
assert_eq "$(find "$TMP/copies" -type f | wc -l)" 3

t "a second run copies nothing again, and replaces nothing"
eidetic export --json --copy "$TMP/copies" -t 3 "otters beside the water"
assert_exit 0
assert_json '.copied == 0 and .there_already == 3 and (.files | length) == 3'
printf mine >"$TMP/copies/ocean-waves.jpg"
eidetic export --json --copy "$TMP/copies" -t 1 "$photos/ocean-waves.jpg"
assert_json '.copied == 1 and (.files[0].as | endswith("/ocean-waves-2.jpg"))'
assert_eq "$(cat "$TMP/copies/ocean-waves.jpg")" mine

t "links point to the pictures"
eidetic export --json --link "$TMP/links" -t 2 --folder "$photos/other" "otters beside the water"
assert_exit 0
assert_json '.linked == 1'
assert_eq "$(readlink "$TMP/links/oakland-zoo-otters.jpg")" "$photos/other/oakland-zoo-otters.jpg"
eidetic export --json --link "$TMP/links" -t 2 --folder "$photos/other" "otters beside the water"
assert_json '.linked == 0 and .there_already == 1'

t "the pictures are as they were"
assert_eq "$(tree_hash "$photos")" "$before"

t "a picture that is gone costs itself only"
mv "$photos/other/oakland-zoo-otters.jpg" "$TMP/away.jpg"
eidetic export --json --copy "$TMP/fewer" -t 3 "otters beside the water"
assert_exit 3
assert_json '.failed == 1 and .copied == 2'
mv "$TMP/away.jpg" "$photos/other/oakland-zoo-otters.jpg"

t "where nothing fits, --strict exports nothing"
eidetic export --strict --copy "$TMP/none" "a cat on a sofa"
assert_exit 1
assert_eq "$(ls "$TMP/none")" ""

t "export wants one folder, and one that can be written"
eidetic export "otters"
assert_exit 2
eidetic export "otters" --copy "$TMP/a" --link "$TMP/b"
assert_exit 2
eidetic export --copy "$TMP/a"
assert_exit 2
eidetic export "otters" --copy "$TMP/copies/ocean-waves.jpg"
assert_exit 6

t "a backup is a library"
eidetic backup --json "$TMP/backup.db"
assert_exit 0
assert_json '.images == 21 and .vectors == 21 and .bytes > 10000'
mkdir "$TMP/restored"
cp "$TMP/backup.db" "$TMP/restored/library.db"
eidetic search --library "$TMP/restored" --json -t 1 "otters beside the water"
assert_exit 0
assert_json '.results[0].path | endswith("otters.jpg")'
eidetic check --library "$TMP/restored" --read-data
assert_exit 0

t "a backup is a file, which standard output is not"
eidetic backup -
assert_exit 2
assert_true test ! -e ./-

t "a backup overwrites nothing"
sum=$(sha256sum <"$TMP/backup.db")
eidetic backup "$TMP/backup.db"
assert_exit 2
assert_err "exists already"
assert_eq "$(sha256sum <"$TMP/backup.db")" "$sum"
eidetic backup "$TMP"
assert_exit 2
eidetic backup "$TMP/no/such/folder/x.db"
assert_exit 6
assert_err "there is no such folder"
eidetic backup
assert_exit 2
assert_eq "$(find "$TMP" -maxdepth 1 -name '*.tmp*')" ""

t "a damaged library makes no backup"
cp -r "$EIDETIC_LIBRARY" "$TMP/damaged"
size=$(stat -c %s "$TMP/damaged/library.db")
for ((at = 4 * 16384; at < size; at += 16384)); do
    printf 'damage damage damage' | dd of="$TMP/damaged/library.db" bs=1 seek=$at conv=notrunc status=none
done
eidetic backup --library "$TMP/damaged" "$TMP/worthless.db"
assert_exit 4
assert_true test ! -e "$TMP/worthless.db"
done_testing
