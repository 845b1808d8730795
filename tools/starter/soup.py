"""Averages the weights of several checkpoints of one training line.

usage: soup.py OUT.pt A.pt B.pt ...
"""
import sys

import torch

cks = [torch.load(p) for p in sys.argv[2:]]
model = {k: sum(c["model"][k].float() for c in cks) / len(cks) for k in cks[0]["model"]}
torch.save({"model": model, "options": cks[-1]["options"]}, sys.argv[1])
