#!/usr/bin/env python3
"""Toy captioners and what transformers and the authors' code make of them, for tests/golden/test_golden_caption.c.

Surprising: but for one small .pt, no weights are stored: every value comes from its name, as in make_golden_clip.py. A
case is <name>.json (files, tensors, decoding options and the texts that must come out) and <name>.safetensors
(logits). ClipCap's mappers are written down here after the authors' train.py; GPT-2 and BLIP are transformers' own; the
starter captioner is tools/starter/captioner_net.py, searched by transformers.

usage: make_golden_caption.py [OUT_DIR [CASE...]]   (default tests/golden/caption; needs torch, transformers)
"""
import json
import os
import sys
import tempfile

import numpy as np
import torch
from safetensors.numpy import save_file

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from make_golden_clip import pixels, uniform  # noqa: E402

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "caption")
SENTENCES = """a dog runs along the beach with a ball. two children are playing in the water.
A man in a red shirt climbs a rock; the woman's dog isn't there. it's a boat, we'll say they've gone and you're late.
a group of people stand in front of a building at night. three birds fly over the mountains 1, 22, 333 2024.
the cat sits on a table next to a window. a brown horse eats grass in a field. Zürich im Schnee.""".split("\n")
TEXTS = ["a dog.", " the  cat's   table", "It's 22 \n\n dogs\t!", "Zürich 猫 naïve 👍", "", "<|endoftext|>a dog", "\n a",
         "they've 'S 's", "x\u0345y \u00a0z  "]
WIDTH, LAYERS, HEADS, CONTEXT, CLIP = 32, 2, 4, 64, 24
WORDS = 12      # of the fixed sentence whose logits are stored


def spread(name, shape):
    if len(shape) == 1 and name.endswith("weight"):
        return 1.0, 0.3
    if len(shape) == 1:
        return 0.0, 0.3
    if "wte" in name or "wpe" in name or name == "positions.weight" or "embedding" in name or "prefix_const" in name or "cls_token" in name or \
            "pos_embed" in name:
        return 0.0, 0.6
    if "c_attn" in name or "c_proj" in name or "c_fc" in name:   # stored as inputs x outputs
        return 0.0, float(np.sqrt(6.0 / shape[0]))
    return 0.0, float(np.sqrt(6.0 / np.prod(shape[1:])))


def fill(model, case, keep=lambda name: True):
    """Gives a module its toy weights; returns the manifest's rows."""
    rows, state = [], {}
    for name, t in sorted(model.state_dict().items()):
        if not t.dtype.is_floating_point or name.endswith(("lm_head.weight", "decoder.weight",
                                                                   "decoder.bias", ".attn.bias", "masked_bias")):
            continue
        shape = list(t.shape)
        middle, reach = spread(name, shape)
        state[name] = torch.from_numpy(uniform(case + "/" + name, shape, middle, reach))
        if keep(name):
            rows.append([name, shape, "f32", middle, reach])
    model.load_state_dict(state, strict=False)
    model.eval()
    return rows, state


class Mlp(torch.nn.Module):
    def __init__(self, clip, prefix):
        super().__init__()
        self.model = torch.nn.Sequential(torch.nn.Linear(clip, WIDTH * prefix // 2), torch.nn.Tanh(),
                                         torch.nn.Linear(WIDTH * prefix // 2, WIDTH * prefix))

    def forward(self, x):
        return self.model(x)


class Attention(torch.nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.to_queries = torch.nn.Linear(dim, dim, bias=False)
        self.to_keys_values = torch.nn.Linear(dim, 2 * dim, bias=False)
        self.project = torch.nn.Linear(dim, dim)

    def forward(self, x):
        b, n, c = x.shape
        q = self.to_queries(x).reshape(b, n, self.heads, c // self.heads)
        kv = self.to_keys_values(x).reshape(b, n, 2, self.heads, c // self.heads)
        a = torch.einsum("bnhd,bmhd->bnmh", q, kv[:, :, 0]) * (c // self.heads) ** -0.5
        return self.project(torch.einsum("bnmh,bmhd->bnhd", a.softmax(dim=2), kv[:, :, 1]).reshape(b, n, c))


class Layer(torch.nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.norm1, self.norm2 = torch.nn.LayerNorm(dim), torch.nn.LayerNorm(dim)
        self.attn = Attention(dim, heads)
        self.mlp = torch.nn.ModuleDict({"fc1": torch.nn.Linear(dim, 2 * dim), "fc2": torch.nn.Linear(2 * dim, dim)})

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp["fc2"](torch.relu(self.mlp["fc1"](self.norm2(x))))


class Mapper(torch.nn.Module):
    def __init__(self, clip, prefix, length):
        super().__init__()
        self.length = length
        self.linear = torch.nn.Linear(clip, length * WIDTH)
        self.prefix_const = torch.nn.Parameter(torch.randn(prefix, WIDTH))
        self.transformer = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([Layer(WIDTH, 8) for _ in range(2)])})

    def forward(self, x):
        x = self.linear(x).view(x.shape[0], self.length, -1)
        x = torch.cat((x, self.prefix_const.expand(x.shape[0], *self.prefix_const.shape)), dim=1)
        for layer in self.transformer["layers"]:
            x = layer(x)
        return x[:, self.length:]


class ClipCap(torch.nn.Module):
    def __init__(self, project, gpt):
        super().__init__()
        self.clip_project, self.gpt = project, gpt

    def prefix(self, v):
        return self.clip_project(v).view(v.shape[0], -1, WIDTH)


def gpt2_files():
    from tokenizers import ByteLevelBPETokenizer
    t = ByteLevelBPETokenizer()
    t.train_from_iterator(SENTENCES * 3, vocab_size=420, special_tokens=["<|endoftext|>"], show_progress=False)
    with tempfile.TemporaryDirectory() as d:
        t.save_model(d)
        vocab, merges = (open(os.path.join(d, n), encoding="utf-8").read() for n in ("vocab.json", "merges.txt"))
    return {"vocab.json": vocab, "merges.txt": merges}


def open_tokenizer(cls, files):
    with tempfile.TemporaryDirectory() as d:
        for name, text in files.items():
            with open(os.path.join(d, name), "w", encoding="utf-8") as f:
                f.write(text if isinstance(text, str) else json.dumps(text))
        return cls.from_pretrained(d)


def options(i):
    """A hundred ways to decode: most of them beams, every option among them."""
    o = {"beams": [1, 2, 3, 5, 8][i % 5], "max": [6, 12, 20][i % 3], "min": [0, 0, 4, 8][i % 4]}
    if i % 3 == 1:
        o["repetition"] = [1.2, 1.5, 0.9][i // 3 % 3]
    if i % 4 == 2:
        o["length"] = [0.0, 0.5, 2.0, -1.0][i // 4 % 4]
    return o


def generate(model, o, **kwargs):
    more = {"repetition_penalty": o["repetition"]} if "repetition" in o else {}
    if o["beams"] > 1 and "length" in o:
        more["length_penalty"] = o["length"]
    got = model.generate(num_beams=o["beams"], max_new_tokens=o["max"], min_new_tokens=o["min"], do_sample=False,
                         early_stopping=False, num_return_sequences=o["beams"], output_scores=True,
                         return_dict_in_generate=True, **more, **kwargs)
    scores = [] if o["beams"] == 1 else [round(float(s), 5) for s in got.sequences_scores]
    return got.sequences, scores


def clipcap(case, project, file, files, tokenizer, whole):
    from transformers import GPT2Config, GPT2LMHeadModel
    vocab = len(tokenizer)
    eos, stop = tokenizer.convert_tokens_to_ids("<|endoftext|>"), tokenizer(".")["input_ids"][0]
    config = GPT2Config(vocab_size=vocab, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_positions=CONTEXT,
                        bos_token_id=eos, eos_token_id=eos)
    model = ClipCap(project, GPT2LMHeadModel(config))
    rows, state = fill(model, case)
    if whole:       # a real file of torch's, as the authors' train.py saves it, in half precision to keep it small
        state = {k: v.half() for k, v in model.state_dict().items() if v.dtype.is_floating_point}
        model.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
        torch.save(state, os.path.join(OUT, case + ".pt"))
        rows = []
    manifest = {"files": dict(files), "weights": file, "tensors": rows, "clip_dim": CLIP, "cases": []}
    manifest["files"]["config.json"] = {"model_type": "gpt2", "vocab_size": vocab, "n_embd": WIDTH,
                                        "n_layer": LAYERS, "n_head": HEADS, "n_positions": CONTEXT}
    manifest["more"] = None
    if not whole:   # the mapper alone, beside GPT-2's own file
        manifest["tensors"] = [r for r in rows if r[0].startswith("clip_project")]
        manifest["more"] = [[r[0][4:], *r[1:]] for r in rows if r[0].startswith("gpt.")]
    ids = [int(x * 7919) % vocab for x in range(1, WORDS + 1)]
    with torch.no_grad():
        v = torch.from_numpy(uniform(case + "/vector", (1, CLIP), 0.0, 1.0))
        embeds = torch.cat((model.prefix(v), model.gpt.transformer.wte(torch.tensor([ids]))), dim=1)
        logits = model.gpt(inputs_embeds=embeds).logits[0, -WORDS - 1:]
        for i in range(60):
            v = torch.from_numpy(uniform(f"{case}/vector {i}", (1, CLIP), 0.0, 1.0))
            o = options(i)
            got, scores = generate(model.gpt, o, inputs_embeds=model.prefix(v), eos_token_id=[eos, stop],
                                   pad_token_id=eos)
            o["texts"] = [t.lstrip(" ").replace("\0", "\ufffd") for t in
                          tokenizer.batch_decode(got, skip_special_tokens=True)]
            o["scores"] = scores
            manifest["cases"].append(o)
    manifest["ids"] = ids
    save_file({"logits": logits.numpy()}, os.path.join(OUT, case + ".safetensors"))
    return manifest


def wordpiece_files():
    words = "a an the dog dogs cat man woman people picture of in on with and is red blue water street photo it".split()
    letters = [chr(c) for c in range(97, 123)]
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *".,!?'-", "n't", "'s", *letters, *words[1:],
             *("##" + c for c in letters), "##ing", "##ed"]
    return {"vocab.txt": "\n".join(dict.fromkeys(vocab)) + "\n"}


LAVIS_NAMES = [("vision_model.embeddings.class_embedding", "visual_encoder.cls_token"),
               ("vision_model.embeddings.position_embedding", "visual_encoder.pos_embed"),
               ("vision_model.embeddings.patch_embedding", "visual_encoder.patch_embed.proj"),
               ("vision_model.encoder.layers", "visual_encoder.blocks"), ("layer_norm1", "norm1"),
               ("layer_norm2", "norm2"), ("self_attn.qkv", "attn.qkv"), ("self_attn.projection", "attn.proj"),
               ("vision_model.post_layernorm", "visual_encoder.norm")]


def lavis_name(name):
    for a, b in LAVIS_NAMES:
        name = name.replace(a, b)
    return name


def blip(case, lavis):
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration
    wide, heads, size, patch = (128, 2, 32, 8) if lavis else (32, 4, 48, 8)
    if lavis:       # BERT's own vocabulary
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "third_party", "bert", "vocab.txt")
        files = {"vocab.txt": open(path, encoding="utf-8").read()}
    else:
        files = wordpiece_files()
    tokenizer = open_tokenizer(BertTokenizer, files)
    n = files["vocab.txt"].count("\n")
    sep = tokenizer.convert_tokens_to_ids("[SEP]")
    text = {"vocab_size": n + 2, "hidden_size": 128 if lavis else 24, "num_hidden_layers": 2, "intermediate_size": 64,
            "num_attention_heads": 2 if lavis else 4, "max_position_embeddings": 48, "bos_token_id": n,
            "sep_token_id": sep, "pad_token_id": 0, "eos_token_id": 2, "projection_dim": 16}
    vision = {"hidden_size": wide, "num_hidden_layers": 2, "intermediate_size": 64, "num_attention_heads": heads,
              "image_size": size, "patch_size": patch, "layer_norm_eps": 1e-6 if lavis else 3e-5, "projection_dim": 16}
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision))
    rows, state = [], {}
    head_bias = "text_decoder.cls.predictions.bias"
    for name, t in sorted(model.state_dict().items()):
        if not t.dtype.is_floating_point or name.endswith(("predictions.decoder.weight", "predictions.decoder.bias")):
            continue
        stored = lavis_name(name) if lavis else name
        middle, reach = spread(stored, list(t.shape))
        state[name] = torch.from_numpy(uniform(case + "/" + stored, list(t.shape), middle, reach))
        rows.append([("model." if lavis else "") + stored, list(t.shape), "f32", middle, reach])
        if name == head_bias:
            state["text_decoder.cls.predictions.decoder.bias"] = state[name]
    print(model.load_state_dict(state, strict=False))
    model.eval()
    manifest = {"files": {}, "weights": "toy.pth" if lavis else "model.safetensors", "tensors": rows, "more": None,
                "seed_skip": 6 if lavis else 0, "cases": []}
    if not lavis:
        manifest["files"] = dict(files)
        manifest["files"]["config.json"] = {"model_type": "blip", "text_config": text, "vision_config": vision}
        manifest["files"]["preprocessor_config.json"] = {
            "image_processor_type": "BlipImageProcessor", "size": {"height": size, "width": size}, "resample": 3,
            "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.25, 0.3], "do_resize": True}
    mean = [0.48145466, 0.4578275, 0.40821073] if lavis else [0.5, 0.4, 0.3]
    std = [0.26862954, 0.26130258, 0.27577711] if lavis else [0.2, 0.25, 0.3]
    px = pixels(case + "/pixels", 64, size).astype(np.float32) / np.float32(255)
    px = torch.from_numpy(((px - np.array(mean, np.float32)) / np.array(std, np.float32)).transpose(0, 3, 1, 2))
    ids = [int(x * 7919) % (n + 2) for x in range(1, WORDS + 1)]
    with torch.no_grad():
        seq = torch.tensor([[n, *ids]])
        states = model.vision_model(pixel_values=px[:1]).last_hidden_state
        logits = model.text_decoder(input_ids=seq, encoder_hidden_states=states).logits[0, :, :1000]
        for i in range(20 if lavis else 60):
            o = options(i)
            if lavis:
                prompt = tokenizer("a picture of ")["input_ids"][:-1]
            elif i % 5 == 4:
                o["prompt"] = "a photo, it"
                prompt = tokenizer(o["prompt"])["input_ids"][:-1]
            else:
                prompt = [2]
            start = torch.tensor([[*prompt, sep]])
            got, scores = generate(model, o, pixel_values=px[i + 1:i + 2], input_ids=start)
            o["texts"] = tokenizer.batch_decode(got, skip_special_tokens=True)
            if lavis:
                own = tokenizer.decode(prompt, skip_special_tokens=True)
                o["texts"] = [t[len(own):].lstrip(" ") for t in o["texts"]]
            o["scores"] = scores
            manifest["cases"].append(o)
    manifest["ids"] = ids
    save_file({"logits": np.ascontiguousarray(logits.numpy())}, os.path.join(OUT, case + ".safetensors"))
    return manifest


def starter(case):
    from transformers import BertTokenizer, GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
    from transformers.modeling_outputs import CausalLMOutput
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools", "starter"))
    import captioner_net
    captioner_net.CONTEXT = 28
    files, places, width = wordpiece_files(), 9, 24
    files["vocab.txt"] += "##,\n##-\n##'\n##s\n"
    tokenizer = open_tokenizer(BertTokenizer, files)
    vocab = files["vocab.txt"].count("\n")
    net = captioner_net.Captioner(vocab, WIDTH, LAYERS, HEADS, width)
    rows, _ = fill(net, case)

    class Config(PretrainedConfig):
        model_type = "toy"

    class Searched(PreTrainedModel, GenerationMixin):
        config_class, main_input_name, _supports_cache_class = Config, "input_ids", False

        def forward(self, input_ids, **_):
            n = len(input_ids)
            logits = net(input_ids, self.seen, torch.full((n,), input_ids.shape[1]))
            return CausalLMOutput(logits=logits.view(n, input_ids.shape[1], -1))

        def prepare_inputs_for_generation(self, input_ids, **_):
            return {"input_ids": input_ids}

    def states(tail):
        v = uniform(f"{case}/vector{tail}", (1, width), 0.0, 1.0)
        p = uniform(f"{case}/places{tail}", (places, width), 0.0, 1.0)
        return torch.from_numpy(np.concatenate([p, v * np.float32(width ** 0.5)])[None])

    model = Searched(Config(vocab_size=vocab, is_encoder_decoder=False, use_cache=False))
    model.inner = net
    model.generation_config = GenerationConfig(bos_token_id=2, eos_token_id=3, pad_token_id=0, use_cache=False)
    config = {"model_type": "eidetic_captioner", "tower": "0123456789abcdef" * 2, "places": places, "place_width": width,
              "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": 4 * WIDTH,
              "max_position_embeddings": captioner_net.CONTEXT, "vocab_size": vocab, "bos_token_id": 2, "eos_token_id": 3}
    manifest = {"files": {**files, "config.json": config}, "weights": "model.safetensors", "tensors": rows, "more": None, "cases": []}
    ids = [int(x * 7919) % vocab for x in range(1, WORDS + 1)]
    with torch.no_grad():
        seq = torch.tensor([[2, *ids]])
        logits = net(seq, states(""), torch.tensor([WORDS + 1]))
        for i in range(100):
            o, prompt = options(i), [2]
            if i % 5 == 4:
                o["prompt"] = "a photo, it"
                prompt = tokenizer(o["prompt"])["input_ids"][:-1]
            model.seen = states(f" {i}")
            got, scores = generate(model, o, input_ids=torch.tensor([prompt]))
            o["texts"] = tokenizer.batch_decode(got, skip_special_tokens=True)
            o["scores"] = scores
            manifest["cases"].append(o)
    manifest["ids"] = ids
    save_file({"logits": logits.numpy()}, os.path.join(OUT, case + ".safetensors"))
    return manifest


def write(case, manifest):
    with open(os.path.join(OUT, case + ".json"), "w", encoding="utf-8") as f:
        json.dump(manifest, f, ensure_ascii=False, separators=(",", ":"))
    print(case, len(manifest["cases"]), "cases;", manifest["cases"][1])


def main():
    from transformers import GPT2Tokenizer
    os.makedirs(OUT, exist_ok=True)
    only = sys.argv[2:]
    files = gpt2_files()
    tokenizer = open_tokenizer(GPT2Tokenizer, files)

    def mlp():
        m = clipcap("clipcap_mlp", Mlp(CLIP, 4), "toy.pt", files, tokenizer, True)
        m["encode"] = [[t, tokenizer(t)["input_ids"],
                        tokenizer.decode(tokenizer(t)["input_ids"], skip_special_tokens=True)] for t in TEXTS]
        return m

    cases = {"clipcap_mlp": mlp,
             "clipcap_transformer": lambda: clipcap("clipcap_transformer", Mapper(CLIP, 3, 5), "mapper.pt", files,
                                                    tokenizer, False),
             "blip": lambda: blip("blip", False), "blip_lavis": lambda: blip("blip_lavis", True),
             "starter": lambda: starter("starter")}
    for name, make in cases.items():
        if not only or name in only:
            write(name, make())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        OUT = sys.argv[1]
    torch.set_num_threads(1)
    main()
