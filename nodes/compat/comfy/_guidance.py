"""The functions of ``comfy.samplers`` that predict and guide, as packs call them: on the current run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from nodes.compat.comfy import model_management
from nodes.compat.comfy._translate.conditions import Cond
from nodes.models.changes import GuidanceStep
from nodes.sampling.conditions import resolve_sides
from nodes.sampling.guidance import classifier_free_step, joined


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
    """Prepare sides, by name, for a run with latents like ``noise``. Raises ConditionError."""
    translation = model.translation
    given = {name: entries_of(side) for name, side in conds.items() if side is not None}
    latent = noise if latent_image is None else latent_image
    native, levels = translation.predictor.model, translation.predictor.levels
    sigmas = translation.predictor.sigmas
    steps = () if sigmas is None else sigmas.tolist()
    sides = resolve_sides(given, latent, native, levels, seed or 0, denoise_mask, steps)
    return {name: translation.dicts(sides.get(name), noise) for name in conds}


def entries_of(side: Sequence[Cond]) -> list[list[Any]]:
    """Return dicts of conditions as the entries of a CONDITIONING."""
    return [[cond["cross_attn"] if "cross_attn" in cond else _own_text(cond), cond] for cond in side]


def calc_cond_batch(
    model: Any, conds: Sequence[Sequence[Cond] | None], x_in: Tensor, timestep: Tensor, model_options: Mapping[str, Any]
) -> list[Tensor]:
    """Return the denoised latent of each side at the noise levels ``timestep`` [B]; zeros for a side that is None."""
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
    """Guide two predictions, with the functions of ``model_options`` if there are any."""
    step = model.translation.step({"positive": cond, "negative": uncond}, x, timestep, model_options)
    return joined(GuidanceStep.of(step, {"positive": cond_pred, "negative": uncond_pred}, cond_scale))


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
    """Predict both sides and guide. At a scale of 1 the negative side is zeros, unless it is asked for."""
    step = model.translation.step({"positive": cond, "negative": uncond}, x, timestep, model_options)
    return classifier_free_step(step, cond_scale)


def _own_text(cond: Cond) -> Tensor:
    text: Tensor = cond["model_conds"]["c_crossattn"].cond
    return text
