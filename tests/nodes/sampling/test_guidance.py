"""Guidance over a small real U-Net with random weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nodes.models.handle import ModelSampling
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.conditions import resolve
from nodes.sampling.inpainting import Inpainted, mask_for
from nodes.sampling.prediction import batches
from nodes.unet.control import Control
from nodes.unet.unet import UNet
from tests.nodes.sampling.small_model import guided, noisy, small_unet, text

LEVELS = NoiseLevels.of(ModelSampling())


@pytest.fixture(scope="module")
def network() -> UNet:
    return small_unet()


@pytest.fixture
def calls(network: UNet):
    """The batch sizes of the network's calls."""
    sizes: list[int] = []
    hook = network.register_forward_pre_hook(lambda module, arguments: sizes.append(len(arguments[0])))
    yield sizes
    hook.remove()


def predict(network: UNet, x: Tensor, sigma: float, embedding: Tensor) -> Tensor:
    """The denoised latent, written out: eps prediction at the nearest timestep."""
    t = (LEVELS.sigmas.log() - torch.tensor(sigma).log()).abs().argmin()
    eps = network(x / (sigma**2 + 1) ** 0.5, t.float().expand(len(x)), embedding.expand(len(x), -1, -1))
    return x - sigma * eps


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("scale", [0.0, 1.0, 7.5])
def test_guidance_is_an_extrapolation(network: UNet, calls: list[int], batch: int, scale: float) -> None:
    x, sigma = noisy(batch), 3.0
    cond, uncond = predict(network, x, sigma, text(1)), predict(network, x, sigma, text(2))
    calls.clear()
    model = guided(network, [[text(1), {}]], [[text(2), {}]], scale)
    close(model(x, sigma), uncond + (cond - uncond) * scale)
    # Both sides go through the network together; scale 1 needs one of them only.
    assert calls == [batch if scale == 1 else 2 * batch]
    denoised, unconditional = model.with_unconditional(x, sigma)
    close(denoised, uncond + (cond - uncond) * scale)
    close(unconditional, uncond)


def test_several_prompts_on_a_side_are_averaged_by_strength(network: UNet) -> None:
    x, sigma = noisy(), 2.0
    model = guided(network, [[text(1), {"strength": 3.0}], [text(2), {}]], [[text(3), {}]], 1.0)
    expected = (3 * predict(network, x, sigma, text(1)) + predict(network, x, sigma, text(2))) / 4
    close(model(x, sigma), expected)


def test_an_area_sees_its_crop_alone(network: UNet) -> None:
    x, sigma = noisy(), 2.0
    whole, crop = predict(network, x, sigma, text(1)), predict(network, x[..., :8, 8:], sigma, text(2))
    model = guided(network, [[text(1), {}], [text(2), {"area": (8, 8, 0, 8)}]], [[text(3), {}]], 1.0)
    found = model(x, sigma)
    close(found[..., 8:, :], whole[..., 8:, :])
    # The corner at the picture's edges has full weight, the pixel at the inner corner a quarter.
    close(found[..., 0, 15], (whole[..., 0, 15] + crop[..., 0, 7]) / 2)
    close(found[..., 7, 8], (whole[..., 7, 8] + crop[..., 7, 0] / 4) / 1.25)


def test_an_area_has_a_partner_in_the_unconditional(network: UNet) -> None:
    x, sigma = noisy(), 2.0
    model = guided(network, [[text(2), {"area": (8, 8, 0, 0)}]], [[text(3), {}]], 5.0)
    _, uncond = model.with_unconditional(x, sigma)
    whole, crop = predict(network, x, sigma, text(3)), predict(network, x[..., :8, :8], sigma, text(3))
    close(uncond[..., 0, 0], (whole[..., 0, 0] + crop[..., 0, 0]) / 2)
    # Where no positive condition is, its prediction is 0.
    close(model(x, sigma)[..., 12, 12], whole[..., 12, 12] * -4)


def test_timestep_ranges_choose_the_prompt(network: UNet) -> None:
    x = noisy()
    early, late = {"start_percent": 0.0, "end_percent": 0.5}, {"start_percent": 0.5, "end_percent": 1.0}
    model = guided(network, [[text(1), early], [text(2), late]], [[text(3), {}]], 1.0)
    close(model(x, 10.0), predict(network, x, 10.0, text(1)))
    close(model(x, 0.1), predict(network, x, 0.1, text(2)))


def test_texts_of_different_lengths_are_repeated_or_run_apart(network: UNet, calls: list[int]) -> None:
    x, sigma = noisy(), 2.0
    for lengths, expected_calls in (((77, 77), [2]), ((77, 231), [2]), ((154, 231), [2]), ((77, 385), [1, 1])):
        positive, negative = text(1, lengths[0]), text(2, lengths[1])
        cond, uncond = predict(network, x, sigma, positive), predict(network, x, sigma, negative)
        calls.clear()
        close(guided(network, [[positive, {}]], [[negative, {}]], 4.0)(x, sigma), uncond + (cond - uncond) * 4)
        assert calls == expected_calls


def test_text_is_projected_once_in_a_run(network: UNet) -> None:
    projected: list[Tensor] = []
    original = network.project_context
    model = guided(network, [[text(1), {}]], [[text(2), {}]], 4.0)
    network.project_context = lambda context: projected.append(context) or original(context)  # type: ignore
    try:
        for sigma in (5.0, 3.0, 1.0):
            model(noisy(), sigma)
    finally:
        del network.project_context
    assert [tuple(context.shape) for context in projected] == [(2, 77, 16)]


def test_control_is_asked_for_its_own_batch_only(network: UNet, calls: list[int]) -> None:
    x, sigma = noisy(), 2.0
    middle = torch.full((1, 64, 8, 8), 0.5)

    class Steering:
        def residuals(self, x, timesteps, context, y, *, levels, **_) -> Control | None:
            assert x.shape == (1, 4, 16, 16) and context.shape == (1, 77, 16) and levels is model.predictor.levels
            return Control(middle=middle)

    model = guided(network, [[text(1), {"control": Steering()}]], [[text(2), {}]], 1.0)
    t = LEVELS.timestep(sigma)
    eps = network(x / (sigma**2 + 1) ** 0.5, torch.tensor([float(t)]), text(1), control=Control(middle=middle))
    close(model(x, sigma), x - sigma * eps)
    calls.clear()
    model.with_unconditional(x, sigma)
    assert calls == [1, 1]


def test_batches_keep_every_condition() -> None:
    conditions = resolve(
        [[text(1), {}], [text(2), {"area": (8, 8, 0, 0)}], [text(3), {}], [text(4), {"area": (8, 8, 8, 8)}]],
        noisy(),
        LEVELS,
    )
    assert list(batches(conditions)) == [[conditions[0], conditions[2]], [conditions[1], conditions[3]]]


def test_v_prediction(network: UNet) -> None:
    levels = NoiseLevels.of(ModelSampling("v"))
    x, sigma = noisy(), 2.0
    model = guided(network, [[text(1), {}]], [], 1.0, sampling=ModelSampling("v"))
    v = network(x / 5**0.5, torch.tensor([float(levels.timestep(sigma))]), text(1))
    close(model(x, sigma), x / 5 - v * 2 / 5**0.5)


def test_outside_the_mask_the_latent_stays(network: UNet) -> None:
    x, sigma = noisy(), 2.0
    model = guided(network, [[text(1), {}]], [[text(2), {}]], 1.0)
    latent, noise = torch.full_like(x, 0.3), torch.ones_like(x)
    mask = torch.zeros(1, 128, 128)
    mask[:, :, :64] = 1
    m = mask_for(x, mask)
    assert m.shape == x.shape and m[0, 0, 0].tolist() == [1.0] * 8 + [0.0] * 8
    seen = x * m + (latent + noise * sigma) * (1 - m)
    expected = model(seen, sigma) * m + latent * (1 - m)
    close(Inpainted(model, m, latent, noise, LEVELS)(x, sigma), expected)
