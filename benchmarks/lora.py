"""Seconds to load an SD1.5 checkpoint, to apply a LoRA to it, and to take the LoRA back.

    python benchmarks/lora.py [--threads N] [--rank N] [--repeat N]

The checkpoint holds random fp16 weights in the real layout and lies in the page cache; networks are in fp32. The LoRA
changes the 264 modules that common trainers change: the linear layers and projections of the U-Net's transformers, and
the text encoder's layers. The best of several repetitions counts. `cold` has the plain weights of the patched layers
out of memory, so that they come from the file. CPU seconds are summed over all threads.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

TEXT_LAYERS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="sumi-benchmark-") as folder:
        path = Path(folder) / "sd15.safetensors"
        write_checkpoint(path)
        measure(path, options.rank, options.repeat)


def write_checkpoint(path: Path) -> None:
    from benchmarks.random_checkpoint import write_random_checkpoint
    from nodes.models import text_config, unet_config, vae_config

    shapes: dict[str, tuple[int, ...]] = {}
    for prefix, expected in (
        ("model.diffusion_model.", unet_config.expected_shapes(unet_config.SD1)),
        ("cond_stage_model.transformer.", text_config.expected_shapes(text_config.TextConfig())),
        ("first_stage_model.", vae_config.expected_shapes(vae_config.VaeConfig())),
    ):
        shapes |= {prefix + name: shape for name, shape in expected.items()}
    write_random_checkpoint(path, shapes)


def measure(path: Path, rank: int, repeat: int) -> None:
    import torch

    from nodes import device
    from nodes.models import contents, residency
    from nodes.models.checkpoint import Checkpoint
    from nodes.text.clip import ClipText
    from nodes.unet.unet import UNet
    from nodes.vae.autoencoder import AutoencoderKL

    device.configure("cpu", "fp32")
    checkpoint = Checkpoint.open(path)
    parts: list[tuple[Any, Any]] = [
        (contents.model_in(checkpoint).weights, UNet),
        (contents.text_encoder_in(checkpoint).encoders[0].weights, ClipText),
        (contents.vae_in(checkpoint).weights, AutoencoderKL),
    ]
    generator = torch.Generator().manual_seed(0)
    loras = [lora(linear_tensors(weights, build), rank, generator) for weights, build in parts]
    print(f"{sum(map(len, loras))} modules of rank {rank}, {torch.get_num_threads()} threads")

    def load(patches: Sequence[tuple[Any, ...]]) -> list[Any]:
        cpu = torch.device("cpu")
        return [
            weights.resident(build, torch.float32, cpu, own)
            for (weights, build), own in zip(parts, patches, strict=True)
        ]

    plain: list[tuple[Any, ...]] = [(), (), ()]
    results: dict[str, list[tuple[float, float]]] = {
        "load": [],
        "apply": [],
        "take back": [],
        "cold apply": [],
        "cold take back": [],
    }
    for _ in range(repeat):
        residency.free()
        results["load"].append(seconds(lambda: load(plain)))
        before = memory(residency)
        results["apply"].append(seconds(lambda: load(loras)))
        after = memory(residency)
        results["take back"].append(seconds(lambda: load(plain)))
        residency.free()
        load(loras)
        results["cold take back"].append(seconds(lambda: load(plain)))
        residency.free()
        held = load(loras)
        # Another strength, with the plain weights of these layers out of memory: they were never asked for.
        stronger = [tuple(replaced(patch) for patch in own) for own in loras]
        results["cold apply"].append(seconds(lambda stronger=stronger: load(stronger)))
        del held
    print(f"memory: {before / 2**30:.2f} GiB plain, {after / 2**30:.2f} GiB with the LoRA's copies")
    best = {name: tuple(map(min, zip(*times, strict=True))) for name, times in results.items()}
    for name, (wall, cpu) in best.items():
        shares = f"{wall / best['load'][0]:.2f} and {cpu / best['load'][1]:.2f} of loading"
        print(f"{name:<16}{wall:7.2f} s{cpu:8.2f} s of CPU: {shares}")


def linear_tensors(weights: Any, build: type[Any]) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the weights that a LoRA changes."""
    import torch

    from nodes.models.layers import layer_modules

    with torch.device("meta"):
        network = build(weights.config)
    kinds = {
        "UNet": lambda path: "transformer_blocks" in path or "proj_in" in path or "proj_out" in path,
        "ClipText": lambda path: path.rpartition(".")[2] in TEXT_LAYERS,
    }
    wanted: Callable[[str], bool] = kinds.get(build.__name__, lambda path: False)
    return [
        (f"{path}.weight", tuple(module.weight.shape))
        for path, module in layer_modules(network)
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)) and wanted(path)
    ]


def lora(tensors: Sequence[tuple[str, tuple[int, ...]]], rank: int, generator: Any) -> tuple[Any, ...]:
    import torch

    from nodes.models.weight_changes import LowRank
    from nodes.models.weight_patches import WeightPatch

    def random(*shape: int) -> Any:
        return (torch.randn(shape, generator=generator) * 0.01).half()

    return tuple(
        WeightPatch(name, LowRank(random(shape[0], rank), random(rank, shape[1]), float(rank)), 0.8)
        for name, shape in tensors
    )


def replaced(patch: Any) -> Any:
    import dataclasses

    return dataclasses.replace(patch, strength=patch.strength + 0.1)


def seconds(does: Callable[[], object]) -> tuple[float, float]:
    """Return the elapsed seconds and the CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    does()
    return time.perf_counter() - wall, time.process_time() - cpu


def memory(residency: Any) -> int:
    return sum(entry.nbytes for entry in residency.loaded())


if __name__ == "__main__":
    main()
