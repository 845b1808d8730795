#!/usr/bin/env python3
"""BLEU-4 and CIDEr of captions against several sentences a picture, as pycocoevalcap counts them.

Surprising: its "CIDEr" is CIDEr-D (counts clipped, a Gaussian over the difference of lengths, times 10), and how rare a
word is comes from the sentences of the pictures that are scored, so that figures over other sets do not compare. Its
Java tokenizer is not used; ours is lower case, words and numbers with inner apostrophes and hyphens split off as there,
punctuation left out.

usage: score_captions.py SENTENCES.tsv CAPTIONS.jsonl [--split dev]     (file, split, sentence; {"path", "caption"})
       score_captions.py --selftest       (cases by hand; against pycocoevalcap where it is installed)
"""
import argparse
import collections
import csv
import json
import math
import os
import re

WORD = re.compile(r"n't|'(?:s|re|ve|m|ll|d)\b|\w+(?=n't\b)|\w+(?:-\w+)*")


def tokens(text):
    return WORD.findall(text.lower())


def grams(words, n):
    return collections.Counter(tuple(words[i:i + n]) for i in range(len(words) - n + 1))


def bleu(captions, sentences, order=4):
    """Corpus BLEU; the reference length is the nearest one, the shorter of two that are as near."""
    match, total, length, wanted = [0] * order, [0] * order, 0, 0
    for c, refs in zip(captions, sentences, strict=True):
        length += len(c)
        wanted += min((len(r) for r in refs), key=lambda n: (abs(n - len(c)), n))
        for n in range(1, order + 1):
            most = collections.Counter()
            for r in refs:
                most |= grams(r, n)
            mine = grams(c, n)
            match[n - 1] += sum((mine & most).values())
            total[n - 1] += max(len(c) - n + 1, 0)
    if min(match) == 0:
        return 0.0
    mean = sum(math.log(m / t) for m, t in zip(match, total)) / order
    return math.exp(mean + min(0.0, 1.0 - wanted / length))


def cider(captions, sentences, order=4, sigma=6.0):
    seen = collections.Counter()
    for refs in sentences:
        seen.update({g for r in refs for n in range(1, order + 1) for g in grams(r, n)})
    docs = math.log(len(sentences))

    def vector(words):
        v = [{g: k * (docs - math.log(max(1.0, seen[g]))) for g, k in grams(words, n).items()} for n in range(1, order + 1)]
        return v, [math.sqrt(sum(x * x for x in part.values())) for part in v], len(words) - 1

    def alike(a, b):
        (va, na, la), (vb, nb, lb) = a, b
        s = 0.0
        for x, y, p, q in zip(va, vb, na, nb):
            if p and q:
                s += sum(min(w, y[g]) * y[g] for g, w in x.items() if g in y) / (p * q)
        return s / order * math.exp(-(la - lb) ** 2 / (2 * sigma ** 2))
    each = []
    for c, refs in zip(captions, sentences, strict=True):
        mine = vector(c)
        each.append(10.0 * sum(alike(mine, vector(r)) for r in refs) / len(refs))
    return sum(each) / len(each)


def selftest():
    assert tokens("A dog's ball isn't here, man-made.") == ["a", "dog", "'s", "ball", "is", "n't", "here", "man-made"]
    refs = [[tokens("a dog runs on the beach"), tokens("the dog is running")], [tokens("two men play football"), tokens("men play")]]
    same = [r[0] for r in refs]
    assert abs(bleu(same, refs) - 1.0) < 1e-12 and bleu([["x"] * 5] * 2, refs) == 0.0
    # 3 of 4 words, 2 of 3, 1 of 2 pairs ... by hand; lengths equal
    one = bleu([tokens("a b c d e x")], [[tokens("a b c d e f")]])
    assert abs(one - (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25) < 1e-12
    short = bleu([tokens("a b c d")], [[tokens("a b c d e f")]])
    assert abs(short - math.exp(1 - 6 / 4)) < 1e-12
    # alone among pictures, a caption equal to its only sentence scores 10
    assert abs(cider([tokens("a b c d e"), tokens("f g h i j")], [[tokens("a b c d e")], [tokens("f g h i j")]]) - 10) < 1e-9
    print("cases by hand: ok")
    try:
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider
    except ImportError:
        print("pycocoevalcap is not installed: not compared with it")
        return
    import random
    rng = random.Random(1)
    words = [f"w{i}" for i in range(60)]
    caps = [[rng.choice(words[:rng.randint(5, 60)]) for _ in range(rng.randint(4, 14))] for _ in range(200)]
    refs = [[[w if rng.random() < 0.7 else rng.choice(words) for w in c][:rng.randint(4, 15)] for _ in range(5)] for c in caps]
    gts = {i: [" ".join(r) for r in refs[i]] for i in range(200)}
    res = {i: [" ".join(caps[i])] for i in range(200)}
    b, c = Bleu(4).compute_score(gts, res)[0][3], Cider().compute_score(gts, res)[0]
    print(f"pycocoevalcap: BLEU-4 {b:.6f}, ours {bleu(caps, refs):.6f}; CIDEr {c:.6f}, ours {cider(caps, refs):.6f}")
    assert abs(b - bleu(caps, refs)) < 1e-6 and abs(c - cider(caps, refs)) < 1e-6


def main():
    p = argparse.ArgumentParser()
    p.add_argument("sentences", nargs="?")
    p.add_argument("captions", nargs="?")
    p.add_argument("--split", default="dev")
    p.add_argument("--selftest", action="store_true")
    o = p.parse_args()
    if o.selftest:
        return selftest()
    refs = {}
    with open(o.sentences, newline="", encoding="utf-8") as f:
        for file, split, text in csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE):
            if split == o.split:
                refs.setdefault(os.path.basename(file), []).append(tokens(text))
    got = {}
    with open(o.captions, encoding="utf-8") as f:
        for line in f:
            row = json.loads(line)
            got[os.path.basename(row["path"])] = tokens(row["caption"] or "")
    names = [n for n in refs if n in got]
    print(f"{len(names)} of {len(refs)} pictures have a caption")
    if names:
        caps, sents = [got[n] for n in names], [refs[n] for n in names]
        print(f"BLEU-4 {bleu(caps, sents):.4f}  CIDEr {cider(caps, sents):.4f}")


if __name__ == "__main__":
    main()
