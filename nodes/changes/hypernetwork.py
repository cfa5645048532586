"""Hypernetworks as AUTOMATIC1111 trains them: small networks beside the keys and values of attention.

A file holds, for each width of a context, two networks; x becomes x + strength · f(x) before its projection. The idea
is from NovelAI's 2022 article on improvements of Stable Diffusion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.checkpoint import Checkpoint, CheckpointError, unpickled
from nodes.models.contents import description_of

_LAYER: Final = re.compile(r"^linear\.?(\d+)\.(weight|bias)$")
_OTHER_NAMES: Final = {"linear": "Identity", "swish": "Hardswish", "leakyrelu": "LeakyReLU"}
"""Names that do not follow from torch's classes in lower case."""


@dataclass(frozen=True)
class Step:
    """A linear layer (``weight`` [out, in]) or a layer norm (``weight`` [width]), and whether activation follows."""

    weight: Tensor
    bias: Tensor | None
    activates: bool

    def __call__(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x)
        if self.weight.ndim == 1:
            return functional.layer_norm(x, self.weight.shape, self.weight.to(x), bias)
        return functional.linear(x, self.weight.to(x), bias)


@dataclass(frozen=True, eq=False)
class Branch:
    """The network of the keys or of the values, for contexts of one width."""

    steps: tuple[Step, ...]
    activation: nn.Module

    def __call__(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
            if step.activates:
                x = self.activation(x)
        return x


@dataclass(frozen=True, eq=False)
class Hypernetwork:
    """The networks by the width of the context that they take; each pair is for keys and for values."""

    branches: Mapping[int, tuple[Branch, Branch]]
    strength: float = 1.0

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, options: Mapping[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The patch of attention's inputs [B, T, C]."""
        pair = self.branches.get(key.shape[-1])
        if pair is None:
            return query, key, value
        for_key, for_value = pair
        return query, key + self.strength * for_key(key), value + self.strength * for_value(value)


def hypernetwork_in(path: Path, strength: float) -> Hypernetwork:
    """The hypernetwork in a file. Raises CheckpointError, naming the file and what it is, for another kind of file."""
    content = unpickled(path)
    widths = {int(width): pair for width, pair in content.items() if str(width).isdigit() and _is_pair(pair)}
    if not widths:
        raise CheckpointError(f"{path}: {description_of(Checkpoint.open(path))}; expected a hypernetwork (.pt)")
    activation = _activation(path, content.get("activation_func"))
    at_end = bool(content.get("activate_output", False))
    branches = {}
    for width, pair in widths.items():
        keys, values = (_branch(path, width, state, activation, at_end) for state in list(pair)[:2])
        branches[width] = (keys, values)
    return Hypernetwork(branches, strength)


def _is_pair(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) >= 2 and all(isinstance(state, Mapping) for state in value[:2])


def _branch(path: Path, width: int, state: Mapping[str, Any], activation: nn.Module, at_end: bool) -> Branch:
    """One network. Its layers are numbered; numbers without tensors are activations and dropout."""
    layers: dict[int, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        match = _LAYER.match(name)
        if match is None or not isinstance(tensor, Tensor):
            raise CheckpointError(f"{path}: layer '{name}' of the networks of width {width}; expected linear.0.weight")
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{path}: '{name}' of the networks of width {width} holds NaN or infinity")
        layers.setdefault(int(match[1]), {})[match[2]] = tensor
    linear = [number for number in sorted(layers) if layers[number]["weight"].ndim == 2]
    if not linear or layers[linear[0]]["weight"].shape[1] != width or layers[linear[-1]]["weight"].shape[0] != width:
        raise CheckpointError(f"{path}: the networks of width {width} do not take and give {width} channels")
    steps = [
        Step(
            layers[number]["weight"],
            layers[number].get("bias"),
            number in linear and (at_end or number != linear[-1]),
        )
        for number in sorted(layers)
    ]
    return Branch(tuple(steps), activation)


def _activation(path: Path, name: Any) -> nn.Module:
    """The activation of a file, by its name in lower case; the identity if it names none. Raises CheckpointError."""
    if name is None:
        return nn.Identity()
    if name in _OTHER_NAMES:
        made: nn.Module = getattr(nn, _OTHER_NAMES[name])()
        return made
    known = {kind.lower(): kind for kind in torch.nn.modules.activation.__all__}
    if str(name).lower() not in known:
        raise CheckpointError(f"{path}: the activation '{name}' is unknown; expected one of torch's, such as relu")
    found: nn.Module = getattr(nn, known[str(name).lower()])()
    return found
