#!/usr/bin/env python3
"""Writes tests/unit/weights/quants.gguf with the gguf package, what it reads back (quants.safetensors), and the fuzz targets' seeds.

usage: make_golden_gguf.py [ROOT]        (default: the repository; needs numpy, gguf, safetensors)
"""
import pathlib
import sys

import numpy as np
from gguf import GGMLQuantizationType as Q
from gguf import GGML_QUANT_SIZES, GGUFWriter, quants
from safetensors.numpy import save_file

ROOT = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
WEIGHTS, SEEDS = ROOT / "tests/unit/weights", ROOT / "tests/fuzz/corpus/fuzz_gguf"


def header(w):
    w.add_name("quants")
    w.add_uint32("a.u32", 7)
    w.add_int32("a.i32", -7)
    w.add_uint64("a.u64", 1 << 40)
    w.add_float32("a.f32", 0.25)
    w.add_float64("a.f64", -1.5)
    w.add_bool("a.bool", True)
    w.add_array("a.list", [1.0, 0.5, -2.0])
    w.add_array("a.words", ["one", "two"])
    w.add_array("a.long", list(range(100)))


def k_blocks(rng, q):
    """Three rows of one block: the package reads k-quants but does not write them, so their bytes are any, their f16 numbers sane."""
    raw = rng.integers(0, 256, (3, GGML_QUANT_SIZES[q][1]), dtype=np.uint8)
    for at in {Q.Q2_K: (80, 82), Q.Q3_K: (108,), Q.Q4_K: (0, 2), Q.Q5_K: (0, 2), Q.Q6_K: (208,)}[q]:
        raw[:, at:at + 2] = rng.standard_normal((3, 1)).astype(np.float16).view(np.uint8)
    return raw


def main():
    rng = np.random.default_rng(8)
    x = rng.standard_normal((3, 64)).astype(np.float32)
    x[1, 32:] = 0
    x[2, 5] = 31.0
    out = {}
    w = GGUFWriter(str(WEIGHTS / "quants.gguf"), "none")
    header(w)
    for q in (Q.F32, Q.F16, Q.BF16, Q.Q8_0, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1):
        raw = quants.quantize(x, q)
        w.add_tensor(q.name.lower(), raw, raw_dtype=q)
        out[q.name.lower()] = np.ascontiguousarray(quants.dequantize(raw, q).astype(np.float32).reshape(3, 64))
    w.add_tensor("conv", x[:, :60].reshape(3, 5, 4, 3).astype(np.float16))
    out["conv"] = x[:, :60].reshape(3, 5, 4, 3).astype(np.float16).astype(np.float32)
    w.add_tensor("i64", np.arange(4, dtype=np.int64))
    for q in (Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K):
        raw = k_blocks(rng, q)
        w.add_tensor(q.name.lower(), raw, raw_dtype=q)
        out[q.name.lower()] = np.ascontiguousarray(quants.dequantize(raw, q).astype(np.float32))
    for step in (w.write_header_to_file, w.write_kv_data_to_file, w.write_tensors_to_file, w.close):
        step()
    save_file(out, str(WEIGHTS / "quants.safetensors"))
    SEEDS.mkdir(parents=True, exist_ok=True)
    data = (WEIGHTS / "quants.gguf").read_bytes()
    (SEEDS / "quants").write_bytes(data)
    w = GGUFWriter(str(SEEDS / "one"), "clip")
    w.add_custom_alignment(64)
    w.add_tensor("x", quants.quantize(x[:1, :32], Q.Q5_1), raw_dtype=Q.Q5_1)
    for step in (w.write_header_to_file, w.write_kv_data_to_file, w.write_tensors_to_file, w.close):
        step()


if __name__ == "__main__":
    main()
