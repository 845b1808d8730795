#!/usr/bin/env python3
"""Expected values of tests/golden/test_golden_vae.c for TAESD: diffusers' AutoencoderTiny with toy weights.

No weights are stored: taesd.json lists every tensor, and both sides make them from their names, as make_golden_clip.py
explains. The original's names differ only in what stands before the number, and in the decoder's clamp, which counts.

usage: make_golden_taesd.py [OUT_DIR]   (default tests/golden/sampler; needs what make_golden_sampler.py needs)
"""
import json
import os
import sys

import numpy as np
import torch
from safetensors.numpy import save_file

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import make_golden_sampler as toy  # noqa: E402
from make_golden_clip import uniform  # noqa: E402

TAESD = dict(encoder_block_out_channels=(16, 16), decoder_block_out_channels=(16, 16), num_encoder_blocks=(1, 2),
             num_decoder_blocks=(2, 1), latent_channels=4)


def main():
    from diffusers import AutoencoderTiny
    net = AutoencoderTiny(**TAESD).eval()
    rows, state = [], {}
    for name, t in sorted(net.state_dict().items()):
        shape = list(t.shape)
        reach = float(np.sqrt(3.0 / np.prod(shape[1:]))) if len(shape) > 1 else 0.3
        rows.append([name, shape, reach])
        state[name] = torch.from_numpy(uniform("taesd/" + name, shape, 0.0, reach))
    net.load_state_dict(state)
    with torch.no_grad():
        px = torch.from_numpy(uniform("sd/pixels", (1, 12, 20, 3), 0.0, 1.0)).permute(0, 3, 1, 2)
        z = torch.from_numpy(uniform("sd/z", (1, 6, 10, 4), 0.0, 4.0)).permute(0, 3, 1, 2)
        got = {"encoded": toy.nhwc(net.encode(px).latents), "decoded": toy.nhwc(net.decode(z).sample)}
    save_file({k: np.ascontiguousarray(v.numpy()) for k, v in got.items()}, os.path.join(toy.OUT, "taesd.safetensors"))
    with open(os.path.join(toy.OUT, "taesd.json"), "w") as f:
        json.dump(rows, f, separators=(",", ":"))
    for k, v in got.items():
        print(k, tuple(v.shape), float(v.abs().max()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
