#!/usr/bin/env bash
# What ptxas said when nvcc compiled the kernels: none may spill registers, and none may take more
# static shared memory than every device has. check_ptxas.sh FOLDER, or 77 where nothing was compiled.
set -eu
shopt -s nullglob
logs=("$1"/*.ptxas)
if [ ${#logs[@]} -eq 0 ]; then
    echo "NOT CHECKED: the CUDA build. No CUDA toolkit was found (scripts/setup --cuda fetches one)."
    exit 77
fi
awk '
/Compiling entry function/ { kernel = $0; sub(/.*function ./, "", kernel); sub(/. for.*/, "", kernel); n++ }
/spill stores/ && !/ 0 bytes spill stores, 0 bytes spill loads/ { print FILENAME ": " kernel ": " $0; bad = 1 }
/bytes smem/ {
    smem = $0; sub(/ bytes smem.*/, "", smem); sub(/.* /, "", smem)
    if (smem + 0 > 49152) { print FILENAME ": " kernel ": " smem " bytes of shared memory"; bad = 1 }
}
END { printf "%d kernels compiled in %d files\n", n, ARGC - 1; exit bad || n == 0 }
' "${logs[@]}"
