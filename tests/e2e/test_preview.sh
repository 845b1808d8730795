#!/usr/bin/env bash
# Pictures in the terminal: below the lines of a search, and while one is made; nothing where nobody
# asked, and a sentence where the library for it is missing.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
make_toy=${EIDETIC_BUILD:-$EIDETIC_SOURCE/build/release}/tests/test_golden_sampler
[ -x "$make_toy" ] || skip_all "no $make_toy"
"$EIDETIC" doctor | grep -q '^ok *previews' || skip_all "libchafa is not installed"
"$make_toy" write "$TMP/sd" || fail "the toy cannot be written"
toy=$TMP/sd/toy.safetensors
photos=$(sample_copy)
unset TMUX
export TERM=xterm-256color
eidetic index "$photos"
assert_exit 0
esc=$(printf '\033')

t "search -p shows each picture below its line"
for kind in "kitty:${esc}_Ga=T," "iterm2:${esc}]1337;File=" "sixel:${esc}P0;1;0q" "blocks:▄"; do
    eidetic search -t 2 "otters by the water" --preview="${kind%%:*}"
    assert_exit 0
    assert_out "${kind#*:}"
    assert_eq "$(grep -c 'photos/' "$TMP/out")" 2
    assert_true test "$(grep -cF "${kind#*:}" "$TMP/out")" -ge 2
done
eidetic similar -t 1 -p "$photos/ocean-waves.jpg" # whether anything is like it or not
assert_out "▄"
eidetic search -t 2 "otters by the water"
assert_true eval '! grep -q "$esc" "$TMP/out"'

t "a wish in the config file stays away from pipes, and from terminals that show nothing"
mkdir -p "$XDG_CONFIG_HOME/eidetic"
printf '\357\273\277preview = true\n' >"$XDG_CONFIG_HOME/eidetic/config"
eidetic search -t 1 "otters by the water"
assert_exit 0
assert_lacks out "$(printf '\033')"
eidetic similar -t 1 "$photos/ocean-waves.jpg"
assert_lacks out "$(printf '\033')"
printf 'preview = 1\n' >"$XDG_CONFIG_HOME/eidetic/config"
eidetic search -t 1 "otters by the water"
assert_exit 0
assert_lacks out "$(printf '\033')"
rm "$XDG_CONFIG_HOME/eidetic/config"
TERM=dumb run "$EIDETIC" search -t 1 "otters by the water" -p
assert_exit 0
assert_lacks out "$(printf '\033')"

t "a file that is gone has no preview, and the rest has"
mv "$photos/oakland-zoo-otters.jpg" "$TMP/"
eidetic search -t 2 "otters by the water" -p
assert_exit 0
assert_eq "$(grep -c 'photos/' "$TMP/out")" 2
mv "$TMP/oakland-zoo-otters.jpg" "$photos/"

t "wrong words are wrong usage"
for words in "--preview=paper" "-p --json" "-p -f" "-p -0"; do
    # shellcheck disable=SC2086
    eidetic search "a cat" $words
    assert_exit 2
done
eidetic generate x --model "$toy" --preview=paper -W 16 -H 16 --steps 1 -o "$TMP/no-terminal.png" --no-file
assert_exit 0

t "generate shows the picture while it is made, on a terminal alone, and leaves it as it is"
make() { eidetic generate "a boat" --model "$toy" -W 64 -H 48 --steps 4 --seed 1 --no-file "$@"; }
make -o "$TMP/plain.png"
make -o "$TMP/quiet.png" --preview
assert_exit 0
assert_true eval '! grep -q "$esc" "$TMP/err"'
assert_true cmp "$TMP/plain.png" "$TMP/quiet.png"
if command -v script >/dev/null; then
    mkdir "$TMP/vae"
    "${make_toy%_sampler}_vae" write "$TMP/vae" || fail "the autoencoders cannot be written"
    for more in "" "--taesd=$TMP/vae/taesd.safetensors"; do
        run script -qec "'$EIDETIC' generate 'a boat' --model '$toy' -W 64 -H 48 --steps 4 --seed 1 --no-file --preview=kitty --preview-every 1 $more -o '$TMP/shown${more:+-tiny}.png'" /dev/null
        assert_exit 0
        assert_eq "$(grep -oF "${esc}_Ga=T," "$TMP/out" | wc -l)" 4
        assert_out "${esc}_Ga=d"
    done
    assert_true cmp "$TMP/plain.png" "$TMP/shown.png"
    run script -qec "'$EIDETIC' generate x --model '$toy' -W 16 -H 16 --steps 1 --no-file --preview=paper -o '$TMP/e.png'" /dev/null
    assert_exit 2
fi
done_testing
