# shellcheck shell=bash
# Shared by the scripts in this folder; sourced, never run. Sets ROOT and enters it.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT" || exit 70

say() { printf '%s\n' "$*" >&2; }
die() {
    say "$(basename "$0"): $*"
    exit 1
}

# Package names of a list file, without the comments.
package_names() { sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$@"; }

# Those of the list files that are not installed.
missing_packages() {
    local name state
    for name in $(package_names "$@"); do
        # No ${db:...} expansion by the shell here: it is dpkg-query's own format.
        # shellcheck disable=SC2016
        state=$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) || state=
        [ "$state" = installed ] || printf '%s\n' "$name"
    done
}

# Stops with a sentence when something of the list files is missing; installs nothing.
require_packages() {
    command -v dpkg-query >/dev/null || return 0 # not Debian: CMake says what it misses
    local missing
    missing=$(missing_packages "$@" | tr '\n' ' ')
    [ -z "$missing" ] && return 0
    case "$*" in *-dev.txt*) set -- --deps-only --dev ;; *) set -- --deps-only ;; esac
    die "packages are missing: ${missing% }; get them with: scripts/setup $*"
}

# Tracked files that match the given patterns, one a line, those deleted but uncommitted left out.
# Where there is no git (a tarball) everything outside build folders counts.
tracked() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -- "$@"
    else
        local args=() p
        for p in "$@"; do args+=(-o -path "./$p"); done
        find . -path './build*' -prune -o \( -false "${args[@]}" \) -type f -print | sed 's|^\./||'
    fi | while IFS= read -r f; do [ -f "$f" ] && printf '%s\n' "$f"; done
}

# Our C and C++ sources.
sources() { tracked '*.c' '*.h' '*.cpp' '*.cu' '*.cuh' | grep -v '^third_party/'; }
