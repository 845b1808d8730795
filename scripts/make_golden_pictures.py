#!/usr/bin/env python3
"""Expected values of tests/golden/test_golden_pictures.c: pictures from pictures, by diffusers' pipelines, k-diffusion
and torch, on the toy that make_golden_sampler.py describes.

The picture and the mask are made from formulas on both sides. Latents are stored as [row, column, channel].

usage: make_golden_pictures.py [OUT_FILE]   (default tests/golden/sampler/pictures.safetensors; needs torch, diffusers,
transformers, k-diffusion, torchsde, Pillow)
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import make_golden_sampler as toy  # noqa: E402  (sets ATEN_CPU_CAPABILITY before torch is there)

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "tests", "golden", "sampler",
                                                         "pictures.safetensors")
W, H, STEPS, SEED = 24, 16, 10, 42      # ten steps: the model's times are whole numbers, 999, 888, ...
SCALE = toy.VAE["scaling_factor"]
got = {}


def picture(w, h):
    y, x, c = np.mgrid[0:h, 0:w, 0:3]
    return ((x * 11 + y * 23 + c * 71 + x * y % 17 * 5) % 256).astype(np.uint8)


def mask(w, h):
    y, x = np.mgrid[0:h, 0:w]
    return np.where((x >= 9) & (y >= 5), 255, 0).astype(np.uint8)


def keep(name, t):
    got[name] = toy.nhwc(t)
    print(name, tuple(got[name].shape), float(t.abs().max()))


def build(channels):
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel
    narrow = toy.spread
    first = narrow("conv_in.weight", [toy.UNET["block_out_channels"][0], 4, 3, 3])
    toy.spread = lambda name, shape: first if name == "conv_in.weight" and channels == 9 else narrow(name, shape)
    unet = UNet2DConditionModel(**dict(toy.UNET, in_channels=channels)).eval()
    toy.fill(unet, "unet", toy.unet_ldm, lambda n, s: "f16" if len(s) == 4 else "f32")
    toy.spread = narrow
    vae = AutoencoderKL(**toy.VAE).eval()
    text = CLIPTextModel(CLIPTextConfig(**toy.TEXT)).eval()
    stem = "" if any(k.startswith("text_model.") for k in text.state_dict()) else "text_model."
    toy.fill(vae, "vae", toy.vae_ldm, lambda n, s: "f32")
    toy.fill(text, "text_encoder", lambda n: n, lambda n, s: "f16" if "token_embedding" in n else "f32", stem)
    return unet, vae, text


def diffusers_pipelines(unet, nine, vae, states):
    """Euler: its levels and k-diffusion's are the same at whole times."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline
    parts = dict(vae=vae, text_encoder=None, tokenizer=None, safety_checker=None, feature_extractor=None,
                 scheduler=EulerDiscreteScheduler(**toy.SCHEDULER, timestep_spacing="linspace"),
                 requires_safety_checker=False)
    common = dict(image=Image.fromarray(picture(W, H)), prompt_embeds=states[:1], negative_prompt_embeds=states[1:],
                  num_inference_steps=STEPS, guidance_scale=7.0, output_type="latent")

    def run(kind, net, **kw):
        p = kind(unet=net, **parts)
        p.set_progress_bar_config(disable=True)
        return p(generator=torch.Generator().manual_seed(SEED), **common, **kw).images

    for strength in (0.55, 1.0):
        keep(f"img2img.{strength:g}", run(StableDiffusionImg2ImgPipeline, unet, strength=strength))
        area = dict(mask_image=Image.fromarray(mask(W, H)), height=H, width=W, strength=strength)
        keep(f"inpaint.{strength:g}", run(StableDiffusionInpaintPipeline, unet, **area))
        keep(f"inpaint9.{strength:g}", run(StableDiffusionInpaintPipeline, nine, **area))


def guided(unet, states):
    from k_diffusion import external
    s = toy.SCHEDULER
    betas = torch.linspace(s["beta_start"] ** 0.5, s["beta_end"] ** 0.5, 1000, dtype=torch.float64) ** 2

    class Noise(external.DiscreteEpsDDPMDenoiser):
        def get_eps(self, x, t, cond):
            return unet(x, t, encoder_hidden_states=cond).sample

    model = Noise(unet, torch.cumprod(1 - betas, 0).float(), quantize=False)

    def denoise(x, sigma):
        good, bad = model(torch.cat([x, x]), torch.cat([sigma, sigma]), cond=states).chunk(2)
        return bad + 7.0 * (good - bad)

    return model, denoise


def pixels(array):
    return torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255 * 2 - 1


def encode(vae, array, g):
    p = vae.encode(pixels(array)).latent_dist
    return (p.mean + p.std * torch.randn(p.mean.shape, generator=g)) * SCALE


def middle_sigmas(unet, vae, states):
    """k-diffusion's solvers over the last six of ten levels."""
    from k_diffusion import sampling
    model, denoise = guided(unet, states)
    sigmas = model.get_sigmas(STEPS)[STEPS - 6:]
    for name in ("euler_ancestral", "heun", "lms", "dpm_2", "dpm_2_ancestral", "dpmpp_2m", "dpmpp_2s_ancestral",
                 "dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde", "dpm_fast"):
        g = torch.Generator().manual_seed(SEED)
        z = encode(vae, picture(W, H), g)
        x = z + torch.randn(z.shape, generator=g) * sigmas[0]
        kw = {"disable": True}
        if name.endswith("sde"):
            kw["noise_sampler"] = sampling.BrownianTreeNoiseSampler(x, sigmas[sigmas > 0].min(), sigmas.max(), seed=SEED)
        elif "ancestral" in name:
            kw["noise_sampler"] = lambda a, b: torch.randn(x.shape, generator=g)
        levels = (sigmas[-2], sigmas[0], 6) if name == "dpm_fast" else (sigmas,)
        if name.startswith("dpm_2"):    # which A1111 and we give levels without the last but one
            levels = (torch.cat([model.get_sigmas(STEPS + 1)[:-2], torch.zeros(1)])[STEPS - 6:],)
            x = z + (x - z) / sigmas[0] * levels[0][0]
        keep("middle." + name, getattr(sampling, "sample_" + name)(denoise, x, *levels, **kw))


def slerp(share, a, b):
    """AUTOMATIC1111's: over tensors [channel, row, column] it takes norms and angles along the rows."""
    dot = (a / a.norm(dim=1, keepdim=True) * (b / b.norm(dim=1, keepdim=True))).sum(1, keepdim=True)
    angle = torch.acos(dot)
    return (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)


def bent_runs(unet, vae, states):
    """Variations, hires fix, circular padding, decoding in tiles."""
    from k_diffusion import sampling
    model, denoise = guided(unet, states)
    sigmas = model.get_sigmas(4)
    noise = lambda seed, h=8, w=12: torch.randn(4, h, w, generator=torch.Generator().manual_seed(seed))
    euler = lambda x, s: sampling.sample_euler(denoise, x, s, disable=True)
    keep("variation", euler(slerp(0.3, noise(SEED), noise(7))[None] * sigmas[0], sigmas))

    first = euler(noise(SEED)[None] * sigmas[0], sigmas)
    again = model.get_sigmas(STEPS)[STEPS - 5:]
    large = torch.nn.functional.interpolate(first, size=(12, 18), mode="bilinear", antialias=False)
    keep("hires.latent", euler(large + noise(SEED, 12, 18)[None] * again[0], again))
    px = ((vae.decode(first / SCALE).sample / 2 + 0.5).clamp(0, 1) * 255).round()[0].permute(1, 2, 0)
    up = np.array(Image.fromarray(px.numpy().astype(np.uint8)).resize((36, 24), Image.LANCZOS))
    g = torch.Generator().manual_seed(SEED)
    z = encode(vae, up, g)
    keep("hires.pixels", euler(z + torch.randn(z.shape, generator=g) * again[0], again))

    vae.enable_tiling()
    vae.tile_latent_min_size, vae.tile_sample_min_size = 4, 8
    keep("tiled", (vae.decode(first / SCALE).sample / 2 + 0.5).clamp(0, 1) * 255)
    vae.disable_tiling()
    for m in [*unet.modules(), *vae.modules()]:
        if isinstance(m, torch.nn.Conv2d):
            m.padding_mode = "circular"
    x = euler(noise(SEED)[None] * sigmas[0], sigmas)
    keep("circular", x)
    keep("circular.pixels", (vae.decode(x / SCALE).sample / 2 + 0.5).clamp(0, 1) * 255)


def regions():
    """[width, height, the white rectangle's x0, y0, x1, y1, sides to make, padding, and the region] a row."""
    from diffusers.image_processor import VaeImageProcessor
    rows = []
    for w, h, box, to, pad in ((100, 80, (40, 30, 60, 50), (512, 512), 8), (100, 80, (0, 0, 10, 70), (512, 512), 0),
                               (100, 80, (90, 5, 100, 9), (512, 256), 32), (37, 91, (3, 80, 30, 91), (768, 512), 5),
                               (640, 480, (100, 100, 101, 101), (512, 512), 32), (50, 50, (0, 0, 50, 50), (512, 256), 4)):
        m = Image.new("L", (w, h))
        m.paste(255, box)
        rows.append([w, h, *box, *to, pad, *VaeImageProcessor.get_crop_region(m, *to, pad=pad)])
    got["regions"] = torch.tensor(rows)
    got["grey"] = torch.from_numpy(np.array(Image.fromarray(picture(W, H)).convert("L")))


def main():
    from transformers import CLIPTextModel  # noqa: F401
    with torch.no_grad():
        unet, vae, text = build(4)
        nine, _, _ = build(9)
        states = torch.cat([text(toy.ids_of(t)).last_hidden_state for t in (toy.PROMPT, toy.NEGATIVE)])
        diffusers_pipelines(unet, nine, vae, states)
        middle_sigmas(unet, vae, states)
        regions()
        bent_runs(unet, vae, states)
    save_file({k: np.ascontiguousarray(v.float().numpy()) for k, v in got.items()}, OUT)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
