"""Computes once what tune.py reads: 17x17x120 maps after block 14, several views of each picture.

Surprising: pictures from elsewhere cost one view only, in bf16; their number matters more than their exactness.

usage: views.py DATA OUT [EXTRA]     EXTRA: a folder with pictures.tar and pictures.tsv (file, source, sentence)
"""
import io
import json
import os
import sys
import tarfile

import numpy as np
import openvino as ov
import torch
from PIL import Image
from torch import nn

import data
import features
import net

CUT = 15
JOBS = [("train", "squash", "train"), ("train", "flip", "train_flip"), *(("train", "crop", f"train_crop{i}") for i in range(4)),
        ("dev", "squash", "dev"), ("imagenet", "shortest", "imagenet_shortest"), ("photos", "shortest", "photos_shortest"),
        ("caltech101", "shortest", "caltech"), ("caltech101", "crop", "caltech_crop0")]
CLEAN = ("pascal_sentences", "coco", "small")                       # two views of each
ROUGH = {"cc3m_cc12m_sbu": None, "flowers102": 400}                  # one view, at most so many


class Below(nn.Module):
    def __init__(self, tower):
        super().__init__()
        self.tower = tower

    def forward(self, x):
        return self.tower.below(x, CUT)


def runner(tower, precision):
    m = ov.convert_model(Below(tower).eval(), example_input=torch.zeros(8, 3, 260, 260), input=[[-1, 3, 260, 260]])
    c = ov.compile_model(m, "CPU", {"INFERENCE_NUM_THREADS": 2, "INFERENCE_PRECISION_HINT": precision})
    return lambda x: c([x])[0]


def write(path, n, pictures, run):
    """pictures: an iterator of n cut pictures."""
    out = np.lib.format.open_memmap(path + ".part", mode="w+", dtype=np.float16, shape=(n, 120, 17, 17))
    at, batch = 0, []
    for img in pictures:
        batch.append(data.as_input(img))
        if len(batch) == 8 or at + len(batch) == n:
            out[at:at + len(batch)] = run(np.stack(batch))
            at, batch = at + len(batch), []
    out.flush()
    os.rename(path + ".part", path)


def extra(folder, rng):
    """[(file, source, [sentence, ...])], the clean ones twice."""
    by = {}
    for f, source, s in data.rows(folder, "pictures.tsv")[1:]:
        by.setdefault((f, source), []).append(s)
    items = [(f, source, ss) for (f, source), ss in by.items()]
    rng.shuffle(items)
    clean = [i for i in items if i[1] in CLEAN]
    return clean + [i for s, most in ROUGH.items() for i in [i for i in items if i[1] == s][:most]] + clean


def main():
    folder, out = sys.argv[1:3]
    os.makedirs(out, exist_ok=True)
    tower, _ = net.pretrained_image()
    run = runner(tower, "f32")
    for which, kind, name in JOBS:
        tar, names = features.files(folder, which)
        pics, rng = data.Pictures(folder, tar), np.random.default_rng(sum(map(ord, name)))
        write(f"{out}/{name}.mid.npy", len(names), (data.view(pics.open(f), kind, rng) for f in names), run)
    if len(sys.argv) > 3:
        import random
        items = extra(sys.argv[3], random.Random(5))
        json.dump(items, open(f"{out}/extra.json", "w"))
        tar, rng = tarfile.open(sys.argv[3] + "/pictures.tar"), np.random.default_rng(5)
        members = {m.name: m for m in tar.getmembers()}
        opened = (Image.open(io.BytesIO(tar.extractfile(members[f]).read())).convert("RGB") for f, _, _ in items)
        write(f"{out}/extra.mid.npy", len(items), (data.random_cut(img, rng) for img in opened), runner(tower, "bf16"))


if __name__ == "__main__":
    main()
