"""Measures the sampler through the program: is each picture nearest to its own prompt among 20?

The 19 others are drawn from the prompts of the same source (captions, labels), the same ones for each measure. One picture a
prompt, its line number as seed. Beside it: the score of real pictures of those prompts, at 64x64 too, and the chance, 5 %.

usage: sampler_eval.py PROGRAM MODEL DATA OUT [option of generate ...]     MODEL: the starter's folder; OUT: pictures and vectors
"""
import csv
import os
import subprocess
import sys

import numpy as np
from PIL import Image

import data
import sampler_data

HERE = os.path.dirname(os.path.abspath(__file__))


def embed(program, model, out, *args):
    subprocess.run([program, "embed", "--model", model, "--format", "npy", "-o", out, *args], check=True)
    return np.load(out)


def score(pictures, prompts, sources):
    """Share of a source's pictures whose own prompt is the nearest of 20."""
    rng, hits = np.random.default_rng(5), {}
    for i, s in enumerate(sources):
        others = rng.permutation([k for k, t in enumerate(sources) if t == s and k != i])[:19]
        hits.setdefault(s, []).append(pictures[i] @ prompts[i] > (prompts[others] @ pictures[i]).max())
    return {s: float(np.mean(h)) for s, h in hits.items()}


def main():
    program, model, folder, out = sys.argv[1:5]
    os.makedirs(out + "/real", exist_ok=True)
    with open(HERE + "/eval.tsv", newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    with open(out + "/prompts.txt", "w", encoding="utf-8") as f:
        f.write("".join(r["prompt"] + "\n" for r in rows))
    tars, made, real = {}, [], []
    for i, r in enumerate(rows, 1):
        which = {"captioned": "captioned", "caltech101": "labelled"}.get(r["set"], "small64")
        tars.setdefault(which, data.Pictures(folder, which))
        real.append(f"{out}/real/{i:03d}.png")
        sampler_data.square(tars[which].open(r["picture"])).save(real[-1])
        made.append(f"{out}/{i:03d}.png")
        prompt = "".join("\\" + c if c in "()[]\\" else c for c in r["prompt"])
        if os.path.exists(made[-1]):
            os.remove(made[-1])
        subprocess.run([program, "generate", prompt, "--model", model + "/sampler", "-o", made[-1], "--no-file", "--quiet",
                        "--seed", str(i), *sys.argv[5:]], check=True, stdout=subprocess.DEVNULL)
    prompts = embed(program, model, out + "/prompts.npy", "--from", out + "/prompts.txt")
    sources = [r["source"] for r in rows]
    for name, files in (("made", made), ("real", real)):
        v = embed(program, model, f"{out}/{name}.npy", *files)
        s = score(v, prompts, sources)
        print(name, {k: round(100 * x, 1) for k, x in s.items()}, "mean cosine", round(float((v * prompts).sum(1).mean()), 3))
    sheet = Image.new("RGB", (20 * 66, 10 * 66))
    for i, f in enumerate(made):
        sheet.paste(Image.open(f).resize((64, 64)), (i % 20 * 66, i // 20 * 66))
    sheet.save(out + "/sheet.png")


if __name__ == "__main__":
    main()
