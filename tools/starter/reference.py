"""The forward pass in plain torch from the exported files alone (f32 or 8-bit): what the C program must match.

Surprising: it knows nothing of the training code; what config.json and the tensors say is all there is.

usage: reference.py MODEL_FOLDER images OUT.npy FILE ...     reference.py MODEL_FOLDER texts OUT.npy < one sentence a line
"""
import json
import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from tokenizers import BertWordPieceTokenizer


class Reference:
    def __init__(self, folder):
        self.c = json.load(open(folder + "/config.json"))
        raw = load_file(folder + "/model.safetensors")
        self.w = {}
        for k, v in raw.items():
            if k.endswith(".scale"):
                continue
            s = raw.get(k + ".scale")
            self.w[k] = v.float() if s is None else v.float() * s.view(-1, *[1] * (v.dim() - 1))
        self.tok = BertWordPieceTokenizer(folder + "/vocab.txt", lowercase=True)

    def linear(self, x, name):
        return F.linear(x, self.w[name + ".weight"], self.w.get(name + ".bias"))

    def conv(self, x, name, stride=1, pad=(0, 0)):
        w = self.w[name + ".weight"]
        x = F.pad(x, (pad[0], pad[1], pad[0], pad[1]))
        return F.conv2d(x, w, self.w[name + ".bias"], stride, 0, 1, x.shape[1] // w.shape[1])

    def norm(self, x, name, eps):
        return F.layer_norm(x, x.shape[-1:], self.w[name + ".weight"], self.w[name + ".bias"], eps)

    def preprocess(self, img, resize=None):
        """PIL picture -> [3,260,260]; shortest: short side to 260 (long side rounded half up), centre crop (floor)."""
        c = self.c["image"]
        n = c["image_size"]
        w, h = img.size
        if (resize or c["resize"]) == "squash":
            img = img.resize((n, n), Image.BICUBIC)
        else:
            w, h = (n, max(n, int(h * n / w))) if w <= h else (max(n, int(w * n / h)), n)
            x, y = (w - n) // 2, (h - n) // 2
            img = img.resize((w, h), Image.BICUBIC).crop((x, y, x + n, y + n))
        a = np.asarray(img.convert("RGB"), dtype=np.float32)
        return torch.from_numpy(((a - np.float32(c["mean"])) / np.float32(c["std"])).transpose(2, 0, 1).copy())

    def image_map(self, x):
        """[N,3,260,260] -> [N,81,1280], rows of the 9x9 map."""
        c = self.c["image"]
        x = F.relu6(self.conv(x, "image.stem", c["stem"]["stride"], c["stem"]["pad"]))
        for i, b in enumerate(c["blocks"]):
            y = F.relu6(self.conv(x, f"image.blocks.{i}.expand")) if b["expand"] else x
            y = F.relu6(self.conv(y, f"image.blocks.{i}.dw", b["stride"], b["pad"]))
            y = self.conv(y, f"image.blocks.{i}.project")
            x = x + y if b["residual"] else y
        return F.relu6(self.conv(x, "image.head")).flatten(2).transpose(1, 2)

    def patch_states(self, m):
        h = self.c["heads"]["image"]
        return self.norm(self.linear(m, "image_head.token"), "image_head.token_norm", h["attention"]["layer_norm_eps"])

    def embed_map(self, m):
        h = self.c["heads"]["image"]
        f = m.mean(1)
        p = torch.softmax(self.linear(f, "image.classifier") * h["softmax_scale"], 1)
        x = F.layer_norm((f - self.w["image_head.mean"]) * self.w["image_head.inv"], f.shape[-1:], eps=h["layer_norm_eps"])
        z = self.linear(x, "image_head.linear") + self.linear(F.gelu(self.linear(x, "image_head.fc1")), "image_head.fc2")
        z = z + p @ self.w["image_head.names.weight"]
        if h["attention"]:
            t = self.patch_states(m)
            a = torch.softmax(self.linear(t, "image_head.query"), 1)                       # over the 81 places
            v = self.linear(t, "image_head.value")
            n, s, d = v.shape
            v = torch.einsum("nsh,nshc->nhc", a, v.view(n, s, h["attention"]["heads"], -1)).reshape(n, d)
            z = z + self.linear(v, "image_head.out")
        return F.normalize(z, dim=1)

    def images(self, x):
        with torch.no_grad():
            return self.embed_map(self.image_map(x))

    def ids(self, text):
        i, n = self.tok.encode(text).ids, self.c["text"]["max_tokens"]
        return i if len(i) <= n else i[:n - 1] + i[-1:]

    def text_states(self, ids, mask):
        c = self.c["text"]
        eps, nh = c["layer_norm_eps"], c["heads"]
        x = self.w["text.embeddings.word.weight"][ids] + self.w["text.embeddings.position.weight"][: ids.shape[1]]
        x = self.norm(x, "text.embeddings.norm", eps)
        n, t, d = x.shape
        for i in range(c["layers"]):
            p = f"text.layers.{i}."
            q, k, v = (self.linear(x, p + a).view(n, t, nh, -1).transpose(1, 2) for a in "qkv")
            s = (q @ k.transpose(2, 3)) / (d // nh) ** 0.5
            s = s.masked_fill(~mask[:, None, None, :], float("-inf")).softmax(3)
            x = self.norm(x + self.linear((s @ v).transpose(1, 2).reshape(n, t, d), p + "o"), p + "attn_norm", eps)
            x = self.norm(x + self.linear(F.gelu(self.linear(x, p + "fc1")), p + "fc2"), p + "ffn_norm", eps)
        return x

    def texts(self, sentences):
        out = []
        with torch.no_grad():
            for s in sentences:
                ids = torch.tensor([self.ids(s)])
                u = self.text_states(ids, torch.ones_like(ids, dtype=torch.bool)).mean(1)
                x = F.layer_norm(u, u.shape[-1:], eps=self.c["heads"]["text"]["layer_norm_eps"])
                z = self.linear(x, "text_head.linear")
                if self.c["heads"]["text"]["mlp"]:
                    z = z + self.linear(F.gelu(self.linear(x, "text_head.fc1")), "text_head.fc2")
                out.append(F.normalize(z, dim=1))
        return torch.cat(out)


if __name__ == "__main__":
    torch.set_num_threads(2)
    r = Reference(sys.argv[1])
    if sys.argv[2] == "images":
        v = torch.cat([r.images(r.preprocess(Image.open(f).convert("RGB"))[None]) for f in sys.argv[4:]])
    else:
        v = r.texts([line.rstrip("\n") for line in sys.stdin])
    np.save(sys.argv[3], v.numpy())
