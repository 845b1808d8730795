"""The 200 prompts that the sampler is measured with: 100 sentences of dev pictures, 100 labels of small64 and Caltech-101, the
emoji's names among them.

usage: sampler_prompts.py DATA > eval.tsv      columns: source (caption or label), set, prompt, a picture of it
"""
import sys

import numpy as np

import data

SEED = 11


def main():
    folder, rng = sys.argv[1], np.random.default_rng(SEED)
    dev = data.captioned(folder, "dev")
    print("source\tset\tprompt\tpicture")
    for i in np.sort(rng.permutation(len(dev))[:100]):
        print(f"caption\tcaptioned\t{dev[i][1][0]}\t{dev[i][0]}")
    sets = {"labelled": [(f, "caltech101", label) for f, label in data.labelled(folder, "caltech101")], "small64": data.small64(folder)}
    by = {}
    for rows in sets.values():
        for f, source, label in rows:
            name = label.split(" | ")[0]        # an emoji's name, without its keywords
            if ":" not in name:
                by.setdefault((source, name), []).append(f)
    emoji = [k for k in by if k[0] == "emoji"]
    caltech = [k for k in by if k[0] == "caltech101"]
    rest = [k for k in by if k[0] not in ("emoji", "caltech101")]
    seen, picked = set(), []
    for k in rest + [caltech[i] for i in rng.permutation(len(caltech))] + [emoji[i] for i in rng.permutation(len(emoji))]:
        most = 80 if k[0] == "caltech101" else 100
        if k[1].lower() not in seen and len(picked) < most:
            seen.add(k[1].lower())
            picked.append(k)
    for k in picked:
        print(f"label\t{k[0]}\t{k[1]}\t{by[k][rng.integers(len(by[k]))]}")


if __name__ == "__main__":
    main()
