#!/usr/bin/env python3
"""Embedding files and expected values of tests/golden/test_golden_embedding.c.

Writes a textual inversion in every form that is read, as the programs that use the form save it, and what transformers'
text tower of make_golden_sampler.py's toy gives for prompts with them: rows are added to its token table and their ids
stand in the prompt, which is what diffusers' load_textual_inversion does.

usage: make_golden_embedding.py [OUT_DIR]   (default tests/golden/sampler; needs what make_golden_sampler.py needs)
"""
import os
import sys

import torch
from safetensors.torch import save_file

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import make_golden_sampler as toy  # noqa: E402
from make_golden_clip import uniform  # noqa: E402
from make_golden_lora import networks  # noqa: E402

KEPT = 24   # of 77 token states
DIR = os.path.join(toy.OUT, "embeddings")
# name, vectors, form
FILES = [("old-style", 3, "automatic1111 pt"), ("param_dict", 2, "automatic1111 pt with a ParameterDict"),
         ("EasyToy", 2, "kohya safetensors"), ("clipl", 1, "clip_l safetensors"), ("cat-toy", 1, "diffusers bin"),
         ("cat-toy-2", 4, "diffusers bin"), ("bare", 2, "diffusers safetensors"), ("half", 2, "f16 safetensors")]


def values(name, n):
    return torch.from_numpy(uniform("ti/" + name, (n, toy.WIDTH), 0.0, 0.6))


def write(name, n, form):
    v = values(name, n)
    path = os.path.join(DIR, name)
    if form.startswith("automatic1111"):
        params = {"*": v}
        if "ParameterDict" in form:
            params = torch.nn.ParameterDict({"*": torch.nn.Parameter(v)})
        torch.save({"string_to_token": {"*": 265}, "string_to_param": params, "name": "another", "step": 500,
                    "sd_checkpoint": None, "sd_checkpoint_name": None}, path + ".pt")
    elif form == "diffusers bin":
        torch.save({f"<{name}>": v[0] if n == 1 else v}, path + ".bin")
    elif form == "f16 safetensors":
        save_file({"emb_params": v.half()}, path + ".safetensors")
    else:
        key = {"kohya safetensors": "emb_params", "clip_l safetensors": "clip_l"}.get(form, f"<{name}>")
        save_file({key: v}, path + ".safetensors")


def main():
    import open_clip
    os.makedirs(DIR, exist_ok=True)
    _, _, text, _ = networks()
    embed = text.get_input_embeddings()
    table, ids = [embed.weight.data], {}
    for name, n, form in FILES:
        write(name, n, form)
        start = sum(t.shape[0] for t in table)
        ids[name] = list(range(start, start + n))
        v = values(name, n)
        table.append(v.half().float() if form.startswith("f16") else v)
    wide = torch.nn.Embedding(sum(t.shape[0] for t in table), toy.WIDTH)
    wide.weight.data = torch.cat(table)
    inner = getattr(text, "text_model", text)
    inner.embeddings.token_embedding = wide

    def states(*parts):
        row = [49406]
        for p in parts:
            row += ids[p] if p in ids else [i for i in open_clip.tokenize([p])[0].tolist() if 0 < i < 49406]
        row += [49407] * (77 - len(row))
        return text(torch.tensor([row])).last_hidden_state

    got = {}
    with torch.no_grad():
        for name, _, _ in FILES:
            got[name] = states("a boat in", name, "by night")
        got["two"] = states("EasyToy", "and", "cat-toy-2")
    save_file({k: v[:, :KEPT].contiguous() for k, v in got.items()}, os.path.join(toy.OUT, "embeddings.safetensors"))
    for k, v in got.items():
        print(k, tuple(v.shape), float(v.abs().max()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
