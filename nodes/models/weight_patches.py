"""Changes of a network's weights, applied when it is loaded: LoRA, differences, other models' weights.

A patch names a tensor. Patches with the same name are applied in order, in float32, before the result is converted
to the network's precision. Networks with different patches share every layer that no patch changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from graph.errors import SumiError
from nodes.models.weight_changes import Change


class WeightPatchError(SumiError):
    """A patch does not fit its tensor. The message names the tensor and both shapes."""


@dataclass(frozen=True)
class WeightPatch:
    """One change of the tensor ``name`` (as in the network's state dict).

    The weight is multiplied by ``scale``, then changed with ``strength``. ``part`` is (dimension, start, length) of
    the part of the tensor that is changed; ``transform`` is applied to the difference that the change makes.
    Patches are equal if their changes are: changes that hold tensors equal themselves alone, changes that name a file
    equal those that name the same tensors.
    """

    name: str
    change: Change
    strength: float = 1.0
    scale: float = 1.0
    part: tuple[int, int, int] | None = None
    transform: Callable[[Tensor], Tensor] | None = field(default=None)

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.change.tensors)

    def __call__(self, weight: Tensor) -> Tensor:
        if self.part is not None:
            weight = weight.clone()
            part = weight.narrow(*self.part)
            part.copy_(self._changed(part.clone()))
            return weight
        return self._changed(weight)

    def _changed(self, weight: Tensor) -> Tensor:
        weight = weight * self.scale if self.scale != 1.0 else weight
        try:
            changed = self.change(weight, self.strength)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError) as error:  # torch's message only gives the mismatched sizes
            raise WeightPatchError(
                f"a patch of '{self.name}' does not fit: the tensor is {list(weight.shape)}, "
                f"the patch has {[list(t.shape) for t in self.change.tensors]} ({error})"
            ) from error
        return changed if self.transform is None else weight + self.transform(changed - weight)


def by_name(patches: Sequence[WeightPatch]) -> Mapping[str, list[WeightPatch]]:
    """Return the patches of each tensor, in order."""
    found: dict[str, list[WeightPatch]] = {}
    for patch in patches:
        found.setdefault(patch.name, []).append(patch)
    return found


def patched(weight: Tensor, patches: Sequence[WeightPatch]) -> Tensor:
    """Return ``weight`` after ``patches``, as float32, without modifying ``weight``."""
    weight = weight.to(torch.float32)
    for patch in patches:
        weight = patch(weight)
    return weight
