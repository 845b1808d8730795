"""Writes the trained captioner as the program reads it: config.json, vocab.txt, model.safetensors with 8-bit rows.

usage: captioner_export.py CHECKPOINT.pt CACHE MODEL_FOLDER ID [CHECK]
CACHE: captioner_data.py's; MODEL_FOLDER: the starter's; ID: its id by `eidetic model info`. CHECK: how many dev pictures are
captioned before and after rounding, greedily (0).
"""
import json
import os
import shutil
import sys

import torch
from safetensors.torch import save_file

import captioner_train
import export
from captioner_net import BEGIN, CONTEXT, END, Captioner


def main():
    source, cache, model, tower = sys.argv[1:5]
    check = int(sys.argv[5]) if len(sys.argv) > 5 else 0
    c, out = torch.load(source), model + "/captioner"
    os.makedirs(out, exist_ok=True)
    w = c["net"]
    vocab, d = w["tokens.weight"].shape
    config = {"model_type": "eidetic_captioner", "tower": tower, "places": 81, "place_width": w["vector.weight"].shape[0],
              "hidden_size": d, "num_hidden_layers": c["args"]["layers"], "num_attention_heads": c["args"]["heads"],
              "intermediate_size": w["layers.0.fc1.weight"].shape[0], "max_position_embeddings": CONTEXT, "vocab_size": vocab,
              "layer_norm_eps": 1e-5, "bos_token_id": BEGIN, "eos_token_id": END}
    small, rounded = {}, {}
    for name, v in w.items():
        if v.dim() > 1 and name != "positions.weight":
            small[name], small[name + ".scale"] = export.quantise(v.float())
            rounded[name] = small[name].float() * small[name + ".scale"][:, None]
        else:
            small[name] = rounded[name] = v.float()
    save_file({k: v.contiguous() for k, v in small.items()}, out + "/model.safetensors")
    os.chmod(out + "/model.safetensors", 0o644)
    with open(out + "/config.json", "w") as f:
        json.dump(config, f, indent=1)
        f.write("\n")
    shutil.copy(cache + "/vocab.txt", out + "/vocab.txt")
    print(sum(os.path.getsize(out + "/" + f) for f in ("model.safetensors", "config.json", "vocab.txt")), "bytes")
    if check:
        with open(cache + "/vocab.txt", encoding="utf-8") as f:
            words = [line.rstrip("\n") for line in f]
        dev = captioner_train.Set(cache, "dev", ["dev"])
        dev.texts = dev.texts[:check]
        for what, weights in (("f32", w), ("8-bit", rounded)):
            net = Captioner(vocab, d, c["args"]["layers"], c["args"]["heads"], config["place_width"])
            net.load_state_dict(weights)
            print(what, captioner_train.dev_scores(net, dev, words))


if __name__ == "__main__":
    main()
