"""FAISS's exact search of N x D vectors for the 10 nearest, one thread, the least of 9 calls.

    scan.py N D       lines "flat MS", "fp16 MS", and with the share of rows that a selector keeps,
                      "flat 0.5 MS", ...
"""

import sys
import time

import faiss
import numpy as np


def least_ms(call):
    call()
    took = []
    for _ in range(9):
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return 1e3 * min(took)


def main():
    n, dim = int(sys.argv[1]), int(sys.argv[2])
    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((n, dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    query = rows[:1].copy()
    flat = faiss.IndexFlatIP(dim)
    fp16 = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    for index in flat, fp16:
        index.train(rows)
        index.add(rows)
    order = rng.permutation(n)
    for name, index in ("flat", flat), ("fp16", fp16):
        print(name, f"{least_ms(lambda: index.search(query, 10)):.3f}", flush=True)
        for keep in 0.5, 0.05, 0.005:
            bits = np.zeros(n, dtype=np.uint8)
            bits[order[: int(n * keep)]] = 1
            bitmap = np.packbits(bits, bitorder="little")
            params = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bitmap))
            print(name, keep, f"{least_ms(lambda: index.search(query, 10, params=params)):.3f}", flush=True)


if __name__ == "__main__":
    main()
