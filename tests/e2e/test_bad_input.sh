#!/usr/bin/env bash
# Bad input of every kind: one clear sentence, the right exit code, and nothing lost.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
samples=$EIDETIC_SOURCE/samples/photos
photos=$TMP/photos
mkdir -p "$photos"
cp "$samples/tea-gardens.jpg" "$photos/good.jpg"

# One line on stderr, no terminal escapes, no sanitizer report.
one_sentence() {
    assert_eq "$(grep -c . "$TMP/err")" 1 "sentences on stderr"
    assert_true test -z "$(tr -d '\n\t' <"$TMP/err" | tr -d '\040-\176\200-\377')"
}

t "broken pictures cost themselves only"
: >"$photos/empty.jpg"
head -c 3000 "$samples/nasa-45068.jpg" >"$photos/truncated.jpg"
printf 'not a picture at all' >"$photos/text.jpg"
head -c 100000 /dev/urandom >"$photos/noise.png"
{ printf '\377\330\377\340'; head -c 5000 /dev/zero; } >"$photos/magic.jpg"
cp "$samples/casa-mila.jpg" "$photos/really-a-jpeg.png"
# a PNG header that claims 100,000 x 100,000 pixels
printf '\211PNG\r\n\032\n\000\000\000\rIHDR\000\001\206\240\000\001\206\240\010\002\000\000\000\217\236\135\003' >"$photos/bomb.png"
mkfifo "$photos/pipe.jpg"
mkdir "$photos/folder.jpg"
ln -s loop.jpg "$photos/loop.jpg"
ln -s "$photos" "$photos/round"
eidetic index --json "$photos"
assert_exit 3
assert_json '.embedded == 2 and .failed == 6'
eidetic errors --json
assert_json '(.error | length) > 5 and (.path | startswith("/"))'
assert_eq "$(wc -l <"$TMP/out")" 6
eidetic check --read-data
assert_exit 0

t "links are followed on request, once round a loop"
eidetic index --follow-symlinks --json "$photos"
assert_exit 0
assert_json '.embedded == 0'

t "names of any bytes are kept and printed safely"
odd=$TMP/odd
mkdir "$odd"
cp "$samples/ocean-waves.jpg" "$odd/$(printf 'new\nline \033[31mred \377bad\342\200\256rtl.jpg')"
eidetic index "$odd"
assert_exit 0
eidetic search --folder "$odd" "ocean waves" -t 1
assert_true test -z "$(tr -d '\n\t' <"$TMP/out" | tr -d '\040-\176')"
assert_out '\x1b'
eidetic search --json --folder "$odd" "ocean waves" -t 1
assert_json '.results[0].path_hex | test("0a6c696e65")'
eidetic search --folder "$odd" "ocean waves" -t 1 -0
assert_true test -f "$(tr -d '\000' <"$TMP/out")"

t "files that are not there"
eidetic index "$TMP/nowhere"
assert_exit 2
one_sentence
eidetic similar "$TMP/nowhere.jpg"
assert_exit 3
one_sentence
eidetic embed "$photos/empty.jpg"
assert_exit 3
one_sentence
eidetic info "$photos/text.jpg"
assert_exit 3

t "wrong words"
for args in "search --top x dog" "search --top 0 dog" "search" "search --after soon dog" "search --min-score nan dog" \
    "index --batch-size -1 $photos" "index --max-image-megapixels big $photos" "embed" "embed --format xml --text a" \
    "tokenize" "forget" "model" "model fly" "model convert a" "search --precision fp4 dog" "search --threads 9999 dog"; do
    # shellcheck disable=SC2086
    eidetic $args
    assert_exit 2
    one_sentence
done

t "a second writer waits, then says who holds the library"
"$EIDETIC" index --quiet "$photos" >/dev/null 2>&1 # caches are up to date
flock_holder() { exec "$EIDETIC" index --quiet --batch-size 1 "$TMP/many" >/dev/null 2>&1; }
mkdir "$TMP/many"
for i in $(seq 1 400); do { cat "$samples/canyon-wren.jpg"; printf '%s' "$i"; } >"$TMP/many/$i.jpg"; done
flock_holder &
holder=$!
assert_true wait_until 20 test -n "$(sleep 0.3; echo x)"
eidetic index "$photos"
if kill -0 $holder 2>/dev/null; then
    assert_exit 5
    assert_err "pid"
    one_sentence
else
    fail "the first writer was done too early to tell"
fi
eidetic search "tea fields" -t 1
assert_true test "$RC" -le 1

t "Ctrl-C keeps what is done"
kill -INT $holder
wait $holder
assert_eq $? 130
eidetic stats --json
kept=$(json .images)
assert_true test "$kept" -gt 3
eidetic check --read-data
assert_exit 0

t "a corrupt database is said and not touched"
cp -r "$EIDETIC_LIBRARY" "$TMP/copy"
rm -f "$TMP/copy/library.db-wal" "$TMP/copy/library.db-shm"
dd if=/dev/urandom of="$TMP/copy/library.db" bs=1 count=200 conv=notrunc 2>/dev/null
sum=$(sha256sum <"$TMP/copy/library.db")
eidetic search --library "$TMP/copy" dog
assert_exit 4
one_sentence
eidetic index --library "$TMP/copy" "$photos"
assert_exit 4
assert_eq "$(sha256sum <"$TMP/copy/library.db")" "$sum"
: >"$TMP/copy/library.db"
eidetic search --library "$TMP/copy" dog
assert_true test "$RC" -ne 0

t "damage inside the database is found by check"
rm -rf "$TMP/copy"
cp -r "$EIDETIC_LIBRARY" "$TMP/copy"
size=$(stat -c %s "$TMP/copy/library.db")
rm -f "$TMP/copy/library.db-wal" "$TMP/copy/library.db-shm"
head -c $((size / 3)) /dev/urandom | dd of="$TMP/copy/library.db" bs=4096 seek=$((size / 3 / 4096)) conv=notrunc 2>/dev/null
eidetic check --read-data --library "$TMP/copy"
assert_exit 4

t "a damaged copy of a text tower is told by check, and removed by its repair"
mkdir -p "$XDG_CACHE_HOME/eidetic/sentences"
printf 'no weights' >"$XDG_CACHE_HOME/eidetic/sentences/0123456789abcdef0123456789abcdef.safetensors"
eidetic check
assert_exit 4
assert_out "0123456789abcdef0123456789abcdef.safetensors: this copy of a text tower is damaged"
mkdir "$XDG_CACHE_HOME/eidetic/sentences/folder.safetensors" # which is not ours
eidetic check --repair
assert_exit 0
eidetic check
assert_exit 0
assert_lacks out damaged
rmdir "$XDG_CACHE_HOME/eidetic/sentences/folder.safetensors"

t "damaged caches are noticed, and made again from the database"
vectors=$(find "$EIDETIC_LIBRARY" -name 'vectors-*.bin')
assert_true test -f "$vectors"
size=$(stat -c %s "$vectors")
printf 'XXXXXXXX' | dd of="$vectors" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
eidetic check --read-data
assert_exit 4
eidetic check --read-data --repair
assert_exit 0
eidetic check --read-data
assert_exit 0
for damage in truncate empty header; do
    case $damage in
    truncate) truncate -s $((size / 3)) "$vectors" ;;
    empty) : >"$vectors" ;;
    header) printf 'garbage' | dd of="$vectors" bs=1 conv=notrunc 2>/dev/null ;;
    esac
    eidetic search --json "tea fields" -t 1
    assert_true test "$RC" -le 1
    assert_json '.results[0].path | endswith("good.jpg")'
    eidetic check --read-data
    assert_exit 0
done

t "weight files: missing, empty, truncated, corrupt, hostile"
model=$TMP/model
cp -r "$EIDETIC_SOURCE/models/starter" "$model"
chmod -R u+w "$model"
bad_model() {
    eidetic embed --model "$model" --text dog
    assert_exit 4
    one_sentence
    eidetic model info "$model"
    assert_exit 4
    one_sentence
}
weights=$model/model.safetensors
truncate -s -1 "$weights"
bad_model
truncate -s 100 "$weights"
bad_model
: >"$weights"
bad_model
rm "$weights"
bad_model
json='{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'
write_safetensors() { # JSON, then 16 bytes of data
    printf "\\x$(printf %02x ${#1})\\0\\0\\0\\0\\0\\0\\0" >"$weights"
    printf '%s' "$1" >>"$weights"
    head -c 16 /dev/zero >>"$weights"
}
for json in "$json" \
    '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}' \
    '{"a":{"dtype":"F32","shape":[400],"data_offsets":[0,1600]}}' \
    '{"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}}' \
    '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}' \
    '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}' '[]' '{'; do
    write_safetensors "$json"
    bad_model
done
rm "$model/config.json"
bad_model
eidetic embed --model no-such-model --text dog
assert_exit 4
one_sentence

t "a name that no model has is answered with those that there are, each once"
mkdir -p "$XDG_DATA_HOME/eidetic/models/"{starter,star,a,zebra} "$TMP/more/a"
EIDETIC_MODELS=$TMP/more eidetic embed --model nosuch --text dog
assert_exit 4
one_sentence
names=$(sed -n 's/.*there is: //p' "$TMP/err" | tr -d ' ' | tr , '\n' | sort)
assert_eq "$names" "$(printf '%s\n' a star starter zebra)"
for i in $(seq 30); do mkdir "$TMP/more/another-model-$i"; done
EIDETIC_MODELS=$TMP/more eidetic embed --model nosuch --text dog
one_sentence
assert_err "another-model-"
assert_true grep -q '[.][.][.]$' "$TMP/err"
rmdir "$XDG_DATA_HOME/eidetic/models/"{starter,star,a,zebra}

t "a disk that is full says so and the library stays whole"
small=$TMP/small
mkdir "$small"
if mount -t tmpfs -o size=700k tmpfs "$small" 2>/dev/null; then
    eidetic index --library "$small/lib" --batch-size 4 "$TMP/many"
    assert_exit 6
    one_sentence
    eidetic check --read-data --library "$small/lib"
    [ "$RC" -eq 0 ] || [ "$RC" -eq 2 ] || [ "$RC" -eq 6 ] || fail "the library is damaged"
    umount "$small"
else
    echo "  (skipped: no right to mount a small disk here; the shim tests of db and search cover ENOSPC)"
fi

t "a library that cannot be written"
eidetic index --library /proc/eidetic "$photos"
assert_exit 6
one_sentence
printf x >"$TMP/file"
eidetic index --library "$TMP/file" "$photos"
assert_true test "$RC" -ne 0
one_sentence
done_testing
