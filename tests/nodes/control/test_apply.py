"""ControlNets in a run: where, when and how strongly they act, alone and together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nodes import device
from nodes.control.apply import AppliedControl
from nodes.control.handle import ControlError
from nodes.control.handle import ControlNet as ControlNetHandle
from nodes.control.nodes import (
    controlnet_apply,
    controlnet_apply_advanced,
    controlnet_inpainting_apply,
)
from nodes.models.handle import Model
from nodes.sampling.areas import Area
from nodes.sampling.condition_inputs import running_control
from tests.nodes.control.small_control import CONTROL, SIDE, UNET, picture, sampled, small_control, small_model, text


@pytest.fixture(autouse=True)
def precision():
    device.configure("cpu", "fp32")
    yield
    device.configure()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("control")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return small_model(folder)


@pytest.fixture(scope="module")
def control(folder: Path) -> Any:
    return small_control(folder, gain=0.7)


def both(control: Any, image: Tensor | None = None, **options: Any) -> Any:
    positive, negative = options.pop("positive", text(1)), options.pop("negative", text(2))
    return controlnet_apply_advanced(
        positive=positive,
        negative=negative,
        control_net=control,
        image=picture() if image is None else image,
        **options,
    )


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


def test_a_control_changes_the_picture_and_strength_scales_it(model: Model, control: Any) -> None:
    plain = sampled(model, text(1), text(2))
    steered = sampled(model, *both(control))
    assert steered.isfinite().all() and (steered - plain).abs().mean() > 0.01
    weak = sampled(model, *both(control, strength=0.01))
    assert 0 < (weak - plain).abs().mean() < (steered - plain).abs().mean()


def test_strength_0_and_start_at_the_end_change_nothing_and_read_nothing() -> None:
    positive, negative = text(1), text(2)
    unread: Any = None
    for options in ({"strength": 0.0}, {"start_percent": 0.5, "end_percent": 0.5}):
        found = both(unread, positive=positive, negative=negative, **options)
        assert found.positive is positive and found.negative is negative
    assert controlnet_apply(conditioning=positive, control_net=unread, image=picture(), strength=0.0) is positive


def test_outside_its_percents_a_control_does_nothing(folder: Path, model: Model, control: Any) -> None:
    positive, negative = text(1), text(2)
    plain = sampled(model, positive, negative, steps=4)
    # The first of four steps is at percent 0, the last at 1.
    late = both(control, positive=positive, negative=negative, start_percent=0.0005, end_percent=0.999)
    early = both(control, positive=positive, negative=negative, start_percent=0.0, end_percent=0.9)
    assert not torch.equal(sampled(model, *late, steps=4), plain)
    assert not torch.equal(sampled(model, *early, steps=4), sampled(model, *late, steps=4))
    levels = model.sampling.levels()
    running = running_control(early.positive[0][1]["control"], model, SIDE, SIDE)
    x = torch.randn(1, 4, SIDE, SIDE)
    arguments = (x, torch.tensor([3.0]), positive[0][0], None)
    assert running.residuals(*arguments, sigma=levels.sigma_at(0.901), levels=levels) is None
    assert running._steering is None  # its weights were never asked for
    assert running.residuals(*arguments, sigma=levels.sigma_at(0.9), levels=levels) is not None


def test_zero_weights_equal_no_control(folder: Path, model: Model) -> None:
    zero = small_control(folder, seed=99, gain=0.0)
    assert torch.equal(sampled(model, *both(zero)), sampled(model, text(1), text(2)))


def test_chained_controls_add_up(folder: Path, model: Model, control: Any) -> None:
    other = small_control(folder, seed=8)
    x, timesteps = torch.randn(2, 4, SIDE, SIDE), torch.tensor([10.0, 10.0])
    context = torch.randn(2, 77, 16)
    levels = model.sampling.levels()

    def residuals(conditioning: Any) -> Any:
        running = running_control(conditioning[0][1]["control"], model, SIDE, SIDE)
        return running.residuals(x, timesteps, context, None, sigma=1.0, levels=levels)

    first = both(control, strength=0.5)
    second = both(other, picture(8), strength=2.0)
    chained = both(other, picture(8), strength=2.0, positive=first.positive, negative=first.negative)
    alone, added = residuals(first.positive), residuals(second.positive)
    together = residuals(chained.positive)
    for a, b, sum_ in zip(
        (*alone.skips, alone.middle), (*added.skips, added.middle), (*together.skips, together.middle), strict=True
    ):
        torch.testing.assert_close(sum_, a + b)
    assert chained.positive[0][1]["control"] is chained.negative[0][1]["control"]


def test_the_residuals_are_those_of_the_network(model: Model, control: Any) -> None:
    """One step without guidance, by hand."""
    image = picture(side=100)  # resized to the latent's size in pixels
    steered = sampled(model, *both(control, image, strength=0.6), cfg=1.0, steps=1)
    levels = model.sampling.levels()
    sigma = float(levels.sigma_max)
    noise = torch.randn(1, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    x = noise * (1 + sigma**2) ** 0.5
    given, t = x / (sigma**2 + 1) ** 0.5, torch.tensor([999.0])
    from nodes.control.controlnet import hint_of, residuals

    network: Any = control.steering(model)._encoder
    hint = F.interpolate(image.movedim(-1, 1), size=(8 * SIDE, 8 * SIDE), mode="nearest-exact")
    context = text(1)[0][0]
    found = residuals(network, network, given, hint_of(network, hint), t, network.project_context(context))
    unet: Any = model.network()
    eps = unet(given, t, context, control=found.changed(lambda r: r * 0.6))
    close(steered * model.latent.scale, x - sigma * eps)


def test_a_wide_picture_is_cropped_in_the_middle(model: Model, control: Any) -> None:
    wide = torch.rand(1, 128, 256, 3)
    ours = sampled(model, *both(control, wide))
    close(ours, sampled(model, *both(control, wide[:, :, 64:192])))


def test_other_channels_than_three(model: Model, control: Any) -> None:
    image = picture()
    opaque = torch.cat([image, torch.ones_like(image[..., :1])], dim=-1)
    assert torch.equal(sampled(model, *both(control, opaque)), sampled(model, *both(control, image)))
    grey = image[..., :1]
    assert torch.equal(sampled(model, *both(control, grey)), sampled(model, *both(control, grey.expand(-1, -1, -1, 3))))


def test_each_item_of_a_batch_has_its_picture(model: Model, control: Any) -> None:
    one, two = picture(1), picture(2)
    batch = sampled(model, *both(control, torch.cat([one, two])), batch=2)
    alone = sampled(model, *both(control, one), batch=2), sampled(model, *both(control, two), batch=2)
    close(batch, torch.stack([alone[0][0], alone[1][1]]))
    # A shorter list of pictures starts again, a longer one is cut.
    three = sampled(model, *both(control, torch.cat([one, two])), batch=3)
    close(three[2:], sampled(model, *both(control, one), batch=3)[2:])
    close(sampled(model, *both(control, torch.cat([one, two])), batch=1), sampled(model, *both(control, one)))


def test_an_area_sees_its_part_of_the_picture(model: Model, control: Any) -> None:
    image = picture()
    conditioning = both(control, image).positive
    running = running_control(conditioning[0][1]["control"], model, SIDE, SIDE)
    area = Area(8, 10, 4, 6)
    x, context = torch.randn(1, 4, 8, 10), text(1)[0][0]
    levels = model.sampling.levels()
    arguments: Any = (x, torch.tensor([10.0]), context, None)
    found = running.residuals(*arguments, sigma=1.0, levels=levels, area=area, items=1)
    part = both(control, image[:, 32:96, 48:128]).positive
    expected = running_control(part[0][1]["control"], model, 8, 10).residuals(*arguments, sigma=1.0, levels=levels)
    for a, b in zip(found.skips, expected.skips, strict=True):
        torch.testing.assert_close(a, b)
    whole = sampled(model, *both(control, image, positive=text(1, area=(8, 10, 4, 6)) + text(3)))
    assert whole.isfinite().all()


def test_different_controls_go_through_the_network_together(folder: Path, model: Model, control: Any) -> None:
    other = small_control(folder, seed=8)
    positive = both(control).positive
    negative = both(other, picture(4)).negative
    calls: list[int] = []
    unet: Any = model.network()
    unet.register_forward_pre_hook(lambda _, args: calls.append(len(args[0])))
    together = sampled(model, positive, negative, batch=2, steps=2)
    assert set(calls) == {4}
    # Alone, each prediction is one of a run with that side only.
    entry = [[text(2)[0][0], {**negative[0][1], "start_percent": 0.0}]]
    apart = sampled(model, positive, entry, batch=2, steps=2)
    close(together, apart)
    only_positive = sampled(model, positive, text(2), batch=2, steps=2)
    assert (only_positive - together).abs().max() > 0.01


def test_the_old_node_steers_the_negative_prompt_too(model: Model, control: Any) -> None:
    old = controlnet_apply(conditioning=text(1), control_net=control, image=picture(), strength=0.8)
    close(sampled(model, old, text(2)), sampled(model, *both(control, strength=0.8)))
    assert not torch.allclose(sampled(model, old, text(2)), sampled(model, both(control, strength=0.8)[0], text(2)))


def test_pooling_averages_over_the_picture(model: Model, control: Any) -> None:
    pooling = replace(control, pools=True)
    x, context = torch.randn(1, 4, SIDE, SIDE), text(1)[0][0]
    arguments: Any = (x, torch.tensor([10.0]), context, None)
    levels = model.sampling.levels()

    def residuals(handle: Any) -> Any:
        running = running_control(both(handle).positive[0][1]["control"], model, SIDE, SIDE)
        return running.residuals(*arguments, sigma=1.0, levels=levels)

    for pooled, plain in zip(residuals(pooling).skips, residuals(control).skips, strict=True):
        torch.testing.assert_close(pooled, plain.mean(dim=(2, 3), keepdim=True))


def test_controls_have_their_own_text(model: Model, control: Any) -> None:
    other = text(9)[0][0]
    steered = both(control, positive=text(1, cross_attn_controlnet=other), negative=text(2))
    usual = sampled(model, *both(control))
    assert not torch.allclose(sampled(model, *steered), usual)
    same = both(
        control,
        positive=text(1, cross_attn_controlnet=text(1)[0][0]),
        negative=text(2, cross_attn_controlnet=text(2)[0][0]),
    )
    close(sampled(model, *same), usual)


def test_inpainting_models_take_the_latent_without_the_mask(folder: Path, control: Any) -> None:
    wide = small_model(folder, replace(UNET, in_channels=9))
    from nodes.sampling.condition_inputs import Spatial

    extra = {"model_conds": {"c_concat": Spatial(torch.rand(1, 5, SIDE, SIDE))}}
    found = sampled(wide, *both(control, positive=text(1, **extra), negative=text(2, **extra)))
    assert found.isfinite().all()


def test_a_mask_channel_gets_the_mask(folder: Path, model: Model, control: Any) -> None:
    masked = small_control(folder, seed=21, config=replace(CONTROL, hint_channels=4))
    mask = torch.zeros(1, 128, 128)
    mask[:, 32:64] = 1
    given: dict[str, Any] = {"positive": text(1), "negative": text(2), "vae": None, "image": picture(), "mask": mask}
    found = controlnet_inpainting_apply(control_net=masked, **given)
    entry = found.positive[0][1]["control"]
    assert isinstance(entry, AppliedControl)
    running: Any = running_control(entry, model, SIDE, SIDE)
    shown = running._picture(Area(SIDE, SIDE, 0, 0))
    assert torch.equal(shown[:, 3:], 1 - mask[:, None]) and not shown[:, :3, 32:64].any()
    assert torch.equal(shown[:, :3, :32], picture().movedim(-1, 1)[:, :, :32])
    assert sampled(model, *found).isfinite().all()
    plain = controlnet_inpainting_apply(control_net=control, **given)
    assert torch.equal(sampled(model, *plain), sampled(model, *both(control)))
    with pytest.raises(ControlError, match="4 channels, but got 3"):
        sampled(model, *both(masked))


def test_a_control_network_of_another_width_is_an_error(folder: Path, control: Any) -> None:
    other = small_model(folder, replace(UNET, context_width=24, linear_projections=True))
    assert isinstance(control, ControlNetHandle)
    with pytest.raises(ControlError, match=r"control_3.safetensors is a ControlNet for text 16 wide.*but the model is"):
        sampled(other, *both(control, positive=text(1, 24), negative=text(2, 24)))


def test_half_precision_is_close(model: Model, control: Any) -> None:
    exact = sampled(model, *both(control))
    device.configure("cpu", "bf16")
    half = sampled(model, *both(control))
    assert half.dtype == torch.float32 and half.isfinite().all()
    assert (half - exact).abs().mean() < 0.05 * exact.abs().mean() and not torch.equal(half, exact)


def test_guidance_by_three_sides_shares_a_control(model: Model, control: Any) -> None:
    from nodes.sampling.conditions import resolve_sides

    steered = controlnet_apply(conditioning=text(1), control_net=control, image=picture())
    sides = {"positive": steered, "middle": text(3), "negative": text(2)}
    found = resolve_sides(sides, torch.zeros(1, 4, SIDE, SIDE), model, model.sampling.levels())
    (shared,) = {id(side[0].inputs["control"].value) for side in found.values()}
    assert shared == id(found["positive"][0].inputs["control"].value)
