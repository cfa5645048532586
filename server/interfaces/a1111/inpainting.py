"""The part of a picture that img2img works on if there is a mask."""

from __future__ import annotations

from typing import NamedTuple

from server.interfaces.a1111.parameters import PictureRequest
from server.interfaces.a1111.pictures import StoredMask, StoredPicture


class Box(NamedTuple):
    """A part of a picture, in pixels."""

    x: int
    y: int
    width: int
    height: int


def masked_part(mask: StoredMask | None, wanted: PictureRequest) -> tuple[int, int, int, int] | None:
    """Return the extent (left, top, right, bottom) of the area to regenerate; None if nothing is masked."""
    assert wanted.source is not None
    if mask is None:
        return None
    return mask.inverted_box if wanted.source.invert_mask else mask.box


def crop_of(part: tuple[int, int, int, int], picture: StoredPicture, wanted: PictureRequest) -> Box:
    """Return the part of the picture that is enlarged for "inpaint at full resolution".

    It holds the blurred mask and the padding around it, and has the shape of the result, as far as the picture goes.
    """
    source = wanted.source
    assert source is not None
    margin = int(2.5 * source.mask_blur + 0.5) + source.padding
    left, right = max(0, part[0] - margin), min(picture.width, part[2] + margin)
    top, bottom = max(0, part[1] - margin), min(picture.height, part[3] + margin)
    if (right - left) * wanted.height > (bottom - top) * wanted.width:
        top, bottom = _widened(top, bottom, (right - left) * wanted.height // wanted.width, picture.height)
    else:
        left, right = _widened(left, right, (bottom - top) * wanted.width // wanted.height, picture.width)
    return Box(left, top, right - left, bottom - top)


def _widened(low: int, high: int, length: int, limit: int) -> tuple[int, int]:
    """Return a range of that length around ``low`` … ``high``, moved and cut to fit into 0 … ``limit``."""
    more = max(0, length - (high - low))
    low, high = low - more // 2, high + more - more // 2
    if high > limit:
        low, high = low - (high - limit), limit
    if low < 0:
        low, high = 0, min(limit, high - low)
    return low, high
