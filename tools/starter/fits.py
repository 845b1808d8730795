"""Does anything in the archive fit a query? One number from the query's scores, and its threshold by archive size.

Surprising: the spread of the scores tells more than the best score. A sentence the archive has nothing to do
with is about equally far from all pictures; its z-score is then high by chance, so dividing by the spread hurts.

usage: fits.py DATA MODEL_FOLDER DEV_PICTURES.npy QUERIES.tsv OUT_FOLDER [PHOTOS.npy]
"""
import json
import os
import sys

import numpy as np
import torch

import data
import reference
import scores

SIZES = (20, 50, 100, 300, 1000)


def auc(pos, neg):
    return float((pos[:, None] > neg).mean() + 0.5 * (pos[:, None] == neg).mean())


def statistic(sim, k):
    """sim: one query's cosines against the archive."""
    return sim.max() + k * sim.std()


def draws(t, p, match, own, n, rng, times):
    """Scores of every query against random archives of n pictures that hold the query's own picture, if it has one."""
    for _ in range(times):
        for q, m, o in zip(t, match, own):
            pick = rng.choice(len(p), n, replace=False)
            if m and o not in pick:
                pick[0] = o
            yield m, p[pick] @ q


def main():
    folder, model, pictures, queries, out = sys.argv[1:6]
    torch.set_num_threads(2)
    ref = reference.Reference(model)
    rows = [line.rstrip("\n").split("\t") for line in open(queries, encoding="utf-8")][1:]
    text, match = [r[0] for r in rows], np.array([r[1] == "1" for r in rows])
    p, t = scores.unit(np.load(pictures)), ref.texts(text).numpy()
    os.makedirs(out, exist_ok=True)
    np.save(out + "/fits_texts.npy", t)
    np.save(out + "/dev_pictures.npy", p)
    owner = {s: i for i, (_, ss) in enumerate(data.captioned(folder, "dev")) for s in ss}
    own = [owner.get(s, -1) for s in text]
    sim = t @ p.T
    best = sim.max(1)
    for name, v in (("top", best), ("top - mean", best - sim.mean(1)), ("z", (best - sim.mean(1)) / sim.std(1)),
                    ("mean of top 10", np.sort(sim, 1)[:, -10:].mean(1)), ("spread", sim.std(1))):
        print(f"{name:16s} AUC {auc(v[match], v[~match]):.3f}")
    for k in (1, 2, 3, 4, 6, 8):
        line = []
        for n in SIZES:
            rng = np.random.default_rng(3)
            d = [(m, statistic(s, k)) for m, s in draws(t, p, match, own, n, rng, 1 if n == 1000 else 5)]
            a, b = np.array([v for m, v in d if m]), np.array([v for m, v in d if not m])
            line.append((n, auc(a, b), np.quantile(a, 0.035), (b < np.quantile(a, 0.035)).mean()))
        print("k", k, "  ".join(f"n={n}: AUC {x:.3f} cut {c:.3f} unfit {100 * u:.0f}%" for n, x, c, u in line), flush=True)
        if k == 4:
            c0, slope = np.polynomial.polynomial.polyfit([np.log10(x[0]) for x in line], [x[2] for x in line], 1)
            fit = {"statistic": "max + spread_weight * standard deviation of the query's cosines over the archive (population form)",
                   "spread_weight": k, "threshold": round(float(c0), 4), "threshold_per_log10_n": round(float(slope), 4), "n_min": 20, "n_max": 1000}
            best_k = [(n, x) for n, x, _, _ in line]
    cut = lambda n: fit["threshold"] + fit["threshold_per_log10_n"] * np.log10(min(max(n, 20), 1000))
    for n in SIZES:
        d = [(m, statistic(s, 4) < cut(n)) for m, s in draws(t, p, match, own, n, np.random.default_rng(9), 1 if n == 1000 else 5)]
        miss, caught = np.mean([u for m, u in d if m]), np.mean([u for m, u in d if not m])
        print(f"rule, n={n}: matching called unfit {100 * miss:.1f} %, others called unfit {100 * caught:.1f} %")
    if len(sys.argv) > 6:
        ph = scores.unit(np.load(sys.argv[6]))
        pt = ref.texts([s for _, s in data.photos(folder)]).numpy()
        u = np.array([statistic(ph @ q, 4) < cut(len(ph)) for q in pt])
        w = np.array([statistic(ph @ q, 4) < cut(len(ph)) for q in t[~match]])
        print(f"photos archive: its own sentences called unfit {100 * u.mean():.1f} %, the made-up ones {100 * w.mean():.1f} % (some do fit there)")
    print(fit, best_k)
    json.dump(fit, open(out + "/fits.json", "w"), indent=1)


if __name__ == "__main__":
    main()
