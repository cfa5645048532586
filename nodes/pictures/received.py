"""Checks IMAGE and MASK values that node packs return, when one of Sumi's nodes receives them.

A pack may return anything for its own nodes to read, so the value is converted here and not where it is returned.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from graph.context import warn
from graph.errors import InputValueError
from graph.schema import NodeType

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

_CHANNELS: Final = (1, 3, 4)
_EXPECTED: Final = {
    "IMAGE": "an IMAGE: a tensor [batch, height, width, channels], from 0 to 1",
    "MASK": "a MASK: a tensor [batch, height, width], from 0 to 1",
}


def with_checked_pictures(node_type: NodeType) -> NodeType:
    """Return the node type with its IMAGE and MASK inputs converted by :func:`picture_from` before each call."""
    checked = {
        declared.parameter or declared.name: (declared.name, declared.type, declared.required)
        for declared in node_type.inputs
        if declared.type in _EXPECTED
    }
    if not checked or node_type.input_is_list:
        return node_type
    function: Callable[..., Any] = node_type.function

    @functools.wraps(function)
    def call(**inputs: Any) -> Any:
        for parameter, (name, kind, required) in checked.items():
            value = inputs.get(parameter)
            if parameter in inputs and (required or value is not None):
                inputs[parameter] = picture_from(value, name, kind)
        return function(**inputs)

    return dataclasses.replace(node_type, function=call)


def picture_from(value: Any, name: str, kind: str) -> torch.Tensor:
    """Return ``value`` as an IMAGE [B, H, W, C] or MASK [B, H, W], float32 from 0 to 1.

    Tensors with the right number of dimensions are returned unchanged, and so are all tensors for a mask of 2 or more
    dimensions. One picture becomes a batch of one; grey pictures [H, W] and [B, H, W] get 3 channels. Also converts
    numpy arrays, Pillow pictures and lists of pictures of one size. Each conversion adds a warning to the node.

    Raises InputValueError, with the name of the input, for other values.
    """
    import torch

    if isinstance(value, torch.Tensor) and (value.ndim == 4 if kind == "IMAGE" else value.ndim >= 2):
        return value
    converted = _batch(value, name, kind)
    warn(log, f"input '{name}' received {_shown(value)}, which was converted to the shape {list(converted.shape)}")
    return converted


def _batch(value: Any, name: str, kind: str) -> torch.Tensor:
    import torch

    if isinstance(value, (list, tuple)) and value:
        parts = [_batch(part, name, kind) for part in value]
        shapes = {tuple(part.shape[1:]) for part in parts}
        if len(shapes) > 1:
            sizes = ", ".join(str(list(shape)) for shape in sorted(shapes))
            raise InputValueError(name, f"a list of pictures of different sizes {sizes}", _EXPECTED[kind])
        return torch.cat(parts)
    pixels = _tensor(value)
    if pixels is None:
        raise InputValueError(name, _shown(value), _EXPECTED[kind])
    if kind == "MASK":
        if not 2 <= pixels.ndim <= 3:
            raise InputValueError(name, _shown(value), _EXPECTED[kind])
        return pixels if pixels.ndim == 3 else pixels.unsqueeze(0)
    if pixels.ndim == 3 and pixels.shape[-1] in _CHANNELS:
        return pixels.unsqueeze(0)
    if pixels.ndim == 2:
        pixels = pixels.unsqueeze(0)
    if pixels.ndim == 3:
        pixels = pixels.unsqueeze(-1).repeat(1, 1, 1, 3)
    if pixels.ndim != 4:
        raise InputValueError(name, _shown(value), _EXPECTED[kind])
    return pixels


def _tensor(value: Any) -> torch.Tensor | None:
    """Return one picture, or an array of them, as float32. Integers are scaled from their range to 0..1."""
    import numpy as np
    import PIL.Image
    import torch

    if isinstance(value, PIL.Image.Image):
        value = np.array(value if value.mode in ("L", "RGB", "RGBA") else value.convert("RGB"))
    if isinstance(value, torch.Tensor):
        white = 255.0 if value.dtype == torch.uint8 else 1.0
        return None if value.is_complex() else value.to(torch.float32) / white
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "buif":
        return None
    white = float(np.iinfo(value.dtype).max) if value.dtype.kind == "u" else 1.0
    return torch.from_numpy(value.astype(np.float32) / np.float32(white))


def _shown(value: Any) -> str:
    """Return kind and shape of ``value``, such as ``a tensor [16, 16]``."""
    import numpy as np
    import torch

    if value is None:
        return "nothing (None)"
    if isinstance(value, torch.Tensor):
        return f"a tensor {list(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"a numpy array {list(value.shape)} of {value.dtype}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)} values"
    return f"a {type(value).__name__}"
