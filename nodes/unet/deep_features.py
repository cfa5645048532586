"""The U-Net's deep feature map, kept from one call and used by later ones instead of computing it.

Ma et al., "DeepCache" (arXiv:2312.00858): from one step to the next the deep features of the U-Net change little, and
the shallow ones, which its outermost skip connections carry, change much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from torch import Tensor

OPTION: Final = "deep_features"
"""The transformer option that holds :class:`DeepFeatures`."""


@dataclass
class DeepFeatures:
    """The input of the outermost ``depth`` output blocks.

    A call that finds ``kept`` empty computes everything and fills it. Other calls run only the first ``depth`` input
    blocks and the last ``depth`` output blocks, which start from ``kept`` [B, C, h, w].
    """

    depth: int
    kept: Tensor | None = None
