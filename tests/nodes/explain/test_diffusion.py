"""Forward diffusion and noise schedules, against diffusers' schedulers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import DDPMScheduler

from nodes import device
from nodes.changes.model_sampling_nodes import model_sampling_discrete
from nodes.explain.channel_pictures import channel_mosaic
from nodes.explain.diffusion_nodes import explain_forward_diffusion, explain_noise_schedules
from nodes.explain.errors import ExplainError
from nodes.explain.forward import levels_at, noised_pixels, spread
from nodes.explain.frames import chosen_frames
from nodes.explain.schedules import all_schedules, trained_levels
from nodes.models.contents import model_in, vae_in
from nodes.models.handle import Model, Vae
from nodes.models.model_sampling import ConsistencySampling, ContinuousSampling, ModelSampling
from nodes.sampling.latents import SamplingError
from nodes.sampling.noise import initial_noise
from nodes.sampling.schedules import SCHEDULES, sigmas_for
from nodes.vae.coding import decode, encode
from nodes.vae.network import autoencoder
from tests.nodes.conftest import NodeContext
from tests.nodes.explain.models import NAMES, checkpoint
from tests.nodes.explain.tables import cells, column, numbers

ORACLE = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
ZERO_SNR = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", rescale_betas_zero_snr=True)


@pytest.fixture(scope="module", autouse=True)
def precision():  # type: ignore[no-untyped-def]
    device.configure("cpu", "fp32")
    yield
    device.configure()


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest) -> Model:
    return model_in(checkpoint(request.param))


@pytest.fixture
def vae() -> Vae:
    return vae_in(checkpoint("embedded"))


def picture(height: int = 32, width: int = 48, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, height, width, 3, generator=torch.Generator().manual_seed(1))


def test_noise_is_added_as_diffusers_adds_it(model: Model) -> None:
    timesteps = [0, 1, 250, 500, 998, 999]
    clean, noise = (torch.randn(1, 4, 8, 6, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    for level, timestep in zip(levels_at(model.sampling.levels(), timesteps), timesteps, strict=True):
        expected = ORACLE.add_noise(clean, noise, torch.tensor([timestep]))
        assert torch.allclose(level.noised(clean, noise), expected, atol=2e-5)


def test_pixels_get_noise_between_minus_one_and_one() -> None:
    levels = levels_at(ModelSampling().levels(), [0, 400, 999])
    shown = noised_pixels(picture()[0], levels, seed=5)
    noise = torch.randn(32, 48, 3, generator=torch.Generator().manual_seed(5))
    for result, level in zip(shown, levels, strict=True):
        expected = ORACLE.add_noise(picture()[0] * 2 - 1, noise, torch.tensor(level.timestep))
        assert torch.allclose(result, (expected / 2 + 0.5).clamp(0, 1), atol=2e-5)


def test_latents_of_every_family_are_scaled_before_noise_is_added(model: Model, vae: Vae) -> None:
    samples = torch.randn(1, 4, 4, 6, generator=torch.Generator().manual_seed(4)) * 5
    frames = spread(model, [0, 700], 9, None, samples, vae)
    assert frames.latents is not None and frames.decoded is not None and frames.pixels is None
    scale = {"embedded": 0.18215, "sd2": 0.18215, "sdxl": 0.13025}[model.family.name]
    noise = initial_noise(samples.shape, 9)
    for timestep, latent, shown in zip((0, 700), frames.latents, frames.decoded, strict=True):
        expected = ORACLE.add_noise(samples * scale, noise, torch.tensor([timestep]))
        assert torch.allclose(latent, expected[0], atol=5e-5)
        assert torch.allclose(shown, decode(autoencoder(vae), expected / scale)[0], atol=1e-3)


def test_a_picture_is_encoded_for_the_latent_rows(vae: Vae) -> None:
    model = model_in(checkpoint("embedded"))
    frames = spread(model, [0, 999], 3, picture(), None, vae)
    again = spread(model, [0, 999], 3, None, encode(autoencoder(vae), picture()), vae)
    assert frames.pixels is not None and frames.latents is not None and again.latents is not None
    assert all(torch.equal(one, other) for one, other in zip(frames.latents, again.latents, strict=True))


def test_the_table_holds_diffusers_numbers(model: Model, vae: Vae, context: NodeContext) -> None:
    result = explain_forward_diffusion(model=model, image=picture(), vae=vae, frames=3, context=context)
    table = result.values[1]
    assert column(table, "timestep") == ["0", "500", "999"]
    alpha_bar = ORACLE.alphas_cumprod[[0, 500, 999]].double()
    assert numbers(table, "signal") == pytest.approx(alpha_bar.sqrt().tolist(), abs=1e-5)
    assert numbers(table, "noise") == pytest.approx((1 - alpha_bar).sqrt().tolist(), abs=1e-5)
    assert numbers(table, "signal-to-noise") == pytest.approx((alpha_bar / (1 - alpha_bar)).tolist(), rel=1e-3)
    assert result.ui["text"] == [table] and result.ui["images"][0]["type"] == "temp"


def test_rows_follow_from_what_is_connected(vae: Vae, context: NodeContext) -> None:
    model = model_in(checkpoint("embedded"))
    latent = {"samples": torch.randn(2, 4, 4, 6)}
    heights = [
        explain_forward_diffusion(model=model, frames=2, context=context, **given).values[0].shape[1]
        for given in (
            {"image": picture()},
            {"latent": latent},
            {"image": picture(batch=3), "vae": vae},
            {"image": picture(), "latent": latent},
        )
    ]
    assert heights[2] > heights[3] > heights[0]
    with pytest.raises(ExplainError, match="connect a picture, a latent, or both"):
        explain_forward_diffusion(model=model, vae=vae, context=context)
    with pytest.raises(SamplingError):
        explain_forward_diffusion(model=model, latent={"samples": torch.randn(1, 16, 4, 4)}, context=context)


@pytest.mark.parametrize(
    ("text", "frames", "count", "expected"),
    [
        ("", 4, 1000, [0, 333, 666, 999]),
        ("", 20, 5, [0, 1, 2, 3, 4]),
        (" 999, 0；5，5", 8, 1000, [0, 5, 999]),
    ],
)
def test_timesteps(text: str, frames: int, count: int, expected: list[int]) -> None:
    assert chosen_frames("timesteps", text, frames, 0, count - 1) == expected


@pytest.mark.parametrize("text", ["1000", "-1", "1.5", "first", "99999999999", ",".join(map(str, range(21)))])
def test_bad_timesteps_are_named(text: str) -> None:
    with pytest.raises(ExplainError, match=r"expected (whole numbers from 0 to 999|at most 20)"):
        chosen_frames("timesteps", text, 8, 0, 999)


@pytest.mark.parametrize("oracle", [ORACLE, ZERO_SNR], ids=["scaled linear", "zero terminal SNR"])
def test_betas_and_alpha_bar_are_those_of_diffusers(oracle: DDPMScheduler) -> None:
    levels = ModelSampling(zero_terminal_snr=oracle is ZERO_SNR).levels()
    trained = trained_levels(levels)
    assert trained.alpha_bar is not None and trained.betas is not None
    assert torch.allclose(trained.alpha_bar, oracle.alphas_cumprod.double(), atol=2e-6)
    # With zero terminal SNR, diffusers' last ᾱ is 0, and Sumi's 5e-8, so that the last sigma is finite.
    last = None if oracle is ORACLE else -1
    assert torch.allclose(trained.betas[:last], oracle.betas[:last].double(), atol=2e-5)
    assert torch.allclose(trained.sigmas, levels.sigmas.double())


def test_models_without_a_table_of_betas_have_none(context: NodeContext) -> None:
    model = model_in(checkpoint("embedded"))
    for sampling in (ContinuousSampling("edm", 0.002, 80, 0.5), ConsistencySampling()):
        other = replace(model, sampling=sampling)
        trained = trained_levels(sampling.levels())
        assert trained.betas is None and trained.alpha_bar is None
        first = explain_noise_schedules(model=other, steps=5, context=context).values[1].split("\n\n")[0]
        assert cells(first)[0] == ["timestep", "σ", "signal-to-noise"]
        shown = explain_forward_diffusion(model=other, image=picture(), frames=3, context=context).values[1]
        assert numbers(shown, "signal-to-noise") == sorted(numbers(shown, "signal-to-noise"), reverse=True)


@pytest.mark.parametrize("data", [0.5, 1.0])
def test_signal_and_noise_of_other_models_keep_the_variance(data: float) -> None:
    for level in levels_at(ContinuousSampling("edm", 0.002, 80, data).levels(), [0, 500, 999]):
        # A latent with the spread sigma_data keeps it.
        assert (level.signal * data) ** 2 + (level.noise * data) ** 2 == pytest.approx(data**2, rel=1e-5)
        assert level.noise / level.signal == pytest.approx(level.sigma / data, rel=1e-5)


def test_every_scheduler_is_in_the_table(model: Model, context: NodeContext) -> None:
    steps = 7
    levels = model.sampling.levels()
    assert list(all_schedules(levels, steps))[: len(SCHEDULES)] == list(SCHEDULES)
    trained, schedules = explain_noise_schedules(model=model, steps=steps, context=context).values[1].split("\n\n")
    for name in SCHEDULES:
        found = [float(cell) for cell in column(schedules, name) if cell]
        assert found == pytest.approx(sigmas_for(name, steps, levels).tolist(), rel=1e-4)
    places = [int(cell) for cell in column(trained, "timestep")]
    assert numbers(trained, "ᾱ") == pytest.approx(ORACLE.alphas_cumprod[places].tolist(), rel=1e-3)
    assert numbers(trained, "β") == pytest.approx(ORACLE.betas[places].tolist(), rel=1e-3)


def test_changes_of_the_sampling_show_in_the_curves(context: NodeContext) -> None:
    model = model_sampling_discrete(model=model_in(checkpoint("embedded")), sampling="v_prediction", zsnr=True)
    trained = explain_noise_schedules(model=model, steps=3, context=context).values[1].split("\n\n")[0]
    assert numbers(trained, "ᾱ")[-1] == pytest.approx(4.8973e-08, rel=1e-3)
    assert numbers(trained, "ᾱ")[5] == pytest.approx(ZERO_SNR.alphas_cumprod[500].item(), rel=1e-3)


@pytest.mark.parametrize("steps", [1, 2, 200])
def test_schedules_of_any_length_are_drawn(steps: int, context: NodeContext) -> None:
    result = explain_noise_schedules(model=model_in(checkpoint("embedded")), steps=steps, context=context)
    assert result.values[0].shape[2] == 900


def test_channels_lie_in_a_square_with_lines_between_them() -> None:
    latent = torch.zeros(4, 3, 5)
    latent[0], latent[3] = -1, 1
    mosaic = channel_mosaic(latent, 1.0)
    assert mosaic.shape == (7, 11, 3)
    blue, red = mosaic[0, 0], mosaic[-1, -1]
    assert blue[2] > blue[0] and red[0] > red[2] and torch.equal(mosaic[3, 5], torch.ones(3))
    assert channel_mosaic(torch.zeros(3, 2, 2), 1.0).shape == (5, 5, 3)


def test_the_first_and_last_of_other_ranges_are_shown() -> None:
    assert chosen_frames("steps", "", 5, 1, 20) == [1, 6, 11, 15, 20]
    assert chosen_frames("steps", "", 8, 1, 3) == [1, 2, 3] and chosen_frames("steps", "", 1, 1, 9) == [1]
    assert chosen_frames("steps", "9 2,2", 4, 1, 9) == [2, 9] and chosen_frames("steps", "", 4, 1, 0) == []
