"""The two heads that join the towers, and the whole model.

Surprising: `names` (1000 x d) starts as the text embeddings of the class names and the picture
embedding adds softmax(classifier / T) times it: ImageNet's knowledge without an ImageNet picture.
"""
import torch
import torch.nn.functional as F
from torch import nn

import net


class ImageHead(nn.Module):
    """map [N,81,1280] (or [N,1,1280]: pooled features only, attn=False), class scores -> [N,d] before unit length."""

    def __init__(self, d=384, mlp=1024, attn=False, drop=0.5):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(1280), requires_grad=False)
        self.inv = nn.Parameter(torch.ones(1280), requires_grad=False)
        self.linear = nn.Linear(1280, d)
        self.fc1, self.fc2 = nn.Linear(1280, mlp), nn.Linear(mlp, d)
        self.names = nn.Parameter(torch.zeros(1000, d))
        self.temp = nn.Parameter(torch.tensor(1.0))
        self.drop, self.noise, self.spread = drop, 0.0, 1.0
        self.attn = None
        if attn:
            self.attn = nn.ModuleDict({"token": nn.Linear(1280, d), "v": nn.Linear(d, d), "o": nn.Linear(d, d), "norm": nn.LayerNorm(d),
                                       "query": nn.Linear(d, attn, bias=False)})
            nn.init.normal_(self.attn["o"].weight, std=0.02)
            nn.init.zeros_(self.attn["o"].bias)

    def tokens(self, m):
        """Patch states [N,81,d]."""
        return self.attn["norm"](self.attn["token"]((m - self.mean) * self.inv))

    def forward(self, m, classifier):
        f = m.mean(1)
        p = torch.softmax(classifier(f) * torch.exp(self.temp), 1)
        x = (f - self.mean) * self.inv
        x = F.layer_norm(x, (1280,))
        if self.training and self.noise:
            x = x + self.noise * self.spread * torch.randn_like(x)
        x = F.dropout(x, self.drop * 0.4, self.training)
        h = F.dropout(F.gelu(self.fc1(x)), self.drop, self.training)
        z = self.linear(x) + self.fc2(h) + p @ self.names
        if self.attn is not None:
            t = F.dropout(self.tokens(m), 0.1, self.training)
            a = torch.softmax(self.attn["query"](t), 1)                     # [N,81,H]
            v = self.attn["v"](t)
            n, s, d = v.shape
            v = torch.einsum("nsh,nshc->nhc", a, v.view(n, s, a.shape[2], -1)).reshape(n, d)
            z = z + self.attn["o"](v)
        return z


class TextHead(nn.Module):
    def __init__(self, d=384, mlp=768, drop=0.1):
        super().__init__()
        self.linear = nn.Linear(384, d)
        self.fc1, self.fc2 = (nn.Linear(384, mlp), nn.Linear(mlp, d)) if mlp else (None, None)
        self.drop = drop

    def forward(self, u):
        """u: the mean of the last states, [N,384]."""
        x = F.layer_norm(u, (384,))
        z = self.linear(x)
        if self.fc1 is not None:
            z = z + self.fc2(F.dropout(F.gelu(self.fc1(x)), self.drop, self.training))
        return z


class Starter(nn.Module):
    def __init__(self, image, text, **k):
        super().__init__()
        self.image, self.text = image, text
        self.image_head = ImageHead(mlp=k.get("mlp", 1024), attn=k.get("attn", 0), drop=k.get("drop", 0.5))
        self.text_head = TextHead(mlp=k.get("tmlp", 768))
        self.scale = nn.Parameter(torch.tensor(3.0))
        self.kind = k

    def pictures(self, low):
        """Cached maps [N,208,9,9], or pooled features [N,1280], to unit vectors."""
        m = low[:, None] if low.dim() == 2 else self.image.above(low).flatten(2).transpose(1, 2)
        return F.normalize(self.image_head(m, self.image.classifier), dim=1)

    def sentences(self, ids, mask):
        return F.normalize(self.text_head(net.mean_pool(self.text(ids, mask), mask)), dim=1)
