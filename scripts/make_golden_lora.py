#!/usr/bin/env python3
"""Expected values of tests/golden/test_golden_lora.c: the toy of make_golden_sampler.py with LoRAs added to it.

Files in kohya's, diffusers' and peft's names are loaded by diffusers and peft themselves; for LyCORIS' forms its own
package computes each matrix' difference, which is then added to the weight. No weights are stored: lora.json lists
each file's tensors, and both sides make them from their names, as make_golden_clip.py explains.

usage: make_golden_lora.py [OUT_DIR]   (default tests/golden/sampler; needs what make_golden_sampler.py needs, peft,
lycoris-lora)
"""
import json
import os
import sys

os.environ["LYCORIS_BACKEND"] = "torch"

import numpy as np
import torch
from safetensors.numpy import save_file

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import make_golden_sampler as toy  # noqa: E402
from make_golden_clip import uniform  # noqa: E402

OUT = toy.OUT
TE, UNET = 0.75, 0.9                       # strengths in the test's prompts: <lora:NAME:0.75:0.9>
KINDS = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def networks():
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel
    torch.manual_seed(0)
    unet, vae = UNet2DConditionModel(**toy.UNET).eval(), AutoencoderKL(**toy.VAE).eval()
    text = CLIPTextModel(CLIPTextConfig(**toy.TEXT)).eval()
    stem = "" if any(k.startswith("text_model.") for k in text.state_dict()) else "text_model."
    toy.fill(unet, "unet", toy.unet_ldm, lambda n, s: "f16" if len(s) == 4 else "f32")
    toy.fill(vae, "vae", toy.vae_ldm, lambda n, s: "f32")
    toy.fill(text, "text_encoder", lambda n: n, lambda n, s: "f16" if "token_embedding" in n else "f32", stem)
    return unet, vae, text, stem


def modules(unet, text, stem):
    """(part, name, weight's shape) of all linear layers and convolutions."""
    for part, net, before in (("unet", unet, ""), ("text", text, stem)):
        for name, m in net.named_modules():
            if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d)):
                yield part, before + name, tuple(m.weight.shape)


class File:
    def __init__(self, name, kind):
        self.name, self.kind, self.rows, self.state = name, kind, [], {}

    def add(self, key, shape, reach, value=None):
        kind = "f32" if value is not None else self.kind
        if value is None:
            v = torch.from_numpy(uniform(f"lora/{self.name}/{key}", list(shape), 0.0, reach)).to(KINDS[kind])
        else:
            v = torch.tensor(value, dtype=torch.float32)
        self.rows.append([key, list(shape), kind, reach, value])
        self.state[key] = v
        return v.float()


def in_transformer(name):
    return "attentions" in name and not name.endswith("norm")


def kohya(mods):
    f = File("kohya", "f16")
    for part, name, shape in mods:
        if part == "unet" and not in_transformer(name):
            continue
        key = ("lora_unet_" if part == "unet" else "lora_te_") + name.replace(".", "_")
        rank, ones = 4, [1] * (len(shape) - 2)
        f.add(key + ".lora_down.weight", [rank, shape[1]] + ones, 0.3)
        f.add(key + ".lora_up.weight", [shape[0], rank] + ones, 0.3)
        f.add(key + ".alpha", [], 0, 3.0)
    return f


def diffusers_old(mods):
    """lora.down and lora_linear_layer.down, attention only, as diffusers wrote before peft."""
    f = File("diffusers", "f32")
    for part, name, shape in mods:
        if "attn" not in name or (part == "unet" and len(shape) != 2):
            continue
        stem, down, up = ("unet.", ".lora.down", ".lora.up") if part == "unet" else (
            "text_encoder.", ".lora_linear_layer.down", ".lora_linear_layer.up")
        f.add(stem + name + down + ".weight", [3, shape[1]], 0.3)
        f.add(stem + name + up + ".weight", [shape[0], 3], 0.3)
    return f


def peft_new(mods):
    """lora_A and lora_B, on everything, convolutions too."""
    f = File("peft", "bf16")
    for part, name, shape in mods:
        stem = "unet." if part == "unet" else "text_encoder."
        f.add(stem + name + ".lora_A.weight", [4] + list(shape[1:]), 0.15)
        f.add(stem + name + ".lora_B.weight", [shape[0], 4] + [1] * (len(shape) - 2), 0.15)
    return f


def lycoris_forms(mods):
    """All forms in turn; the differences as LyCORIS computes them, scaled by alpha / rank as its modules are when they
    are trained (functional.lokr.diff_weight takes a Tucker core's other side for the rank)."""
    from lycoris.functional import locon, loha, lokr
    f, diff = File("lycoris", "f16"), {}
    for i, (part, name, shape) in enumerate(mods):
        o, c, k = shape[0], shape[1], list(shape[2:])
        key = ("lora_unet_" if part == "unet" else "lora_te_") + name.replace(".", "_")
        taps, r = int(np.prod(k)) if k else 1, 4
        wide, turn = taps > 1, i % 7
        a, b = (2, o // 2), (4 if c % 4 == 0 else 1, c // 4 if c % 4 == 0 else c)
        alpha = 2.0
        if turn == 0:
            down = f.add(key + ".lora_down.weight", [r, c] + ([1, 1] if wide else k), 0.3)
            up = f.add(key + ".lora_up.weight", [o, r] + [1] * len(k), 0.3)
            mid = f.add(key + ".lora_mid.weight", [r, r] + k, 0.4) if wide else None
            d = locon.diff_weight(down, up, mid, gamma=alpha / r)
        elif turn == 1:
            down = f.add(key + ".lora_down.weight", [r, c] + k, 0.3)
            up = f.add(key + ".lora_up.weight", [o, r] + [1] * len(k), 0.3)
            d = locon.diff_weight(down, up, None, gamma=alpha / r)
        elif turn == 2 and wide:
            w1a, w2a = (f.add(f"{key}.hada_w{n}_a", [r, o], 0.5) for n in (1, 2))
            w1b, w2b = (f.add(f"{key}.hada_w{n}_b", [r, c], 0.5) for n in (1, 2))
            t1, t2 = (f.add(f"{key}.hada_t{n}", [r, r] + k, 0.5) for n in (1, 2))
            d = loha.diff_weight(w1b, w1a, w2b, w2a, t1, t2, gamma=alpha / r)
        elif turn in (2, 3):
            w1a, w2a = (f.add(f"{key}.hada_w{n}_a", [o, r], 0.4) for n in (1, 2))
            w1b, w2b = (f.add(f"{key}.hada_w{n}_b", [r, c * taps], 0.4) for n in (1, 2))
            d = loha.diff_weight(w1b, w1a, w2b, w2a, None, None, gamma=alpha / r)
        elif turn == 4:                                            # both sides whole: alpha does not count
            w1 = f.add(key + ".lokr_w1", [a[0], b[0]], 0.3)
            w2 = f.add(key + ".lokr_w2", [a[1], b[1]] + k, 0.3)
            d = lokr._kron_weight(w1, None, None, w2, None, None, None, 1.0)
        elif turn == 5 and wide:
            w1 = f.add(key + ".lokr_w1", [a[0], b[0]], 0.6)
            w2a, w2b = f.add(key + ".lokr_w2_a", [r, a[1]], 0.5), f.add(key + ".lokr_w2_b", [r, b[1]], 0.5)
            t2 = f.add(key + ".lokr_t2", [r, r] + k, 0.5)
            d = lokr._kron_weight(w1, None, None, None, w2a, w2b, t2, alpha / r)
        else:
            w1a, w1b = f.add(key + ".lokr_w1_a", [a[0], r], 0.6), f.add(key + ".lokr_w1_b", [r, b[0]], 0.6)
            w2a, w2b = f.add(key + ".lokr_w2_a", [a[1], r], 0.4), f.add(key + ".lokr_w2_b", [r, b[1]] + k, 0.4)
            d = lokr._kron_weight(None, w1a, w1b, None, w2a, w2b, None, alpha / r)
        f.add(key + ".alpha", [], 0, alpha)
        diff[part, name] = d.reshape(shape)
    return f, diff


def outputs(unet, text):
    x = torch.from_numpy(uniform("sd/x", (2, 6, 10, 4), 0.0, 1.7)).permute(0, 3, 1, 2)
    cond = torch.from_numpy(uniform("sd/context", (2, 9, toy.WIDTH), 0.0, 1.7))
    return {"unet": toy.nhwc(unet(x, torch.tensor([981.0, 3.5]), encoder_hidden_states=cond).sample),
            "text": text(toy.ids_of(toy.PROMPT)).last_hidden_state}


def by_diffusers(files):
    """What diffusers and peft make of these files, at the test's strengths."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline
    unet, vae, text, stem = networks()
    pipe = StableDiffusionPipeline(vae, text, None, unet, EulerDiscreteScheduler(), None, None,
                                   requires_safety_checker=False)
    for f in files:
        pipe.load_lora_weights({k: v.clone().float() for k, v in f.state.items()}, adapter_name=f.name)
    pipe.set_adapters([f.name for f in files], [dict(unet=UNET, text_encoder=TE) for _ in files])
    loaded = {n: sum(1 for m, _ in net.named_modules() if m.endswith("lora_A"))
              for n, net in (("unet", unet), ("text", text))}
    print([f.name for f in files], loaded)
    return outputs(unet, text)


def saved_by_diffusers():
    """A file as diffusers writes it, whose alphas stand in its metadata, and what its networks give then."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict
    unet, vae, text, stem = networks()
    unet.add_adapter(LoraConfig(r=2, lora_alpha=6, target_modules=["to_q", "to_v"], alpha_pattern={
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": 1}))
    text.add_adapter(LoraConfig(r=2, lora_alpha=3, use_rslora=True, target_modules=["q_proj", "v_proj"]))
    for part, net in (("unet", unet), ("text", text)):
        for name, p in net.named_parameters():
            if "lora_" in name:
                p.data = torch.from_numpy(uniform(f"lora/saved/{part}.{name}", tuple(p.shape), 0.0, 0.3))
    folder = os.path.join(OUT, "loras")
    unet_state, text_state = (convert_state_dict_to_diffusers(get_peft_model_state_dict(n)) for n in (unet, text))
    configs = [n.peft_config["default"].to_dict() for n in (unet, text)]
    StableDiffusionPipeline.save_lora_weights(
        folder, unet_lora_layers=unet_state, text_encoder_lora_layers=text_state, weight_name="saved.safetensors",
        unet_lora_adapter_metadata=configs[0], text_encoder_lora_adapter_metadata=configs[1])
    unet, vae, text, stem = networks()
    pipe = StableDiffusionPipeline(vae, text, None, unet, EulerDiscreteScheduler(), None, None,
                                   requires_safety_checker=False)
    pipe.load_lora_weights(folder, weight_name="saved.safetensors", adapter_name="saved")
    pipe.set_adapters(["saved"], [dict(unet=UNET, text_encoder=TE)])
    for net in (unet, text):
        print(sorted({m.scaling["saved"] for m in net.modules() if hasattr(m, "scaling")}))
    return outputs(unet, text)


def plain_differences(f, mods):
    """up . down * alpha / rank, for linear layers of the text tower."""
    out = {}
    for part, name, _ in mods:
        keys = ("lora_te_" + name.replace(".", "_") + ".lora_down.weight",
                "lora_te_" + name.replace(".", "_") + ".lora_up.weight",
                "text_encoder." + name + ".lora_A.weight", "text_encoder." + name + ".lora_B.weight")
        for down, up in (keys[:2], keys[2:]):
            if part == "text" and down in f.state:
                rank = f.state[down].shape[0]
                alpha = float(f.state.get(down[:-len("lora_down.weight")] + "alpha", rank))
                out[part, name] = f.state[up].float() @ f.state[down].float() * (alpha / rank)
    return out


def by_differences(*diffs):
    unet, _, text, stem = networks()
    for part, net in (("unet", unet), ("text", text)):
        weights = dict(net.named_modules())
        for (p, name), d in [x for diff in diffs for x in diff.items()]:
            if p == part:
                m = weights[name[len(stem):] if part == "text" else name]
                m.weight.data += (UNET if part == "unet" else TE) * d
    return outputs(unet, text)


def main():
    unet, _, text, stem = networks()
    mods = list(modules(unet, text, stem))
    files = [kohya(mods), diffusers_old(mods), peft_new(mods)]
    lyco, diff = lycoris_forms(mods)
    got = {}
    with torch.no_grad():
        plain = outputs(unet, text)
        runs = {f.name: by_diffusers([f]) for f in files}
        # with transformers 5 a second adapter resets the first one's text weights: those are added by hand
        runs["both"] = by_diffusers([files[0], files[2]])
        runs["both"]["text"] = by_differences(*(plain_differences(files[i], mods) for i in (0, 2)))["text"]
        runs["lycoris"] = by_differences(diff)
        runs["saved"] = saved_by_diffusers()
    for run, values in runs.items():
        for k, v in values.items():
            got[f"{run}.{k}"] = v
            print(run, k, "largest", float(v.abs().max()), "moved", float((v - plain[k]).abs().max()))
    save_file({k: np.ascontiguousarray(v.float().numpy()) for k, v in got.items()},
              os.path.join(OUT, "lora.safetensors"))
    with open(os.path.join(OUT, "lora.json"), "w") as out:
        json.dump({f.name: f.rows for f in files + [lyco]}, out, separators=(",", ":"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
