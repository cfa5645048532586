"""The optimizers of the training nodes, and the learning rate over a run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final, Literal

import torch
from torch import Tensor

OptimizerName = Literal["AdamW", "Adam", "SGD", "RMSprop"]
Schedule = Literal["constant", "cosine"]
FINAL_SHARE: Final = 0.02
"""Share of the learning rate at the end of a cosine schedule."""


def make_optimizer(
    name: str, parameters: Iterable[Tensor], learning_rate: float, weight_decay: float = 0.01, beta2: float = 0.999
) -> torch.optim.Optimizer:
    """Make AdamW (arXiv:1711.05101), Adam (arXiv:1412.6980), SGD or RMSprop for ``parameters``.

    ``weight_decay`` applies to AdamW, ``beta2`` to AdamW and Adam. Raises ValueError for another name.
    """
    parameters = list(parameters)
    fused: dict[str, Any] = {"fused": all(p.device.type in ("cpu", "cuda") for p in parameters)}
    match name:
        case "AdamW":
            return torch.optim.AdamW(
                parameters, lr=learning_rate, betas=(0.9, beta2), weight_decay=weight_decay, **fused
            )
        case "Adam":
            return torch.optim.Adam(parameters, lr=learning_rate, betas=(0.9, beta2), **fused)
        case "SGD":
            return torch.optim.SGD(parameters, lr=learning_rate)
        case "RMSprop":
            return torch.optim.RMSprop(parameters, lr=learning_rate)
    raise ValueError(f"optimizer '{name}': expected AdamW, Adam, SGD or RMSprop")


def learning_rate_at(step: int, steps: int, learning_rate: float, schedule: str = "constant", warmup: int = 0) -> float:
    """Return the learning rate at ``step`` (from 0) of ``steps``: a linear warm-up, then constant or half a cosine."""
    if step < warmup:
        return learning_rate * (step + 1) / warmup
    if schedule == "constant":
        return learning_rate
    done = (step - warmup) / max(1, steps - warmup)
    return learning_rate * (FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
