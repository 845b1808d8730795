"""Chooses the word pieces that ship: those the lists need, then the rest by BERT's own order of frequency.

Surprising: a dropped piece is not lost, its word falls apart into smaller pieces that are
still there; only letters outside the kept alphabets become [UNK].

usage: prune_vocab.py DATA OUT_FOLDER [N=14500]   -> OUT_FOLDER/vocab.txt, keep.npy (old ids)
"""
import os
import sys
from collections import Counter

import numpy as np

import data
import net
import words


def main():
    folder, out = sys.argv[1], sys.argv[2]
    n = int(sys.argv[3]) if len(sys.argv) > 3 else 14500
    os.makedirs(out, exist_ok=True)
    vocab = [line.rstrip("\n") for line in open(net.minilm_folder() + "/vocab.txt", encoding="utf-8")]
    old = words.Words(net.minilm_folder() + "/vocab.txt")
    texts = [s for _, ss in data.captioned(folder, "train") for s in ss]
    texts += [label for _, label in data.labelled(folder, "caltech")] + [r[2] for r in data.small64(folder)]
    texts += [t for c in words.classes(folder) for t in c["names"] + [c["gloss"]]]
    used = Counter(i for t in texts for i in old.ids(t))
    keep = {vocab.index(s) for s in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")}
    for i, p in enumerate(vocab):
        body = p.removeprefix("##")
        if len(body) == 1 and (body.isascii() or "\u00a1" <= body <= "\u024f" or body in "–—‘’“”…€™′″°×"):
            keep.add(i)
    keep |= set(used)
    print("needed", len(keep))
    visible = Counter(i for t in words.things() for i in old.ids(t))
    keep |= {i for i, count in visible.items() if count >= 3}
    print("with words of visible things", len(keep))
    for i, p in enumerate(vocab):
        if len(keep) >= n:
            break
        body = p.removeprefix("##")
        if i >= 1000 and body.isascii() and (body.isalpha() or len(body) <= 2):
            keep.add(i)
    keep = sorted(keep)
    assert len(keep) == n and keep[0] == 0
    np.save(out + "/keep.npy", np.array(keep))
    with open(out + "/vocab.txt", "w", encoding="utf-8") as f:
        f.write("".join(vocab[i] + "\n" for i in keep))
    new = words.Words(out + "/vocab.txt")
    lists = {"dev": [s for _, ss in data.captioned(folder, "dev") for s in ss],
             "photos": [s for _, s in data.photos(folder)], "names": data.names(folder)}
    for name, texts in lists.items():
        a, b = [old.ids(t) for t in texts], [new.ids(t) for t in texts]
        same = sum([keep[i] for i in y] == x for x, y in zip(a, b))
        unk = sum(new.unk in y for y in b)
        print(f"{name}: {same} of {len(texts)} sentences cut alike, {unk} with [UNK]")


if __name__ == "__main__":
    main()
