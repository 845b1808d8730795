"""Reads the picture lists and cuts pictures to the network's input.

Surprising: Flickr8k pictures come squashed to a square, all others with their true
aspect, so "shortest" and "squash" differ only on the pictures that are never trained on.
"""
import csv
import io
import os
import tarfile

import numpy as np
from PIL import Image

SIZE = 260


def rows(folder, name):
    with open(os.path.join(folder, name), newline="", encoding="utf-8") as f:
        return list(csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE))


def captioned(folder, split):
    """[(file, [sentence, ...])] of one split, in the order of the list."""
    out = {}
    for file, part, text in rows(folder, "captioned.tsv"):
        if part == split:
            out.setdefault(file, []).append(text)
    return list(out.items())


def labelled(folder, source):
    """[(file, label)] with source 'imagenet' (never for training) or 'caltech101'."""
    return [(r[0], r[1]) for r in rows(folder, "labelled.tsv") if r[0].startswith(source)]


def small64(folder):
    return [(r[0], r[1], r[2]) for r in rows(folder, "small64.tsv") if r[0] != "file"]


def photos(folder):
    return [(r[0], r[1]) for r in rows(folder, "photos.tsv") if r[0] != "file"]


def names(folder):
    with open(os.path.join(folder, "imagenet_names.txt"), encoding="utf-8") as f:
        return [line.strip() for line in f if line.strip()]


class Pictures:
    """Opens pictures by list name: captioned, labelled, small64 (tar files) or photos (a folder)."""

    def __init__(self, folder, which):
        self.folder, self.which = folder, which
        self.tar = None if which == "photos" else tarfile.open(os.path.join(folder, which + ".tar"))

    def open(self, file):
        if self.tar is None:
            return Image.open(os.path.join(self.folder, "photos", os.path.basename(file))).convert("RGB")
        return Image.open(io.BytesIO(self.tar.extractfile(file).read())).convert("RGB")


def cut(img, resize):
    """260x260 RGB by Pillow bicubic: 'squash', or 'shortest' (short side to 260, centre crop)."""
    if resize == "squash":
        return img.resize((SIZE, SIZE), Image.BICUBIC)
    w, h = img.size
    if w <= h:
        nw, nh = SIZE, max(SIZE, int(h * SIZE / w))
    else:
        nw, nh = max(SIZE, int(w * SIZE / h)), SIZE
    img = img.resize((nw, nh), Image.BICUBIC)
    x, y = (nw - SIZE) // 2, (nh - SIZE) // 2
    return img.crop((x, y, x + SIZE, y + SIZE))


def random_cut(img, rng):
    """A training view: a random part (45 to 100 % of the area, aspect 3/4..4/3), mirrored half the time."""
    w, h = img.size
    area, ratio = rng.uniform(0.45, 1.0), np.exp(rng.uniform(-0.288, 0.288))
    cw = min(w, int(round(w * np.sqrt(area * ratio))))
    ch = min(h, int(round(h * np.sqrt(area / ratio))))
    x, y = rng.integers(0, w - cw + 1), rng.integers(0, h - ch + 1)
    img = img.resize((SIZE, SIZE), Image.BICUBIC, box=(x, y, x + cw, y + ch))
    return img.transpose(Image.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else img


def view(img, kind, rng):
    """kind: shortest, squash, flip (of squash), crop (random)."""
    if kind == "flip":
        return cut(img, "squash").transpose(Image.FLIP_LEFT_RIGHT)
    return random_cut(img, rng) if kind == "crop" else cut(img, kind)


def as_input(img):
    return (np.asarray(img, dtype=np.float32).transpose(2, 0, 1) - 127.0) / 128.0
