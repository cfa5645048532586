"""Samples a second of training SD1.5 (random weights): a LoRA step and a full step, beside a loop of diffusers.

    .venv/bin/python benchmarks/training.py [--size 256] [--batch 1] [--steps 3] [--turns 2] [--kinds lora,full]

The other loop does what diffusers' text-to-image training scripts do: its UNet2DConditionModel, for LoRA with PEFT's
adapters of rank 8 on the attention's projections, AdamW, noise at random steps, mean squared error. The base weights
are bf16 for LoRA; a full step keeps float32 weights and computes under bf16 autocast, which takes 16 GB of memory. Sumi
trains the same layers. The two take turns, so that a machine's other load falls on both.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nodes.lora.key_names import kohya_names
from nodes.models.model_sampling import DDPM
from nodes.models.unet_config import SD1, expected_shapes
from nodes.training.adapters import Adapter, attach, new_tensors
from nodes.training.objective import prediction_loss
from nodes.training.optimizers import make_optimizer
from nodes.unet.unet import UNet

RANK = 8
LEARNING_RATE = 1e-4
PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")

Step = Callable[[], float]


def main() -> None:
    options = arguments()
    results = {}
    loops = {"sumi": sumi_step, "diffusers": diffusers_step}
    for kind in options.kinds.split(","):
        seconds: dict[str, list[float]] = {name: [] for name in loops}
        for _ in range(options.turns):
            for name, make in loops.items():
                seconds[name] += timed(make(kind, options), options.steps)
                gc.collect()
        rates = {name: options.batch / statistics.median(taken) for name, taken in seconds.items()}
        results[kind] = {**rates, "ratio": rates["sumi"] / rates["diffusers"]}
        print(
            f"{kind:5} sumi {rates['sumi']:.3f}/s, diffusers {rates['diffusers']:.3f}/s: "
            f"{rates['sumi'] / rates['diffusers']:.2f} ×",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def timed(step: Step, steps: int) -> list[float]:
    """Seconds of each of ``steps`` steps, after one that warms up."""
    step()
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    return seconds


def sumi_step(kind: str, options: argparse.Namespace) -> Step:
    """One training step of this project's network and loss."""
    with torch.device("meta"):
        unet = UNet(SD1)
    dtype = torch.bfloat16 if kind == "lora" else torch.float32
    unet.load_state_dict(weights(dtype), assign=True)
    unet.to(memory_format=torch.channels_last)
    if kind == "lora":
        unet.requires_grad_(False)
        adapters = {}
        for layer in kohya_names(SD1):
            if layer.endswith(PROJECTIONS):
                shape = tuple(unet.get_parameter(f"{layer}.weight").shape)
                adapters[layer] = Adapter(new_tensors("LoRA", shape, RANK), RANK)
        attach(unet, adapters)
        parameters = [tensor for adapter in adapters.values() for tensor in adapter.parameters()]
    else:
        parameters = list(unet.requires_grad_(True).parameters())
    optimizer = make_optimizer("AdamW", parameters, LEARNING_RATE)
    latents, context = inputs(options)
    levels = DDPM.levels()

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=kind == "full"):
            loss = prediction_loss(
                lambda noisy, timesteps: unet(noisy, timesteps.float(), context),
                latents,
                levels.sigmas,
                "eps",
                torch.Generator().manual_seed(0),
            )
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def diffusers_step(kind: str, options: argparse.Namespace) -> Step:
    """One step of diffusers' training scripts."""
    from diffusers import DDPMScheduler

    from tests.oracle.diffusers_unet import diffusers_unet

    dtype = torch.bfloat16 if kind == "lora" else torch.float32
    unet = diffusers_unet(SD1, weights(dtype)).train()
    if kind == "lora":
        from peft import LoraConfig

        unet.requires_grad_(False)
        unet.add_adapter(
            LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights="gaussian", target_modules=list(PROJECTIONS))
        )
        parameters = [parameter for parameter in unet.parameters() if parameter.requires_grad]
        for parameter in parameters:
            parameter.data = parameter.data.float()
    else:
        parameters = list(unet.requires_grad_(True).parameters())
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.01)
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    latents, context = inputs(options)
    latents, context = latents.to(dtype), context.to(dtype)

    def step() -> float:
        noise = torch.randn(latents.shape).to(dtype)
        timesteps = torch.randint(1000, (len(latents),))
        with torch.autocast("cpu", torch.bfloat16):
            output = unet(scheduler.add_noise(latents, noise, timesteps), timesteps, context).sample
            loss = F.mse_loss(output.float(), noise.float())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def weights(dtype: torch.dtype) -> dict[str, Tensor]:
    """Random weights of SD1.5 that keep activations near unit size."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in expected_shapes(SD1).items():
        tensor = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            tensor *= 0.5 / tensor[0].numel() ** 0.5
        else:
            tensor = tensor * 0.02 + (0 if name.endswith("bias") else 1)
        tensors[name] = tensor.to(dtype)
    return tensors


def inputs(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Scaled latents and text of a batch."""
    generator = torch.Generator().manual_seed(1)
    side = options.size // 8
    latents = torch.randn(options.batch, 4, side, side, generator=generator)
    return latents, torch.randn(options.batch, 77, SD1.context_width, generator=generator)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=256, help="side of the pictures in px")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3, help="timed steps in a turn; the median counts")
    parser.add_argument("--turns", type=int, default=2, help="how often each loop is built and timed")
    parser.add_argument("--kinds", default="lora,full")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
