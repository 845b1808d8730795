#!/usr/bin/env bash
# What is typed and what stands in the config file: where values come from, and what a person is told.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
photos=$(sample_copy)
config=$XDG_CONFIG_HOME/eidetic/config
mkdir -p "${config%/*}"

t "no library is made for folders that are not there, nor for none"
eidetic index
assert_exit 2
assert_err "eidetic index DIR"
eidetic index "$photos" "$TMP/nowhere"
assert_exit 2
assert_err "nowhere"
assert_true test ! -e "$EIDETIC_LIBRARY"

t "an empty folder is indexed, and a search in it says that there is nothing"
mkdir "$TMP/empty"
eidetic index --json "$TMP/empty"
assert_exit 0
assert_json '.scanned == 0'
eidetic search --json dog
assert_exit 1
assert_json '.results == [] and .fits == false'
assert_err "there is no picture"
eidetic forget "$TMP/empty"
assert_exit 0

t "folders may be relative, dotted, linked or single files"
ln -s "$photos" "$TMP/link"
cd "$TMP" || exit 1
eidetic index --json ./photos/../photos "$photos/" photos
assert_json '.scanned == 20 and .embedded == 20'
eidetic index --json link
assert_json '.scanned == 20 and .embedded == 0 and .copies == 20'
eidetic forget link
assert_exit 0
printf x >>"$photos/nasa-45068.jpg"
eidetic index --json photos/nasa-45068.jpg
assert_json '.scanned == 1 and .embedded == 1 and .missing == 0'
eidetic stats --json
assert_json '(.roots | length) == 1 and .images == 20'

t "what is neither a folder nor a file is wrong usage, and so are options before the command"
eidetic index /dev/null
assert_exit 2
eidetic --json index
assert_exit 2
assert_err "behind the command"
echo words >"$TMP/notes.txt"
eidetic index "$TMP/notes.txt"
assert_exit 0
assert_err "left out"
eidetic help search
assert_exit 0
assert_out "usage: eidetic search"
eidetic help no-such-command
assert_exit 2
mkdir "$TMP/left" && cd "$TMP/left" && rmdir "$TMP/left"
eidetic index .
assert_exit 2
cd "$TMP" || exit 1

t "info names the other places of the same bytes, whatever their names"
odd=$photos/$(printf 'odd \377.jpg')
cp "$photos/casa-mila.jpg" "$odd"
eidetic index photos
eidetic info "$odd"
assert_eq "$(grep -c 'also at' "$TMP/out")" 1
assert_true grep -q 'also at *".*/casa-mila.jpg"$' "$TMP/out"
eidetic info --json "$odd"
assert_json '(.paths | length) == 2 and (.path_hex | length) > 10'
rm "$odd"

t "what a sidecar said of date and place goes with it"
mkdir dated
cp "$photos/casa-mila.jpg" dated/a.jpg
printf x >>dated/a.jpg
eidetic index dated
eidetic info --json dated/a.jpg
own=$(jq -c '[.taken, .gps]' "$TMP/out")
printf '%s' "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description xmlns:exif='http://ns.adobe.com/exif/1.0/' exif:DateTimeOriginal='1999-05-06T07:08:09' exif:GPSLatitude='48,12.5N' exif:GPSLongitude='16,22.5E'/></rdf:RDF></x:xmpmeta>" >dated/a.jpg.xmp
eidetic index dated
eidetic info --json dated/a.jpg
assert_json '.taken == "1999-05-06T07:08:09" and .gps.lat > 48 and .gps.lon > 16'
rm dated/a.jpg.xmp
eidetic index dated
eidetic info --json dated/a.jpg
assert_eq "$(jq -c '[.taken, .gps]' "$TMP/out")" "$own"
eidetic forget dated
rm -r dated

t "what is written to a device, a pipe or a link goes there"
mkfifo pipe
cat pipe >piped &
eidetic embed --text dog -o pipe
assert_exit 0
wait $!
assert_true test -p pipe
assert_true jq -e '.dim > 0' piped
echo old >kept.json
ln -s kept.json link.json
ln -s made.json new.json
eidetic embed --text dog -o link.json
eidetic embed --text dog -o new.json
assert_true test -L link.json -a -L new.json
assert_true jq -e '.dim > 0' kept.json made.json
rm pipe piped link.json kept.json new.json made.json

t "the config file holds defaults; the command line and the environment are nearer"
printf '# defaults\n top = 2\nlibrary = ~/elsewhere\nexclude-dir = x\n' >"$config"
eidetic search -f "ocean waves"
assert_eq "$(wc -l <"$TMP/out")" 2
eidetic search -f -t 3 "ocean waves"
assert_eq "$(wc -l <"$TMP/out")" 3
(
    unset EIDETIC_LIBRARY
    eidetic search dog
    assert_exit 2
    assert_err "$HOME/elsewhere"
    eidetic search --library=~/third dog
    assert_err "$HOME/third"
) || exit 1

t "a wrong config file is said with its line, and help still comes"
for line in 'top = many' 'quiet = perhaps' 'words'; do
    printf '\n%s\n' "$line" >"$config"
    eidetic search dog
    assert_exit 2
    assert_err "config:2: "
    eidetic search --help
    assert_exit 0
done
rm "$config"

t "a word that names a picture is searched as words, with a hint"
eidetic search -t 1 photos/ocean-waves.jpg
assert_err 'write ./photos/ocean-waves.jpg'
eidetic search --json -t 1 ./photos/ocean-waves.jpg
assert_json '.results[0].score > 0.999'
assert_lacks err 'read as words'

t "what --min-score leaves out does not fit"
eidetic search --json --min-score 0.99 "ocean waves"
assert_exit 1
assert_json '.results == [] and .fits == false'

t "similar takes one picture and nothing else"
eidetic similar --add dog "$photos/casa-mila.jpg"
assert_exit 2
eidetic similar "$photos/casa-mila.jpg" "$photos/ocean-waves.jpg"
assert_exit 2

t "lists of queries and sentences that cannot be read are said"
eidetic search --batch "$photos"
assert_exit 3
eidetic embed --from "$photos"
assert_exit 3
eidetic embed --from "$TMP/nowhere"
assert_exit 3
run bash -c 'printf "a dog\na cat\n" | "$0" embed --from - -o -' "$EIDETIC"
assert_exit 0
assert_json '(.vectors | length) == 2'

t "a full standard output is no success, a closed one no complaint"
if [ -w /dev/full ]; then
    for args in "search --json dog" "stats" "embed --text a" "tokenize a" "model info" "errors --help"; do
        # shellcheck disable=SC2086
        "$EIDETIC" $args >/dev/full 2>"$TMP/err"
        RC=$?
        assert_exit 6
    done
fi
"$EIDETIC" search -f -t 100 dog 2>"$TMP/err" | head -1 >/dev/null
assert_lacks err "standard output"

t "Ctrl-C ends what waits for standard input"
mkfifo "$TMP/pipe"
"$EIDETIC" search --batch - <"$TMP/pipe" >/dev/null 2>&1 &
pid=$!
exec 9>"$TMP/pipe"
sleep 1
kill -TERM $pid
wait $pid
assert_eq $? 130
exec 9>&-

t "the model that was named is the library's from then on, from everywhere"
cp -r "$EIDETIC_SOURCE/models/starter" "$TMP/mine"
eidetic index --json --model mine
assert_exit 0
cd / || exit 1
eidetic search --json -t 1 "ocean waves"
assert_true test "$RC" -le 1
assert_json '.results | length == 1'
done_testing
