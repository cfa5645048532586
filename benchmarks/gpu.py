"""U-Net steps of SD1.5 and SDXL on a GPU in fp16, side by side with diffusers, both eager and compiled.

    python benchmarks/gpu.py [--network sd15 sdxl] [--batch 1 4] [--contender …] [--budget 12 8]
    python benchmarks/gpu.py --tiny --device cpu --contender sumi diffusers    # a check of this script, not a figure

The same random weights on both sides, 512x512 (SD1.5) and 1024x1024 (SDXL) with guidance: a step is one call with two
rows for each picture. Every contender runs in a separate process; they take turns, step by step, and the best step of
each counts. diffusers runs channels-last with scaled_dot_product_attention; its compiled form is torch.compile's
default. "sumi compiled" is what --compile does. Memory is the peak of torch's allocations on the GPU, weights included.
--budget adds runs of Sumi, one after the other, that may use so many GB of the GPU; other weights are read each call.
Without a GPU, the script says so and measures nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.sampler import ask  # noqa: E402

CONTENDERS = ("sumi", "sumi-compiled", "diffusers", "diffusers-compiled")
SIDES = {"sd15": 64, "sdxl": 128}
TOKENS = 77
WARM_UP = 2


def main() -> None:
    options = arguments()
    if options.weights is not None:
        answer_requests(options)
        return
    import torch

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print(f"no GPU: this build of torch ({torch.__version__}) finds no CUDA device, so nothing was measured")
        return
    name = torch.cuda.get_device_name(options.device) if options.device.startswith("cuda") else options.device
    note = "; tiny networks, so these are not figures of the models" if options.tiny else ""
    print(f"{name}, torch {torch.__version__}{note}")
    with tempfile.TemporaryDirectory(prefix="sumi-benchmark-") as folder:
        for network in options.network:
            weights = Path(folder) / f"{network}.safetensors"
            write_weights(weights, network, options.tiny)
            for batch in options.batch:
                compare(network, batch, weights, options)


def compare(network: str, batch: int, weights: Path, options: argparse.Namespace) -> None:
    """Print steps per second and peak memory of all contenders, then of Sumi within each budget."""
    heading = f"{network}, batch {batch}"
    print(f"\n{heading:26}{'steps/s':>12}{'peak':>12}{'first step':>14}   x diffusers, x its compiled form")
    rows = measured(
        {name: started(name, network, batch, weights, options) for name in options.contender}, options.steps
    )
    for name, row in rows.items():
        ratios = [
            f"{rows[other]['seconds'] / row['seconds']:.2f}" if other in rows else "-"
            for other in ("diffusers", "diffusers-compiled")
        ]
        show(name, row, ", ".join(ratios))
    for budget in options.budget:
        process = started("sumi", network, batch, weights, options, budget)
        show(f"sumi, {budget:g} GB", measured({"sumi": process}, options.steps)["sumi"], "")


def measured(processes: dict[str, subprocess.Popen[str]], steps: int) -> dict[str, dict[str, float]]:
    """Let the contenders take turns; return the best seconds, the first step's, and the peak bytes of each."""
    spent: dict[str, list[float]] = {name: [] for name in processes}
    for _ in range(WARM_UP + steps):
        for name, process in processes.items():
            spent[name].append(ask(process, "step")["seconds"])
    rows = {}
    for name, process in processes.items():
        rows[name] = {
            "seconds": min(spent[name][WARM_UP:]),
            "first": spent[name][0],
            "peak": ask(process, "peak")["bytes"],
        }
        ask(process, "stop")
        process.wait()
    return rows


def show(name: str, row: dict[str, float], ratios: str) -> None:
    peak = f"{row['peak'] / 2**30:.2f} GiB" if row["peak"] else "-"
    print(f"{name:26}{1 / row['seconds']:>12.2f}{peak:>12}{row['first']:>12.1f} s   {ratios}", flush=True)


def started(
    name: str, network: str, batch: int, weights: Path, options: argparse.Namespace, budget: float = 0
) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--contender", name, "--network", network, "--batch", str(batch)]
    command += ["--weights", str(weights), "--device", options.device, *(["--tiny"] if options.tiny else [])]
    command += ["--budget", str(budget)] if budget else []
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def config_of(network: str, tiny: bool) -> Any:
    from nodes.models.unet_config import SD1, SDXL

    config = {"sd15": SD1, "sdxl": SDXL}[network]
    if not tiny:
        return config
    small: dict[str, Any] = {"model_channels": 64, "channel_mult": (1, 2), "res_blocks": (1, 1)}
    return dataclasses.replace(config, **small, input_depth=(1, 1), middle_depth=1, output_depth=(1, 1, 1, 1))


def write_weights(path: Path, network: str, tiny: bool) -> None:
    from benchmarks.random_checkpoint import write_random_checkpoint
    from nodes.models.unet_config import expected_shapes

    write_random_checkpoint(path, expected_shapes(config_of(network, tiny)))


def answer_requests(options: argparse.Namespace) -> None:
    """A contender's process: loads at the first step, then answers each line of standard input with a line of JSON."""
    import torch

    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    (network,), (batch,), (name,) = options.network, options.batch, options.contender
    place = torch.device(options.device)
    on_gpu = place.type == "cuda"
    config, side = config_of(network, options.tiny), 16 if options.tiny else SIDES[network]
    rows = 2 * batch
    latents = torch.randn(rows, 4, side, side, device=place)
    timesteps = torch.full((rows,), 500.0, device=place)
    text = torch.randn(rows, TOKENS, config.context_width, device=place)
    vector = None if config.adm_in_channels is None else torch.randn(rows, config.adm_in_channels, device=place)
    if options.budget and on_gpu:
        limit(options.budget[0], place)
    step: Callable[[], Any] | None = None
    for request in sys.stdin:
        match request.strip():
            case "step":
                begin = time.perf_counter()
                if step is None:
                    build = our_step if name.startswith("sumi") else their_step
                    step = build(options, config, name.endswith("compiled"), (latents, timesteps, text, vector))
                step()
                if on_gpu:
                    torch.cuda.synchronize(place)
                print(json.dumps({"seconds": time.perf_counter() - begin}), flush=True)
            case "peak":
                print(json.dumps({"bytes": torch.cuda.max_memory_allocated(place) if on_gpu else 0}), flush=True)
            case "stop":
                print("{}", flush=True)
                return


def limit(gigabytes: float, place: Any) -> None:
    """Let this process use only so many GB of the GPU, and keep weights as on a card of that size."""
    import torch

    from nodes import vram

    free, total = torch.cuda.mem_get_info(place)
    allowed = int(gigabytes * 2**30)
    if allowed < free:
        torch.cuda.set_per_process_memory_fraction(allowed / total, place)
        vram.configure("normal", free - allowed + vram.RESERVED)


def our_step(options: argparse.Namespace, config: Any, compiled: bool, inputs: tuple[Any, ...]) -> Callable[[], Any]:
    import torch

    from nodes import compilers, device
    from nodes.compiling import compiled_by_option
    from nodes.models.checkpoint import Checkpoint
    from nodes.models.unet_config import expected_shapes
    from nodes.models.weights import weights_at
    from nodes.unet.unet import UNet

    device.configure(options.device, precision_on(options.device), compile=compiled)
    compilers.keep_in(ROOT / "user" / "compiled")
    weights = weights_at(Checkpoint.open(options.weights), "", config, expected_shapes(config))
    unet = weights.resident(UNet, device.unet_dtype(config.parameters), torch.device(options.device))
    latents, timesteps, text, vector = inputs
    projected = unet.project_context(text)
    run = compiled_by_option(unet, unet)
    return lambda: run(latents, timesteps, projected, vector)


def their_step(options: argparse.Namespace, config: Any, compiled: bool, inputs: tuple[Any, ...]) -> Callable[[], Any]:
    import torch
    from safetensors.torch import load_file

    from tests.oracle.diffusers_unet import diffusers_unet

    dtype = {"fp16": torch.float16, "fp32": torch.float32}[precision_on(options.device)]
    unet: Any = diffusers_unet(config, {name: tensor.to(dtype) for name, tensor in load_file(options.weights).items()})
    unet.to(options.device, memory_format=torch.channels_last)
    latents, timesteps, text, vector = inputs
    more: dict[str, Any] = {}
    if vector is not None:  # diffusers builds the vector of a pooled text and six numbers
        pooled = vector.shape[1] - 6 * 256
        numbers = torch.tensor([[1024.0, 1024, 0, 0, 1024, 1024]] * len(latents), device=latents.device)
        more["added_cond_kwargs"] = {"text_embeds": vector[:, :pooled].to(dtype), "time_ids": numbers}
    run = torch.compile(unet) if compiled else unet
    x = latents.to(dtype).contiguous(memory_format=torch.channels_last)
    return lambda: run(x, timesteps, text.to(dtype), **more).sample


def precision_on(device: str) -> str:
    return "fp16" if device.startswith("cuda") else "fp32"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--network", nargs="+", choices=tuple(SIDES), default=list(SIDES))
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 4], help="pictures at once")
    parser.add_argument("--contender", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--budget", nargs="*", type=float, default=[], metavar="GB")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small networks, to check the script")
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
