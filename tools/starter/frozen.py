"""First stage: heads alone, over pooled features and frozen sentence vectors, minutes instead of hours.

Surprising: this stage already has most of the ImageNet-by-name figure; the sentences need the next one.

usage: frozen.py DATA CACHE VOCAB_FOLDER OUT.pt [train.py's options]
"""
import copy
import math
import os
import random
import time

import numpy as np
import torch
import torch.nn.functional as F

import net
import train
import words


def pooled(model, w, ids):
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    out = torch.zeros(len(ids), 384)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for i in range(0, len(order), 256):
            part = order[i:i + 256]
            i_, m_ = w.batch([ids[j] for j in part])
            out[part] = net.mean_pool(model.text(i_, m_), m_).float()
    return out


def text_cache(model, s, o):
    path = f"{o.vocab}/pooled{'_full' if o.full_vocab else ''}.pt"
    if not os.path.exists(path):
        rng = random.Random(0)
        cap = pooled(model, s.w, [s.train[i][c % len(s.train[i])] for i in range(len(s.train)) for c in range(5)]).view(-1, 5, 384)
        cls = pooled(model, s.w, [s.w.ids(words.class_text(c, rng) if k else f"a photo of a {c['names'][0]}") for c in s.classes for k in range(6)])
        torch.save({"cap": cap, "cls": cls.view(1000, 6, 384), "labels": []}, path)
    c = torch.load(path)
    labels = sorted({l for _, _, ls in s.lab for l in ls})
    if c["labels"] != labels:
        rng = random.Random(0)
        lab = pooled(model, s.w, [s.w.ids(words.label_text(l, rng)) for l in labels for _ in range(6)])
        c.update(labels=labels, lab=lab.view(-1, 6, 384))
        torch.save(c, path)
    return c


def main():
    o = train.options()
    torch.set_num_threads(2)
    rng = np.random.default_rng(o.seed)
    s = train.Store(o)
    model = train.build(o)
    t0 = time.time()
    c = text_cache(model, s, o)
    print(f"texts {time.time() - t0:.0f}s", flush=True)
    f = np.load(f"{o.cache}/train.feat.npy").astype(np.float32)
    if o.standardise:
        model.image_head.mean.data = torch.from_numpy(f.mean(0))
        model.image_head.inv.data = 1 / torch.from_numpy(f.std(0) + 0.05)
    model.image_head.spread = torch.from_numpy(f.std(0) / f.std(1).mean()) if not o.standardise else 1.0
    model.image_head.temp.data.fill_(o.temp)
    with torch.no_grad():
        b = model.text_head(c["cls"][:, 0])
        b = b - b.mean(0)
        model.image_head.names.data = b / b.norm(dim=1, keepdim=True)
    opt = torch.optim.AdamW([g for g in train.groups(model, o) if g["params"]], betas=(0.9, 0.98))
    ema = copy.deepcopy(model)
    labs = [(a, r, np.array([c["labels"].index(l) for l in ls])) for a, r, ls in s.lab]
    views = [torch.from_numpy(v.astype(np.float32)) for v in s.views]
    steps, step, start = o.epochs * (len(f) // o.batch), 0, time.time()
    model.image_head.noise = o.noise
    for epoch in range(o.epochs):
        order = rng.permutation(len(f))
        log = {}
        for k in range(len(f) // o.batch):
            idx = order[k * o.batch:(k + 1) * o.batch]
            n = len(idx)
            t = step / steps
            for g in opt.param_groups:
                g["lr"] = g["max"] * (min(1, t / 0.1) * (0.5 + 0.5 * math.cos(math.pi * max(0, (t - 0.1) / 0.9))))
            model.train()
            v = rng.integers(0, len(views), n)
            x = torch.stack([views[a][i] for a, i in zip(v, idx)])
            mix = torch.from_numpy(rng.random((n, 1)) * 0.5).float()
            pair = c["cap"][idx]
            a, b2 = rng.integers(0, 5, n), rng.integers(0, 5, n)
            u = [pair[np.arange(n), a] * (1 - mix) + pair[np.arange(n), b2] * mix]
            ly = []
            for arr, rows, lid in labs:
                r = rng.integers(0, len(rows), o.labels // 2)
                x = torch.cat([x, torch.from_numpy(arr[rows[r]].astype(np.float32))])
                y, inv = np.unique(lid[r], return_inverse=True)
                u.append(c["lab"][y, rng.integers(0, 6, len(y))])
                ly.append(torch.from_numpy(inv))
            cls = torch.from_numpy(rng.permutation(1000)[: o.classes])
            fake = train.pseudo(x[torch.from_numpy(rng.permutation(n))[: o.classes]][:, None], model.image.classifier, cls, rng).detach()
            u.append(c["cls"][cls, torch.from_numpy(rng.integers(0, 6, len(cls)))])
            m = torch.cat([x[:, None], fake])
            e = F.normalize(model.image_head(m, model.image.classifier), dim=1)
            tv = F.normalize(model.text_head(torch.cat(u)), dim=1).split([len(z) for z in u])
            scale = torch.exp(model.scale).clamp(max=100)
            losses = {"pair": train.contrast(e[:n], tv[0], scale, o.smooth),
                      "class": o.w_class * train.contrast(e[len(x):], tv[-1], scale)}
            at = n
            for y, cand in zip(ly, tv[1:-1]):
                losses["label"] = losses.get("label", 0) + o.w_label / 2 * F.cross_entropy(
                    e[at:at + len(y)] @ torch.cat([cand, tv[0][:128]]).T * scale, y)
                at += len(y)
            if o.w_kd:
                if step % o.kd_every == 0:
                    with torch.no_grad():
                        bank = F.normalize(model.text_head(c["cls"][:, 0]), dim=1)
                with torch.no_grad():
                    p = model.image.classifier(x).softmax(1)
                losses["kd"] = o.w_kd * F.cross_entropy(e[:len(x)] @ bank.T * scale, p)
            loss = sum(losses.values())
            opt.zero_grad()
            loss.backward()
            opt.step()
            step += 1
            d = min(o.ema, step / (step + 10))
            with torch.no_grad():
                for p, q in zip(ema.parameters(), model.parameters()):
                    if q.requires_grad:
                        p.lerp_(q, 1 - d)
            for k2, l in losses.items():
                log[k2] = log.get(k2, 0) + l.item()
    print(f"{time.time() - start:.0f}s scale {scale.item():.1f} temp {model.image_head.temp.item():.2f}", {k: round(l / (len(f) // o.batch), 3) for k, l in log.items()})
    print("  ", train.show(train.figures(ema, s)), flush=True)
    torch.save({"model": ema.state_dict(), "options": vars(o)}, o.out)


if __name__ == "__main__":
    main()
