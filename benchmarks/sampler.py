"""Seconds per step and peak memory of the U-Net, side by side with diffusers and OpenVINO.

    python benchmarks/sampler.py [--quick] [--precision fp32|bf16] [--threads N] [--contender NAME ...]

SD1.5 in full size with the same random weights, 512x512 with guidance: a step is one call with
a batch of 2. Each contender runs in a separate process; they take turns, step by step, and the best
step of each counts, so that what else the machine does weighs on all alike. Memory is the
highest resident set of the process from after loading, first step included.

sumi       our U-Net on torch, the default
backend    the same node with ``--backend openvino``
diffusers  its UNet2DConditionModel as its documentation recommends for CPUs: channels-last,
           scaled_dot_product_attention, no gradients
openvino   that network, converted by OpenVINO's own converter
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
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CONTENDERS = ("sumi", "backend", "diffusers", "openvino")
TOKENS = 77
LATENT_SIDE = 64


def main() -> None:
    options = arguments()
    if options.convert:
        convert(options.convert)
        return
    if options.turns:
        take_turns(options)
        return
    with tempfile.TemporaryDirectory(prefix="sumi-benchmark-") as folder:
        weights = Path(folder) / "unet.safetensors"
        write_weights(weights)
        if "openvino" in options.contender:
            subprocess.run([sys.executable, __file__, "--convert", str(weights)], check=True, stderr=subprocess.DEVNULL)
        results = {precision: compare(precision, weights, options) for precision in options.precision}
    show(results)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two steps each instead of six")
    parser.add_argument("--precision", action="append", choices=("fp32", "bf16"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--contender", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--convert", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--turns", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.precision = options.precision or ["fp32", "bf16"]
    return options


def write_weights(path: Path) -> None:
    from benchmarks.random_checkpoint import write_random_checkpoint
    from nodes.models.unet_config import SD1, expected_shapes

    write_random_checkpoint(path, expected_shapes(SD1))


def compare(precision: str, weights: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return each contender's best seconds, and its peak in bytes."""
    contenders = {name: start(name, precision, weights, options) for name in options.contender}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(1 + (2 if options.quick else 6)):
        for name, process in contenders.items():
            spent = ask(process, "step")
            label = "warm-up" if turn == 0 else f"step {turn}"
            print(f"  {precision} {name:<9} {label}: {spent['seconds']:.2f} s, {spent['cpu']:.2f} s of CPU", flush=True)
            if turn > 0:
                seconds[name].append(spent["seconds"])
    results = {}
    for name, process in contenders.items():
        results[name] = {"seconds": min(seconds[name]), "peak": ask(process, "peak")["bytes"]}
        ask(process, "stop")
        process.wait()
    return results


def start(name: str, precision: str, weights: Path, options: argparse.Namespace) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--turns", name, "--precision", precision]
    command += ["--weights", str(weights), "--threads", str(options.threads)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    answer(process)
    return process


def ask(process: subprocess.Popen[str], request: str) -> dict[str, Any]:
    assert process.stdin is not None
    process.stdin.write(request + "\n")
    process.stdin.flush()
    return answer(process)


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"a contender ended with status {process.wait()}")
    return json.loads(line)


def show(results: dict[str, dict[str, dict[str, float]]]) -> None:
    for precision, result in results.items():
        ours = result.get("sumi", next(iter(result.values())))["seconds"]
        print(f"\n{precision:12}{'a step':>10}{'peak':>12}{'its time / sumi':>20}")
        for name, one in result.items():
            print(f"{name:12}{one['seconds']:>8.2f} s{one['peak'] / 2**30:>8.2f} GiB{one['seconds'] / ours:>20.2f}")
    if len(results) == 2 and {"sumi", "diffusers"} <= set(results["bf16"]):
        across = results["fp32"]["diffusers"]["seconds"] / results["bf16"]["sumi"]["seconds"]
        print(f"\ndiffusers in fp32 / sumi in bf16: {across:.2f}")


def take_turns(options: argparse.Namespace) -> None:
    """A contender's process: loads, then answers each line of standard input with a line of JSON."""
    from nodes.heap import keep_freed_memory

    if options.turns == "sumi":
        keep_freed_memory()
    import torch

    torch.set_num_threads(options.threads)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[options.precision[0]]
    torch.manual_seed(0)
    latents = torch.randn(2, 4, LATENT_SIDE, LATENT_SIDE)
    timesteps = torch.tensor([500.0, 500.0])
    context = torch.randn(2, TOKENS, 768)
    with torch.no_grad():
        make = {"sumi": our_step, "backend": backend_step, "diffusers": their_step, "openvino": openvino_step}
        step = make[options.turns](options.weights, dtype, context)
        forget_peak()
        print("{}", flush=True)
        for request in sys.stdin:
            match request.strip():
                case "step":
                    begin, cpu = time.perf_counter(), time.process_time()
                    step(latents, timesteps)
                    spent = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
                    print(json.dumps(spent), flush=True)
                case "peak":
                    print(json.dumps({"bytes": peak()}), flush=True)
                case "stop":
                    print("{}", flush=True)
                    return


def our_step(path: Path, dtype: Any, context: Any) -> Any:
    import torch

    from nodes.models.checkpoint import Checkpoint
    from nodes.models.unet_config import expected_shapes
    from nodes.models.unet_detection import detect_unet
    from nodes.models.weights import weights_at
    from nodes.unet.unet import UNet

    checkpoint = Checkpoint.open(path)
    config = detect_unet(checkpoint.shapes)
    weights = weights_at(checkpoint, "", config, expected_shapes(config))
    unet = weights.resident(UNet, dtype, torch.device("cpu"))
    projected = unet.project_context(context)
    return lambda latents, timesteps: unet(latents, timesteps, projected)


def backend_step(path: Path, dtype: Any, context: Any) -> Any:
    import openvino

    from nodes.models.checkpoint import Checkpoint
    from nodes.models.unet_config import SD1
    from nodes.unet.openvino_graph import unet_graph
    from nodes.unet.timestep_embedding import timestep_embedding

    compiled = openvino.compile_model(unet_graph(SD1, Checkpoint.open(path).tensor), "CPU", openvino_settings(dtype))
    request = compiled.create_infer_request()

    def step(latents: Any, timesteps: Any) -> Any:
        embedding = timestep_embedding(timesteps, SD1.model_channels)
        inputs = {"x": latents.numpy(), "embedding": embedding.numpy(), "context": context.numpy()}
        return request.infer(inputs)[0].copy()

    return step


def their_step(path: Path, dtype: Any, context: Any) -> Any:
    import torch
    from safetensors.torch import load_file

    from nodes.models.unet_config import SD1
    from tests.oracle.diffusers_unet import diffusers_unet

    unet: Any = diffusers_unet(SD1, {name: tensor.to(dtype) for name, tensor in load_file(path).items()})
    unet.to(memory_format=torch.channels_last)
    text = context.to(dtype)
    return lambda latents, timesteps: unet(latents.to(dtype), timesteps, text).sample


def openvino_step(path: Path, dtype: Any, context: Any) -> Any:
    import openvino

    compiled = openvino.Core().compile_model(str(path.with_suffix(".xml")), "CPU", openvino_settings(dtype))
    request = compiled.create_infer_request()
    return lambda latents, timesteps: request.infer([latents.numpy(), timesteps.numpy(), context.numpy()])[0].copy()


def convert(path: Path) -> None:
    """Save diffusers' network for OpenVINO beside ``path``, its file of weights."""
    import openvino
    import torch
    from safetensors.torch import load_file

    from nodes.models.unet_config import SD1
    from tests.oracle.diffusers_unet import diffusers_unet

    unet = diffusers_unet(SD1, {name: tensor.float() for name, tensor in load_file(path).items()})
    example = (torch.zeros(2, 4, LATENT_SIDE, LATENT_SIDE), torch.zeros(2), torch.zeros(2, TOKENS, 768))
    openvino.save_model(openvino.convert_model(unet, example_input=example), path.with_suffix(".xml"))


def openvino_settings(dtype: Any) -> dict[str, Any]:
    import torch

    return {
        "INFERENCE_PRECISION_HINT": "bf16" if dtype == torch.bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main()
