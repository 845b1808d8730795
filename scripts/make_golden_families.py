#!/usr/bin/env python3
"""Expected values of tests/golden/test_golden_families.c: the CLIP families beyond the plain ones, by transformers, open_clip
and sentencepiece themselves. Toy weights come from names, as in make_golden_clip.py.

usage: make_golden_families.py [OUT_DIR]        (default tests/golden/clip; needs torch, transformers, open_clip, sentencepiece)
"""
import json
import os
import shutil
import tempfile

import torch
import torch.nn.functional as F

from make_golden_clip import MEAN, OUT, STD, TEXTS, Tap, brain, f32, fill, mixed, normalise, oc_files, pixels, save, table16, uniform

WORLD = ["a dog", "ein Hund läuft am Strand, im Schnee", "海辺で走る犬", "كلب على الشاطئ 🐕", ""]


def pieces(kind, files):
    """A tokenizer over the folders of make_golden_spm.py."""
    import transformers
    with tempfile.TemporaryDirectory() as d:
        for name, source in files.items():
            shutil.copy(os.path.join(OUT, "..", source), os.path.join(d, name))
        return getattr(transformers, kind).from_pretrained(d)


def siglip(case, text, vision, tokenizer, files, dtype_of, size_config=None):
    from transformers import SiglipConfig, SiglipModel
    tok = pieces(tokenizer, files)
    cfg = SiglipConfig(text_config=dict(text, vocab_size=len(tok)), vision_config=vision)
    m = SiglipModel(cfg).eval()
    rows = fill(m, dtype_of, case)
    size = vision["image_size"]
    px, tap = pixels(case + "/pixels", 3, size), Tap()
    v, t = m.vision_model, m.text_model
    tap.out(v.embeddings, "image.embed")
    for i, b in enumerate(v.encoder.layers):
        tap.out(b, f"image.block.{i}")
    tap.into(v.head.layernorm, "image.pooled")
    tap.out(t.embeddings, "text.embed")
    for i, b in enumerate(t.encoder.layers):
        tap.out(b, f"text.block.{i}")
    tap.out(t.final_layer_norm, "text.final")
    ids = tok(WORLD, padding="max_length", max_length=text["max_position_embeddings"], truncation=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        o = m(input_ids=ids, pixel_values=normalise(px, (0.5,) * 3, (0.5,) * 3))
    tap.got["image.pooled"] = tap.got["image.pooled"][:, 0]
    tap.got["image.vector"], tap.got["text.vector"], tap.got["logits"] = o.image_embeds, o.text_embeds, o.logits_per_image
    keep = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act", "layer_norm_eps",
            "image_size", "patch_size", "vocab_size", "max_position_embeddings", "projection_size")
    conf = json.loads(cfg.to_json_string(use_diff=False))
    conf = {"model_type": "siglip", **{s: {k: v for k, v in conf[s].items() if k in keep} for s in ("text_config", "vision_config")}}
    pre = {"image_processor_type": "SiglipImageProcessor", "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
           "size": {"height": size, "width": size}}
    save(case, {"arch": "siglip", "texts": WORLD, "image_size": size, "images": 3, "weights": "model.safetensors",
                "files": {"config.json": conf, "preprocessor_config.json": pre}, "copies": files, "tensors": rows},
         tap.got, tap.got["text.final"][1])


def siglips():
    siglip("siglip", dict(hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=24),
           dict(hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, image_size=34, patch_size=8),
           "SiglipTokenizer", {"spiece.model": "tokenizer/folder_spm/spiece.model"}, f32)
    siglip("siglip2", dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=16,
                           projection_size=40),
           dict(hidden_size=40, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=16),
           "Siglip2Tokenizer", {n: f"tokenizer/folder_gemma/{n}" for n in ("tokenizer.json", "tokenizer_config.json")}, brain)


def naflex_pictures(got, patch, most):
    """What transformers' processor makes of three pictures (those of make_golden_clip.py), as bytes."""
    import numpy as np
    from PIL import Image
    from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil
    from make_golden_clip import picture
    p = Siglip2ImageProcessorPil(patch_size=patch, max_num_patches=most)
    for name, w, h in (("wide", 101, 64), ("tall", 47, 90), ("strip", 200, 9)):
        o = p(images=Image.fromarray(picture(name, w, h)), return_tensors="pt")
        rows, columns = o["spatial_shapes"][0].tolist()
        x = o["pixel_values"][0, :rows * columns]
        got[f"prep.{name}"] = torch.from_numpy(np.rint(((x * 0.5 + 0.5) * 255).numpy()).astype(np.float32))
        got[f"prep.{name}.shape"] = torch.tensor([rows, columns]).float()


def naflex(case):
    from transformers import Siglip2Config, Siglip2Model
    files = {n: f"tokenizer/folder_gemma/{n}" for n in ("tokenizer.json", "tokenizer_config.json")}
    tok = pieces("Siglip2Tokenizer", files)
    text = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=16,
                projection_size=40, vocab_size=len(tok))
    vision = dict(hidden_size=40, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, patch_size=4, num_patches=9)
    m = Siglip2Model(Siglip2Config(text_config=text, vision_config=vision)).eval()
    rows = fill(m, brain, case)
    shapes, most, side = [(4, 3), (2, 6), (1, 5), (3, 3)], 12, 15      # 15 * 15 >= 12 * 4 * 4 + 8
    px = pixels(case + "/pixels", len(shapes), side).reshape(len(shapes), -1)
    values = torch.zeros(len(shapes), most, 48)
    mask = torch.zeros(len(shapes), most, dtype=torch.int64)
    for i, (h, w) in enumerate(shapes):
        values[i, :h * w] = (torch.from_numpy(px[i, 24:24 + h * w * 48].copy()).float() / 255 - 0.5).reshape(h * w, 48) / 0.5
        mask[i, :h * w] = 1
    tap, v, t = Tap(), m.vision_model, m.text_model
    tap.out(v.embeddings, "image.embed")
    for i, b in enumerate(v.encoder.layers):
        tap.out(b, f"image.block.{i}")
    tap.into(v.head.layernorm, "image.pooled")
    tap.out(t.embeddings, "text.embed")
    tap.out(t.encoder.layers[0], "text.block.0")
    tap.out(t.final_layer_norm, "text.final")
    ids = tok(WORLD, padding="max_length", max_length=16, truncation=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        o = m(input_ids=ids, pixel_values=values, pixel_attention_mask=mask, spatial_shapes=torch.tensor(shapes))
    tap.got["image.pooled"] = tap.got["image.pooled"][:, 0]
    tap.got["image.vector"], tap.got["text.vector"], tap.got["logits"] = o.image_embeds, o.text_embeds, o.logits_per_image
    naflex_pictures(tap.got, 4, 40)
    conf = {"model_type": "siglip2", "text_config": text, "vision_config": vision}
    pre = {"image_processor_type": "Siglip2ImageProcessor", "resample": 2, "patch_size": 4, "max_num_patches": most,
           "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    save(case, {"arch": "siglip", "texts": WORLD, "shapes": shapes, "image_size": side, "weights": "model.safetensors",
                "files": {"config.json": conf, "preprocessor_config.json": pre}, "copies": files, "tensors": rows},
         tap.got, tap.got["text.final"][1])


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


def hf_text(case, kind, hidden, proj, tokenizer, files, pool=None, dim=40):
    """OpenCLIP with a text tower of transformers'; its tokenizer is called as open_clip's HFTokenizer calls it. With another pooler than
    the mean, vectors alone."""
    import ftfy
    import open_clip
    import transformers
    from open_clip.model import CustomTextCLIP
    tok = pieces(tokenizer, files)
    vision = dict(layers=1, width=64, patch_size=16, image_size=32, head_width=32)
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, kind)
        cfg = transformers.XLMRobertaConfig if "xlm" in kind else transformers.RobertaConfig
        cfg(vocab_size=len(tok), hidden_size=hidden, num_hidden_layers=2, num_attention_heads=hidden // 64, intermediate_size=96,
            max_position_embeddings=34, pad_token_id=1, type_vocab_size=1, layer_norm_eps=1e-5).save_pretrained(path)
        text = dict(hf_model_name=path, hf_tokenizer_name=path, hf_model_pretrained=False, hf_proj_type=proj, context_length=32)
        text.update({"hf_pooler_type": pool} if pool else {})
        m = CustomTextCLIP(embed_dim=dim, vision_cfg=vision, text_cfg=text).eval()
    rows = fill(m, table16, case)
    t = open_clip.tokenizer.HFTokenizer.__new__(open_clip.tokenizer.HFTokenizer)
    t.tokenizer, t.context_length, t.tokenizer_mode, t.strip_sep_token = tok, 32, "", False
    t.clean_fn = open_clip.tokenizer.get_clean_fn("whitespace")
    plain, config = ftfy.fix_text, ftfy.TextFixerConfig(fix_encoding=False, explain=False)
    open_clip.tokenizer.ftfy.fix_text = lambda s: plain(s, config)
    ids = t(WORLD)
    open_clip.tokenizer.ftfy.fix_text = plain
    px, tap = pixels(case + "/pixels", 3, 32), Tap()
    tap.into(m.visual.transformer.resblocks[0], "image.embed")
    tap.out(m.visual.transformer.resblocks[0], "image.block.0")
    tap.out(m.text.transformer.embeddings, "text.embed")
    for i, b in enumerate(m.text.transformer.encoder.layer):
        tap.out(b, f"text.block.{i}")
    with torch.no_grad():
        x = normalise(px, MEAN, STD)
        tap.got["image.vector"] = F.normalize(m.encode_image(x), dim=-1)
        tap.got["text.vector"] = F.normalize(m.encode_text(ids), dim=-1)
        tap.got["image.pooled"] = m.visual._pool(tap.got["image.block.0"])[0]
        tap.got["logits"] = m.get_logits(x, ids)[0]
    conf_of = {"embed_dim": dim, "vision_cfg": vision, "text_cfg": {k: v for k, v in text.items() if k != "hf_model_pretrained"}}
    conf_of["text_cfg"].update(hf_model_name=kind, hf_tokenizer_name=kind)
    if pool:
        save(case, {"arch": "open_clip vit", "texts": WORLD, "image_size": 32, "images": 3, "weights": "open_clip_model.safetensors",
                    "files": {"open_clip_config.json": {"model_cfg": conf_of, "preprocess_cfg": {"mean": MEAN, "std": STD}}},
                    "copies": files, "tensors": rows}, {k: tap.got[k] for k in ("image.vector", "text.vector")}, torch.zeros(1))
        return
    own = [int((row != 1).sum()) for row in ids]
    states = tap.got["text.block.1"][1].clone()
    states[own[1]:] = 0
    for k in ("text.embed", "text.block.0", "text.block.1"):     # padding is not looked at
        tap.got[k] = tap.got[k][:, :min(own)]
    conf = {"open_clip_config.json": {"model_cfg": conf_of, "preprocess_cfg": {"mean": MEAN, "std": STD}}}
    save(case, {"arch": "open_clip vit", "texts": WORLD, "image_size": 32, "images": 3, "weights": "open_clip_model.safetensors",
                "files": conf, "copies": files, "states": own[1], "tensors": rows}, tap.got, states)


def open_clip_siglip(case, name, tokenizer, files, hf_name, act):
    """OpenCLIP's SigLIP: timm's tower, shrunk, under the name that says its activation."""
    import ftfy
    import open_clip
    import timm
    from open_clip.model import CustomTextCLIP
    tok = pieces(tokenizer, files)
    make = timm.create_model

    def small(_name, **kw):
        return timm.models.vision_transformer.VisionTransformer(
            img_size=32, patch_size=8, embed_dim=128, depth=2, num_heads=2, mlp_ratio=1.5, class_token=False, global_pool="map",
            act_layer=act, num_classes=kw.get("num_classes", 0))
    timm.create_model = small
    text = dict(context_length=20, vocab_size=len(tok), hf_tokenizer_name=hf_name, tokenizer_kwargs={"clean": "canonicalize"}, width=48,
                heads=3, layers=2, no_causal_mask=True, proj_bias=True, pool_type="last", norm_kwargs={"eps": 1e-6})
    vision = dict(image_size=32, timm_model_name=name, timm_model_pretrained=False, timm_pool="map", timm_proj="none")
    m = CustomTextCLIP(embed_dim=128, vision_cfg=vision, text_cfg=text, init_logit_bias=-10.0).eval()
    timm.create_model = make
    rows = fill(m, f32, case)
    t = open_clip.tokenizer.HFTokenizer.__new__(open_clip.tokenizer.HFTokenizer)
    t.tokenizer, t.context_length, t.tokenizer_mode, t.strip_sep_token = tok, 20, "", False
    t.clean_fn = open_clip.tokenizer.get_clean_fn("canonicalize")
    plain, config = ftfy.fix_text, ftfy.TextFixerConfig(fix_encoding=False, explain=False)
    open_clip.tokenizer.ftfy.fix_text = lambda s: plain(s, config)
    ids = t(WORLD)
    open_clip.tokenizer.ftfy.fix_text = plain
    px, tap, v = pixels(case + "/pixels", 3, 32), Tap(), m.visual.trunk
    tap.into(v.blocks[0], "image.embed")
    for i, b in enumerate(v.blocks):
        tap.out(b, f"image.block.{i}")
    tap.into(v.attn_pool.norm, "image.pooled")
    tap.into(m.text.transformer.resblocks[0], "text.embed")
    for i, b in enumerate(m.text.transformer.resblocks):
        tap.out(b, f"text.block.{i}")
    tap.out(m.text.ln_final, "text.final")
    with torch.no_grad():
        x = normalise(px, (0.5,) * 3, (0.5,) * 3)
        tap.got["image.vector"] = F.normalize(m.encode_image(x), dim=-1)
        tap.got["text.vector"] = F.normalize(m.encode_text(ids), dim=-1)
        tap.got["logits"] = m.get_logits(x, ids)[0]
    tap.got["image.pooled"] = tap.got["image.pooled"][:, 0]
    conf = {"open_clip_config.json": {"model_cfg": {"embed_dim": 128, "vision_cfg": vision, "text_cfg": text, "custom_text": True},
                                      "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"}}}
    save(case, {"arch": "open_clip vit", "texts": WORLD, "image_size": 32, "images": 3, "weights": "open_clip_model.safetensors",
                "files": conf, "copies": files, "tensors": rows}, tap.got, tap.got["text.final"][1])


def eva(case):
    """OpenCLIP's EVA02, its timm tower shrunk."""
    import open_clip
    import timm
    from open_clip.model import CustomTextCLIP
    make = timm.create_model

    def small(_name, **kw):
        return timm.models.eva.Eva(img_size=32, patch_size=8, embed_dim=128, depth=2, num_heads=2, qkv_fused=False, mlp_ratio=1.5,
                                   swiglu_mlp=True, scale_mlp=True, scale_attn_inner=True, use_rot_pos_emb=True, ref_feat_shape=(16, 16),
                                   global_pool="token", num_classes=kw["num_classes"])
    timm.create_model = small
    text = dict(context_length=77, vocab_size=49408, width=32, heads=2, layers=1)
    vision = dict(image_size=32, timm_model_name="eva02_base_patch16_clip_224", timm_model_pretrained=False, timm_pool="token",
                  timm_proj=None)
    m = CustomTextCLIP(embed_dim=40, vision_cfg=vision, text_cfg=text).eval()
    timm.create_model = make
    rows = fill(m, table16, case)
    px, tap, v = pixels(case + "/pixels", 3, 32), Tap(), m.visual.trunk
    tap.into(v.blocks[0], "image.embed")
    for i, b in enumerate(v.blocks):
        tap.out(b, f"image.block.{i}")
    tap.into(v.head, "image.pooled")
    tap.into(m.text.transformer.resblocks[0], "text.embed")
    tap.out(m.text.transformer.resblocks[0], "text.block.0")
    tap.out(m.text.ln_final, "text.final")
    ids = open_clip.get_tokenizer("ViT-B-32")(TEXTS)
    with torch.no_grad():
        x = normalise(px, MEAN, STD)
        tap.got["image.vector"] = F.normalize(m.encode_image(x), dim=-1)
        tap.got["text.vector"] = F.normalize(m.encode_text(ids), dim=-1)
        tap.got["logits"] = m.get_logits(x, ids)[0]
    conf = {"open_clip_config.json": {"model_cfg": {"embed_dim": 40, "vision_cfg": vision, "text_cfg": text, "custom_text": True},
                                      "preprocess_cfg": {"mean": MEAN, "std": STD}}}
    save(case, {"arch": "open_clip vit", "texts": TEXTS, "image_size": 32, "images": 3, "weights": "open_clip_model.safetensors",
                "files": conf, "tensors": rows}, tap.got, tap.got["text.final"][1])


def multilingual(case):
    """sentence-transformers' layout, read by sentence-transformers."""
    from safetensors.torch import save_file as save_torch
    from sentence_transformers import SentenceTransformer
    from transformers import DistilBertConfig, DistilBertModel
    chars = sorted({c for t in WORLD for c in t if not c.isspace() and c != "🐕"})
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + chars + ["##" + c for c in chars]
    cfg = DistilBertConfig(vocab_size=len(vocab), dim=64, n_heads=4, n_layers=2, hidden_dim=96, max_position_embeddings=40)
    m = DistilBertModel(cfg).eval()
    rows = fill(m, f32, case)
    dense = torch.from_numpy(uniform(case + "/2_Dense/linear.weight", [24, 64], 0.0, float((3 / 64) ** 0.5)))
    keep = ("model_type", "activation", "dim", "n_heads", "n_layers", "hidden_dim", "max_position_embeddings", "vocab_size")
    conf = {k: v for k, v in json.loads(cfg.to_json_string(use_diff=False)).items() if k in keep}
    conf["architectures"] = ["DistilBertModel"]
    kinds = ("Transformer", "", "0"), ("Pooling", "1_Pooling", "1"), ("Dense", "2_Dense", "2")
    files = {"config.json": conf, "vocab.txt": "\n".join(vocab) + "\n",
             "tokenizer_config.json": {"do_lower_case": False, "tokenizer_class": "DistilBertTokenizer", "model_max_length": 512},
             "sentence_bert_config.json": {"max_seq_length": 24, "do_lower_case": False},
             "modules.json": [{"idx": int(i), "name": i, "path": p, "type": f"sentence_transformers.models.{t}"} for t, p, i in kinds],
             "1_Pooling/config.json": {"word_embedding_dimension": 64, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False},
             "2_Dense/config.json": {"in_features": 64, "out_features": 24, "bias": False,
                                     "activation_function": "torch.nn.modules.linear.Identity"}}
    got = {}
    with tempfile.TemporaryDirectory() as d, torch.no_grad():
        for name, content in files.items():
            os.makedirs(os.path.dirname(os.path.join(d, name)), exist_ok=True)
            open(os.path.join(d, name), "w").write(content if isinstance(content, str) else json.dumps(content))
        m.save_pretrained(d)
        open(os.path.join(d, "config.json"), "w").write(json.dumps(conf))
        save_torch({"linear.weight": dense}, os.path.join(d, "2_Dense", "model.safetensors"))
        s = SentenceTransformer(d, device="cpu")
        got["text.vector"] = torch.from_numpy(s.encode(WORLD, normalize_embeddings=True))
        tap, b = Tap(), s[0].auto_model if hasattr(s[0], "auto_model") else s[0].model
        tap.out(b.embeddings, "text.embed")
        for i, layer in enumerate(b.transformer.layer):
            tap.out(layer, f"text.block.{i}")
        ids = s.tokenizer([WORLD[1]], truncation=True, max_length=24, return_tensors="pt")
        b(**{k: v for k, v in ids.items() if k != "token_type_ids"})
        states = torch.zeros(24, 64)
        own = ids["input_ids"].shape[1]
        states[:own] = tap.got["text.block.1"][0]
    save(case, {"arch": "multilingual distilbert", "texts": WORLD, "weights": "model.safetensors", "files": files, "states": own,
                "tensors": rows}, got, states)


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
    siglips()
    naflex("siglip2_naflex")
    hf_text("open_clip_xlmr", "xlm-roberta-base", 128, "mlp", "XLMRobertaTokenizer",
            {"sentencepiece.bpe.model": "tokenizer/folder_spm/spiece.model"})
    hf_text("open_clip_roberta", "roberta-base", 64, "linear", "RobertaTokenizer",
            {n: f"tokenizer/folder_roberta/{n}" for n in ("tokenizer.json", "tokenizer_config.json")})
    roberta = {n: f"tokenizer/folder_roberta/{n}" for n in ("tokenizer.json", "tokenizer_config.json")}
    hf_text("open_clip_roberta_cls", "roberta-base", 64, None, "RobertaTokenizer", roberta, "cls_pooler", 64)
    hf_text("open_clip_roberta_first", "roberta-base", 64, "linear", "RobertaTokenizer", roberta, "cls_last_hidden_state_pooler")
    multilingual("multilingual")
    eva("open_clip_eva02")
    both = ("tokenizer.json", "tokenizer_config.json")
    open_clip_siglip("open_clip_siglip", "vit_base_patch16_siglip_224", "T5Tokenizer", {n: f"tokenizer/folder_t5/{n}" for n in both},
                     "timm/ViT-B-16-SigLIP", "gelu")
    open_clip_siglip("open_clip_siglip2", "vit_so400m_patch16_siglip_256", "Siglip2Tokenizer",
                     {n: f"tokenizer/folder_gemma/{n}" for n in both}, "timm/ViT-B-16-SigLIP2", "gelu_tanh")
