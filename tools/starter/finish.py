"""Last step: the class table is written again from the finished text tower and given its weight.

Surprising: one number decides between naming and captions; it is chosen on dev from a short list.

usage: finish.py DATA VIEWS VOCAB IN.pt OUT.pt WEIGHT [--try]
WEIGHT: length of each class's direction added to the trained table, in units of the mean length of the picture vectors.
"""
import argparse
import sys

import torch
import torch.nn.functional as F

import heads
import net
import train
import tune
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
    o = argparse.Namespace(data=sys.argv[1], views=sys.argv[2])
    vocab, src, dst, weight = sys.argv[3:7]
    torch.set_num_threads(2)
    ck = torch.load(src)
    k = ck["options"]
    model = heads.Starter(net.ImageTower(), net.TextTower(len(ck["model"]["text.word.weight"]), words.MAX), attn=k["attn"], mlp=k["mlp"], tmlp=k["tmlp"])
    model.load_state_dict(ck["model"])
    model.eval()
    figures = tune.Figures(o, words.Words(vocab + "/vocab.txt"))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        b = bank(model, figures.w, words.classes()).float()
    size = figures.parts(model, "dev")[0].norm(dim=1).mean()
    for a in (0, 0.1, 0.2, 0.3, 0.45, 0.6) if "--try" in sys.argv else ():
        print(a, figures.show(model, lambda z, p, a=a: z + a * size * (p @ b)), flush=True)
    model.image_head.names.data += float(weight) * size * b
    torch.save({"model": model.state_dict(), "options": k}, dst)


if __name__ == "__main__":
    main()
