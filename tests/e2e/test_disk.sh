#!/usr/bin/env bash
# Disks that are full, at many sizes, and disks that cannot be written: a sentence, exit code 6, and nothing lost.
# Runs in a namespace of its own, where anyone may mount a small disk that nobody else sees.
if [ -z "${EIDETIC_OWN_MOUNTS:-}" ] && unshare -rm true 2>/dev/null; then
    EIDETIC_OWN_MOUNTS=1 exec unshare -rm bash "$0" "$@"
fi
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
[ -n "${EIDETIC_OWN_MOUNTS:-}" ] || skip_all "NO DISK WAS FILLED: this system lets nobody make a mount namespace"
small=$TMP/small
mkdir "$small"
mount -t tmpfs -o size=64m tmpfs "$small" 2>/dev/null ||
    skip_all "NO DISK WAS FILLED: mounting is not allowed in a namespace here"
umount "$small"
# shellcheck disable=SC2034
AT_EXIT="umount $small"
make_toy=${EIDETIC_BUILD:-$EIDETIC_SOURCE/build/release}/tests/test_golden_sampler
"$make_toy" write "$TMP/sd" || fail "the toy cannot be written"
photos=$TMP/photos
mkdir "$photos"
for f in "$EIDETIC_SOURCE"/samples/photos/*.jpg; do
    for i in 1 2 3; do
        { cat "$f"; printf '%s' "$i"; } >"$photos/$i-${f##*/}"
    done
done
n=$(find "$photos" -type f | wc -l)
export EIDETIC_LIBRARY=$small/lib

one_sentence() {
    assert_eq "$(grep -c . "$TMP/err")" 1 "sentences on stderr"
}
# disk KILOBYTES: a new small disk, with the library of $TMP/whole where there is one
disk() {
    umount "$small" 2>/dev/null
    mount -t tmpfs -o "size=${1}k" tmpfs "$small" || fail "no disk of $1 kB"
}
grow() { mount -o remount,size=256m "$small" || fail "the disk does not grow"; }
no_rest() { assert_eq "$(find "$small" -name '*.tmp-*' | wc -l)" 0 "temporary files that stayed"; }
sizes() { # FROM TO: some in the quick tier, more with --full
    local step=$((($2 - $1) / (FULL ? 40 : 5)))
    seq "$1" "$step" "$2"
}

t "index on a disk that fills up: what is committed stays, and the next run completes it"
full=0
for kb in $(sizes 60 1500); do
    disk "$kb"
    eidetic index --quiet --batch-size 4 "$photos"
    case $RC in
    0) ;;
    6)
        one_sentence
        full=$((full + 1))
        ;;
    *) fail "a disk of $kb kB" ;;
    esac
    eidetic check --read-data
    # 2: there is no library yet; 6: the tables are not all there yet, and there is no room for them
    [ "$RC" -eq 0 ] || [ "$RC" -eq 2 ] || [ "$RC" -eq 6 ] || fail "a disk of $kb kB: the library is not sound"
    no_rest
    grow
    assert_whole "$n" "$photos"
done
printf '  (%s disks were too small)\n' "$full"
assert_true test "$full" -ge 3
cp -r "$small/lib" "$TMP/whole"
need=$(du -sk "$small/lib" | cut -f1)

# put_library SPARE: the whole library on a disk with so many kB to spare
put_library() {
    disk 262144
    cp -r "$TMP/whole" "$small/lib"
    mount -o "remount,size=$(($(df -k --output=used "$small" | tail -1) + $1))k" "$small" || fail "the disk does not shrink"
}

t "search needs no room, and makes its caches again in memory where there is none"
put_library 0
rm -f "$small"/lib/vectors-*
dd if=/dev/zero of="$small/rest" bs=4096 2>/dev/null
eidetic search --json "otters by the water" -t 1
assert_exit 0
assert_json '.results[0].path | endswith("otters.jpg")'
no_rest

t "check --repair, backup, export, index and generate say that the disk is full, and leave nothing half-written"
full=0
for spare in 0 8 40 100 300; do
    for command in "check --read-data --repair" "backup $small/copy.db" "export ocean --copy $small/out" \
        "index --retry-failed --quiet --library $small/new $photos" \
        "generate tree --checkpoint $TMP/sd/toy.safetensors -W 32 -H 32 --steps 1 --seed 3 --quiet" \
        "generate tree --checkpoint $TMP/sd/toy.safetensors -W 32 -H 32 --steps 1 --seed 3 --quiet --no-file -o $small/tree.png"; do
        put_library "$spare"
        case $command in check*) rm -f "$small"/lib/vectors-* ;; esac
        # shellcheck disable=SC2086
        eidetic $command
        case $RC in
        0) ;;
        6)
            full=$((full + 1))
            assert_true test "$(grep -c . "$TMP/err")" -ge 1
            ;;
        *) fail "$command with $spare kB to spare" ;;
        esac
        no_rest
        find "$small" -name '*.png' >"$TMP/pngs"
        while read -r f; do
            assert_eq "$(tail -c 8 "$f" | od -An -tx1 | tr -d ' \n')" 49454e44ae426082 "the end of $f"
        done <"$TMP/pngs"
        if [ "$RC" -eq 6 ] && [ "${command%% *}" = backup ]; then assert_true test ! -e "$small/copy.db"; fi
        eidetic check --read-data
        assert_exit 0
        grow
        eidetic check --read-data --repair
        assert_exit 0
    done
done
printf '  (%s commands met a full disk)\n' "$full"
assert_true test "$full" -ge 5

t "a library that is read-only can be searched and looked at, and says why it cannot be written"
put_library 1000
rm -f "$small"/lib/*-wal "$small"/lib/*-shm
mount -o remount,ro "$small" || fail "the disk cannot be made read-only"
for command in "search otters -t 1" "stats" "errors" "check --read-data" "info $photos/1-ocean-waves.jpg" "duplicates --only exact"; do
    # shellcheck disable=SC2086
    eidetic $command
    assert_exit 0
done
cp "$EIDETIC_SOURCE/samples/photos/tea-gardens.jpg" "$photos/new.jpg"
for command in "index --quiet $photos" "check --repair" "forget $photos" \
    "generate tree --checkpoint $TMP/sd/toy.safetensors -W 32 -H 32 --steps 1 --quiet"; do
    # shellcheck disable=SC2086
    eidetic $command
    assert_exit 6
    assert_true test "$(grep -c . "$TMP/err")" -ge 1
done
umount "$small"

t "photographs on a read-only disk are indexed"
disk 65536
cp "$EIDETIC_SOURCE"/samples/photos/*.jpg "$small/"
mount -o remount,ro "$small" || fail "the disk cannot be made read-only"
eidetic index --json --library "$TMP/other" "$small"
assert_exit 0
assert_json '.embedded == 20'
umount "$small"
printf '  (the library takes %s kB)\n' "$need"
done_testing
