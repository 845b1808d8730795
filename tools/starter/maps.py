"""The image tower from block CUT on for training: channels last, pointwise convolutions as matrix products.

Surprising: the depthwise weights stay frozen. Their gradient took half of a step's time, and they hold 3 % of
the trained blocks' weights.
"""
import torch
import torch.nn.functional as F

import net


def pointwise(c, x):
    """x [N,H,W,C]"""
    return F.linear(x, c.weight.view(c.weight.shape[0], -1), c.bias)


class Depthwise(torch.autograd.Function):
    """y [N,C,H',W'] with a gradient for x alone, by the transposed convolution."""

    @staticmethod
    def forward(ctx, x, w, b, stride, pads):
        ctx.save_for_backward(w)
        ctx.args = stride, pads, x.shape
        return F.conv2d(F.pad(x, pads), w, b, stride, 0, 1, w.shape[0])

    @staticmethod
    def backward(ctx, gy):
        (w,), (stride, (l, r, t, b), shape) = ctx.saved_tensors, ctx.args
        n, c, h, width = gy.shape
        k = w.shape[2]
        if stride > 1:
            up = gy.new_zeros(n, c, (h - 1) * stride + 1, (width - 1) * stride + 1).contiguous(memory_format=torch.channels_last)
            up[:, :, ::stride, ::stride] = gy
            gy = up
        room = (k - 1, shape[3] + l + r - gy.shape[3], k - 1, shape[2] + t + b - gy.shape[2])
        gx = F.conv2d(F.pad(gy, room), w.flip(2, 3), None, 1, 0, 1, c)
        return gx[:, :, t:t + shape[2], l:l + shape[3]], None, None, None, None


def depthwise(c, x):
    t, b = net.same_pad(x.shape[1], c.k, c.stride)
    l, r = net.same_pad(x.shape[2], c.k, c.stride)
    y = Depthwise.apply(x.permute(0, 3, 1, 2), c.weight.to(x.dtype), c.bias.to(x.dtype), c.stride, (l, r, t, b))
    return y.permute(0, 2, 3, 1)


def above(tower, x, cut):
    """The map [N,C,H,W] behind block cut - 1 -> [N,81,1280]."""
    x = x.permute(0, 2, 3, 1).contiguous()
    for block in tower.blocks[cut:]:
        y = F.relu6(pointwise(block.expand, x)) if block.expand is not None else x
        y = pointwise(block.project, F.relu6(depthwise(block.dw, y)))
        x = x + y if block.residual else y
    return F.relu6(pointwise(tower.head, x)).flatten(1, 2)
