"""The state of a training run in one file: weights, their average, the optimizer, losses and the step.

It is a safetensors file that is replaced atomically, so that a run stopped at any moment continues from the last state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from graph.errors import OutputFileError
from graph.operating_system import flush_file, replace_file
from nodes.training.errors import TrainingError


@dataclass
class TrainingState:
    """The data from which a run continues: tensors by name, the optimizer's by ``(kind, name)``, and plain settings."""

    step: int
    parameters: dict[str, Tensor]
    optimizer: dict[str, dict[str, Tensor]]
    average: dict[str, Tensor]
    losses: list[float]
    settings: dict[str, Any]


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: list[str]) -> dict[str, dict[str, Tensor]]:
    """Return the optimizer's state of each parameter, by the parameter's name."""
    state = optimizer.state_dict()["state"]
    return {name: dict(state[index]) for index, name in enumerate(names) if index in state}


@torch.no_grad()
def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, Tensor],
    tensors: Mapping[str, Mapping[str, Tensor]],
) -> None:
    """Undo :func:`optimizer_tensors`.

    State with a parameter's shape gets the parameter's memory layout: fused optimizers rely on it.
    """
    state = {
        index: {
            kind: torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
            for kind, value in tensors[name].items()
        }
        for index, (name, parameter) in enumerate(parameters.items())
        if name in tensors
    }
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def write_state(path: Path, state: TrainingState) -> None:
    """Replace the file at ``path``. Raises OutputFileError."""
    tensors = {f"parameter.{name}": tensor for name, tensor in state.parameters.items()}
    tensors |= {f"average.{name}": tensor for name, tensor in state.average.items()}
    for name, memory in state.optimizer.items():
        # An optional buffer (RMSprop's momentum) may be None or absent.
        tensors |= {f"optimizer.{kind}.{name}": value for kind, value in memory.items() if isinstance(value, Tensor)}
    tensors["losses"] = torch.tensor(state.losses, dtype=torch.float64)
    metadata = {"step": str(state.step), "settings": json.dumps(state.settings)}
    write_tensors(path, tensors, metadata)


def read_state(path: Path) -> TrainingState | None:
    """Read the state at ``path``; None if the file does not exist. Raises TrainingError for other files."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            step, settings = int(metadata["step"]), json.loads(metadata["settings"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise TrainingError(f"{path}: is not a training state: {error}. Delete it to start again") from error
    state = TrainingState(step, {}, {}, {}, tensors.pop("losses").tolist(), settings)
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        if group == "parameter":
            state.parameters[rest] = tensor
        elif group == "average":
            state.average[rest] = tensor
        else:
            kind, _, parameter = rest.partition(".")
            state.optimizer.setdefault(parameter, {})[kind] = tensor
    return state


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file completely or not at all, replacing an existing file. Raises OutputFileError."""
    part = path.with_name(f".{path.name}.part")
    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(contiguous, part, dict(metadata or {}))
        flush_file(part)
        replace_file(part, path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise OutputFileError(f"cannot save {path}: {error}") from error
