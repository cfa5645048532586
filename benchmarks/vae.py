"""Decoding and encoding 512x512 pictures with SD1.5's VAE, side by side with diffusers' AutoencoderKL.

    python benchmarks/vae.py [--precision fp32|bf16 ...] [--runs 2] [--threads N] [--size 512]

Random weights, the same on both sides. Both run in one process and take turns; the best of each counts. Processor time
stands beside the wall clock, since it depends less on what else the machine does. diffusers runs channels-last.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def main() -> None:
    options = arguments()
    import torch

    from benchmarks.random_checkpoint import write_random_checkpoint
    from nodes.models.vae_config import VaeConfig, expected_shapes

    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(prefix="sumi-benchmark-") as folder:
        path = Path(folder) / "vae.safetensors"
        write_random_checkpoint(path, expected_shapes(VaeConfig()))
        print(f"{'':16}{'sumi':>24}{'diffusers':>24}{'sumi / diffusers':>20}{'difference':>14}")
        for precision in options.precision:
            compare(path, precision, options)


def compare(path: Path, precision: str, options: argparse.Namespace) -> None:
    import torch

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    ours, theirs = our_vae(path, dtype), their_vae(path, dtype)
    side = options.size
    latents = torch.randn(1, 4, side // 8, side // 8)
    pictures = torch.rand(1, 3, side, side) * 2 - 1
    for what, functions in {
        "decode": (lambda: ours.decode(latents), lambda: theirs.decode(channels_last(latents, dtype)).sample),
        "encode": (lambda: ours.moments(pictures), lambda: theirs._encode(channels_last(pictures, dtype))),
    }.items():
        wall, cpu = [float("inf")] * 2, [float("inf")] * 2
        results: list[Any] = [None, None]
        for _ in range(options.runs):
            for side_number, function in enumerate(functions):
                begin, used = time.perf_counter(), time.process_time()
                results[side_number] = function()
                wall[side_number] = min(wall[side_number], time.perf_counter() - begin)
                cpu[side_number] = min(cpu[side_number], time.process_time() - used)
        cells = "".join(f"{w:>9.2f} s {c:>7.2f} s CPU" for w, c in zip(wall, cpu, strict=True))
        difference = float((results[0].float() - results[1].float()).abs().max())
        print(f"{precision + ' ' + what:16}{cells}{cpu[0] / cpu[1]:>18.2f}{difference:>14.1e}", flush=True)


def channels_last(tensor: Any, dtype: Any) -> Any:
    import torch

    return tensor.to(dtype).contiguous(memory_format=torch.channels_last)


def our_vae(path: Path, dtype: Any) -> Any:
    import torch

    from nodes.models.checkpoint import Checkpoint
    from nodes.models.vae_config import VaeConfig, expected_shapes
    from nodes.models.weights import weights_at
    from nodes.vae.autoencoder import AutoencoderKL

    config = VaeConfig()
    weights = weights_at(Checkpoint.open(path), "", config, expected_shapes(config))
    return weights.resident(AutoencoderKL, dtype, torch.device("cpu"))


def their_vae(path: Path, dtype: Any, prefix: str = "") -> Any:
    """diffusers' autoencoder with the tensors under ``prefix`` of a file in LDM's layout."""
    import torch
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
    from safetensors.torch import load_file

    settings = {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
    }
    named = {
        "first_stage_model." + name.removeprefix(prefix): tensor.to(dtype)
        for name, tensor in load_file(path).items()
        if name.startswith(prefix)
    }
    vae: Any = AutoencoderKL(**settings)
    vae.load_state_dict(convert_ldm_vae_checkpoint(named, settings))
    return vae.to(dtype).eval().requires_grad_(False).to(memory_format=torch.channels_last)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--size", type=int, default=512, help="pixels a side")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()


if __name__ == "__main__":
    main()
