"""Trains the starter captioner: on pictures with their sentences, then for the CIDEr of what it draws.

Surprising: lengths are given in minutes; rates fall along a cosine of the time that has passed. The reward counts pieces in
place of words, the end among them (else sentences end in "with a"). Two processes of one thread each (RANK=0 and RANK=1, with
MEET=file:///some/new/file) do more than one of two threads, which wait for each other in matrices as small as these.

usage: captioner_train.py CACHE OUT.pt [--minutes 11] [--reward 6] [--init FILE]      CACHE: captioner_data.py's
"""
import argparse
import collections
import json
import math
import os
import random
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import distributed, nn

from captioner_data import LIKE_OURS
from captioner_net import BEGIN, END, Captioner

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import score_captions  # noqa: E402


EACH = 5        # sentences of a picture in a batch


class Set:
    """Views of the same pictures, and their sentences."""

    def __init__(self, cache, name, views, want=lambda source: True):
        self.views = [np.load(f"{cache}/{v}.npy", mmap_mode="r") for v in views if os.path.exists(f"{cache}/{v}.npy")]
        with open(f"{cache}/{name}.json") as f:
            rows = json.load(f)
        self.texts = [r["texts"] for r in rows]
        self.at = [i for i, r in enumerate(rows) if len(r["ids"]) >= EACH - 1 and want(r["source"])]
        self.ids = [[s for s in r["ids"] if len(s) <= 24] or r["ids"] for r in rows]

    def draw(self, rng, n):
        """States [n,82,D], EACH sentences of every picture, and which pictures they are."""
        rows = [rng.choice(self.at) for _ in range(n)]
        return (np.stack([rng.choice(self.views)[i] for i in rows]),
                [s for i in rows for s in (self.ids[i] + rng.choices(self.ids[i], k=EACH))[:EACH]], rows)


def padded(said):
    length = torch.tensor([len(s) - 1 for s in said])
    ids = torch.full((len(said), int(length.max()) + 1), END)
    for k, s in enumerate(said):
        ids[k, :len(s)] = torch.tensor(s)
    real = torch.arange(ids.shape[1] - 1)[None] < length[:, None]
    return ids[:, :-1], ids[:, 1:][real], length


def loss_of(net, states, said, smooth):
    ids, want, length = padded(said)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(ids, states, length)
    return F.cross_entropy(logits.float(), want, label_smoothing=smooth)


def fewer(states, rng, keep):
    """Some of the places, the vector always."""
    return states[:, sorted(rng.sample(range(81), keep)) + [81]] if keep < 81 else states


class Mean:
    """Weights averaged over the last steps."""

    def __init__(self, net, decay):
        self.net, self.decay, self.w, self.n = net, decay, {k: v.detach().clone() for k, v in net.state_dict().items()}, 0

    def add(self):
        self.n += 1
        with torch.no_grad():
            for k, v in self.net.state_dict().items():
                self.w[k].lerp_(v, 1 - min(self.decay, self.n / (self.n + 9)))


def shared(net, over):
    """Gradients averaged over the processes; whether any of them is through with its time."""
    if not distributed.is_initialized():
        return over
    grads = [p.grad for p in net.parameters()]
    flat = torch.cat([*(g.flatten() for g in grads), torch.tensor([float(over)])])
    distributed.all_reduce(flat)
    at = 0
    for g in grads:
        g.copy_(flat[at:at + g.numel()].view_as(g) / distributed.get_world_size())
        at += g.numel()
    return bool(flat[-1] > 0)


class Cider:
    """CIDEr-D over ids, the end a word; documents are the pictures of the train split."""

    def __init__(self, refs):
        seen = collections.Counter()
        for ss in refs:
            seen.update({g for s in ss for g in self.grams(s)})
        self.docs = math.log(len(refs))
        self.idf = {g: self.docs - math.log(n) for g, n in seen.items()}
        self.refs, self.known = refs, {}

    @staticmethod
    def grams(s):
        return collections.Counter(tuple(s[i:i + n]) for n in range(1, 5) for i in range(len(s) - n + 1))

    def vector(self, s):
        v = {g: k * self.idf.get(g, self.docs) for g, k in self.grams(s).items()}
        norm = [0.0] * 4
        for g, x in v.items():
            norm[len(g) - 1] += x * x
        return v, [math.sqrt(x) for x in norm], len(s)

    def of(self, picture, s):
        if picture not in self.known:
            self.known[picture] = [self.vector(r) for r in self.refs[picture]]
        (v, norm, length), total = self.vector(s), 0.0
        for w, other, n in self.known[picture]:
            part = [0.0] * 4
            for g, x in v.items():
                if g in w:
                    y = w[g]
                    part[len(g) - 1] += min(x, y) * y
            total += sum(p / (a * b) for p, a, b in zip(part, norm, other) if a and b) * math.exp(-(length - n) ** 2 / 72)
        return 2.5 * total / len(self.refs[picture])


def text_of(vocab, ids):
    out = ""
    for i in ids:
        if i == END:
            break
        out += vocab[i][2:] if vocab[i].startswith("##") else " " + vocab[i]
    return out.strip()


def dev_scores(net, dev, vocab, show=0):
    net.eval()
    said = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for i in range(0, len(dev.texts), 200):
            said += [text_of(vocab, s) for s in net.say(torch.from_numpy(dev.views[0][i:i + 200].astype(np.float32))).tolist()]
    net.train()
    refs = [[score_captions.tokens(t) for t in ts] for ts in dev.texts[:len(said)]]
    got = [score_captions.tokens(s) for s in said]
    for s in said[:show]:
        print("   ", s)
    return f"dev, greedy: BLEU-4 {score_captions.bleu(got, refs):.4f} CIDEr {score_captions.cider(got, refs):.4f}"


def options():
    p = argparse.ArgumentParser()
    for a in ("cache", "out"):
        p.add_argument(a)
    for name, default in dict(layers=3, width=256, heads=8, batch=28, extra=7, seed=1, threads=2).items():
        p.add_argument("--" + name, type=int, default=default)
    for name, default in dict(minutes=11.0, reward=6.0, lr=1e-3, reward_lr=1.5e-4, drop=0.1, smooth=0.1, decay=0.995).items():
        p.add_argument("--" + name, type=float, default=default)
    p.add_argument("--init", default="")
    return p.parse_args()


def main():
    o = options()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    rank = int(os.environ.get("RANK", 0))
    rng = random.Random(o.seed + 1000 * rank)
    if "MEET" in os.environ:
        distributed.init_process_group("gloo", init_method=os.environ["MEET"], rank=rank, world_size=2)
    with open(o.cache + "/vocab.txt", encoding="utf-8") as f:
        vocab = [line.rstrip("\n") for line in f]
    ours = Set(o.cache, "train", ["train", "train_flip", *(f"train_crop{i}" for i in range(4))])
    extra = Set(o.cache, "extra", ["extra", "extra_b"], lambda source: source in LIKE_OURS)
    dev = Set(o.cache, "dev", ["dev"])
    net = Captioner(len(vocab), o.width, o.layers, o.heads, ours.views[0].shape[2], o.drop)
    if o.init:
        net.load_state_dict(torch.load(o.init)["net"])
    torch.manual_seed(o.seed + 1000 * rank)
    print(f"{sum(x.numel() for x in net.parameters())} parameters; {len(ours.at)} pictures in {len(ours.views)} views, {len(extra.at)} in {len(extra.views)}", flush=True)

    def save(weights, path=o.out):
        torch.save({"net": weights, "args": vars(o)}, path)

    def run(name, minutes, lr, warmup, decay, loss, mean_decay):
        """Steps of loss() for so many minutes; the network is the mean of its last weights then."""
        opt = torch.optim.AdamW(net.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=decay)
        mean, start, said, step, sums, over = Mean(net, mean_decay), time.time(), time.time(), 0, [], False
        while not over:
            done = min(1.0, (time.time() - start) / (60 * minutes))
            for g in opt.param_groups:
                g["lr"] = lr * min(1.0, (step + 1) / warmup) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * done)))
            x, about = loss()
            opt.zero_grad(set_to_none=True)
            x.backward()
            over = shared(net, done >= 1)
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            opt.step()
            mean.add()
            step, sums = step + 1, [*sums[-49:], about]
            if time.time() - said > 20:
                said = time.time()
                print(f"{name} {step} steps, {100 * done:.0f} %, {sum(sums) / len(sums):.3f}", flush=True)
        net.load_state_dict(mean.w)
        if rank == 0:
            save(mean.w, f"{o.out}.{name}")
            print(f"{name} done after {step} steps; {dev_scores(net, dev, vocab, 5)}", flush=True)

    if o.minutes:
        def picture_loss():
            parts = [ours.draw(rng, o.batch), extra.draw(rng, o.extra)]
            states = torch.from_numpy(np.concatenate([p[0] for p in parts]).astype(np.float32))
            x = loss_of(net, fewer(states, rng, 66), parts[0][1] + parts[1][1], o.smooth)
            return x, x.item()
        run("pictures", o.minutes, o.lr, 20, 0.05, picture_loss, o.decay)
    if o.reward:
        cider = Cider([[s[1:] for s in ss] for ss in ours.ids])
        for layer in net.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0

        def reward_loss():
            states, _, rows = ours.draw(rng, o.batch)
            states = torch.from_numpy(states.astype(np.float32))
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                drawn = net.say(states, EACH, sample=True).tolist()
            drawn = [s[:s.index(END) + 1] if END in s else s for s in drawn]
            r = torch.tensor([cider.of(rows[k // EACH], s) for k, s in enumerate(drawn)]).view(-1, EACH)
            gain = ((r - r.mean(1, keepdim=True)) * EACH / (EACH - 1)).flatten()
            ids, want, length = padded([[BEGIN, *s] for s in drawn])
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(ids, states, length)
            logp = -F.cross_entropy(logits.float(), want, reduction="none")
            return -(gain.repeat_interleave(length) * logp).sum() / length.sum(), r.mean().item()
        run("reward", o.reward, o.reward_lr, 20, 0.0, reward_loss, 0.99)
    if rank == 0:
        save(net.state_dict())


if __name__ == "__main__":
    main()
