"""Functions of a model's changes, at every stage of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nodes import device
from nodes.models.changes import (
    NO_CHANGES,
    ConditionEntry,
    GuidanceStep,
    InsideChanges,
    MaskStep,
    ModelChanges,
    NetworkCall,
    RawCall,
    Run,
    SamplerCall,
    Step,
)
from nodes.models.unet_config import UNetConfig
from nodes.sampling.condition_inputs import Constant, Spatial, Text
from nodes.sampling.noise import initial_noise
from nodes.sampling.sample import sample
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.schedules import sigmas_for
from nodes.unet.unet import UNet
from tests.nodes.sampling.small_model import CONFIG, guided, model_of, noisy, prompt, small_unet, text

CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(scope="module", autouse=True)
def precision() -> Iterator[None]:
    device.configure("cpu", "fp32")
    yield
    device.configure()


@pytest.fixture(scope="module")
def network() -> UNet:
    return small_unet()


def sampled(network: UNet, changes: ModelChanges = NO_CHANGES, steps: int = 3, **more: Any) -> Tensor:
    model = model_of(network, changes)
    shape = more.pop("shape", (1, 4, 16, 16))
    arguments: dict[str, Any] = {
        "sampler": SAMPLERS[more.pop("sampler", "euler")],
        "positive": prompt(1),
        "negative": prompt(2),
        "scale": 4.0,
        "latent": torch.zeros(shape),
        "seed": 3,
    }
    sigmas = sigmas_for("normal", steps, model.sampling.levels())
    return sample(model, initial_noise(shape, 3), sigmas, **{**arguments, **more})


# -- every stage -------------------------------------------------------------------------------------------------


def test_every_stage_runs_in_order_and_without_effect_changes_no_bit(network: UNet) -> None:
    order: list[str] = []

    def around(name: str, kind: type) -> Callable[[Callable[[Any], Any], Any], Any]:
        def function(proceed: Callable[[Any], Any], record: Any) -> Any:
            assert type(record) is kind
            order.append(name)
            return proceed(dataclasses.replace(record))

        return function

    def note(name: str, result: Callable[[GuidanceStep], Any]) -> Callable[[GuidanceStep], Any]:
        def function(step: GuidanceStep) -> Any:
            order.append(name)
            return result(step)

        return function

    changes = ModelChanges(
        around_run=(around("run", Run),),
        around_sampler=(around("sampler", SamplerCall),),
        around_prediction=(around("prediction", Step),),
        around_sides=(around("sides", Step),),
        around_conditions=(around("conditions", Step),),
        around_denoise=(around("denoise", NetworkCall),),
        around_network=(around("network", RawCall),),
        before_guidance=(note("before", lambda step: step.predictions),),
        after_guidance=(note("after", lambda step: step.guided),),
        on_start=(lambda run: order.append("start"),),
        on_end=(lambda run: order.append("end"),),
    )
    assert torch.equal(sampled(network, changes, steps=1), sampled(network, steps=1))
    inner = ["prediction", "sides", "conditions", "denoise", "network", "before", "after"]
    assert order == ["run", "start", "sampler", *inner, "end"]


def test_the_first_function_around_a_stage_is_the_outermost(network: UNet) -> None:
    def scaled(factor: float, offset: float) -> Callable[..., Tensor]:
        return lambda proceed, call: proceed(call) * factor + offset

    changes = ModelChanges(around_denoise=(scaled(2.0, 0.0), scaled(1.0, 1.0)))
    x = noisy()
    plain = guided(network, prompt(1), prompt(2), 1.0)(x, 2.0)
    torch.testing.assert_close(guided(network, prompt(1), prompt(2), 1.0, changes)(x, 2.0), (plain + 1) * 2, **CLOSE)


def test_ends_are_told_when_a_run_fails(network: UNet) -> None:
    ended: list[Run] = []

    def fail(proceed: Any, call: Any) -> Tensor:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sampled(network, ModelChanges(around_network=(fail,), on_end=(ended.append,)))
    assert len(ended) == 1


def test_the_unconditional_side_is_predicted_at_a_scale_of_1_when_a_change_asks(network: UNet) -> None:
    seen: list[bool] = []

    def look(step: GuidanceStep) -> Tensor:
        seen.append("negative" in step.predictions)
        assert step.guided is not None
        return step.guided

    for both in (False, True):
        sampled(network, ModelChanges(after_guidance=(look,), both_sides=both), steps=1, scale=1.0)
    assert seen == [False, True]


def test_a_mask_of_the_noise_level(network: UNet) -> None:
    seen: list[float] = []

    def hard(step: MaskStep) -> Tensor:
        seen.append(step.sigma)
        return (step.mask > 0.5).float()

    mask = torch.linspace(0, 1, 16).expand(1, 16, 16)
    more: Any = {"latent": noisy(), "noise_mask": mask}
    expected = sampled(network, **{**more, "noise_mask": (mask > 0.5).float()})
    torch.testing.assert_close(sampled(network, ModelChanges(mask=hard), **more), expected, **CLOSE)
    assert seen == sorted(seen, reverse=True) and len(seen) == 3


# -- conditions' inputs and the network's parts ------------------------------------------------------------------


def test_inputs_of_conditions_may_be_replaced(network: UNet) -> None:
    def other_text(inputs: Mapping[str, Any], entry: ConditionEntry) -> Mapping[str, Any]:
        return {**inputs, "text": Text(text(5))} if entry.side == "positive" else inputs

    changed = sampled(network, ModelChanges(inputs=(other_text,)))
    assert torch.equal(changed, sampled(network, positive=prompt(5)))


def test_extra_channels_follow_the_area() -> None:
    """As an inpainting model's: channels behind the latent's, cropped with it."""
    config: UNetConfig = dataclasses.replace(CONFIG, in_channels=9)
    network = small_unet(config)
    picture = torch.randn(1, 5, 16, 16, generator=torch.Generator().manual_seed(4))
    changes = ModelChanges(inputs=(lambda inputs, entry: {**inputs, "concat": Spatial(picture)},))
    area = [*prompt(1, area=(8, 8, 4, 8)), *prompt(2)]
    x, sigma = noisy(2), 2.0
    found = guided(network, area, [], 1.0, changes)(x, sigma)
    levels = model_of(network).sampling.levels()

    def predict(number: int, rows: slice, columns: slice) -> Tensor:
        crop, extra = x[..., rows, columns], picture[..., rows, columns].expand(2, -1, -1, -1)
        given = torch.cat([levels.network_input(crop, sigma), extra], dim=1)
        timesteps = torch.full((2,), float(levels.timestep(sigma)))
        return levels.denoised(crop, network(given, timesteps, text(number).expand(2, -1, -1)), sigma)

    whole, part = predict(2, slice(0, 16), slice(0, 16)), predict(1, slice(4, 12), slice(8, 16))
    # At the picture's right edge and in the middle of the rows the area has full weight.
    torch.testing.assert_close(found[..., 8, 15], (whole[..., 8, 15] + part[..., 4, 7]) / 2, **CLOSE)
    torch.testing.assert_close(found[..., 0, :], whole[..., 0, :], **CLOSE)


def test_conditions_with_unlike_constants_run_apart(network: UNet) -> None:
    sizes: list[int] = []

    def count(proceed: Callable[[NetworkCall], Tensor], call: NetworkCall) -> Tensor:
        sizes.append(len(call.x))
        assert call.inputs["boxes"] in (1, 2)
        return proceed(call)

    def boxes(inputs: Mapping[str, Any], entry: ConditionEntry) -> Mapping[str, Any]:
        return {**inputs, "boxes": Constant(entry.options["boxes"])}

    changes = ModelChanges(around_denoise=(count,), inputs=(boxes,))
    for number in (1, 2):
        guided(network, prompt(1, boxes=1), prompt(2, boxes=number), 3.0, changes)(noisy(), 2.0)
    assert sizes == [2, 1, 1]


def test_a_part_of_the_network_in_anothers_place(network: UNet) -> None:
    class Halved(nn.Module):
        def __init__(self, inside: nn.Module):
            super().__init__()
            self.inside = inside

        def forward(self, x: Tensor) -> Tensor:
            return self.inside(x) / 2

    part = Halved(network.time_embed)
    halved = InsideChanges().with_patch("emb_patch", lambda embedding, channels, options: embedding / 2)
    changed = sampled(network, ModelChanges(parts={"time_embed": part}))
    torch.testing.assert_close(changed, sampled(network, ModelChanges(inside=halved)), **CLOSE)
    assert (changed - sampled(network)).abs().max() > 1e-3


def test_functions_inside_that_are_modules_come_to_the_device(network: UNet) -> None:
    class Patch(nn.Module):
        moved = False

        def to(self, *arguments: Any, **named: Any) -> Patch:
            self.moved = True
            return super().to(*arguments, **named)

        def forward(self, h: Tensor, options: Mapping[str, Any]) -> Tensor:
            assert self.moved and options["cond_or_uncond"] == [1, 0] and options["mine"] == 5
            return h

    inside = dataclasses.replace(InsideChanges().with_patch("middle_block_patch", Patch()), data={"mine": 5})
    torch.testing.assert_close(sampled(network, ModelChanges(inside=inside)), sampled(network), **CLOSE)


# -- one projection of the text ----------------------------------------------------------------------------------


@pytest.fixture
def projections(network: UNet, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The texts that the network has projected."""
    seen: list[Tensor] = []
    original = network.project_context
    monkeypatch.setattr(network, "project_context", lambda text: seen.append(text) or original(text))
    return seen


WITHOUT_EFFECT: Mapping[str, ModelChanges] = {
    "after guidance": ModelChanges(after_guidance=(lambda step: step.guided,)),
    "around the network": ModelChanges(around_network=(lambda proceed, call: proceed(call),)),
    "around denoising": ModelChanges(around_denoise=(lambda proceed, call: proceed(call),)),
    "inside": ModelChanges(inside=InsideChanges().with_patch("output_block_patch", lambda h, skip, _: (h, skip))),
}


@pytest.mark.parametrize("stage", WITHOUT_EFFECT)
def test_a_function_without_effect_costs_no_second_projection(
    network: UNet, projections: list[Tensor], stage: str
) -> None:
    sampled(network, WITHOUT_EFFECT[stage], steps=10)
    assert len(projections) == 1


def test_a_text_that_a_function_writes_into_is_projected_again(network: UNet, projections: list[Tensor]) -> None:
    def louder(proceed: Callable[[RawCall], Tensor], call: RawCall) -> Tensor:
        assert call.text is not None
        call.text.mul_(1.5)
        return proceed(call)

    sampled(network, ModelChanges(around_network=(louder,)), steps=3)
    assert len(projections) == 3


# -- memory ------------------------------------------------------------------------------------------------------


def test_out_of_memory_runs_conditions_one_after_the_other(network: UNet, caplog: pytest.LogCaptureFixture) -> None:
    sizes: list[int] = []

    def small_memory(proceed: Callable[[RawCall], Tensor], call: RawCall) -> Tensor:
        sizes.append(len(call.x))
        if len(call.x) > 1:
            raise torch.OutOfMemoryError("no room for two")
        return proceed(call)

    found = sampled(network, ModelChanges(around_network=(small_memory,)), steps=4)
    together = sampled(network, steps=4)
    assert (found - together).abs().max() <= 1e-5 * together.abs().max()
    # Tried together, tried again with the others gone, then one by one for the rest of the run.
    assert sizes == [2, 2] + [1] * 8
    assert [record.message.partition(";")[0] for record in caplog.records] == ["out of memory while sampling"] * 2
    assert "one by one for the rest of this run" in caplog.text


def test_out_of_memory_that_passes_when_other_models_leave_keeps_the_batches(network: UNet) -> None:
    sizes: list[int] = []

    def once(proceed: Callable[[RawCall], Tensor], call: RawCall) -> Tensor:
        sizes.append(len(call.x))
        if len(sizes) == 1:
            raise torch.OutOfMemoryError
        return proceed(call)

    assert torch.equal(sampled(network, ModelChanges(around_network=(once,)), steps=3), sampled(network, steps=3))
    assert sizes == [2, 2, 2, 2]


def test_out_of_memory_of_a_single_condition_is_the_runs_error(network: UNet) -> None:
    def never(proceed: Any, call: Any) -> Tensor:
        raise torch.OutOfMemoryError("none at all")

    with pytest.raises(torch.OutOfMemoryError, match="none at all"):
        sampled(network, ModelChanges(around_network=(never,)))


def test_no_changes_are_empty() -> None:
    assert not NO_CHANGES and not ModelChanges() and not InsideChanges()
    assert ModelChanges(both_sides=True) and ModelChanges(data={"a": 1}) and InsideChanges(data={"a": 1})
