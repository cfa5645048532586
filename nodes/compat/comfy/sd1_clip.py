"""``comfy.sd1_clip``: tokenizers and text encoders, for packs that identify them by class, and prompt weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from nodes.compat.comfy._text_encoders import SD1ClipModel, SD1Tokenizer, SDClipModel, SDTokenizer
from nodes.text import prompt_weights
from nodes.text.tokens import CHUNK

__all__ = [
    "ClipTokenWeightEncoder",
    "SD1CheckpointClipModel",
    "SD1ClipModel",
    "SD1Tokenizer",
    "SDClipModel",
    "SDTokenizer",
    "escape_important",
    "gen_empty_tokens",
    "token_weights",
    "unescape_important",
]

SD1CheckpointClipModel = SDClipModel

_ESCAPES = {"\\)": "\0\1", "\\(": "\0\2"}
"""Escaped brackets, and their replacements while weights are read."""


class ClipTokenWeightEncoder:
    """The base of packs' own text encoders. A subclass defines ``encode`` and ``special_tokens``."""

    special_tokens: Mapping[str, int]

    def encode(self, tokens: Sequence[Sequence[Any]]) -> tuple[Tensor, Tensor | None]:
        """Return the embeddings [k, T, width] of k chunks of ids and the pooled vectors [k, width]."""
        raise NotImplementedError(f"{type(self).__qualname__} has no method 'encode'")

    def encode_token_weights(self, token_weight_pairs: Sequence[Sequence[Any]]) -> tuple[Tensor, Tensor | None]:
        """The embedding [1, T·k, width] of k chunks of (id, weight): a weight w gives z_empty + w · (z - z_empty)."""
        chunks = [[pair[0] for pair in chunk] for chunk in token_weight_pairs]
        empty = gen_empty_tokens(self.special_tokens, max((len(chunk) for chunk in chunks), default=CHUNK))
        hidden, pooled = self.encode([*chunks, empty])
        texts, background = hidden[:-1], hidden[-1:]
        weights = hidden.new_tensor([[float(pair[1]) for pair in chunk] for chunk in token_weight_pairs])[..., None]
        weighted = background + weights * (texts - background)
        return weighted.flatten(0, 1).unsqueeze(0).cpu(), None if pooled is None else pooled[:1].cpu()


def escape_important(text: str) -> str:
    """``text`` with its escaped brackets replaced, so that :func:`token_weights` ignores them."""
    for bracket, code in _ESCAPES.items():
        text = text.replace(bracket, code)
    return text


def unescape_important(text: str) -> str:
    """``text`` with the brackets that :func:`escape_important` replaced, without their backslashes."""
    for bracket, code in _ESCAPES.items():
        text = text.replace(code, bracket[1:])
    return text


def token_weights(string: str, current_weight: float) -> list[tuple[str, float]]:
    """Return pieces of the text with their weights: ``(text:1.2)`` sets one, text outside has ``current_weight``."""
    return [(run.text, run.weight * current_weight) for run in prompt_weights.parse(string)]


def gen_empty_tokens(special_tokens: Mapping[str, int | None], length: int) -> list[int]:
    """Return the ids of an empty prompt: start, end, padding."""
    start, end, padding = (special_tokens.get(name) for name in ("start", "end", "pad"))
    ids = [token for token in (start, end) if token is not None]
    return ids + [padding or 0] * (length - len(ids))
