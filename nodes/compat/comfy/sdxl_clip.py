"""``comfy.sdxl_clip``: the text encoders of SDXL, for packs that identify them by class."""

from nodes.compat.comfy._text_encoders import (
    SDTokenizer,
    SDXLClipG,
    SDXLClipModel,
    SDXLRefinerClipModel,
    SDXLTokenizer,
)

SDXLClipGTokenizer = SDTokenizer

__all__ = ["SDXLClipG", "SDXLClipGTokenizer", "SDXLClipModel", "SDXLRefinerClipModel", "SDXLTokenizer"]
