#!/usr/bin/env python3
"""Vectors of the shipped starter for pictures that a formula makes, by tools/starter/reference.py (torch, f32).

The toys of make_golden_clip.py are too small for what only happens at full size: blocks that run over strips of rows.

usage: make_golden_starter.py     writes tests/golden/clip/shipped.bin: f32 [PICTURES][dim], in the machine's order
"""
import os
import sys

import numpy as np
import torch

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(TOP, "tools", "starter"))
PICTURES = 3


def picture(i, n):
    """[n, n, 3] u8: stripes, slopes and a product, so that no row or column is like another."""
    y, x, c = np.meshgrid(np.arange(n), np.arange(n), np.arange(3), indexing="ij")
    return ((y * (5 + i) + x * (11 - 2 * i) + x * y // (16 + 8 * i) + c * 60) % 256).astype(np.uint8)


def main():
    from reference import Reference
    r = Reference(os.path.join(TOP, "models", "starter"))
    c = r.c["image"]
    x = np.stack([picture(i, c["image_size"]) for i in range(PICTURES)]).astype(np.float32)
    x = (x - np.float32(c["mean"])) / np.float32(c["std"])
    v = r.images(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    v.numpy().astype("<f4").tofile(os.path.join(TOP, "tests", "golden", "clip", "shipped.bin"))


if __name__ == "__main__":
    main()
