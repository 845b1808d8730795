#!/usr/bin/env bash
# search --batch: one query a line, an answer each.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
photos=$(sample_copy)
eidetic index "$photos"
assert_exit 0
cd "$photos" || exit 1
otters="otters beside the water" xray="an x-ray of a broken bone in a hospital"

t "every line has the answer that it has alone, and empty lines have none"
printf '%s\n\n  \n2:food at a market\r\n./ocean-waves.jpg\n%s' "$otters" "a city at night" >"$TMP/queries"
eidetic search --json -t 3 --batch "$TMP/queries"
assert_exit 0
cp "$TMP/out" "$TMP/batch"
assert_eq "$(jq -c .line "$TMP/batch" | tr '\n' ' ')" "1 4 5 6 "
assert_eq "$(jq -r .query "$TMP/batch" | tr '\n' '|')" "$otters|2:food at a market|./ocean-waves.jpg|a city at night|"
n=0
for q in "$otters" "2:food at a market" ./ocean-waves.jpg "a city at night"; do
    n=$((n + 1))
    eidetic search --json -t 3 "$q"
    assert_eq "$(jq -cs ".[$((n - 1))].results | map(.path)" "$TMP/batch")" "$(jq -c '.results | map(.path)' "$TMP/out")"
    assert_true jq -es --slurpfile one "$TMP/out" \
        ".[$((n - 1))].results[0].score - \$one[0].results[0].score | fabs < 1e-4" "$TMP/batch"
    assert_eq "$(jq -cs ".[$((n - 1))] | [.fits, .model, has(\"error\")]" "$TMP/batch")" "$(jq -c '[.fits, .model, false]' "$TMP/out")"
done

t "more lines than are encoded together, and the same from standard input"
for i in $(seq 150); do printf 'a photo of %d dogs\n' "$i"; done >"$TMP/many"
eidetic search --json -t 1 --batch "$TMP/many"
assert_eq "$(jq -s 'map(.line) == [range(1; 151)]' "$TMP/out")" true
jq -c '[.query, .results[0].path]' "$TMP/out" >"$TMP/from_file"
run bash -c '"$0" search --json -t 1 --batch - <"$1"' "$EIDETIC" "$TMP/many"
jq -c '[.query, .results[0].path]' "$TMP/out" >"$TMP/from_stdin"
assert_true cmp "$TMP/from_file" "$TMP/from_stdin"

t "a line is answered before the next one comes"
mkfifo "$TMP/ask" "$TMP/answer"
"$EIDETIC" search --json -t 1 --batch - <"$TMP/ask" >"$TMP/answer" 2>/dev/null &
exec 8>"$TMP/ask" 9<"$TMP/answer"
for q in "$otters" "ocean waves"; do
    echo "$q" >&8
    read -r -t 60 line <&9 || line=
    assert_eq "$(jq -r .query <<<"$line")" "$q"
done
exec 8>&-
wait $!
assert_true test $? -le 1
exec 9<&-

t "filters hold for every line"
mkdir "$photos/few"
cp "$photos/ocean-waves.jpg" "$photos/few/"
eidetic index --quiet
printf '%s\nocean waves\n' "$otters" >"$TMP/two"
eidetic search --json --folder "$photos/few" --batch "$TMP/two"
assert_eq "$(jq -s 'map(.results | map(.path | endswith("few/ocean-waves.jpg"))) == [[true], [true]]' "$TMP/out")" true

t "tables and lists of a batch stand apart"
printf '%s\n%s\nocean waves\n' "$otters" "$xray" >"$TMP/three"
eidetic search -t 1 --strict --batch "$TMP/three"
assert_exit 1
assert_err "line 2: nothing in the library fits"
assert_eq "$(sed -n 1p "$TMP/out")" "query	$otters"
assert_eq "$(cut -f1 "$TMP/out" | sed 's/^[0-9.]*$/N/' | tr '\n' '|')" "query|score|N|N|query|N|query|score|N|N|"
eidetic search -f -t 1 --strict --batch "$TMP/three"
assert_exit 1
assert_eq "$(sed 's,.*/,,' "$TMP/out" | tr '\n' '|')" "oakland-zoo-otters.jpg|||ocean-waves.jpg||"
"$EIDETIC" search -0 -t 1 --strict --batch "$TMP/three" 2>/dev/null | tr '\0' '\n' >"$TMP/nul"
assert_eq "$(sed 's,.*/,,' "$TMP/nul" | tr '\n' '|')" "oakland-zoo-otters.jpg|||ocean-waves.jpg||"

t "a wrong line is said with its number, and the rest is answered"
{
    printf '0:dog\n%s\n./no-such.jpg\n' "$otters"
    printf 'a\0b\n'
    head -c 70000 /dev/zero | tr '\0' x
    printf '\n\xff\xfe\nocean waves\n'
} >"$TMP/bad"
eidetic search --json -t 1 --batch "$TMP/bad"
assert_exit 3
assert_eq "$(jq -s 'map(.line) == [range(1; 8)]' "$TMP/out")" true
assert_eq "$(jq -cs 'map(has("error"))' "$TMP/out")" "[true,false,true,true,true,false,false]"
assert_eq "$(jq -cs 'map(select(.error) | .results == [] and .fits == false) | all' "$TMP/out")" true
for n in 1 3 4 5; do assert_err "line $n: "; done
printf '0:dog\n%s\n' "$otters" >"$TMP/bad"
eidetic search -f -t 1 --batch "$TMP/bad"
assert_exit 2
assert_eq "$(sed 's,.*/,,' "$TMP/out" | tr '\n' '|')" "|oakland-zoo-otters.jpg||"

t "nothing to ask is no failure; two places to ask from are"
eidetic search --batch /dev/null
assert_exit 0
assert_eq "$(wc -c <"$TMP/out")" 0
eidetic search --batch "$TMP/two" otters
assert_exit 2
eidetic search --batch "$TMP/nowhere"
assert_exit 3

t "a reader that has seen enough ends it"
run bash -c 'yes otters | "$0" search --json -t 1 --batch - | head -1 | jq -r .query' "$EIDETIC"
assert_out otters
done_testing
