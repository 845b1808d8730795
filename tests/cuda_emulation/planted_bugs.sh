#!/usr/bin/env bash
# Copies of the CUDA sources with one line changed, as planted_bugs.txt says; a test must fail on each.
#   planted_bugs.sh plant NAME FROM TO            makes one
#   planted_bugs.sh run CMAKE BUILD TARGET...     builds and runs them
set -euo pipefail

if [ "$1" = plant ]; then
    change=$(awk -v name="$2" '$1 == name { $1 = $2 = $3 = ""; sub(/^ +/, ""); print }' "$(dirname "$0")/planted_bugs.txt")
    sed -e "$change" "$3" >"$4"
    [ "$(diff "$3" "$4" | grep -c '^>')" -eq 1 ] || { echo "$2 changes not one line of $3"; rm -f "$4"; exit 1; }
    exit 0
fi

cmake=$2 build=$3
shift 3
log=$build/planted/build.log
"$cmake" --build "$build" --target "$@" >"$log" 2>&1 || { tail -n 20 "$log"; exit 1; }
export EIDETIC_TEST_BACKENDS=cuda EIDETIC_TEST_DEVICE=cuda:emulated
bad=0
for t in "$@"; do
    out=$build/planted/$t.log code=0
    for order in late early; do # of copies: what overwrites too soon is seen in the second
        [ $code -ne 0 ] || EIDETIC_EMULATED_STREAMS=$order timeout 300 "$build/tests/$t" >"$out" 2>&1 || code=$?
    done
    if [ $code -eq 0 ] || [ $code -eq 77 ] || [ $code -eq 124 ]; then
        echo "$t: NOT CAUGHT (exit code $code)"
        bad=1
    else
        what=$(grep -m 1 -E '^cuda emulation:|value [0-9]+ is|other bits|wrote |batch |!=' "$out" || echo "exit code $code")
        echo "$t: caught: $what"
    fi
done
exit $bad
