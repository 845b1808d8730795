#!/usr/bin/env bash
# The Debian package: what is in it, and that the program runs from where it was unpacked.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
build=${EIDETIC_BUILD:-$EIDETIC_SOURCE/build/release}
for tool in cpack dpkg-deb dpkg-shlibdeps objdump; do
    command -v $tool >/dev/null || skip_all "no $tool here"
done
grep -q '^EIDETIC_SANITIZE:BOOL=ON' "$build/CMakeCache.txt" && skip_all "a sanitizer build is no package"

t "a package is made, and says what it needs"
run cpack -G DEB --config "$build/CPackConfig.cmake" -B "$TMP/pack"
assert_exit 0
deb=$(find "$TMP/pack" -maxdepth 1 -name '*.deb')
assert_true test -f "$deb"
run dpkg-deb --info "$deb"
assert_out "Package: eidetic"
assert_out "libsqlite3-0"
assert_out "Recommends: libtiff6"

t "in it: the program, its model, man pages, completion, licence"
run dpkg-deb --contents "$deb"
for file in bin/eidetic share/eidetic/models/starter/config.json share/man/man1/eidetic.1 share/man/man1/eidetic-search.1 \
    share/bash-completion/completions/eidetic share/zsh/vendor-completions/_eidetic \
    share/fish/vendor_completions.d/eidetic.fish share/doc/eidetic/LICENSE; do
    assert_out "./usr/$file"
done
assert_lacks out "./home"

t "the unpacked program answers with the unpacked model"
run dpkg-deb --extract "$deb" "$TMP/root"
assert_exit 0
EIDETIC=$TMP/root/usr/bin/eidetic
eidetic model list --json
assert_out "$TMP/root/usr/share/eidetic/models/starter"
mkdir "$TMP/few"
cp "$EIDETIC_SOURCE/samples/photos/oakland-zoo-otters.jpg" "$EIDETIC_SOURCE/samples/photos/ocean-waves.jpg" "$TMP/few/"
eidetic index "$TMP/few"
assert_exit 0
eidetic search --json "otters"
assert_json '.results[0].path | endswith("otters.jpg")'
done_testing
