#!/usr/bin/env python3
"""Writes tests/golden/solvers.bin: noise, schedules and whole runs of every solver as torch,
torchsde, k-diffusion and diffusers compute them, for tests/golden/test_golden_solvers.c. Wants torch,
k-diffusion, torchsde, diffusers, scipy. Run from the repository's root, with ATEN_CPU_CAPABILITY=avx2.

Format, little-endian, repeated to the end: u8 length of name, name, u32 count, f32 values.
The model is not a network but the exact denoiser of a mixture of two Gaussians (tests have the same).
"""
import os
import struct
import sys
import types

sys.modules["clip"] = types.ModuleType("clip")  # k-diffusion imports it for a metric, not for sampling
assert os.environ.get("ATEN_CPU_CAPABILITY") == "avx2", "set ATEN_CPU_CAPABILITY=avx2"

import numpy as np
import torch
from diffusers import (DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler, LCMScheduler, PNDMScheduler,
                       UniPCMultistepScheduler)
from k_diffusion import external, sampling
from scipy import stats

out = open(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/solvers.bin", "wb")
N, SEED = 48, 7


def put(name, values):
    v = np.asarray(values, dtype=np.float32).ravel()
    out.write(struct.pack("<B", len(name)) + name.encode() + struct.pack("<I", v.size) + v.tobytes())


put("torch_version/" + torch.__version__.split("+")[0], [0])

# Noise.
for n in (1, 5, 15, 16, 17, 100, 1000):
    g = torch.Generator().manual_seed(1234567890123)
    put(f"uniform/{n}", torch.rand(n, generator=g))
    g = torch.Generator().manual_seed(42 + n)
    put(f"normal/{n}", torch.cat([torch.randn(n, generator=g), torch.randn(n, generator=g)]))
for seed in (0, 5, 2**33 + 7):
    x = torch.zeros(1, 4, 5, 5)
    z = sampling.BrownianTreeNoiseSampler(x, torch.tensor(0.0292), torch.tensor(14.6146), seed=seed)
    steps = [14.6146, 9.1, 5.55, 5.55, 3.3, 1.0, 0.3, 0.0292, 3.3, 14.6146]
    put(f"brownian/{seed}", torch.cat([z(torch.tensor(a), torch.tensor(b)).flatten() for a, b in zip(steps, steps[1:])]))
put("seed_sequence", [w for e in (0, 1, 2**32, 2**40 + 3) for k, d in ((0, 0), (5, 3), (2**33, 34))
    for v in [int(np.random.SeedSequence(e, spawn_key=(k, d), pool_size=24).generate_state(1)[0])] for w in (v >> 16, v & 0xffff)])

# Schedules.
betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
abar = torch.cumprod(1 - betas, 0)
model = external.DiscreteSchedule(((1 - abar) / abar) ** 0.5, False)
low, high = float(model.sigmas[0]), float(model.sigmas[-1])
put("table", model.sigmas[::37])
probe = torch.tensor([0.01, 0.0292, 0.5, 3.0, 14.6, 20.0], dtype=torch.float64)
put("to_time", model.sigma_to_t(probe))
put("from_time", [float(torch.exp((1 - t % 1) * model.log_sigmas[int(t)] + t % 1 * model.log_sigmas[int(t) + (t % 1 > 0)])) for t in (0, 0.25, 500.5, 998.75, 999)])
for n in (2, 7, 20):
    ramp = torch.linspace(999, 0, n, dtype=torch.float64)
    at = lambda t: torch.exp((1 - t.frac()) * model.log_sigmas[t.floor().long()] + t.frac() * model.log_sigmas[t.ceil().long()])
    put(f"schedule/normal/{n}", at(ramp))
    put(f"schedule/karras/{n}", sampling.get_sigmas_karras(n, low, high)[:-1])
    put(f"schedule/exponential/{n}", sampling.get_sigmas_exponential(n, low, high)[:-1])
    put(f"schedule/polyexponential/{n}", sampling.get_sigmas_polyexponential(n, low, high)[:-1])
    put(f"schedule/sgm uniform/{n}", at(torch.linspace(999, 0, n + 1, dtype=torch.float64)[:-1]))
    put(f"schedule/simple/{n}", [float(model.sigmas[-(1 + int(i * (1000 / n)))]) for i in range(n)])
    put(f"schedule/beta/{n}", [low + stats.beta.ppf(p, 0.6, 0.6) * (high - low) for p in 1 - np.linspace(0, 1, n)])
    best = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]
    put(f"schedule/align your steps/{n}", np.exp(np.interp(np.linspace(0, 1, n), np.linspace(0, 1, 11), np.log(best))))


def denoise(x, sigma, **_):
    s = sigma.view(-1, *[1] * (x.dim() - 1)).double()
    v, xd = 0.09 + s * s, x.double()
    return ((0.09 * xd + s * s * torch.tanh(xd / v)) / v).to(x.dtype)


# Solvers of k-diffusion: every state that it shows, then the last one.
STEPS = 9
SIGMAS = sampling.get_sigmas_karras(STEPS, low, high)
put("run_sigmas", SIGMAS)


def run(name, f, brownian=False, ends=False, **kw):
    torch.manual_seed(SEED)
    x = torch.randn(1, N) * SIGMAS[0]
    states = []
    def seen(d):
        if d.get("n_accept", len(states) + 1) > len(states):  # a rejected step changes nothing
            states.append(d["x"].flatten().clone())
    if brownian:
        kw["noise_sampler"] = sampling.BrownianTreeNoiseSampler(x, SIGMAS[SIGMAS > 0].min(), SIGMAS.max(), seed=SEED)
    levels = (float(SIGMAS[-2]), float(SIGMAS[0])) if ends else (SIGMAS,)
    if ends == "adaptive":  # from a level where its error is more than rounding, or steps differ
        levels, x = (0.05, 2.0), x.double() / SIGMAS[0] * 2
        put("sigmas/" + name, [2.0, 0.05])
    if ends == "fast":
        levels += (STEPS + kw.pop("more", 0),)
    x = f(denoise, x, *levels, callback=seen, disable=True, **kw)
    # The callback shows x before a step, after it ("DPM adaptive"), or amid it (churn: the end alone).
    states = states if name == "DPM adaptive" else states[1:] + [x.flatten()]
    put("run/" + name, torch.cat(states[-1:] if "s_churn" in kw else states))


run("Euler", sampling.sample_euler)
run("Euler a", sampling.sample_euler_ancestral)
run("Heun", sampling.sample_heun)
run("LMS", sampling.sample_lms)
run("DPM2", sampling.sample_dpm_2)
run("DPM2 a", sampling.sample_dpm_2_ancestral)
run("DPM++ 2M", sampling.sample_dpmpp_2m)
run("DPM++ 2S a", sampling.sample_dpmpp_2s_ancestral)
run("DPM++ SDE", sampling.sample_dpmpp_sde, brownian=True)
run("DPM++ 2M SDE", sampling.sample_dpmpp_2m_sde, brownian=True)
run("DPM++ 3M SDE", sampling.sample_dpmpp_3m_sde, brownian=True)
run("DPM fast", sampling.sample_dpm_fast, ends="fast")
run("DPM fast+1", sampling.sample_dpm_fast, ends="fast", more=1)
run("DPM fast+2", sampling.sample_dpm_fast, ends="fast", more=2)
run("DPM adaptive", sampling.sample_dpm_adaptive, ends="adaptive")
run("Euler churn", sampling.sample_euler, s_churn=3.0)
run("Euler a 0.5", sampling.sample_euler_ancestral, eta=0.5, s_noise=0.9)
run("DPM fast 0.7", sampling.sample_dpm_fast, ends="fast", eta=0.7)


# Those of diffusers: x scaled by 1 / sqrt(abar), as ours.
def diffusers_run(name, sched, steps=STEPS, **kw):
    sched.set_timesteps(steps, **kw)
    g = torch.Generator().manual_seed(SEED)
    a = lambda t: float(abar[int(t)]) ** 0.5
    sigma = lambda t: (1 - a(t) ** 2) ** 0.5 / a(t)
    times = [int(t) for t in sched.timesteps]
    levels = list(dict.fromkeys(times))
    x = torch.randn(1, N, generator=g) * sigma(times[0]) * a(times[0])
    states = []
    for i, t in enumerate(times):
        up = x / a(t)
        eps = (up - denoise(up, torch.tensor([sigma(t)]))) / sigma(t)
        extra = {"generator": g} if name in ("DDPM", "LCM") else {}
        x = sched.step(eps.float(), sched.timesteps[i], x, return_dict=False, **extra)[0]
        after = times[i + 1] if i + 1 < len(times) else None
        if name == "PLMS" and i == 0:
            continue
        states.append((x / a(after) if after is not None else x).flatten())
    put("sigmas/" + name, [sigma(t) for t in levels] + [0])
    put("run/" + name, torch.cat(states))


base = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1)
diffusers_run("DDIM", DDIMScheduler(**base, clip_sample=False, set_alpha_to_one=True))
diffusers_run("DDPM", DDPMScheduler(**base, clip_sample=False))
diffusers_run("PLMS", PNDMScheduler(**base, skip_prk_steps=True, set_alpha_to_one=True))
diffusers_run("UniPC", UniPCMultistepScheduler(**base, final_sigmas_type="zero"))
diffusers_run("UniPC 3", UniPCMultistepScheduler(**base, solver_order=3, final_sigmas_type="zero"))
diffusers_run("LCM", LCMScheduler(**base, clip_sample=False, set_alpha_to_one=True))
for n in (2, 7, 20):
    trailing = EulerDiscreteScheduler(**base, timestep_spacing="trailing")
    trailing.set_timesteps(n)
    put(f"schedule/trailing/{n}", trailing.sigmas[:-1])
out.close()
