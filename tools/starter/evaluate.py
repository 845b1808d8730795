"""The lists' figures, from an exported model (through reference.py) or from another program's vectors.

Surprising: nothing here is a threshold; two models are compared by the same lists only.

usage: evaluate.py DATA --model FOLDER [--save DIR]       embeds the lists with reference.py, then scores them
       evaluate.py DATA --vectors DIR                     scores DIR/{dev,imagenet,photos}_{pictures,texts}.npy
Rows: dev pictures in the order of captioned.tsv, their sentences in that order, distinct names of
imagenet_names.txt in file order as "a photo of a NAME", imagenet rows of labelled.tsv, photos.tsv.
"""
import argparse
import os

import numpy as np
import torch

import data
import reference
import scores


def lists(folder):
    dev = data.captioned(folder, "dev")
    names = list(dict.fromkeys(data.names(folder)))
    im, ph = data.labelled(folder, "imagenet"), data.photos(folder)
    return {"dev": ("captioned", [f for f, _ in dev], [t for _, ss in dev for t in ss]),
            "imagenet": ("labelled", [f for f, _ in im], [f"a photo of a {n}" for n in names]),
            "photos": ("photos", [f for f, _ in ph], [t for _, t in ph])}, \
        [i for i, (_, ss) in enumerate(dev) for _ in ss], [names.index(label) for _, label in im]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("data")
    p.add_argument("--model")
    p.add_argument("--vectors")
    p.add_argument("--save")
    o = p.parse_args()
    torch.set_num_threads(2)
    todo, owner, truth = lists(o.data)
    v = {}
    ref = reference.Reference(o.model) if o.model else None
    for name, (tar, files, texts) in todo.items():
        if ref is None:
            v[name] = [np.load(f"{o.vectors}/{name}_{k}.npy") for k in ("pictures", "texts")]
            continue
        pics = data.Pictures(o.data, tar)
        im = [ref.images(torch.stack([ref.preprocess(pics.open(f)) for f in files[i:i + 8]])) for i in range(0, len(files), 8)]
        v[name] = [torch.cat(im).numpy(), ref.texts(texts).numpy()]
        if o.save:
            os.makedirs(o.save, exist_ok=True)
            for k, x in zip(("pictures", "texts"), v[name]):
                np.save(f"{o.save}/{name}_{k}.npy", x)
    c = scores.captioned(*v["dev"], owner)
    print("sentence to picture R@1/5/10", "/".join(f"{x:.1f}" for x in c["t2i"]))
    print("picture to sentence R@1/5/10", "/".join(f"{x:.1f}" for x in c["i2t"]))
    print("ImageNet samples by name top-1/5", "/".join(f"{x:.1f}" for x in scores.named(*v["imagenet"], truth)))
    print("photos by sentence R@1/5", "/".join(f"{x:.1f}" for x in scores.photos(*v["photos"])))


if __name__ == "__main__":
    main()
