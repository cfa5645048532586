"""The functions of ``comfy.samplers`` that batch conditions, for packs that call the network themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from nodes.batches import repeat_to
from nodes.compat.comfy._translate.conditions import condition_of


class cond_obj(NamedTuple):
    """A condition for one call: the latents and weights [B, C, h, w] of its area, and the network's inputs by name."""

    input_x: Tensor
    mult: Tensor
    conditioning: dict[str, Any]
    area: tuple[int, ...]
    control: Any
    patches: Any
    uuid: Any
    hooks: Any = None


def get_area_and_mult(conds: Mapping[str, Any], x_in: Tensor, timestep_in: Tensor) -> cond_obj | None:
    """Return the condition for latents ``x_in`` [B, C, h, w], or None if it is unused at the levels ``timestep_in``.

    ``area`` is (height, width, top, left). Raises ConditionError for an area outside the latents.
    """
    condition = condition_of(conds, x_in)
    if not condition.is_active(float(timestep_in[0])):
        return None
    area, batch = tuple(condition.area), x_in.shape[0]
    cropped = area if condition.explicit_area else None
    inputs = {
        name: cond.process_cond(batch_size=batch, device=x_in.device, area=cropped)
        for name, cond in conds.get("model_conds", {}).items()
    }
    x = condition.area.crop(x_in)
    weights = repeat_to(condition.weight, batch).expand_as(x)
    control, hooks = conds.get("control"), conds.get("hooks")
    return cond_obj(x, weights, inputs, area, control, None, condition.uuid, hooks)


def cond_equal_size(c1: Mapping[str, Any], c2: Mapping[str, Any]) -> bool:
    """Return whether the inputs of two conditions can be joined."""
    return c1.keys() == c2.keys() and all(c1[name].can_concat(c2[name]) for name in c1)


def can_concat_cond(c1: cond_obj, c2: cond_obj) -> bool:
    """Return whether two conditions can go through the network together."""
    return (
        c1.input_x.shape == c2.input_x.shape
        and c1.control is c2.control
        and c1.patches is c2.patches
        and cond_equal_size(c1.conditioning, c2.conditioning)
    )


def cond_cat(c_list: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Join the inputs of several conditions, each a dict, to one batch."""
    first, *others = c_list
    return {name: cond.concat([other[name] for other in others]) for name, cond in first.items()}
