#!/usr/bin/env python3
"""Writes the small weight files that tests/unit reads, with the real writers (torch, safetensors).

    python3 scripts/make_golden_weights.py [OUT]      # default tests/unit/weights

Every value follows from its index, value(i) = ((i * 7 + k) % 31 - 15) / 8, with k the length of the
tensor's name, so the tests need no second copy of the numbers. Seeds for the fuzz targets come along.
"""
import argparse
import collections
import io
import json
import pathlib
import pickle
import shutil
import sys
import unittest.mock
import zipfile

import torch
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).resolve().parent.parent


def values(name, shape, dtype=torch.float32):
    n = 1
    for d in shape:
        n *= d
    x = ((torch.arange(n) * 7 + len(name)) % 31 - 15).to(torch.float64)
    if dtype == torch.bool:
        return (x > 0).reshape(shape)
    if dtype == torch.uint8:
        return x.abs().to(dtype).reshape(shape)
    if not dtype.is_floating_point:
        return x.to(dtype).reshape(shape)
    return (x / 8).to(dtype).reshape(shape)


class Opaque:
    """Stands for the classes of a training framework."""

    def __init__(self):
        self.secret = 1


Opaque.__module__ = "pytorch_lightning.callbacks"


class Attack:
    def __init__(self, module, name, *args):
        self.call = (module, name, args)

    def __reduce__(self):
        module, name, args = self.call
        return getattr(__import__(module), name), args


class QuickGELU(torch.nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(values("visual.block.weight", (4, 6)))
        self.width: int = 6

    def forward(self, x):
        return x @ self.weight.t()


class Visual(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 4, 2, 2, bias=False)
        self.block = Block()
        self.proj = torch.nn.Parameter(values("visual.proj", (4, 3), torch.float16))

    def forward(self, x):
        x = self.conv1(x).flatten(2).mean(-1)
        return x @ self.proj.float()


class Toy(torch.nn.Module):
    """The shape of OpenAI's CLIP: modules in modules, a scalar and a buffer at the top."""

    def __init__(self):
        super().__init__()
        self.visual = Visual()
        self.logit_scale = torch.nn.Parameter(values("logit_scale", ()))
        self.register_buffer("positions", values("positions", (2, 5), torch.int64))
        with torch.no_grad():
            self.visual.conv1.weight.copy_(values("visual.conv1.weight", (4, 3, 2, 2)))

    def forward(self, x):
        return self.visual(x) * self.logit_scale.exp()


def state():
    s = collections.OrderedDict()
    for name, shape, dtype in [
        ("a.f32", (3, 5), torch.float32),
        ("a.f16", (2, 3, 4), torch.float16),
        ("a.bf16", (7,), torch.bfloat16),
        ("a.f64", (2, 2), torch.float64),
        ("b.i64", (4,), torch.int64),
        ("b.i32", (4,), torch.int32),
        ("b.i8", (3,), torch.int8),
        ("b.u8", (3,), torch.uint8),
        ("b.bool", (5,), torch.bool),
        ("scalar", (), torch.float32),
        ("empty", (0, 3), torch.float32),
    ]:
        s[name] = values(name, shape, dtype)
    return s


def views(s):
    """Shared storage, an offset, a transposition, channels_last, one dimension too many of size 1."""
    whole = torch.cat([torch.zeros(6), values("view.slice", (4, 3)).flatten()])
    s["view.slice"] = whole[6:].reshape(4, 3)
    s["view.turned"] = values("view.turned", (5, 3)).t().contiguous().t()
    s["view.last"] = values("view.last", (2, 3, 4, 5)).to(memory_format=torch.channels_last)
    s["view.tied"] = s["a.f32"]
    s["view.one"] = values("view.one", (9,)).expand(1, 9)
    s["param"] = torch.nn.Parameter(values("param", (2, 3)))
    return s


def training(s):
    return {
        "epoch": 3,
        "global_step": 1 << 40,
        "lr": 1e-4,
        "big": 1 << 100,
        "args": argparse.Namespace(batch=8, name="run"),
        "callbacks": {Opaque: Opaque()},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3, 5)}}, "param_groups": [{"params": [0, 1]}]}],
        "shapes": [torch.Size([3, 5]), torch.float16, torch.device("cpu"), {1, 2}, b"bytes", None, True],
        "state_dict": s,
    }


def save_shards(out):
    s = {k: v for k, v in state().items() if k.startswith("a.")}
    parts = [dict(list(s.items())[:2]), dict(list(s.items())[2:])]
    files = ["part-1-of-2", "part-2-of-2"]
    index = {"metadata": {"total_size": 144, "note": "two parts"}, "weight_map": {}}
    for name, part in zip(files, parts):
        save_file(part, out / f"{name}.safetensors", metadata={"format": "pt"})
        torch.save(part, out / f"{name}.bin")
        index["weight_map"].update({k: name for k in part})
    for ext, name in (("safetensors", "model.safetensors.index.json"), ("bin", "pytorch_model.bin.index.json")):
        with_ext = dict(index, weight_map={k: f"{v}.{ext}" for k, v in index["weight_map"].items()})
        (out / name).write_text(json.dumps(with_ext, indent=1))


def repack(source, target, compression, swap=None):
    """The same archive written by Python's zipfile: unaligned, perhaps compressed or changed."""
    with zipfile.ZipFile(source) as a, zipfile.ZipFile(target, "w", compression) as b:
        for info in a.infolist():
            data = a.read(info)
            if swap and info.filename.endswith("/data.pkl"):
                data = swap
            b.writestr(info.filename, data)


def without_debug(path):
    """Leaves out where the maker's sources lie, which an archive holds for messages alone."""
    with zipfile.ZipFile(path) as z:
        kept = [(i, z.read(i)) for i in z.infolist() if not i.filename.endswith(".debug_pkl")]
    with zipfile.ZipFile(path, "w") as z:
        for info, data in kept:
            info.extra = b""
            z.writestr(info, data)


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests/unit/weights"
    out.mkdir(parents=True, exist_ok=True)
    sys.modules["pytorch_lightning"] = sys.modules["pytorch_lightning.callbacks"] = sys.modules[__name__]

    save_file(dict(state()), out / "state.safetensors", metadata={"format": "pt", "quote\"\n": "ä\\"})
    torch.save(views(state()), out / "state.pt")
    torch.save(views(state()), out / "protocol5.pt", pickle_protocol=5)
    torch.save(views(state()), out / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(training(views(state())), out / "training.ckpt")
    torch.save({"model": {"layer": {"w": values("layer.w", (2, 2))}, "list": [values("list.0", (3,))]}}, out / "nested.pt")
    toy = Toy().eval()
    torch.save(toy, out / "module.pt")
    with unittest.mock.patch("torch.serialization.get_source_lines_and_file", lambda _c: ([], 0, "toy.py")):
        torch.save(toy, out / "module_legacy.pt", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.script(toy), out / "script.pt")
    torch.jit.save(torch.jit.trace(toy, torch.zeros(1, 3, 4, 4)), out / "traced.pt")
    for name in ("script.pt", "traced.pt"):
        without_debug(out / name)
    torch.save(torch.nn.Sequential(torch.nn.Linear(2, 3, bias=False), QuickGELU()), out / "quick.pt")
    torch.save({"w": Attack("os", "system", "touch pwned")}, out / "attack_os.pt")
    torch.save({"w": torch.zeros(2), "x": Attack("builtins", "eval", "1")}, out / "attack_eval.pt")
    torch.save({"callbacks": Opaque()}, out / "opaque.pt")
    repack(out / "state.pt", out / "repacked.pt", zipfile.ZIP_STORED)
    repack(out / "state.pt", out / "compressed.pt", zipfile.ZIP_DEFLATED)
    plain = io.BytesIO()
    pickle.dump({"a": [1, 2, 3]}, plain, protocol=4)
    (out / "plain.pkl").write_bytes(plain.getvalue())
    save_shards(out)

    fuzz = ROOT / "tests/fuzz/corpus"
    for target, names in {
        "fuzz_safetensors": ["state.safetensors", "model.safetensors.index.json"],
        "fuzz_ckpt": ["nested.pt", "script.pt", "legacy.pt", "attack_os.pt", "opaque.pt"],
    }.items():
        (fuzz / target).mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copy(out / name, fuzz / target / name)
    for name in ["state.pt", "training.ckpt", "script.pt", "module.pt", "protocol5.pt"]:
        with zipfile.ZipFile(out / name) as z:
            data = next(n for n in z.namelist() if n.endswith("/data.pkl"))
            (fuzz / "fuzz_ckpt" / (pathlib.Path(name).stem + "_data.pkl")).write_bytes(z.read(data))


if __name__ == "__main__":
    main()
