#!/usr/bin/env python3
"""Tokens a second of transformers' BLIP beside eidetic's, on the same folder of random weights and the same pictures.

Surprising: random weights never end a sentence, so that both say exactly --tokens words; `eidetic caption --verbose`
prints its own rate, the image tower's time included, as here.

usage: caption.py MODEL_DIR PICTURE... [--beams 3] [--tokens 20] [--threads 2]    (makes MODEL_DIR where it is missing)
       eidetic caption --verbose --captioner MODEL_DIR --beams 3 --min-length 20 --max-length 20 PICTURE...
"""
import argparse
import os
import shutil
import time

import torch
from PIL import Image
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessor


def make(folder):
    torch.manual_seed(1)
    config = BlipConfig(text_config={"vocab_size": 30524, "num_attention_heads": 12, "num_hidden_layers": 12},
                        vision_config={"image_size": 384})
    config.save_pretrained(folder)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    BlipImageProcessor(size={"height": 384, "width": 384}).save_pretrained(folder)
    here = os.path.dirname(os.path.abspath(__file__))
    shutil.copy(os.path.join(here, "..", "..", "third_party", "bert", "vocab.txt"), os.path.join(folder, "vocab.txt"))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("pictures", nargs="+")
    p.add_argument("--beams", type=int, default=3)
    p.add_argument("--tokens", type=int, default=20)
    p.add_argument("--threads", type=int, default=2)
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    if not os.path.exists(o.model):
        make(o.model)
    model = BlipForConditionalGeneration.from_pretrained(o.model).eval()
    processor, tokenizer = BlipImageProcessor.from_pretrained(o.model), BertTokenizer.from_pretrained(o.model)
    said, seconds, cpu = 0, 0.0, 0.0
    with torch.no_grad():
        for k, f in enumerate([o.pictures[0], *o.pictures]):    # the first one warms up
            x = processor(images=Image.open(f).convert("RGB"), return_tensors="pt")
            t, c = time.perf_counter(), time.process_time()
            got = model.generate(**x, num_beams=o.beams, num_return_sequences=o.beams, max_new_tokens=o.tokens,
                                 min_new_tokens=o.tokens)
            if k:
                seconds, cpu = seconds + time.perf_counter() - t, cpu + time.process_time() - c
                said += o.beams * o.tokens
                print(f"{f}: {tokenizer.decode(got[0], skip_special_tokens=True)}")
    print(f"{said} tokens in {seconds:.1f} s, {said / seconds:.1f} tokens/s ({cpu:.1f} s of processor time)")


if __name__ == "__main__":
    main()
