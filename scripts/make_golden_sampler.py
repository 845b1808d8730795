#!/usr/bin/env python3
"""Expected values of tests/golden/test_golden_sampler.c, by diffusers, transformers and k-diffusion themselves.

No weights are stored: both sides make them from the tensors' names, as make_golden_clip.py explains. sd.json lists
every tensor under both names (diffusers' and the single file's), and the names were put through diffusers' own
converter, so that the C table is checked against it. sd.safetensors holds what each block must give.

usage: make_golden_sampler.py [OUT_DIR]   (default tests/golden/sampler; needs torch, diffusers, transformers,
k-diffusion, open_clip)
"""
import json
import os
import sys
import types

os.environ["ATEN_CPU_CAPABILITY"] = "avx2"       # which of torch's normals: that of most machines
sys.modules["clip"] = types.ModuleType("clip")   # k-diffusion imports it for a metric, not for sampling

import numpy as np
import torch
from safetensors.numpy import save_file

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from make_golden_clip import Tap, uniform  # noqa: E402

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "tests", "golden", "sampler")
WIDTH, CONTEXT = 64, 77
PROMPT, NEGATIVE = "a dog on a wooden table", "blurry"

UNET = dict(sample_size=8, in_channels=4, out_channels=4, block_out_channels=[32, 64, 64], layers_per_block=2,
            down_block_types=["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
            up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"], cross_attention_dim=WIDTH,
            attention_head_dim=8)
VAE = dict(block_out_channels=[32, 64], layers_per_block=1, down_block_types=["DownEncoderBlock2D"] * 2,
           up_block_types=["UpDecoderBlock2D"] * 2, latent_channels=4, scaling_factor=0.18215)
TEXT = dict(hidden_size=WIDTH, intermediate_size=160, num_hidden_layers=3, num_attention_heads=1, vocab_size=49408,
            max_position_embeddings=CONTEXT, hidden_act="quick_gelu", eos_token_id=49407)
SCHEDULER = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000,
                 prediction_type="epsilon")


def spread(name, shape):
    if len(shape) == 1:
        return (1.0, 0.3) if "norm" in name and name.endswith("weight") else (0.0, 0.3)
    if name.startswith("text_model.embeddings"):
        return 0.0, 0.6
    return 0.0, float(np.sqrt(3.0 / np.prod(shape[1:])))


def unet_ldm(name):
    """LDM's name: blocks are numbered in one row, a level's resampling counted as one."""
    n = UNET["layers_per_block"]
    res = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
           "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
    p = name.split(".")
    if p[0] == "time_embedding":
        return ".".join(["time_embed", {"linear_1": "0", "linear_2": "2"}[p[1]], p[2]])
    if p[0] in ("conv_in", "conv_norm_out", "conv_out"):
        return {"conv_in": "input_blocks.0.0.", "conv_norm_out": "out.0.", "conv_out": "out.2."}[p[0]] + p[1]
    if p[0] == "mid_block":
        if p[1] == "attentions":
            return ".".join(["middle_block.1"] + p[3:])
        return ".".join(["middle_block", {"0": "0", "1": "2"}[p[2]], res[p[3]], p[4]])
    i, j = int(p[1]), int(p[3])
    if p[2] == "downsamplers":
        return f"input_blocks.{(i + 1) * (n + 1)}.0.op.{p[5]}"
    if p[2] == "upsamplers":
        slot = 2 if UNET["up_block_types"][i].startswith("Cross") else 1
        return f"output_blocks.{i * (n + 1) + n}.{slot}.conv.{p[5]}"
    block = f"input_blocks.{1 + i * (n + 1) + j}" if p[0] == "down_blocks" else f"output_blocks.{i * (n + 1) + j}"
    if p[2] == "resnets":
        return f"{block}.0.{res[p[4]]}.{p[5]}"
    return ".".join([block, "1"] + p[4:])


def vae_ldm(name):
    levels = len(VAE["block_out_channels"])
    part = {"conv_shortcut": "nin_shortcut", "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v"}
    p = name.replace("to_out.0", "proj_out").split(".")
    if p[1] in ("down_blocks", "up_blocks"):
        i = int(p[2]) if p[1] == "down_blocks" else levels - 1 - int(p[2])
        side = "down" if p[1] == "down_blocks" else "up"
        if p[3] == "resnets":
            return ".".join([p[0], side, str(i), "block", p[4], part.get(p[5], p[5]), p[6]])
        return ".".join([p[0], side, str(i), side + "sample", "conv", p[6]])
    if p[1] == "mid_block":
        place = f"block_{int(p[3]) + 1}" if p[2] == "resnets" else "attn_1"
        return ".".join([p[0], "mid", place, part.get(p[4], p[4]), p[5]])
    return name.replace("to_out.0", "proj_out").replace("conv_norm_out", "norm_out")


def fill(model, part, ldm, dtype_of, stem=""):
    """Toy weights into the model; the manifest's rows and the single file's tensors."""
    rows, state, single = [], {}, {}
    for name, t in sorted(model.state_dict().items()):
        if not t.dtype.is_floating_point:
            continue
        full, shape = stem + name, list(t.shape)
        middle, reach = spread(full, shape)
        dtype = dtype_of(full, shape)
        v = torch.from_numpy(uniform(f"sd/{part}/{full}", shape, middle, reach))
        state[name] = v.to({"f32": torch.float32, "f16": torch.float16}[dtype]).float()
        other = ldm(full)
        flat = part == "vae" and len(shape) == 2
        rows.append([part, full, other, shape, dtype, middle, reach])
        single[other] = state[name][:, :, None, None] if flat else state[name]
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all("position_ids" in m for m in missing), (missing, unexpected)
    return rows, state, single


def check_names(unet_state, unet_single, vae_state, vae_single, unet_config, vae_config):
    """The single file's names are those that diffusers' converter turns into its own."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
    got = convert_ldm_unet_checkpoint({"model.diffusion_model." + k: v for k, v in unet_single.items()}, unet_config)
    assert got.keys() == unet_state.keys(), sorted(got.keys() ^ unet_state.keys())
    assert all(torch.equal(got[k], unet_state[k]) for k in got)
    got = convert_ldm_vae_checkpoint({"first_stage_model." + k: v for k, v in vae_single.items()}, vae_config)
    assert got.keys() == vae_state.keys(), sorted(got.keys() ^ vae_state.keys())
    assert all(torch.equal(got[k].reshape(vae_state[k].shape), vae_state[k]) for k in got)


def nhwc(t):
    return t.permute(0, 2, 3, 1)


def ids_of(text):
    import open_clip
    ids = open_clip.tokenize([text])
    end = int(ids.argmax())
    ids[0, end:] = 49407                                   # transformers pads with the end token
    return ids


def pipeline(unet, vae, text):
    """Euler with guidance by k-diffusion, as AUTOMATIC1111 runs it; noise of torch's CPU generator."""
    from k_diffusion import external, sampling
    betas = torch.linspace(SCHEDULER["beta_start"] ** 0.5, SCHEDULER["beta_end"] ** 0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0).float()

    class Noise(external.DiscreteEpsDDPMDenoiser):
        def get_eps(self, x, t, cond):
            return unet(x, t, encoder_hidden_states=cond).sample

    class Velocity(external.DiscreteVDDPMDenoiser):
        def get_v(self, x, t, cond):
            return unet(x, t, encoder_hidden_states=cond).sample

    states = torch.cat([text(ids_of(t)).last_hidden_state for t in (PROMPT, NEGATIVE)])

    def run(model):
        def guided(x, sigma):
            good, bad = model(torch.cat([x, x]), torch.cat([sigma, sigma]), cond=states).chunk(2)
            return bad + 7.0 * (good - bad)

        sigmas = model.get_sigmas(4)
        x = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(42)) * sigmas[0]
        return sampling.sample_euler(guided, x, sigmas, disable=True)

    latent = run(Noise(unet, alphas, quantize=False))
    picture = vae.decode(latent / VAE["scaling_factor"]).sample
    return {"pipeline.latent": nhwc(latent), "pipeline.latent.v": nhwc(run(Velocity(unet, alphas, quantize=False))),
            "pipeline.picture": nhwc((picture / 2 + 0.5).clamp(0, 1))}


def main():
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel
    torch.manual_seed(0)
    unet, vae = UNet2DConditionModel(**UNET).eval(), AutoencoderKL(**VAE).eval()
    text = CLIPTextModel(CLIPTextConfig(**TEXT)).eval()
    stem = "" if any(k.startswith("text_model.") for k in text.state_dict()) else "text_model."
    rows_u, state_u, single_u = fill(unet, "unet", unet_ldm, lambda n, s: "f16" if len(s) == 4 else "f32")
    rows_v, state_v, single_v = fill(vae, "vae", vae_ldm, lambda n, s: "f32")
    rows_t, _, _ = fill(text, "text_encoder", lambda n: n, lambda n, s: "f16" if "token_embedding" in n else "f32", stem)
    check_names(state_u, single_u, state_v, single_v, unet.config, vae.config)

    tap, got = Tap(), {}
    tap.out(unet.conv_in, "unet.conv_in")
    for i, b in enumerate(unet.down_blocks):
        tap.out(b, f"unet.down.{i}")
    tap.out(unet.mid_block, "unet.mid")
    for i, b in enumerate(unet.up_blocks):
        tap.out(b, f"unet.up.{i}")
    for half in ("encoder", "decoder"):
        m = getattr(vae, half)
        tap.out(m.mid_block, half + ".mid")
        for i, b in enumerate(m.down_blocks if half == "encoder" else m.up_blocks):
            tap.out(b, f"{half}.{'down' if half == 'encoder' else 'up'}.{i}")
    inner = getattr(text, "text_model", text)
    for i, b in enumerate(inner.encoder.layers):
        tap.out(b, f"text.block.{i}")
    with torch.no_grad():
        # sides that halve to odd ones, two pictures at different times
        x = torch.from_numpy(uniform("sd/x", (2, 6, 10, 4), 0.0, 1.7)).permute(0, 3, 1, 2)
        cond = torch.from_numpy(uniform("sd/context", (2, 9, WIDTH), 0.0, 1.7))
        got["unet.out"] = nhwc(unet(x, torch.tensor([981.0, 3.5]), encoder_hidden_states=cond).sample)
        px = torch.from_numpy(uniform("sd/pixels", (1, 12, 20, 3), 0.0, 1.0)).permute(0, 3, 1, 2)
        got["encoder.out"] = nhwc(vae.encode(px).latent_dist.parameters)
        z = torch.from_numpy(uniform("sd/z", (1, 6, 10, 4), 0.0, 4.0)).permute(0, 3, 1, 2)
        got["decoder.out"] = nhwc(vae.decode(z).sample)
        out = text(ids_of(PROMPT), output_hidden_states=True)
        got["text.final"] = out.last_hidden_state
        got["text.skip2"] = inner.final_layer_norm(out.hidden_states[-2])
        for k, v in tap.got.items():
            got[k] = nhwc(v) if v.ndim == 4 else v
        got["ids"] = ids_of(PROMPT).float()
        tap.got.clear()
        got.update(pipeline(unet, vae, text))
    os.makedirs(OUT, exist_ok=True)
    files = {"unet/config.json": dict(_class_name="UNet2DConditionModel", **UNET),
             "vae/config.json": dict(_class_name="AutoencoderKL", **VAE),
             "text_encoder/config.json": dict(model_type="clip_text_model", **TEXT),
             "scheduler/scheduler_config.json": dict(_class_name="PNDMScheduler", **SCHEDULER),
             "model_index.json": dict(_class_name="StableDiffusionPipeline")}
    save_file({k: np.ascontiguousarray(v.float().numpy()) for k, v in got.items()}, os.path.join(OUT, "sd.safetensors"))
    with open(os.path.join(OUT, "sd.json"), "w") as f:
        rows = ",\n ".join(json.dumps(r, separators=(",", ":")) for r in rows_u + rows_v + rows_t)
        f.write('{"prompt": %s, "negative": %s,\n"files": %s,\n"tensors": [\n %s\n]}\n'
                % (json.dumps(PROMPT), json.dumps(NEGATIVE), json.dumps(files), rows))
    for k, v in sorted(got.items()):
        print(k, tuple(v.shape), float(v.abs().max()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
