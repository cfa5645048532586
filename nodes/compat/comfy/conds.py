"""``comfy.conds``: inputs of a network other than the latent, as packs create and subclass them.

Each is an input of Sumi's conditions too (:class:`nodes.sampling.condition_inputs.ConditionInput`), through the
methods that packs override.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from nodes.sampling import condition_inputs
from nodes.sampling.areas import Area


class CONDRegular:
    """A tensor [1 or B, …]; tensors of the same shape can be joined in one batch."""

    _form: ClassVar[type[Any]] = condition_inputs.Batched
    _area: Area | None = None

    def __init__(self, cond: Any):
        self.cond = cond

    def _copy_with(self, cond: Any) -> Any:
        return type(self)(cond)

    # -- the methods that packs call and override --------------------------------------------------------------------

    def process_cond(self, batch_size: int, **kwargs: Any) -> Any:
        """Return the input for a batch of that many latents; ``area`` is (height, width, top, left)."""
        made = self._form(self.cond)
        if kwargs.get("area") is not None:
            made = made.cropped(Area(*kwargs["area"]))
        return self._copy_with(made.repeated(batch_size).value)

    def can_concat(self, other: Any) -> bool:
        """Return whether both can go through the network together."""
        return bool(self._form(self.cond).joins([self._form(other.cond)]))

    def concat(self, others: Sequence[Any]) -> Any:
        """This and ``others`` as one batch."""
        return self._form(self.cond).join([self._form(other.cond) for other in others])

    def size(self) -> list[int]:
        """Return the tensor's shape."""
        return list(self.cond.shape)

    # -- the same for Sumi's samplers ------------------------------------------------------------------------------

    @property
    def value(self) -> Any:
        """Return the input of this condition alone."""
        return self.cond

    def cropped(self, area: Area) -> Any:
        """Return the input for a condition limited to ``area``; it is cropped later, with the repetition."""
        made = self._copy_with(self.cond)
        made._area = area
        return made

    def repeated(self, batch: int) -> Any:
        """Return the input for ``batch`` latents."""
        return self.process_cond(batch_size=batch, area=self._area)

    def joins(self, others: Sequence[Any]) -> bool:
        """Return whether this input and ``others`` can go through the network together."""
        return all(self.can_concat(_as_cond(other)) for other in others)

    def join(self, others: Sequence[Any]) -> Any:
        """Return the network's value for this input and ``others``."""
        return self.concat([_as_cond(other) for other in others])


class CONDNoiseShape(CONDRegular):
    """A tensor of the latent's size, cropped to the area."""

    _form = condition_inputs.Spatial


class CONDCrossAttn(CONDRegular):
    """A text [1 or B, T, width]. Lengths may differ: repeating a text does not change the attention to it."""

    _form = condition_inputs.Text


class CONDConstant(CONDRegular):
    """A value that is the same for all of a batch."""

    _form = condition_inputs.Constant

    def size(self) -> list[int]:
        """Return the shape of one number."""
        return [1]


class CONDList(CONDRegular):
    """Several tensors."""

    _form = condition_inputs.Several

    def size(self) -> list[int]:
        """Return how many numbers the tensors hold."""
        return [sum(cond.numel() for cond in self.cond)]


def _as_cond(other: Any) -> Any:
    return other if hasattr(other, "cond") else CONDRegular(other.value)
