"""Peak memory of a complete SD1.5 picture from an fp16 file, and what keeping the file's weights costs per step.

    python benchmarks/memory.py [--steps 2] [--threads N] [--mode NAME ...] [--size 512]

Random weights in the real layout; two prompts, steps with guidance, and decoding, each mode in a separate process.
``peak`` is the highest resident set of the process (pages of the mapped file included) after each stage; ``a step`` is
the processor time of the steps after the first. Modes:
    fp32        weights widened when they are loaded
    fp32-file   --weights file: fp16 weights in memory, widened for each call (bit-equal)
    bf16        weights and computation in bf16
    diffusers   fp32, its U-Net and VAE without a text encoder
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

MODES = ("fp32", "fp32-file", "bf16", "diffusers")
GIB = 2**30


def main() -> None:
    options = arguments()
    if options.run:
        picture(options)
        return
    with tempfile.TemporaryDirectory(prefix="sumi-benchmark-") as folder:
        path = Path(folder) / "sd15.safetensors"
        write_checkpoint(path)
        print(f"{'':12}{'text':>10}{'steps':>10}{'decoded':>10}{'a step':>14}   latent")
        for mode in options.mode:
            command = [
                sys.executable,
                __file__,
                "--run",
                mode,
                "--checkpoint",
                str(path),
                "--steps",
                str(options.steps),
            ]
            command += ["--threads", str(options.threads), "--size", str(options.size)]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            peaks = "".join(f"{found[stage] / GIB:>6.2f} GiB" for stage in ("text", "steps", "decoded"))
            print(f"{mode:12}{peaks}{found['step']:>8.2f} s CPU   {found['latent']}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mode", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--size", type=int, default=512, help="pixels a side")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--run", choices=MODES, help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def write_checkpoint(path: Path) -> None:
    """Write U-Net, VAE and text encoder of SD1.5 with random fp16 weights."""
    from benchmarks.random_checkpoint import write_random_checkpoint
    from nodes.models.text_config import TextConfig
    from nodes.models.text_config import expected_shapes as text_shapes
    from nodes.models.unet_config import SD1
    from nodes.models.unet_config import expected_shapes as unet_shapes
    from nodes.models.vae_config import VaeConfig
    from nodes.models.vae_config import expected_shapes as vae_shapes

    shapes = {
        **{f"model.diffusion_model.{name}": shape for name, shape in unet_shapes(SD1).items()},
        **{f"first_stage_model.{name}": shape for name, shape in vae_shapes(VaeConfig()).items()},
        **{f"cond_stage_model.transformer.{name}": shape for name, shape in text_shapes(TextConfig()).items()},
    }
    write_random_checkpoint(path, shapes)


def picture(options: argparse.Namespace) -> None:
    """Draw one picture in this process, and print its peaks as JSON."""
    found = (their_picture if options.run == "diffusers" else our_picture)(options)
    print(json.dumps(found))


def our_picture(options: argparse.Namespace) -> dict[str, Any]:
    from nodes import device
    from nodes.models import storage

    device.configure("cpu", options.run.partition("-")[0])
    storage.keep_file_weights(options.run.endswith("-file"))
    import torch

    from nodes.models import contents
    from nodes.models.checkpoint import Checkpoint
    from nodes.sampling.nodes import ksampler
    from nodes.text.nodes import clip_text_encode
    from nodes.vae.nodes import vae_decode

    torch.set_num_threads(options.threads)
    checkpoint = Checkpoint.open(options.checkpoint)
    model, vae, clip = contents.model_in(checkpoint), contents.vae_in(checkpoint), contents.text_encoder_in(checkpoint)
    prompts = [clip_text_encode(text=text, clip=clip) for text in ("a drop of ink", "")]
    found: dict[str, Any] = {"text": peak()}
    ends: list[float] = []
    side = options.size // 8
    latent = ksampler(
        context=SimpleNamespace(progress=lambda *a, **k: ends.append(time.process_time()), check_interrupted=str),
        model=model,
        seed=1,
        steps=options.steps,
        cfg=7.0,
        sampler_name="euler",
        scheduler="normal",
        positive=prompts[0],
        negative=prompts[1],
        latent_image={"samples": torch.zeros(1, 4, side, side)},
    )
    found |= {"steps": peak(), "step": (ends[-1] - ends[0]) / max(1, len(ends) - 1)}
    vae_decode(samples=latent, vae=vae)
    return {**found, "decoded": peak(), "latent": digest(latent["samples"])}


def their_picture(options: argparse.Namespace) -> dict[str, Any]:
    """The same steps with diffusers' U-Net and VAE, loaded from the file as diffusers loads it."""
    import torch
    from diffusers import EulerDiscreteScheduler
    from safetensors.torch import load_file

    from benchmarks.vae import their_vae
    from nodes.models.unet_config import SD1
    from tests.oracle.diffusers_unet import PREFIX, diffusers_unet

    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    file = load_file(options.checkpoint)
    weights = {name.removeprefix(PREFIX): tensor.float() for name, tensor in file.items() if PREFIX in name}
    del file
    unet = diffusers_unet(SD1, weights)
    del weights
    vae = their_vae(options.checkpoint, torch.float32, "first_stage_model.")
    unet.to(memory_format=torch.channels_last)
    found: dict[str, Any] = {"text": peak()}
    scheduler = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    scheduler.set_timesteps(options.steps)
    side = options.size // 8
    latents = torch.randn(1, 4, side, side) * scheduler.init_noise_sigma
    text = torch.randn(2, 77, 768)
    ends = []
    for timestep in scheduler.timesteps:
        given = scheduler.scale_model_input(torch.cat([latents] * 2), timestep)
        without, with_text = unet(given, timestep, encoder_hidden_states=text).sample.chunk(2)
        latents = scheduler.step(without + 7.0 * (with_text - without), timestep, latents).prev_sample
        ends.append(time.process_time())
    found |= {"steps": peak(), "step": (ends[-1] - ends[0]) / max(1, len(ends) - 1)}
    vae.decode(latents / 0.18215)
    return {**found, "decoded": peak(), "latent": ""}


def digest(tensor: Any) -> str:
    """Identify the bits of a tensor, to show that modes give the same."""
    import hashlib

    return hashlib.blake2b(tensor.contiguous().numpy().tobytes(), digest_size=6).hexdigest()


def peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
