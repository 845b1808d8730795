"""Computes once what training reads: 9x9x208 maps under the last block, pooled features, class scores.

Surprising: OpenVINO runs the depthwise layers several times faster than torch on a CPU;
without it installed the same maps are computed in torch, only slower.

usage: features.py DATA CACHE [job ...]      (no job: all of them)
"""
import os
import sys
import time

import numpy as np
import torch
from torch import nn

import data
import net

# name: (list, view, seed)
JOBS = {"dev": ("dev", "squash"), "imagenet_squash": ("imagenet", "squash"),
        "imagenet_shortest": ("imagenet", "shortest"), "photos_squash": ("photos", "squash"),
        "photos_shortest": ("photos", "shortest"), "train": ("train", "squash"), "train_flip": ("train", "flip"),
        "caltech": ("caltech101", "shortest"), "caltech_crop0": ("caltech101", "crop"), "small64": ("small64", "squash"),
        "caltech_crop1": ("caltech101", "crop"),
        **{f"train_crop{i}": ("train", "crop") for i in range(6)}}


def files(folder, which):
    if which in ("dev", "train"):
        return "captioned", [f for f, _ in data.captioned(folder, which)]
    if which == "photos":
        return "photos", [f for f, _ in data.photos(folder)]
    if which == "small64":
        return "small64", [r[0] for r in data.small64(folder)]
    return "labelled", [f for f, _ in data.labelled(folder, which)]


class Both(nn.Module):
    def __init__(self, tower, cut17=15):
        super().__init__()
        self.tower, self.cut17 = tower, cut17

    def forward(self, x):
        t = self.tower
        mid = t.below(x, self.cut17)
        low = mid
        for b in t.blocks[self.cut17:net.CUT]:
            low = b(low)
        f = t.above(low).mean((2, 3))
        return mid, low, f, t.classifier(f)


def runner(tower, batch):
    model = Both(tower).eval()
    try:
        import openvino as ov
    except ImportError:
        def run(x):
            with torch.no_grad():
                return [o.numpy() for o in model(torch.from_numpy(x).to(memory_format=torch.channels_last))]
        return run
    m = ov.convert_model(model, example_input=torch.zeros(batch, 3, 260, 260), input=[[-1, 3, 260, 260]])
    c = ov.compile_model(m, "CPU", {"INFERENCE_NUM_THREADS": 2, "INFERENCE_PRECISION_HINT": "f32"})
    return lambda x: list(c([x]).values())


def main():
    folder, cache, jobs = sys.argv[1], sys.argv[2], sys.argv[3:] or list(JOBS)
    torch.set_num_threads(2)
    os.makedirs(cache, exist_ok=True)
    tower, src = net.pretrained_image()
    tower.eval()
    x = torch.randn(2, 3, 260, 260)
    with torch.no_grad():
        print("folded against original", (tower.classifier(tower.above(tower.below(x)).mean((2, 3))) - src(x)).abs().max().item())
    run = runner(tower, 8)
    for job in jobs:
        if os.path.exists(f"{cache}/{job}.logits.npy"):
            continue
        which, kind = JOBS[job]
        tar, names = files(folder, which)
        pics, rng = data.Pictures(folder, tar), np.random.default_rng(sum(map(ord, job)))
        keep_mid = which == "train" and kind != "crop" or job in ("dev", "imagenet_shortest", "photos_shortest")
        outs, start = [[], [], [], []], time.time()
        for i in range(0, len(names), 8):
            x = np.stack([data.as_input(data.view(pics.open(f), kind, rng)) for f in names[i:i + 8]])
            mid, low, f, logits = run(x)
            for o, v in zip(outs, ((mid if keep_mid else mid[:, :0]), low, f, logits)):
                o.append(np.array(v, dtype=np.float16))
        for o, n in zip(outs, ("mid", "low", "feat", "logits")):
            if n != "mid" or keep_mid:
                np.save(f"{cache}/{job}.{n}.npy", np.concatenate(o))
        print(job, len(names), f"{len(names) / (time.time() - start):.1f} pictures/s", flush=True)


if __name__ == "__main__":
    main()
