"""Conditions, the network's predictions for them, and guidance, in the form in which packs see and change them.

A side of guidance is a list of dicts. ``model_conds`` is what the network is told (:mod:`comfy.conds`), ``area``
(height, width, top, left) and ``mask`` [B, h, w] where it counts and ``strength`` how much, ``timestep_start`` and
``timestep_end`` the noise levels between which it does; ``control`` steers it. Numbers are those of
:mod:`nodes.sampling.guidance`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nodes.compat.comfy import model_management
from nodes.compat.comfy.conds import CONDCrossAttn, CONDRegular
from nodes.compat.comfy.model_sampling import ObjectLevels
from nodes.compat.comfy.patcher_extension import WrapperExecutor, WrappersMP, get_all_wrappers
from nodes.sampling.conditions import Condition, place_of, repeat_to_batch, resolve, share_control, with_partners
from nodes.sampling.vector_conditioning import vector

Cond = dict[str, Any]


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
    levels = ObjectLevels(model.model_sampling)
    sides = {
        name: resolve(
            [[_text(cond), cond] for cond in side],
            noise,
            levels,
            partial(vector, model._handle, negative=name == "negative"),
        )
        for name, side in conds.items()
        if side is not None
    }
    for name, side in sides.items():
        for other in [opposite for key, opposite in sides.items() if key != name]:
            side = with_partners(side, other)
        sides[name] = side
    positive, negative = sides.get("positive"), sides.get("negative")
    if positive and negative and any(c.options.get("control_apply_to_uncond") for c in positive):
        sides["negative"] = share_control(positive, negative)
    found: dict[str, Any] = {name: [_as_dict(c, noise) for c in side] for name, side in sides.items()}
    return {name: found.get(name) for name in conds}


def calc_cond_batch(
    model: Any, conds: Sequence[Sequence[Cond] | None], x_in: Tensor, timestep: Tensor, model_options: Mapping[str, Any]
) -> list[Tensor]:
    """The denoised latent of each side at the noise levels ``timestep`` [B]; zeros for a side that is None."""
    wrappers = get_all_wrappers(WrappersMP.CALC_COND_BATCH, model_options, is_model_options=True)
    executor = WrapperExecutor.new_executor(_calc_cond_batch, wrappers)
    predicted: list[Tensor] = executor.execute(model, conds, x_in, timestep, model_options)
    return predicted


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
    options = model_options or {}
    common = {
        "cond_scale": cond_scale,
        "sigma": timestep,
        "input": x,
        "model": model,
        "model_options": options,
        "cond_denoised": cond_pred,
        "uncond_denoised": uncond_pred,
    }
    if "sampler_cfg_function" in options:
        noises = {"cond": x - cond_pred, "uncond": x - uncond_pred, "timestep": timestep}
        guided = x - options["sampler_cfg_function"]({**common, **noises, "input_cond": cond, "input_uncond": uncond})
    else:
        guided = uncond_pred + (cond_pred - uncond_pred) * cond_scale
    for function in options.get("sampler_post_cfg_function", ()):
        guided = function({**common, "denoised": guided, "cond": cond, "uncond": uncond})
    found: Tensor = guided
    return found


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
    options = model_options or {}
    alone = math.isclose(cond_scale, 1.0) and not options.get("disable_cfg1_optimization", False)
    conds = [cond, None if alone else uncond]
    if "sampler_calc_cond_batch_function" in options:
        predicted = options["sampler_calc_cond_batch_function"](
            {"conds": conds, "input": x, "sigma": timestep, "model": model, "model_options": options}
        )
    else:
        predicted = calc_cond_batch(model, conds, x, timestep, options)
    for function in options.get("sampler_pre_cfg_function", ()):
        predicted = function(
            {
                "conds": conds,
                "conds_out": predicted,
                "cond_scale": cond_scale,
                "timestep": timestep,
                "input": x,
                "sigma": timestep,
                "model": model,
                "model_options": options,
            }
        )
    return cfg_function(model, predicted[0], predicted[1], cond_scale, x, timestep, options, cond, conds[1])


@dataclasses.dataclass(frozen=True, eq=False)
class _Part:
    """One condition of one side, cut to its area."""

    side: int
    cond: Cond
    told: Mapping[str, Any]
    area: Any
    weight: Tensor

    def fits(self, other: _Part) -> bool:
        """Whether both can go through the network together."""
        return (
            (self.area.height, self.area.width) == (other.area.height, other.area.width)
            and self.cond.get("control") is other.cond.get("control")
            and self.told.keys() == other.told.keys()
            and all(self.told[name].can_concat(other.told[name]) for name in self.told)
        )


def _calc_cond_batch(
    model: Any, conds: Sequence[Sequence[Cond] | None], x_in: Tensor, timestep: Tensor, model_options: Mapping[str, Any]
) -> list[Tensor]:
    model_management.throw_exception_if_processing_interrupted()
    sigma = float(timestep[0])
    parts = [
        _part(index, cond, x_in) for index, side in enumerate(conds) for cond in side or () if _is_active(cond, sigma)
    ]
    sums = [torch.zeros_like(x_in) for _ in conds]
    # A pixel that no condition covers is 0 rather than NaN.
    totals = [torch.full_like(x_in[:, :1], 1e-37) for _ in conds]
    for batch in _batches(parts):
        for part, denoised in zip(batch, _denoised(model, batch, x_in, timestep, model_options), strict=True):
            part.area.crop(sums[part.side]).add_(denoised * part.weight)
            part.area.crop(totals[part.side]).add_(part.weight)
    return [total / weights for total, weights in zip(sums, totals, strict=True)]


def _denoised(
    model: Any, batch: Sequence[_Part], x: Tensor, timestep: Tensor, model_options: Mapping[str, Any]
) -> Sequence[Tensor]:
    """Each part's prediction for its area, from one call of the network."""
    noisy = torch.cat([part.area.crop(x) for part in batch])
    levels = timestep.repeat(len(batch))
    told = {
        name: _there(cond.concat([part.told[name] for part in batch[1:]]), x) for name, cond in batch[0].told.items()
    }
    cond_or_uncond = [part.side for part in batch]
    told["transformer_options"] = {
        **model_options.get("transformer_options", {}),
        "cond_or_uncond": cond_or_uncond,
        "uuids": [part.cond.get("uuid") for part in batch],
        "sigmas": timestep,
    }
    control = batch[0].cond.get("control")
    if control is not None:
        told["control"] = control.residuals(
            model.model_sampling.calculate_input(levels, noisy),
            model.model_sampling.timestep(levels).float(),
            told.get("c_crossattn"),
            told.get("y"),
            sigma=float(timestep[0]),
            levels=ObjectLevels(model.model_sampling),
        )
    wrapper = model_options.get("model_function_wrapper")
    if wrapper is None:
        output = model.apply_model(noisy, levels, **told)
    else:
        given = {"input": noisy, "timestep": levels, "c": told, "cond_or_uncond": cond_or_uncond}
        output = wrapper(model.apply_model, given)
    predictions: Sequence[Tensor] = output.chunk(len(batch))
    return predictions


def _there(told: Any, x: Tensor) -> Any:
    """A pack's own tensors may be on the CPU."""
    return told.to(x.device) if isinstance(told, Tensor) else told


def _part(side: int, cond: Cond, x: Tensor) -> _Part:
    place = place_of(cond, x)
    told = {
        name: value.process_cond(batch_size=x.shape[0], area=place.area)
        for name, value in cond.get("model_conds", {}).items()
    }
    return _Part(side, cond, told, place.area, repeat_to_batch(place.weight(cond, x), x.shape[0]))


def _batches(parts: Sequence[_Part]) -> Iterator[list[_Part]]:
    """Parts that go through the network together: the last side first, as packs that halve a batch expect."""
    waiting = list(parts)
    while waiting:
        group = [part for part in waiting if part.fits(waiting[0])]
        yield group[::-1]
        waiting = [part for part in waiting if part not in group]


def _is_active(cond: Cond, sigma: float) -> bool:
    start, end = cond.get("timestep_start"), cond.get("timestep_end")
    return (start is None or sigma <= start) and (end is None or sigma >= end)


def _text(cond: Cond) -> Tensor:
    if "cross_attn" in cond:
        text: Tensor = cond["cross_attn"]
        return text
    told: Tensor = cond["model_conds"]["c_crossattn"].cond
    return told


def _as_dict(condition: Condition, latent: Tensor) -> Cond:
    """A resolved condition, with all else that its entry says."""
    said: Cond = dict(condition.options)
    place = place_of(said, latent)
    for resolved in ("area", "mask", "set_area_to_bounds", "start_percent", "end_percent"):
        said.pop(resolved, None)
    if place.explicit:
        said["area"] = tuple(place.area)
    if place.mask is not None:
        said["mask"] = place.mask
    if "start_percent" in condition.options:
        said["timestep_start"] = condition.sigma_start
    if "end_percent" in condition.options:
        said["timestep_end"] = condition.sigma_end
    told: dict[str, Any] = {"c_crossattn": CONDCrossAttn(condition.embedding)}
    if condition.y is not None:
        told["y"] = CONDRegular(condition.y)
    given = said.get("model_conds", {})
    if condition.is_partner:
        # Its text is another's; all that was said with it is not.
        given = {name: value for name, value in given.items() if name not in ("c_crossattn", "y")}
    said["model_conds"] = {**told, **given}
    said["cross_attn"] = condition.embedding
    said.pop("control", None)
    if condition.control is not None:
        said["control"] = condition.control
    return said
