"""Step caches, DeepCache and guidance in a part of the run, over a small real U-Net, against their formulas."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.changes import fewer_calls_nodes as nodes
from nodes.changes import guidance_nodes, network_nodes
from nodes.changes.adding import with_changes, with_inside
from nodes.changes.step_caches import ExpectedChange
from nodes.control.nodes import controlnet_apply
from nodes.models.changes import RawCall, Step
from nodes.models.handle import Model
from nodes.sampling.guiders import BasicGuider, CfgGuider, DualCfgGuider, PerpNegGuider
from nodes.sampling.noise import initial_noise
from nodes.sampling.sample import sample, sample_guided
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.schedules import sigmas_for
from nodes.unet.deep_features import OPTION, DeepFeatures
from tests.nodes.control.small_control import picture as hint
from tests.nodes.control.small_control import small_control
from tests.nodes.sampling.small_model import denoiser_of, model_of, prompt, small_unet

NETWORK = small_unet()
STEPS = 8
SCALE = 4.0
SIGMAS = sigmas_for("normal", STEPS, model_of(NETWORK).sampling.levels())

CHANGES: dict[str, Callable[[Model], Model]] = {
    "EasyCache": lambda model: nodes.easy_cache(model=model, reuse_threshold=0.5, start_percent=0.0, end_percent=1.0),
    "LazyCache": lambda model: nodes.lazy_cache(model=model, reuse_threshold=0.5, start_percent=0.0, end_percent=1.0),
    "DeepCache": lambda model: nodes.deep_cache(model=model),
    "GuidanceInterval": lambda model: nodes.guidance_interval(model=model, start_percent=0.3, end_percent=0.7),
    "AdaptiveGuidance": lambda model: nodes.adaptive_guidance(model=model, threshold=0.5),
}


def counted(model: Model) -> tuple[Model, list[int]]:
    """The model, and a list that gets the batch size of every call of its network."""
    calls: list[int] = []

    def count(proceed: Callable[[RawCall], Tensor], call: RawCall) -> Tensor:
        calls.append(len(call.x))
        return proceed(call)

    return with_changes(model, around_network=(*model.changes.around_network, count)), calls


def picture(model: Model, sampler: str = "euler", **more: Any) -> Tensor:
    arguments: dict[str, Any] = {
        "sampler": SAMPLERS[sampler],
        "positive": prompt(1),
        "negative": prompt(2),
        "scale": SCALE,
        "latent": torch.zeros(1, 4, 16, 16),
        "seed": 3,
    }
    return sample(model, initial_noise((1, 4, 16, 16), 3), SIGMAS, **{**arguments, **more})


def euler(predict: Callable[[Tensor, float, int], Tensor], model: Model) -> Tensor:
    """The picture of a plain Euler run, written out for the references below."""
    x = model.sampling.levels().noised(torch.zeros(1, 4, 16, 16), initial_noise((1, 4, 16, 16), 3), float(SIGMAS[0]))
    for number, (sigma, below) in enumerate(pairwise(SIGMAS.tolist())):
        denoised = predict(x, sigma, number)
        x = x + (x - denoised) / sigma * (below - sigma)
    return x / model.latent.scale


# -- nothing changes without them ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "node",
    [
        lambda model: nodes.easy_cache(model=model, reuse_threshold=0.0),
        lambda model: nodes.lazy_cache(model=model, reuse_threshold=0.0),
        lambda model: nodes.deep_cache(model=model, cache_interval=1),
        lambda model: nodes.guidance_interval(model=model, start_percent=0.0, end_percent=1.0),
        lambda model: nodes.adaptive_guidance(model=model, threshold=0.0),
    ],
)
def test_settings_without_effect_return_the_model(node: Callable[[Model], Model], model: Model) -> None:
    assert node(model) is model


@pytest.mark.parametrize(
    "node",
    [
        lambda model: nodes.easy_cache(model=model, reuse_threshold=1e-9),
        lambda model: nodes.lazy_cache(model=model, reuse_threshold=1e-9),
        lambda model: nodes.easy_cache(model=model, start_percent=0.5, end_percent=0.5),
        lambda model: nodes.deep_cache(model=model, start_percent=0.5, end_percent=0.5),
        lambda model: nodes.adaptive_guidance(model=model, threshold=1e-9),
    ],
)
def test_where_nothing_is_left_out_the_picture_is_the_same_bit_for_bit(
    node: Callable[[Model], Model], model: Model
) -> None:
    assert torch.equal(picture(node(model)), picture(model))


@pytest.mark.parametrize("name", CHANGES)
def test_the_same_run_gives_the_same_picture_again(name: str, model: Model) -> None:
    changed = CHANGES[name](model)
    first = picture(changed)
    assert torch.equal(picture(changed), first)
    assert not torch.equal(picture(model), first)


# -- step caches ---------------------------------------------------------------------------------------------------


def test_the_expected_change_is_the_rate_times_the_input_s_change_added_up() -> None:
    change = ExpectedChange()
    x = [torch.full((1, 1, 2, 2), value) for value in (0.0, 1.0, 1.5, 2.5)]
    assert not change.stays_below(9.0, x[0])
    change.computed(x[0], x[0] + 4)
    assert not change.stays_below(9.0, x[1])
    change.computed(x[1], x[1] + 6)  # the output moved from 4 to 7, the input by 1: a rate of 3
    assert change.stays_below(9.0, x[2])
    assert change.total == pytest.approx(3 * 0.5 / 7)
    assert not change.stays_below(0.5, x[3])  # 3 · 0.5 / 7 + 3 · 1 / 7 = 0.64
    assert change.total == 0.0


def reference_cache(threshold: float, model: Model, each_side: bool) -> tuple[Tensor, int]:
    """EasyCache (``each_side``) or LazyCache (of the guided noise), as a plain loop. Also returns the reused steps."""
    levels = model.sampling.levels()
    sides = [denoiser_of(model, BasicGuider(prompt(number))) for number in (1, 2)]
    state: dict[str, Any] = {"total": 0.0, "rate": None, "reused": 0}

    def network(x: Tensor, sigma: float) -> list[Tensor]:
        """Both sides' noise, or the guided noise."""
        positive, negative = (side(x, sigma) for side in sides)
        noises = [(x - positive) / sigma, (x - negative) / sigma]
        return noises if each_side else [noises[1] + (noises[0] - noises[1]) * SCALE]

    def guided(x: Tensor, sigma: float, outputs: list[Tensor]) -> Tensor:
        denoised = [levels.denoised(x, output, sigma) for output in outputs]
        return denoised[1] + (denoised[0] - denoised[1]) * SCALE if each_side else denoised[0]

    def predict(x: Tensor, sigma: float, number: int) -> Tensor:
        given = levels.network_input(x, sigma)
        if state["rate"] is not None:
            moved = (given - state["last"]).abs().mean()
            state["total"] += float(state["rate"] * moved / state["outputs"][0].abs().mean())
            if state["total"] < threshold:
                state["last"] = given
                state["reused"] += 1
                return guided(x, sigma, [given + out - state["input"] for out in state["outputs"]])
        state["total"] = 0.0
        outputs = network(x, sigma)
        if "input" in state:
            change = (outputs[0] - state["outputs"][0]).abs().mean()
            state["rate"] = float(change / (given - state["input"]).abs().mean())
        state.update({"last": given, "input": given, "outputs": outputs})
        return guided(x, sigma, outputs)

    return euler(predict, model), state["reused"]


@pytest.mark.parametrize("name", ["EasyCache", "LazyCache"])
def test_step_caches_are_their_formula(name: str, model: Model) -> None:
    expected, reused = reference_cache(0.5, model, name == "EasyCache")
    assert 2 <= reused <= 6
    changed, calls = counted(CHANGES[name](model))
    torch.testing.assert_close(picture(changed), expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    assert calls == [2] * (STEPS - reused)


@pytest.mark.parametrize("name", ["EasyCache", "LazyCache"])
def test_step_caches_reuse_nothing_before_and_after_their_window(name: str, model: Model) -> None:
    node = nodes.easy_cache if name == "EasyCache" else nodes.lazy_cache
    changed, calls = counted(node(model=model, reuse_threshold=3.0, start_percent=0.4, end_percent=0.6))
    levels = model.sampling.levels()
    inside = [levels.sigma_at(0.6) <= sigma <= levels.sigma_at(0.4) for sigma in SIGMAS.tolist()[:-1]]
    picture(changed)
    assert len(calls) == STEPS - sum(inside)


def test_easy_cache_logs_what_it_reuses(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        picture(nodes.easy_cache(model=model, reuse_threshold=0.5, start_percent=0.0, verbose=True))
    assert sum("noise level" in line for line in caplog.messages) == STEPS
    assert any("predictions reused" in line for line in caplog.messages)


# -- DeepCache -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_deep_features_are_those_of_the_complete_call(depth: int, model: Model) -> None:
    """The oracle is a complete call in which a patch replaces the features at the same place."""
    edge = len(NETWORK.output_blocks) - depth
    (first, second), text = torch.randn(2, 1, 4, 16, 16).unbind(), prompt(1)[0][0]
    seen: list[Tensor] = []

    def note(h: Tensor, skip: Tensor, options: Any) -> tuple[Tensor, Tensor]:
        if options["block"][1] == edge:
            seen.append(h)
        return h, skip

    def replace(h: Tensor, skip: Tensor, options: Any) -> tuple[Tensor, Tensor]:
        return (seen[0] if options["block"][1] == edge else h), skip

    features = DeepFeatures(depth)
    with torch.no_grad():
        complete = NETWORK(first, torch.tensor([500.0]), text, transformer_options={OPTION: features})
        noted = {"patches": {"output_block_patch": [note]}}
        assert torch.equal(NETWORK(first, torch.tensor([500.0]), text, transformer_options=noted), complete)
        replaced = {"patches": {"output_block_patch": [replace]}}
        expected = NETWORK(second, torch.tensor([400.0]), text, transformer_options=replaced)
        found = NETWORK(second, torch.tensor([400.0]), text, transformer_options={OPTION: features})
    assert torch.equal(found, expected)
    assert not torch.equal(found, complete)


@pytest.mark.parametrize("interval", [2, 3, 5])
def test_deep_cache_computes_everything_at_every_interval_th_step(interval: int, model: Model) -> None:
    complete: list[bool] = []

    def note(proceed: Callable[[RawCall], Tensor], call: RawCall) -> Tensor:
        complete.append(call.options[OPTION].kept is None)
        return proceed(call)

    changed = nodes.deep_cache(model=model, cache_interval=interval)
    picture(with_changes(changed, around_network=(*changed.changes.around_network, note)))
    assert complete == [step % interval == 0 for step in range(STEPS)]


def test_deep_cache_names_the_depths_that_the_network_has(model: Model) -> None:
    with pytest.raises(nodes.CacheDepthError, match="cache_depth is 4; this U-Net has blocks for a depth of 1 to 3"):
        nodes.deep_cache(model=model, cache_depth=4)


def test_patches_that_change_features_in_place_do_not_reach_kept_ones(model: Model) -> None:
    def double(h: Tensor, skip: Tensor, options: Any) -> tuple[Tensor, Tensor]:
        if options["block"][1] == 3:
            h *= 2
        return h, skip

    def doubled(h: Tensor, skip: Tensor, options: Any) -> tuple[Tensor, Tensor]:
        return (h * 2 if options["block"][1] == 3 else h), skip

    pictures = [
        picture(
            nodes.deep_cache(model=with_inside(model, lambda inside, f=f: inside.with_patch("output_block_patch", f)))
        )
        for f in (double, doubled)
    ]
    assert torch.equal(*pictures)


# -- guidance in a part of the run -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class PartlyGuided(CfgGuider):
    """Guidance whose scale is 1 where ``is_unguided`` says so: the reference."""

    is_unguided: Callable[[Step], bool] = lambda step: False

    def predict(self, step: Step) -> Tensor:
        scale = 1.0 if self.is_unguided(step) else self.scale
        return CfgGuider(self.positive, self.negative, scale).predict(step)


def with_guider(model: Model, guider: Any, sampler: str = "euler") -> Tensor:
    noise = initial_noise((1, 4, 16, 16), 3)
    return sample_guided(
        model, guider, noise, SIGMAS, sampler=SAMPLERS[sampler], latent=torch.zeros(1, 4, 16, 16), seed=3
    )


def test_a_guidance_interval_is_guidance_with_a_scale_of_1_elsewhere(model: Model) -> None:
    levels = model.sampling.levels()
    start, end = levels.sigma_at(0.3), levels.sigma_at(0.7)
    expected = with_guider(
        model, PartlyGuided(prompt(1), prompt(2), SCALE, lambda step: not end <= step.level <= start)
    )
    changed, calls = counted(CHANGES["GuidanceInterval"](model))
    torch.testing.assert_close(picture(changed), expected, rtol=1e-5, atol=1e-5)
    inside = sum(end <= sigma <= start for sigma in SIGMAS.tolist()[:-1])
    assert sorted(calls) == [1] * (STEPS - inside) + [2] * inside


def test_adaptive_guidance_ends_when_the_predictions_agree(model: Model) -> None:
    state = {"agree": False}
    sides = [denoiser_of(model, BasicGuider(prompt(number))) for number in (1, 2)]

    def is_unguided(step: Step) -> bool:
        ended = state["agree"]
        positive, negative = (side(step.x, step.level) for side in sides)
        state["agree"] = ended or float((positive - negative).norm() / positive.norm()) < 0.5
        return ended

    expected = with_guider(model, PartlyGuided(prompt(1), prompt(2), SCALE, is_unguided))
    assert state["agree"]
    changed, calls = counted(CHANGES["AdaptiveGuidance"](model))
    torch.testing.assert_close(picture(changed), expected, rtol=1e-5, atol=1e-5)
    assert calls == sorted(calls, reverse=True) and {1, 2} == set(calls)


@pytest.mark.parametrize("style", ["dual", "nested", "perpendicular", "rescaled"])
def test_outside_the_interval_every_guider_gives_the_positive_prediction(style: str, model: Model) -> None:
    nowhere = nodes.guidance_interval(model=model, start_percent=0.5, end_percent=0.5)
    sides = prompt(1), prompt(2), prompt(3)
    guiders = {
        "dual": DualCfgGuider(*sides, 4.0, 2.0),
        "nested": DualCfgGuider(*sides, 4.0, 2.0, "nested"),
        "perpendicular": PerpNegGuider(*sides, 4.0),
        "rescaled": CfgGuider(*sides[:2], 4.0),
    }
    if style == "rescaled":
        nowhere = guidance_nodes.rescale_cfg(model=nowhere, multiplier=0.7)
    found = with_guider(nowhere, guiders[style])
    torch.testing.assert_close(found, with_guider(model, BasicGuider(prompt(1))), rtol=1e-4, atol=1e-4)


# -- together with other things ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("sampler", ["heun", "euler_cfg_pp", "dpm_adaptive"])
def test_every_sampler_runs_with_them(name: str, sampler: str, model: Model) -> None:
    assert picture(CHANGES[name](model), sampler).isfinite().all()


@pytest.mark.parametrize("name", ["EasyCache", "LazyCache", "DeepCache"])
def test_areas_keep_their_own_results(name: str, model: Model) -> None:
    """With two areas of different sizes, each step has two calls. With a strength of 0 the second has no effect."""
    area = prompt(3, area=(8, 16, 0, 0), strength=1.0)
    changed, calls = counted(CHANGES[name](model))
    both = picture(changed, positive=[*prompt(1), *area])
    assert both.isfinite().all()
    assert len(calls) % 2 == 0
    unseen = prompt(3, area=(8, 16, 0, 0), strength=0.0)
    alone = picture(CHANGES[name](model))
    torch.testing.assert_close(
        picture(CHANGES[name](model), positive=[*prompt(1), *unseen]), alone, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", CHANGES)
def test_a_control_network_still_steers(name: str, model: Model, tmp_path: Path) -> None:
    control: Any = small_control(tmp_path, gain=0.7)
    steered = controlnet_apply(conditioning=prompt(1), control_net=control, image=hint(), strength=1.0)
    changed = CHANGES[name](model)
    with_control = picture(changed, positive=steered)
    assert with_control.isfinite().all()
    assert (with_control - picture(changed)).abs().max() > 1e-3


@pytest.mark.parametrize("name", CHANGES)
def test_other_changes_of_the_model_apply_too(name: str, model: Model) -> None:
    changed = CHANGES[name](model)
    both = guidance_nodes.perturbed_attention_guidance(model=network_nodes.tome_patch_model(model=changed))
    found = picture(both)
    assert found.isfinite().all()
    assert not torch.equal(found, picture(changed))


def test_easy_cache_keeps_the_calls_of_other_functions_apart(model: Model) -> None:
    """Perturbed-attention guidance asks the network for the positive side once more in each prediction."""
    changed, calls = counted(CHANGES["EasyCache"](guidance_nodes.perturbed_attention_guidance(model=model)))
    picture(changed)
    assert len(calls) % 2 == 0 and calls == [2, 1] * (len(calls) // 2)


def test_a_model_without_a_run_is_sampled_as_before(model: Model) -> None:
    """Predictions outside of a run, as explain cards make them, keep no state from earlier ones."""
    x = torch.randn(1, 4, 16, 16)
    plain = denoiser_of(model, CfgGuider(prompt(1), prompt(2), SCALE))(x, 3.0)
    for change in ("EasyCache", "LazyCache", "DeepCache"):
        assert torch.equal(denoiser_of(CHANGES[change](model), CfgGuider(prompt(1), prompt(2), SCALE))(x, 3.0), plain)
