"""The training loop: the same for every network, optimizer and loss."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from nodes.training.average import Average
from nodes.training.errors import TrainingError
from nodes.training.optimizers import learning_rate_at, make_optimizer
from nodes.training.state import TrainingState, optimizer_tensors, read_state, restore_optimizer, write_state

log = logging.getLogger(__name__)

Loss = Callable[[torch.Generator], Tensor]
"""Function that returns the mean loss of one batch; all its random choices come from the given CPU generator."""


@dataclass(frozen=True)
class Settings:
    """The settings of a training run.

    ``steps`` counts updates of the weights, each from ``accumulation`` batches. ``average_decay`` is the decay of
    the weights' moving average, 0 for none. ``precision`` ``bf16`` computes matrix products in bfloat16 and keeps
    weights in float32. The same ``seed`` and data give the same result, whether or not the run was interrupted.
    """

    steps: int
    learning_rate: float
    accumulation: int = 1
    optimizer: str = "AdamW"
    weight_decay: float = 0.01
    beta2: float = 0.999
    schedule: str = "constant"
    warmup: int = 0
    clip_norm: float | None = None
    average_decay: float = 0.0
    precision: str = "fp32"
    seed: int = 0


class Observer(Protocol):
    """Observes a run. It may end the run by raising."""

    def after_step(self, step: int, losses: list[float], weights: Mapping[str, Tensor]) -> None:
        """Called after ``step`` steps. ``weights`` are the averaged ones if the run keeps an average."""

    def after_checkpoint(self, step: int, losses: list[float], weights: Mapping[str, Tensor]) -> None:
        """Called with the same arguments after each save of the state, and at the end."""


@dataclass
class Trained:
    """The result of a run: the loss of every step, and the weights to use (averaged if there is an average)."""

    losses: list[float]
    weights: dict[str, Tensor] = field(repr=False)
    steps: int = 0


def train(
    parameters: Mapping[str, Tensor],
    loss: Loss,
    settings: Settings,
    *,
    state_path: Path | None = None,
    save_every: float = 300.0,
    observer: Observer | None = None,
) -> Trained:
    """Train ``parameters`` in place to reduce ``loss``.

    With a ``state_path``, the run saves its state there every ``save_every`` seconds, when it is interrupted and at
    the end, and continues from a saved state. On the CPU, an interrupted run gives the same weights, bit for bit.

    Raises TrainingError if the loss becomes NaN or infinite, or if the saved state belongs to another network.
    """
    parameters = dict(parameters)
    names = list(parameters)
    optimizer = make_optimizer(
        settings.optimizer, parameters.values(), settings.learning_rate, settings.weight_decay, settings.beta2
    )
    average = Average(parameters, settings.average_decay) if settings.average_decay else None
    losses: list[float] = []
    state = read_state(state_path) if state_path is not None else None
    if state is not None:
        assert state_path is not None
        _restore(state, state_path, parameters, optimizer, average, settings)
        losses = state.losses
    step = len(losses)
    weights = average.tensors if average is not None else parameters

    def save() -> None:
        if state_path is not None:
            tensors = optimizer_tensors(optimizer, names)
            averaged = average.tensors if average is not None else {}
            write_state(state_path, TrainingState(step, parameters, tensors, averaged, losses, asdict(settings)))

    saved_step, saved_at = step, time.monotonic()
    try:
        while step < settings.steps:
            losses.append(_step(parameters, loss, settings, optimizer, step))
            if average is not None:
                average.update(parameters, step)
            step += 1
            if observer is not None:
                observer.after_step(step, losses, weights)
            if time.monotonic() - saved_at > save_every and step < settings.steps:
                save()
                if observer is not None:
                    observer.after_checkpoint(step, losses, weights)
                saved_step, saved_at = step, time.monotonic()
    finally:
        # This holds after any interruption: a step is either done, with its loss recorded, or not begun.
        if step == len(losses) and step > saved_step:
            save()
    if observer is not None:
        observer.after_checkpoint(step, losses, weights)
    return Trained(losses, dict(weights), step)


def _step(
    parameters: Mapping[str, Tensor], loss: Loss, settings: Settings, optimizer: torch.optim.Optimizer, step: int
) -> float:
    """Update the weights once. Returns the mean loss of its batches."""
    device = next(iter(parameters.values())).device
    for group in optimizer.param_groups:
        group["lr"] = learning_rate_at(step, settings.steps, settings.learning_rate, settings.schedule, settings.warmup)
    optimizer.zero_grad(set_to_none=True)
    total = 0.0
    for batch in range(settings.accumulation):
        with torch.enable_grad(), torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            value = loss(generator_for(settings.seed, step * settings.accumulation + batch))
        (value / settings.accumulation).backward()
        total += value.item() / settings.accumulation
    if not total < float("inf"):
        raise TrainingError(
            f"the loss of step {step + 1} is {total}; a lower learning_rate than {settings.learning_rate:g} may help"
        )
    if settings.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(parameters.values(), settings.clip_norm)
    optimizer.step()
    return total


def generator_for(seed: int, batch: int) -> torch.Generator:
    """Return the generator of one batch. It does not depend on earlier batches, so a run can continue at any step."""
    mixed = (seed * 0x9E3779B97F4A7C15 + batch * 0xBF58476D1CE4E5B9 + 1) % 2**63
    return torch.Generator("cpu").manual_seed(mixed)


def _restore(
    state: TrainingState,
    path: Path,
    parameters: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    average: Average | None,
    settings: Settings,
) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in parameters.items()}
    if {name: tuple(tensor.shape) for name, tensor in state.parameters.items()} != shapes:
        raise TrainingError(f"{path}: holds the state of another network; choose another name or delete the file")
    changed = {key: value for key, value in asdict(settings).items() if state.settings.get(key, value) != value}
    if changed:
        was = ", ".join(f"{key} {state.settings[key]} → {value}" for key, value in changed.items())
        log.warning("%s: the run continues with other settings: %s", path, was)
    if "optimizer" in changed:
        raise TrainingError(
            f"{path}: was trained with {state.settings['optimizer']}; choose it again, or another name for the run"
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state.parameters[name])
        if average is not None:
            for name, tensor in average.tensors.items():
                tensor.copy_(state.average.get(name, state.parameters[name]))
    restore_optimizer(optimizer, parameters, state.optimizer)
