#!/usr/bin/env bash
# search --interactive in a pseudo-terminal: what is typed is answered, Enter prints the path, Escape leaves.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
command -v script >/dev/null || skip_all "no script(1) here"
photos=$(sample_copy)
eidetic index "$photos"
export EIDETIC

# types KEYS: KEYS arrive a little apart; the path chosen is in $TMP/chosen, the screen in $TMP/screen.
types() {
    local i
    LAST="-i, typing $1"
    { sleep 1; for ((i = 0; i < ${#1}; i++)); do
        printf '%s' "${1:i:1}"
        sleep 0.05
    done; sleep 0.5; printf '%b' "$2"; sleep 1; } |
        timeout 60 script -qec '"$EIDETIC" search -i >"$TMP/chosen"; echo $? >"$TMP/code"' /dev/null >"$TMP/screen" 2>"$TMP/err"
    RC=$(cat "$TMP/code")
    cp "$TMP/chosen" "$TMP/out"
}
t "Enter prints the best picture for what was typed"
types "otters by the water" '\r'
assert_exit 0
assert_eq "$(cat "$TMP/out")" "$photos/oakland-zoo-otters.jpg"
assert_contains "$TMP/screen" "oakland-zoo-otters.jpg"

t "the arrow keys choose another"
types "otters by the water" '\033[B\r'
assert_exit 0
assert_true grep -q "^$photos/" "$TMP/out"
assert_lacks out otters

t "an arrow key that comes in pieces is one, and the window may change its size"
{
    sleep 1
    printf 'otters by the water'
    sleep 0.7
    printf '\033'
    sleep 0.01
    printf '[B'
    sleep 0.7
    printf '\r'
    sleep 1
} | timeout 60 script -qec 'stty cols 40 rows 10; (sleep 1.4; stty cols 20 rows 5 <"$(tty)") & "$EIDETIC" search -i >"$TMP/chosen"; echo $? >"$TMP/code"' \
    /dev/null >"$TMP/screen" 2>"$TMP/err"
RC=$(cat "$TMP/code")
cp "$TMP/chosen" "$TMP/out"
assert_exit 0
assert_true grep -q "^$photos/" "$TMP/out"
assert_lacks out otters

t "no line is wider than the terminal, wide characters and combining marks among them"
folder=$TMP/wide
mkdir "$folder"
cp "$photos/oakland-zoo-otters.jpg" "$folder/$(printf '川獺%.0s' {1..30}).jpg"
cp "$photos/ocean-waves.jpg" "$folder/$(printf 'e\xcc\x81%.0s' {1..60}).jpg"
eidetic index "$folder"
export folder
{
    sleep 1
    printf '水辺の%.0s' {1..20}
    sleep 1
    printf '\025otters by the water'
    sleep 1
    printf '\r'
    sleep 1
} | timeout 60 script -qec 'stty cols 60 rows 10; cd "$folder"; "$EIDETIC" search -i --folder . >"$TMP/chosen"' /dev/null >"$TMP/screen" 2>"$TMP/err"
assert_eq "$(cat "$TMP/chosen")" "$(echo "$folder"/川*)"
sed 's/\x1b\[[0-9]*[A-Za-z]//g' "$TMP/screen" | tr '\r' '\n' >"$TMP/lines"
assert_contains "$TMP/lines" "川獺"
assert_true test "$(wc -L <"$TMP/lines")" -le 60

t "Escape and Ctrl-C leave without an answer"
types "otters" '\033'
assert_exit 130
assert_eq "$(cat "$TMP/out")" ""
types "otters" '\003'
assert_exit 130

t "nothing stands where nothing is typed, nor below an answer that is none"
types "" '\033'
assert_exit 130
assert_lacks "$TMP/screen" '?'"$(printf '\033')"
types "  " '\033'
assert_lacks "$TMP/screen" '.jpg'

t "what cannot be read yet is said, is not chosen, and typing goes on"
types '"otters' '\r'
assert_exit 130
assert_eq "$(cat "$TMP/out")" ""
echo x >"$TMP/wide/word.txt"
types "$TMP/wide/word.txt" '\025otters by the water\r'
assert_exit 0
assert_eq "$(cat "$TMP/out")" "$photos/oakland-zoo-otters.jpg"
assert_contains "$TMP/screen" "not a picture in a known format"

t "a hundred keys at once, and the list goes where the choice is"
{
    sleep 1
    printf 'otters by the water'
    sleep 1
    printf '\033[B%.0s' {1..100}
    sleep 1
    printf '\r'
    sleep 1
} | timeout 60 script -qec 'stty cols 60 rows 6; "$EIDETIC" search -i >"$TMP/chosen"; echo $? >"$TMP/code"' /dev/null >"$TMP/screen" 2>"$TMP/err"
assert_eq "$(cat "$TMP/code")" 0
eidetic search "otters by the water" -f
assert_eq "$(cat "$TMP/chosen")" "$(tail -n 1 "$TMP/out")"
assert_contains "$TMP/screen" "10 of 10"

t "what is pasted is a sentence, and none of it is left to the shell"
types "" '\033[200~otters\nby the\nwater\n\033[201~\r'
assert_exit 0
assert_eq "$(cat "$TMP/out")" "$photos/oakland-zoo-otters.jpg"

t "the terminal is left as it was, also by a hang-up"
{ sleep 3; } | timeout 60 script -qec 'stty -a >"$TMP/before"; "$EIDETIC" search -i >"$TMP/chosen" & sleep 1.5; kill -HUP $!; wait $!; echo $? >"$TMP/code"; stty -a >"$TMP/after"' \
    /dev/null >"$TMP/screen" 2>"$TMP/err"
assert_eq "$(cat "$TMP/code")" 130
assert_eq "$(cat "$TMP/after")" "$(cat "$TMP/before")"

t "it wants a terminal, and nothing that is not typed"
eidetic search -i --json
assert_exit 2
eidetic search -i one two
assert_exit 2
eidetic search -i --subtract dog
assert_exit 2
run setsid "$EIDETIC" search -i
assert_exit 2
assert_err "needs a terminal"
done_testing
