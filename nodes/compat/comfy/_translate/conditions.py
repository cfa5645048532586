"""Converts conditions to the dicts that packs use, and back.

``model_conds`` are the inputs of the network (:mod:`comfy.conds`). ``area`` (height, width, top, left), ``mask``
[B, h, w] and ``strength`` say where and how strongly the condition applies, ``timestep_start`` and ``timestep_end``
between which noise levels; ``control`` is its control network.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from nodes.compat.comfy import conds
from nodes.compat.comfy._translate.controls import SeenControl
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.areas import extent_of
from nodes.sampling.condition_inputs import Batched, ConditionInput, Constant, Several, Spatial, Steered, Text
from nodes.sampling.conditions import EVERY_LEVEL, NAMES, Condition

Cond = dict[str, Any]

THEIR_NAMES: Final = {ours: theirs for theirs, ours in NAMES.items()}
_RESOLVED: Final = ("area", "mask", "set_area_to_bounds", "start_percent", "end_percent", "control")


class ConditionDict(dict[str, Any]):
    """A condition's dict, which keeps the condition that it was made from until the dict is changed."""

    def __init__(self, condition: Condition, latent: Tensor, levels: NoiseLevels):
        super().__init__(_facts(condition, latent, levels))
        self._condition = condition
        self._signature = _signature(self)

    @property
    def condition(self) -> Condition | None:
        """Return the condition, or None if the dict was changed."""
        return self._condition if _signature(self) == self._signature else None


def dict_of(condition: Condition, latent: Tensor, levels: NoiseLevels) -> ConditionDict:
    """Return the dict of a condition, with the other data of its entry. ``levels`` are the model's."""
    return ConditionDict(condition, latent, levels)


def condition_of(cond: Mapping[str, Any], x: Tensor) -> Condition:
    """Return the condition that a dict describes for latents like ``x`` [B, C, h, w]. Raises ConditionError."""
    if isinstance(cond, ConditionDict) and (known := cond.condition) is not None:
        return known
    extent = extent_of(cond, x)
    inputs: dict[str, ConditionInput] = {
        NAMES.get(name, name): value for name, value in cond.get("model_conds", {}).items()
    }
    if cond.get("control") is not None:
        control = cond["control"]
        inputs["control"] = Steered(control.running if isinstance(control, SeenControl) else control)
    start, end = cond.get("timestep_start"), cond.get("timestep_end")
    return Condition(
        inputs=inputs,
        area=extent.area,
        weight=extent.weight(cond, x),
        explicit_area=extent.explicit,
        sigma_start=float("inf") if start is None else float(start),
        sigma_end=0.0 if end is None else float(end),
        sigma_ranges=cond.get("sigma_ranges", EVERY_LEVEL),
        options=cond,
        uuid=cond.get("uuid") or uuid.uuid4(),
    )


def signature_of(cond: Mapping[str, Any]) -> Any:
    """A signature of a dict: equal as long as it holds the same objects."""
    return _signature(cond)


def pack_input(value: Any) -> Any:
    """An input of a condition in the form that packs know."""
    if isinstance(value, conds.CONDRegular):
        return value
    forms: Mapping[type, type] = {
        Text: conds.CONDCrossAttn,
        Spatial: conds.CONDNoiseShape,
        Batched: conds.CONDRegular,
        Several: conds.CONDList,
        Constant: conds.CONDConstant,
    }
    form = next((forms[kind] for kind in type(value).__mro__ if kind in forms), None)
    return value if form is None else form(value.value)


def _facts(condition: Condition, latent: Tensor, levels: NoiseLevels) -> Cond:
    options = condition.options
    facts: Cond = {name: value for name, value in options.items() if name not in _RESOLVED}
    extent = extent_of(options, latent)
    if extent.explicit:
        facts["area"] = tuple(extent.area)
    if extent.mask is not None:
        facts["mask"] = extent.mask
    if condition.sigma_start != float("inf") or "start_percent" in options:
        facts["timestep_start"] = condition.sigma_start
    if condition.sigma_end > 0 or "end_percent" in options:
        facts["timestep_end"] = condition.sigma_end
    if condition.sigma_ranges != EVERY_LEVEL:
        facts["sigma_ranges"] = condition.sigma_ranges
    inputs = {name: value for name, value in condition.inputs.items() if name != "control"}
    facts["model_conds"] = {THEIR_NAMES.get(name, name): pack_input(value) for name, value in inputs.items()}
    if "text" in inputs:
        facts["cross_attn"] = inputs["text"].value
    if "control" in condition.inputs:
        area = condition.area if condition.explicit_area else None
        facts["control"] = SeenControl(condition.inputs["control"].value, levels, area)
    facts["uuid"] = condition.uuid
    return facts


def _signature(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple((name, _signature(item)) for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(map(_signature, value))
    return value if isinstance(value, (bool, int, float, str)) else id(value)
