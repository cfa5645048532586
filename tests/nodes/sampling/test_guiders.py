"""Guiders over a small real network, against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nodes.models.changes import GuidanceStep, Guider, ModelChanges
from nodes.sampling.denoiser import UnconditionalError
from nodes.sampling.guidance import perpendicular
from nodes.sampling.guiders import BasicGuider, CfgGuider, DualCfgGuider, PerpNegGuider
from nodes.sampling.noise import initial_noise
from nodes.sampling.sample import sample, sample_guided
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.schedules import sigmas_for
from nodes.unet.unet import UNet
from tests.nodes.sampling.small_model import denoiser_of, model_of, noisy, prompt, small_unet

CLOSE = {"rtol": 1e-4, "atol": 1e-4}
SIGMA = 2.0


@pytest.fixture(scope="module")
def network() -> UNet:
    return small_unet()


def prediction(network: UNet, guider: Guider, changes: ModelChanges | None = None) -> Tensor:
    model = model_of(network) if changes is None else model_of(network, changes)
    return denoiser_of(model, guider)(noisy(), SIGMA)


def alone(network: UNet, number: int) -> Tensor:
    return prediction(network, BasicGuider(prompt(number)))


def calls_of(network: UNet, guider: Guider) -> list[int]:
    sizes: list[int] = []
    hook = network.register_forward_pre_hook(lambda module, arguments: sizes.append(len(arguments[0])))
    try:
        prediction(network, guider)
    finally:
        hook.remove()
    return sizes


def test_the_basic_guider_predicts_its_side(network: UNet) -> None:
    cfg = CfgGuider(prompt(1), prompt(2), 1.0)
    assert torch.equal(alone(network, 1), prediction(network, cfg))
    with pytest.raises(UnconditionalError, match="cfg_pp"):
        denoiser_of(model_of(network), BasicGuider(prompt(1))).with_unconditional(noisy(), SIGMA)


def test_dual_guidance(network: UNet) -> None:
    p, m, n = (alone(network, number) for number in (1, 2, 3))
    regular = DualCfgGuider(prompt(1), prompt(2), prompt(3), 5.0, 1.5)
    torch.testing.assert_close(prediction(network, regular), n + (m - n) * 1.5 + (p - m) * 5.0, **CLOSE)
    nested = DualCfgGuider(prompt(1), prompt(2), prompt(3), 5.0, 1.5, "nested")
    inner = m + (p - m) * 5.0
    torch.testing.assert_close(prediction(network, nested), n + (inner - n) * 1.5, **CLOSE)


@pytest.mark.parametrize(
    ("scale", "middle_scale", "sides"), [(5.0, 1.5, 3), (5.0, 1.0, 2), (1.0, 1.0, 1), (1.0, 1.5, 3)]
)
def test_dual_guidance_predicts_the_sides_that_count(
    network: UNet, scale: float, middle_scale: float, sides: int
) -> None:
    guider = DualCfgGuider(prompt(1), prompt(2), prompt(3), scale, middle_scale)
    assert calls_of(network, guider) == [sides]
    p, m, n = (alone(network, number) for number in (1, 2, 3))
    torch.testing.assert_close(prediction(network, guider), n + (m - n) * middle_scale + (p - m) * scale, **CLOSE)


def test_perpendicular_negative_guidance(network: UNet) -> None:
    c, u, e = (alone(network, number) for number in (1, 2, 3))
    p, n = c - e, u - e
    perpendicular = n - p * (n * p).sum() / (p**2).sum()
    assert float((perpendicular * p).sum()) == pytest.approx(0, abs=1e-2)
    guider = PerpNegGuider(prompt(1), prompt(2), prompt(3), 6.0, 0.8)
    torch.testing.assert_close(prediction(network, guider), e + (p - perpendicular * 0.8) * 6.0, **CLOSE)


def test_perpendicular_negative_guidance_with_the_empty_prompt_as_the_positive_one(network: UNet) -> None:
    u, e = alone(network, 2), alone(network, 3)
    found = prediction(network, PerpNegGuider(prompt(3), prompt(2), prompt(3), 6.0, 0.8))
    torch.testing.assert_close(found, e - (u - e) * 0.8 * 6.0, **CLOSE)


def test_only_the_parallel_part_of_an_item_is_removed() -> None:
    negative = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    positive = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    assert torch.equal(perpendicular(negative, positive), torch.tensor([[1.0, 2.0], [3.0, 0.0]]))
    assert torch.equal(perpendicular(negative, torch.zeros(2, 2)), negative)


def test_functions_after_guidance_see_every_guiders_result(network: UNet) -> None:
    def doubled(step: GuidanceStep) -> Tensor:
        assert step.guided is not None
        return step.guided * 2

    changes = ModelChanges(after_guidance=(doubled,))
    for guider in (
        BasicGuider(prompt(1)),
        CfgGuider(prompt(1), prompt(2), 3.0),
        PerpNegGuider(prompt(1), prompt(2), prompt(3), 3.0),
    ):
        torch.testing.assert_close(prediction(network, guider, changes), prediction(network, guider) * 2, **CLOSE)


def test_a_run_with_a_guider(network: UNet) -> None:
    model = model_of(network)
    sigmas = sigmas_for("normal", 2, model.sampling.levels())
    noise, latent = initial_noise((1, 4, 16, 16), 3), torch.zeros(1, 4, 16, 16)
    guider = CfgGuider(prompt(1), prompt(2), 3.0)
    by_guider = sample_guided(model, guider, noise, sigmas, sampler=SAMPLERS["euler"], latent=latent, seed=3)
    by_sides = sample(
        model, noise, sigmas, sampler=SAMPLERS["euler"], positive=prompt(1), negative=prompt(2), scale=3.0,
        latent=latent, seed=3,
    )  # fmt: skip
    assert torch.equal(by_guider, by_sides)
    other = PerpNegGuider(prompt(1), prompt(2), prompt(3), 3.0)
    perpendicular = sample_guided(model, other, noise, sigmas, sampler=SAMPLERS["euler"], latent=latent, seed=3)
    assert perpendicular.isfinite().all() and not torch.equal(perpendicular, by_guider)
