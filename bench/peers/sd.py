"""Stable Diffusion 1.5's shape with random weights, and how fast diffusers runs it.

    sd.py make FOLDER                 a diffusers folder in f16 (2 GB)
    sd.py single FOLDER FILE          the same weights in one .safetensors
    sd.py cpp FILE                    the same by stable-diffusion.cpp in f16, one step: its own report of what each part took
    sd.py time FOLDER f32|bf16 [N]    seconds of a UNet step (batch 1 and 2) and of a VAE decode at 512x512, best of N (2)
"""
import json
import os
import re
import sys
import time

UNET = dict(sample_size=64, in_channels=4, out_channels=4, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2,
            cross_attention_dim=768, attention_head_dim=8)
VAE = dict(block_out_channels=(128, 256, 512, 512), layers_per_block=2, down_block_types=("DownEncoderBlock2D",) * 4,
           up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, scaling_factor=0.18215, sample_size=512)
TEXT = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, vocab_size=49408,
            max_position_embeddings=77, hidden_act="quick_gelu", eos_token_id=49407)
SCHEDULER = dict(_class_name="EulerDiscreteScheduler", beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                 num_train_timesteps=1000, prediction_type="epsilon")


def make(folder):
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel
    torch.manual_seed(0)
    UNet2DConditionModel(**UNET).half().save_pretrained(folder + "/unet")
    AutoencoderKL(**VAE).half().save_pretrained(folder + "/vae")
    CLIPTextModel(CLIPTextConfig(**TEXT)).half().save_pretrained(folder + "/text_encoder")
    os.makedirs(folder + "/scheduler", exist_ok=True)
    with open(folder + "/scheduler/scheduler_config.json", "w") as f:
        json.dump(SCHEDULER, f)


def best(times, run):
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def measure(folder, dtype, times):
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    torch.set_num_threads(2)
    kind = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
    with torch.inference_mode():
        unet = UNet2DConditionModel.from_pretrained(folder + "/unet").to(kind).to(memory_format=torch.channels_last)
        for batch in (1, 2):
            x = torch.randn(batch, 4, 64, 64, dtype=kind).contiguous(memory_format=torch.channels_last)
            states = torch.randn(batch, 77, 768, dtype=kind)
            print(f"diffusers {dtype} step, batch {batch}: {best(times, lambda: unet(x, 500, states)):.2f} s", flush=True)
        del unet
        vae = AutoencoderKL.from_pretrained(folder + "/vae").to(kind).to(memory_format=torch.channels_last)
        z = torch.randn(1, 4, 64, 64, dtype=kind)
        print(f"diffusers {dtype} decode: {best(times, lambda: vae.decode(z)):.2f} s", flush=True)


# diffusers' names to the single file's, which is the only layout that stable-diffusion.cpp knows as a Stable Diffusion 1
RESNET = (("norm1", "in_layers.0"), ("conv1", "in_layers.2"), ("time_emb_proj", "emb_layers.1"), ("norm2", "out_layers.0"),
          ("conv2", "out_layers.3"), ("conv_shortcut", "skip_connection"))
UNET_NAMES = (("conv_in", "input_blocks.0.0"), ("time_embedding.linear_1", "time_embed.0"), ("time_embedding.linear_2", "time_embed.2"),
              ("conv_norm_out", "out.0"), ("conv_out", "out.2"), ("mid_block.resnets.0", "middle_block.0"),
              ("mid_block.attentions.0", "middle_block.1"), ("mid_block.resnets.1", "middle_block.2"))
VAE_NAMES = (("mid_block.resnets.0", "mid.block_1"), ("mid_block.resnets.1", "mid.block_2"), ("mid_block.attentions.0", "mid.attn_1"),
             ("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out"), ("conv_norm_out", "norm_out"),
             ("conv_shortcut", "nin_shortcut"), ("downsamplers.0", "downsample"), ("upsamplers.0", "upsample"))


def unet_name(name):
    for a, b in UNET_NAMES:
        name = re.sub(r"^" + re.escape(a) + r"\b", b, name)
    name = re.sub(r"^down_blocks\.(\d)\.(resnets|attentions)\.(\d)",
                  lambda m: f"input_blocks.{3 * int(m[1]) + int(m[3]) + 1}.{int(m[2] == 'attentions')}", name)
    name = re.sub(r"^down_blocks\.(\d)\.downsamplers\.0\.conv", lambda m: f"input_blocks.{3 * int(m[1]) + 3}.0.op", name)
    name = re.sub(r"^up_blocks\.(\d)\.(resnets|attentions)\.(\d)",
                  lambda m: f"output_blocks.{3 * int(m[1]) + int(m[3])}.{int(m[2] == 'attentions')}", name)
    name = re.sub(r"^up_blocks\.(\d)\.upsamplers\.0", lambda m: f"output_blocks.{3 * int(m[1]) + 2}.{1 if m[1] == '0' else 2}", name)
    for a, b in RESNET if "transformer_blocks" not in name else ():
        name = re.sub(r"\." + a + r"\.", "." + b + ".", name)
    return "model.diffusion_model." + name


def vae_name(name):
    for a, b in VAE_NAMES:
        name = re.sub(r"\b" + re.escape(a) + r"\b", b, name)
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{3 - int(m[1])}.block", name)
    name = re.sub(r"down_blocks\.(\d)", r"down.\1", name)
    name = re.sub(r"up_blocks\.(\d)", lambda m: f"up.{3 - int(m[1])}", name)
    return "first_stage_model." + name


def single(folder, path):
    from safetensors.torch import load_file, save_file
    part = lambda p: load_file(f"{folder}/{p}").items()
    weights = {unet_name(k): v for k, v in part("unet/diffusion_pytorch_model.safetensors")}
    for k, v in part("vae/diffusion_pytorch_model.safetensors"):
        k = vae_name(k)
        weights[k] = v[..., None, None] if ".attn_1." in k and v.dim() == 2 else v
    stem = lambda k: k if k.startswith("text_model.") else "text_model." + k
    weights.update(("cond_stage_model.transformer." + stem(k), v) for k, v in part("text_encoder/model.safetensors"))
    save_file({k: v.contiguous() for k, v in weights.items()}, path)


def cpp(path):
    """pip install stable-diffusion-cpp-python (built from its source), without guidance as in bench_sd."""
    from stable_diffusion_cpp import StableDiffusion
    sd = StableDiffusion(model_path=path, wtype="f16", n_threads=2)
    sd.generate_image(prompt="a lighthouse", width=512, height=512, cfg_scale=1.0, sample_method="euler", sample_steps=1)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    elif sys.argv[1] == "single":
        single(sys.argv[2], sys.argv[3])
    elif sys.argv[1] == "cpp":
        cpp(sys.argv[2])
    else:
        measure(sys.argv[2], sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else 2)
