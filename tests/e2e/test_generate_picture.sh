#!/usr/bin/env bash
# Pictures from pictures with a toy checkpoint: what the options do, what is said of wrong ones, and
# that the pictures given are only read.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
make_toy=${EIDETIC_BUILD:-$EIDETIC_SOURCE/build/release}/tests/test_golden_sampler
[ -x "$make_toy" ] || skip_all "no $make_toy"
"$make_toy" write "$TMP/sd" || fail "the toy cannot be written"
toy=$TMP/sd/toy.safetensors
cd "$TMP" || exit 1
cp "$EIDETIC_SOURCE/samples/photos/ocean-waves.jpg" waves.jpg
sum=$(sha256sum waves.jpg)

t "a picture is made anew from another, in its proportions, and says so"
eidetic generate "winter" --init-image waves.jpg -W 48 --strength 0.5 --steps 4 --seed 1 \
    --model "$toy" -o winter.png --no-file --json
assert_exit 0
assert_json '.width == 48 and .height > 16 and .height < 48 and .steps == 4'
assert_true grep -qa 'Denoising strength: 0.5' winter.png
assert_eq "$(sha256sum waves.jpg)" "$sum"

t "another strength, another picture; the same again, the same bytes"
eidetic generate "winter" --init-image waves.jpg -W 48 --strength 0.5 --steps 4 --seed 1 \
    --model "$toy" -o again.png --no-file
assert_exit 0
assert_true cmp winter.png again.png
eidetic generate "winter" --init-image waves.jpg -W 48 --strength 0.75 --steps 4 --seed 1 \
    --model "$toy" -o more.png --no-file
assert_exit 0
assert_true eval '! cmp -s winter.png more.png'

t "white of a mask of any size is repainted, all or a part of the picture"
{ printf 'P5\n40 30\n255\n'; head -c 600 /dev/zero; head -c 600 /dev/zero | tr '\0' '\377'; } >mask.pgm
eidetic generate "winter" --init-image waves.jpg --mask mask.pgm -W 48 --steps 2 --seed 1 \
    --mask-content fill --mask-blur 2 --model "$toy" -o in.png --no-file --json
assert_exit 0
assert_json '.width == 48'
assert_true grep -qa 'Mask blur: 2, Masked content: fill' in.png
eidetic generate "winter" --init-image waves.jpg --mask mask.pgm -W 64 -H 32 --steps 2 --seed 1 \
    --only-masked --mask-padding 4 --model "$toy" -o part.png --no-file --json
assert_exit 0
assert_json '.width > 200 and .height > 200'
assert_true grep -qa 'Size: 64x32.*Inpaint area: Only masked, Masked area padding: 4' part.png
assert_eq "$(sha256sum waves.jpg)" "$sum"

t "a picture grows to its sides"
eidetic generate "winter" --init-image waves.jpg --outpaint 8,0,0,16 -W 48 -H 32 --steps 2 \
    --model "$toy" -o wide.png --no-file --json
assert_exit 0
assert_json '.width == 56 and .height == 48'
assert_true grep -qa 'Outpaint: "8,0,0,16"' wide.png

t "what is wrong with a mask is one sentence"
{ printf 'P5\n4 4\n255\n'; head -c 16 /dev/zero; } >black.pgm
eidetic generate x --init-image waves.jpg --mask black.pgm -W 16 --model "$toy" -o e.png --no-file
assert_exit 2
assert_err "nothing white"
eidetic generate x --init-image waves.jpg --mask nowhere.png -W 16 --model "$toy" -o e.png --no-file
assert_exit 3
assert_err "nowhere.png"
eidetic generate x --mask mask.pgm --model "$toy" -o e.png --no-file
assert_exit 2
assert_err "goes with --init-image"
for words in "--mask mask.pgm --mask-content nonsense" "--mask mask.pgm --mask-blur -1" "--only-masked" \
    "--mask mask.pgm --mask-padding 3" "--outpaint 8,8,8" "--outpaint 0,0,0,0" "--outpaint 8,0,0,0x" \
    "--outpaint -8,0,0,0" "--outpaint 9,0,0,0" "--outpaint 8,0,0,0 --only-masked"; do
    # shellcheck disable=SC2086
    eidetic generate x --init-image waves.jpg -W 16 --model "$toy" -o e.png --no-file $words
    assert_exit 2
done
assert_true test ! -e e.png

t "what is wrong is one sentence"
for words in "--strength 0" "--strength 1.5" "--strength -1" "--strength 0.1 --steps 4"; do
    # shellcheck disable=SC2086
    eidetic generate x --init-image waves.jpg -W 16 --model "$toy" -o e.png --no-file $words
    assert_exit 2
    assert_err "strength"
done
eidetic generate x --strength 0.5 -W 16 -H 16 --model "$toy" -o e.png --no-file
assert_exit 2
assert_err "goes with --init-image"
eidetic generate x --init-image nowhere.jpg --model "$toy" -o e.png --no-file
assert_exit 3
assert_err "nowhere.jpg"
head -c 3000 waves.jpg >cut.jpg
eidetic generate x --init-image cut.jpg --model "$toy" -o e.png --no-file
assert_exit 3
assert_err "cut.jpg"
assert_true test ! -e e.png
t "variations keep the seed, hires fix enlarges, tiles are decoded, all stand in the text"
eidetic generate x --model "$toy" -W 32 -H 32 --steps 2 --seed 5 --variation-strength 0.2 \
    --variation-seed 9 -b 2 --no-file -o v-%d.png --grid grid.png --json
assert_exit 0
assert_eq "$(json '.seed' | paste -sd,)" "5,5"
assert_true grep -qa 'Variation seed: 10, Variation seed strength: 0.2' v-2.png
assert_true test -s grid.png
assert_true eval '! cmp -s v-1.png v-2.png'
eidetic generate x --model "$toy" -W 32 -H 32 --steps 4 --seed 5 --hires-scale 1.5 --circular \
    --hires-upscaler lanczos --no-file -o hires.png --json
assert_exit 0
assert_json '.width == 48 and .height == 48'
assert_true grep -qa 'Hires upscale: 1.5, Hires upscaler: Lanczos, Tiling: True' hires.png
eidetic generate x --model "$toy" -W 160 -H 96 --steps 1 --seed 5 --vae-tiling --no-file -o tiled.png
assert_exit 0
for words in "--variation-strength 2" "--variation-seed 3" "--hires-scale 0.5" "--hires-steps 3" \
    "--hires-scale 2 --hires-upscaler x" "--circular --vae-tiling" "--hires-scale 2 --init-image waves.jpg" \
    "--grid grid.png" "--grid grid.jpg"; do
    # shellcheck disable=SC2086
    eidetic generate x -W 16 -H 16 --model "$toy" -o e.png --no-file $words
    assert_exit 2
done
assert_true test ! -e e.png
t "a picture is made again from its own text, with changes where they are asked for"
eidetic generate "a (red:1.3) boat, \"big\"" -n "dark, wet" --model "$toy" -W 32 -H 48 --steps 3 --seed 5 \
    --sampler "DPM++ 2M Karras" --cfg-scale 5.5 --clip-skip 2 --variation-strength 0.2 --variation-seed 9 \
    --hires-scale 1.5 --hires-steps 4 --circular --no-file -o first.png
assert_exit 0
eidetic generate --from first.png --model "$toy" --no-file -o redone.png
assert_exit 0
assert_true cmp first.png redone.png
eidetic generate "a cat" --from first.png --model "$toy" --seed 6 --no-file -o cat.png
assert_exit 0
assert_true grep -qa 'a cat' cat.png
assert_true grep -qa 'CFG scale: 5.5, Seed: 6, Size: 32x48' cat.png
eidetic generate --from winter.png --init-image waves.jpg --model "$toy" --no-file -o winter2.png
assert_exit 0
assert_true cmp winter.png winter2.png
eidetic generate --from in.png --init-image waves.jpg --mask mask.pgm --model "$toy" --no-file -o in2.png
assert_exit 0
assert_true cmp in.png in2.png
eidetic generate --from winter.png --model "$toy" --no-file -o e.png
assert_exit 2
assert_err "was made from another picture"
eidetic generate --from waves.jpg --model "$toy" --no-file -o e.png
assert_exit 3
assert_err "carries no text"
eidetic generate --from nowhere.png --model "$toy" --no-file -o e.png
assert_exit 3
eidetic generate --model "$toy" --no-file -o e.png
assert_exit 2
assert_true test ! -e e.png
done_testing
