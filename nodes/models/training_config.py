"""Reads from a latent diffusion training configuration (``v2-inference-v.yaml``) what the tensors do not show."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nodes.models.checkpoint import CheckpointError


def prediction(path: Path) -> Literal["eps", "v"] | None:
    """Return ``model.params.parameterization`` of the YAML file at ``path``, or eps if only that parameter is missing.

    Returns None if the file has no model parameters. Raises CheckpointError if it cannot be read.
    """
    import yaml

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path}: is not a YAML configuration: {error}") from error
    for name in ("model", "params"):
        config = config.get(name) if isinstance(config, dict) else None
    if not isinstance(config, dict):
        return None
    return "v" if config.get("parameterization") == "v" else "eps"
