"""The ways to change one weight: differences, replacements, low-rank and structured updates.

LoRA files hold the tensors of these changes; :mod:`nodes.lora` reads them. Rotations are in
:mod:`nodes.models.weight_rotations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor


class Change(Protocol):
    """A change of a weight."""

    @property
    def tensors(self) -> Sequence[Tensor]:
        """The tensors that the change keeps in memory."""

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        """Return a new tensor: ``weight``, float32, changed with ``strength``. ``weight`` is never written to."""


@dataclass(frozen=True, eq=False)
class Difference:
    """Adds a tensor."""

    difference: Tensor

    @property
    def tensors(self) -> Sequence[Tensor]:
        return (self.difference,)

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        return torch.add(weight, _fitting(self.difference, weight), alpha=strength)


@dataclass(frozen=True, eq=False)
class Replacement:
    """Replaces the weight with a tensor, whatever the strength."""

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
    Tucker decomposition (LyCORIS, arXiv:2309.14859).
    """

    up: Tensor
    down: Tensor
    alpha: float | None = None
    middle: Tensor | None = None

    @property
    def tensors(self) -> Sequence[Tensor]:
        return [t for t in (self.up, self.down, self.middle) if t is not None]

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        up, down = self.up.flatten(1).to(weight), self.down.flatten(1).to(weight)
        scale = _scale(self.alpha, self.down.shape[0])
        if self.middle is None:
            # One pass over the weight.
            changed = torch.addmm(weight.flatten(1), up, down, alpha=strength * scale)
            return changed.reshape(weight.shape)
        change = torch.einsum("or,rshw,si->oihw", up, self.middle.to(weight), down)
        return torch.add(weight, _fitting(change, weight), alpha=strength * scale)


@dataclass(frozen=True, eq=False)
class LoHa:
    """Hadamard product of two low-rank matrices (FedPara, Hyeon-Woo et al., arXiv:2108.06098; LyCORIS).

    Adds ``(w1_a @ w1_b) * (w2_a @ w2_b)``, times ``alpha`` / rank. ``*_a`` [out, rank], ``*_b`` [rank, in · h · w].
    With the cores ``t1`` and ``t2`` [rank, rank, h, w] of a convolution's Tucker decomposition ``*_a`` is [rank, out]
    and ``*_b`` [rank, in].
    """

    w1_a: Tensor
    w1_b: Tensor
    w2_a: Tensor
    w2_b: Tensor
    alpha: float | None = None
    t1: Tensor | None = None
    t2: Tensor | None = None

    @property
    def tensors(self) -> Sequence[Tensor]:
        cores = [core for core in (self.t1, self.t2) if core is not None]
        return (self.w1_a, self.w1_b, self.w2_a, self.w2_b, *cores)

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        w1_a, w1_b, w2_a, w2_b, *cores = (tensor.to(weight) for tensor in self.tensors)
        first, second = (
            (w1_a @ w1_b, w2_a @ w2_b) if not cores else (_tucker(cores[0], w1_a, w1_b), _tucker(cores[1], w2_a, w2_b))
        )
        change = first * second
        return torch.add(weight, _fitting(change, weight), alpha=strength * _scale(self.alpha, self.w1_b.shape[0]))


@dataclass(frozen=True, eq=False)
class LoKr:
    """Kronecker product of a small and a larger matrix (LyCORIS, arXiv:2309.14859).

    Adds ``kron(w1, w2)``. ``w1`` [a, b], ``w2`` [out / a, in / b, …]. Either may be given as its two factors; then
    the product is times ``alpha`` / rank. ``t2`` [rank, rank, h, w] is the core of a convolution's Tucker
    decomposition of ``w2``, whose factors are [rank, out / a] and [rank, in / b].
    """

    w1: Tensor | tuple[Tensor, Tensor]
    w2: Tensor | tuple[Tensor, Tensor]
    alpha: float | None = None
    t2: Tensor | None = None

    @property
    def tensors(self) -> Sequence[Tensor]:
        factors = [tensor for w in (self.w1, self.w2) for tensor in (w if isinstance(w, tuple) else (w,))]
        return factors if self.t2 is None else [*factors, self.t2]

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        scale = 1.0
        if isinstance(self.w1, tuple):
            w1 = self.w1[0].to(weight) @ self.w1[1].to(weight)
            scale = _scale(self.alpha, self.w1[1].shape[0])
        else:
            w1 = self.w1.to(weight)
        out, width = weight.shape[0] // w1.shape[0], weight.shape[1] // w1.shape[1]
        if isinstance(self.w2, tuple):
            w2_a, w2_b = (tensor.to(weight) for tensor in self.w2)
            w2 = w2_a @ w2_b if self.t2 is None else _tucker(self.t2.to(weight), w2_a, w2_b)
            scale = _scale(self.alpha, w2_b.shape[0])
        else:
            w2 = self.w2.to(weight)
        w2 = w2.reshape(out, width, *weight.shape[2:]).contiguous()
        change = torch.kron(w1.reshape(*w1.shape, *(1 for _ in weight.shape[2:])), w2)
        return torch.add(weight, _fitting(change, weight), alpha=strength * scale)


@dataclass(frozen=True, eq=False)
class GLoRA:
    """Generalized LoRA (Chavan et al., arXiv:2306.07967; LyCORIS): adds ``weight @ A + B``, times ``alpha`` / rank.

    ``input_out`` [in, rank] and ``input_in`` [rank, in] are the factors of A; ``out`` [out, rank] and ``inner``
    [rank, in · h · w] are the factors of B.
    """

    input_out: Tensor
    input_in: Tensor
    out: Tensor
    inner: Tensor
    alpha: float | None = None

    @property
    def tensors(self) -> Sequence[Tensor]:
        return (self.input_out, self.input_in, self.out, self.inner)

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        input_out, input_in, out, inner = (tensor.flatten(1).to(weight) for tensor in self.tensors)
        mixed = torch.einsum("oi...,ir,rj->oj...", weight, input_out, input_in)
        change = mixed + _fitting(out @ inner, weight)
        return torch.add(weight, change, alpha=strength * _scale(self.alpha, inner.shape[0]))


@dataclass(frozen=True, eq=False)
class Renormalized:
    """Gives rows or columns of the changed weight the norms ``magnitude`` (DoRA, Liu et al., arXiv:2402.09353).

    ``magnitude`` has one number for each output ([out], [out, 1, …]) or for each input ([1, in, …]).
    """

    change: Change
    magnitude: Tensor

    @property
    def tensors(self) -> Sequence[Tensor]:
        return (*self.change.tensors, self.magnitude)

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        changed = self.change(weight, 1.0)
        magnitude = self.magnitude.to(weight)
        kept = 0 if magnitude.shape[0] == weight.shape[0] else 1
        others = [dimension for dimension in range(weight.ndim) if dimension != kept]
        norms = torch.linalg.vector_norm(changed, dim=others, keepdim=True)
        changed = changed * (magnitude.reshape(norms.shape) / norms.clamp(min=_SMALLEST_NORM))
        return weight + strength * (changed - weight)


_SMALLEST_NORM: Final = torch.finfo(torch.float32).tiny


def _scale(alpha: float | None, rank: int) -> float:
    return 1.0 if alpha is None else alpha / rank


def _tucker(core: Tensor, out: Tensor, inner: Tensor) -> Tensor:
    """A convolution [out, in, h, w] from its core [r, s, h, w] and the factors [r, out] and [s, in]."""
    return torch.einsum("rshw,ro,si->oihw", core, out, inner)


def _fitting(tensor: Tensor, weight: Tensor) -> Tensor:
    """``tensor`` in the shape, precision and place of ``weight``: a linear layer may be a 1x1 convolution."""
    return tensor.to(weight).reshape(weight.shape)
