"""Compares vectors of a text encoder: the nearest ones in its token table, and those of two prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.explain.errors import ExplainError
from nodes.explain.tokens import ReadPrompt, ReadToken, piece_text, read_prompt
from nodes.models.handle import Clip, TextEncoder
from nodes.text.embeddings import usable_embedding
from nodes.text.encoding import encode_tokens
from nodes.text.prompt import tokenize_prompt
from nodes.text.tokenizer import vocabulary
from nodes.text.tokens import CHUNK

MOST_TOKENS: Final = 12
"""Tokens of a text whose neighbours are shown."""
MOST_COMPARED: Final = 150
"""Tokens of each of two prompts that are compared."""


@dataclass(frozen=True)
class Neighbour:
    """An entry of the vocabulary, and the cosine of the angle between its vector and another."""

    id: int
    piece: str
    cosine: float


def neighbours(clip: Clip, text: str, count: int) -> list[tuple[ReadPrompt, list[tuple[ReadToken, list[Neighbour]]]]]:
    """Return, for each text encoder and each of the first tokens of ``text``, the ``count`` nearest entries.

    Nearness is the cosine similarity of vectors in the table of token embeddings, before any layer. The token itself
    is left out; a vector of a textual inversion (arXiv:2208.01618) is compared with all entries. Entries without a
    vector (all zeros) are left out, and tokens without one have no neighbours.
    Raises ExplainError for a text without tokens, and the errors of :func:`nodes.explain.tokens.read_prompt`.
    """
    words = list(vocabulary())
    found = []
    for prompt in read_prompt(clip, text):
        tokens = distinct(prompt.tokens)[:MOST_TOKENS]
        if not tokens:
            raise _without_tokens("text", prompt, "a word, such as apple")
        table = token_table(prompt.encoder)
        vectors = torch.stack([_vector(token, prompt.encoder, clip, table) for token in tokens])
        cosines = cosine_matrix(vectors, table)
        cosines[:, table.norm(dim=-1) == 0] = -2.0
        for row, token in enumerate(tokens):
            if not token.known:
                cosines[row] = -2.0
            elif token.id is not None:
                cosines[row, token.id] = -2.0
        best, ids = cosines.topk(min(count, cosines.shape[1] - 1), dim=-1)
        near = [
            [Neighbour(i, piece_text(words[i]), c) for i, c in zip(ids_of, best_of, strict=True) if c > -2.0]
            for ids_of, best_of in zip(ids.tolist(), best.tolist(), strict=True)
        ]
        found.append((prompt, list(zip(tokens, near, strict=True))))
    return found


@dataclass(frozen=True)
class Similarity:
    """Cosines between the tokens of two prompts [tokens of one, tokens of the other], for one text encoder.

    ``whole`` compares the prompts' pooled vectors; None for an encoder whose pooled vector the model does not use.
    """

    one: ReadPrompt
    other: ReadPrompt
    cosines: Tensor
    whole: float | None


def similarities(clip: Clip, one: str, other: str, encoded: bool) -> list[Similarity]:
    """Compare two prompts token by token, for each text encoder.

    With ``encoded``, the vectors are those that condition the diffusion model, with weights applied; otherwise those
    of the token table, in which a token has the same vector in every sentence.
    Of longer prompts, the first MOST_COMPARED tokens are compared.
    Raises ExplainError for a prompt without tokens, and the errors of :func:`nodes.explain.tokens.read_prompt`.
    """
    prompts = [read_prompt(clip, text) for text in (one, other)]
    for name, read in zip(("text_1", "text_2"), prompts, strict=True):
        for prompt in read:
            if not prompt.tokens:
                raise _without_tokens(name, prompt, "a prompt, such as a red apple")
    results = [encode_tokens(clip, tokenize_prompt(clip, text)) for text in (one, other)] if encoded else []
    pools = [encoder.role.pools for encoder in clip.encoders]
    found = []
    start = 0
    for number, encoder in enumerate(clip.encoders):
        width = encoder.config.width
        sides = [replace(read[number], tokens=read[number].tokens[:MOST_COMPARED]) for read in prompts]
        if encoded:
            rows = [result[0][0, :, start : start + width] for result in results]
            # An embedding may have more vectors for one encoder than for another; the surplus conditions nothing.
            sides = [replace(side, tokens=_before(len(row), side)) for side, row in zip(sides, rows, strict=True)]
            vectors = [row[[_row(token) for token in side.tokens]] for side, row in zip(sides, rows, strict=True)]
        else:
            table = token_table(encoder)
            vectors = [torch.stack([_vector(token, encoder, clip, table) for token in side.tokens]) for side in sides]
        start += width
        whole = None
        if encoded and pools[number]:
            whole = float(F.cosine_similarity(results[0][1], results[1][1]))
        found.append(Similarity(sides[0], sides[1], cosine_matrix(vectors[0], vectors[1]), whole))
    return found


def _without_tokens(field: str, prompt: ReadPrompt, expected: str) -> ExplainError:
    """Return the error for a text without tokens, which names the embeddings that were left out."""
    reasons = "".join(f"; {reason}" for reason in prompt.left_out)
    return ExplainError(f"{field} has no tokens for {prompt.encoder_name}{reasons}; expected {expected}")


def cosine_matrix(one: Tensor, other: Tensor) -> Tensor:
    """Return the cosines between the rows of ``one`` [n, w] and of ``other`` [m, w], float32 [n, m]; 0 for zeros."""
    return F.normalize(one.float(), dim=-1) @ F.normalize(other.float(), dim=-1).T


@torch.no_grad()
def token_table(encoder: TextEncoder) -> Tensor:
    """Return the encoder's vectors of the vocabulary, float32 [49408, width] on the CPU, patches applied."""
    network: Any = encoder.network()
    table: Tensor = network.text_model.embeddings.token_embedding.weight
    return table.float().cpu()


def distinct(tokens: Sequence[ReadToken]) -> list[ReadToken]:
    """Return the tokens without repetitions, in order."""
    first: dict[tuple[int | None, str], ReadToken] = {}
    for token in tokens:
        first.setdefault((token.id, token.piece), token)
    return list(first.values())


def labels(tokens: Sequence[ReadToken]) -> list[str]:
    """Return a label for each token of a matrix: its piece, with the word if the piece is made of bytes."""
    return [f"{token.piece} ({token.word})" if _is_bytes(token) else token.piece for token in tokens]


def _is_bytes(token: ReadToken) -> bool:
    return token.parts > 1 and token.piece.startswith("‹")


def _vector(token: ReadToken, encoder: TextEncoder, clip: Clip, table: Tensor) -> Tensor:
    if token.id is not None:
        return table[token.id]
    name, _, number = token.piece.removeprefix("embedding:").removesuffix("]").rpartition("[")
    return usable_embedding(name, clip.folders, encoder.config.width, encoder.role.name).vectors()[int(number)]


def _row(token: ReadToken) -> int:
    """Return the token's row in an encoded prompt, which has 77 rows for each chunk."""
    return CHUNK * (token.chunk - 1) + token.position


def _before(rows: int, prompt: ReadPrompt) -> tuple[ReadToken, ...]:
    return tuple(token for token in prompt.tokens if _row(token) < rows)
