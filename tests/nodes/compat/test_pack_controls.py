"""Control networks used by packs: copied, configured, chained and called directly, and packs' own controls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes import device
from nodes.compat import provided
from nodes.compat.values import from_pack, to_pack
from nodes.control.nodes import controlnet_apply, controlnet_apply_advanced
from nodes.model_folders import folders
from nodes.models.handle import Model
from tests.nodes.control.small_control import SIDE, picture, sampled, small_control, small_model, text

CLOSE = {"atol": 1e-2, "rtol": 1e-4}
"""Tolerance for latents of several hundred: conditions with and without a control are not in one batch."""


@pytest.fixture(autouse=True)
def precision():
    device.configure("cpu", "fp32")
    yield
    device.configure()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("control")
    provided.install(folders(base))
    return base


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return small_model(folder)


@pytest.fixture(scope="module")
def control(folder: Path) -> Any:
    return small_control(folder, gain=0.7)


def set_up(control: Any, side: list[list[Any]], seed: int = 7, **options: Any) -> list[list[Any]]:
    """Set up a copy with a picture in each entry, like packs do."""
    hint = picture(seed).movedim(-1, 1)
    entries = []
    for embedding, found in side:
        copied = control.copy().set_cond_hint(hint, options.get("strength", 1.0), options.get("range", (0.0, 1.0)))
        copied.set_previous_controlnet(found.get("control"))
        entries.append([embedding, {**found, "control": copied, "control_apply_to_uncond": False}])
    return entries


def by_node(control: Any, positive: Any, seed: int = 7, **options: Any) -> Any:
    given = {"positive": positive, "negative": text(2), "control_net": control, "image": picture(seed), **options}
    return controlnet_apply_advanced(**given).positive


def test_classes_tell_controls_apart(control: Any) -> None:
    from comfy.controlnet import ControlBase, ControlLora, ControlNet, T2IAdapter

    seen = to_pack(control)
    assert isinstance(seen, ControlNet) and isinstance(seen, ControlBase)
    assert not isinstance(seen, (ControlLora, T2IAdapter))
    assert from_pack(seen) == control


def test_a_control_set_up_by_a_pack(model: Model, control: Any) -> None:
    options = {"strength": 0.6, "range": (0.2, 0.8)}
    own = sampled(model, set_up(to_pack(control), text(1), **options), text(2))
    theirs = by_node(control, text(1), strength=0.6, start_percent=0.2, end_percent=0.8)
    assert torch.equal(own, sampled(model, theirs, text(2)))
    assert not torch.equal(own, sampled(model, text(1), text(2)))


def test_controls_add_up_whoever_sets_them_up(model: Model, control: Any) -> None:
    twice = sampled(model, by_node(control, by_node(control, text(1)), 8), text(2))
    packs = set_up(to_pack(control), set_up(to_pack(control), text(1)), 8)
    torch.testing.assert_close(sampled(model, packs, text(2)), twice)
    mixed = by_node(control, set_up(to_pack(control), text(1)), 8)
    torch.testing.assert_close(sampled(model, mixed, text(2)), twice)
    seen = to_pack(by_node(control, text(1)))
    torch.testing.assert_close(sampled(model, set_up(to_pack(control), seen, 8), text(2)), twice)


def test_packs_can_read_and_change_the_control_of_a_conditioning(model: Model, control: Any) -> None:
    steered = by_node(control, text(1), strength=0.6)
    (entry,) = to_pack(steered)
    seen = entry[1]["control"]
    assert seen.strength == 0.6 and seen.timestep_percent_range == (0.0, 1.0) and seen.previous_controlnet is None
    assert torch.equal(seen.cond_hint_original, picture().movedim(-1, 1))
    seen.strength = 1.0
    assert torch.equal(sampled(model, [entry], text(2)), sampled(model, by_node(control, text(1)), text(2)))
    assert to_pack(text(1))[0][1] == {}


def test_residuals_by_hand_are_those_of_the_run(model: Model, control: Any) -> None:
    """As in packs that batch conditions themselves, or define a control that adds to another."""
    from comfy.controlnet import ControlBase

    class Passing(ControlBase):
        def get_control(self, x_noisy: Tensor, t: Tensor, cond: Any, batched_number: int, options: Any = None) -> Any:
            previous = self.previous_controlnet.get_control(x_noisy, t, cond, batched_number, options)
            return self.control_merge({"input": [], "middle": [], "output": []}, previous, x_noisy.dtype)

    inner = to_pack(control).copy().set_cond_hint(picture().movedim(-1, 1), 0.8)
    positive = [[text(1)[0][0], {"control": Passing().set_previous_controlnet(inner)}]]
    expected = sampled(model, by_node(control, text(1), strength=0.8), text(2))
    torch.testing.assert_close(sampled(model, positive, text(2)), expected, **CLOSE)


def test_a_control_in_a_function_that_predicts_the_sides(model: Model, control: Any) -> None:
    """``cond["control"].get_control`` and ``apply_model(control=…)``, with a batch of two."""
    from comfy.samplers import get_area_and_mult

    def predict(arguments: dict[str, Any]) -> list[Tensor]:
        x, sigma, seen = arguments["input"], arguments["sigma"], arguments["model"]
        predicted = []
        for side in arguments["conds"]:
            (cond,) = side
            found = get_area_and_mult(cond, x, sigma)
            inputs = {name: value.cond for name, value in found.conditioning.items()}
            if found.control is not None:
                inputs["control"] = found.control.get_control(found.input_x, sigma, inputs, 1, {})
            predicted.append(seen.apply_model(found.input_x, sigma, **inputs))
        return predicted

    changed = to_pack(model).clone()
    changed.set_model_sampler_calc_cond_batch_function(predict)
    positive, negative = by_node(control, text(1)), text(2)
    expected = sampled(model, positive, negative, batch=2)
    torch.testing.assert_close(sampled(from_pack(changed), positive, negative, batch=2), expected, atol=1e-4, rtol=1e-4)


class Shift:
    """Makes a control that adds a number to the skips of the last input blocks."""

    def __new__(cls, amount: float, count: int = 2) -> Any:
        from comfy.controlnet import ControlBase

        class Made(ControlBase):
            runs = 0

            def get_control(
                self, x_noisy: Tensor, t: Tensor, cond: Any, batched_number: int, options: Any = None
            ) -> Any:
                low, high = self.timestep_range[1], self.timestep_range[0]
                if not low <= float(t[0]) <= high:
                    return None
                assert cond["c_crossattn"].shape[0] == len(x_noisy) and x_noisy.shape[-1] == SIDE
                made: list[Any] = [None, torch.full((1, 1, 1, 1), amount)][-count:]
                return self.control_merge({"input": [], "middle": [], "output": made}, None, x_noisy.dtype)

        return Made()


def test_a_packs_own_control_in_its_range_and_strength(model: Model) -> None:
    def run(amount: float, strength: float = 1.0, percents: tuple[float, float] = (0.0, 1.0)) -> Tensor:
        own = Shift(amount).set_cond_hint(picture().movedim(-1, 1), strength, percents)
        return sampled(model, [[text(1)[0][0], {"control": own}]], text(2))

    plain = sampled(model, text(1), text(2))
    torch.testing.assert_close(run(0.0), plain, **CLOSE)
    assert not torch.allclose(run(2.0), plain, **CLOSE)
    torch.testing.assert_close(run(2.0, 0.5), run(1.0), **CLOSE)
    torch.testing.assert_close(run(2.0, percents=(0.999, 1.0)), plain, **CLOSE)


def test_sumis_nodes_apply_a_packs_own_control(model: Model) -> None:
    own = from_pack(Shift(1.0))
    applied = controlnet_apply(conditioning=text(1), control_net=own, image=picture(), strength=0.5)
    by_hand = Shift(1.0).set_cond_hint(picture().movedim(-1, 1), 0.5)
    expected = sampled(model, [[text(1)[0][0], {"control": by_hand, "control_apply_to_uncond": True}]], text(2))
    torch.testing.assert_close(sampled(model, applied, text(2)), expected)
    assert isinstance(to_pack(own), type(own.control))


def test_a_control_that_calls_the_network_itself(model: Model, control: Any) -> None:
    """As packs do that weigh residuals and mask them: a class of their own, made from the control they were given."""
    import comfy.utils
    from comfy.controlnet import ControlNet

    class Advanced(ControlNet):
        def __init__(self, control_model: Any, **settings: Any):
            super().__init__(control_model=control_model, **settings)
            self.get_control = self.sliding

        def sliding(self, x_noisy: Tensor, t: Tensor, cond: Any, batched_number: int, options: Any) -> Any:
            assert self.timestep_range is not None and self.cond_hint_original is not None
            if not self.timestep_range[1] <= float(t[0]) <= self.timestep_range[0]:
                return None
            side = x_noisy.shape[-1] * self.compression_ratio
            hint = comfy.utils.common_upscale(self.cond_hint_original, side, side, self.upscale_algorithm, "center")
            hint = hint.expand(len(x_noisy), -1, -1, -1).to(self.control_model.dtype)
            timestep = self.model_sampling_current.timestep(t)
            x = self.model_sampling_current.calculate_input(t, x_noisy)
            made = self.control_model(x=x, hint=hint, timesteps=timestep.float(), context=cond["c_crossattn"])
            assert set(made) == {"middle", "output"}
            return self.control_merge(made, None, None)

        def copy(self) -> Any:
            return Advanced.from_vanilla(self)

        @staticmethod
        def from_vanilla(given: Any) -> Any:
            settings = ("global_average_pooling", "compression_ratio", "latent_format", "load_device")
            more = ("manual_cast_dtype", "extra_conds", "strength_type", "concat_mask", "preprocess_image")
            made = Advanced(given.control_model, **{name: getattr(given, name) for name in (*settings, *more)})
            given.copy_to(made)
            made.control_model_wrapped = given.control_model_wrapped.clone()
            return made

    own = Advanced.from_vanilla(to_pack(control)).set_cond_hint(picture().movedim(-1, 1), 0.7, (0.0, 0.8))
    expected = sampled(model, by_node(control, text(1), strength=0.7, end_percent=0.8), text(2))
    torch.testing.assert_close(sampled(model, [[text(1)[0][0], {"control": own}]], text(2)), expected, **CLOSE)
    applied = controlnet_apply(conditioning=text(1), control_net=from_pack(own), image=picture(), strength=0.7)
    positive = [[text(1)[0][0], {**applied[0][1], "control_apply_to_uncond": False}]]
    expected = sampled(model, by_node(control, text(1), strength=0.7), text(2))
    assert not torch.equal(sampled(model, text(1), text(2)), expected)
    torch.testing.assert_close(sampled(model, positive, text(2)), expected, **CLOSE)


def test_residuals_may_be_merged_in_a_packs_own_way(model: Model, control: Any) -> None:
    """A pack puts its own ``control_merge`` on the object."""
    seen = to_pack(control).copy().set_cond_hint(picture().movedim(-1, 1), 0.6)
    calls: list[int] = []

    class Passing(type(seen)):  # type: ignore[misc]
        def get_control(self, *arguments: Any) -> Any:
            return super().get_control(*arguments)

    own = Passing(seen.control_model).set_cond_hint(picture().movedim(-1, 1), 0.6)
    merge = own.control_merge

    def counted(made: Any, before: Any, dtype: Any) -> Any:
        calls.append(len(made["output"]))
        return merge(made, before, dtype)

    own.control_merge = counted
    made = sampled(model, [[text(1)[0][0], {"control": own}]], text(2))
    torch.testing.assert_close(made, sampled(model, [[text(1)[0][0], {"control": seen}]], text(2)), **CLOSE)
    assert calls and calls[0] > 0


def test_a_network_of_a_packs_own_is_refused_by_name(model: Model) -> None:
    from comfy.controlnet import ControlNet

    foreign = ControlNet(torch.nn.Linear(2, 2)).set_cond_hint(picture().movedim(-1, 1))
    with pytest.raises(TypeError, match="ControlNet has a Linear as its network"):
        sampled(model, [[text(1)[0][0], {"control": foreign}]], text(2))


def test_control_files_are_loaded(folder: Path, control: Any) -> None:
    from comfy.controlnet import broadcast_image_to, load_controlnet

    assert from_pack(load_controlnet(str(control.weights.path))) == control
    assert broadcast_image_to(torch.arange(2), 6, 2).tolist() == [0, 1, 0, 0, 1, 0]
