"""Trains heads, the top of the text tower and (with maps) the last block of the image tower.

Surprising: half of what makes ImageNet names work are pictures that do not exist: features of
training pictures pushed along a classifier row until the old classifier sees that class.

usage: train.py DATA CACHE VOCAB_FOLDER OUT.pt [--epochs 40 ...]
"""
import argparse
import copy
import math
import os
import random
import time

import numpy as np
import torch
import torch.nn.functional as F

import data
import heads
import net
import scores
import words


def options():
    p = argparse.ArgumentParser()
    for a in ("data", "cache", "vocab", "out"):
        p.add_argument(a)
    for name, default in dict(epochs=40, batch=512, seed=1, attn=0, mlp=1024, tmlp=768, text_layers=0, tune_image=0, classes=256,
                              labels=128, kd_every=4).items():
        p.add_argument("--" + name, type=int, default=default)
    for name, default in dict(lr=1e-3, text_lr=5e-5, image_lr=1e-4, wd=0.2, drop=0.5, noise=0.3, w_class=0.5, w_label=0.2, w_kd=0.0,
                              temp=0.0, ema=0.99, names_norm=0.0, text_drop=0.1, smooth=0.0, decay=0.8).items():
        p.add_argument("--" + name, type=float, default=default)
    p.add_argument("--views", default="train,train_flip")
    p.add_argument("--init", default="")
    p.add_argument("--eval_every", type=int, default=0)
    p.add_argument("--no_names", action="store_true")
    p.add_argument("--standardise", action="store_true")
    p.add_argument("--maps", action="store_true")
    p.add_argument("--bf16", action="store_true")
    p.add_argument("--full_vocab", action="store_true")
    return p.parse_args()


class Store:
    """Everything the training and the figures read, as arrays of word ids and cached maps."""

    def __init__(self, o):
        kind = "low" if o.maps else "feat"
        load = lambda n: np.load(f"{o.cache}/{n}.{kind}.npy", mmap_mode="r" if o.maps else None)
        self.w = words.Words(o.vocab + "/vocab.txt" if not o.full_vocab else net.minilm_folder() + "/vocab.txt")
        ids = self.w.ids
        self.views = [load(v) for v in o.views.split(",")]
        self.train = [[ids(s) for s in ss] for _, ss in data.captioned(o.data, "train")]
        self.classes = words.classes()
        cal, small = data.labelled(o.data, "caltech"), data.small64(o.data)
        keep = [i for i, r in enumerate(small) if r[1] != "emoji"]
        self.lab = [(load("caltech"), np.arange(len(cal)), [l for _, l in cal])]
        if os.path.exists(f"{o.cache}/small64.{kind}.npy"):
            self.lab.append((load("small64"), np.array(keep), [small[i][2] for i in keep]))
        self.dev = data.captioned(o.data, "dev")
        names = data.names(o.data)
        self.names = list(dict.fromkeys(names))
        self.truth = [self.names.index(l) for _, l in data.labelled(o.data, "imagenet")]
        self.photo_text = [t for _, t in data.photos(o.data)]
        self.tests = {n: load(n) for n in ("dev", "imagenet_shortest", "photos_shortest", "imagenet_squash", "photos_squash")}


def no_grad_eval(model):
    model.eval()
    return torch.no_grad()


def embed_texts(model, w, texts, batch=256):
    ids = [w.ids(t) for t in texts]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    out = np.zeros((len(ids), 384), np.float32)
    with no_grad_eval(model):
        for i in range(0, len(order), batch):
            part = order[i:i + batch]
            out[part] = model.sentences(*w.batch([ids[j] for j in part])).float().numpy()
    return out


def embed_pictures(model, maps, batch=128):
    with no_grad_eval(model):
        return np.concatenate([model.pictures(torch.from_numpy(np.array(maps[i:i + batch], np.float32))).float().numpy()
                               for i in range(0, len(maps), batch)])


def figures(model, s, save=None):
    dev_t = embed_texts(model, s.w, [t for _, ss in s.dev for t in ss])
    owner = [i for i, (_, ss) in enumerate(s.dev) for _ in ss]
    r = scores.captioned(embed_pictures(model, s.tests["dev"]), dev_t, owner)
    bare, photo = embed_texts(model, s.w, s.names), embed_texts(model, s.w, [f"a photo of a {n}" for n in s.names])
    pt = embed_texts(model, s.w, s.photo_text)
    for k in ("shortest", "squash"):
        im = embed_pictures(model, s.tests["imagenet_" + k])
        r["imagenet_" + k] = scores.named(im, photo, s.truth)
        if k == "shortest":
            r["imagenet_bare"] = scores.named(im, bare, s.truth)
        r["photos_" + k] = scores.photos(embed_pictures(model, s.tests["photos_" + k]), pt)
    return r


def show(r):
    return "  ".join(f"{k} " + "/".join(f"{x:.1f}" for x in v) for k, v in r.items())


def build(o):
    image, _ = net.pretrained_image()
    text = net.pretrained_text(words.MAX)
    if not o.full_vocab:
        text.word.weight.data = text.word.weight.data[torch.from_numpy(np.load(o.vocab + "/keep.npy"))].clone()
    torch.manual_seed(o.seed)
    return heads.Starter(image, text, attn=o.attn, mlp=o.mlp, tmlp=o.tmlp, drop=o.drop)


def groups(model, o):
    """Parameter groups with their rates; everything else is frozen."""
    for p in list(model.image.parameters()) + list(model.text.parameters()):
        p.requires_grad_(False)
    g = [{"params": [p for m in (model.image_head, model.text_head) for n, p in m.named_parameters() if p.requires_grad and n not in ("names", "temp")],
          "lr": o.lr, "weight_decay": o.wd},
         {"params": [model.scale, model.image_head.temp], "lr": o.lr, "weight_decay": 0.0}]
    if not o.no_names:
        g.append({"params": [model.image_head.names], "lr": o.lr, "weight_decay": 0.0})
    for i in range(6 - o.text_layers, 6):
        ps = list(model.text.layers[i].parameters())
        model.text.layers[i].drop = o.text_drop
        g.append({"params": ps, "lr": o.text_lr * o.decay ** (5 - i), "weight_decay": 0.01})
    if o.tune_image:
        ps = list(model.image.head.parameters()) + [p for b in model.image.blocks[net.CUT:] for p in b.parameters()]
        g.append({"params": ps, "lr": o.image_lr, "weight_decay": 0.01})
    for x in g:
        for p in x["params"]:
            p.requires_grad_(True)
        x["max"] = x["lr"]
    return g


def pseudo(maps, classifier, cls, rng):
    """Pushes feature maps [N,S,1280] along classifier rows until class cls[i] gains 4 to 16 in score.

    With a map the push goes to a random rectangle, so that attention sees a thing in a place."""
    n, s, _ = maps.shape
    row = classifier.weight[cls]
    gain = torch.from_numpy(rng.uniform(4, 16, n)).float()
    base = maps * torch.from_numpy(rng.uniform(0.0, 0.3, n)).float()[:, None, None]
    push = row / row.pow(2).sum(1, keepdim=True) * gain[:, None]
    if s > 1:
        mask = torch.zeros(n, 9, 9)
        for i in range(n):
            h, w = rng.integers(3, 10, 2)
            y, x = rng.integers(0, 10 - h), rng.integers(0, 10 - w)
            mask[i, y:y + h, x:x + w] = 1
        mask = mask.view(n, 81, 1)
        push = push[:, None] * mask * (81 / mask.sum(1, keepdim=True))
    else:
        push = push[:, None]
    return (base + push).clamp(0, 6)


def contrast(a, b, scale, smooth=0.0):
    sim = a @ b.T * scale
    y = torch.arange(len(a))
    return (F.cross_entropy(sim, y, label_smoothing=smooth) + F.cross_entropy(sim.T, y, label_smoothing=smooth)) / 2


def name_bank(model, s):
    return torch.from_numpy(embed_texts(model, s.w, [f"a photo of a {c['names'][0]}" for c in s.classes]))


def main():
    o = options()
    torch.set_num_threads(2)
    rng, prng = np.random.default_rng(o.seed), random.Random(o.seed)
    s = Store(o)
    model = build(o)
    f = np.load(f"{o.cache}/train.feat.npy").astype(np.float32)
    if o.standardise:
        model.image_head.mean.data = torch.from_numpy(f.mean(0))
        model.image_head.inv.data = 1 / torch.from_numpy(f.std(0) + 0.05)
    model.image_head.spread = torch.from_numpy(f.std(0) / f.std(1).mean()) if not o.standardise else 1.0
    model.image_head.temp.data.fill_(o.temp)
    if o.init:
        model.load_state_dict(torch.load(o.init)["model"], strict=False)
    if o.names_norm:
        bank = name_bank(model, s)
        model.image_head.names.data = o.names_norm * F.normalize(bank - bank.mean(0), dim=1)
    opt = torch.optim.AdamW(groups(model, o), betas=(0.9, 0.98))
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    print("trained", sum(p.numel() for p in model.parameters() if p.requires_grad), flush=True)
    ema = copy.deepcopy({n: p.detach() for n, p in model.named_parameters() if n in trained})
    steps, step, start = o.epochs * (len(s.train) // o.batch), 0, time.time()
    bank = None
    for epoch in range(o.epochs):
        order = rng.permutation(len(s.train))
        log = {}
        for b in range(len(order) // o.batch):
            idx = order[b * o.batch:(b + 1) * o.batch]
            for g in opt.param_groups:
                t = step / steps
                g["lr"] = g["max"] * (min(1, t / 0.1) * (0.5 + 0.5 * math.cos(math.pi * max(0, (t - 0.1) / 0.9))))
            if o.w_kd and step % o.kd_every == 0:
                bank = name_bank(model, s)
            model.train()
            view = rng.integers(0, len(s.views), len(idx))
            pick = rng.integers(0, 5, len(idx))
            low = np.stack([s.views[v][i] for v, i in zip(view, idx)])
            extra = []
            for arr, rows, labels in s.lab:
                r = rng.integers(0, len(rows), o.labels // 2)
                low = np.concatenate([low, arr[rows[r]]])
                extra.append([labels[i] for i in r])
            n = len(idx)
            texts = [s.train[i][c % len(s.train[i])] for i, c in zip(idx, pick)]
            cls = torch.from_numpy(rng.permutation(1000)[: o.classes])
            texts += [s.w.ids(words.class_text(s.classes[c], prng)) for c in cls]
            cands = [list(dict.fromkeys(e)) for e in extra]
            texts += [s.w.ids(words.label_text(l, prng)) for c in cands for l in c]
            with torch.autocast("cpu", torch.bfloat16, enabled=o.bf16):
                low = torch.from_numpy(low.astype(np.float32))
                if o.maps:
                    m = model.image.above(low.contiguous(memory_format=torch.channels_last)).flatten(2).transpose(1, 2)
                else:
                    m = low[:, None]
                with torch.no_grad():
                    fake = pseudo(m[torch.from_numpy(rng.permutation(n))[: len(cls)]].float(), model.image.classifier, cls, rng)
                model.image_head.noise = o.noise
                ev = F.normalize(model.image_head(torch.cat([m, fake.to(m.dtype)]), model.image.classifier).float(), dim=1)
                lens = np.array([len(t) for t in texts])
                parts, by = [], np.argsort(lens, kind="stable")
                for part in np.array_split(by, 6):
                    parts.append(model.sentences(*s.w.batch([texts[i] for i in part])).float())
                tv = torch.cat(parts)[torch.from_numpy(np.argsort(by))]
            scale = torch.exp(model.scale).clamp(max=100)
            ei, el, ec = ev[:n], ev[n:len(low)], ev[len(low):]
            ti, tc, tl = tv[:n], tv[n:n + len(cls)], tv[n + len(cls):]
            losses = {"pair": contrast(ei, ti, scale, o.smooth)}
            if o.w_class:
                losses["class"] = o.w_class * contrast(ec, tc, scale)
            at, et = 0, 0
            for e, c in zip(extra, cands):
                if o.w_label:
                    y = torch.tensor([c.index(l) for l in e])
                    losses["label"] = losses.get("label", 0) + o.w_label / 2 * F.cross_entropy(el[et:et + len(e)] @ torch.cat([tl[at:at + len(c)], ti[:128]]).T * scale, y)
                at, et = at + len(c), et + len(e)
            if o.w_kd:
                with torch.no_grad():
                    p = torch.softmax(model.image.classifier(m.float().mean(1)), 1)
                losses["kd"] = o.w_kd * F.cross_entropy(ev[:len(low)] @ bank.T * scale, p)
            loss = sum(losses.values())
            opt.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([p for g in opt.param_groups for p in g["params"]], 5.0)
            opt.step()
            step += 1
            decay = min(o.ema, step / (step + 10))
            with torch.no_grad():
                for k, p in model.named_parameters():
                    if k in trained:
                        ema[k].lerp_(p, 1 - decay)
            for k, v in losses.items():
                log[k] = log.get(k, 0) + float(v)
        nb = len(order) // o.batch
        print(epoch, f"{time.time() - start:.0f}s scale {scale.item():.1f} temp {model.image_head.temp.item():.2f}", {k: round(v / nb, 3) for k, v in log.items()}, flush=True)
        torch.save({"model": {**model.state_dict(), **ema}, "options": vars(o)}, o.out + ".last")
        if epoch == o.epochs - 1 or (o.eval_every and (epoch + 1) % o.eval_every == 0):
            own = {n: p.detach().clone() for n, p in model.named_parameters() if n in trained}
            model.load_state_dict(ema, strict=False)
            print("  ", show(figures(model, s)), flush=True)
            torch.save({"model": model.state_dict(), "options": vars(o)}, o.out)
            model.load_state_dict(own, strict=False)


if __name__ == "__main__":
    main()
