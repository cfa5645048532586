"""Prompts prepared for one run: inputs for the network, areas, noise levels and weights."""

from __future__ import annotations

import dataclasses
import math
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
from nodes.sampling.condition_inputs import Batched, Boxed, ConditionInput, Spatial, Steered, Text, running_control
from nodes.sampling.extra_channels import extra_channels
from nodes.sampling.vector_conditioning import vector
from nodes.types import Conditioning

NAMES: Final = {"c_crossattn": "text", "y": "vector", "c_concat": "concat", "crossattn_controlnet": "control_text"}
"""Names of inputs in ``model_conds`` of ComfyUI's CONDITIONING, and Sumi's names for them."""

EVERY_LEVEL: Final = ((math.inf, 0.0),)
_ABOVE: Final = 1 + 1e-5
"""Factor of a noise level within which other levels count as the same."""

ConcatFor = Callable[[Mapping[str, Any]], Tensor | None]
"""Function that returns the extra channels for a conditioning entry's options."""

InRun = Callable[[Callable[[Any], ConditionInput], Any], ConditionInput]
"""Function ``f(kind, control)`` that makes the input of that kind for an entry's option ``control`` or ``gligen``."""

VectorFor = Callable[[Mapping[str, Any], int, int], Tensor | None]
"""Function that returns the vector for a conditioning entry's options and a latent of that height and width."""


@dataclass(frozen=True, eq=False)
class Condition:
    """One prompt of one side, ready for the network.

    ``inputs`` are on the run's device. ``weight`` [1 or B, 1, height, width] is the weight of its prediction for
    each latent pixel of its area. It is used while ``sigma_end <= sigma <= sigma_start``.
    """

    inputs: Mapping[str, ConditionInput]
    area: Area
    weight: Tensor
    explicit_area: bool = False
    """Whether the entry sets an area; False: it covers the whole picture by default."""
    sigma_start: float = float("inf")
    sigma_end: float = 0.0
    sigma_ranges: tuple[tuple[float, float], ...] = EVERY_LEVEL
    """More ranges (high, low) of noise levels in which the condition is used: the steps in ``step_ranges``."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The options of the CONDITIONING's entry."""
    uuid: uuid.UUID = field(default_factory=uuid.uuid4)
    """Identifies the entry for functions that keep state for each entry."""

    def is_active(self, sigma: float) -> bool:
        if not self.sigma_end <= sigma <= self.sigma_start:
            return False
        return any(low <= sigma <= high for high, low in self.sigma_ranges)

    def with_inputs(self, **inputs: ConditionInput | None) -> Condition:
        """A copy of the condition with these inputs replaced; None removes one."""
        changed = {name: value for name, value in {**self.inputs, **inputs}.items() if value is not None}
        return dataclasses.replace(self, inputs=changed)


def resolve(
    conditioning: Conditioning,
    latent: Tensor,
    levels: NoiseLevels,
    vector: VectorFor | None = None,
    in_run: InRun = lambda kind, control: kind(control),
    concat: ConcatFor = lambda options: None,
    sigmas: Sequence[float] = (),
) -> list[Condition]:
    """Return the entries of a CONDITIONING as conditions for latents like ``latent`` [B, C, h, w].

    ``sigmas`` are the noise levels of the run's steps, for entries that are used in some steps only. ``vector`` makes
    the network's ``y`` (None if it has none), ``in_run`` the input of a control and ``concat`` the channels after the
    latent's. Raises ConditionError.
    """
    return [
        _resolve_one(embedding, options, latent, levels, vector, in_run, concat, sigmas)
        for embedding, options in conditioning
    ]


def resolve_sides(
    sides: Mapping[str, Conditioning],
    latent: Tensor,
    model: Model,
    levels: NoiseLevels,
    seed: int = 0,
    mask: Tensor | None = None,
    sigmas: Sequence[float] = (),
) -> dict[str, list[Condition]]:
    """Return all sides of a run with that ``seed``, by name, for scaled latents like ``latent`` [B, C, h, w].

    ``levels`` are the model's, ``sigmas`` the noise levels of the run's steps. ``mask`` [B, C, h, w] is 1 where the run
    paints, None for everywhere.

    Every area of a side gets a partner on each other side (:func:`with_partners`), the other sides get the positive
    side's control (where its CONDITIONING says so) and boxes, and the model's changes of inputs are applied.
    Raises ConditionError.
    """

    running: dict[int, ConditionInput] = {}

    def in_run(kind: Callable[[Any], ConditionInput], control: Any) -> ConditionInput:
        """The input that ``control`` makes: one for all entries that have it."""
        if id(control) not in running:
            running[id(control)] = kind(running_control(control, model, *latent.shape[-2:]))
        return running[id(control)]

    def concat(options: Mapping[str, Any]) -> Tensor | None:
        return extra_channels(model, options, latent, mask, seed)

    found = {
        name: resolve(
            side, latent, levels, partial(vector, model, negative=name == "negative", seed=seed), in_run, concat, sigmas
        )
        for name, side in sides.items()
    }
    for name in reversed(found):
        for other in found:
            if other != name:
                found[name] = with_partners(found[name], found[other])
    positive = found.get("positive", [])
    shared = [c for c in positive if c.options.get("control_apply_to_uncond")]
    for name in found.keys() - {"positive"}:
        found[name] = share_input("boxes", positive, share_input("control", shared, found[name]))
    for change in model.changes.inputs:
        for name, side in found.items():
            found[name] = [
                dataclasses.replace(c, inputs=change(c.inputs, ConditionEntry(name, c.options, latent, model, levels)))
                for c in side
            ]
    return found


def with_partners(conditions: Sequence[Condition], opposite: Sequence[Condition]) -> list[Condition]:
    """Return ``conditions`` and a partner for every area of ``opposite`` without a condition of the same area.

    The partner gets its texts and vector from the smallest condition that encloses the area, and everything else from
    the opposite, because guidance compares two predictions of the same crop.
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
            theirs = {name: smallest.inputs.get(name) for name in ("text", "vector", "control_text")}
            partners.append(dataclasses.replace(other.with_inputs(**theirs), uuid=uuid.uuid4()))
    return [*conditions, *partners]


def share_input(name: str, positive: Sequence[Condition], other: Sequence[Condition]) -> list[Condition]:
    """``other`` with the input ``name`` of ``positive``, unless one of its conditions has that input already.

    Only conditions of the whole picture take part. If there are fewer inputs than conditions, they repeat.
    """
    inputs = [c.inputs[name] for c in positive if not c.explicit_area and name in c.inputs]
    whole = [c for c in other if not c.explicit_area]
    if not inputs or not whole or any(name in c.inputs for c in whole):
        return list(other)
    given = {id(c): inputs[i % len(inputs)] for i, c in enumerate(whole)}
    return [c.with_inputs(**{name: given[id(c)]}) if id(c) in given else c for c in other]


def _resolve_one(
    embedding: Tensor,
    options: Mapping[str, Any],
    latent: Tensor,
    levels: NoiseLevels,
    vector: VectorFor | None,
    in_run: InRun,
    concat: ConcatFor,
    sigmas: Sequence[float],
) -> Condition:
    extent = extent_of(options, latent)
    inputs: dict[str, ConditionInput] = {"text": Text(embedding.to(latent.device))}
    y = None if vector is None else vector(options, *latent.shape[-2:])
    if y is not None:
        inputs["vector"] = Batched(y.to(latent.device))
    channels = concat(options)
    if channels is not None:
        inputs["concat"] = Spatial(channels)
    if options.get("control") is not None:
        inputs["control"] = in_run(Steered, options["control"])
        if options.get("cross_attn_controlnet") is not None:
            inputs["control_text"] = Text(options["cross_attn_controlnet"].to(latent.device))
    if options.get("gligen") is not None:
        inputs["boxes"] = in_run(Boxed, options["gligen"])
    inputs |= {NAMES.get(name, name): value for name, value in options.get("model_conds", {}).items()}
    return Condition(
        inputs=inputs,
        area=extent.area,
        weight=extent.weight(options, latent),
        explicit_area=extent.explicit,
        sigma_start=levels.sigma_at(options["start_percent"]) if "start_percent" in options else float("inf"),
        sigma_end=levels.sigma_at(options["end_percent"]) if "end_percent" in options else 0.0,
        sigma_ranges=tuple(_sigma_range(first, end, sigmas) for first, end in options.get("step_ranges", [(0, None)])),
        options=options,
        uuid=options.get("uuid") or uuid.uuid4(),
    )


def _sigma_range(first: int, end: int | None, sigmas: Sequence[float]) -> tuple[float, float]:
    """Return the range (high, low) of the noise levels of the steps ``first`` … ``end`` - 1 of a run.

    Step k goes from ``sigmas[k]`` to ``sigmas[k + 1]``; the first one has every level above, too, the last one of the
    run every level below. A run without these steps has an empty range. Samplers may compute a level from its
    logarithm, so levels have a tolerance.
    """
    last = len(sigmas) - 1
    high = math.inf if first == 0 else sigmas[first] * _ABOVE if first < last else -1.0
    low = 0.0 if end is None or end >= last else sigmas[end] * _ABOVE
    return high, low


__all__ = [
    "EVERY_LEVEL",
    "NAMES",
    "Area",
    "Condition",
    "ConditionError",
    "resolve",
    "resolve_sides",
    "share_input",
    "with_partners",
]
