#!/usr/bin/env python3
"""Expected values of tests/golden/test_golden_tower.c: a sampler of eidetic's own kind in small. Diffusers' UNet over the
toy starter's token states with a key mask, TAEF2's autoencoder, v-prediction, k-diffusion's Euler.

No weights are stored: tower.json lists the tensors, and both sides make them from their names, as make_golden_clip.py
explains. The text tower is tests/golden/clip/starter.json's, through tools/starter/reference.py.

usage: make_golden_tower.py [OUT_DIR]   (default tests/golden/sampler; needs what make_golden_sampler.py needs)
"""
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tools", "starter")]
import make_golden_sampler as toy  # noqa: E402  (sets ATEN_CPU_CAPABILITY before torch is there)

import numpy as np
import taef
import torch
from make_golden_clip import uniform
from reference import Reference
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

LATENT, SIDES, STEPS, GUIDANCE, SEED = 6, (32, 48), 4, 3.0, 42
PROMPT, NEGATIVE = "flowers on a table, a dog", "dogs"
UNET = dict(sample_size=4, in_channels=LATENT, out_channels=LATENT, block_out_channels=[32, 64], layers_per_block=1,
            down_block_types=["CrossAttnDownBlock2D"] * 2, up_block_types=["CrossAttnUpBlock2D"] * 2, cross_attention_dim=32,
            attention_head_dim=4, norm_num_groups=8)
SCHEDULER = dict(toy.SCHEDULER, prediction_type="v_prediction")


def fill(model, part, rename=lambda n: n):
    """Toy weights into the model; the manifest's rows."""
    rows, state = [], {}
    for name, t in sorted(model.state_dict().items()):
        full, shape = rename(name), list(t.shape)
        norm = "norm" in full or ".pool.1." in full
        middle, reach = toy.spread(full.replace("pool.1", "norm"), shape)
        assert not norm or len(shape) == 1
        rows.append([full, shape, middle, reach])
        state[name] = torch.from_numpy(uniform(f"tower/{part}/{full}", shape, middle, reach))
    model.load_state_dict(state)
    return rows


def states_of(texts):
    """[n, longest, width] and a mask."""
    m = json.load(open(os.path.join(HERE, "..", "tests", "golden", "clip", "starter.json")))
    with tempfile.TemporaryDirectory() as d:
        weights = {}
        for name, shape, dtype, middle, reach in m["tensors"]:
            v = torch.from_numpy(uniform("starter/" + name, shape, middle, reach))
            weights[name] = v.half() if dtype == "f16" else v
        save_torch(weights, d + "/model.safetensors")
        json.dump(m["files"]["config.json"], open(d + "/config.json", "w"))
        open(d + "/vocab.txt", "w").write(m["files"]["vocab.txt"])
        r = Reference(d)
        each = [torch.tensor([r.ids(t)]) for t in texts]
        longest = max(i.shape[1] for i in each)
        states, mask = torch.zeros(len(texts), longest, 32), torch.zeros(len(texts), longest, dtype=torch.bool)
        for k, ids in enumerate(each):
            states[k, :ids.shape[1]] = r.text_states(ids, torch.ones_like(ids, dtype=torch.bool))[0]
            mask[k, :ids.shape[1]] = True
    assert mask.sum(1).unique().numel() == len(texts)      # of different lengths, or the mask would not be tested
    return states, mask


def main():
    from diffusers import UNet2DConditionModel
    from k_diffusion import external, sampling
    got = {}
    unet = UNet2DConditionModel(**UNET).eval()
    pair = taef.encoder(LATENT, 16, 1).eval(), taef.decoder(LATENT, 16, 1).eval()
    rows = {"unet": fill(unet, "unet"), "vae": [r for net, half in zip(pair, ("encoder", "decoder"))
                                                for r in fill(net, "vae", lambda n: half + "." + n)]}
    mean = uniform("tower/mean", [LATENT], 0.0, 0.5)
    std = uniform("tower/std", [LATENT], 1.0, 0.5)
    m, s = (torch.from_numpy(v).view(1, -1, 1, 1) for v in (mean, std))
    with torch.no_grad():
        states, mask = states_of([PROMPT, NEGATIVE])
        betas = torch.linspace(SCHEDULER["beta_start"] ** 0.5, SCHEDULER["beta_end"] ** 0.5, 1000, dtype=torch.float64) ** 2

        class Net(external.DiscreteVDDPMDenoiser):
            def get_v(self, x, t, cond):
                return unet(x, t, encoder_hidden_states=cond, encoder_attention_mask=mask).sample

        model = Net(unet, torch.cumprod(1 - betas, 0).float(), quantize=False)

        def denoise(x, sigma):
            good, bad = model(torch.cat([x, x]), torch.cat([sigma, sigma]), cond=states).chunk(2)
            return bad + GUIDANCE * (good - bad)

        sigmas = model.get_sigmas(STEPS)
        h, w = SIDES[0] // 8, SIDES[1] // 8
        noise = torch.randn(1, LATENT, h, w, generator=torch.Generator().manual_seed(SEED))
        x = sampling.sample_euler(denoise, noise * sigmas[0], sigmas, disable=True)
        got["latent"] = toy.nhwc(x)
        got["pixels"] = toy.nhwc(pair[1](x * s + m).clamp(0, 1)) * 255
        px = torch.from_numpy(uniform("sd/pixels", (1, *SIDES, 3), 0.0, 1.0)).permute(0, 3, 1, 2)
        got["encoded"] = toy.nhwc((pair[0](px / 2 + 0.5) - m) / s)
    save_file({k: np.ascontiguousarray(v.numpy()) for k, v in got.items()}, os.path.join(toy.OUT, "tower.safetensors"))
    files = {"unet/config.json": UNET, "vae/config.json": {"_class_name": "AutoencoderTiny"},
             "scheduler/scheduler_config.json": SCHEDULER,
             "sampler.json": {"side": 32, "guidance": GUIDANCE, "latent_mean": mean.tolist(), "latent_std": std.tolist()}}
    with open(os.path.join(toy.OUT, "tower.json"), "w") as f:
        json.dump({"prompt": PROMPT, "negative": NEGATIVE, "files": files, "tensors": rows}, f, separators=(",", ":"))
    for k, v in got.items():
        print(k, tuple(v.shape), float(v.abs().max()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
