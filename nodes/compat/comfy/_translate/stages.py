"""Adapts packs' functions to Sumi's stages, and Sumi's functions to packs.

Each class adapts one of ComfyUI's places for functions: its object is called with the record of the stage
(:mod:`nodes.models.changes`), calls the pack's function ``original`` as ComfyUI does, and translates its result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nodes.compat.comfy._k_sampler import TRANSLATION, guider_of
from nodes.models.changes import GuidanceStep, MaskStep, NetworkCall, Step
from nodes.sampling.prediction import per_item

Proceed = Callable[[Any], Any]


def translation_of(record: Any) -> Any:
    """Return the translation of the run that a record belongs to."""
    return record.predictor.kept[TRANSLATION]


@dataclass(frozen=True, eq=False)
class PackFunction:
    """A function of a node pack."""

    original: Any

    def to(self, device: Any) -> PackFunction:
        """A copy with the pack's function on ``device``, if it can be moved."""
        if not hasattr(self.original, "to") or isinstance(self.original, Tensor):
            return self
        return dataclasses.replace(self, original=self.original.to(device))


class Internal:
    """Base of functions that the compatibility layer adds for a run itself; packs do not see them."""


# -- guidance ----------------------------------------------------------------------------------------------------


class AfterGuidance(PackFunction):
    """``sampler_post_cfg_function``"""

    def __call__(self, step: GuidanceStep) -> Tensor:
        guided: Tensor = self.original({**_common(step), **_sides(step), "denoised": step.guided})
        return guided


class Guidance(PackFunction):
    """``sampler_cfg_function``, which combines the predicted noises, x - denoised."""

    def __call__(self, step: GuidanceStep) -> Tensor:
        common, sides = _common(step), _sides(step)
        noises = {
            "cond": step.x - step.conditional,
            "uncond": step.x - step.unconditional,
            "timestep": common["sigma"],
            "input_cond": sides["cond"],
            "input_uncond": sides["uncond"],
        }
        guided: Tensor = step.x - self.original({**common, **noises})
        return guided


class BeforeGuidance(PackFunction):
    """``sampler_pre_cfg_function``"""

    def __call__(self, step: GuidanceStep) -> Mapping[str, Tensor]:
        common, sides = _common(step), _sides(step)
        changed = self.original(
            {
                "conds": [sides["cond"], sides["uncond"]],
                "conds_out": [step.conditional, step.unconditional],
                "cond_scale": step.scale,
                "timestep": common["sigma"],
                "input": step.x,
                "sigma": common["sigma"],
                "model": common["model"],
                "model_options": common["model_options"],
            }
        )
        made = dict(zip((step.toward, step.away), changed, strict=False))
        return {name: made.get(name, prediction) for name, prediction in step.predictions.items()}


class Sides(PackFunction):
    """``sampler_calc_cond_batch_function``, which predicts the sides itself."""

    def __call__(self, proceed: Proceed, step: Step) -> Mapping[str, Tensor]:
        translation = translation_of(step)
        sides = [translation.dicts(conditions, step.x) for conditions in step.conditions.values()]
        predicted = self.original(
            {
                "conds": [*sides, None] if len(sides) == 1 else sides,
                "input": step.x,
                "sigma": per_item(step.sigma, step.x),
                "model": translation.model,
                "model_options": translation.options(step.changes),
            }
        )
        return dict(zip(step.conditions, predicted, strict=False))


def _common(step: GuidanceStep) -> dict[str, Any]:
    translation = translation_of(step)
    return {
        "cond_scale": step.scale,
        "sigma": per_item(step.sigma, step.x),
        "input": step.x,
        "model": translation.model,
        "model_options": translation.options(step.changes),
        "cond_denoised": step.conditional,
        "uncond_denoised": step.unconditional,
    }


def _sides(step: GuidanceStep) -> dict[str, Any]:
    dicts = translation_of(step).dicts
    away = step.conditions.get(step.away) if step.away in step.predictions else None
    return {"cond": dicts(step.conditions.get(step.toward), step.x), "uncond": dicts(away, step.x)}


# -- the network -------------------------------------------------------------------------------------------------


class NetworkFunction(PackFunction):
    """``model_function_wrapper``: ``f(apply_model, {"input", "timestep", "c", "cond_or_uncond"})``."""

    def __call__(self, proceed: Proceed, call: NetworkCall) -> Tensor:
        translation = translation_of(call)
        given = {
            "input": call.x,
            "timestep": per_item(call.sigma, call.x),
            "c": translation.arguments(call),
            "cond_or_uncond": list(call.sides),
        }
        denoised: Tensor = self.original(translation.model.apply_model, given)
        return denoised


class MaskFunction(PackFunction):
    """``denoise_mask_function``"""

    def __call__(self, step: MaskStep) -> Tensor:
        more = {"model": guider_of(step.denoiser), "sigmas": step.sigmas}
        mask: Tensor = self.original(per_item(step.sigma, step.mask), step.mask, extra_options=more)
        return mask


def sigma_of(timestep: Tensor) -> float | tuple[float, ...]:
    """Noise levels [B] as one number where they are the same, else one for each item."""
    levels = timestep.flatten().tolist()
    return levels[0] if levels.count(levels[0]) == len(levels) else tuple(levels)
