#!/usr/bin/env python3
"""Expected values of tests/golden/test_golden_mobileclip.c: MobileCLIP by open_clip over timm, and Apple's own layout as open_clip
converts it. Toy weights come from names, as in make_golden_clip.py.

usage: make_golden_mobileclip.py [OUT_DIR]        (default tests/golden/clip; needs torch, open_clip, timm)
"""
import re
from functools import partial

import open_clip
import timm
import torch
import torch.nn.functional as F
from open_clip.convert import convert_mobile_clip_state_dict
from open_clip.model import CustomTextCLIP
from timm.layers import HybridEmbed, LayerNorm2d
from timm.models.fastvit import FastVit, RepConditionalPosEnc
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_hybrid import ConvStem

from make_golden_clip import MEAN, STD, TEXTS, Tap, fill, normalise, pixels, save, spread, table16, uniform

PLACES = partial(RepConditionalPosEnc, spatial_shape=(7, 7))


def s_trunk(**kw):
    return FastVit(layers=(1, 2, 1, 1), embed_dims=(8, 16, 32, 64), mlp_ratios=(3, 3, 3, 3), se_downsamples=(False, False, True, True),
                   pos_embs=(None, None, None, PLACES), token_mixers=("repmixer",) * 3 + ("attention",), lkc_use_act=True, **kw)


def s3_trunk(**kw):
    return FastVit(layers=(1,) * 5, embed_dims=(8, 16, 16, 32, 64), mlp_ratios=(2,) * 5, se_downsamples=(False,) * 5,
                   downsamples=(False, True, True, True, True), pos_embs=(None, None, None, PLACES, PLACES),
                   token_mixers=("repmixer",) * 3 + ("attention",) * 2, lkc_use_act=True, norm_layer=partial(LayerNorm2d, eps=1e-5),
                   stem_use_scale_branch=False, inference_mode=True, **kw)


def b_trunk(size, padding=0, **kw):
    stem = ConvStem(channels=(16, 16, 64), stride=(4, 2, 2), kernel_size=(4, 2, 2), padding=padding, act_layer=torch.nn.GELU)
    return VisionTransformer(img_size=size, patch_size=1, embed_dim=64, depth=2, num_heads=1, no_embed_class=True,
                             embed_layer=partial(HybridEmbed, backbone=stem, proj=False), **kw)


def l_trunk(size, **kw):
    return VisionTransformer(img_size=size, patch_size=8, embed_dim=64, depth=2, num_heads=1, mlp_ratio=2, pre_norm=True,
                             norm_layer=partial(torch.nn.LayerNorm, eps=1e-5), **kw)


def build(trunk, name, size, causal, width):
    make = timm.create_model
    timm.create_model = lambda _n, **kw: trunk(num_classes=kw["num_classes"], global_pool=kw["global_pool"])
    vision = dict(image_size=size, timm_model_name=name, timm_model_pretrained=False, timm_pool="avg" if "fastvit" in name else "token",
                  timm_proj=None)
    text = dict(context_length=77, vocab_size=49408, width=width, heads=1, layers=1, no_causal_mask=not causal)
    m = CustomTextCLIP(embed_dim=24, vision_cfg=vision, text_cfg=text).eval()
    timm.create_model = make
    return m, {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text, "custom_text": True}


def case(name, trunk, timm_name, size, causal, images, mean, std):
    m, cfg = build(trunk, timm_name, size, causal, 16)
    rows = fill(m, table16, name)
    px, tap, v = pixels(name + "/pixels", images, size), Tap(), m.visual.trunk
    if "fastvit" in timm_name:
        tap.out(v.stem, "image.embed")
        for i, s in enumerate(v.stages):
            tap.out(s, f"image.block.{i}")
        tap.into(v.head.fc, "image.pooled")
    else:
        tap.into(v.blocks[0], "image.embed")
        for i, b in enumerate(v.blocks):
            tap.out(b, f"image.block.{i}")
        tap.into(v.head, "image.pooled")
    tap.into(m.text.transformer.resblocks[0], "text.embed")
    tap.out(m.text.transformer.resblocks[0], "text.block.0")
    tap.out(m.text.ln_final, "text.final")
    ids = open_clip.get_tokenizer("ViT-B-32")(TEXTS)
    with torch.no_grad():
        x = normalise(px, mean, std)
        tap.got["image.vector"] = F.normalize(m.encode_image(x), dim=-1)
        tap.got["text.vector"] = F.normalize(m.encode_text(ids), dim=-1)
        tap.got["logits"] = m.get_logits(x, ids)[0]
    for k, t in tap.got.items():
        if k.startswith("image.") and t.ndim == 4:
            tap.got[k] = t.permute(0, 2, 3, 1).contiguous()
    if "fastvit" in timm_name:      # the even channels, then the odd ones: the order in which they are computed
        p = tap.got["image.pooled"]
        tap.got["image.pooled"] = torch.cat([p[:, ::2], p[:, 1::2]], 1)
    files = {"open_clip_config.json": {"model_cfg": cfg, "preprocess_cfg": {"mean": mean, "std": std, "interpolation": "bilinear"}}}
    save(name, {"arch": "open_clip vit", "texts": TEXTS, "image_size": size, "images": images, "weights": "open_clip_model.safetensors",
                "files": files, "tensors": rows}, tap.got, tap.got["text.final"][1])


def apple_image(k):
    """timm's name of a FastViT tensor as ml-mobileclip has it, stages and downsamplings in one row."""
    m = re.match(r"stages\.(\d)\.(.*)", k)
    if m:
        s, rest = int(m[1]), m[2]
        at = {"downsample": 2 * s - 1, "pos_emb": 6}.get(rest.split(".")[0], 2 * s + (s == 3))
        rest = rest.replace("downsample.", "").replace("pos_emb.pos_enc", "pe").replace("blocks.", "")
        k = f"network.{at}.{rest}"
    for a, b in (("stem.", "patch_embed."), ("conv_kxk", "rbr_conv"), ("conv_scale", "rbr_scale"), ("identity", "rbr_skip"),
                 ("final_conv", "conv_exp"), ("large_conv", "lkb_origin"), ("mlp.", "convffn."), ("conv_exp.se.fc1", "conv_exp.se.reduce"),
                 ("conv_exp.se.fc2", "conv_exp.se.expand"), (".gamma", ""), ("head.fc.weight", "head.proj")):
        k = k.replace(a, b)
    return "image_encoder.model." + k


def apple_b(k):
    k = "pos_embed.pos_embed.pos_embed" if k == "pos_embed" else k
    for a, b in (("patch_embed.backbone.", "patch_emb."), (".conv.", ".block.conv."), (".bn.", ".block.norm."),
                 (".norm1", ".pre_norm_mha.0"), (".attn.qkv", ".pre_norm_mha.1.qkv_proj"), (".attn.proj", ".pre_norm_mha.1.out_proj"),
                 (".norm2", ".pre_norm_ffn.0"), (".mlp.fc1", ".pre_norm_ffn.1"), (".mlp.fc2", ".pre_norm_ffn.4"),
                 ("blocks.", "transformer."), ("head.weight", "classifier.proj")):
        k = k.replace(a, b)
    return "image_encoder.model." + re.sub("^norm", "post_transformer_norm", k)


def apple_text(k):
    for a, b in (("transformer.resblocks.", "transformer."), ("ln_1", "pre_norm_mha.0"), ("attn.in_proj_", "pre_norm_mha.1.qkv_proj."),
                 ("attn.out_proj", "pre_norm_mha.1.out_proj"), ("ln_2", "pre_norm_ffn.0"), ("mlp.c_fc", "pre_norm_ffn.1"),
                 ("mlp.c_proj", "pre_norm_ffn.4"), ("text_projection", "projection_layer"), ("token_embedding", "embedding_layer"),
                 ("ln_final", "final_layer_norm")):
        k = k.replace(a, b)
    return "text_encoder." + ("positional_embedding.pos_embed.pos_embed" if k == "positional_embedding" else k)


ROW_SHAPES = {"token_mixer.norm.rbr_skip.": "bn", "token_mixer.mixer.rbr_skip.": "bn", "token_mixer.mixer.rbr_conv.0.bn.": "bn",
              "convffn.conv.bn.": "bn", "token_mixer.mixer.rbr_conv.0.conv.weight": "conv", "convffn.conv.conv.weight": "conv",
              "token_mixer.layer_scale": "scale", "layer_scale": "scale", "convffn.fc1": "up", "convffn.fc2": "down"}


def row_tensors(block, width, kernel=11):
    """Names and shapes of a block of convolutions along the text, as Apple's MobileCLIP-S0 has two."""
    for name, kind in ROW_SHAPES.items():
        if kind == "bn":
            yield from ((block + name + k, [width]) for k in ("weight", "bias", "running_mean", "running_var"))
        elif kind == "conv":
            yield block + name, [width, 1, 1, kernel]
        elif kind == "scale":
            yield block + name, [width, 1, 1]
        else:
            out, into = (4 * width, width) if kind == "up" else (width, 4 * width)
            yield from ((block + name + ".weight", [out, into, 1, 1]), (block + name + ".bias", [out]))


def row_block(x, s, p):
    """x [n, T, D] through such a block (checked against ml-mobileclip's RepMixerBlock, which is on no package index)."""
    c = x.transpose(1, 2)

    def norm(t, q):
        return F.batch_norm(t, s[p + q + ".running_mean"], s[p + q + ".running_var"], s[p + q + ".weight"], s[p + q + ".bias"], eps=1e-5)

    def along(t, q):
        w = s[p + q][:, :, 0]
        return F.conv1d(t, w, padding=w.shape[-1] // 2, groups=w.shape[0])
    mixed = norm(along(c, "token_mixer.mixer.rbr_conv.0.conv.weight"), "token_mixer.mixer.rbr_conv.0.bn")
    mixed = mixed + norm(c, "token_mixer.mixer.rbr_skip") - norm(c, "token_mixer.norm.rbr_skip")
    c = c + s[p + "token_mixer.layer_scale"][:, :, 0] * mixed
    h = norm(along(c, "convffn.conv.conv.weight"), "convffn.conv.bn")
    h = F.conv1d(h, s[p + "convffn.fc1.weight"][..., 0], s[p + "convffn.fc1.bias"])
    h = F.conv1d(F.gelu(h), s[p + "convffn.fc2.weight"][..., 0], s[p + "convffn.fc2.bias"])
    return (c + s[p + "layer_scale"][:, :, 0] * h).transpose(1, 2)


def row_text(m, rows, ids):
    t = m.text
    x = t.token_embedding(ids) + t.positional_embedding
    x = row_block(x, rows, "text_encoder.transformer.0.")
    x = t.transformer(x, attn_mask=None)
    x = t.ln_final(row_block(x, rows, f"text_encoder.transformer.{t.transformer.layers + 1}."))
    return x[torch.arange(len(ids)), ids.argmax(-1)] @ t.text_projection


def apple(name, trunk, timm_name, size, causal, rename, rows_too=False):
    """Weights by Apple's names, converted by open_clip; vectors alone, since the towers are those of the other cases."""
    m, _ = build(trunk, timm_name, size, causal, 64)
    rows, state, extra = [], {}, {}

    def make(new, shape):
        middle, reach = spread(new, shape)
        if "rbr_skip" in new or ".bn." in new:
            middle, reach = (1.0, 0.3) if new.endswith(("weight", "running_var")) else (0.0, 0.3)
        dtype = "f16" if "embedding_layer" in new else "f32"
        x = torch.from_numpy(uniform(name + "/" + new, shape, middle, reach)).to({"f16": torch.float16, "f32": torch.float32}[dtype])
        rows.append([new, shape, dtype, middle, reach])
        return x.float()
    for k, t in sorted(m.state_dict().items()):
        if not t.dtype.is_floating_point or k.endswith(("head.fc.bias", "head.bias", "attn_mask")):
            continue
        new = rename(k[len("visual.trunk."):]) if k.startswith("visual.trunk.") else apple_text(k[5:]) if k.startswith("text.") else k
        shape = list(t.shape)
        shape = shape[::-1] if new.endswith(("head.proj", "classifier.proj")) else shape
        shape = [1] * (4 - len(shape)) + shape if "pos_embed.pos_embed" in new else shape
        own = re.sub(r"transformer\.0\.", "transformer.1.", new) if rows_too and new.startswith("text_encoder.") else new
        state[new] = make(own, shape)
    if rows_too:
        extra = {n: make(n, shape) for i in (0, 2) for n, shape in row_tensors(f"text_encoder.transformer.{i}.", 64)}
    converted = convert_mobile_clip_state_dict(m, dict(state), fastvit="fastvit" in timm_name)
    missing, unexpected = m.load_state_dict(converted, strict=False)
    assert not unexpected and all("num_batches" in k or "attn_mask" in k for k in missing), (missing, unexpected)
    px, got = pixels(name + "/pixels", 2, size), {}
    ids = open_clip.get_tokenizer("ViT-B-32")(TEXTS)
    with torch.no_grad():
        got["image.vector"] = F.normalize(m.encode_image(normalise(px, (0,) * 3, (1,) * 3)), dim=-1)
        got["text.vector"] = F.normalize(row_text(m, extra, ids) if rows_too else m.encode_text(ids), dim=-1)
    save(name, {"arch": "mobileclip", "texts": TEXTS, "image_size": size, "images": 2, "weights": "tiny.safetensors", "files": {},
                "tensors": rows}, got, torch.zeros(1))


if __name__ == "__main__":
    torch.set_num_threads(1)
    case("mobileclip", s_trunk, "fastvit_mci1", 64, False, 2, (0.0,) * 3, (1.0,) * 3)
    case("mobileclip_folded", s3_trunk, "fastvit_mci3", 64, False, 1, MEAN, STD)
    case("mobileclip_b", partial(b_trunk, 48), "vit_base_mci_224", 48, True, 1, (0.0,) * 3, (1.0,) * 3)
    case("mobileclip_l", partial(l_trunk, 32), "vit_large_patch14_clip_224", 32, False, 1, MEAN, STD)
    case("mobileclip_l_quick", partial(l_trunk, 32, act_layer="quick_gelu"), "vit_large_patch14_clip_quickgelu_224", 32, False, 1, MEAN, STD)
    apple("mobileclip_apple", s_trunk, "fastvit_mci1", 256, False, apple_image)
    apple("mobileclip_apple_s0", s_trunk, "fastvit_mci0", 256, False, apple_image, rows_too=True)
    apple("mobileclip_apple_b", partial(b_trunk, 48, padding=(1, 0, 0), norm_layer=partial(torch.nn.LayerNorm, eps=1e-5)), "vit_base_mci_224", 48, True, apple_b)
