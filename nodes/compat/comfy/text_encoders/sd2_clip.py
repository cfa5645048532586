"""``comfy.text_encoders.sd2_clip``: the text encoder of SD2, for packs that identify it by class."""

from nodes.compat.comfy._text_encoders import SD1Tokenizer, SD2ClipHModel, SD2ClipModel, SDTokenizer

SD2ClipHTokenizer, SD2Tokenizer = SDTokenizer, SD1Tokenizer

__all__ = ["SD2ClipHModel", "SD2ClipHTokenizer", "SD2ClipModel", "SD2Tokenizer"]
