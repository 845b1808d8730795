#!/usr/bin/env python3
"""Expected values of tests/golden/test_golden_zero_snr.c: noise levels that end in noise alone (Lin et al. 2024) and
guidance that is rescaled, by diffusers' schedulers and its pipeline, on the toy that make_golden_sampler.py describes.

usage: make_golden_zero_snr.py [OUT_FILE]   (default tests/golden/sampler/zero_snr.safetensors; needs torch, diffusers,
transformers, open_clip)
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import make_golden_sampler as toy  # noqa: E402  (sets ATEN_CPU_CAPABILITY before torch is there)
import make_golden_pictures as pictures  # noqa: E402

import numpy as np
import torch
from safetensors.numpy import save_file

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(toy.OUT, "zero_snr.safetensors")
STEPS, SEED = 5, 42           # of 1000: where they do not divide it, diffusers' DDIM steps to levels that are not its next
CONFIG = dict(toy.SCHEDULER, prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing")


def main():
    from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline
    from transformers import CLIPTextModel  # noqa: F401
    got = {}
    with torch.no_grad():
        unet, vae, text = pictures.build(4)
        states = torch.cat([text(toy.ids_of(t)).last_hidden_state for t in (toy.PROMPT, toy.NEGATIVE)])
        euler = EulerDiscreteScheduler(**CONFIG)
        got["sigmas.table"] = ((1 - euler.alphas_cumprod) / euler.alphas_cumprod) ** 0.5
        for n in (6, 7, 20, 30):
            euler.set_timesteps(n)
            got[f"sigmas.{n}"] = euler.sigmas
        ddim = DDIMScheduler(**CONFIG, clip_sample=False)
        ddim.alphas_cumprod[-1] = 2 ** -24   # as diffusers' Euler has it: its DDIM has 0 there, which we have no level for
        for name, scheduler, rescale in (("euler", euler, 0.0), ("euler.rescaled", euler, 0.7), ("ddim", ddim, 0.0)):
            p = StableDiffusionPipeline(unet=unet, vae=vae, text_encoder=None, tokenizer=None, safety_checker=None,
                                        feature_extractor=None, scheduler=scheduler, requires_safety_checker=False)
            p.set_progress_bar_config(disable=True)
            out = p(prompt_embeds=states[:1], negative_prompt_embeds=states[1:], height=16, width=24,
                    num_inference_steps=STEPS, guidance_scale=7.0, guidance_rescale=rescale, output_type="latent",
                    generator=torch.Generator().manual_seed(SEED)).images
            got[name] = toy.nhwc(out)
            print(name, float(out.abs().max()))
    save_file({k: np.ascontiguousarray(v.float().numpy()) for k, v in got.items()}, OUT)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
