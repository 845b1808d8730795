"""TAEF2, the tiny autoencoder (MIT) of 32 latent channels at 1/8 of the size, as its author's code computes it.

Surprising: the decoder squashes its input by 3 tanh(x / 3), and pixels are 0..1, not -1..1.
"""
import torch
from torch import nn


def conv(a, b, **kw):
    return nn.Conv2d(a, b, 3, padding=1, **kw)


class Block(nn.Module):
    def __init__(self, n, pooled=False):
        super().__init__()
        self.conv = nn.Sequential(conv(n, n), nn.ReLU(), conv(n, n), nn.ReLU(), conv(n, n))
        self.pool = None
        if pooled:
            self.pool = nn.Sequential(nn.Conv2d(n, 4 * n, 1, bias=False), nn.GroupNorm(4, 4 * n), nn.ReLU(), nn.Conv2d(4 * n, n, 1, bias=False))

    def forward(self, x):
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


class Squash(nn.Module):
    def forward(self, x):
        return torch.tanh(x / 3) * 3


def encoder(latent=32, n=64, blocks=3):
    layers = [conv(3, n), Block(n)]
    for stage in range(3):
        layers += [conv(n, n, stride=2, bias=False)] + [Block(n, pooled=stage == 2) for _ in range(blocks)]
    return nn.Sequential(*layers, conv(n, latent))


def decoder(latent=32, n=64, blocks=3):
    layers = [Squash(), conv(latent, n), nn.ReLU()]
    for stage in range(3):
        layers += [Block(n, pooled=stage == 0) for _ in range(blocks)] + [nn.Upsample(scale_factor=2), conv(n, n, bias=False)]
    return nn.Sequential(*layers, Block(n), conv(n, 3))


def load(folder):
    pair = encoder(), decoder()
    for net, name in zip(pair, ("encoder", "decoder")):
        net.load_state_dict({k: v.float() for k, v in torch.load(f"{folder}/taef2_{name}.pth").items()})
        net.eval().requires_grad_(False)
    return pair
