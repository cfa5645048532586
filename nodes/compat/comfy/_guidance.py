"""The functions of ``comfy.samplers`` that predict and guide, as packs call them: on the current run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from nodes.compat.comfy import model_management
from nodes.compat.comfy._translate.conditions import Cond
from nodes.models.changes import GuidanceStep
from nodes.sampling.conditions import resolve_sides
from nodes.sampling.guidance import after_guidance, classifier_free, classifier_free_step


def process_conds(
    model: Any,
    noise: Tensor,
    conds: Mapping[str, Sequence[Cond] | None],
    device: Any = None,
    latent_image: Tensor | None = None,
    denoise_mask: Tensor | None = None,
    seed: int | None = None,
    **_: Any,
) -> dict[str, Any]:
    """Sides, by name, made ready for a run with latents like ``noise``. Raises ConditionError."""
    translation = model.translation
    given = {name: entries_of(side) for name, side in conds.items() if side is not None}
    sides = resolve_sides(given, noise, translation.predictor.model, translation.predictor.levels)
    return {name: translation.dicts(sides.get(name), noise) for name in conds}


def entries_of(side: Sequence[Cond]) -> list[list[Any]]:
    """Dicts of conditions as the entries of a CONDITIONING."""
    return [[cond["cross_attn"] if "cross_attn" in cond else _own_text(cond), cond] for cond in side]


def calc_cond_batch(
    model: Any, conds: Sequence[Sequence[Cond] | None], x_in: Tensor, timestep: Tensor, model_options: Mapping[str, Any]
) -> list[Tensor]:
    """The denoised latent of each side at the noise levels ``timestep`` [B]; zeros for a side that is None."""
    model_management.throw_exception_if_processing_interrupted()
    names = ("positive", "negative") if len(conds) == 2 else tuple(map(str, range(len(conds))))
    step = model.translation.step(dict(zip(names, conds, strict=True)), x_in, timestep, model_options)
    return list(step.predict().values())


def cfg_function(
    model: Any,
    cond_pred: Tensor,
    uncond_pred: Tensor,
    cond_scale: float,
    x: Tensor,
    timestep: Tensor,
    model_options: Mapping[str, Any] | None = None,
    cond: Any = None,
    uncond: Any = None,
) -> Tensor:
    """Two predictions guided, by the functions of ``model_options`` where there are any."""
    step = model.translation.step({"positive": cond, "negative": uncond}, x, timestep, model_options)
    predictions = {"positive": cond_pred, "negative": uncond_pred}
    at = GuidanceStep(
        step.x, step.sigma, step.conditions, step.predictor, step.changes, step.denoiser, predictions, cond_scale
    )
    return after_guidance(at, (step.changes.guidance or classifier_free)(at))


def sampling_function(
    model: Any,
    x: Tensor,
    timestep: Tensor,
    uncond: Any,
    cond: Any,
    cond_scale: float,
    model_options: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Tensor:
    """Both sides predicted and guided. At a scale of 1 the negative one is zeros, unless it is asked for."""
    step = model.translation.step({"positive": cond, "negative": uncond}, x, timestep, model_options)
    return classifier_free_step(step, cond_scale)


def _own_text(cond: Cond) -> Tensor:
    text: Tensor = cond["model_conds"]["c_crossattn"].cond
    return text
