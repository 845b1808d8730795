#!/usr/bin/env bash
# Compiles every header of ours alone, as C11: each must include what it uses.
set -u
cd "${EIDETIC_SOURCE:-$(dirname "$0")/../..}" || exit 70
failed=0 n=0
folders=()
for d in core image nn clip sampler db search indexer app tests bench; do
    [ -d "$d" ] && folders+=("$d")
done
while IFS= read -r header; do
    n=$((n + 1))
    "${CC:-cc}" -std=gnu11 -fsyntax-only -Wall -Wextra -Wstrict-prototypes -Werror -Wno-unused-function \
        -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DTEST_DATA='""' -DSOURCE_DIR='""' -I. -Itests -x c - <<<"#include \"$header\"" || {
        printf '%s does not compile alone\n' "$header"
        failed=$((failed + 1))
    }
done < <(find "${folders[@]}" -name '*.h' | sort)
printf '%d headers, %d failed\n' "$n" "$failed"
[ "$n" -gt 0 ] && [ "$failed" -eq 0 ]
