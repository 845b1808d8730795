"""Trains the starter captioner: a small pre-norm decoder whose layers attend to the starter's 81 patch states.

Surprising: it is caption/lm.h's network (pre_norm, cross) and nothing else, so that its weights need no code of their own
there but names; the head is the word table.

usage: captioner_train.py CACHE OUT.pt [--minutes 30] [--layers 3] [--width 256] [--init FILE]    CACHE: captioner_data.py's
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
from torch import nn

CONTEXT = 40


class Attention(nn.Module):
    def __init__(self, d, memory, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = nn.Linear(d, d), nn.Linear(memory, d), nn.Linear(memory, d), nn.Linear(d, d)

    def forward(self, x, m, causal):
        n, t, d = x.shape
        q = self.q(x).view(n, t, self.heads, -1).transpose(1, 2)
        k, v = (f(m).view(n, m.shape[1], self.heads, -1).transpose(1, 2) for f in (self.k, self.v))
        return self.o(F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).reshape(n, t, d))


class Layer(nn.Module):
    def __init__(self, d, memory, heads, drop):
        super().__init__()
        self.ln1, self.ln_cross, self.ln2 = (nn.LayerNorm(d) for _ in range(3))
        self.attn, self.cross = Attention(d, d, heads), Attention(d, memory, heads)
        self.fc1, self.fc2, self.drop = nn.Linear(d, 4 * d), nn.Linear(4 * d, d), nn.Dropout(drop)

    def forward(self, x, m):
        y = self.ln1(x)
        x = x + self.drop(self.attn(y, y, True))
        x = x + self.drop(self.cross(self.ln_cross(x), m, False))
        return x + self.drop(self.fc2(F.gelu(self.fc1(self.ln2(x)))))


class Captioner(nn.Module):
    def __init__(self, vocab, d=256, layers=3, heads=8, memory=384, drop=0.2):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab, d), nn.Embedding(CONTEXT, d)
        self.layers = nn.ModuleList(Layer(d, memory, heads, drop) for _ in range(layers))
        self.norm, self.drop = nn.LayerNorm(d), nn.Dropout(drop)
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions.weight, std=0.02)

    def forward(self, ids, memory):
        x = self.drop(self.tokens(ids) + self.positions.weight[:ids.shape[1]])
        for layer in self.layers:
            x = layer(x, memory)
        return self.norm(x) @ self.tokens.weight.T


def load(cache, name):
    with open(os.path.join(cache, name + ".json")) as f:
        return np.load(os.path.join(cache, name + ".states.npy"), mmap_mode="r"), json.load(f)


def batch(sets, n, rng):
    """Each picture with one of its sentences; padding is -100 in the targets."""
    pick = [rng.choices(sets, [len(s[1]) for s in sets])[0] for _ in range(n)]
    rows = [(s, rng.randrange(len(s[1]))) for s in pick]
    said = [rng.choice(s[1][i]) for s, i in rows]
    length = max(map(len, said)) - 1
    ids, want = torch.zeros(n, length, dtype=torch.long), torch.full((n, length), -100)
    for k, s in enumerate(said):
        ids[k, :len(s) - 1], want[k, :len(s) - 1] = torch.tensor(s[:-1]), torch.tensor(s[1:])
    memory = torch.from_numpy(np.stack([s[0][i] for s, i in rows]).astype(np.float32))
    return ids, want, memory


def loss_of(net, ids, want, memory, smooth):
    return F.cross_entropy(net(ids, memory).flatten(0, 1), want.flatten(), ignore_index=-100, label_smoothing=smooth)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("cache")
    p.add_argument("out")
    p.add_argument("--minutes", type=float, default=30)
    p.add_argument("--layers", type=int, default=3)
    p.add_argument("--width", type=int, default=256)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--lr", type=float, default=8e-4)
    p.add_argument("--drop", type=float, default=0.2)
    p.add_argument("--smooth", type=float, default=0.1)
    p.add_argument("--init")
    p.add_argument("--seed", type=int, default=1)
    o = p.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(o.seed)
    rng = random.Random(o.seed)
    sets = [load(o.cache, n) for n in ("train", "train_flip", "extra") if os.path.exists(f"{o.cache}/{n}.json")]
    dev = [load(o.cache, "dev")]
    with open(os.path.join(o.cache, "vocab.txt"), encoding="utf-8") as f:
        vocab = sum(1 for _ in f)
    net = Captioner(vocab, o.width, o.layers, memory=sets[0][0].shape[2], drop=o.drop)
    if o.init:
        net.load_state_dict(torch.load(o.init, weights_only=True)["net"])
    opt = torch.optim.AdamW(net.parameters(), lr=o.lr, betas=(0.9, 0.98), weight_decay=0.05)
    print(f"{sum(x.numel() for x in net.parameters())} parameters, vocabulary {vocab}", flush=True)
    start, step, said, sums = time.time(), 0, 0.0, []
    while (done := (time.time() - start) / (60 * o.minutes)) < 1:
        rate = min(1.0, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * done))
        for g in opt.param_groups:
            g["lr"] = o.lr * rate
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(net, *batch(sets, o.batch, rng), o.smooth)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        step, sums = step + 1, [*sums[-99:], loss.item()]
        if time.time() - said > 30 or step == 1:
            said = time.time()
            print(f"{step} steps, {100 * done:.0f} %, loss {sum(sums) / len(sums):.3f}", flush=True)
    net.eval()
    with torch.no_grad():
        each = [loss_of(net, *batch(dev, o.batch, random.Random(k)), 0.0).item() for k in range(8)]
    print(f"dev loss {sum(each) / len(each):.3f} after {step} steps")
    torch.save({"net": net.state_dict(), "args": vars(o)}, o.out)


if __name__ == "__main__":
    main()
