"""How each family uses its text encoders: the layer, the padding, and the prefix in checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from nodes.models.text_config import CHECKPOINT_PREFIX, Activation, TextConfig

PAD_WITH_END: Final = 49407
"""The end token, with which OpenAI's CLIP pads a chunk."""
PAD_WITH_ZERO: Final = 0
"""The token with which OpenCLIP pads a chunk."""


@dataclass(frozen=True)
class TextRole:
    """One text encoder of a family.

    ``name`` is its key in tokens and embeddings ("l", "g", "h"), ``kind`` its name in messages. ``width`` and
    ``layers`` describe the published encoder; smaller ones are used in the same way. ``padding`` is the token that pads
    a chunk. ``layer`` is the layer whose output is used: -1 the last, -2 the one before; ``final_norm``: whether the
    final norm is applied to it. The encoder with ``pools`` returns the pooled vector: the end token of the last layer,
    projected if the file has a projection. ``prefixes`` are its prefixes in checkpoints of the family.
    """

    name: str
    kind: str
    width: int
    layers: int
    activation: Activation
    padding: int
    prefixes: tuple[str, ...]
    layer: int = -1
    final_norm: bool = True
    pools: bool = True

    def layer_in(self, config: TextConfig, chosen: int | None = None) -> int:
        """Return the layer whose output is used, for an encoder with this ``config``; ``chosen`` replaces the family's.

        Some files of SD2's encoder leave out the last layer, which is never used. Then the published encoder's
        last layer but one is the file's last.
        """
        layer = self.layer if chosen is None else chosen
        if config.width == self.width and config.layers == self.layers - 1 and self.layer < -1:
            return min(layer + 1, -1)
        return layer


_CLIP_L: Final = TextRole("l", "CLIP ViT-L", 768, 12, "quick_gelu", PAD_WITH_END, (CHECKPOINT_PREFIX,))
_OPENCLIP_H: Final = TextRole(
    "h", "OpenCLIP ViT-H", 1024, 24, "gelu", PAD_WITH_ZERO, ("cond_stage_model.model.", CHECKPOINT_PREFIX), layer=-2
)
_OPENCLIP_BIGG: Final = TextRole(
    "g",
    "OpenCLIP ViT-bigG",
    1280,
    32,
    "gelu",
    PAD_WITH_ZERO,
    ("conditioner.embedders.0.model.",),
    layer=-2,
    final_norm=False,
)

SD1_TEXT: Final = (_CLIP_L,)
SD2_TEXT: Final = (_OPENCLIP_H,)
SDXL_REFINER_TEXT: Final = (_OPENCLIP_BIGG,)
SDXL_TEXT: Final = (
    replace(_CLIP_L, prefixes=("conditioner.embedders.0.transformer.",), layer=-2, final_norm=False, pools=False),
    replace(_OPENCLIP_BIGG, prefixes=("conditioner.embedders.1.model.",)),
)

_ALONE: Final = (*SD1_TEXT, *SD2_TEXT, *SDXL_REFINER_TEXT)


def role_alone(width: int) -> TextRole:
    """Return the role of an encoder in a separate file: from the family with only this one; SD1's for other widths."""
    return next((role for role in _ALONE if role.width == width), _CLIP_L)


def encoder_names(roles: Sequence[TextRole]) -> str:
    """Join the roles' names for a message."""
    return " and ".join(role.kind for role in roles)
