#!/usr/bin/env python3
"""Expected values of tests/golden/test_golden_clip*.c, by transformers and open_clip themselves.

Surprising: no weights are stored. Every value of every tensor, and every pixel, comes from SplitMix64 seeded
with the FNV-1a hash of its name, here and in tests/golden/clip_toy.h alike; the .json of a case lists names, shapes
and ranges, its .safetensors holds what each block must give.

usage: make_golden_clip.py [OUT_DIR]        (default tests/golden/clip; needs torch, transformers, open_clip, pillow)
"""
import json
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "tests", "golden", "clip")
TEXTS = ["a dog", "two red flowers on a wooden table, seen from above", "", "Zürich by night &amp; rain"]
ROWS = 8     # of each text's states are stored: the rest says nothing new


def stream(name, n):
    seed = 0xCBF29CE484222325
    for b in name.encode():
        seed = ((seed ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(name, shape, middle, reach):
    u = (stream(name, int(np.prod(shape, dtype=np.int64))) >> np.uint64(40)).astype(np.float64) / 2.0 ** 24
    return (middle + reach * (2.0 * u - 1.0)).astype(np.float32).reshape(shape)


def pixels(name, n, size):
    return (stream(name, n * size * size * 3) >> np.uint64(56)).astype(np.uint8).reshape(n, size, size, 3)


def spread(name, shape):
    """(middle, reach): activations of about 1 everywhere, nothing that a bug could hide behind."""
    if "logit_scale" in name:
        return 3.0, 0.1
    if "logit_bias" in name:
        return -5.0, 0.1
    if name.endswith("running_var") or ("bn" in name or "downsample.1." in name) and name.endswith("weight"):
        return 1.0, 0.3
    if "layer_scale" in name:
        return 0.0, 0.5
    if len(shape) == 1 and ("ln" in name or "norm" in name.lower()) and name.endswith("weight"):
        return 1.0, 0.3
    if len(shape) == 1:
        return 0.0, 0.3
    if "embedding" in name and "patch" not in name:
        return 0.0, 0.6
    if "proj" in name.split(".")[-1] and "in_proj" not in name:      # visual.proj, text_projection: [in, out]
        return 0.0, float(np.sqrt(3.0 / shape[0]))
    return 0.0, float(np.sqrt(3.0 / np.prod(shape[1:])))


def fill(model, dtype_of, case):
    """Gives the model its toy weights; returns the manifest's rows."""
    rows, state = [], {}
    for name, t in sorted(model.state_dict().items()):
        if not t.dtype.is_floating_point:
            continue
        shape = list(t.shape)
        middle, reach = spread(name, shape)
        x = uniform(case + "/" + name, shape, middle, reach)
        dtype = dtype_of(name, shape)
        v = torch.from_numpy(x).to({"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[dtype])
        state[name] = v.float()
        rows.append([name, shape, dtype, middle, reach])
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all("attn_mask" in m or "position_ids" in m for m in missing), (missing, unexpected)
    return rows


class Tap:
    """Collects outputs of modules."""

    def __init__(self):
        self.got = {}

    def out(self, module, name):
        def hook(_m, _i, o):
            self.got[name] = (o[0] if isinstance(o, tuple) else o).detach()
        module.register_forward_hook(hook)

    def into(self, module, name):
        module.register_forward_pre_hook(lambda _m, i, k: self.got.__setitem__(name, (i[0] if i else k["q_x"]).detach()),
                                         with_kwargs=True)


def save(case, manifest, got, states):
    os.makedirs(OUT, exist_ok=True)
    out = {}
    for k, v in got.items():
        v = v.float().numpy()
        if k.startswith("text.") and v.ndim == 3:
            v = v[:, :ROWS]
        out[k] = np.ascontiguousarray(v)
    out["states"] = np.ascontiguousarray(states.float().numpy())
    save_file(out, os.path.join(OUT, case + ".safetensors"))
    with open(os.path.join(OUT, case + ".json"), "w") as f:
        f.write("{\n")
        body = [f'"{k}": {json.dumps(v)}' for k, v in manifest.items() if k != "tensors"]
        rows = ",\n ".join(json.dumps(r) for r in manifest["tensors"])
        f.write(",\n".join(body) + ',\n"tensors": [\n ' + rows + "]\n}\n")
    print(case, sum(v.nbytes for v in out.values()), "bytes")


def normalise(px, mean, std):
    x = torch.from_numpy(px).permute(0, 3, 1, 2).float() / 255.0
    return (x - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)


MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def hf_tokens():
    """CLIPTokenizer over open_clip's merges: the same pieces as openai/clip-vit-*'s files."""
    import open_clip
    from transformers import CLIPTokenizer
    tok = open_clip.tokenizer.SimpleTokenizer()
    merges = sorted(tok.bpe_ranks, key=tok.bpe_ranks.get)
    t = CLIPTokenizer(vocab=dict(tok.encoder), merges=[tuple(m) for m in merges], unk_token="<|endoftext|>")
    if t.bos_token_id != 49406:
        t = CLIPTokenizer(vocab={k.replace("<start_of_text>", "<|startoftext|>").replace("<end_of_text>", "<|endoftext|>"): v
                                 for k, v in tok.encoder.items()}, merges=[tuple(m) for m in merges])
    assert (t.bos_token_id, t.eos_token_id) == (49406, 49407)
    return t(TEXTS, padding="max_length", max_length=77, truncation=True, return_tensors="pt")["input_ids"]


def hf(case, text, vision, dim, dtype_of, config_edit=None):
    from transformers import CLIPConfig, CLIPModel
    cfg = CLIPConfig(text_config=dict(text, projection_dim=dim), vision_config=dict(vision, projection_dim=dim),
                     projection_dim=dim)
    m = CLIPModel(cfg).eval()
    rows = fill(m, dtype_of, case)
    px = pixels(case + "/pixels", 3, vision["image_size"])
    tap = Tap()
    tap.out(m.vision_model.pre_layrnorm, "image.embed")
    for i, b in enumerate(m.vision_model.encoder.layers):
        tap.out(b, f"image.block.{i}")
    tap.out(m.vision_model.post_layernorm, "image.pooled")
    tap.out(m.text_model.embeddings, "text.embed")
    for i, b in enumerate(m.text_model.encoder.layers):
        tap.out(b, f"text.block.{i}")
    tap.out(m.text_model.final_layer_norm, "text.final")
    ids = hf_tokens()
    with torch.no_grad():
        o = m(input_ids=ids, pixel_values=normalise(px, MEAN, STD))
    tap.got["image.vector"], tap.got["text.vector"] = o.image_embeds, o.text_embeds
    tap.got["logits"] = o.logits_per_image
    conf = json.loads(cfg.to_json_string(use_diff=False))
    keep = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act", "layer_norm_eps",
            "image_size", "patch_size", "vocab_size", "max_position_embeddings", "eos_token_id")
    conf = {"model_type": "clip", "projection_dim": dim,
            **{s: {k: v for k, v in conf[s].items() if k in keep} for s in ("text_config", "vision_config")}}
    if config_edit:
        config_edit(conf)
    pre = {"size": {"shortest_edge": vision["image_size"]}, "crop_size": vision["image_size"], "resample": 3,
           "image_mean": MEAN, "image_std": STD}
    save(case, {"arch": "hf clip vit", "texts": TEXTS, "image_size": vision["image_size"], "images": 3,
                "weights": "model.safetensors", "files": {"config.json": conf, "preprocessor_config.json": pre},
                "tensors": rows}, tap.got, tap.got["text.final"][1])


def open_clip_case(case, cfg, weights, files, dtype_of, custom_text=False, buffers=(), openai=False):
    import open_clip
    from open_clip.model import CLIP, CustomTextCLIP
    m = (CustomTextCLIP if custom_text else CLIP)(**cfg).eval()
    rows = fill(m, dtype_of, case)
    if openai:      # the same weights through the loader of OpenAI's own files
        state = {k: v.clone() for k, v in m.state_dict().items()}
        m = open_clip.model.build_model_from_openai_state_dict(state, cast_dtype=torch.float32).float().eval()
    size = cfg["vision_cfg"]["image_size"]
    px = pixels(case + "/pixels", 3, size)
    tap = Tap()
    v, t = m.visual, (m.text if custom_text else m)
    tap.into(v.transformer.resblocks[0], "image.embed")
    for i, b in enumerate(v.transformer.resblocks):
        tap.out(b, f"image.block.{i}")
    tap.into(t.transformer.resblocks[0], "text.embed")
    for i, b in enumerate(t.transformer.resblocks):
        tap.out(b, f"text.block.{i}")
    tap.out(t.ln_final, "text.final")
    ids = open_clip.get_tokenizer("ViT-B-32")(TEXTS)
    with torch.no_grad():
        x = normalise(px, MEAN, STD)
        tap.got["image.vector"] = F.normalize(m.encode_image(x), dim=-1)
        tap.got["text.vector"] = F.normalize(m.encode_text(ids), dim=-1)
        tap.got["image.pooled"] = v._pool(tap.got[f"image.block.{len(v.transformer.resblocks) - 1}"])[0]
        tap.got["logits"] = m.get_logits(x, ids)[0]
    save(case, {"arch": "open_clip vit", "texts": TEXTS, "image_size": size, "images": 3, "weights": weights, "files": files,
                "buffers": list(buffers), "tensors": rows}, tap.got, tap.got["text.final"][1])


def openai_odd(case):
    """Widths that 64 does not divide, of which OpenAI's loader makes heads by rounding down; vectors alone."""
    import open_clip
    cfg = dict(embed_dim=24, vision_cfg=dict(layers=1, width=160, patch_size=16, image_size=32, head_width=80),
               text_cfg=dict(context_length=77, vocab_size=49408, width=160, heads=2, layers=1), quick_gelu=True)
    m = open_clip.model.CLIP(**cfg).eval()
    rows = fill(m, mixed, case)
    m = open_clip.model.build_model_from_openai_state_dict({k: v.clone() for k, v in m.state_dict().items()},
                                                           cast_dtype=torch.float32).float().eval()
    got, ids = {}, open_clip.get_tokenizer("ViT-B-32")(TEXTS)
    with torch.no_grad():
        got["image.vector"] = F.normalize(m.encode_image(normalise(pixels(case + "/pixels", 3, 32), MEAN, STD)), dim=-1)
        got["text.vector"] = F.normalize(m.encode_text(ids), dim=-1)
    save(case, {"arch": "open_clip vit", "texts": TEXTS, "image_size": 32, "images": 3, "weights": "tiny.safetensors", "files": {},
                "buffers": ["input_resolution", "context_length", "vocab_size"], "tensors": rows}, got, torch.zeros(1))


def f32(_n, _s):
    return "f32"


def mixed(name, shape):
    """As OpenAI stores it: matrices in half precision, norms in f32."""
    return "f16" if len(shape) >= 2 or "bias" in name and "ln" not in name else "f32"


def table16(name, _s):
    return "f16" if "token_embedding" in name else "f32"


def brain(name, shape):
    return "bf16" if len(shape) >= 2 else "f32"


def oc_files(cfg, custom_text=False, pre=None):
    model = json.loads(json.dumps(cfg))
    model.pop("init_logit_bias", None)
    if custom_text:
        model["custom_text"] = True
    return {"open_clip_config.json": {"model_cfg": model, "preprocess_cfg": pre or {"mean": MEAN, "std": STD}}}


def towers():
    hf("hf_quick", dict(hidden_size=32, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, eos_token_id=2),
       dict(hidden_size=64, intermediate_size=256, num_hidden_layers=3, num_attention_heads=4, image_size=32, patch_size=8),
       24, table16)

    def old_style(c):
        c["text_config_dict"] = c["text_config"]
        c["text_config"] = {"hidden_size": 999, "vocab_size": 49408}
    hf("hf_gelu", dict(hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=3, hidden_act="gelu",
                       layer_norm_eps=1e-6),
       dict(hidden_size=48, intermediate_size=100, num_hidden_layers=2, num_attention_heads=6, image_size=30, patch_size=7,
            hidden_act="gelu_new", layer_norm_eps=1e-6), 40, brain, old_style)
    cfg = dict(embed_dim=24, vision_cfg=dict(layers=2, width=64, patch_size=8, image_size=32, head_width=32, mlp_ratio=3.1),
               text_cfg=dict(context_length=77, vocab_size=49408, width=32, heads=4, layers=2), quick_gelu=True)
    open_clip_case("open_clip_quick", cfg, "open_clip_model.safetensors", oc_files(cfg), table16)
    cfg = dict(embed_dim=32, vision_cfg=dict(layers=2, width=48, patch_size=10, image_size=40, head_width=16, ls_init_value=0.1,
                                             no_ln_pre=True, final_ln_after_pool=True, pool_type="avg",
                                             act_kwargs={"approximate": "tanh"}, norm_kwargs={"eps": 1e-6}),
               text_cfg=dict(context_length=77, vocab_size=49408, width=32, heads=2, layers=2, ls_init_value=0.1, pool_type="last",
                             no_causal_mask=True, act_kwargs={"approximate": "tanh"}, norm_kwargs={"eps": 1e-6}))
    open_clip_case("open_clip_avg", cfg, "open_clip_model.safetensors", oc_files(cfg), table16)
    cfg = dict(embed_dim=32, vision_cfg=dict(layers=2, width=64, patch_size=16, image_size=32, pool_type="avg"),
               text_cfg=dict(context_length=77, vocab_size=49408, width=32, heads=2, layers=2, proj_bias=True, pool_type="eos",
                             eos_id=49407), init_logit_bias=-10.0)
    open_clip_case("open_clip_custom_text", cfg, "open_clip_model.safetensors", oc_files(cfg, True), table16, custom_text=True)
    cfg = dict(embed_dim=32, vision_cfg=dict(layers=2, width=128, patch_size=8, image_size=24),
               text_cfg=dict(context_length=77, vocab_size=49408, width=64, heads=1, layers=2), quick_gelu=True)
    open_clip_case("openai", cfg, "tiny.safetensors", {}, mixed, openai=True,
                   buffers=("input_resolution", "context_length", "vocab_size"))
    cfg = dict(embed_dim=32, vision_cfg=dict(layers=1, width=64, patch_size=8, image_size=24),
               text_cfg=dict(context_length=77, vocab_size=49408, width=64, heads=1, layers=1))
    openai_odd("openai_odd")
    open_clip_case("open_clip_bare", cfg, "tiny.safetensors", {}, table16)


def starter(case, attention):
    """The starter's shape in small, through tools/starter/reference.py."""
    import string
    import tempfile

    from safetensors.torch import save_file as save_torch
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools", "starter"))
    from reference import Reference
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list(string.ascii_lowercase + string.digits + ",.;&") \
        + ["##" + c for c in string.ascii_lowercase + string.digits] + ["flower", "##s", "table", "dog"]
    size, dim = 28, 24
    blocks = [dict(expand=0, kernel=3, stride=1, out=8, residual=True, pad=[1, 1]),
              dict(expand=24, kernel=3, stride=2, out=12, residual=False, pad=[0, 1]),
              dict(expand=40, kernel=5, stride=1, out=12, residual=True, pad=[2, 2]),
              dict(expand=24, kernel=5, stride=2, out=16, residual=False, pad=[2, 2])]
    for a, b in zip([dict(out=8)] + blocks, blocks):
        b["in"] = a["out"]
    conf = {"model_type": "eidetic_starter", "embed_dim": dim, "logit_scale": 20.0, "logit_bias": 0,
            "image": {"image_size": size, "resize": "shortest", "mean": [127] * 3, "std": [128] * 3,
                      "stem": {"kernel": 3, "stride": 2, "in": 3, "out": 8, "pad": [0, 1]}, "blocks": blocks,
                      "head_channels": 48, "classes": 11},
            "text": {"layers": 2, "heads": 2, "hidden": 32, "intermediate": 64, "max_tokens": 20, "vocab_size": len(vocab),
                     "layer_norm_eps": 1e-12},
            "heads": {"image": {"mlp": 40, "layer_norm_eps": 1e-5, "softmax_scale": 1.7,
                                "attention": {"heads": 3, "layer_norm_eps": 1e-5} if attention else None},
                      "text": {"mlp": 28 if attention else 0, "layer_norm_eps": 1e-5}}}
    shapes = {"image.stem.weight": [8, 3, 3, 3], "image.stem.bias": [8], "image.head.weight": [48, 16, 1, 1], "image.head.bias": [48],
              "image.classifier.weight": [11, 48], "image.classifier.bias": [11], "image_head.mean": [48], "image_head.inv": [48],
              "image_head.linear.weight": [dim, 48], "image_head.linear.bias": [dim], "image_head.fc1.weight": [40, 48],
              "image_head.fc1.bias": [40], "image_head.fc2.weight": [dim, 40], "image_head.fc2.bias": [dim],
              "image_head.names.weight": [11, dim], "text.embeddings.word.weight": [len(vocab), 32],
              "text.embeddings.position.weight": [20, 32], "text.embeddings.norm.weight": [32], "text.embeddings.norm.bias": [32],
              "text_head.linear.weight": [dim, 32], "text_head.linear.bias": [dim]}
    if attention:
        shapes.update({"image_head.token.weight": [dim, 48], "image_head.token.bias": [dim], "image_head.token_norm.weight": [dim],
                       "image_head.token_norm.bias": [dim], "image_head.query.weight": [3, dim], "image_head.value.weight": [dim, dim],
                       "image_head.value.bias": [dim], "image_head.out.weight": [dim, dim], "image_head.out.bias": [dim],
                       "text_head.fc1.weight": [28, 32], "text_head.fc1.bias": [28], "text_head.fc2.weight": [dim, 28],
                       "text_head.fc2.bias": [dim]})
    for i, b in enumerate(blocks):
        wide = b["expand"] or b["in"]
        parts = {"dw": [wide, 1, b["kernel"], b["kernel"]], "project": [b["out"], wide, 1, 1]}
        if b["expand"]:
            parts["expand"] = [wide, b["in"], 1, 1]
        for part, shape in parts.items():
            shapes[f"image.blocks.{i}.{part}.weight"], shapes[f"image.blocks.{i}.{part}.bias"] = shape, shape[:1]
    for i in range(2):
        for part, shape in dict(q=[32, 32], k=[32, 32], v=[32, 32], o=[32, 32], fc1=[64, 32], fc2=[32, 64], attn_norm=[32],
                                ffn_norm=[32]).items():
            shapes[f"text.layers.{i}.{part}.weight"], shapes[f"text.layers.{i}.{part}.bias"] = shape, shape[:1]
    rows, weights = [], {}
    for name, shape in sorted(shapes.items()):
        middle, reach = (1.0, 0.3) if name == "image_head.inv" else spread(name, shape)
        dtype = "f16" if ".dw." in name else "f32"
        rows.append([name, shape, dtype, middle, reach])
        v = torch.from_numpy(uniform(case + "/" + name, shape, middle, reach))
        weights[name] = v.half() if dtype == "f16" else v
    px, got = pixels(case + "/pixels", 3, size), {}
    with tempfile.TemporaryDirectory() as d, torch.no_grad():
        save_torch(weights, d + "/model.safetensors")
        json.dump(conf, open(d + "/config.json", "w"))
        open(d + "/vocab.txt", "w").write("\n".join(vocab) + "\n")
        r = Reference(d)
        x = (torch.from_numpy(px).permute(0, 3, 1, 2).float() - 127) / 128
        h = F.relu6(r.conv(x, "image.stem", 2, [0, 1]))
        got["image.embed"] = h.permute(0, 2, 3, 1)
        for i, b in enumerate(blocks):
            y = F.relu6(r.conv(h, f"image.blocks.{i}.expand")) if b["expand"] else h
            y = r.conv(F.relu6(r.conv(y, f"image.blocks.{i}.dw", b["stride"], b["pad"])), f"image.blocks.{i}.project")
            h = h + y if b["residual"] else y
            got[f"image.block.{i}"] = h.permute(0, 2, 3, 1)
        got["image.pooled"] = r.image_map(x).mean(1)
        got["image.vector"], got["text.vector"] = r.images(x), r.texts(TEXTS)
        got["logits"] = 20.0 * got["image.vector"] @ got["text.vector"].T
        ids = torch.tensor([r.ids(TEXTS[1])])
        states = torch.zeros(20, 32)
        states[: ids.shape[1]] = r.text_states(ids, torch.ones_like(ids, dtype=torch.bool))[0]
    save(case, {"arch": "eidetic starter", "texts": TEXTS, "image_size": size, "images": 3, "weights": "model.safetensors",
                "files": {"config.json": conf, "vocab.txt": "\n".join(vocab) + "\n"}, "states": ids.shape[1],
                "tensors": rows}, got, states)


def picture(name, w, h):
    """Smooth and busy parts: noise alone would average out. As toy_picture in tests/golden/toy_picture.h."""
    y, x = np.mgrid[0:h, 0:w]
    noise = (stream("preprocess/" + name, h * w * 3) >> np.uint64(56)).astype(np.int64).reshape(h, w, 3)
    return np.stack([(x * 5 + y * 2) % 256, (x * y) % 256, noise[..., 2]], 2).astype(np.uint8)


def preprocess():
    """A synthetic picture through transformers' and open_clip's transforms: crops of odd margins, each way to fit."""
    import open_clip
    from PIL import Image
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    out = {}
    for name, (w, h) in {"wide": (101, 64), "tall": (47, 90), "small": (20, 23)}.items():
        img = Image.fromarray(picture(name, w, h))
        size = 32
        hf = CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
        out[name + ".hf"] = np.asarray(hf(img, return_tensors="np")["pixel_values"])[0].transpose(1, 2, 0)
        if name == "tall":      # made larger, then cropped
            for how, side in (("larger", {"shortest_edge": 41}), ("larger_squash", {"height": 45, "width": 45})):
                hf = CLIPImageProcessorPil(size=side, crop_size={"height": size, "width": size})
                out[f"{name}.{how}"] = np.asarray(hf(img, return_tensors="np")["pixel_values"])[0].transpose(1, 2, 0)
        for mode in ("shortest", "squash", "longest"):
            tf = open_clip.transform.image_transform(size, False, resize_mode=mode, interpolation="bicubic")
            out[f"{name}.{mode}"] = tf(img).numpy().transpose(1, 2, 0)
        tf = open_clip.transform.image_transform(size, False, resize_mode="squash", interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)
        out[name + ".half"] = tf(img).numpy().transpose(1, 2, 0)
    save_file({k: np.ascontiguousarray(v, dtype=np.float32) for k, v in out.items()}, os.path.join(OUT, "preprocess.safetensors"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    towers()
    starter("starter", True)
    starter("starter_plain", False)
    preprocess()
