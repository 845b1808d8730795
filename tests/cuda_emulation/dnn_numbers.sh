#!/usr/bin/env bash
# Whether nn/cuda/dnn.h has cuDNN's own numbers: dnn_numbers.sh SOURCE_DIR CUDNN_H CUDA_INCLUDE, or 77 where the build found no header.
set -euo pipefail
if [ ! -f "$2" ]; then
    echo "NOT CHECKED: cuDNN's numbers. There is no cudnn.h."
    exit 77
fi
names=$(grep -oE 'CUDNN_[A-Z0-9_]+ = ' "$1/nn/cuda/dnn.h" | sed 's/ = //' | sort -u)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cuda=${3:-.}
say() { # INCLUDE: every name and its number there
    { echo '#include <stdio.h>'; echo "#include \"$1\""; echo 'int main(void) {'
      for n in $names; do echo "printf(\"%s %d\\n\", \"$n\", (int)$n);"; done
      echo 'return 0; }'; } >"$work/say.c"
    cc -w -I"$(dirname "$1")" -I"$cuda" -o "$work/say" "$work/say.c"
    "$work/say"
}
say "$1/nn/cuda/dnn.h" >"$work/ours"
say "$2" >"$work/theirs"
diff "$work/ours" "$work/theirs"
echo "$(wc -l <"$work/ours") numbers are those of $(dirname "$2")/cudnn.h"
