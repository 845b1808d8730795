#!/usr/bin/env bash
# A drive with a bad sector in the middle of a picture, and clocks that are wrong or go back, by a shim before the
# system's calls (shim.c).
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
build=${EIDETIC_BUILD:-$EIDETIC_SOURCE/build/release}
grep -qE "^EIDETIC_(SANITIZE|TSAN):BOOL=ON" "$build/CMakeCache.txt" && skip_all "sanitizers want to be loaded first"
cc=$(command -v cc || command -v gcc || command -v clang) || skip_all "no C compiler here"
"$cc" -std=gnu11 -O1 -shared -fPIC -o "$TMP/shim.so" "$EIDETIC_SOURCE/tests/e2e/shim.c" -ldl || fail "the shim cannot be built"
shimmed() { run env LD_PRELOAD="$TMP/shim.so" "$@"; }
photos=$(sample_copy)

# A JPEG whose comment, the first segment, marks it as lying on a bad sector.
printf '\377\330\377\376\000\040..................bad-sector..' >"$TMP/head"
cp "$TMP/head" "$photos/on-a-bad-sector.jpg"
tail -c +3 "$photos/ocean-waves.jpg" >>"$photos/on-a-bad-sector.jpg"

t "a bad sector in the middle of a picture costs that picture, says so, and is read again by the next run"
shimmed SHIM_EIO=1 "$EIDETIC" index --json "$photos"
assert_exit 3
assert_json '.embedded == 20 and .failed == 1'
eidetic errors
assert_out "on-a-bad-sector.jpg"
assert_out "input/output error"
shimmed SHIM_EIO=1 "$EIDETIC" similar "$photos/on-a-bad-sector.jpg"
assert_exit 3
assert_err "input/output error"
eidetic check --read-data
assert_exit 0
eidetic index --json "$photos"
assert_exit 0
assert_json '.embedded == 1 and .failed == 0'
eidetic errors
assert_eq "$(cat "$TMP/out")" ""

t "a bad sector under a picture that is known costs nothing that is known"
touch "$photos/on-a-bad-sector.jpg"
shimmed SHIM_EIO=1 "$EIDETIC" index --json "$photos"
assert_exit 3
eidetic stats --json
assert_json '.vectors == 21'
eidetic index --json "$photos"
assert_exit 0
assert_json '.embedded == 0 and .failed == 0'

t "years before, and back again: nothing is lost, made again, or refused"
make_toy=$build/tests/test_golden_sampler
"$make_toy" write "$TMP/sd" || fail "the toy cannot be written"
generate=(generate "a tree" --checkpoint "$TMP/sd/toy.safetensors" -W 32 -H 32 --steps 1)
for clock in -630720000 +630720000 0; do
    for back in 0 86400; do
        name=later$clock-$back
        { cat "$photos/ocean-waves.jpg"; printf '%s' "$name"; } >"$photos/$name.jpg"
        shimmed SHIM_CLOCK=$clock SHIM_BACK=$back "$EIDETIC" index --json "$photos"
        assert_exit 0
        assert_json '.embedded == 1 and .missing == 0 and .moved == 0 and .seconds >= 0 and .seconds < 1000'
        shimmed SHIM_CLOCK=$clock SHIM_BACK=$back "$EIDETIC" search --json -t 1 "otters by the water"
        assert_exit 0
        assert_json '(.results[0].path | endswith("otters.jpg")) and .elapsed_ms >= 0 and .elapsed_ms < 1000000'
        shimmed SHIM_CLOCK=$clock SHIM_BACK=$back "$EIDETIC" "${generate[@]}" --seed $((back + clock + 700000000)) --json
        assert_exit 0
        assert_json '.filed and .seconds >= 0'
        shimmed SHIM_CLOCK=$clock SHIM_BACK=$back "$EIDETIC" check --read-data
        assert_exit 0
    done
done
shimmed SHIM_BACK=86400 "$EIDETIC" index --json
assert_exit 0
assert_json '.embedded == 0'
done_testing
