#!/usr/bin/env python3
"""torch's figures beside scripts/gpu-check's: the same layers in bf16 and f16, attention and convolution, on the same card."""
import time

import torch
import torch.nn.functional as F


def timed(run):
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    start, n = time.perf_counter(), 20
    for _ in range(n):
        run()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / n


def tower(layers, width, heads, patch, batch, dtype):
    layer = torch.nn.TransformerEncoderLayer(width, heads, 4 * width, 0, "gelu", batch_first=True, norm_first=True)
    stack = torch.nn.TransformerEncoder(layer, layers, enable_nested_tensor=False).cuda().to(dtype).eval()
    x = torch.randn(batch, (224 // patch) ** 2 + 1, width, device="cuda", dtype=dtype)
    with torch.inference_mode():
        return timed(lambda: stack(x))


for dtype in (torch.bfloat16, torch.float16):
    print("torch", torch.__version__, "in", dtype)
    for name, shape in (("ViT-B/32", (12, 768, 12, 32)), ("ViT-L/14", (24, 1024, 16, 14))):
        for batch in (1, 16, 64, 256):
            t = tower(*shape, batch, dtype)
            print(f"{name}, batch {batch}: {t * 1e3:.3f} ms, {batch / t:.1f} images/s (layers alone)")
    for heads, dh in ((8, 40), (16, 64)):
        q = torch.randn(1, heads, 4096, dh, device="cuda", dtype=dtype)
        t = timed(lambda: F.scaled_dot_product_attention(q, q, q))
        print(f"attention, 4096 tokens, {heads} x {dh}: {t * 1e3:.3f} ms, {4 * 4096**2 * heads * dh / t * 1e-12:.1f} TFLOP/s")
    for side, c in ((64, 320), (32, 640), (16, 1280)):
        x = torch.randn(2, c, side, side, device="cuda", dtype=dtype).to(memory_format=torch.channels_last)
        w = torch.randn(c, c, 3, 3, device="cuda", dtype=dtype).to(memory_format=torch.channels_last)
        t = timed(lambda: F.conv2d(x, w, padding=1))
        print(f"3x3 convolution, {side} x {side} x {c}: {t * 1e3:.3f} ms, {36 * side**2 * c * c / t * 1e-12:.1f} TFLOP/s")
