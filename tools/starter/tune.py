"""Last stage: image blocks 15 to 20 and all text layers, on Flickr8k and on pictures from elsewhere.

Surprising: it starts from the exported 8-bit model, whose rounding a few steps undo, and its length is given in
minutes: the rate falls along a cosine of the time that has passed.

usage: tune.py DATA VIEWS OUT.pt [--init CHECKPOINT --minutes 42 ...]      VIEWS: what views.py wrote
"""
import argparse
import json
import math
import os
import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import data
import heads
import maps
import net
import scores
import train
import words

SHIPPED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "models", "starter")
CUT = 15


def options():
    p = argparse.ArgumentParser()
    for a in ("data", "views", "out"):
        p.add_argument(a)
    for name, default in dict(batch=384, extra=192, classes=64, labels=32, seed=1).items():
        p.add_argument("--" + name, type=int, default=default)
    for name, default in dict(minutes=42.0, lr=5e-4, text_lr=6e-5, image_lr=2e-4, decay=0.8, image_decay=0.85, wd=0.2, drop=0.5, noise=0.3,
                              text_drop=0.1, word_drop=0.1, w_class=0.3, w_label=0.1, ema=0.98, soft=0.07).items():
        p.add_argument("--" + name, type=float, default=default)
    p.add_argument("--init", default="")
    p.add_argument("--shipped", default=SHIPPED)
    return p.parse_args()


def shipped(folder, drop=0.5):
    """The model of an exported folder, for training."""
    config, raw = json.load(open(folder + "/config.json")), load_file(folder + "/model.safetensors")
    w = {k: v.float() * raw[k + ".scale"].view(-1, *[1] * (v.dim() - 1)) if k + ".scale" in raw else v.float()
         for k, v in raw.items() if not k.endswith(".scale")}
    image, _ = net.pretrained_image()
    text = net.pretrained_text(words.MAX)
    head = config["heads"]
    m = heads.Starter(image, text, attn=head["image"]["attention"]["heads"], mlp=head["image"]["mlp"], tmlp=head["text"]["mlp"], drop=drop)

    def put(module, name):
        module.weight.data = w[name + ".weight"].clone()
        if name + ".bias" in w:
            module.bias.data = w[name + ".bias"].clone()

    text.word.weight.data, text.position.weight.data = w["text.embeddings.word.weight"], w["text.embeddings.position.weight"]
    put(text.norm, "text.embeddings.norm")
    for i, layer in enumerate(text.layers):
        for a in ("q", "k", "v", "o", "fc1", "fc2", "attn_norm", "ffn_norm"):
            put(getattr(layer, a), f"text.layers.{i}.{a}")
    for i in range(CUT, len(image.blocks)):
        for a in ("expand", "dw", "project"):
            put(getattr(image.blocks[i], a), f"image.blocks.{i}.{a}")
    put(image.head, "image.head")
    for a in ("linear", "fc1", "fc2"):
        put(getattr(m.image_head, a), "image_head." + a)
        put(getattr(m.text_head, a), "text_head." + a)
    m.image_head.names.data = w["image_head.names.weight"].clone()
    m.image_head.temp.data.fill_(math.log(head["image"]["softmax_scale"]))
    for a, b in (("token", "token"), ("norm", "token_norm"), ("query", "query"), ("v", "value"), ("o", "out")):
        put(m.image_head.attn[a], "image_head." + b)
    m.scale.data.fill_(math.log(config["logit_scale"]))
    return m


def states(m, low):
    return maps.above(m.image, torch.from_numpy(np.ascontiguousarray(low, dtype=np.float32)), CUT)


class Figures:
    """The lists that choose; none of them is trained on."""

    def __init__(self, o, w):
        self.w, self.load = w, lambda n: np.load(f"{o.views}/{n}.mid.npy", mmap_mode="r")
        dev = data.captioned(o.data, "dev")
        self.dev, self.owner = [t for _, ss in dev for t in ss], [i for i, (_, ss) in enumerate(dev) for _ in ss]
        names = list(dict.fromkeys(data.names(o.data)))
        self.names = [f"a photo of a {n}" for n in names]
        self.truth = [names.index(label) for _, label in data.labelled(o.data, "imagenet")]
        self.photos = [t for _, t in data.photos(o.data)]

    def parts(self, m, name):
        """Vectors before unit length, and class probabilities, of a list's pictures."""
        m.eval()
        arr, z, p = self.load(name), [], []
        with torch.no_grad():
            for i in range(0, len(arr), 100):
                with torch.autocast("cpu", torch.bfloat16):
                    f = states(m, arr[i:i + 100])
                f = f.float()
                z.append(m.image_head(f, m.image.classifier))
                p.append(torch.softmax(m.image.classifier(f.mean(1)) * m.image_head.temp.exp(), 1))
        return torch.cat(z), torch.cat(p)

    def texts(self, m, texts):
        with torch.autocast("cpu", torch.bfloat16):
            return train.embed_texts(m, self.w, texts)

    def show(self, m, change=lambda z, p: z):
        e = {k: F.normalize(change(*self.parts(m, k)), dim=1).numpy() for k in ("dev", "imagenet_shortest", "photos_shortest")}
        r = scores.captioned(e["dev"], self.texts(m, self.dev), self.owner)
        r["imagenet"] = scores.named(e["imagenet_shortest"], self.texts(m, self.names), self.truth)
        r["photos"] = scores.photos(e["photos_shortest"], self.texts(m, self.photos))
        return train.show(r)


class Pairs:
    """Pictures with sentences: views of the same rows, word ids, and what their sentences mean to the untouched MiniLM."""

    def __init__(self, views, sentences, w, rng):
        self.views, self.rng, self.order, self.at = views, rng, rng.permutation(len(sentences)), 0
        self.ids = [[w.ids(s) for s in ss] for ss in sentences]
        self.mean = self.meaning(sentences)

    @staticmethod
    def meaning(sentences):
        text, full = net.pretrained_text(words.MAX).eval(), words.Words(net.minilm_folder() + "/vocab.txt")
        ids = [full.ids(s) for ss in sentences for s in ss]
        owner = torch.tensor([i for i, ss in enumerate(sentences) for _ in ss])
        order, e = sorted(range(len(ids)), key=lambda i: len(ids[i])), torch.zeros(len(ids), 384)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            for i in range(0, len(order), 256):
                part = order[i:i + 256]
                a, b = full.batch([ids[j] for j in part])
                e[part] = F.normalize(net.mean_pool(text(a, b), b).float(), dim=1)
        return F.normalize(torch.zeros(len(sentences), 384).index_add(0, owner, e), dim=1)

    def draw(self, n):
        """Maps, one sentence each, meanings."""
        if self.at + n > len(self.order):
            self.order, self.at = self.rng.permutation(len(self.order)), 0
        rows = np.sort(self.order[self.at:self.at + n])
        self.at += n
        low = np.stack([self.views[self.rng.integers(len(self.views))][i] for i in rows])
        return low, [self.ids[i][self.rng.integers(len(self.ids[i]))] for i in rows], self.mean[rows]


def thinned(ids, share, rng):
    """Half of the sentences lose some words."""
    if rng.random() < 0.5:
        return ids
    kept = [t for t in ids[1:-1] if rng.random() > share]
    return [ids[0]] + kept + [ids[-1]] if kept else ids


def groups(m, o):
    for p in m.parameters():
        p.requires_grad_(False)
    own = [p for head in (m.image_head, m.text_head) for n, p in head.named_parameters() if n not in ("names", "temp", "mean", "inv")]
    g = [{"params": own, "lr": o.lr, "weight_decay": o.wd},
         {"params": [m.scale, m.image_head.temp, m.image_head.names], "lr": o.lr, "weight_decay": 0.0},
         {"params": list(m.image.head.parameters()), "lr": o.image_lr, "weight_decay": 0.01}]
    for i, layer in enumerate(m.text.layers):
        layer.drop = o.text_drop
        g.append({"params": list(layer.parameters()), "lr": o.text_lr * o.decay ** (5 - i), "weight_decay": 0.01})
    for i in range(CUT, len(m.image.blocks)):
        b = m.image.blocks[i]
        g.append({"params": [*b.expand.parameters(), *b.project.parameters()], "lr": o.image_lr * o.image_decay ** (20 - i), "weight_decay": 0.01})
    for x in g:
        x["max"] = x["lr"]
        for p in x["params"]:
            p.requires_grad_(True)
    return g


def soft_contrast(a, b, scale, target):
    sim = a @ b.T * scale
    loss = lambda s: -(target * F.log_softmax(s, 1)).sum(1).mean()
    return (loss(sim) + loss(sim.T)) / 2


def step_loss(m, o, draws, shown, things, w, rng, prng):
    """One batch: pairs, made-up class pictures, Caltech's labels."""
    low, ids, mean = zip(*draws)
    ids = sum(ids, [])
    n, target = len(ids), torch.softmax(torch.cat(mean) @ torch.cat(mean).T / o.soft, 1)
    pictures, labels = shown
    cls = torch.from_numpy(rng.permutation(1000)[:o.classes])
    names = list(dict.fromkeys(labels))
    texts = [thinned(i, o.word_drop, prng) for i in ids] + [w.ids(words.class_text(things[c], prng)) for c in cls]
    texts += [w.ids(words.label_text(x, prng)) for x in names]
    with torch.autocast("cpu", torch.bfloat16):
        f = states(m, np.concatenate([*low, pictures]))
        with torch.no_grad():
            fake = train.pseudo(f[torch.from_numpy(rng.permutation(n))[:len(cls)]].float(), m.image.classifier, cls, rng)
        e = F.normalize(m.image_head(torch.cat([f, fake.to(f.dtype)]), m.image.classifier).float(), dim=1)
        by = np.argsort([len(t) for t in texts], kind="stable")
        parts = [m.sentences(*w.batch([texts[i] for i in part])).float() for part in np.array_split(by, 6)]
        t = torch.cat(parts)[torch.from_numpy(np.argsort(by))]
    scale, k = torch.exp(m.scale).clamp(max=100), len(labels)
    loss = soft_contrast(e[:n], t[:n], scale, target)
    loss = loss + o.w_class * train.contrast(e[n + k:], t[n:n + len(cls)], scale)
    truth = torch.tensor([names.index(x) for x in labels])
    return loss + o.w_label * F.cross_entropy(e[n:n + k] @ torch.cat([t[n + len(cls):], t[:128]]).T * scale, truth)


def main():
    o = options()
    torch.set_num_threads(2)
    torch.manual_seed(o.seed)
    rng, prng = np.random.default_rng(o.seed), random.Random(o.seed)
    w, load = words.Words(o.shipped + "/vocab.txt"), lambda n: np.load(f"{o.views}/{n}.mid.npy", mmap_mode="r")
    m = shipped(o.shipped, o.drop)
    if o.init:
        m.load_state_dict(torch.load(o.init)["model"])
    views = [load(n) for n in ("train", "train_flip", *(f"train_crop{i}" for i in range(4)))]
    sources = [(Pairs(views, [ss for _, ss in data.captioned(o.data, "train")], w, rng), o.batch - o.extra)]
    if o.extra:
        sources.append((Pairs([load("extra")], [ss for _, _, ss in json.load(open(o.views + "/extra.json"))], w, rng), o.extra))
    caltech, caltech_views = data.labelled(o.data, "caltech101"), [load("caltech"), load("caltech_crop0")]
    things, figures = words.classes(), Figures(o, w)
    opt = torch.optim.AdamW(groups(m, o), betas=(0.9, 0.98))
    trained = {n: p for n, p in m.named_parameters() if p.requires_grad}
    ema = {n: p.detach().clone() for n, p in trained.items()}
    m.image_head.noise, step, start = o.noise, 0, time.time()
    with torch.no_grad():
        f = states(m, sources[0][0].draw(256)[0]).mean(1)
        m.image_head.spread = f.std(0) / f.std(1).mean()
    while (t := (time.time() - start) / (60 * o.minutes)) < 1:
        for g in opt.param_groups:
            g["lr"] = g["max"] * min(1, (step + 1) / 12) * (0.02 + 0.49 * (1 + math.cos(math.pi * t)))
        m.train()
        rows = np.sort(rng.integers(0, len(caltech), o.labels))
        shown = caltech_views[rng.integers(2)][rows], [caltech[i][1] for i in rows]
        loss = step_loss(m, o, [s.draw(n) for s, n in sources], shown, things, w, rng, prng)
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(trained.values()), 5.0)
        opt.step()
        step += 1
        with torch.no_grad():
            for n, p in trained.items():
                ema[n].lerp_(p, 1 - min(o.ema, step / (step + 10)))
        if step % 20 == 0:
            print(step, f"{time.time() - start:.0f}s loss {loss.item():.3f}", flush=True)
    m.load_state_dict(ema, strict=False)
    torch.save({"model": m.state_dict(), "options": {**vars(o), "attn": 12, "mlp": 512, "tmlp": 256}}, o.out)
    print(figures.show(m))


if __name__ == "__main__":
    main()
