#!/usr/bin/env bash
# The Debian package: what is in it, and that the program runs from where it was unpacked.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
build=${EIDETIC_BUILD:-$EIDETIC_SOURCE/build/release}
for tool in cpack dpkg-deb dpkg-shlibdeps objdump; do
    command -v $tool >/dev/null || skip_all "no $tool here"
done
grep -qE "^EIDETIC_(SANITIZE|TSAN):BOOL=ON" "$build/CMakeCache.txt" && skip_all "a sanitizer build is no package"

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
for file in bin/eidetic share/eidetic/models/starter/config.json share/man/man1/eidetic.1 share/man/man1/eidetic-search.1 share/man/man5/eidetic-config.5 \
    share/bash-completion/completions/eidetic share/zsh/vendor-completions/_eidetic \
    share/fish/vendor_completions.d/eidetic.fish share/doc/eidetic/LICENSE; do
    assert_out "./usr/$file"
done
assert_lacks out "./home"

t "it names no folder of the machine it was built on"
run dpkg-deb --extract "$deb" "$TMP/root"
assert_exit 0
run objdump -p "$TMP/root/usr/bin/eidetic"
assert_out NEEDED
assert_true test -z "$(grep -E 'R(UN)?PATH' "$TMP/out" | grep -vE 'PATH +(/usr/lib|\$ORIGIN)')"
assert_true test -z "$(grep -raF -l "$EIDETIC_SOURCE/build" "$TMP/root" || true)"

t "dpkg installs it on the packages that are here, runs it from there, and takes it out again"
if [ "$(id -u)" = 0 ] && [ -s /var/lib/dpkg/status ]; then
    inst=$TMP/inst
    mkdir -p "$inst/var/lib/dpkg/info" "$inst/var/lib/dpkg/updates"
    sed '/^Package: eidetic$/,/^$/d' /var/lib/dpkg/status >"$inst/var/lib/dpkg/status"
    : >"$inst/var/lib/dpkg/available"
    # What is not installed here must be a package of Debian's: libopenblas0, which the shared library's own rules name,
    # is but a name for one of its builds.
    dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed 's/(.*//; s/|.*//; s/ //g' | sort -u >"$TMP/depends"
    while read -r name; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" != installed ] || continue
        version=$(apt-cache show --no-all-versions "$name" 2>/dev/null | sed -n 's/^Version: //p')
        if [ -z "$version" ]; then
            ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 && fail "it needs $name, which is no package here"
            echo "  (not looked up: apt has no lists here, so nobody knows whether there is $name)"
        fi
        printf '\nPackage: %s\nStatus: install ok installed\nMaintainer: Debian\nArchitecture: all\nVersion: %s\nDescription: -\n' \
            "$name" "${version:-999}" >>"$inst/var/lib/dpkg/status"
    done <"$TMP/depends"
    run dpkg --root="$inst" --install "$deb"
    assert_exit 0
    assert_eq "$(dpkg-query --root="$inst" -W -f '${Status}' eidetic)" "install ok installed"
    run "$inst/usr/bin/eidetic" search --help
    assert_exit 0
    run "$inst/usr/bin/eidetic" embed --text dog
    assert_exit 0
    run dpkg --root="$inst" --purge eidetic
    assert_exit 0
    assert_true test ! -e "$inst/usr/bin/eidetic"
    assert_true test ! -e "$inst/usr/share/eidetic"
else
    echo "  (SKIPPED: only root installs with dpkg; unpacked and tried below all the same)"
fi

t "the unpacked program answers with the unpacked model"
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
