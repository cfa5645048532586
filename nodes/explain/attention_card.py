"""Draws cross-attention maps: the picture under a heat map for each word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nodes.drawing.card import caption as small_text
from nodes.drawing.card import card
from nodes.drawing.colours import HeatBar, heat_over
from nodes.drawing.film import Film, Row
from nodes.drawing.table import Table
from nodes.explain.attention_record import stretched, word_map
from nodes.explain.errors import ExplainError
from nodes.explain.latent_pictures import ToPictures
from nodes.explain.words import Word, numbered
from nodes.sampling.latents import scaled_in
from nodes.text.tokens import CHUNK, Tokens, text_of

if TYPE_CHECKING:
    from nodes.models.handle import Model
    from nodes.types import Conditioning, LatentDict

COLUMNS = 4


def check_text(positive: Conditioning, tokens: Tokens) -> None:
    """Raise ExplainError if the first entry of ``positive`` is shorter than the text with these ``tokens``."""
    needed = CHUNK * len(next(iter(tokens.values())))
    found = positive[0][0].shape[1] if positive else 0
    if found < needed:
        raise ExplainError(
            f"positive has {found} tokens, the text has {needed}; connect the conditioning that was made from this text"
        )


def is_of_text(positive: Conditioning, encoded: Tensor) -> bool:
    """Return whether the first entry of ``positive`` begins with the text that was encoded to [1, tokens, width]."""
    found = positive[0][0][:1, : encoded.shape[1]].float().cpu()
    return found.shape == encoded.shape and torch.allclose(found, encoded.float().cpu(), rtol=1e-2, atol=1e-2)


def picture_of(model: Model, latent: LatentDict, to_pictures: ToPictures) -> Tensor:
    """Return the first picture [H, W, 3] of a latent from a sampler."""
    return to_pictures([scaled_in(model, latent["samples"][:1].float())[0]])[0]


def word_masks(maps: Tensor, words: Sequence[Word]) -> Tensor:
    """Return the words' maps [words, h, w], each stretched to 0..1; one map of zeros if there are no words."""
    found = [stretched(word_map(maps, word.positions)) for word in words]
    return torch.stack(found) if found else torch.zeros(1, *maps.shape[1:])


def attention_card(picture: Tensor, maps: Tensor, words: Sequence[Word]) -> Tensor:
    """Draw ``picture`` [H, W, 3] under the heat map of each word, as an IMAGE [1, H, 900, 3]."""
    heats = [heat_over(picture, mask) for mask in word_masks(maps, words)] if words else []
    labels = ["the picture", *numbered(words)]
    return card(
        "Where the model looked for each word",
        Film(labels, [Row("", [picture, *heats])], columns=COLUMNS, smooth=True),
        HeatBar("least of this word", "most of this word"),
        small_text("Each map has its own scale. The table has the shares."),
    )


def attention_table(maps: Tensor, words: Sequence[Word], tokens: Tokens) -> Table:
    """Return the numbers of the maps [tokens, h, w].

    A word's share is its tokens' part of all attention, in percent; its peak the largest part at one place, which is
    given in percent of the width and height, from the top left corner. The start token, and the end token with the
    padding behind it, take what the model does not need for the words.
    """
    rows = []
    for name, word in zip(numbered(words), words, strict=True):
        total = maps[list(word.positions)].sum(0)
        place = int(total.argmax())
        height, width = total.shape
        where = f"{_percent(place % width, width)}, {_percent(place // width, height)}"
        rows.append([name, str(len(word.positions)), f"{100 * total.mean():.2f}%", f"{100 * total.max():.2f}%", where])
    chunks = next(iter(tokens.values()))
    ends = [1 + len(text_of(chunk)) for chunk in chunks]
    starts = maps[[CHUNK * number for number in range(len(chunks))]].sum(0)
    rest = torch.cat([maps[CHUNK * number + end : CHUNK * (number + 1)] for number, end in enumerate(ends)])
    for name, values, count in (("start token", starts, len(chunks)), ("end and padding", rest.sum(0), len(rest))):
        rows.append([name, str(count), f"{100 * values.mean():.2f}%", f"{100 * values.max():.2f}%", ""])
    return Table(["word", "tokens", "share", "peak", "peak at x, y (%)"], rows)


def _percent(index: int, size: int) -> int:
    return round(100 * (index + 0.5) / size)
