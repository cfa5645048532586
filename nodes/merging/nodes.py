"""The nodes that merge models and text encoders."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

from graph.context import warn
from graph.node import Range, node
from nodes.types import Clip, Model

if TYPE_CHECKING:
    from nodes.merging.merge import Merged

log = logging.getLogger(__name__)

Ratio = Annotated[float, Range(0.0, 1.0, 0.01)]
"""The share of the first model; 1 is the first model alone."""
Multiplier = Annotated[float, Range(-10.0, 10.0, 0.01)]


@node("ModelMergeSimple", display_name="ModelMergeSimple", category="advanced/model_merging")
def model_merge_simple(*, model1: Model, model2: Model, ratio: Ratio = 1.0) -> Model:
    """Mix the weights of two models: ``ratio`` of the first, the rest of the second (arXiv:2203.05482).

    Raises MergeError for models of different families.
    """
    from nodes.merging.merge import mixed

    return checked(mixed(model1, model2, lambda name: ratio))


@node("ModelMergeBlocks", display_name="ModelMergeBlocks", category="advanced/model_merging")
def model_merge_blocks(
    *, model1: Model, model2: Model, input: Ratio = 1.0, middle: Ratio = 1.0, out: Ratio = 1.0
) -> Model:
    """Mix two models with separate ratios for the U-Net's input, middle and output blocks.

    The embeddings of time and size use the input ratio. Raises MergeError for models of different families.
    """
    from nodes.merging.merge import mixed, ratio_by_block

    return checked(mixed(model1, model2, ratio_by_block({"input": input, "middle": middle, "out": out})))


@node("ModelMergeAdd", display_name="ModelMergeAdd", category="advanced/model_merging")
def model_merge_add(*, model1: Model, model2: Model) -> Model:
    """Add the second model's weights to the first's. The second is usually a difference of two models.

    Raises MergeError for models of different families.
    """
    from nodes.merging.merge import added

    return checked(added(model1, model2))


@node("ModelMergeSubtract", display_name="ModelMergeSubtract", category="advanced/model_merging")
def model_merge_subtract(*, model1: Model, model2: Model, multiplier: Multiplier = 1.0) -> Model:
    """Subtract the second model's weights from the first's, and multiply the difference.

    Raises MergeError for models of different families.
    """
    from nodes.merging.merge import subtracted

    return checked(subtracted(model1, model2, multiplier))


@node("CLIPMergeSimple", display_name="CLIPMergeSimple", category="advanced/model_merging")
def clip_merge_simple(*, clip1: Clip, clip2: Clip, ratio: Ratio = 1.0) -> Clip:
    """Mix the weights of two CLIPs: ``ratio`` of the first, the rest of the second.

    Raises MergeError for text encoders that differ.
    """
    from nodes.merging.merge import mixed_clip

    return mixed_clip(clip1, clip2, ratio)


@node("CLIPMergeAdd", display_name="CLIPMergeAdd", category="advanced/model_merging")
def clip_merge_add(*, clip1: Clip, clip2: Clip) -> Clip:
    """Add the second CLIP's weights to the first's. The second is usually a difference of two CLIPs.

    Raises MergeError for text encoders that differ.
    """
    from nodes.merging.merge import added_clip

    return added_clip(clip1, clip2)


@node("CLIPMergeSubtract", display_name="CLIPMergeSubtract", category="advanced/model_merging")
def clip_merge_subtract(*, clip1: Clip, clip2: Clip, multiplier: Multiplier = 1.0) -> Clip:
    """Subtract the second CLIP's weights from the first's, and multiply the difference.

    Raises MergeError for text encoders that differ.
    """
    from nodes.merging.merge import subtracted_clip

    return subtracted_clip(clip1, clip2, multiplier)


def checked(merged: Merged) -> Any:
    """Return the merged model, and show on the node how many tensors were not merged."""
    if merged.kept:
        warn(log, f"{len(merged.kept)} tensors have another shape in model2 and were not merged: {merged.kept[0]}")
    return merged.model
