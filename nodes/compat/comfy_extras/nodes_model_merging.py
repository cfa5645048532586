"""``comfy_extras.nodes_model_merging``: saving a checkpoint as its node does, and the nodes that merge models."""

from __future__ import annotations

from typing import Any

from nodes.compat.running import running_node
from nodes.compat.values import from_pack
from nodes.merging import saving


def save_checkpoint(
    model: Any,
    clip: Any = None,
    vae: Any = None,
    clip_vision: Any = None,
    filename_prefix: str | None = None,
    output_dir: str | None = None,
    prompt: Any = None,
    extra_pnginfo: Any = None,
) -> None:
    """Save a checkpoint in Sumi's output folder, numbered, with the workflow. Raises RuntimeError outside a node."""
    context = running_node("a checkpoint is saved")
    prefix = filename_prefix or "ComfyUI"
    saving.save_checkpoint(context, from_pack(model), from_pack(clip), from_pack(vae), prefix, prompt, extra_pnginfo)
