"""What the starter captioner trains on: patch states of the shipped starter with its vector behind them, and sentences.

Surprising: a piece that touches the one before it ("t-shirt", "dog's", "snow,") is spelled with ## as a part of a word is, so
that captions read as people write; the vocabulary is a part of BERT's by frequency, with all single letters.

usage: captioner_data.py states DATA VIEWS OUT [NAME ...]     VIEWS: what views.py wrote; OUT/NAME.npy [N,82,384] f16
       captioner_data.py words DATA VIEWS OUT                 OUT/vocab.txt, OUT/NAME.json
dev is for choosing and reporting, never for training.
"""
import collections
import json
import os
import re
import sys
import unicodedata

import numpy as np
import torch
import torch.nn.functional as F

import data
import reference

HERE = os.path.dirname(os.path.abspath(__file__))
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CUT, MOST, PIECES = 15, 28, 3600        # first block above the views; pieces of a sentence; of the vocabulary
LIKE_OURS = ("pascal_sentences", "coco", "small")       # sentences that people wrote; those of other lists begin with [MASK]
TOKEN = re.compile(r"\w+|[^\w\s]")


class Above(torch.nn.Module):
    """Map after block 14 -> 81 states and the unit vector times the root of its length."""

    def __init__(self, ref):
        super().__init__()
        self.ref = ref

    def forward(self, x):
        r = self.ref
        for i, b in enumerate(r.c["image"]["blocks"]):
            if i >= CUT:
                y = F.relu6(r.conv(x, f"image.blocks.{i}.expand"))
                y = F.relu6(r.conv(y, f"image.blocks.{i}.dw", b["stride"], b["pad"]))
                y = r.conv(y, f"image.blocks.{i}.project")
                x = x + y if b["residual"] else y
        m = F.relu6(r.conv(x, "image.head")).flatten(2).transpose(1, 2)
        v = r.embed_map(m)
        return torch.cat([r.patch_states(m), v[:, None] * v.shape[1] ** 0.5], 1)


def states(views, out, names):
    import openvino as ov
    low = {n: np.load(f"{views}/{n}.mid.npy", mmap_mode="r") for n in names}
    m = ov.convert_model(Above(reference.Reference(HERE + "/../../models/starter")).eval(),
                         example_input=torch.zeros(8, *low[names[0]].shape[1:]), input=[[-1, *low[names[0]].shape[1:]]])
    for name in names:
        run = ov.compile_model(m, "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32" if name == "dev" else "bf16"})
        x = low[name]
        y = np.lib.format.open_memmap(f"{out}/{name}.npy.part", mode="w+", dtype=np.float16, shape=(len(x), 82, 384))
        for i in range(0, len(x), 16):
            y[i:i + 16] = run([np.ascontiguousarray(x[i:i + 16], dtype=np.float32)])[0]
        y.flush()
        os.rename(f"{out}/{name}.npy.part", f"{out}/{name}.npy")
        print(name, len(x), flush=True)


def clean(text):
    """Lower case, no accents, no quotes; marks touch the word before them; no full stop at the end."""
    text = unicodedata.normalize("NFD", text.lower().replace("’", "'").replace("`", "'"))
    text = "".join(c for c in text if " " <= c <= "~" and c not in "\"()[]{}<>|\\^_~*#@=;:/")
    text = re.sub(r"\s+([,.'!?%])", r"\1", text)
    return re.sub(r"\s+", " ", text).strip(" .,-'")


class Pieces:
    def __init__(self, vocab):
        self.id, self.known = {p: i for i, p in enumerate(vocab)}, {}

    def of(self, word, touches):
        key = (word, touches)
        if key not in self.known:
            out, at = [], 0
            while at < len(word):
                mark = "##" if at or touches else ""
                end = next((e for e in range(len(word), at, -1) if mark + word[at:e] in self.id), 0)
                if not end:
                    out = None
                    break
                out.append(mark + word[at:end])
                at = end
            self.known[key] = out
        return self.known[key]

    def split(self, text):
        """Pieces, or None where one cannot be said."""
        out, last = [], -1
        text = clean(text)
        for m in TOKEN.finditer(text):
            p = self.of(m.group(), m.start() == last)
            if p is None:
                return None
            out, last = out + p, m.end()
        return out

    def ids(self, text):
        p = self.split(text)
        return None if not p or len(p) > MOST else [2, *(self.id[x] for x in p), 3]


def vocabulary(sentences):
    with open(HERE + "/../../third_party/bert/vocab.txt", encoding="utf-8") as f:
        bert = [line.rstrip("\n") for line in f]
    marks = list(",.'-!?&%$+")
    whole = Pieces(dict.fromkeys(bert + ["##" + p for p in bert if p.isalnum()] + marks + ["##" + m for m in marks]))
    count = collections.Counter(p for s in sentences for p in whole.split(s) or ())
    letters = [chr(c) for c in [*range(48, 58), *range(97, 123)]]
    keep = dict.fromkeys(SPECIAL + letters + ["##" + c for c in letters] + marks + ["##" + m for m in marks])
    for piece, n in count.most_common():
        if len(keep) >= PIECES or n < 4:
            break
        keep.setdefault(piece)
    return list(keep)


def words(folder, views, out):
    train, dev = data.captioned(folder, "train"), data.captioned(folder, "dev")
    extra = json.load(open(views + "/extra.json"))
    # Our own sentences count three times, so that their words are whole.
    vocab = vocabulary([s for _, ss in train for s in ss for _ in range(3)] + [s for _, _, ss in extra for s in ss])
    with open(out + "/vocab.txt", "w", encoding="utf-8") as f:
        f.write("\n".join(vocab) + "\n")
    pieces = Pieces(vocab)

    def write(name, rows):
        rows = [(source, [i for s in ss if (i := pieces.ids(s))], ss) for source, ss in rows]
        for source, ids, _ in rows:
            for i in ids if source not in ("ours", *LIKE_OURS) else ():
                i[0] = SPECIAL.index("[MASK]")
        with open(f"{out}/{name}.json", "w") as f:
            json.dump([{"source": s, "ids": ids, "texts": [clean(x) for x in ss]} for s, ids, ss in rows], f)
        print(name, len(rows), "pictures,", sum(len(r[1]) for r in rows), "sentences", flush=True)

    write("train", [("ours", ss) for _, ss in train])
    write("dev", [("ours", ss) for _, ss in dev])
    write("extra", [(source, ss) for _, source, ss in extra])


def main():
    what, folder, views, out = sys.argv[1:5]
    os.makedirs(out, exist_ok=True)
    if what == "states":
        states(views, out, sys.argv[5:] or ["dev", "train", "train_flip", *(f"train_crop{i}" for i in range(4)), "extra"])
    else:
        words(folder, views, out)


if __name__ == "__main__":
    main()
