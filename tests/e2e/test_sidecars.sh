#!/usr/bin/env bash
# Words beside pictures: XMP sidecars that are added to and never lose a byte, and text files for
# programs that train on pictures. Read back by exiftool and exiv2 where they are installed.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
photos=$TMP/photos
mkdir "$photos"
cp "$EIDETIC_SOURCE"/samples/photos/{oakland-zoo-otters,ocean-waves,tea-gardens}.jpg "$photos/"
printf 'otter\tthing\tanimal\nanimal\nsea wave\nsunset\nteapot\n' >"$TMP/labels"
caption() { eidetic caption --labels "$TMP/labels" "$@"; }
eidetic index "$photos"

t "a sidecar is made beside each picture, and the pictures stay as they were"
before=$(sha256sum "$photos"/*.jpg)
caption --json --write xmp,db "$photos"
assert_exit 0
assert_err "3 sidecars written"
assert_eq "$(sha256sum "$photos"/*.jpg)" "$before"
otters=$photos/oakland-zoo-otters.jpg
assert_contains "$otters.xmp" '<rdf:li>otter</rdf:li>'
assert_contains "$otters.xmp" '<rdf:li>animal</rdf:li>'

t "a second run finds everything there"
before=$(tree_hash "$photos")
caption --write xmp "$photos"
assert_err "0 sidecars written, 3 had it all already"
assert_eq "$(tree_hash "$photos")" "$before"

t "the next index reads them, in a library that has no tags of its own too"
eidetic index --json "$photos"
assert_json '.embedded == 0 and .words == 3'
EIDETIC_LIBRARY=$TMP/other eidetic index "$photos"
EIDETIC_LIBRARY=$TMP/other eidetic search -f tag:otter
assert_out oakland-zoo-otters.jpg

t "a sidecar of another program is added to and keeps what it has"
cat >"$photos/ocean-waves.jpg.xmp" <<'XMP'
<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:darktable="http://darktable.sf.net/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
   darktable:xmp_version="5"
   darktable:history_end="11">
   <dc:subject>
    <rdf:Bag>
     <rdf:li>holiday &amp; sea</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <darktable:history>
    <rdf:Seq>
     <rdf:li darktable:num="0" darktable:params="gz02eJxjYGBg"/>
    </rdf:Seq>
   </darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
XMP
cp "$photos/ocean-waves.jpg.xmp" "$TMP/old.xmp"
caption --write xmp "$photos/ocean-waves.jpg"
assert_exit 0
assert_contains "$photos/ocean-waves.jpg.xmp" '<rdf:li>sea wave</rdf:li>'
assert_eq "$(diff "$TMP/old.xmp" "$photos/ocean-waves.jpg.xmp" | grep -c '^<')" 0 "no old line changed"

t "one that is no XMP, or no file, is left alone and said"
printf 'my notes' >"$photos/tea-gardens.jpg.xmp"
rm "$otters.xmp" && ln -s /etc/hostname "$otters.xmp"
caption --write xmp "$photos"
assert_exit 3
assert_err 'left alone'
assert_eq "$(cat "$photos/tea-gardens.jpg.xmp")" 'my notes'
assert_true test -L "$otters.xmp"
rm "$otters.xmp" "$photos/tea-gardens.jpg.xmp"

t "text files have the tags in one line, with prefix, separator and underscores"
caption --write txt --prefix mydog --separator '; ' --underscores --undesired-tags 'animal, sunset' "$photos"
assert_exit 0
assert_eq "$(cat "$photos/oakland-zoo-otters.txt")" 'mydog; otter'
assert_eq "$(cat "$photos/ocean-waves.txt")" 'mydog; sea_wave'

t "one that says something else is left alone, added to, or replaced, as asked"
echo 'written by hand, otter' >"$photos/oakland-zoo-otters.txt"
caption --write txt "$otters"
assert_err 'left as they are'
assert_eq "$(cat "$photos/oakland-zoo-otters.txt")" 'written by hand, otter'
caption --write txt --append "$otters"
assert_eq "$(cat "$photos/oakland-zoo-otters.txt")" 'written by hand, otter, animal'
caption --write txt --append "$otters"
assert_err '1 had it all already'
caption --write txt --redo "$otters"
assert_contains "$photos/oakland-zoo-otters.txt" 'otter'
assert_lacks "$photos/oakland-zoo-otters.txt" 'hand'

t "what does not go together is wrong usage"
for args in "--write nowhere" "--write db,x" "--separator ;" "--write xmp --append" "--undesired-tags a" \
    "--write db --underscores" "--mode classify --write xmp"; do
    # shellcheck disable=SC2086
    caption $args "$otters"
    assert_exit 2
done

t "a folder that cannot be written costs the sidecars, not the answers"
if [ "$(id -u)" -ne 0 ]; then
    rm "$otters.xmp"
    chmod a-w "$photos"
    caption --json --write xmp "$otters"
    assert_exit 3
    assert_json '.tags | length > 0'
    chmod u+w "$photos"
else
    echo "  (left out: root may write everywhere)"
fi

t "after kills at random moments every sidecar is whole, and the next run completes them"
rm -f "$photos"/*.xmp "$photos"/*.txt
for i in $(seq $((FULL ? 60 : 6))); do
    "$EIDETIC" caption --labels "$TMP/labels" --write xmp,txt --redo --quiet "$photos" >/dev/null 2>&1 &
    sleep "0.$((RANDOM % 40 + 10))"
    kill -KILL $! 2>/dev/null
    wait $! 2>/dev/null
    for file in "$photos"/*.xmp; do
        [ ! -e "$file" ] || assert_true grep -q '<?xpacket end="w"?>$' "$file"
    done
done
caption --write xmp,txt "$photos"
assert_exit 0
assert_eq "$(find "$photos" -name '*.xmp' | wc -l)" 3
assert_eq "$(cat "$photos"/*.txt | wc -l)" 3

t "exiftool reads what was written"
rm -f "$photos"/*.xmp "$photos"/*.txt
cp "$TMP/old.xmp" "$photos/ocean-waves.jpg.xmp"
caption --write xmp "$photos"
if command -v exiftool >/dev/null; then
    run exiftool -s3 -sep '|' -XMP-dc:Subject "$otters.xmp"
    assert_out 'otter'
    run exiftool -s3 -sep '|' -XMP-dc:Subject "$photos/ocean-waves.jpg.xmp"
    assert_out 'holiday & sea|sea wave'
    run exiftool -validate -warning -a "$photos/ocean-waves.jpg.xmp"
    assert_lacks out 'Error'
else
    echo "  (left out: exiftool is not installed)"
fi

t "exiv2 reads what was written"
if command -v exiv2 >/dev/null; then
    run exiv2 -px pr "$otters.xmp"
    assert_out 'otter'
    run exiv2 -px pr "$photos/ocean-waves.jpg.xmp"
    assert_out 'sea wave'
    assert_out 'gz02eJxjYGBg'
else
    echo "  (left out: exiv2 is not installed)"
fi
done_testing
