#!/usr/bin/env bash
# What was taken with a picture: the video of a live photo, and the others of its burst.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
samples=$EIDETIC_SOURCE/samples/photos
photos=$TMP/photos
mkdir -p "$photos/one" "$photos/two"

# taken FILE SAMPLE SECOND: the sample with EXIF of a "Camera1" at 13:02:SECOND
taken() {
    {
        printf '\xff\xd8\xff\xe1\x00\x5cExif\0\0II\x2a\0\x08\0\0\0'
        printf '\x02\0\x10\x01\x02\0\x08\0\0\0\x26\0\0\0\x69\x87\x04\0\x01\0\0\0\x2e\0\0\0\0\0\0\0Camera1\0'
        printf '\x01\0\x03\x90\x02\0\x14\0\0\0\x40\0\0\0\0\0\0\0%s\0' "2019:05:04 13:02:$3"
        tail -c +3 "$samples/$2"
    } >"$photos/$1"
}
taken one/a.jpg ocean-waves.jpg 10
taken one/b.jpg tea-gardens.jpg 11
taken one/c.jpg casa-mila.jpg 15
taken two/d.jpg canyon-wren.jpg 10
cp "$samples/oakland-zoo-otters.jpg" "$photos/IMG_0042.jpg"
printf 'moov' >"$photos/IMG_0042.MOV"
printf 'moov' >"$photos/IMG_0043.MOV"
for i in 1 2 3; do
    { cat "$samples/perched-osprey.jpg"; printf '%s' "$i"; } >"$photos/burst$i.jpg"
    cat >"$photos/burst$i.xmp" <<XMP
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:BurstID="1f0c"/></rdf:RDF></x:xmpmeta>
XMP
done
# a picture with Apple's maker note, and videos of other names: of the second the identifier is the picture's
live=$EIDETIC_SOURCE/tests/fuzz/corpus/fuzz_live
mkdir "$photos/live"
{
    printf '\xff\xd8\xff\xe1\x00\x85'
    cat "$live/note.bin"
    tail -c +3 "$samples/canyon-wren.jpg"
} >"$photos/live/beach.jpg"
sed 's/2F5A1C9E/2F5A1C9F/' "$live/quicktime.mov" >"$photos/live/a clip.mov"
cp "$live/quicktime.mov" "$photos/live/b clip.MOV"
cp "$samples/tea-gardens.jpg" "$photos/live/other.jpg"
eidetic index "$photos"
assert_exit 0

t "a live photo's video is told, also of a picture that is not in the library"
eidetic info --json "$photos/IMG_0042.jpg"
assert_json ".companions == [{kind: \"video\", path: \"$photos/IMG_0042.MOV\"}]"
eidetic info "$photos/IMG_0042.jpg"
assert_out "live video   $photos/IMG_0042.MOV"
eidetic info --json --library "$TMP/none" "$photos/IMG_0042.jpg"
assert_json '.companions | length == 1'
eidetic search --json -t 1 "otters by the water"
assert_json '.results[0].companions[0].path | endswith("IMG_0042.MOV")'

t "the video of another name that has the picture's identifier is told"
eidetic info --json "$photos/live/beach.jpg"
assert_json ".companions == [{kind: \"video\", path: \"$photos/live/b clip.MOV\"}]"
eidetic search --json -t 1 --folder "$photos/live" "a bird" # which looks at no other name
assert_json '.results[0] | .companions == [] and (.path | endswith("beach.jpg"))'
eidetic info --json "$photos/live/other.jpg"
assert_json '.companions == []'

t "a burst is told by its id"
eidetic info --json "$photos/burst2.jpg"
assert_json "[.companions[].path] == [\"$photos/burst1.jpg\", \"$photos/burst3.jpg\"] and .companions[0].kind == \"burst\""

t "without one, by camera, second and folder"
eidetic info --json "$photos/one/a.jpg"
assert_json "[.companions[].path] == [\"$photos/one/b.jpg\"]"
eidetic info --json "$photos/one/c.jpg"
assert_json '.companions == []'
eidetic info --json "$photos/two/d.jpg"
assert_json '.companions == []'

t "--dedup shows one of a burst"
eidetic search -f -t 8 --dedup "an osprey"
assert_eq "$(grep -c burst "$TMP/out")" 1
eidetic search -f -t 10 "an osprey"
assert_eq "$(grep -c burst "$TMP/out")" 3
done_testing
