#!/usr/bin/env bash
# Every command that opens weight files meets those that attack: one clear sentence, exit code 4, nothing run.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
maker=$EIDETIC_BUILD/tests/test_hostile
[ -x "$maker" ] || skip_all "no $maker"
dir=$TMP/hostile
mkdir "$dir"
cd "$dir" || exit 1
mapfile -t files < <("$maker" "$dir")
RUN_TIMEOUT=60

# One line on stderr, no terminal escapes, no sanitizer report.
one_sentence() {
    assert_exit 4
    assert_eq "$(grep -c . "$TMP/err")" 1 "sentences on stderr"
    assert_true test -z "$(tr -d '\n\t' <"$TMP/err" | tr -d '\040-\176\200-\377')"
}

t "there are some hundreds of them"
assert_true test "${#files[@]}" -gt 400

t "as a CLIP model"
for f in "${files[@]}"; do
    eidetic model info "$dir/$f"
    one_sentence
done

t "as a Stable Diffusion checkpoint, as what is mixed into one, as an autoencoder, as a captioner"
for f in "${files[@]}"; do
    case $f in op-[0-9a-f][0-9a-f].pt) continue ;; esac
    eidetic generate --model "$dir/$f" --no-file -o "$TMP/x.png" "a dog"
    one_sentence
done
for f in call-system.pt zip-shared-bytes.ckpt overlap.safetensors offset-wraps.gguf legacy-count-wraps.bin; do
    eidetic merge "$dir/$f" "$dir/$f" -o "$TMP/x.safetensors"
    one_sentence
    eidetic model convert "$dir/$f" "$TMP/x.safetensors" --type f16
    one_sentence
    eidetic generate --vae "$dir/$f" --no-file -o "$TMP/x.png" "a dog"
    one_sentence
    eidetic generate --taesd "$dir/$f" --no-file -o "$TMP/x.png" "a dog"
    one_sentence
    eidetic caption --captioner "$dir/$f" "$EIDETIC_SOURCE/samples/photos/casa-mila.jpg"
    one_sentence
done
assert_true test ! -e "$TMP/x.png"
assert_true test ! -e "$TMP/x.safetensors"

t "a sparse file that says 100 MB of header"
printf '\000\341\365\005\000\000\000\000{' >"$dir/sparse.safetensors"
truncate -s 200M "$dir/sparse.safetensors"
eidetic model info "$dir/sparse.safetensors"
one_sentence

t "nothing that a file wanted to run has run, and nothing else was written"
assert_eq "$(find "$dir" -type f | wc -l)" "$((${#files[@]} + 1))"
done_testing
