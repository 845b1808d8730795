#!/usr/bin/env python3
"""Expected values of tests/golden/test_golden_families.c: the CLIP families beyond the plain ones, by transformers, open_clip
and sentencepiece themselves. Toy weights come from names, as in make_golden_clip.py.

usage: make_golden_families.py [OUT_DIR]        (default tests/golden/clip; needs torch, transformers, open_clip, sentencepiece)
"""
import sys

import torch
import torch.nn.functional as F

from make_golden_clip import MEAN, STD, TEXTS, Tap, fill, mixed, normalise, oc_files, pixels, save, table16


def resnet(case, cfg, weights, files, dtype_of, openai=False, buffers=()):
    import open_clip
    from open_clip.model import CLIP
    m = CLIP(**cfg).eval()
    rows = fill(m, dtype_of, case)
    if openai:
        m = open_clip.model.build_model_from_openai_state_dict({k: v.clone() for k, v in m.state_dict().items()},
                                                               cast_dtype=torch.float32).float().eval()
    size, v = cfg["vision_cfg"]["image_size"], m.visual
    px, tap = pixels(case + "/pixels", 3, size), Tap()
    tap.out(v.avgpool, "image.embed")
    tap.into(v.attnpool, "map")
    for i, stage in enumerate((v.layer1, v.layer2, v.layer3, v.layer4)):
        tap.out(stage, f"image.block.{i}")
    tap.into(m.transformer.resblocks[0], "text.embed")
    for i, b in enumerate(m.transformer.resblocks):
        tap.out(b, f"text.block.{i}")
    tap.out(m.ln_final, "text.final")
    ids = open_clip.get_tokenizer("ViT-B-32")(TEXTS)
    with torch.no_grad():
        x = normalise(px, MEAN, STD)
        tap.got["image.vector"] = F.normalize(m.encode_image(x), dim=-1)
        tap.got["text.vector"] = F.normalize(m.encode_text(ids), dim=-1)
        a = v.attnpool      # before c_proj, which is a part of one function
        t = tap.got.pop("map").flatten(2).permute(2, 0, 1)
        t = torch.cat([t.mean(0, keepdim=True), t]) + a.positional_embedding[:, None]
        q, k, w = (p(t).unflatten(-1, (a.num_heads, -1)).permute(1, 2, 0, 3) for p in (a.q_proj, a.k_proj, a.v_proj))
        tap.got["image.pooled"] = F.scaled_dot_product_attention(q, k, w)[:, :, 0].flatten(1)
        tap.got["logits"] = m.get_logits(x, ids)[0]
    for k, t in tap.got.items():
        if k.startswith("image.") and t.ndim == 4:
            tap.got[k] = t.permute(0, 2, 3, 1).contiguous()
    save(case, {"arch": "open_clip resnet", "texts": TEXTS, "image_size": size, "images": 3, "weights": weights, "files": files,
                "buffers": list(buffers), "tensors": rows}, tap.got, tap.got["text.final"][1])


def resnets():
    cfg = dict(embed_dim=128, vision_cfg=dict(layers=[2, 1, 2, 1], width=4, image_size=64, head_width=32),
               text_cfg=dict(context_length=77, vocab_size=49408, width=32, heads=4, layers=1))
    resnet("resnet", cfg, "open_clip_model.safetensors", oc_files(cfg), table16)
    cfg = dict(embed_dim=64, vision_cfg=dict(layers=[1, 1, 1, 1], width=2, image_size=64),
               text_cfg=dict(context_length=77, vocab_size=49408, width=64, heads=1, layers=1), quick_gelu=True)
    resnet("resnet_openai", cfg, "tiny.safetensors", {}, mixed, openai=True,
           buffers=("input_resolution", "context_length", "vocab_size"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    resnets()
