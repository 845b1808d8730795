"""What the starter captioner trains on: patch states of the shipped starter, and sentences in word pieces.

Surprising: the vocabulary is a part of BERT's by frequency in the training sentences, with all single letters, so that
nothing is unknown; sentences are cut by it afresh.

usage: captioner_data.py DATA OUT [--model ../../models/starter] [--extra EXTRA] [--limit N] [--pieces 4000]
OUT gets vocab.txt, and per set (train, train_flip, dev, extra) NAME.states.npy [N,81,D] f16 and NAME.json: a list of the
pictures' sentences as ids. dev is for choosing and reporting, never for training.
"""
import argparse
import collections
import csv
import json
import os
import tarfile
import io

import numpy as np
import torch
from PIL import Image
from tokenizers import BertWordPieceTokenizer

import data
import reference

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MOST = 30   # word pieces of a sentence


def make_vocab(sentences, folder, pieces):
    bert = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "third_party", "bert", "vocab.txt")
    whole = BertWordPieceTokenizer(bert, lowercase=True)
    count = collections.Counter(t for s in sentences for t in whole.encode(s, add_special_tokens=False).tokens)
    letters = [chr(c) for c in [*range(48, 58), *range(97, 123)]]
    keep = dict.fromkeys(SPECIAL + letters + ["##" + c for c in letters] + list(".,'-!?"))
    for piece, n in count.most_common():
        if len(keep) >= pieces or n < 3:
            break
        keep.setdefault(piece)
    path = os.path.join(folder, "vocab.txt")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(keep) + "\n")
    return BertWordPieceTokenizer(path, lowercase=True), len(keep)


def states(ref, pictures, flip):
    out = []
    with torch.no_grad():
        for i in range(0, len(pictures), 8):
            x = torch.stack([ref.preprocess(open_picture()) for open_picture in pictures[i:i + 8]])
            out.append(ref.patch_states(ref.image_map(x.flip(3) if flip else x)).half().numpy())
    return np.concatenate(out)


def extra(folder):
    """[(opener, [sentence])] of pictures from elsewhere (pictures.tar, pictures.tsv: file, source, sentence)."""
    tar = tarfile.open(os.path.join(folder, "pictures.tar"))
    with open(os.path.join(folder, "pictures.tsv"), newline="", encoding="utf-8") as f:
        rows = [r for r in csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE) if r[0] != "file"]
    return [(lambda n=r[0]: Image.open(io.BytesIO(tar.extractfile(n).read())).convert("RGB"), [r[2]]) for r in rows]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("data")
    p.add_argument("out")
    p.add_argument("--model", default="../../models/starter")
    p.add_argument("--extra")
    p.add_argument("--limit", type=int, default=0)
    p.add_argument("--pieces", type=int, default=4000)
    o = p.parse_args()
    torch.set_num_threads(2)
    os.makedirs(o.out, exist_ok=True)
    ref, pics = reference.Reference(o.model), data.Pictures(o.data, "captioned")
    own = {s: [(lambda f=f: pics.open(f), ss) for f, ss in data.captioned(o.data, s)] for s in ("train", "dev")}
    sets = {"train": (own["train"], False), "train_flip": (own["train"], True), "dev": (own["dev"], False)}
    if o.extra:
        sets["extra"] = (extra(o.extra), False)
    tok, n = make_vocab([s for k in sets if k != "dev" for _, ss in sets[k][0] for s in ss], o.out, o.pieces)
    print("vocabulary", n)
    for name, (rows, flip) in sets.items():
        rows = rows[:o.limit] if o.limit else rows
        np.save(os.path.join(o.out, name + ".states.npy"), states(ref, [r[0] for r in rows], flip))
        ids = [[tok.encode(s).ids[:MOST] for s in ss] for _, ss in rows]
        with open(os.path.join(o.out, name + ".json"), "w") as f:
            json.dump(ids, f)
        print(name, len(rows), "pictures", flush=True)


if __name__ == "__main__":
    main()
