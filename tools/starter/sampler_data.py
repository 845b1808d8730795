"""Latents and sentences for the starter's sampler, computed once.

Surprising: Flickr8k's pictures come squashed to squares and are used so; all others are cut to their middle square.
Sentences are kept as word-piece ids: the text tower is frozen, and its states are cheap beside the denoiser.

usage: sampler_data.py DATA EXTRA OUT      EXTRA: a folder with pictures.tar/.tsv and labelled_pictures.tar/.tsv, or -
OUT: latents.npy [2n, 32, 8, 8] f16 (each picture, then each mirrored), sentences.json, stats.npy [2, 32]
"""
import io
import json
import multiprocessing
import os
import sys
import tarfile

import numpy as np
import torch
from PIL import Image

import data
import taef

SIZE = 64


def square(img):
    side = min(img.size)
    x, y = (img.width - side) // 2, (img.height - side) // 2
    return img.resize((SIZE, SIZE), Image.BICUBIC, box=(x, y, x + side, y + side))


def sources(folder, extra):
    """(picture, [sentence, ...], what it is) of all that may be trained on."""
    p = data.Pictures(folder, "captioned")
    for f, texts in data.captioned(folder, "train"):
        yield square(p.open(f)), texts, "flickr"
    p = data.Pictures(folder, "labelled")
    for f, label in data.labelled(folder, "caltech101"):
        yield square(p.open(f)), [label], "caltech"
    p = data.Pictures(folder, "small64")
    for f, source, label in data.small64(folder):
        yield square(p.open(f)), list(dict.fromkeys(label.split(" | "))), "emoji" if source == "emoji" else "small64"
    for name, kind in (("pictures", "sentences"), ("labelled_pictures", "labels")) if extra != "-" else ():
        tar, by = tarfile.open(os.path.join(extra, name + ".tar")), {}
        for row in data.rows(extra, name + ".tsv")[1:]:
            by.setdefault(row[0], []).append(row[-1])
        for f, texts in by.items():
            yield square(Image.open(io.BytesIO(tar.extractfile(f).read())).convert("RGB")), texts, kind


def start(folder):
    global enc, dec
    torch.set_num_threads(1)
    enc, dec = taef.load(folder)


def encode(batch):
    """Latents of the pictures, then of the mirrored ones, and the squared error of the first eight."""
    x = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            z = enc(torch.cat([x, x.flip(3)]).contiguous(memory_format=torch.channels_last)).float()
        error = ((dec(z[:8]).clamp(0, 1) - x[:8]) ** 2).mean((1, 2, 3))
    return z[:len(x)].numpy().astype(np.float16), z[len(x):].numpy().astype(np.float16), error.numpy()


def main():
    folder, extra, out = sys.argv[1:4]
    about = []

    def batches():
        batch = []
        for img, texts, kind in sources(folder, extra):
            batch.append(np.asarray(img))
            about.append({"texts": texts, "kind": kind})
            if len(batch) == 64:
                yield np.stack(batch)
                batch = []
        if batch:
            yield np.stack(batch)

    plain, mirrored, error = [], [], []
    with multiprocessing.Pool(2, start, (folder + "/taef2",)) as pool:      # one thread each: two in one process wait for each other
        for parts in pool.imap(encode, batches()):
            for where, part in zip((plain, mirrored, error), parts):
                where.append(part)
            if len(plain) % 100 == 0:
                print(len(plain) * 64, flush=True)
    z = np.concatenate(plain + mirrored)
    print(len(about), "pictures; PSNR", f"{float((-10 * np.log10(np.concatenate(error))).mean()):.1f} dB")
    np.save(out + "/latents.npy", z)
    np.save(out + "/stats.npy", np.stack([z[::7].astype(np.float32).mean((0, 2, 3)), z[::7].astype(np.float32).std((0, 2, 3))]))
    json.dump(about, open(out + "/sentences.json", "w"))


if __name__ == "__main__":
    main()
