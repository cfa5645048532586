"""Nodes that apply LoRA files."""

from __future__ import annotations

import logging
from typing import Annotated, Any, NamedTuple

from graph.context import Context, warn
from graph.folders import Folders
from graph.node import Files, Range, node
from nodes.file_identity import identity
from nodes.types import Clip, Model

log = logging.getLogger(__name__)

Strength = Annotated[float, Range(-100.0, 100.0, 0.01)]
"""The factor of the change; 1 is the trained strength, and negative values reverse it."""


class ModelAndClip(NamedTuple):
    MODEL: Model
    CLIP: Clip


def _lora_state(*, lora_name: str, strength_model: Any, strength_clip: Any, folders: Folders) -> Any:
    """Return the file's identity; None if the strengths are 0, since the file is then not read."""
    return identity(folders.find("loras", lora_name), folders) if strength_model or strength_clip else None


def _model_lora_state(*, lora_name: str, strength_model: Any, folders: Folders) -> Any:
    return identity(folders.find("loras", lora_name), folders) if strength_model else None


@node(
    "LoraLoader",
    display_name="Load LoRA",
    category="loaders",
    fingerprint=_lora_state,
    content_inputs=("lora_name",),
    environment=False,
)
def lora_loader(
    *,
    model: Model,
    clip: Clip,
    lora_name: Annotated[str, Files("loras")],
    strength_model: Strength = 1.0,
    strength_clip: Strength = 1.0,
    context: Context,
) -> ModelAndClip:
    """Apply a file to a model and its text encoder: LoRA (arXiv:2106.09685), LoHa, LoKr, GLoRA, OFT, BOFT or DoRA.

    At strengths of 0, the file is not read and nothing changes. Raises LoraError for a LoRA of another family of
    models, CheckpointError for a file that cannot be read.
    """
    return ModelAndClip(*_with_lora(model, clip, lora_name, strength_model, strength_clip, context))


@node(
    "LoraLoaderModelOnly",
    category="loaders",
    display_name="LoraLoaderModelOnly",
    fingerprint=_model_lora_state,
    content_inputs=("lora_name",),
    environment=False,
)
def lora_loader_model_only(
    *,
    model: Model,
    lora_name: Annotated[str, Files("loras")],
    strength_model: Strength = 1.0,
    context: Context,
) -> Model:
    """Apply a LoRA file to a model, but not to its text encoder.

    At a strength of 0, the file is not read and nothing changes. Raises LoraError for another family of models.
    """
    return _with_lora(model, None, lora_name, strength_model, 0.0, context)[0]


def _with_lora(
    model: Any, clip: Any, name: str, strength_model: float, strength_clip: float, context: Context
) -> tuple[Any, Any]:
    if not strength_model and not strength_clip:
        return model, clip
    from nodes.lora.application import apply
    from nodes.lora.sources import LoraFile
    from nodes.models.checkpoint import Checkpoint

    lora = LoraFile.open(Checkpoint.open(context.folders.find("loras", name)))
    applied = apply(lora, model, clip, strength_model, strength_clip)
    for warning in applied.warnings:
        warn(log, warning)
    return applied.model, applied.clip
