"""Rotations of a layer's outputs or inputs: orthogonal finetuning as LyCORIS and PEFT write it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Orthogonal:
    """Rotates groups of a layer's outputs (OFT, Qiu et al., arXiv:2306.07280; the diagonal form of LyCORIS).

    ``blocks`` [n, out / n, out / n]: each is made skew-symmetric, Q = B - Bᵀ, and by Cayley's transform a rotation,
    R = (1 + Q)(1 - Q)⁻¹. With a ``constraint`` the norm of Q is at most that, times the number of outputs.
    ``rescale`` [out, …] multiplies the rotated outputs.
    """

    blocks: Tensor
    constraint: float | None = None
    rescale: Tensor | None = None

    @property
    def tensors(self) -> Sequence[Tensor]:
        return (self.blocks,) if self.rescale is None else (self.blocks, self.rescale)

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        rotation = _rotations(self.blocks.to(weight), self.constraint, weight.shape[0])
        rows = weight.reshape(self.blocks.shape[0], self.blocks.shape[1], -1)
        rotated = _rescaled(torch.einsum("knm,knw->kmw", rotation, rows).reshape(weight.shape), self.rescale)
        return weight + strength * (rotated - weight)


@dataclass(frozen=True, eq=False)
class Butterfly:
    """Rotates outputs in stages, each over groups twice as far apart (BOFT, Liu et al., arXiv:2311.06243; LyCORIS).

    ``blocks`` [stages, n, b, b] with n · b = out, made rotations as :class:`Orthogonal` makes them. ``strength`` draws
    each stage towards the identity.
    """

    blocks: Tensor
    constraint: float | None = None
    rescale: Tensor | None = None

    @property
    def tensors(self) -> Sequence[Tensor]:
        return (self.blocks,) if self.rescale is None else (self.blocks, self.rescale)

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        rotations = _rotations(self.blocks.to(weight), self.constraint, weight.shape[0])
        size = self.blocks.shape[-1]
        identity = torch.eye(size, dtype=weight.dtype, device=weight.device)
        rows = weight.flatten(1)
        for stage, rotation in enumerate(rotations):
            far = 2**stage * size // 2
            paired = rows.unflatten(0, (-1, 2, far)).transpose(1, 2).flatten(0, 2).unflatten(0, (-1, size))
            paired = (identity + strength * (rotation - identity)) @ paired
            rows = paired.flatten(0, 1).unflatten(0, (-1, far, 2)).transpose(1, 2).flatten(0, 2)
        rescale = None if self.rescale is None else 1 + strength * (self.rescale.to(weight) - 1)
        return _rescaled(rows.reshape(weight.shape), rescale)


@dataclass(frozen=True, eq=False)
class InputOrthogonal:
    """Rotates groups of a layer's inputs (OFT as PEFT writes it, Qiu et al., arXiv:2506.19847).

    ``vectors`` [n, b · (b - 1) / 2]: the upper triangles of the skew-symmetric Q. R = (1 - Q)(1 + Q)⁻¹, and the weight
    becomes W Rᵀ. A single row is shared by all groups. PEFT may approximate R by a series; here it is exact.
    """

    vectors: Tensor

    @property
    def tensors(self) -> Sequence[Tensor]:
        return (self.vectors,)

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        vectors = self.vectors.to(weight)
        size = block_size(vectors.shape[1])
        skew = vectors.new_zeros(len(vectors), size, size)
        rows, columns = torch.triu_indices(size, size, 1, device=weight.device)
        skew[:, rows, columns] = vectors
        rotation = _cayley(skew.transpose(1, 2) - skew)
        grouped = weight.flatten(1).unflatten(1, (-1, size))
        rotated = torch.einsum("onk,nck->onc", grouped, rotation.expand(grouped.shape[1], size, size))
        return weight + strength * (rotated.reshape(weight.shape) - weight)


@dataclass(frozen=True, eq=False)
class InputButterfly:
    """Rotates a layer's inputs in stages over groups ever further apart (BOFT as PEFT writes it, arXiv:2311.06243).

    ``blocks`` [stages, n, b, b] with n · b inputs: Q is half of B - Bᵀ, and each stage is a rotation (1 - Q)(1 + Q)⁻¹.
    ``rescale`` has one factor for each output.
    """

    blocks: Tensor
    rescale: Tensor

    @property
    def tensors(self) -> Sequence[Tensor]:
        return (self.blocks, self.rescale)

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        blocks = self.blocks.to(weight)
        stages, _, size, _ = blocks.shape
        rotations = _cayley((blocks.transpose(-1, -2) - blocks) / 2)
        rows = weight.flatten(1).T
        for stage, rotation in enumerate(rotations):
            pairs = 2**stage if stages > 1 else 1
            halves = rows.unflatten(0, (-1, 2, pairs, size // 2)).transpose(1, 2)
            turned = rotation @ halves.flatten(0, 3).unflatten(0, (-1, size))
            rows = turned.flatten(0, 1).unflatten(0, (-1, pairs, 2, size // 2)).transpose(1, 2).flatten(0, 3)
        changed = _rescaled(rows.T.reshape(weight.shape), self.rescale)
        return weight + strength * (changed - weight)


def block_size(elements: int) -> int:
    """The side of a square matrix whose upper triangle, without the diagonal, has that many elements."""
    return (1 + isqrt(1 + 8 * elements)) // 2


def _rotations(blocks: Tensor, constraint: float | None, out: int) -> Tensor:
    """Cayley's transform of the skew-symmetric parts of ``blocks`` [.., b, b]."""
    skew = blocks - blocks.transpose(-1, -2)
    if constraint:
        norm = torch.linalg.vector_norm(skew) + 1e-8
        skew = skew * (norm.clamp(max=constraint * out) / norm)
    return _cayley(skew)


def _cayley(skew: Tensor) -> Tensor:
    """(1 + Q)(1 - Q)⁻¹ of skew-symmetric matrices [.., b, b]."""
    identity = torch.eye(skew.shape[-1], dtype=skew.dtype, device=skew.device)
    return torch.linalg.solve(identity - skew, identity + skew, left=False)


def _rescaled(weight: Tensor, rescale: Tensor | None) -> Tensor:
    """``weight`` with each output multiplied by its number in ``rescale`` [out, …]."""
    if rescale is None:
        return weight
    return weight * rescale.to(weight).reshape(-1, *(1 for _ in weight.shape[1:]))
