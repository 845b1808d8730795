"""Models of real shapes with random weights, for ours and for the peers.

    models.py DATA [NAME...]

writes for each of vit-b-32, vit-b-32-256, vit-l-14 (or those named)
    DATA/NAME/                       an OpenCLIP folder: config, safetensors (f32; f16 for vit-l-14)
    DATA/onnx/NAME-image.onnx, ...   f32 and dynamically quantised int8 (not for vit-l-14)
and DATA/rclip/, the data folder of rclip with its model. What is there already is kept.
"""

import json
import os
import shutil
import sys
import warnings

import open_clip
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.torch import save_file

SHAPES = {"vit-b-32": "ViT-B-32", "vit-b-32-256": "ViT-B-32-256", "vit-l-14": "ViT-L-14"}
RCLIP_MODEL = "ViT-B-32-256-datacomp_s34b_b86k"


class Text(torch.nn.Module):
    def __init__(self, clip):
        super().__init__()
        self.clip = clip

    def forward(self, tokens):
        return self.clip.encode_text(tokens)


def make(shape):
    """Seeded, and with biases and norms that are not all zeros and ones, as in trained weights."""
    torch.manual_seed(7)
    model = open_clip.create_model(shape).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1 and p.numel() > 1:
                p.add_(torch.randn_like(p) * 0.02)
    return model


def write_folder(folder, shape, model, dtype):
    file = os.path.join(folder, "open_clip_model.safetensors")
    if os.path.exists(file):
        return
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "open_clip_config.json"), "w") as f:
        json.dump({"model_cfg": open_clip.get_model_config(shape)}, f)
    state = {k: v.to(dtype).contiguous() for k, v in model.state_dict().items() if v.is_floating_point()}
    save_file(state, file + ".part")
    os.rename(file + ".part", file)


def export(path, module, example):
    if os.path.exists(path):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    torch.onnx.export(
        module, (example,), path + ".part", input_names=["input"], output_names=["output"],
        dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}}, opset_version=18, dynamo=False)
    os.rename(path + ".part", path)


def quantize(path):
    """Each per tensor and per channel; which is faster differs, so the driver tries both."""
    for suffix, per_channel in (("int8", False), ("int8pc", True)):
        out = path.replace(".onnx", f"-{suffix}.onnx")
        if not os.path.exists(out):
            quantize_dynamic(path, out + ".part", weight_type=QuantType.QInt8, per_channel=per_channel)
            os.rename(out + ".part", out)


def link(target, name):
    if not os.path.exists(name):
        os.makedirs(os.path.dirname(name), exist_ok=True)
        os.symlink(os.path.abspath(target), name)


def make_all(data, name):
    shape = SHAPES[name]
    model = make(shape)
    write_folder(os.path.join(data, name), shape, model, torch.float16 if name == "vit-l-14" else torch.float32)
    if name == "vit-l-14":
        return
    torch.backends.mha.set_fastpath_enabled(False)  # the fast path has no ONNX form
    size = open_clip.get_model_config(shape)["vision_cfg"]["image_size"]
    image, text = (os.path.join(data, "onnx", f"{name}-{t}.onnx") for t in ("image", "text"))
    export(image, model.visual, torch.randn(1, 3, size, size))
    export(text, Text(model), torch.zeros(1, 77, dtype=torch.long))
    if name == "vit-b-32":
        quantize(image)
        quantize(text)
    else:
        link(image, os.path.join(data, "rclip", RCLIP_MODEL, "visual.onnx"))
        link(text, os.path.join(data, "rclip", RCLIP_MODEL, "textual.onnx"))


def main():
    warnings.filterwarnings("ignore")
    data = sys.argv[1]
    for name in sys.argv[2:] or SHAPES:
        make_all(data, name)
    vocab = os.path.join(data, "rclip", "tokenizer", "bpe_simple_vocab_16e6.txt.gz")
    if not os.path.exists(vocab):
        os.makedirs(os.path.dirname(vocab), exist_ok=True)
        shutil.copy(os.path.join(os.path.dirname(open_clip.__file__), os.path.basename(vocab)), vocab)
    print(f"models are in {data}")


if __name__ == "__main__":
    main()
