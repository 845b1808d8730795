#!/usr/bin/env bash
# What people wrote of their pictures: read when they are indexed, found by search, shown by info, and
# read again when a sidecar changes.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
words=$EIDETIC_SOURCE/tests/golden/words
photos=$(sample_copy)
cp "$words/xmp.jpg" "$words/iptc.tif" "$words/exif.jpg" "$photos/"

# sidecar FILE RATING KEYWORD...: as Lightroom writes them.
sidecar() {
    local file=$1 rating=$2 word
    shift 2
    {
        printf '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        printf '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="%s" ' "$rating"
        printf 'xmlns:exif="http://ns.adobe.com/exif/1.0/" %s ' "${FACTS:-}"
        printf 'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag>'
        for word in "$@"; do printf '<rdf:li>%s</rdf:li>' "$word"; done
        printf '</rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>\n'
    } >"$file"
}

t "words in pictures are read when they are indexed"
before=$(tree_hash "$photos")
eidetic index --json "$photos"
assert_exit 0
assert_json '.embedded == 23 and .words == 0'
assert_eq "$(tree_hash "$photos")" "$before" "the photographs are untouched"
eidetic info --json "$photos/xmp.jpg"
assert_json '.title == "Am Fluß" and .description == "Fog over the river" and .rating == 4'
assert_json '.keywords == ["Vienna", "Großmutter Rosa"] and .taken == "2019-05-04T13:02:11+02:00"'
eidetic info "$photos/exif.jpg"
assert_out "keywords     Vienna, Großmutter Rosa"
assert_out "rating       ****"

t "they are found by tag, by phrase, by caption and by date"
eidetic search -f 'tag:vienna'
assert_eq "$(wc -l <"$TMP/out")" 3
eidetic search -f 'tag:"großmutter rosa" NOT path:exif'
assert_eq "$(wc -l <"$TMP/out")" 2
eidetic search -f 'caption:"over the river"'
assert_eq "$(wc -l <"$TMP/out")" 3
eidetic search -f '"am fluss" OR "am Fluß"'
assert_eq "$(wc -l <"$TMP/out")" 3
eidetic search -f --tag vienna 'date:2019-05-04'
assert_eq "$(wc -l <"$TMP/out")" 3

t "a bare sentence finds them by their words, and the answer shows the keywords"
eidetic search --json -t 3 'Großmutter Rosa Vienna'
assert_json '[.results[].path | test("xmp.jpg|iptc.tif|exif.jpg")] == [true, true, true]'
assert_json '.results[0].tags[0:2] == ["Vienna", "Großmutter Rosa"]'

t "a sidecar that comes is read without looking at the pixels again"
sidecar "$photos/casa-mila.jpg.xmp" 5 Gaudí Barcelona
sidecar "$photos/ocean-waves.xmp" 2 Atlantic
eidetic index --json "$photos"
assert_json '.embedded == 0 and .unchanged == 23 and .words == 2'
eidetic search -f 'tag:gaudí'
assert_out casa-mila.jpg
eidetic info --json "$photos/ocean-waves.jpg"
assert_json '.keywords == ["Atlantic"] and .rating == 2'
eidetic index --json "$photos"
assert_json '.words == 0 and .unchanged == 23'

t "one that changes is read again, one that goes takes its words along"
sidecar "$photos/casa-mila.jpg.xmp" 5 Gaudí Passeig
rm "$photos/ocean-waves.xmp"
eidetic index --json "$photos"
assert_json '.embedded == 0 and .words == 2'
eidetic search -f 'tag:barcelona'
assert_exit 1
FACTS='exif:GPSLatitude="41,23.7N" exif:GPSLongitude="2,9.7E" exif:GPSAltitude="345/10" exif:DateTimeOriginal="2018-01-02T03:04:05+01:00"' \
    sidecar "$photos/casa-mila.jpg.xmp" 5 Gaudí Passeig
eidetic index --json "$photos"
eidetic info --json "$photos/casa-mila.jpg"
assert_json '.taken == "2018-01-02T03:04:05+01:00" and .gps.lat > 41.394 and .gps.lon < 2.162 and .gps.alt == 34.5'
eidetic search -f date:2018-01-02
assert_out casa-mila.jpg
eidetic search -f 'tag:passeig'
assert_out casa-mila.jpg
eidetic info --json "$photos/ocean-waves.jpg"
assert_json '.keywords == [] and .rating == null'

t "a sidecar that says 0 stars takes the picture's own away, until it goes"
sidecar "$photos/exif.jpg.xmp" 0 zero
eidetic index --json "$photos"
eidetic info --json "$photos/exif.jpg"
assert_json '.rating == null and .keywords[0] == "zero"'
rm "$photos/exif.jpg.xmp"
eidetic index --json "$photos"
eidetic info --json "$photos/exif.jpg"
assert_json '.rating == 4'

t "a sidecar that is none costs nobody anything"
printf '<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>' >"$photos/tea-gardens.jpg.xmp"
mkdir "$photos/nasa-45068.jpg.xmp"
mkfifo "$photos/nasa-45068.xmp"
eidetic index --json "$photos"
assert_exit 0
assert_json '.failed == 0 and .words == 1'
eidetic index --json "$photos"
assert_json '.words == 0'
rm -r "$photos/nasa-45068.jpg.xmp" "$photos/nasa-45068.xmp"

t "words go with a file that moves, and copies keep their own"
mkdir "$photos/copies"
cp "$photos/casa-mila.jpg" "$photos/copies/"
sidecar "$photos/copies/casa-mila.xmp" 1 copy
eidetic index --json "$photos"
eidetic info --json "$photos/casa-mila.jpg"
assert_json '.keywords == ["Gaudí", "Passeig", "copy"] and .rating == 5'
rm -r "$photos/copies"
eidetic index --prune "$photos"
eidetic info --json "$photos/casa-mila.jpg"
assert_json '.keywords == ["Gaudí", "Passeig"]'
eidetic check --read-data
assert_exit 0

t "a library from before is read through once, without embedding anything again"
sqlite3 "$EIDETIC_LIBRARY/library.db" 'UPDATE files SET sidecars = NULL; DELETE FROM file_words; DELETE FROM file_keywords'
eidetic index --json "$photos"
assert_json '.embedded == 0 and .words == 23'
eidetic info --json "$photos/xmp.jpg"
assert_json '.title == "Am Fluß"'

t "a damaged full-text table is found, and made again"
sqlite3 "$EIDETIC_LIBRARY/library.db" 'DELETE FROM words WHERE rowid < 5'
eidetic check
assert_exit 4
assert_err 'the full-text table is damaged'
eidetic check --repair --json
assert_exit 0
assert_json '.repaired == true and .ok == true'
eidetic check --read-data
assert_exit 0
eidetic search -f '"over the river"'
assert_eq "$(wc -l <"$TMP/out")" 3

t "a picture that is not in the library is described with its sidecar"
cp "$words/exif.jpg" "$TMP/other.jpg"
sidecar "$TMP/other.jpg.xmp" 3 elsewhere
eidetic info --json "$TMP/other.jpg"
assert_json '.indexed == false and .rating == 3 and .keywords == ["elsewhere", "Vienna", "Großmutter Rosa"]'
done_testing
