"""Draws how CLIP ranks texts for pictures, and pictures for texts."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from nodes.drawing.card import Text, card
from nodes.drawing.card import caption as small_text
from nodes.drawing.film import Film, Row
from nodes.drawing.matrix import Matrix
from nodes.drawing.table import Table
from nodes.explain.clip_similarity import Similarities

_SQUARE = 256
"""Side in pixels of the pictures on the card."""


def clip_card(pictures: Tensor, texts: Sequence[str], found: Similarities) -> Tensor:
    """Draw pictures [B, H, W, C], 0..1, with their best texts, above the similarity of all pairs.

    Returns an IMAGE [1, H, 900, 3].
    """
    best = [texts[int(index)] for index in found.cosines.argmax(1)]
    shown = [_squared(picture[..., :3]) for picture in pictures]
    low, high = float(found.cosines.min()), float(found.cosines.max())
    numbers = [str(number) for number in range(1, len(pictures) + 1)]
    film = Film(
        [f"picture {number}" for number in numbers],
        [Row("", shown, captions=best)],
        smooth=True,
    )
    matrix = Matrix(texts, numbers, found.cosines.T, low, max(high, low + 1e-6))
    return card(
        "Which texts fit which pictures",
        film,
        Text("Similarity of each text and picture"),
        matrix,
        small_text("Cosine of the angle between the picture's vector and the text's: 1 is the same direction."),
    )


def captions_table(texts: Sequence[str], found: Similarities) -> Table:
    """Return the ranking of the texts for each picture: best first, with their probabilities among these texts."""
    shares = found.of_texts()
    rows = []
    for picture, cosines in enumerate(found.cosines):
        for rank, text in enumerate(cosines.argsort(descending=True).tolist(), start=1):
            share = f"{100 * float(shares[picture, text]):.1f}%"
            rows.append([str(picture + 1), str(rank), texts[text], f"{float(cosines[text]):.4f}", share])
    return Table(["picture", "rank", "caption", "similarity", "probability"], rows)


def pictures_table(texts: Sequence[str], found: Similarities) -> Table:
    """Return the ranking of the pictures for each text: best first, with their probabilities among these pictures."""
    shares = found.of_pictures()
    rows = []
    for text, cosines in enumerate(found.cosines.T):
        for rank, picture in enumerate(cosines.argsort(descending=True).tolist(), start=1):
            share = f"{100 * float(shares[picture, text]):.1f}%"
            rows.append([texts[text], str(rank), str(picture + 1), f"{float(cosines[picture]):.4f}", share])
    return Table(["caption", "rank", "picture", "similarity", "probability"], rows)


def _squared(picture: Tensor) -> Tensor:
    """Fit a picture [H, W, 3] into a white square, as small as the card shows it."""
    height, width = picture.shape[:2]
    side = max(height, width)
    x = picture.movedim(-1, 0)[None].float()
    x = F.pad(
        x, ((side - width) // 2, (side - width + 1) // 2, (side - height) // 2, (side - height + 1) // 2), value=1
    )
    return F.interpolate(x, size=(_SQUARE, _SQUARE), mode="bicubic", antialias=True)[0].movedim(0, -1).clamp(0, 1)
