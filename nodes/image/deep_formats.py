"""Writes pictures with more than 8 bits a channel: PNG with 16, and OpenEXR with 32-bit floats.

Pillow writes neither. PNG: https://www.w3.org/TR/png-3/; OpenEXR's scan lines, uncompressed:
https://openexr.com/en/latest/OpenEXRFileLayout.html
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import BinaryIO, Final

import numpy as np
import torch
from torch import Tensor

_PNG_COLOURS: Final = {1: 0, 3: 2, 4: 6}
"""PNG's colour type for each number of channels."""
_LINEAR_BELOW: Final = 0.04045
REC_2020: Final = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
"""x and y of red, green, blue and white (ITU-R BT.2020)."""
_HLG_A: Final = 0.17883277
_HLG_B: Final = 1 - 4 * _HLG_A
_HLG_C: Final = 0.5 - _HLG_A * math.log(4 * _HLG_A)


def write_png16(file: BinaryIO, picture: Tensor, texts: Mapping[str, str]) -> None:
    """Write ``picture`` [H, W, 1, 3 or 4], 0..1, with 16 bits a channel and ``texts`` as tEXt chunks (Latin-1)."""
    values = (picture.detach().cpu().float().nan_to_num(0.0).clamp(0, 1) * 65535 + 0.5).numpy().astype(">u2")
    height, width, channels = values.shape
    rows = values.reshape(height, -1).view(np.uint8).reshape(height, -1)
    lines = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1)  # each line begins with its filter: none
    file.write(b"\x89PNG\r\n\x1a\n")
    file.write(_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOURS[channels], 0, 0, 0)))
    for key, text in texts.items():
        file.write(_chunk(b"tEXt", key.encode("latin-1") + b"\0" + text.encode("latin-1")))
    file.write(_chunk(b"IDAT", zlib.compress(lines.tobytes(), 4)))
    file.write(_chunk(b"IEND", b""))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_exr(
    file: BinaryIO, picture: Tensor, texts: Mapping[str, str], primaries: Sequence[float] | None = None
) -> None:
    """Write scene-linear ``picture`` [H, W, 3 or 4] as 32-bit floats, with ``texts`` as string attributes.

    ``primaries``: x and y of red, green, blue and white, for colours that are not Rec. 709's.
    """
    values = picture.detach().cpu().float().numpy()
    height, width, channels = values.shape
    names = "ABGR"[4 - channels :]  # channels are in alphabetical order
    order = ["RGBA".index(name) for name in names]
    listed = b"".join(name.encode() + b"\0" + struct.pack("<iiii", 2, 0, 1, 1) for name in names) + b"\0"
    box = struct.pack("<iiii", 0, 0, width - 1, height - 1)
    attributes = [
        ("channels", "chlist", listed),
        ("compression", "compression", b"\0"),
        ("dataWindow", "box2i", box),
        ("displayWindow", "box2i", box),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1.0)),
        ("screenWindowCenter", "v2f", struct.pack("<ff", 0.0, 0.0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1.0)),
        *([("chromaticities", "chromaticities", struct.pack("<8f", *primaries))] if primaries else []),
        *((key, "string", text.encode()) for key, text in texts.items()),
    ]
    header = struct.pack("<II", 20000630, 2)
    for key, kind, data in attributes:
        header += key.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(data)) + data
    header += b"\0"
    size = width * channels * 4
    first = len(header) + 8 * height
    file.write(header)
    file.write(struct.pack(f"<{height}Q", *(first + line * (8 + size) for line in range(height))))
    for line in range(height):
        file.write(struct.pack("<ii", line, size))
        file.write(np.ascontiguousarray(values[line, :, order]).astype("<f4").tobytes())


def linear_from_srgb(picture: Tensor) -> Tensor:
    """Scene-linear colours of ``picture`` [H, W, C] in sRGB (IEC 61966-2-1); the fourth channel stays."""
    colours = picture[..., :3]
    linear = torch.where(colours <= _LINEAR_BELOW, colours / 12.92, ((colours.clamp(min=0) + 0.055) / 1.055).pow(2.4))
    return torch.cat([linear, picture[..., 3:]], dim=-1)


def linear_from_hlg(picture: Tensor) -> Tensor:
    """Scene-linear colours, 0..1, of ``picture`` [H, W, C] in hybrid log-gamma (ITU-R BT.2100, table 5).

    The inverse of its OETF; the fourth channel stays. Values below 0 are mirrored.
    """
    colours = picture[..., :3]
    linear = torch.where(
        colours <= 0.5, colours * colours.abs() / 3, (((colours - _HLG_C) / _HLG_A).exp() + _HLG_B) / 12
    )
    return torch.cat([linear, picture[..., 3:]], dim=-1)
