#!/usr/bin/env python3
"""A safetensors file as PyTorch Lightning saves a checkpoint: a zip archive with a pickle, "state_dict" in it beside
what else a training keeps. The standard library alone, so that the test needs no torch; torch.load reads the result.

usage: make_ckpt.py IN.safetensors OUT.ckpt
"""
import json
import struct
import sys
import zipfile

STORAGE = {"F32": b"FloatStorage", "F16": b"HalfStorage", "BF16": b"BFloat16Storage", "I64": b"LongStorage"}


def text(s):
    return b"X" + struct.pack("<I", len(s)) + s


def number(n):
    return b"J" + struct.pack("<i", n)


def numbers(list_):
    return b"(" + b"".join(number(n) for n in list_) + b"t"


def tensor(key, dtype, shape):
    count, strides = 1, []
    for n in reversed(shape):
        strides.insert(0, count)
        count *= n
    storage = (b"(" + text(b"storage") + b"ctorch\n" + STORAGE[dtype] + b"\n" + text(key) + text(b"cpu") + number(count)
               + b"tQ")
    return (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(0) + numbers(shape) + numbers(strides)
            + b"\x89ccollections\nOrderedDict\n)RtR")


def main():
    with open(sys.argv[1], "rb") as f:
        size, = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(size))
        data = f.read()
    header.pop("__metadata__", None)
    state = b"}("
    with zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_STORED) as z:
        for i, (name, t) in enumerate(header.items()):
            begin, end = t["data_offsets"]
            z.writestr(f"archive/data/{i}", data[begin:end])
            state += text(name.encode()) + tensor(str(i).encode(), t["dtype"], t["shape"])
        rest = text(b"epoch") + number(3) + text(b"optimizer_states") + b"]" + text(b"note") + b"N"
        z.writestr("archive/data.pkl", b"\x80\x02}(" + rest + text(b"state_dict") + state + b"u" + b"u.")
        z.writestr("archive/version", "3\n")


main()
