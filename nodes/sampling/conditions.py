"""A prompt made ready for one run: its inputs, where in the picture it counts, when, and how strongly."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from torch import Tensor

from nodes.models.changes import ConditionEntry
from nodes.models.handle import Model
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.areas import Area, ConditionError, extent_of
from nodes.sampling.condition_inputs import Batched, ConditionInput, Constant, Text
from nodes.sampling.vector_conditioning import vector
from nodes.types import Conditioning

NAMES: Final = {"c_crossattn": "text", "y": "vector", "c_concat": "concat"}
"""Names of inputs in an entry's ``model_conds``, as ComfyUI's CONDITIONING has them, and Sumi's for the same."""

VectorFor = Callable[[Mapping[str, Any], int, int], Tensor | None]
"""The vector of a conditioning entry's options, for a latent of that height and width."""


@dataclass(frozen=True, eq=False)
class Condition:
    """One prompt of one side, ready for the network.

    ``inputs`` are on the run's device. ``weight`` [1 or B, 1, height, width] is how much its prediction counts, per
    latent pixel of its area. It is used while ``sigma_end <= sigma <= sigma_start``.
    """

    inputs: Mapping[str, ConditionInput]
    area: Area
    weight: Tensor
    explicit_area: bool = False
    """False: the whole picture, by default."""
    sigma_start: float = float("inf")
    sigma_end: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)
    """The options of the CONDITIONING's entry."""
    uuid: uuid.UUID = field(default_factory=uuid.uuid4)
    """Identifies the entry for functions that keep state for each entry."""

    def is_active(self, sigma: float) -> bool:
        return self.sigma_end <= sigma <= self.sigma_start

    def with_inputs(self, **inputs: ConditionInput | None) -> Condition:
        """A copy of the condition with these inputs replaced; None removes one."""
        changed = {name: value for name, value in {**self.inputs, **inputs}.items() if value is not None}
        return dataclasses.replace(self, inputs=changed)


def resolve(
    conditioning: Conditioning,
    latent: Tensor,
    levels: NoiseLevels,
    vector: VectorFor | None = None,
) -> list[Condition]:
    """The entries of a CONDITIONING as conditions for latents like ``latent`` [B, C, h, w].

    ``vector`` makes the network's ``y``; None if it takes none. Raises ConditionError.
    """
    return [_resolve_one(embedding, options, latent, levels, vector) for embedding, options in conditioning]


def resolve_sides(
    sides: Mapping[str, Conditioning], latent: Tensor, model: Model, levels: NoiseLevels
) -> dict[str, list[Condition]]:
    """All sides of a run, by name, for latents like ``latent`` [B, C, h, w]; ``levels`` are the model's.

    Every area of a side gets a partner on each other side (:func:`with_partners`), the negative side is steered like
    the positive one where the CONDITIONING says so, and the model's changes of inputs are applied.
    Raises ConditionError.
    """
    found = {
        name: resolve(side, latent, levels, partial(vector, model, negative=name == "negative"))
        for name, side in sides.items()
    }
    for name in reversed(found):
        for other in found:
            if other != name:
                found[name] = with_partners(found[name], found[other])
    positive = found.get("positive", ())
    if "negative" in found and any(c.options.get("control_apply_to_uncond") for c in positive):
        found["negative"] = share_control(positive, found["negative"])
    for change in model.changes.inputs:
        for name, side in found.items():
            found[name] = [
                dataclasses.replace(c, inputs=change(c.inputs, ConditionEntry(name, c.options, latent, model, levels)))
                for c in side
            ]
    return found


def with_partners(conditions: Sequence[Condition], opposite: Sequence[Condition]) -> list[Condition]:
    """``conditions`` and a partner for every area of ``opposite`` that has none of the same area.

    The partner takes its text and vector from the smallest condition that encloses the area, all else from
    the opposite: guidance compares two predictions of the same crop.
    """
    partners: list[Condition] = []
    for other in opposite:
        if not other.explicit_area:
            continue
        enclosing = [c for c in (*conditions, *partners) if not c.explicit_area or c.area.encloses(other.area)]
        if not enclosing:
            continue
        smallest = min(enclosing, key=lambda c: (not c.explicit_area, c.area.size))
        if not (smallest.explicit_area and smallest.area == other.area):
            theirs = {name: smallest.inputs.get(name) for name in ("text", "vector")}
            partners.append(dataclasses.replace(other.with_inputs(**theirs), uuid=uuid.uuid4()))
    return [*conditions, *partners]


def share_control(positive: Sequence[Condition], negative: Sequence[Condition]) -> list[Condition]:
    """``negative``, steered like ``positive`` where nothing else steers it.

    Only conditions of the whole picture take part: the controls of positive ones go round to
    the negative ones.
    """
    controls = [c.inputs["control"] for c in positive if not c.explicit_area and "control" in c.inputs]
    whole = [c for c in negative if not c.explicit_area]
    if not controls or not whole or any("control" in c.inputs for c in whole):
        return list(negative)
    given = {id(c): controls[i % len(controls)] for i, c in enumerate(whole)}
    return [c.with_inputs(control=given[id(c)]) if id(c) in given else c for c in negative]


def _resolve_one(
    embedding: Tensor,
    options: Mapping[str, Any],
    latent: Tensor,
    levels: NoiseLevels,
    vector: VectorFor | None,
) -> Condition:
    extent = extent_of(options, latent)
    inputs: dict[str, ConditionInput] = {"text": Text(embedding.to(latent.device))}
    y = None if vector is None else vector(options, *latent.shape[-2:])
    if y is not None:
        inputs["vector"] = Batched(y.to(latent.device))
    if options.get("control") is not None:
        inputs["control"] = Constant(options["control"])
    inputs |= {NAMES.get(name, name): value for name, value in options.get("model_conds", {}).items()}
    return Condition(
        inputs=inputs,
        area=extent.area,
        weight=extent.weight(options, latent),
        explicit_area=extent.explicit,
        sigma_start=levels.sigma_at(options["start_percent"]) if "start_percent" in options else float("inf"),
        sigma_end=levels.sigma_at(options["end_percent"]) if "end_percent" in options else 0.0,
        options=options,
        uuid=options.get("uuid") or uuid.uuid4(),
    )


__all__ = [
    "NAMES",
    "Area",
    "Condition",
    "ConditionError",
    "resolve",
    "resolve_sides",
    "share_control",
    "with_partners",
]
