"""The vector that SDXL is given besides the text. Podell et al., arXiv:2307.01952, section 2.2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nodes.unet.timestep_embedding import timestep_embedding

_EMBEDDING_WIDTH = 256
_BASE_NUMBERS = 6
_AESTHETIC_SCORE = 6.0


def vector(options: Mapping[str, Any], width: int, picture_height: int, picture_width: int) -> Tensor:
    """``y`` [1, width]: the pooled text, then an embedding of 256 for each of some numbers.

    ``options`` are those of a conditioning entry; sizes that it does not give are the picture's,
    in pixels. The base model is told the original size, the crop's corner and the target size;
    the refiner, whose vector is shorter by 256, has an aesthetic score in place of the target size.
    """
    height, breadth = options.get("height", picture_height), options.get("width", picture_width)
    numbers = [height, breadth, options.get("crop_h", 0), options.get("crop_w", 0)]
    pooled = options.get("pooled_output")
    pooled_width = width - _BASE_NUMBERS * _EMBEDDING_WIDTH if pooled is None else pooled.shape[-1]
    if width - pooled_width >= _BASE_NUMBERS * _EMBEDDING_WIDTH:
        numbers += [options.get("target_height", height), options.get("target_width", breadth)]
    else:
        numbers += [options.get("aesthetic_score", _AESTHETIC_SCORE)]
    if pooled is None:
        pooled = torch.zeros(1, width - len(numbers) * _EMBEDDING_WIDTH)
    sizes = timestep_embedding(torch.tensor([float(n) for n in numbers]), _EMBEDDING_WIDTH)
    return torch.cat([pooled.float().cpu(), sizes.flatten()[None]], dim=1)
