"""Chooses the examples and captions of a batch, and makes their token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from nodes.models.handle import Clip
from nodes.text.encoding import encode_tokens
from nodes.text.prompt import tokenize_prompt
from nodes.text.tokenizer import END, START, tokenize
from nodes.training.dataset import Example

TOKENS: Final = 77


class CaptionedBatches:
    """Draws examples by weight, with one caption each.

    ``dropout`` is the share of examples with the empty caption. The model needs them for classifier-free guidance
    (arXiv:2207.12598).
    """

    def __init__(self, examples: Sequence[Example], batch_size: int, dropout: float = 0.0, padding: int = END):
        self._examples = examples
        self._batch_size = batch_size
        self._dropout = dropout
        self._padding = padding
        self._weights = torch.tensor([example.weight for example in examples], dtype=torch.float64)
        self._ids: dict[str, Tensor] = {}

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw the indices [B] of examples, and the token ids [B, 77] of a caption of each."""
        chosen = torch.multinomial(self._weights, self._batch_size, replacement=True, generator=generator)
        dropped = torch.rand(self._batch_size, generator=generator) < self._dropout
        which = torch.rand(self._batch_size, generator=generator)
        captions = [
            "" if drop or not (texts := self._examples[index].captions) else texts[int(share * len(texts))]
            for index, drop, share in zip(chosen.tolist(), dropped.tolist(), which.tolist(), strict=True)
        ]
        return chosen, torch.stack([self.ids(caption) for caption in captions])

    def ids(self, caption: str) -> Tensor:
        """Return the token ids [77] of a caption: its first 75 tokens between start and end."""
        if caption not in self._ids:
            self._ids[caption] = token_ids(caption, self._padding)
        return self._ids[caption]


def token_ids(text: str, padding: int = END) -> Tensor:
    """Return the first 75 tokens of a text between start and end token, padded to 77. Raises PromptError."""
    pieces = [piece.id for piece in tokenize(text)][: TOKENS - 2]
    ids = [START, *pieces, END]
    return torch.tensor(ids + [padding] * (TOKENS - len(ids)))


def encoded_captions(clip: Clip, examples: Sequence[Example]) -> list[list[Any]]:
    """Return CONDITIONING with one entry for each example: its first caption, or the empty text if it has none."""
    entries = []
    for example in examples:
        embedding, pooled = encode_tokens(clip, tokenize_prompt(clip, example.captions[0] if example.captions else ""))
        entries.append([embedding, {"pooled_output": pooled}])
    return entries
