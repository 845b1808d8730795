"""Last step: the class table is written again from the finished text tower and given its weight.

Surprising: one number decides between naming and captions; it is chosen on dev from a short list.

usage: finish.py DATA CACHE VOCAB IN.pt OUT.pt WEIGHT [--try]
WEIGHT: length of each class's direction added to the trained table, in units of the mean length of the picture vectors.
"""
import argparse
import sys

import torch
import torch.nn.functional as F

import heads
import net
import scores
import train
import words

TEMPLATES = ["a photo of a {}", "{}", "a picture of a {} ."]


def bank(model, w, classes):
    """Unit directions of the classes: all names of a class (the first counts double), three templates, common mean taken off."""
    texts, owner = [], []
    for i, c in enumerate(classes):
        for k, n in enumerate(c["names"][:1] * 2 + c["names"][1:3]):
            for t in TEMPLATES[:3 if k == 0 else 1]:
                texts.append(t.format(n))
                owner.append(i)
    e = torch.from_numpy(train.embed_texts(model, w, texts))
    b = F.normalize(torch.zeros(len(classes), e.shape[1]).index_add(0, torch.tensor(owner), e), dim=1)
    return F.normalize(b - b.mean(0), dim=1)


def main():
    folder, cache, vocab, src, dst, weight = sys.argv[1:7]
    torch.set_num_threads(2)
    ck = torch.load(src)
    o = argparse.Namespace(**ck["options"])
    model = heads.Starter(net.ImageTower(), net.TextTower(len(ck["model"]["text.word.weight"]), words.MAX), attn=o.attn, mlp=o.mlp, tmlp=o.tmlp)
    model.load_state_dict(ck["model"])
    model.eval()
    o.data, o.cache, o.vocab, o.views = folder, cache, vocab, "train"
    s = train.Store(o)
    ih = model.image_head
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        b = bank(model, s.w, s.classes).float()
    parts = {}
    with torch.no_grad():
        for k in ("dev", "imagenet_shortest", "photos_shortest"):
            x = torch.from_numpy(s.tests[k].astype("float32"))
            m = [x[i:i + 100] for i in range(0, len(x), 100)]
            m = [y[:, None] if y.dim() == 2 else model.image.above(y).flatten(2).transpose(1, 2) for y in m]
            parts[k] = (torch.cat([ih(y, model.image.classifier) for y in m]),
                        torch.cat([torch.softmax(model.image.classifier(y.mean(1)) * ih.temp.exp(), 1) for y in m]))
        size = parts["dev"][0].norm(dim=1).mean()
        if "--try" in sys.argv:
            text = lambda t: train.embed_texts(model, s.w, t)
            with torch.autocast("cpu", torch.bfloat16):
                dev, names, ph = text([t for _, ss in s.dev for t in ss]), text([f"a photo of a {n}" for n in s.names]), text(s.photo_text)
            owner = [i for i, (_, ss) in enumerate(s.dev) for _ in ss]
            for a in (0, 0.1, 0.2, 0.3, 0.45, 0.6):
                e = {k: F.normalize(z + a * size * (p @ b), dim=1).numpy() for k, (z, p) in parts.items()}
                c = scores.captioned(e["dev"], dev, owner)
                print(a, train.show({**c, "imagenet": scores.named(e["imagenet_shortest"], names, s.truth),
                                     "photos": scores.photos(e["photos_shortest"], ph)}), flush=True)
        ih.names.data += float(weight) * size * b
    torch.save({"model": model.state_dict(), "options": ck["options"]}, dst)


if __name__ == "__main__":
    main()
