"""The lists' figures from vectors alone (npy), so that another program's vectors are scored alike.

Surprising: two class names occur twice (crane, maillot); a picture of either counts as right by name.
"""
import numpy as np


def unit(x):
    x = np.asarray(x, dtype=np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def rank(sim, right):
    """Rank (0 = best) of the best right candidate in each row; right: list of index lists."""
    return np.array([(row > row[r].max()).sum() for row, r in zip(sim, right)])


def captioned(pictures, sentences, owner):
    """owner[j]: the picture of sentence j."""
    sim = unit(pictures) @ unit(sentences).T
    owner = np.asarray(owner)
    t2i = rank(sim.T, [[o] for o in owner])
    i2t = rank(sim, [np.flatnonzero(owner == i) for i in range(len(pictures))])
    return {"t2i": [100 * float((t2i < k).mean()) for k in (1, 5, 10)],
            "i2t": [100 * float((i2t < k).mean()) for k in (1, 5, 10)]}


def named(pictures, names, truth):
    """names: vectors of the distinct names; truth[i]: index of the picture's name."""
    r = rank(unit(pictures) @ unit(names).T, [[t] for t in truth])
    return [100 * float((r < k).mean()) for k in (1, 5)]


def photos(pictures, sentences):
    r = rank(unit(sentences) @ unit(pictures).T, [[i] for i in range(len(sentences))])
    return [100 * float((r < k).mean()) for k in (1, 5)]
