"""Cards and tables of prompts: their tokens, neighbours of tokens, and similarities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from torch import Tensor

from nodes.drawing.card import Block, Text, caption, card
from nodes.drawing.chips import Chip, Chips
from nodes.drawing.colours import SEQUENTIAL, ColourBar
from nodes.drawing.lettering import number_text
from nodes.drawing.matrix import Matrix
from nodes.drawing.style import STRIPE
from nodes.drawing.table import Table
from nodes.explain.embeddings import MOST_TOKENS, Neighbour, Similarity, labels
from nodes.explain.tokens import ReadPrompt, ReadToken, piece_text
from nodes.text.tokenizer import vocabulary
from nodes.text.tokens import CHUNK, ROOM

_STRONGER: Final = ("#fbe3cf", "#f7c9a3")
"""Grounds of chips with a weight above 1, and of 1.3 or more."""
_WEAKER: Final = ("#dce9f5", "#b9d4ec")
_MOST_CHIPS: Final = 4 * ROOM
_MOST_NAMED: Final = 8
"""Words that a remark names."""
_MOST_CELLS: Final = 24
"""Tokens of each prompt in the picture of a matrix."""


def tokens_card(prompts: Sequence[ReadPrompt]) -> tuple[Tensor, Table]:
    """Return the card and the table of a prompt's tokens, for all text encoders."""
    blocks: list[Block] = []
    for prompt in prompts:
        blocks.append(Text(_counted(prompt), bold=True))
        room = _MOST_CHIPS
        for number in range(1, prompt.chunks + 1):
            if room <= 0:
                blocks.append(caption(f"… and {len(prompt.tokens) - _MOST_CHIPS:,} more tokens, in the table"))
                break
            tokens = prompt.in_chunk(number)
            if prompt.chunks > 1:
                blocks.append(caption(f"Chunk {number} of {prompt.chunks}: {len(tokens)} of {ROOM} tokens"))
            if tokens[:room]:
                blocks.append(Chips([_chip(token) for token in tokens[:room]]))
            room -= len(tokens)
        remarks = [*prompt.remarks, *_without_vectors(prompt)]
        if remarks:
            blocks.append(caption("\n".join(remarks)))
    blocks.append(caption(_explanation(prompts)))
    several = len(prompts) > 1
    headers = [*(["encoder"] if several else []), "chunk", "position", "piece", "id", "weight", "note"]
    rows = [
        [*([prompt.encoder.role.kind] if several else []), *_cells(token)]
        for prompt in prompts
        for token in prompt.tokens
    ]
    return card("Tokens", *blocks), Table(headers, rows)


def neighbours_card(
    found: Sequence[tuple[ReadPrompt, Sequence[tuple[ReadToken, Sequence[Neighbour]]]]],
) -> tuple[Tensor, Table]:
    """Return the card and the table of the entries nearest to the tokens of a text."""
    blocks: list[Block] = []
    rows = []
    several = len(found) > 1
    for prompt, tokens in found:
        kind = prompt.encoder.role.kind
        blocks.append(Text(f"{prompt.encoder_name}: vectors of {prompt.encoder.config.width:,} numbers", bold=True))
        for token, near in tokens:
            label = labels([token])[0]
            if not token.known:
                blocks.append(Text(f"this model has no vector for {label}"))
                rows.append([*([kind] if several else []), label, "", "no vector", "", ""])
                continue
            blocks.append(Text(f"nearest to {label}"))
            blocks.append(Chips([Chip(each.piece, number_text(each.cosine, ".2f")) for each in near]))
            rows += [
                [*([kind] if several else []), label, str(place), each.piece, str(each.id), f"{each.cosine:.4f}"]
                for place, each in enumerate(near, start=1)
            ]
    blocks.append(
        caption(
            "The numbers are cosines: 1 is the same direction, 0 unrelated. Training has placed the vectors. "
            f"At most {MOST_TOKENS} different tokens are shown."
        )
    )
    headers = [*(["encoder"] if several else []), "token", "rank", "near", "id", "cosine"]
    return card("Nearest tokens", *blocks), Table(headers, rows)


def similarity_card(found: Sequence[Similarity], encoded: bool) -> tuple[Tensor, list[Table]]:
    """Return the card of two prompts' similarity and a table for each text encoder."""
    blocks: list[Block] = []
    tables = []
    for each in found:
        kind = each.one.encoder.role.kind
        rows, columns = labels(each.one.tokens), labels(each.other.tokens)
        name = each.one.encoder_name
        whole = "" if each.whole is None else f": whole prompts {number_text(each.whole, '.3f')}"
        blocks.append(Text(name + whole, bold=True))
        shown = each.cosines[:_MOST_CELLS, :_MOST_CELLS]
        blocks.append(Matrix(rows[:_MOST_CELLS], columns[:_MOST_CELLS], shown, low=-0.2, high=1.0))
        if max(len(rows), len(columns)) > _MOST_CELLS:
            blocks.append(
                caption(
                    f"{shown.shape[0]} × {shown.shape[1]} tokens are shown; the table has {len(rows)} × {len(columns)}."
                )
            )
        corner = kind if len(found) > 1 else "token"
        cells = [
            [row, *(f"{value:.3f}" for value in line)] for row, line in zip(rows, each.cosines.tolist(), strict=True)
        ]
        tables.append(Table([corner, *columns], cells))
    blocks.append(ColourBar(SEQUENTIAL, "−0.2 or less", "1: same direction"))
    blocks.append(
        caption(
            "Rows are tokens of the first prompt, columns of the second. "
            + (
                "The vectors come out of the text transformer: the words before a token have changed its vector."
                if encoded
                else "The vectors are those of the token table: a token has the same one in every prompt."
            )
        )
    )
    return card("Similarity of two prompts", *blocks), tables


def _counted(prompt: ReadPrompt) -> str:
    chunks = f"{prompt.chunks} chunk" + ("s" if prompt.chunks > 1 else "")
    tokens = f"{len(prompt.tokens):,} token" + ("" if len(prompt.tokens) == 1 else "s")
    return f"{prompt.encoder_name}: {tokens} in {chunks} of {ROOM}"


def _without_vectors(prompt: ReadPrompt) -> list[str]:
    unknown = list(dict.fromkeys(token.word for token in prompt.tokens if not token.known))
    if not unknown:
        return []
    named = ", ".join(f"'{word}'" for word in unknown[:_MOST_NAMED]) + (" …" if len(unknown) > _MOST_NAMED else "")
    return [f"This model has no vectors for tokens of {named}: it cannot tell them apart."]


def _explanation(prompts: Sequence[ReadPrompt]) -> str:
    widths = " and ".join(f"{prompt.encoder.config.width:,}" for prompt in prompts)
    words = list(vocabulary())
    padding = " and ".join(dict.fromkeys(piece_text(words[prompt.encoder.role.padding]) for prompt in prompts))
    return (
        f"The number under a piece is its id in a vocabulary of 49,408. Each chunk is filled up to {ROOM} tokens with "
        f"{padding}; with a start and an end token there are {CHUNK}. Each becomes {widths} numbers."
    )


def _chip(token: ReadToken) -> Chip:
    below = "vector" if token.id is None else str(token.id) if token.known else f"{token.id}, no vector"
    ground = STRIPE
    if token.weight != 1:
        below += f" ×{token.weight:.3g}"
        grounds = _STRONGER if token.weight > 1 else _WEAKER
        ground = grounds[abs(token.weight - 1) >= 0.3]
    return Chip(token.piece, below, ground, joined=token.part > 1)


def _cells(token: ReadToken) -> list[str]:
    identity = "" if token.id is None else str(token.id)
    return [str(token.chunk), str(token.position), token.piece, identity, f"{token.weight:.4g}", token.note]
