#!/usr/bin/env bash
# SIGKILL at random moments of `caption --write db,xmp`: no caption that was committed is lost, every sidecar is whole
# and keeps what others wrote, the photographs are untouched. 6 kills; 60 with scripts/test --full. SEED repeats a run.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
share_labels
kill_rounds 6 60
(cd "$TMP" && TOY_DIR=toy "$EIDETIC_BUILD/tests/test_golden_caption" write blip >/dev/null) || fail "the toy cannot be written"
say=(caption --captioner "$TMP/toy" --write "db,xmp" --quiet)

photos=$TMP/photos
mkdir -p "$photos"
for f in "$EIDETIC_SOURCE"/samples/photos/*.jpg; do
    for i in 1 2 3; do
        { cat "$f"; printf '%s' "$i"; } >"$photos/$i-${f##*/}"
    done
    cat >"$photos/1-${f##*/}.xmp" <<XMP
<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4" xmlns:my="http://example.org/my/" my:note="${f##*/}"/>
</rdf:RDF></x:xmpmeta>
XMP
done
n=$(find "$photos" -name '*.jpg' | wc -l)
pictures() { find "$photos" -name '*.jpg' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum; }
before=$(pictures)
mkdir "$TMP/sidecars"
cp "$photos"/*.xmp "$TMP/sidecars/"
eidetic index --quiet "$photos"
assert_exit 0
cp -r "$EIDETIC_LIBRARY" "$TMP/fresh"
captions() { sqlite3 -readonly "$EIDETIC_LIBRARY/library.db" "select image, caption from image_texts where caption is not null order by 1" 2>"$TMP/sqlite-err"; }

# What is there is whole; what others wrote is in it.
check_sidecars() {
    local x
    for x in "$photos"/*.xmp; do
        [ "$(tail -c 300 "$x" | grep -c '</x:xmpmeta>')" -ge 1 ] || fail "$x is not whole"
    done
    for x in "$TMP"/sidecars/*.xmp; do
        grep -qF "my:note=\"$(basename "${x%.xmp}" | cut -c3-)\"" "$photos/${x##*/}" || fail "${x##*/} lost a note"
        grep -qF 'xmp:Rating="4"' "$photos/${x##*/}" || fail "${x##*/} lost its rating"
    done
}

kill_measure "$EIDETIC" "${say[@]}" "$photos"
captions >"$TMP/all"
assert_eq "$(wc -l <"$TMP/all")" "$n"

forget() { # begin anew
    rm -rf "$EIDETIC_LIBRARY"
    cp -r "$TMP/fresh" "$EIDETIC_LIBRARY"
    rm -f "$photos"/*.xmp
    cp "$TMP"/sidecars/*.xmp "$photos/"
    : >"$TMP/known"
}
forget
partial=0
t "after each of $kills kills nothing that was kept is lost, and no sidecar is damaged"
for ((k = 1; landed < kills; k++)); do
    [ $k -le $((kills * 5)) ] || fail "only $landed of $k kills met a running caption"
    kill_within $((whole + 1)) "$EIDETIC" "${say[@]}" "$photos"
    eidetic check --read-data
    [ "$RC" -eq 0 ] || fail "kill $k after $delay ms"
    captions >"$TMP/now" || fail "kill $k: $(cat "$TMP/sqlite-err")"
    lost=$(LC_ALL=C comm -23 <(LC_ALL=C sort "$TMP/known") <(LC_ALL=C sort "$TMP/now"))
    [ -z "$lost" ] || fail "kill $k after $delay ms: lost: $lost"
    check_sidecars
    [ "$(pictures)" = "$before" ] || fail "kill $k: the photographs changed"
    cp "$TMP/now" "$TMP/known"
    have=$(wc -l <"$TMP/now")
    if [ "$have" -gt 0 ] && [ "$have" -lt "$n" ]; then partial=$((partial + 1)); fi
    if [ "$have" -eq "$n" ]; then forget; fi
done
printf '%s kills met a running caption (of %s tried), %s of them left a part\n' "$landed" "$((k - 1))" "$partial"

t "the next run completes it"
run "$EIDETIC" "${say[@]}" "$photos"
assert_exit 0
captions >"$TMP/now"
assert_true cmp -s "$TMP/now" "$TMP/all"
assert_eq "$(find "$photos" -name '*.xmp' | wc -l)" "$n"
assert_eq "$(grep -l 'dc:description' "$photos"/*.xmp | wc -l)" "$n"
check_sidecars
assert_true test -z "$(find "$photos" -name '*.tmp*' -o -name '.*.xmp*')"
eidetic check --read-data
assert_exit 0
done_testing
