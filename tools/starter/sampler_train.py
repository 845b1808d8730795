"""Trains the starter's sampler: a Stable Diffusion UNet over TAEF2 latents, conditioned on the frozen text tower's states.

Surprising: v-prediction, weighted down above an SNR of --gamma only (min-SNR weights, Hang et al. 2023, leave next to
nothing for the noisy steps, where the sentence decides what the picture is of); the length is given in minutes and the rate falls along
a cosine of the last --decay of them, so that a run without a fall can be carried on from its state; the states of a
sentence are kept once they are computed, a fifth of a step otherwise.
Torch's own attention takes 40 % of a step in its backward pass on this shape, plain products 5 %; --compile wants fixed
shapes, so that every sentence is filled up to 40 states.

usage: sampler_train.py MODEL CACHE OUT.pt [--minutes 100 --init CHECKPOINT ...]     CACHE: what sampler_data.py wrote
"""
import argparse
import copy
import json
import math
import time

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

import tune
import words

CONFIG = dict(sample_size=8, in_channels=32, out_channels=32, layers_per_block=2, cross_attention_dim=384, attention_head_dim=6,
              block_out_channels=(96, 192), down_block_types=("CrossAttnDownBlock2D",) * 2, up_block_types=("CrossAttnUpBlock2D",) * 2)
SHARE = {"flickr": 0.19, "sentences": 0.15, "small64": 0.22, "caltech": 0.17, "labels": 0.12, "emoji": 0.15}
STATES = 40
TEMPLATES = ["{}", "{}", "a photo of {}", "a picture of {}", "a photo of a {}"]


def alphas():
    betas = torch.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


class Sentences:
    """Picks sentences of pictures and gives their states [B, T, 384] and the mask of what counts."""

    def __init__(self, model, about, seed):
        self.tower, self.w, self.about, self.rng = tune.shipped(model).text.eval(), words.Words(model + "/vocab.txt"), about, np.random.default_rng(seed)
        self.known = {}     # a sentence: its states [T, 384]

    def pick(self, i):
        a = self.about[i]
        if a["kind"] == "emoji":        # the name half of the time, else one of the keywords
            text = a["texts"][0 if self.rng.random() < 0.5 else self.rng.integers(len(a["texts"]))]
            return text if self.rng.random() < 0.5 else text + " emoji"
        text = a["texts"][self.rng.integers(len(a["texts"]))]
        return text if a["kind"] in ("flickr", "sentences") else TEMPLATES[self.rng.integers(len(TEMPLATES))].format(text)

    def states(self, texts):
        if new := [t for t in dict.fromkeys(texts) if t not in self.known]:
            ids, mask = self.w.batch([self.w.ids(t) for t in new])
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                states = self.tower(ids, mask).bfloat16()
            for t, s, m in zip(new, states, mask.bool()):
                self.known[t] = s[m][:STATES].clone()
        said = [self.known[t] for t in texts]
        states = torch.stack([F.pad(s, (0, 0, 0, STATES - len(s))) for s in said])
        return states.float(), torch.arange(STATES) < torch.tensor([[len(s)] for s in said])


def main():
    p = argparse.ArgumentParser()
    for a in ("model", "cache", "out"):
        p.add_argument(a)
    for name, default in dict(batch=128, seed=1, threads=2, warmup=100).items():
        p.add_argument("--" + name, type=int, default=default)
    for name, default in dict(minutes=100.0, lr=5e-4, ema=0.9995, drop=0.1, gamma=5.0, decay=1.0).items():
        p.add_argument("--" + name, type=float, default=default)
    p.add_argument("--init", default="")
    p.add_argument("--start", default="ema", choices=("ema", "unet"), help="which weights of --init")
    p.add_argument("--compile", action="store_true")
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    rng = np.random.default_rng(o.seed)
    z = np.load(o.cache + "/latents.npy", mmap_mode="r")
    mean, std = (torch.from_numpy(s).view(1, -1, 1, 1) for s in np.load(o.cache + "/stats.npy"))
    about = json.load(open(o.cache + "/sentences.json"))
    text = Sentences(o.model, about, o.seed)
    rows = {k: np.array([i for i, a in enumerate(about) if a["kind"] == k]) for k in SHARE}
    unet = UNet2DConditionModel(**CONFIG).to(memory_format=torch.channels_last)
    if o.init:
        unet.load_state_dict(torch.load(o.init)[o.start])
    unet.set_attn_processor(AttnProcessor())
    print(f"{sum(q.numel() for q in unet.parameters()) / 1e6:.1f} M parameters, {len(about)} pictures", flush=True)
    ema = copy.deepcopy(unet)
    net = torch.compile(unet) if o.compile else unet
    opt = torch.optim.AdamW(unet.parameters(), o.lr, betas=(0.9, 0.99), weight_decay=0.01)
    if o.init and o.start == "unet":
        opt.load_state_dict(torch.load(o.init)["opt"])
    bar = alphas()
    step, start, saved, losses = 0, time.time(), time.time(), []
    kinds, shares = list(SHARE), np.array(list(SHARE.values()))

    def save():
        torch.save({"ema": ema.state_dict(), "unet": unet.state_dict(), "config": CONFIG, "step": step, "minutes": (time.time() - start) / 60,
                    "opt": opt.state_dict(), "mean": mean, "std": std, "options": vars(o)}, o.out)

    while (passed := (time.time() - start) / 60 / o.minutes) < 1:
        for g in opt.param_groups:
            fallen = max(0, passed - 1 + o.decay) / o.decay if o.decay else 0
            g["lr"] = o.lr * min(1, (step + 1) / o.warmup) * (0.02 + 0.49 * (1 + math.cos(math.pi * fallen)))
        of = rng.choice(len(kinds), o.batch, p=shares)
        idx = np.array([rows[kinds[k]][rng.integers(len(rows[kinds[k]]))] for k in of])
        x = np.stack([z[i + len(about) * m] for i, m in zip(idx, rng.integers(0, 2, o.batch))])
        x = (torch.from_numpy(x).float() - mean) / std
        states, mask = text.states(["" if rng.random() < o.drop else text.pick(i) for i in idx])
        t = torch.randint(0, 1000, (o.batch,))
        a, s = bar[t].sqrt().view(-1, 1, 1, 1), (1 - bar[t]).sqrt().view(-1, 1, 1, 1)
        noise = torch.randn_like(x)
        noisy, v = a * x + s * noise, a * noise - s * x
        with torch.autocast("cpu", torch.bfloat16):
            out = net(noisy.contiguous(memory_format=torch.channels_last), t, states, encoder_attention_mask=mask).sample
        snr = bar[t] / (1 - bar[t])
        loss = (F.mse_loss(out.float(), v, reduction="none").mean((1, 2, 3)) * (o.gamma / snr).clamp(max=1)).mean()
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        opt.step()
        step += 1
        with torch.no_grad():
            d = min(o.ema, (1 + step) / (10 + step))
            for q, r in zip(ema.parameters(), unet.parameters()):
                q.lerp_(r, 1 - d)
        losses.append(float(loss.detach()))
        if step in (2, 10) or step % 50 == 0:
            print(step, f"{(time.time() - start) / 60:.1f} min, loss {np.mean(losses):.4f}, {step * o.batch / (time.time() - start):.0f} samples/s", flush=True)
            losses.clear()
        if time.time() - saved > 300:
            save()
            saved = time.time()
    save()


if __name__ == "__main__":
    main()
