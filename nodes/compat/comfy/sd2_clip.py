"""``comfy.sd2_clip``: the older name of :mod:`comfy.text_encoders.sd2_clip`."""

from nodes.compat.comfy.text_encoders.sd2_clip import SD2ClipHModel, SD2ClipHTokenizer, SD2ClipModel, SD2Tokenizer

__all__ = ["SD2ClipHModel", "SD2ClipHTokenizer", "SD2ClipModel", "SD2Tokenizer"]
