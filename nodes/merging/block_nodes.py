"""Nodes that merge models with one ratio for every block of a family's U-Net."""

from __future__ import annotations

from typing import Any, Final

from graph.node import node
from graph.schema import Input
from nodes.merging.nodes import checked
from nodes.types import Model

CATEGORY: Final = "advanced/model_merging/model_specific"

_EMBEDDINGS: Final = ("time_embed.", "label_emb.")
_SD1_BLOCKS: Final = (
    *_EMBEDDINGS,
    *(f"input_blocks.{number}." for number in range(12)),
    *(f"middle_block.{number}." for number in range(3)),
    *(f"output_blocks.{number}." for number in range(12)),
    "out.",
)
_SDXL_BLOCKS: Final = (
    *_EMBEDDINGS,
    *(f"input_blocks.{number}" for number in range(9)),
    *(f"middle_block.{number}" for number in range(3)),
    *(f"output_blocks.{number}" for number in range(9)),
    "out.",
)


def _inputs(blocks: tuple[str, ...]) -> list[Input]:
    """Return the inputs: both models, and a ratio for each prefix of a block's tensors."""
    sockets = [Input(name, "MODEL", parameter=name) for name in ("model1", "model2")]
    ratios = [Input(block, "FLOAT", default=1.0, minimum=0.0, maximum=1.0, step=0.01) for block in blocks]
    return [*sockets, *ratios]


def _by_block(model1: Any, model2: Any, ratios: dict[str, float]) -> Any:
    from nodes.merging.merge import mixed, ratio_by_block

    return checked(mixed(model1, model2, ratio_by_block(ratios)))


@node("ModelMergeSD1", display_name="ModelMergeSD1", category=CATEGORY, inputs=_inputs(_SD1_BLOCKS))
def model_merge_sd1(*, model1: Model, model2: Model, **ratios: float) -> Model:
    """Mix two models of SD1 with one ratio for each block of the U-Net.

    Raises MergeError for models of different families.
    """
    return _by_block(model1, model2, ratios)


@node("ModelMergeSD2", display_name="ModelMergeSD2", category=CATEGORY, inputs=_inputs(_SD1_BLOCKS))
def model_merge_sd2(*, model1: Model, model2: Model, **ratios: float) -> Model:
    """Mix two models of SD2 with one ratio for each block of the U-Net; the blocks are the same as SD1's.

    Raises MergeError for models of different families.
    """
    return _by_block(model1, model2, ratios)


@node("ModelMergeSDXL", display_name="ModelMergeSDXL", category=CATEGORY, inputs=_inputs(_SDXL_BLOCKS))
def model_merge_sdxl(*, model1: Model, model2: Model, **ratios: float) -> Model:
    """Mix two models of SDXL with one ratio for each block of the U-Net.

    Raises MergeError for models of different families.
    """
    return _by_block(model1, model2, ratios)
