"""Writes config.json, vocab.txt and model.safetensors, in f32 and in 8-bit.

Surprising: a scale a little smaller than max/127 is often better; each output channel's
scale is searched for the least squared error.

usage: export.py MODEL.pt VOCAB_FOLDER OUT_F32 OUT_8BIT [--fits CALIBRATION.json] [--data DATA]
--data: biases of the convolutions take up the mean error of the rounding, measured on 48 training pictures.
"""
import argparse
import hashlib
import json
import os
import shutil

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import data
import heads
import net
import words


def flat(model):
    """The model's weights under the names the C program reads."""
    out = {}

    def add(name, m):
        out[name + ".weight"] = m.weight.data.float()
        if getattr(m, "bias", None) is not None:
            out[name + ".bias"] = m.bias.data.float()

    im, tx, ih, th = model.image, model.text, model.image_head, model.text_head
    add("image.stem", im.stem)
    for i, b in enumerate(im.blocks):
        for part in ("expand", "dw", "project"):
            if getattr(b, part) is not None:
                add(f"image.blocks.{i}.{part}", getattr(b, part))
    add("image.head", im.head)
    add("image.classifier", im.classifier)
    out["image_head.mean"], out["image_head.inv"] = ih.mean.data.float(), ih.inv.data.float()
    for part in ("linear", "fc1", "fc2"):
        add("image_head." + part, getattr(ih, part))
        if getattr(th, part) is not None:
            add("text_head." + part, getattr(th, part))
    out["image_head.names.weight"] = ih.names.data.float()
    if ih.attn is not None:
        w = ih.attn["token"].weight.data.float() * ih.inv.data                    # standardising folded in
        out["image_head.token.weight"] = w
        out["image_head.token.bias"] = ih.attn["token"].bias.data.float() - w @ ih.mean.data
        for a, b in (("norm", "token_norm"), ("query", "query"), ("v", "value"), ("o", "out")):
            add("image_head." + b, ih.attn[a])
    add("text.embeddings.word", tx.word)
    add("text.embeddings.position", tx.position)
    add("text.embeddings.norm", tx.norm)
    for i, layer in enumerate(tx.layers):
        for part in ("q", "k", "v", "o", "fc1", "fc2", "attn_norm", "ffn_norm"):
            add(f"text.layers.{i}.{part}", getattr(layer, part))
    return {k: v.contiguous().clone() for k, v in out.items()}


def quantise(w):
    """Symmetric 8-bit over dim 0: (q, scale), the scale of least squared error among 24."""
    m = w.reshape(w.shape[0], -1)
    top = m.abs().amax(1).clamp_min(1e-12)
    best, scale = torch.full_like(top, float("inf")), top / 127
    for f in torch.linspace(0.70, 1.0, 24):
        s = top * f / 127
        e = ((m / s[:, None]).round().clamp(-127, 127) * s[:, None] - m).pow(2).sum(1)
        better = e < best
        best, scale = torch.where(better, e, best), torch.where(better, s, scale)
    q = (m / scale[:, None]).round().clamp(-127, 127).to(torch.int8).view(w.shape)
    return q, scale.float()


def eight_bit(name):
    """Matrices, convolutions, tables; depthwise convolutions and the stem stay f16 (50 kB in all cost nothing)."""
    return name.endswith(".weight") and "norm" not in name and ".dw." not in name and "stem" not in name and "position" not in name


def load(w, name):
    """A tensor of the 8-bit file as f32."""
    v = w[name].float()
    return v * w[name + ".scale"].view(-1, *[1] * (v.dim() - 1)) if name + ".scale" in w else v


def correct_biases(full, small, pictures):
    """Runs both image towers side by side and moves each 8-bit layer's bias by its mean error."""
    def conv(x, y, name, stride=1, relu=True):
        out = []
        for w, v in (({k: full[k] for k in (name + ".weight", name + ".bias")}, x), (small, y)):
            m = net.Conv(v.shape[1], 1, full[name + ".weight"].shape[2], stride, full[name + ".weight"].shape[1] == 1 and v.shape[1] > 1)
            m.weight.data, m.bias.data = load(w, name + ".weight"), load(w, name + ".bias")
            out.append(m(v))
        error = (out[0] - out[1]).mean((0, 2, 3))
        small[name + ".bias"] = (load(small, name + ".bias") + error).half()
        out[1] = out[1] + error.view(1, -1, 1, 1)
        return [F.relu6(o) if relu else o for o in out]

    with torch.no_grad():
        x, y = conv(pictures, pictures, "image.stem", 2)
        for i, (k, s, cin, cout, e) in enumerate(net.BLOCKS):
            p = f"image.blocks.{i}."
            a, b = conv(x, y, p + "expand") if e > 1 else (x, y)
            a, b = conv(*conv(a, b, p + "dw", s), p + "project", relu=False)
            x, y = (x + a, y + b) if s == 1 and cin == cout else (a, b)
        conv(x, y, "image.head")


def config(model, vocab_size, fits):
    size, blocks = 260, []
    pads = {"stem": net.same_pad(size, 3, 2)}
    size = 130
    for k, s, i, o, e in net.BLOCKS:
        blocks.append({"expand": i * e if e > 1 else 0, "kernel": k, "stride": s, "in": i, "out": o, "residual": s == 1 and i == o,
                       "pad": list(net.same_pad(size, k, s)), "size": size})
        size = -(-size // s)
    ih, th = model.image_head, model.text_head
    return {
        "architectures": ["EideticStarter"], "model_type": "eidetic_starter", "embed_dim": 384,
        "logit_scale": float(model.scale.exp().clamp(max=100)), "logit_bias": 0,
        "image": {"arch": "efficientnet_lite", "image_size": 260, "resize": "shortest", "interpolation": "bicubic",
                  "mean": [127, 127, 127], "std": [128, 128, 128], "activation": "relu6", "stem": {"kernel": 3, "stride": 2, "in": 3, "out": 32,
                  "pad": list(pads["stem"])}, "blocks": blocks, "head_channels": 1280, "classes": 1000, "padding":
                  "same: pad [before, after] zeros on both axes as listed (size = the block's input side); after = the odd one"},
        "text": {"arch": "bert", "layers": 6, "heads": 12, "hidden": 384, "intermediate": 1536, "max_tokens": words.MAX,
                 "vocab_size": vocab_size, "layer_norm_eps": 1e-12, "activation": "gelu_erf", "lower_case": True, "pooling": "mean"},
        "heads": {"image": {"mlp": ih.fc1.out_features, "layer_norm_eps": 1e-5, "activation": "gelu_erf",
                            "softmax_scale": float(ih.temp.exp()), "attention": None if ih.attn is None else
                            {"heads": ih.attn["query"].out_features, "layer_norm_eps": 1e-5}},
                  "text": {"mlp": th.fc1.out_features if th.fc1 is not None else 0, "layer_norm_eps": 1e-5, "activation": "gelu_erf"}},
        "fits": fits}


def main():
    p = argparse.ArgumentParser()
    for a in ("model", "vocab", "f32", "i8", "--fits", "--data"):
        p.add_argument(a)
    a = p.parse_args()
    vocab, f32, i8 = a.vocab, a.f32, a.i8
    fits = json.load(open(a.fits)) if a.fits else None
    torch.set_num_threads(2)
    w = torch.load(a.model)
    o = w["options"]
    model = heads.Starter(net.ImageTower(), net.TextTower(len(w["model"]["text.word.weight"]), words.MAX),
                          attn=o["attn"], mlp=o["mlp"], tmlp=o["tmlp"])
    model.load_state_dict(w["model"])
    tensors = flat(model)
    meta = {"format": "pt", "eidetic.kind": "starter"}
    for folder in (f32, i8):
        os.makedirs(folder, exist_ok=True)
        shutil.copyfile(vocab + "/vocab.txt", folder + "/vocab.txt")
        with open(folder + "/config.json", "w") as f:
            json.dump(config(model, len(tensors["text.embeddings.word.weight"]), fits), f, indent=1)
            f.write("\n")
    save_file(tensors, f32 + "/model.safetensors", dict(meta))
    meta["eidetic.source_id"] = hashlib.sha256(open(f32 + "/model.safetensors", "rb").read()).hexdigest()
    small = {}
    for name, v in tensors.items():
        if eight_bit(name):
            small[name], small[name + ".scale"] = quantise(v)
        else:
            small[name] = v.half() if ".dw." in name or "stem.weight" in name or "position" in name else v
            if v.dim() == 1 and name != "image_head.inv":
                small[name] = v.half()
    if a.data:
        pics, files = data.Pictures(a.data, "captioned"), [f for f, _ in data.captioned(a.data, "train")][::127][:48]
        correct_biases(tensors, small, torch.from_numpy(np.stack([data.as_input(data.cut(pics.open(f), "squash")) for f in files])))
    save_file(small, i8 + "/model.safetensors", meta)
    for folder in (f32, i8):
        os.chmod(folder + "/model.safetensors", 0o644)
    for folder in (f32, i8):
        print(folder, sum(os.path.getsize(os.path.join(folder, n)) for n in os.listdir(folder)), "bytes")


if __name__ == "__main__":
    main()
