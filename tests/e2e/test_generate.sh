#!/usr/bin/env bash
# Pictures from sentences with a toy checkpoint: what is written, what is never written over, and
# what is said of checkpoints that are none.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
make_toy=${EIDETIC_BUILD:-$EIDETIC_SOURCE/build/release}/tests/test_golden_sampler
[ -x "$make_toy" ] || skip_all "no $make_toy"
"$make_toy" write "$TMP/sd" || fail "the toy cannot be written"
toy=$TMP/sd/toy.safetensors
cd "$TMP" || exit 1


t "a picture is written with its parameters, and answered in JSON"
eidetic generate "a (red:1.3) boat" -n "blurry" --model "$toy" -W 48 -H 32 --steps 3 --seed 42 \
    --sampler "DPM++ 2M Karras" -o boat.png --no-file --json
assert_exit 0
assert_json '.path == "boat.png" and .seed == 42 and .steps == 3 and .width == 48 and .height == 32 and .filed == false and (.clip_score | type) == "number"'
assert_true grep -qa 'a (red:1.3) boat' boat.png
assert_true grep -qa 'Negative prompt: blurry' boat.png
assert_true grep -qa 'Steps: 3, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 42, Size: 48x32, Model hash: '"$(sha256sum "$toy" | cut -c1-10)"', Model: toy, RNG: CPU' boat.png
eidetic embed boat.png
assert_exit 0

t "the same seed gives the same file, another one another"
eidetic generate "a (red:1.3) boat" -n "blurry" --model "$toy" -W 48 -H 32 --steps 3 --seed 42 \
    --sampler dpmpp_2m --schedule karras -o again.png
assert_exit 0
assert_out '"again.png"'
assert_true cmp boat.png again.png
eidetic generate "a (red:1.3) boat" -n "blurry" --model "$toy" -W 48 -H 32 --steps 3 --seed 42 \
    --rng cuda --sampler dpmpp_2m --schedule karras -o other.png
assert_exit 0
assert_true eval '! cmp -s boat.png other.png'

t "a checkpoint as PyTorch Lightning pickles it gives the same picture; as only averaged weights too"
if command -v python3 >/dev/null; then
    python3 "$EIDETIC_SOURCE/tests/e2e/make_ckpt.py" "$toy" sd/toy.ckpt || fail "the checkpoint cannot be written"
    eidetic generate "a (red:1.3) boat" -n "blurry" --model sd/toy.ckpt -W 48 -H 32 --steps 3 --seed 42 \
        --sampler dpmpp_2m --schedule karras -o ckpt.png
    assert_exit 0
    eidetic embed --json boat.png ckpt.png
    assert_json '.vectors[0] == .vectors[1]'
    assert_true grep -qa "Model hash: $(sha256sum sd/toy.ckpt | cut -c1-10), Model: toy" ckpt.png
fi
eidetic generate x --model "$toy" --ema -o e.png
assert_exit 4
assert_err "has no averaged weights"

t "zero terminal SNR and rescaled guidance change the picture, are in its text, and are read back"
eidetic generate "a boat" --model "$toy" -W 32 -H 32 --steps 3 --seed 1 --zero-snr --guidance-rescale 0.7 -o zero.png
assert_exit 0
assert_true grep -qa "Noise Schedule: Zero Terminal SNR, CFG Rescale phi: 0.7" zero.png
eidetic generate --from zero.png --model "$toy" -o zero-again.png
assert_exit 0
assert_true cmp zero.png zero-again.png
eidetic generate "a boat" --model "$toy" -W 32 -H 32 --steps 3 --seed 1 -o not-zero.png
assert_true eval '! cmp -s zero.png not-zero.png'
eidetic generate x --model "$toy" -W 16 -H 16 --guidance-rescale 2 -o e.png
assert_exit 2

t "an X/Y plot: each picture as if made alone, and all in one labelled grid"
eidetic generate "a red boat" --model "$toy" -W 32 -H 24 --steps 2 --x "steps=1-2" --y "Prompt S/R=red,blue,\"green, old\"" \
    --seed 3 --grid plot.png -o cell-%d.png --json
assert_exit 0
assert_eq "$(json '[.path, .steps] | join(" ")' | paste -sd,)" "cell-1.png 1,cell-2.png 2,cell-3.png 1,cell-4.png 2,cell-5.png 1,cell-6.png 2"
eidetic generate "a green, old boat" --model "$toy" -W 32 -H 24 --steps 2 --seed 3 -o alone.png --no-file
assert_true cmp alone.png cell-6.png
assert_true grep -qa 'Script: X/Y/Z plot, X Type: Steps, X Values: 1-2, Y Type: Prompt S/R' plot.png
eidetic generate "a boat" --model "$toy" -W 32 -H 32 --x "cfg scale=2,7" --grid row.png --no-file --json
assert_exit 0
assert_json 'has("path") | not'
assert_eq "$(json .seed | sort -u | wc -l)" 1
assert_true test -s row.png
"${make_toy%_sampler}_lora" write "$TMP/loras" || fail "the LoRAs cannot be written"
cp "$toy" sd/other.safetensors
eidetic generate "a boat <lora:kohya:0.5>" --model "$toy" --lora-dir loras -W 32 -H 32 --steps 1 --seed 1 \
    --x "prompt s/r=kohya:0.5,kohya:0,kohya:1" --y "checkpoint=$toy,sd/other.safetensors" --grid nets.png -o net-%d.png
assert_exit 0
eidetic generate "a boat <lora:kohya:1>" --model "$toy" --lora-dir loras -W 32 -H 32 --steps 1 --seed 1 -o net-alone.png
eidetic embed --json net-{1,2,3,4,5,6}.png net-alone.png
# pictures come in the slower axis' order: the LoRA's strengths and the checkpoint both need other weights, so in rows
assert_json '.vectors | (map(tostring) | unique | length) == 3 and .[6] == .[2] and .[6] == .[5]'
for words in "--x steps=1,2" "--x steps --grid p.png" "--x nonsense=1 --grid p.png" "--x steps=1,x --grid p.png" \
    "--x steps=1,2 --y steps=3 --grid p.png" "--x prompt_sr=cat,dog --grid p.png" "--x sampler=Euler,nonsense --grid p.png" \
    "--x steps=1-100000 --grid p.png" "--x steps=1,2 -b 2 --grid p.png" "--x output=a.png --grid p.png"; do
    # shellcheck disable=SC2086
    eidetic generate "a boat" --model "$toy" -W 16 -H 16 $words -o e-%d.png
    assert_exit 2
done
assert_true test ! -e p.png

t "wildcards: a line of a file, the same for the same seed, and never from outside the folder"
mkdir -p wild/deep
printf '# animals\n\ndog\r\n  cat  \n__deep/fish__\n' >wild/animal.txt
printf 'carp\n' >wild/deep/fish.txt
printf 'secret\n' >outside.txt
ln -s ../outside.txt wild/link.txt
printf '__loop__\n' >wild/loop.txt
: >wild/empty.txt
wild() { eidetic generate "$1" --model "$toy" -W 16 -H 16 --steps 1 --wildcards-dir wild --seed "$2" -o "$3" --no-file; }
for seed in 1 2 3 4 5 6 7 8; do
    wild "a __animal__ at sea" $seed "wild-$seed.png"
    assert_exit 0
    assert_true grep -qaE 'a (dog|cat|carp) at sea' "wild-$seed.png"
done
assert_true test "$(grep -aohE 'a (dog|cat|carp) at sea' wild-?.png | sort -u | wc -l)" = 3
wild "a __animal__ at sea" 5 wild-again.png
assert_exit 0
assert_true cmp wild-5.png wild-again.png
for bad in "__link__:leads out of" "__nothing__:there is no" "__loop__:without an end" "__empty__:has no lines"; do
    wild "${bad%%:*}" 1 bad.png
    assert_exit 2
    assert_err "${bad#*:}"
done
wild "__../outside__ ____ snake__case" 1 plain-words.png
assert_exit 0
assert_true grep -qa '__../outside__ ____ snake__case' plain-words.png

t "JPEG and WebP carry the same text, in EXIF, and are read back"
for name in boat.jpg boat.webp; do
    eidetic generate "日本の 🦊 (red:1.3) boat" -n "blurry" --model "$toy" -W 48 -H 32 --steps 3 --seed 42 -o $name --quality 95
    assert_exit 0
    eidetic info --json "$name"
    assert_json '.prompt == "日本の 🦊 (red:1.3) boat" and .seed == 42 and .generated'
    eidetic generate --from $name --model "$toy" --no-file --quality 95 -o "again-$name"
    assert_exit 0
    assert_true cmp $name "again-$name"
    eidetic generate x --model "$toy" -W 16 -H 16 --steps 1 -o $name
    assert_exit 2
    assert_err "never overwritten"
done
eidetic generate x --model "$toy" -W 16 -H 16 --steps 1 -o boat.gif
assert_exit 2
assert_err "written as .png, .jpg or .webp"
eidetic generate x --model "$toy" -W 16 -H 16 --steps 1 -o q.jpg --quality 101
assert_exit 2
assert_err "quality"

t "bf16 is near f32, and int8 is refused"
eidetic generate "a (red:1.3) boat" -n "blurry" --model "$toy" -W 48 -H 32 --steps 3 --seed 42 \
    --sampler dpmpp_2m --schedule karras --precision bf16 -o bf16.png
assert_exit 0
eidetic embed --json boat.png bf16.png
assert_json '[.vectors[0], .vectors[1]] | transpose | map(.[0] * .[1]) | add > 0.9'
eidetic generate x --model "$toy" -W 16 -H 16 --steps 1 -o int8.png --precision int8
assert_exit 2
assert_err "in f32, bf16 or f16"

t "nothing is overwritten; numbers that are taken are passed over"
cp boat.png kept.png
eidetic generate x --model "$toy" -W 16 -H 16 --steps 1 -o boat.png
assert_exit 2
assert_err "never overwritten"
assert_true cmp boat.png kept.png
touch n-002.png
eidetic generate x --model "$toy" -W 16 -H 16 --steps 1 --seed 5 -b 2 -o n-%03d.png --json
assert_exit 0
assert_eq "$(json '[.path, .seed] | join(" ")' | paste -sd,)" "n-001.png 5,n-003.png 6"
assert_true test ! -s n-002.png

t "the config file names the checkpoint; its model is the library's"
mkdir -p "$XDG_CONFIG_HOME/eidetic"
printf 'model = starter\ncheckpoint = %s\n' "$toy" >"$XDG_CONFIG_HOME/eidetic/config"
eidetic generate x -W 16 -H 16 --steps 1 -o c.png
assert_exit 0
rm "$XDG_CONFIG_HOME/eidetic/config"
EIDETIC_MODELS=$(dirname "$(bare_model)") eidetic generate x -o d.png
assert_exit 2
assert_err "needs a checkpoint"

t "wrong words are wrong usage"
for words in "-W 17" "--sampler nonsense" "--schedule nonsense" "--steps 0" "--seed x" "--rng gpu" \
    "--prediction x0" "--clip-skip 9" "-b 0" "-b 2" "--best-of 0" "--cfg-scale 1e9"; do
    # shellcheck disable=SC2086
    eidetic generate x --model "$toy" -o e.png $words
    assert_exit 2
done
eidetic generate x --model "$toy" -o e.bmp
assert_exit 2
eidetic generate x --model "$toy" --no-file
assert_exit 2
assert_err "-o FILE"
eidetic generate "x <lora:thing:1>" --model "$toy" -W 16 -H 16 -o e.png
assert_exit 2
assert_err "lora:thing:1"
assert_err "lora-dir"
assert_true test ! -e e.png

t "LoRAs that the prompt names change the picture, and stay in its text"
"${make_toy%_sampler}_lora" write "$TMP/loras" || fail "the LoRAs cannot be written"
eidetic generate "a boat <lora:kohya:0.7> <lora:diffusers:0.5:1>" --lora-dir "$TMP/loras" --model "$toy" \
    -W 32 -H 32 --steps 2 --seed 1 -o lora.png
assert_exit 0
assert_err "<lora:kohya:0.7>: applied 450 of 450 keys"
assert_err "<lora:diffusers:0.5:1>: applied 200 of 200 keys"
assert_true grep -qa 'a boat <lora:kohya:0.7> <lora:diffusers:0.5:1>' lora.png
# as AUTOMATIC1111 knows them: SHA-256 of what stands behind a safetensors file's header
tensors_hash() { tail -c +$((9 + $(od -An -t u8 -N 8 "$1"))) "$1" | sha256sum | cut -c1-12; }
assert_true grep -qa "Lora hashes: \"kohya: $(tensors_hash loras/kohya.safetensors), diffusers: $(tensors_hash loras/more/diffusers.safetensors)\"" lora.png
eidetic generate "a boat <lora:kohya:0>" --lora-dir loras --model "$toy" -W 32 -H 32 --steps 2 --seed 1 -o none.png
assert_exit 0
eidetic generate "a boat " --model "$toy" -W 32 -H 32 --steps 2 --seed 1 -o plain.png
assert_exit 0
eidetic embed --json lora.png none.png plain.png
assert_eq "$(json '.vectors[] | tostring' | sort | uniq -c | awk '{print $1}' | sort | paste -sd,)" "1,2"
eidetic generate "a boat <lora:kohia:1>" --lora-dir loras --model "$toy" -W 32 -H 32 -o e.png
assert_exit 2
assert_err 'no LoRA is called "kohia"; the nearest: kohya'
printf 'nothing' >loras/broken.safetensors
eidetic generate "a boat <lora:broken>" --lora-dir loras --model "$toy" -W 32 -H 32 -o e.png
assert_exit 4
assert_true test ! -e e.png

t "embeddings are found by name in both prompts"
eidetic generate "a boat, easytoy" -n "Cat-Toy" --embeddings-dir "$EIDETIC_SOURCE/tests/golden/sampler/embeddings" \
    --model "$toy" -W 32 -H 32 --steps 2 --seed 1 -o words.png
assert_exit 0
assert_err "embedding EasyToy: 2 vectors"
assert_err "embedding cat-toy: 1 vector"
assert_true grep -qa 'a boat, easytoy' words.png
hash_of() { sha256sum "$EIDETIC_SOURCE/tests/golden/sampler/embeddings/$1" | cut -c1-12; }
assert_true grep -qaE "TI hashes: \"EasyToy: $(hash_of EasyToy.safetensors), cat-toy: $(hash_of cat-toy.bin)\"" words.png
mkdir words && printf 'nothing' >words/boat.pt
eidetic generate "a boat" --embeddings-dir words --model "$toy" -W 32 -H 32 -o e.png
assert_exit 4
assert_err "boat.pt"
eidetic generate "a boat" --embeddings-dir nowhere --model "$toy" -W 32 -H 32 -o e.png
assert_exit 2

t "another autoencoder decodes; one that is none is said in a sentence"
mkdir vae && "${make_toy%_sampler}_vae" write "$TMP/vae" || fail "the autoencoders cannot be written"
eidetic generate "a boat " --vae vae/vae.safetensors --model "$toy" -W 32 -H 32 --steps 2 --seed 1 -o same.png
assert_exit 0
assert_true grep -qa "Model: toy, VAE hash: $(sha256sum vae/vae.safetensors | cut -c1-10), VAE: vae.safetensors, RNG" same.png
eidetic embed --json same.png plain.png
assert_json '.vectors[0] == .vectors[1]'
eidetic generate "a boat " --taesd vae/taesd.safetensors --model "$toy" -W 32 -H 32 --steps 2 --seed 1 -o tiny.png
assert_exit 0
assert_true grep -qa "RNG: CPU, VAE Decoder: TAESD" tiny.png
eidetic embed --json tiny.png plain.png
assert_json '.vectors[0] != .vectors[1]'
eidetic generate "a boat" --vae vae/taesd.safetensors --model "$toy" -W 32 -H 32 -o e.png
assert_exit 4
assert_err "not an autoencoder"
eidetic generate "a boat" --taesd nowhere.pth --model "$toy" -W 32 -H 32 -o e.png
assert_exit 4
assert_err "no such autoencoder"

t "what is no checkpoint is said in a sentence"
eidetic generate x --model "$TMP/nowhere.safetensors" -o e.png
assert_exit 4
eidetic generate x --model boat.png -o e.png
assert_exit 4
eidetic generate x --model "$EIDETIC_SOURCE/models/starter" -o e.png
assert_exit 4
assert_err "lacks unet/config.json"
head -c 1000000 "$toy" >cut.safetensors
eidetic generate x --model ./cut.safetensors -o e.png
assert_exit 4
assert_true test ! -e e.png

t "Ctrl-C leaves nothing half-written"
mkdir new
"$EIDETIC" generate x --model "$toy" -W 512 -H 512 --steps 1000 -o new/f.png >"$TMP/out" 2>"$TMP/err" &
pid=$!
listens() { [ $(("0x$(awk '$1 == "SigCgt:" { print $2 }' /proc/$pid/status)" & 2)) -ne 0 ]; }
wait_until 60 listens
sleep 1
kill -INT $pid
wait $pid
assert_eq $? 130
assert_err "interrupted"
assert_eq "$(ls -A new)" ""

t "a folder that is not there or not writable is said before anything is computed"
eidetic generate x --model "$toy" -o nowhere/f.png
assert_exit 2
assert_err "no such folder"
if [ "$(id -u)" -ne 0 ]; then
    mkdir locked && chmod a-w locked
    eidetic generate x --model "$toy" -o locked/f.png
    assert_exit 6
fi
done_testing
