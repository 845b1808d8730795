"""How fast a peer runs a tower: the median call, for each way given, two threads.

    towers.py DATA MODEL WAY:BATCH... [-s SECONDS]      one line each: "WAY:BATCH RATE" (pictures or
                                                        sentences a second)

Ways: ort (f32), ort-int8 and ort-int8pc (dynamically quantised, weights by tensor and by channel),
torch (weights in bf16), torch-autocast, each on pictures; ort-text, ort-text-int8 and
ort-text-int8pc on one sentence padded to 77 tokens, as exported.
"""

import json
import os
import sys
import time
import warnings

THREADS = 2


def rate(call, n, seconds):
    for _ in range(2):
        call()
    took, end = [], time.perf_counter() + seconds
    while not took or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    took.sort()
    return n / took[len(took) // 2]


def ort_call(data, model, way, batch, size):
    import numpy as np
    import onnxruntime as ort

    tower, suffix = "image", way[len("ort"):]
    if suffix.startswith("-text"):
        tower, suffix = "text", suffix[len("-text"):]
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.add_free_dimension_override_by_name("batch", batch)  # a fixed batch, all shapes known
    session = ort.InferenceSession(
        os.path.join(data, "onnx", f"{model}-{tower}{suffix}.onnx"), options, providers=["CPUExecutionProvider"])
    if tower == "text":
        x = np.zeros((batch, 77), dtype=np.int64)
        x[:, :10] = [49406, 320, 736, 4440, 525, 320, 3638, 530, 1615, 49407]
    else:
        x = np.random.default_rng(7).standard_normal((batch, 3, size, size), dtype=np.float32)
    return lambda: session.run(None, {"input": x})


def torch_call(data, model, way, batch, size):
    import open_clip
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(THREADS)
    with open(os.path.join(data, model, "open_clip_config.json")) as f:
        clip = open_clip.CLIP(**json.load(f)["model_cfg"])
    clip.load_state_dict(load_file(os.path.join(data, model, "open_clip_model.safetensors")), strict=False)
    visual, x = clip.visual.eval(), torch.randn(batch, 3, size, size)
    if way == "torch":
        visual, x = visual.bfloat16(), x.bfloat16()

    def call():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=way == "torch-autocast"):
            visual(x)

    return call


def main():
    warnings.filterwarnings("ignore")
    args, seconds = sys.argv[1:], 1.5
    if "-s" in args:
        at = args.index("-s")
        seconds = float(args[at + 1])
        del args[at:at + 2]
    data, model, ways = args[0], args[1], args[2:]
    with open(os.path.join(data, model, "open_clip_config.json")) as f:
        size = json.load(f)["model_cfg"]["vision_cfg"]["image_size"]
    for spec in ways:
        way, batch = spec.split(":")
        make = ort_call if way.startswith("ort") else torch_call
        call = make(data, model, way, int(batch), size)
        print(spec, f"{rate(call, int(batch), seconds):.4f}", flush=True)


if __name__ == "__main__":
    main()
