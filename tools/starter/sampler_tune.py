"""Tunes the sampler by the starter's own picture tower: is the picture that a noisy step foresees nearest to its own sentence?

Surprising: no steps are walked. A training picture's latent is noised to a level at which its subject is still open, the
UNet foresees the clean latent with guidance, and that goes through TAEF2's decoder and the tower; what the tower says is a
softmax over the sentences of the batch and of a bank. The loss of sampler_train.py goes on beside it and keeps pictures pictures.

usage: sampler_tune.py MODEL CACHE TAEF2 OUT.pt --init CHECKPOINT [--minutes 20 ...]
"""
import argparse, copy, json, math, time
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

import reference
import sampler_train as st
import taef


class Judge:
    """Unit vectors of latents [N,32,8,8] (not normalised), with a gradient, at `size` pixels."""

    def __init__(self, model, folder, size):
        self.ref, (_, self.dec), self.size = reference.Reference(model), taef.load(folder), size
        self.dec = self.dec.to(memory_format=torch.channels_last)
        c = self.ref.c["image"]
        self.mean, self.std = (torch.tensor(c[k], dtype=torch.float32).view(1, 3, 1, 1) for k in ("mean", "std"))

    def __call__(self, z):
        with torch.autocast("cpu", torch.bfloat16):
            x = self.dec(z.contiguous(memory_format=torch.channels_last))
            x = F.interpolate(x.float().clamp(0, 1), (self.size, self.size), mode="bicubic", antialias=False)
            m = self.ref.image_map(((x * 255 - self.mean) / self.std).contiguous(memory_format=torch.channels_last))
        return self.ref.embed_map(m.float())


def main():
    p = argparse.ArgumentParser()
    for a in ("model", "cache", "taef2", "out"):
        p.add_argument(a)
    p.add_argument("--init", required=True)
    p.add_argument("--shares", default=",".join(map(str, st.SHARE.values())), help="of " + ", ".join(st.SHARE))
    for name, default in dict(batch=96, judged=16, seed=1, threads=2, size=260, low=250, high=750).items():
        p.add_argument("--" + name, type=int, default=default)
    for name, default in dict(minutes=20.0, lr=1e-4, ema=0.99, weight=0.02, scale=25.0, guidance=3.0).items():
        p.add_argument("--" + name, type=float, default=default)
    o = p.parse_args()
    torch.set_num_threads(o.threads); torch.manual_seed(o.seed)
    rng = np.random.default_rng(o.seed)
    z = np.load(o.cache + "/latents.npy", mmap_mode="r")
    about = json.load(open(o.cache + "/sentences.json"))
    c = torch.load(o.init)
    mean, std = c["mean"], c["std"]
    text, judge = st.Sentences(o.model, about, o.seed), Judge(o.model, o.taef2, o.size)
    rows = {k: np.array([i for i, a in enumerate(about) if a["kind"] == k]) for k in st.SHARE}
    kinds, shares = list(st.SHARE), np.array([float(x) for x in o.shares.split(",")])
    shares /= shares.sum()
    unet = UNet2DConditionModel(**c["config"]).to(memory_format=torch.channels_last)
    unet.load_state_dict(c["ema"]); unet.set_attn_processor(AttnProcessor())
    ema, opt, bar = copy.deepcopy(unet), torch.optim.AdamW(unet.parameters(), o.lr, betas=(0.9, 0.99), weight_decay=0.01), st.alphas()
    # the bank: sentences of pictures by their own text head
    pick = lambda n: np.array([rows[kinds[k]][rng.integers(len(rows[kinds[k]]))] for k in rng.choice(len(kinds), n, p=shares)])
    words = list(dict.fromkeys(text.pick(i) for i in pick(1500)))
    bank = judge.ref.texts(words)
    step, start, log = 0, time.time(), []

    def run(net, x, t, states, mask):
        with torch.autocast("cpu", torch.bfloat16):
            return net(x.contiguous(memory_format=torch.channels_last), t, states, encoder_attention_mask=mask).sample.float()

    while (passed := (time.time() - start) / 60 / o.minutes) < 1:
        for g in opt.param_groups:
            g["lr"] = o.lr * min(1, (step + 1) / 10) * (0.02 + 0.49 * (1 + math.cos(math.pi * passed)))
        idx = pick(o.batch)
        x = (torch.from_numpy(np.stack([z[i + len(about) * m] for i, m in zip(idx, rng.integers(0, 2, o.batch))])).float() - mean) / std
        said = [text.pick(i) for i in idx]
        said[o.judged:] = ["" if rng.random() < 0.1 else s for s in said[o.judged:]]
        states, mask = text.states(said)
        t = torch.randint(0, 1000, (o.batch,))
        t[:o.judged] = torch.randint(o.low, o.high, (o.judged,))
        a, s = bar[t].sqrt().view(-1, 1, 1, 1), (1 - bar[t]).sqrt().view(-1, 1, 1, 1)
        noise = torch.randn_like(x)
        noisy, v = a * x + s * noise, a * noise - s * x
        out = run(unet, noisy, t, states, mask)
        loss = (F.mse_loss(out, v, reduction="none").mean((1, 2, 3)) * (5.0 * (1 - bar[t]) / bar[t]).clamp(max=1)).mean()
        n = o.judged
        if o.guidance != 1:
            with torch.no_grad():
                s0, m0 = text.states([""] * n)
                plain = run(unet, noisy[:n], t[:n], s0, m0)
            led = plain + o.guidance * (out[:n] - plain)
        else:
            led = out[:n]
        seen = judge((a[:n] * noisy[:n] - s[:n] * led) * std + mean)
        own = judge.ref.texts(said[:n])
        logits = o.scale * seen @ torch.cat([own, bank]).T
        same = torch.tensor([[j != i and w == said[i] for j, w in enumerate(said[:n] + words)] for i in range(n)])
        told = F.cross_entropy(logits.masked_fill(same, float("-inf")), torch.arange(n))
        opt.zero_grad(); (loss + o.weight * told).backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0); opt.step(); step += 1
        with torch.no_grad():
            for q, r in zip(ema.parameters(), unet.parameters()):
                q.lerp_(r, 1 - min(o.ema, (1 + step) / (10 + step)))
        log.append((float(loss.detach()), float(told.detach())))
        if step in (1, 5) or step % 20 == 0:
            print(step, f"{(time.time() - start) / 60:.1f} min", np.mean(log, 0).round(4), flush=True); log.clear()
            torch.save({"ema": ema.state_dict(), "unet": unet.state_dict(), "config": c["config"], "step": step, "mean": mean, "std": std}, o.out)
    torch.save({"ema": ema.state_dict(), "unet": unet.state_dict(), "config": c["config"], "step": step, "mean": mean, "std": std}, o.out)


if __name__ == "__main__":
    main()
