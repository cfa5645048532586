"""The cost of functions while a model is sampled: a step with one that does nothing, against a step without any.

    python benchmarks/patched.py [--model FILE] [--size PIXELS] [--runs N] [--threads N]

The embedded model by default, 10 steps of euler with guidance. For each stage a function that does nothing is added;
runs with and without it take turns, and the fastest of each counts, in processor time, so that other load on the
machine affects both alike. ``overhead`` is what the function adds to a step of everything but the network, measured
with a network that does nothing, as a share of a whole step: on a busy machine it is the figure to trust, for all
functions but those inside the network. ``projections`` is how often a run projected its text for cross-attention:
once, unless a function needs another text. The rows that begin with ``pack:`` are functions in ComfyUI's form, as
node packs add them.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

EMBEDDED = ROOT / "models" / "checkpoints" / "sumi-tiny.safetensors"
STEPS = 10
SCALE = 4.0


def main() -> None:
    options = arguments()
    import torch

    from nodes import device

    torch.set_num_threads(options.threads)
    device.configure("cpu", "fp32")
    plain = Runs(options.model, options.size)
    print(f"{options.model.name}, {options.size}x{options.size}, {STEPS} steps, {options.threads} threads")
    print(f"{'function':28}{'ms a step':>12}{'against none':>14}{'overhead':>11}{'projections':>13}")
    step = idle = 0.0
    for name, changed in {**native_changes(plain.model), **pack_changes(plain.model)}.items():
        best = {"plain": float("inf"), "changed": float("inf")}
        for _ in range(options.runs):
            for which, model in (("plain", plain.model), ("changed", changed)):
                best[which] = min(best[which], plain.seconds(model))
        ratio = best["changed"] / best["plain"]
        without_network = min(plain.seconds(without_the_network(changed)) for _ in range(options.runs))
        step, idle = step or best["changed"], idle or without_network
        overhead = (without_network - idle) / step
        row = f"{best['changed'] / STEPS * 1000:>12.2f}{ratio:>14.3f}{overhead:>11.2%}{plain.projections(changed):>13}"
        print(f"{name:28}{row}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, default=EMBEDDED, help="a checkpoint")
    parser.add_argument("--size", type=int, default=128, help="pixels a side")
    parser.add_argument("--runs", type=int, default=15, help="runs of each kind")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()


class Runs:
    """Runs of a checkpoint's model, all with the same noise and prompts."""

    def __init__(self, path: Path, size: int):
        import torch

        from nodes.models.checkpoint import Checkpoint
        from nodes.models.contents import model_in
        from nodes.sampling.noise import initial_noise

        self.model = model_in(Checkpoint.open(path))
        self._noise = initial_noise((1, self.model.config.out_channels, size // 8, size // 8), 3)
        width = self.model.config.context_width
        self._sides = [[[torch.randn(1, 77, width, generator=torch.Generator().manual_seed(n)), {}]] for n in (1, 2)]

    def run(self, model: Any) -> None:
        import torch

        from nodes.sampling.sample import sample
        from nodes.sampling.sample_latent import schedule_for
        from nodes.sampling.sampler import SAMPLERS

        positive, negative = self._sides
        sample(
            model,
            self._noise,
            schedule_for(model, "euler", "normal", STEPS),
            sampler=SAMPLERS["euler"],
            positive=positive,
            negative=negative,
            scale=SCALE,
            latent=torch.zeros_like(self._noise),
            seed=3,
        )

    def seconds(self, model: Any) -> float:
        """Processor seconds of a run."""
        begin = time.process_time()
        self.run(model)
        return time.process_time() - begin

    def projections(self, model: Any) -> int:
        """How often a run projects its text."""
        from nodes.unet.unet import UNet

        count, original = 0, UNet.project_context

        def counted(network: UNet, context: Any) -> Any:
            nonlocal count
            count += 1
            return original(network, context)

        UNet.project_context = counted  # type: ignore[method-assign]
        try:
            self.run(model)
        finally:
            UNet.project_context = original  # type: ignore[method-assign]
        return count


def without_the_network(model: Any) -> Any:
    """The model with a network that does nothing in its network's place."""

    def network(x: Any, *_: Any, **__: Any) -> Any:
        return x * 0.5

    return dataclasses.replace(model, changes=dataclasses.replace(model.changes, parts={"": network}))


def native_changes(model: Any) -> Mapping[str, Any]:
    """The model with a function that does nothing at each stage."""
    from nodes.models.changes import InsideChanges, ModelChanges

    def pass_on(proceed: Callable[[Any], Any], record: Any) -> Any:
        return proceed(record)

    def same(h: Any, *_: Any) -> Any:
        return h

    stages = {
        "none": ModelChanges(),
        "around the run": ModelChanges(around_run=(pass_on,)),
        "around the sampler": ModelChanges(around_sampler=(pass_on,)),
        "around the prediction": ModelChanges(around_prediction=(pass_on,)),
        "around the sides": ModelChanges(around_sides=(pass_on,)),
        "around conditions": ModelChanges(around_conditions=(pass_on,)),
        "before guidance": ModelChanges(before_guidance=(lambda step: step.predictions,)),
        "after guidance": ModelChanges(after_guidance=(lambda step: step.guided,)),
        "around denoising": ModelChanges(around_denoise=(pass_on,)),
        "around the network": ModelChanges(around_network=(pass_on,)),
        "inside, behind blocks": ModelChanges(inside=InsideChanges().with_patch("input_block_patch", same)),
    }
    return {name: dataclasses.replace(model, changes=changes) for name, changes in stages.items()}


def pack_changes(model: Any) -> Mapping[str, Any]:
    """The model with a function that does nothing at each of ComfyUI's places, added as packs add it."""
    import importlib

    from nodes.model_folders import folders
    from nodes.packs.loading import dialect

    dialect().install(folders(Path(tempfile.gettempdir()), models=ROOT / "models"))
    seen = importlib.import_module("nodes.compat.comfy.model_objects").to_pack

    def changed(method: str, function: Callable[..., Any], *kind: str) -> Any:
        patched = seen(model).clone()
        getattr(patched, method)(*kind, function)
        return patched.handle

    return {
        "pack: post-CFG function": changed("set_model_sampler_post_cfg_function", lambda a: a["denoised"]),
        "pack: pre-CFG function": changed("set_model_sampler_pre_cfg_function", lambda a: a["conds_out"]),
        "pack: model function": changed(
            "set_model_unet_function_wrapper", lambda apply_model, a: apply_model(a["input"], a["timestep"], **a["c"])
        ),
        "pack: apply_model wrapper": changed("add_wrapper", lambda executor, *a, **k: executor(*a, **k), "apply_model"),
        "pack: input block patch": changed("set_model_input_block_patch", lambda h, options: h),
    }


if __name__ == "__main__":
    main()
