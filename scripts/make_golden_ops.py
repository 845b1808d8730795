#!/usr/bin/env python3
"""Writes tests/ops/golden_ops.bin: small inputs and what PyTorch computes from them, for
tests/ops/test_ops_reference.c. Wants torch. Run from the repository's root.

Format, little-endian, repeated to the end: u8 length of name, name, u8 dims, u32 each dim, f32
values. Names are "case/array".
"""
import struct
import sys

import torch
import torch.nn.functional as F

torch.manual_seed(7)
torch.set_grad_enabled(False)
out = open(sys.argv[1] if len(sys.argv) > 1 else "tests/ops/golden_ops.bin", "wb")


def put(case, **arrays):
    for name, t in arrays.items():
        t = t.detach().to(torch.float32).contiguous()
        key = f"{case}/{name}".encode()
        out.write(struct.pack("<B", len(key)) + key + struct.pack("<B", t.dim()))
        out.write(struct.pack(f"<{t.dim()}I", *t.shape) + t.numpy().tobytes())


def nhwc(t):
    return t.permute(0, 2, 3, 1)


x, w, b, r = torch.randn(7, 33), torch.randn(19, 33), torch.randn(19), torch.randn(7, 19)
put("linear", x=x, w=w, b=b, r=r, y=F.gelu(F.linear(x, w, b)) + r)

x, w, b = torch.randn(5, 50) * 2 + 3, torch.randn(50), torch.randn(50)
put("layernorm", x=x, w=w, b=b, y=F.layer_norm(x, (50,), w, b, 1e-5))
put("l2norm", x=x, y=F.normalize(x, dim=-1, eps=1e-12))
put("softmax", x=x, y=torch.softmax(x * 0.7, -1))

x = torch.linspace(-9, 9, 181)
put(
    "act",
    x=x,
    gelu=F.gelu(x),
    gelu_tanh=F.gelu(x, approximate="tanh"),
    quick_gelu=x * torch.sigmoid(1.702 * x),
    silu=F.silu(x),
    relu=F.relu(x),
    relu6=F.relu6(x),
    tanh=torch.tanh(x),
    sigmoid=torch.sigmoid(x),
)

B, T, H, D = 2, 11, 3, 24
q, k, v = (torch.randn(B, T, D) for _ in range(3))


def heads(t):
    return t.view(B, T, H, D // H).transpose(1, 2)


for name, causal in (("attention", False), ("causal", True)):
    y = F.scaled_dot_product_attention(heads(q), heads(k), heads(v), is_causal=causal)
    put(name, q=q, k=k, v=v, y=y.transpose(1, 2).reshape(B, T, D))

# Strides and TensorFlow's asymmetric SAME padding: nothing above and left, one below and right.
x, w, b = torch.randn(1, 3, 8, 6), torch.randn(5, 3, 3, 3), torch.randn(5)
y = F.relu6(F.conv2d(F.pad(x, (0, 1, 0, 1)), w, b, stride=2))
put("conv2d", x=nhwc(x), w=w.permute(0, 2, 3, 1), b=b, y=nhwc(y))
x, w, b = torch.randn(2, 4, 7, 9), torch.randn(4, 1, 5, 5), torch.randn(4)
y = F.conv2d(x, w, b, padding=2, groups=4)
put("depthwise", x=nhwc(x), w=w[:, 0].permute(1, 2, 0), b=b, y=nhwc(y))

# A ViT's first layer: the convolution's weight is used as a matrix unchanged.
x, w = torch.randn(1, 3, 8, 12), torch.randn(6, 3, 4, 4)
y = F.conv2d(x, w, stride=4).flatten(2).transpose(1, 2)
put("patches", x=nhwc(x), w=w, y=y)

x = torch.randn(2, 5, 9)
put("mean_tokens", x=x, y=torch.stack([x[0].mean(0), x[1, :3].mean(0)]))

# Group norm with a time embedding added first, then SiLU; torch wants channels first.
x, e, w, b = torch.randn(2, 12, 5, 3) * 2 + 3, torch.randn(2, 12), torch.randn(12), torch.randn(12)
y = F.silu(F.group_norm(x + e[:, :, None, None], 4, w, b, 1e-5))
put("groupnorm", x=nhwc(x), e=e, w=w, b=b, y=nhwc(y))
x = torch.randn(1, 4, 3, 2)
put("upsample2x", x=nhwc(x), y=nhwc(F.interpolate(x, scale_factor=2.0, mode="nearest")))
