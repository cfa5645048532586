"""The inputs of a condition: text, pooled vector, extra channels, control. Each can crop, repeat and join itself.

Conditions that go through the network together have inputs with the same names. The inputs with one name are cropped
to their areas, repeated to the batch and joined into the value of the network call with that name:

============ ================== ==========================================================================
name         class              value of a call with N latents
============ ================== ==========================================================================
``text``     :class:`Text`      [N, T, width], the text before projection
``vector``   :class:`Batched`   [N, width], pooled text and sizes
``concat``   :class:`Spatial`   [N, C, h, w], channels after the latent's in the network's input
``control``  :class:`Steered`   a :class:`JoinedControls`, which computes the residuals of the batch
============ ================== ==========================================================================

``control_text`` is a :class:`Text` that the control uses instead of ``text``; ``boxes`` (:class:`Boxed`, phrases with
boxes) becomes a patch of the U-Net's transformers (:class:`JoinedBoxes`).

Inputs with other names are passed on to functions around the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch
from torch import Tensor

from nodes.batches import repeat_to
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.areas import Area

if TYPE_CHECKING:
    from nodes.models.handle import Model
    from nodes.unet.control import Control

_LONGEST_REPEAT = 4
"""Maximum number of repetitions of a text to make texts of different lengths share a batch."""


class RunningControl(Protocol):
    """Steers conditions in one run: a ControlNet, or several that add up."""

    def residuals(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None,
        *,
        sigma: float,
        levels: NoiseLevels,
        area: Area | None = None,
        items: int | None = None,
    ) -> Control | None:
        """Return the residuals to add to a U-Net call with these arguments, at noise level ``sigma``, or None.

        ``x`` [N, 4, h, w] is the network's input without extra channels, ``context`` [N, T, C] the text before
        projection. ``x`` contains ``area`` of the latent (None: all of it), in sequence for several conditions with
        ``items`` latents each.
        """


class ControlSource(Protocol):
    """The control of a CONDITIONING's entry: its option ``control``."""

    def for_run(self, model: Model, height: int, width: int) -> RunningControl:
        """Return the control for a run of ``model`` with latents of that size.

        Raises an error that names both if the control does not fit the model.
        """


def running_control(control: Any, model: Model, height: int, width: int) -> Any:
    """Return an entry's option ``control`` for a run; objects of other programs stay unchanged."""
    if not hasattr(control, "for_run"):
        return control
    source: ControlSource = control
    return source.for_run(model, height, width)


class ConditionInput(Protocol):
    """One input of a condition."""

    @property
    def value(self) -> Any:
        """The input of only this condition."""

    def cropped(self, area: Area) -> Self:
        """Return the input for a condition that covers only ``area`` of the latent."""

    def repeated(self, batch: int) -> Self:
        """Return the input for ``batch`` latents."""

    def joins(self, others: Sequence[Any]) -> bool:
        """Whether this input and ``others`` (with the same name) can go through the network together."""

    def join(self, others: Sequence[Any]) -> Any:
        """Return the network's value for this input and ``others``, in this order."""


@dataclass(frozen=True, eq=False)
class Batched:
    """A tensor [1 or B, …] that does not depend on the area. Only equal shapes can be joined."""

    value: Tensor

    def cropped(self, area: Area) -> Self:
        return self

    def repeated(self, batch: int) -> Self:
        return type(self)(repeat_to(self.value, batch))

    def joins(self, others: Sequence[Any]) -> bool:
        return all(self.value.shape == other.value.shape for other in others)

    def join(self, others: Sequence[Any]) -> Tensor:
        return torch.cat([self.value, *(other.value for other in others)]) if others else self.value


@dataclass(frozen=True, eq=False)
class Text(Batched):
    """A text [1 or B, T, width]. Attention to a text and to its repetition is the same, so lengths may differ."""

    def joins(self, others: Sequence[Any]) -> bool:
        texts = [self.value, *(other.value for other in others)]
        if any(text.shape[0] != texts[0].shape[0] or text.shape[2] != texts[0].shape[2] for text in texts):
            return False
        lengths = {text.shape[1] for text in texts}
        return math.lcm(*lengths) // min(lengths) <= _LONGEST_REPEAT

    def join(self, others: Sequence[Any]) -> Tensor:
        texts = [self.value, *(other.value for other in others)]
        tokens = math.lcm(*(text.shape[1] for text in texts))
        return torch.cat([text.repeat(1, tokens // text.shape[1], 1) for text in texts]) if others else self.value


@dataclass(frozen=True, eq=False)
class Spatial(Batched):
    """A tensor [1 or B, C, h, w] with the latent's size."""

    def cropped(self, area: Area) -> Self:
        return type(self)(area.crop(self.value))


@dataclass(frozen=True, eq=False)
class Constant:
    """A value for a whole batch; only conditions with the same value are joined."""

    value: Any

    def cropped(self, area: Area) -> Self:
        return self

    def repeated(self, batch: int) -> Self:
        return self

    def joins(self, others: Sequence[Any]) -> bool:
        return all(other.value is self.value or bool(other.value == self.value) for other in others)

    def join(self, others: Sequence[Any]) -> Any:
        return self.value


@dataclass(frozen=True, eq=False)
class Placed:
    """An input that works for one run, and the area and number of latents for which a condition uses it."""

    value: Any
    area: Area | None = None
    items: int = 1

    def cropped(self, area: Area) -> Self:
        return type(self)(self.value, area, self.items)

    def repeated(self, batch: int) -> Self:
        return type(self)(self.value, self.area, batch)


@dataclass(frozen=True, eq=False)
class Steered(Placed):
    """The :class:`RunningControl` of a condition. Conditions with different controls can be joined."""

    def joins(self, others: Sequence[Any]) -> bool:
        return all(isinstance(other, Steered) for other in others)

    def join(self, others: Sequence[Any]) -> JoinedControls:
        return JoinedControls((self, *others))


@dataclass(frozen=True, eq=False)
class JoinedControls:
    """The controls of a batch's conditions, in order."""

    parts: tuple[Steered, ...]

    def residuals(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None,
        *,
        sigma: float,
        levels: NoiseLevels,
    ) -> Control | None:
        """Return the residuals of the whole batch; conditions with the same control and area are computed together."""
        from nodes.unet.control import Rows, of_batch

        groups: dict[tuple[int, Area | None], list[int]] = {}
        start = 0
        first: dict[tuple[int, Area | None], Steered] = {}
        for part in self.parts:
            key = (id(part.value), part.area)
            first.setdefault(key, part)
            groups.setdefault(key, []).extend(range(start, start + part.items))
            start += part.items
        if len(groups) == 1:
            ((key, _),) = groups.items()
            place = {"sigma": sigma, "levels": levels, "area": key[1], "items": self.parts[0].items}
            return first[key].value.residuals(x, timesteps, context, y, **place)
        found = []
        for key, rows in groups.items():
            place = {"sigma": sigma, "levels": levels, "area": key[1], "items": first[key].items}
            own = None if y is None else y[rows]
            residuals = first[key].value.residuals(x[rows], timesteps[rows], context[rows], own, **place)
            found.append(Rows(rows, residuals))
        return of_batch(found, len(x))


class RunningBoxes(Protocol):
    """Phrases with boxes in one run: see ``nodes.control.boxes``."""

    @property
    def model(self) -> Any:
        """Boxes whose models are equal go through the network together."""

    def tokens(self, area: Area | None) -> Tensor:
        """The phrases as tokens [1, n, width], for a network that sees ``area`` of the latent (None: all of it)."""

    def fusers(self) -> Sequence[Callable[[Tensor, Tensor], Tensor]]:
        """``f(positions, tokens)`` for each transformer of the U-Net, in running order."""


@dataclass(frozen=True, eq=False)
class Boxed(Placed):
    """The :class:`RunningBoxes` of a condition. Conditions with boxes for the same model can be joined."""

    def joins(self, others: Sequence[Any]) -> bool:
        return all(isinstance(other, Boxed) and other.value.model == self.value.model for other in others)

    def join(self, others: Sequence[Any]) -> JoinedBoxes:
        parts = (self, *others)
        tokens = [part.value.tokens(part.area).expand(part.items, -1, -1) for part in parts]
        return JoinedBoxes(torch.cat(tokens), self.value)


@dataclass(frozen=True, eq=False)
class JoinedBoxes:
    """The phrases of the conditions of a batch, as tokens [N, n, width]."""

    tokens: Tensor
    boxes: RunningBoxes

    def added_to(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Transformer options with one more patch, between the attentions of each transformer."""
        fusers = self.boxes.fusers()

        def fuse(positions: Tensor, layer: Mapping[str, Any]) -> Tensor:
            return fusers[layer["transformer_index"]](positions, self.tokens)

        patches = dict(options.get("patches", {}))
        patches["middle_patch"] = [*patches.get("middle_patch", ()), fuse]
        return {**options, "patches": patches}


@dataclass(frozen=True, eq=False)
class Several:
    """A list of tensors [1 or B, …], joined one by one."""

    value: Sequence[Tensor]

    def cropped(self, area: Area) -> Self:
        return self

    def repeated(self, batch: int) -> Self:
        return type(self)([repeat_to(tensor, batch) for tensor in self.value])

    def joins(self, others: Sequence[Any]) -> bool:
        shapes = [tensor.shape for tensor in self.value]
        return all([tensor.shape for tensor in other.value] == shapes for other in others)

    def join(self, others: Sequence[Any]) -> list[Tensor]:
        lists = [self.value, *(other.value for other in others)]
        return [torch.cat(tensors) for tensors in zip(*lists, strict=True)]
