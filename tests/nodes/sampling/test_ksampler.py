"""KSampler and KSamplerAdvanced with the embedded model on small latents."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from graph.context import PreviewImage
from graph.errors import Interrupted
from nodes import device
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import model_in, vae_in
from nodes.models.handle import Model
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling import names
from nodes.sampling.latent_preview import factors_for, latent_to_rgb
from nodes.sampling.nodes import ksampler, ksampler_advanced
from nodes.sampling.sample import SamplingError
from nodes.sampling.schedules import sigmas_for
from nodes.vae.coding import encode
from nodes.vae.network import autoencoder

CHECKPOINT = Path(__file__).parents[3] / "models" / "checkpoints" / "sumi-tiny.safetensors"


class Recorder:
    """A context that records progress and previews, and can stop the run."""

    def __init__(self, stop_at: int = 0):
        self.steps: list[tuple[float, float]] = []
        self.previews: list[PreviewImage] = []
        self.stop_at = stop_at

    def progress(self, value: float, maximum: float, preview: Callable[[], PreviewImage] | None = None) -> None:
        self.steps.append((value, maximum))
        if preview is not None:
            self.previews.append(preview())
        if value == self.stop_at:
            raise Interrupted("stop")

    def check_interrupted(self) -> None: ...


@pytest.fixture(scope="module", autouse=True)
def precision():
    device.configure("cpu", "fp32")
    yield
    device.configure()


@pytest.fixture(scope="module")
def model() -> Model:
    return model_in(Checkpoint.open(CHECKPOINT))


def prompt(seed: int) -> list[list[Any]]:
    return [[torch.randn(1, 77, 128, generator=torch.Generator().manual_seed(seed)), {}]]


def empty(batch: int = 1, **more: Any) -> dict[str, Any]:
    return {"samples": torch.zeros(batch, 4, 8, 8), **more}


def filled() -> dict[str, Any]:
    return {"samples": torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(8)) * 5}


def run(model: Model, latent: dict[str, Any], context: Recorder | None = None, **changes: Any) -> dict[str, Any]:
    arguments = {
        "seed": 1,
        "steps": 4,
        "cfg": 4.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "positive": prompt(1),
        "negative": prompt(2),
        "denoise": 1.0,
    }
    return ksampler(context=context or Recorder(), model=model, latent_image=latent, **(arguments | changes))


def run_advanced(model: Model, latent: dict[str, Any], **changes: Any) -> dict[str, Any]:
    arguments = {
        "add_noise": "enable",
        "noise_seed": 1,
        "steps": 4,
        "cfg": 4.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "positive": prompt(1),
        "negative": prompt(2),
        "start_at_step": 0,
        "end_at_step": 10_000,
        "return_with_leftover_noise": "disable",
    }
    return ksampler_advanced(context=Recorder(), model=model, latent_image=latent, **(arguments | changes))


def test_every_step_is_reported_with_a_picture(model: Model) -> None:
    from PIL import Image

    context = Recorder()
    result = run(model, empty(), context)
    assert context.steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    image = Image.open(io.BytesIO(context.previews[-1].data))
    assert context.previews[-1].format == "JPEG" and image.format == "JPEG" and image.size == (64, 64)
    samples = result["samples"]
    assert samples.shape == (1, 4, 8, 8) and samples.dtype == torch.float32 and samples.device.type == "cpu"


def test_previews_resemble_the_picture(model: Model) -> None:
    vae = vae_in(Checkpoint.open(CHECKPOINT))
    white = torch.ones(1, 64, 64, 3)
    white[:, :, 32:] = torch.tensor([0.9, 0.1, 0.1])
    latent = model.latent.scaled_in(encode(autoencoder(vae), white))[0]
    factors = factors_for(model.latent)
    assert factors is not None
    colours = latent_to_rgb(latent, factors).float() / 255
    assert colours[:, :3].mean() > 0.8
    red, green, blue = colours[:, 5:].mean((0, 1)).tolist()
    assert red > 0.7 and max(green, blue) < 0.4


def test_same_seed_same_latent(model: Model) -> None:
    assert torch.equal(run(model, empty())["samples"], run(model, empty())["samples"])
    assert not torch.equal(run(model, empty())["samples"], run(model, empty(), seed=2)["samples"])


@pytest.mark.parametrize("sampler", names.SAMPLERS)
def test_every_sampler_and_schedule(model: Model, sampler: str) -> None:
    scheduler = names.SCHEDULERS[names.SAMPLERS.index(sampler) % len(names.SCHEDULERS)]
    context = Recorder()
    result = run(model, empty(), context, sampler_name=sampler, scheduler=scheduler, steps=3)["samples"]
    assert result.isfinite().all() and result.abs().max() < 100
    values = [value for value, _ in context.steps]
    assert values == sorted(set(values)) and values[-1] <= context.steps[-1][1]


def test_the_run_stops_where_progress_says_so(model: Model) -> None:
    context = Recorder(stop_at=2)
    with pytest.raises(Interrupted):
        run(model, empty(), context)
    assert len(context.steps) == 2


def test_an_item_of_a_batch_is_the_same_picture_alone(model: Model) -> None:
    batch = run(model, empty(3, batch_index=[0, 1, 2]))["samples"]
    alone = run(model, empty(1, batch_index=[2]))
    assert alone["batch_index"] == [2]
    torch.testing.assert_close(alone["samples"], batch[2:], rtol=1e-3, atol=1e-3)


def test_denoise_zero_returns_the_latent(model: Model) -> None:
    latent = filled()
    assert run(model, latent, denoise=0.0)["samples"] is latent["samples"]


def test_less_denoising_keeps_more(model: Model) -> None:
    latent = filled()
    distance = [float((run(model, latent, denoise=d)["samples"] - latent["samples"]).abs().mean()) for d in (0.1, 0.9)]
    assert 0 < distance[0] < distance[1]


def test_inputs_are_left_alone_and_carried_on(model: Model) -> None:
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    latent = {**filled(), "noise_mask": mask}
    before = latent["samples"].clone()
    result = run(model, latent, denoise=0.8)
    assert torch.equal(latent["samples"], before) and result["noise_mask"] is mask
    # Where the mask is 0 the latent is what it was; the mask's edge is blurred over a pixel by resizing.
    torch.testing.assert_close(result["samples"][..., :3], before[..., :3], rtol=1e-4, atol=1e-4)
    assert (result["samples"][..., 5:] - before[..., 5:]).abs().mean() > 0.1


def test_ddim_puts_other_noise_behind_the_mask(model: Model) -> None:
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    euler, ddim = (run(model, {**filled(), "noise_mask": mask}, sampler_name=n)["samples"] for n in ("euler", "ddim"))
    assert not torch.equal(euler, ddim)
    assert torch.equal(run(model, filled())["samples"], run(model, filled(), sampler_name="ddim")["samples"])


def test_two_advanced_runs_make_one(model: Model) -> None:
    whole = run(model, empty())["samples"]
    torch.testing.assert_close(run_advanced(model, empty())["samples"], whole)
    first = run_advanced(model, empty(), end_at_step=2, return_with_leftover_noise="enable")
    second = run_advanced(model, first, add_noise="disable", start_at_step=2)
    torch.testing.assert_close(second["samples"], whole, rtol=1e-4, atol=1e-4)


def test_an_advanced_run_without_steps_returns_the_latent(model: Model) -> None:
    latent = filled()
    for changes in ({"start_at_step": 4}, {"start_at_step": 3, "end_at_step": 2}, {"end_at_step": 0}):
        assert run_advanced(model, latent, **changes)["samples"] is latent["samples"]


def test_an_early_end_removes_all_noise_unless_it_is_to_be_left(model: Model) -> None:
    sigma = float(sigmas_for("normal", 4, NoiseLevels.of(model.sampling))[1])
    clean = run_advanced(model, empty(), end_at_step=1)["samples"] * model.latent.scale
    noisy = run_advanced(model, empty(), end_at_step=1, return_with_leftover_noise="enable")["samples"]
    assert (noisy * model.latent.scale - clean).std() == pytest.approx(sigma, rel=0.15)
    assert clean.std() < sigma / 2


def test_an_empty_latent_of_other_channels_is_made_to_fit(model: Model) -> None:
    wide = {"samples": torch.zeros(1, 16, 8, 8)}
    assert torch.equal(run(model, wide)["samples"], run(model, empty())["samples"])


def test_a_filled_latent_of_other_channels_is_an_error(model: Model) -> None:
    with pytest.raises(SamplingError, match=r"\(1, 16, 8, 8\).*sumi-tiny.*\[batch, 4, height, width\]"):
        run(model, {"samples": torch.ones(1, 16, 8, 8)})


def test_a_latent_that_is_not_a_number_is_an_error(model: Model) -> None:
    with pytest.raises(SamplingError, match="NaN"):
        run(model, {"samples": torch.full((1, 4, 8, 8), float("nan"))})


def test_odd_sizes(model: Model) -> None:
    latent = {"samples": torch.zeros(1, 4, 9, 13)}
    assert run(model, latent, steps=1)["samples"].shape == (1, 4, 9, 13)
