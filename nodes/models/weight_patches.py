"""Changes of a network's weights, made when it is loaded: LoRA, differences, other models' weights.

A patch names a tensor; the patches of one name are applied in their order, in float32, before the result takes
the network's precision. Networks with different patches share every layer that no patch changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from graph.errors import SumiError


class WeightPatchError(SumiError):
    """A patch does not fit its tensor; says which, both shapes."""


class Change(Protocol):
    """What a patch makes of a weight."""

    @property
    def tensors(self) -> Sequence[Tensor]:
        """What it keeps in memory."""

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        """A new tensor: ``weight``, float32, changed with that strength. ``weight`` itself must not be written to."""


@dataclass(frozen=True, eq=False)
class Difference:
    """Adds a tensor."""

    difference: Tensor

    @property
    def tensors(self) -> Sequence[Tensor]:
        return (self.difference,)

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        return weight + strength * _fitting(self.difference, weight)


@dataclass(frozen=True, eq=False)
class Replacement:
    """Puts a tensor in the place of the weight, whatever the strength."""

    tensor: Tensor

    @property
    def tensors(self) -> Sequence[Tensor]:
        return (self.tensor,)

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        return _fitting(self.tensor, weight)


@dataclass(frozen=True, eq=False)
class LowRank:
    """LoRA (Hu et al., arXiv:2106.09685): adds ``up @ down``, times ``alpha`` / rank.

    ``up`` [out, rank, …] and ``down`` [rank, in, …]. ``middle`` [rank, rank, h, w] is the core of a convolution's
    Tucker decomposition (LyCORIS, arXiv:2309.14859). ``magnitude`` rescales rows or columns of the
    result to these norms (DoRA, arXiv:2402.09353).
    """

    up: Tensor
    down: Tensor
    alpha: float | None = None
    middle: Tensor | None = None
    magnitude: Tensor | None = None

    @property
    def tensors(self) -> Sequence[Tensor]:
        return [t for t in (self.up, self.down, self.middle, self.magnitude) if t is not None]

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        up, down = self.up.flatten(1).to(weight), self.down.flatten(1).to(weight)
        scale = 1.0 if self.alpha is None else self.alpha / self.down.shape[0]
        if self.middle is None and self.magnitude is None and weight.ndim > 1:
            # One pass over the weight instead of four.
            changed = torch.addmm(weight.flatten(1), up, down, alpha=strength * scale)
            return changed.reshape(weight.shape)
        if self.middle is None:
            change = up @ down
        else:
            change = torch.einsum("or,rshw,si->oihw", up, self.middle.to(weight), down)
        change = _fitting(change, weight) * scale
        if self.magnitude is None:
            return weight + strength * change
        changed = weight + change
        magnitude = self.magnitude.to(weight)
        kept = 0 if magnitude.shape[0] == weight.shape[0] else 1
        others = [dimension for dimension in range(weight.ndim) if dimension != kept]
        norms = torch.linalg.vector_norm(changed, dim=others, keepdim=True)
        changed = changed * (magnitude.reshape(norms.shape) / norms)
        return weight + strength * (changed - weight)


@dataclass(frozen=True, eq=False)
class LoHa:
    """Hadamard product of two low-rank matrices (FedPara, Hyeon-Woo et al., arXiv:2108.06098; LyCORIS).

    Adds ``(w1_a @ w1_b) * (w2_a @ w2_b)``, times ``alpha`` / rank. ``*_a`` [out, rank], ``*_b`` [rank, in · h · w].
    """

    w1_a: Tensor
    w1_b: Tensor
    w2_a: Tensor
    w2_b: Tensor
    alpha: float | None = None

    @property
    def tensors(self) -> Sequence[Tensor]:
        return (self.w1_a, self.w1_b, self.w2_a, self.w2_b)

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        w1_a, w1_b, w2_a, w2_b = (tensor.to(weight) for tensor in self.tensors)
        scale = 1.0 if self.alpha is None else self.alpha / self.w1_b.shape[0]
        return weight + strength * scale * _fitting((w1_a @ w1_b) * (w2_a @ w2_b), weight)


@dataclass(frozen=True, eq=False)
class LoKr:
    """Kronecker product of a small and a larger matrix (LyCORIS, arXiv:2309.14859).

    Adds ``kron(w1, w2)``. ``w1`` [a, b]; ``w2`` [out / a, in / b, …], or its factors ``(w2_a [out / a, rank],
    w2_b [rank, in / b · h · w])``, whose product is times ``alpha`` / rank.
    """

    w1: Tensor
    w2: Tensor | tuple[Tensor, Tensor]
    alpha: float | None = None

    @property
    def tensors(self) -> Sequence[Tensor]:
        return (self.w1, *(self.w2 if isinstance(self.w2, tuple) else (self.w2,)))

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        w1 = self.w1.to(weight)
        out, width = weight.shape[0] // w1.shape[0], weight.shape[1] // w1.shape[1]
        scale = 1.0
        if isinstance(self.w2, tuple):
            w2_a, w2_b = (tensor.to(weight) for tensor in self.w2)
            w2 = w2_a @ w2_b
            scale = 1.0 if self.alpha is None else self.alpha / w2_b.shape[0]
        else:
            w2 = self.w2.to(weight)
        w2 = w2.reshape(out, width, *weight.shape[2:])
        change = torch.kron(w1.reshape(*w1.shape, *(1 for _ in weight.shape[2:])), w2)
        return weight + strength * scale * _fitting(change, weight)


@dataclass(frozen=True, eq=False)
class Orthogonal:
    """Rotates groups of a layer's outputs (OFT, Qiu et al., arXiv:2306.07280; the diagonal form of LyCORIS).

    ``blocks`` [n, out / n, out / n]: each is made skew-symmetric, Q = B - Bᵀ, and by Cayley's transform a rotation,
    R = (1 + Q)(1 - Q)⁻¹. With a ``constraint`` the norm of Q is at most that, times the number of outputs.
    """

    blocks: Tensor
    constraint: float | None = None

    @property
    def tensors(self) -> Sequence[Tensor]:
        return (self.blocks,)

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        blocks = self.blocks.to(weight)
        skew = blocks - blocks.transpose(1, 2)
        if self.constraint:
            norm = torch.linalg.vector_norm(skew) + 1e-8
            skew = skew * (norm.clamp(max=self.constraint * weight.shape[0]) / norm)
        identity = torch.eye(blocks.shape[1], dtype=weight.dtype, device=weight.device)
        rotation = torch.linalg.solve(identity - skew, identity + skew, left=False)
        rows = weight.reshape(blocks.shape[0], blocks.shape[1], -1)
        rotated = torch.einsum("knm,knw->kmw", rotation, rows).reshape(weight.shape)
        return weight + strength * (rotated - weight)


@dataclass(frozen=True, eq=False)
class WeightPatch:
    """One change of the tensor ``name`` (as in the network's state dict).

    The weight is multiplied by ``scale``, then changed with ``strength``. ``part`` is (dimension, start, length) of
    the tensor that is meant; ``transform`` is applied to what the change adds.
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
        except (RuntimeError, ValueError) as error:  # torch says only which numbers do not go together
            raise WeightPatchError(
                f"a patch of '{self.name}' does not fit: the tensor is {list(weight.shape)}, "
                f"the patch has {[list(t.shape) for t in self.change.tensors]} ({error})"
            ) from error
        return changed if self.transform is None else weight + self.transform(changed - weight)


def by_name(patches: Sequence[WeightPatch]) -> Mapping[str, list[WeightPatch]]:
    """The patches of each tensor, in their order."""
    found: dict[str, list[WeightPatch]] = {}
    for patch in patches:
        found.setdefault(patch.name, []).append(patch)
    return found


def patched(weight: Tensor, patches: Sequence[WeightPatch]) -> Tensor:
    """``weight`` after ``patches``, float32; ``weight`` stays as it is."""
    weight = weight.to(torch.float32)
    for patch in patches:
        weight = patch(weight)
    return weight


def _fitting(tensor: Tensor, weight: Tensor) -> Tensor:
    """``tensor`` in the shape, precision and place of ``weight``: a linear layer may be a 1x1 convolution."""
    return tensor.to(weight).reshape(weight.shape)
