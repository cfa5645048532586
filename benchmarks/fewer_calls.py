"""Speed and error of the ways to call the network less often, beside the full run.

    python benchmarks/fewer_calls.py [--prompts N] [--sd15] [--side 512] [--strip FILE.webp] [--threads N]

The embedded model draws the same prompts with the same seeds in the full run (20 steps of euler, guidance 5) and with
each method, in turns. Printed per method: CPU and wall time relative to the full run; the network's work (one picture
under one prompt is 1, so a full guided step is 2); the error of the latents (root mean square, relative to that of two
full runs with different seeds); PSNR of the pictures; their difference in shape (benchmarks/likeness.py), again
relative to other seeds.

``--sd15`` measures the kinds of calls on SD1.5 in full size with random weights, in turns: both prompts, one prompt,
the outer blocks alone (DeepCache), merged tokens; and decoding with the VAE and with TAESD. Whether a step is left out
depends on what a network has learned, so the time of a whole run is these times for the calls that the embedded model
needed.
``--strip`` writes the pictures, a row for each method. On a loaded machine, compare CPU times rather than wall times.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PROMPTS = (
    *("a red apple", "a blue car", "a panda", "一只猫"),
    *("a yellow star", "a house on a green background", "a fox", "a bee"),
)
STEPS, GUIDANCE = 20, 5.0
LORA = ROOT / "models" / "loras" / "sumi-tiny-lcm.safetensors"

Kind = tuple[int, str]
"""A call's number of predictions, and its sort: complete, depth 1, depth 3, merged."""


@dataclass(frozen=True)
class Method:
    """A row: the change of the model, and the run's settings where they differ from the full run's."""

    change: Callable[[Any], Any] = lambda model: model
    steps: int = STEPS
    guidance: float = GUIDANCE
    sampler: str = "euler"
    schedule: str = "normal"
    sort: str = "complete"


@dataclass
class Result:
    cpu: float = 0.0
    wall: float = 0.0
    calls: Counter[Kind] = field(default_factory=Counter)
    latents: list[Any] = field(default_factory=list)


def methods() -> dict[str, Method]:
    from nodes.changes import fewer_calls_nodes as fewer
    from nodes.changes import network_nodes as network

    found = {
        "full": Method(),
        "10 steps": Method(steps=10),
        "EasyCache 0.1": Method(lambda model: fewer.easy_cache(model=model, reuse_threshold=0.1)),
        "EasyCache 0.2": Method(lambda model: fewer.easy_cache(model=model)),
        "LazyCache 0.2": Method(lambda model: fewer.lazy_cache(model=model)),
        "DeepCache 2, depth 3": Method(
            lambda model: fewer.deep_cache(model=model, cache_interval=2, cache_depth=3), sort="depth 3"
        ),
        "DeepCache 3, depth 1": Method(lambda model: fewer.deep_cache(model=model), sort="depth 1"),
        "Guidance Interval": Method(lambda model: fewer.guidance_interval(model=model)),
        "Adaptive Guidance": Method(lambda model: fewer.adaptive_guidance(model=model)),
        "token merging 0.3": Method(lambda model: network.tome_patch_model(model=model, ratio=0.3), sort="merged"),
        "DeepCache 2 + Interval": Method(
            lambda model: fewer.guidance_interval(model=fewer.deep_cache(model=model, cache_interval=2, cache_depth=3)),
            sort="depth 3",
        ),
    }
    if LORA.exists():
        found["LCM, 4 steps"] = Method(_with_lcm, 4, 1.0, "lcm", "sgm_uniform")
    return found


def _with_lcm(model: Any) -> Any:
    from nodes.changes.model_sampling_nodes import model_sampling_discrete
    from nodes.models.checkpoint import Checkpoint
    from nodes.training.lora import read_lora, with_lora

    return model_sampling_discrete(model=with_lora(model, read_lora(Checkpoint.open(LORA)), 1.0), sampling="lcm")


def main() -> None:
    options = arguments()
    import torch

    from nodes import device

    torch.set_num_threads(options.threads)
    device.configure("cpu", "fp32")
    results, images = drawn(PROMPTS[: options.prompts])
    show(results, images)
    if options.strip:
        write_strip(options.strip, images)
    if options.sd15:
        show_sd15(results, sd15_times(options.side, options.turns))
        show_decoders(options.side, options.turns)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--prompts", type=int, default=len(PROMPTS), help=f"how many prompts, at most {len(PROMPTS)}")
    parser.add_argument("--sd15", action="store_true", help="also measure SD1.5 in full size")
    parser.add_argument("--side", type=int, default=512, help="side of SD1.5's pictures in pixels")
    parser.add_argument("--turns", type=int, default=3, help="how often SD1.5 makes each kind of call")
    parser.add_argument("--strip", type=Path, help="write the pictures to this file")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()


@contextmanager
def timed(result: Result) -> Iterator[None]:
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    yield
    after = resource.getrusage(resource.RUSAGE_SELF)
    result.wall += time.perf_counter() - start
    result.cpu += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def drawn(prompts: tuple[str, ...]) -> tuple[dict[str, Result], dict[str, list[Any]]]:
    """Draw every prompt with every method in turns. Returns the measurements and the pictures [H, W, 3]."""
    import torch

    from nodes.models import contents
    from nodes.models.checkpoint import Checkpoint
    from nodes.sampling.noise import initial_noise
    from nodes.sampling.sample import sample
    from nodes.sampling.sampler import SAMPLERS
    from nodes.sampling.schedules import sigmas_for
    from nodes.text.encoding import encode_tokens
    from nodes.text.prompt import tokenize_prompt
    from nodes.vae.coding import decode
    from nodes.vae.network import autoencoder

    checkpoint = Checkpoint.open(ROOT / "models" / "checkpoints" / "sumi-tiny.safetensors")
    model, vae = contents.model_in(checkpoint), contents.vae_in(checkpoint)
    clip = contents.text_encoder_in(checkpoint)
    table = methods()
    results = {name: Result() for name in (*table, "other seed")}
    changed = {name: counting(method.change(model), results[name].calls, method.sort) for name, method in table.items()}

    def conditioning(prompt: str) -> list[list[Any]]:
        embedding, pooled = encode_tokens(clip, tokenize_prompt(clip, prompt))
        return [[embedding, {"pooled_output": pooled}]]

    negative = conditioning("")

    def draw(name: str, method: Method, handle: Any, prompt: str, seed: int) -> None:
        sigmas = sigmas_for(method.schedule, method.steps, handle.sampling.levels())
        positive = conditioning(prompt)
        with timed(results[name]):
            latent = sample(
                handle,
                initial_noise((1, 4, 16, 16), seed),
                sigmas,
                sampler=SAMPLERS[method.sampler],
                positive=positive,
                negative=negative,
                scale=method.guidance,
                latent=torch.zeros(1, 4, 16, 16),
                seed=seed,
            )
        results[name].latents.append(latent)

    for name, method in table.items():  # the first run of each also loads weights
        draw(name, method, changed[name], prompts[0], 0)
    for result in results.values():
        result.cpu = result.wall = 0.0
        result.calls.clear()
        result.latents.clear()
    for number, prompt in enumerate(prompts):
        for name, method in table.items():
            draw(name, method, changed[name], prompt, number)
        draw("other seed", table["full"], model, prompt, number + 1000)
    images = {
        name: [decode(autoencoder(vae), latent)[0].clamp(0, 1) for latent in result.latents]
        for name, result in results.items()
    }
    return results, images


def counting(model: Any, calls: Counter[Kind], sort: str) -> Any:
    """The model, which counts its network's calls by kind."""
    from nodes.changes.adding import with_changes
    from nodes.unet.deep_features import OPTION

    def count(proceed: Callable[[Any], Any], call: Any) -> Any:
        features = call.options.get(OPTION)
        complete = sort.startswith("depth") and (features is None or features.kept is None)
        calls[len(call.x), "complete" if complete else sort] += 1
        return proceed(call)

    return with_changes(model, around_network=(*model.changes.around_network, count))


def show(results: dict[str, Result], images: dict[str, list[Any]]) -> None:
    full, other = results["full"], results["other seed"]
    unlike_latents = rms(full.latents, other.latents)
    unlike_shapes = shapes(images["full"], images["other seed"])
    print(f"embedded model, {len(full.latents)} pictures, load {os.getloadavg()[0]:.1f}")
    print(f"{'':26}{'CPU':>7}{'wall':>7}{'work':>7}{'latent error':>14}{'PSNR':>8}{'shape':>7}")
    for name, result in results.items():
        if name == "other seed":
            continue
        work = sum(count * number for (number, _), count in result.calls.items()) / len(result.latents)
        error = rms(full.latents, result.latents) / unlike_latents
        print(
            f"{name:26}{result.cpu / full.cpu:7.2f}{result.wall / full.wall:7.2f}{work:7.1f}{error:14.3f}"
            f"{psnr(images['full'], images[name]):8.1f}{shapes(images['full'], images[name]) / unlike_shapes:7.2f}"
        )
    print(f"full: {full.cpu / len(full.latents):.2f} s of CPU, {full.wall / len(full.latents):.2f} s wall a picture")


def rms(one: list[Any], other: list[Any]) -> float:
    return math.sqrt(statistics.mean(float((a - b).square().mean()) for a, b in zip(one, other, strict=True)))


def psnr(one: list[Any], other: list[Any]) -> float:
    """Peak signal-to-noise ratio in dB over all pictures; infinite if they are equal."""
    error = statistics.mean(float((a - b).square().mean()) for a, b in zip(one, other, strict=True))
    return math.inf if error == 0 else -10 * math.log10(error)


def shapes(one: list[Any], other: list[Any]) -> float:
    from benchmarks.likeness import look, shape_distance

    return statistics.mean(
        shape_distance(look(a.numpy()).features, look(b.numpy()).features) for a, b in zip(one, other, strict=True)
    )


def sd15_times(side: int, turns: int) -> dict[Kind, float]:
    """Seconds of CPU of each kind of call, the least of ``turns``."""
    import torch

    from benchmarks.random_checkpoint import write_random_checkpoint
    from nodes.changes.token_merging import TokenMerging
    from nodes.models import contents
    from nodes.models.checkpoint import Checkpoint
    from nodes.models.unet_config import SD1, expected_shapes
    from nodes.unet.deep_features import OPTION, DeepFeatures

    with tempfile.TemporaryDirectory(prefix="sumi-benchmark-") as folder:
        path = Path(folder) / "unet.safetensors"
        write_random_checkpoint(path, expected_shapes(SD1))
        unet = contents.model_in(Checkpoint.open(path)).network()
        x = torch.randn(2, 4, side // 8, side // 8, generator=torch.Generator().manual_seed(0))
        text, times = torch.randn(2, 77, 768, generator=torch.Generator().manual_seed(1)), torch.tensor([500.0, 500.0])
        merging = TokenMerging(0.3)
        merged = {
            "patches": {"attn1_patch": [merging.merge], "attn1_output_patch": [merging.unmerge]},
            "generator": torch.Generator().manual_seed(0),
        }
        kept = {}
        found: dict[Kind, float] = {}
        with torch.no_grad():
            for depth in (1, 3):
                features = kept[depth] = DeepFeatures(depth)
                unet(x, times, text, transformer_options={OPTION: features})
            for _ in range(turns):
                for number in (1, 2):
                    kinds: dict[str, Any] = {
                        "complete": {},
                        "depth 1": {OPTION: DeepFeatures(1, kept[1].kept[:number])},
                        "depth 3": {OPTION: DeepFeatures(3, kept[3].kept[:number])},
                        "merged": merged,
                    }
                    for sort, options in kinds.items():
                        result = Result()
                        with timed(result):
                            unet(x[:number], times[:number], text[:number], transformer_options=options)
                        found[number, sort] = min(found.get((number, sort), math.inf), result.cpu)
    return found


def show_sd15(results: dict[str, Result], times: dict[Kind, float]) -> None:
    print("SD1.5, random weights: seconds of CPU per call")
    for (number, sort), seconds in times.items():
        ratio = seconds / times[2, "complete"]
        print(f"  {number} prediction{'s' if number > 1 else ' '} {sort:10}{seconds:8.2f}{ratio:7.2f}")
    whole = sum(count * times[kind] for kind, count in results["full"].calls.items())
    print("SD1.5: time of a run, relative to the full one")
    for name, result in results.items():
        if name != "other seed":
            print(f"  {name:26}{sum(count * times[kind] for kind, count in result.calls.items()) / whole:6.2f}")


def show_decoders(side: int, turns: int) -> None:
    """Print the time of decoding one picture: SD1.5's VAE and TAESD, both with random weights, in turns."""
    import torch

    from nodes.models.tiny_config import TinyConfig
    from nodes.models.vae_config import VaeConfig
    from nodes.vae.autoencoder import AutoencoderKL
    from nodes.vae.tiny import TinyHalf

    latent = torch.randn(1, 4, side // 8, side // 8, generator=torch.Generator().manual_seed(0))
    vae, tiny = AutoencoderKL(VaeConfig()).eval(), TinyHalf(TinyConfig("decoder")).eval()
    least = {"VAE": math.inf, "TAESD": math.inf}
    with torch.no_grad():
        tiny(latent)
        for _ in range(turns):
            for name, decoder in (("VAE", vae.decode), ("TAESD", tiny)):
                result = Result()
                with timed(result):
                    decoder(latent)
                least[name] = min(least[name], result.cpu)
    print(f"decoding {side} × {side}: VAE {least['VAE']:.2f} s of CPU, TAESD {least['TAESD']:.2f} s")


def write_strip(path: Path, images: dict[str, list[Any]]) -> None:
    """Write all pictures, a row for each method with its name, uncurated."""
    import torch
    from PIL import Image, ImageDraw

    from nodes.drawing.lettering import font

    rows = []
    for name, pictures in images.items():
        if name == "other seed":
            continue
        pixels = (torch.cat(pictures, dim=1).numpy() * 255).astype("uint8")
        row = Image.new("RGB", (170 + pixels.shape[1], pixels.shape[0]), "white")
        ImageDraw.Draw(row).text((8, pixels.shape[0] // 2 - 8), name, "black", font=font(14))
        row.paste(Image.fromarray(pixels), (170, 0))
        rows.append(row)
    sheet = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)), "white")
    for index, row in enumerate(rows):
        sheet.paste(row, (0, index * row.height))
    sheet.save(path, quality=80, method=6)


if __name__ == "__main__":
    main()
