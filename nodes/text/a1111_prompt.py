"""AUTOMATIC1111's prompts as tokens: emphasis in brackets, BREAK, embeddings by their plain names, comma padding.

The syntax: https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/Features. What differs from Sumi's own prompts
(``prompt_weights``): weights multiply, ``[text]`` divides by 1.1, and a long text is divided after a comma.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from graph.context import warn
from graph.folders import Folders
from graph.formats.a1111.prompts import weighted_runs
from nodes.models.handle import TextEncoder
from nodes.text.embeddings import Embedding, UnusableEmbeddingError, embeddings_named_in, usable_embedding
from nodes.text.tokenizer import PromptError, check, tokenize
from nodes.text.tokens import MAX_CHUNKS, ROOM, Chunk, Token, closed

log = logging.getLogger(__name__)

Emphasis: TypeAlias = Literal["Original", "No norm", "Ignore", "None"]
"""A1111's setting of this name: what weights do. With ``None``, brackets are text."""

COMMA_PADDING: Final = 20
"""Most tokens after the last comma that move to the next chunk with it."""
MOST_NESTED: Final = 64

_BREAK: Final = re.compile(r"\s*\bBREAK\b\s*")
_NETWORK: Final = re.compile(r"<\w+:[^<>]+>")
_BRACKET: Final = re.compile(r"\\.|[()\[\]]", re.DOTALL)


class Run(NamedTuple):
    """A text between brackets, and its weight. ``starts_chunk``: BREAK comes before it."""

    text: str
    weight: float
    starts_chunk: bool = False


def without_networks(text: str) -> str:
    """Return the text without ``<lora:name:weight>`` and the like, which change models and not the text."""
    found = _NETWORK.findall(text)
    if found:
        warn(log, f"{', '.join(found[:3])} has no effect in a prompt's text; add the node Load LoRA for a LoRA")
    return _NETWORK.sub("", text)


def runs_of(text: str, emphasis: Emphasis = "Original") -> list[Run]:
    """Return the runs of a text. Raises PromptError for brackets nested deeper than MOST_NESTED."""
    check(text)
    if emphasis == "None":
        return [Run(text, 1.0)]
    _check_depth(text)
    found: list[Run] = []
    for piece, weight in _merged(weighted_runs(text)[0]):
        first, *others = _BREAK.split(piece)
        found.append(Run(first, weight))
        found += [Run(other, weight, starts_chunk=True) for other in others]
    return found


def chunks_of(runs: Sequence[Run], encoder: TextEncoder, folders: Folders | None) -> list[Chunk]:
    """Return the chunks of 75 tokens; at least one.

    BREAK ends a chunk. A full chunk ends after its last comma if at most COMMA_PADDING tokens follow that, and the
    vectors of an embedding stay together. Raises PromptError for more than MAX_CHUNKS chunks.
    """
    embeddings = _Embeddings("".join(run.text for run in runs), encoder, folders)
    filling = _Filling(encoder.role.padding)
    for run in runs:
        if run.starts_chunk:
            filling.end_chunk()
        pieces = [(piece.id, run.weight, piece.word) for piece in tokenize(run.text)]
        at = 0
        while at < len(pieces):
            found = embeddings.at([token[0] for token in pieces[at : at + embeddings.longest]])
            if found is None:
                filling.add(pieces[at])
                at += 1
            else:
                name, length, count = found
                filling.add_together(
                    [({"embedding": name, "vector": k}, run.weight, f"embedding:{name}[{k}]") for k in range(count)]
                )
                at += length
    return filling.chunks()


class _Filling:
    """Fills chunks with tokens."""

    def __init__(self, padding: int):
        self._padding = padding
        self._full: list[Chunk] = []
        self._tokens: list[Token] = []
        self._after_comma: int | None = None
        """Number of tokens in this chunk up to its last comma."""

    def add(self, token: Token) -> None:
        if token[2] == ",</w>":
            self._after_comma = len(self._tokens) + 1
        elif len(self._tokens) == ROOM and self._after_comma and ROOM - self._after_comma < COMMA_PADDING:
            moved = self._tokens[self._after_comma :]
            del self._tokens[self._after_comma :]
            self.end_chunk()
            self._tokens = moved
        if len(self._tokens) == ROOM:
            self.end_chunk()
        self._tokens.append(token)

    def add_together(self, tokens: list[Token]) -> None:
        """Add the vectors of an embedding. One with more than fit in a chunk is divided."""
        if len(self._tokens) + len(tokens) > ROOM and self._tokens:
            self.end_chunk()
        for token in tokens:
            if len(self._tokens) == ROOM:
                self.end_chunk()
            self._tokens.append(token)

    def end_chunk(self) -> None:
        if len(self._full) == MAX_CHUNKS:
            raise PromptError(f"the prompt has more than {MAX_CHUNKS:,} chunks of {ROOM} tokens; shorten it")
        self._full.append(closed(self._tokens, self._padding))
        self._tokens = []
        self._after_comma = None

    def chunks(self) -> list[Chunk]:
        if self._tokens or not self._full:
            self.end_chunk()
        return self._full


class _Embeddings:
    """The embeddings that a text names, for one encoder, found by the tokens of their names."""

    def __init__(self, text: str, encoder: TextEncoder, folders: Folders | None):
        self._by_first: dict[int, list[tuple[list[int], str, int]]] = {}
        self.longest = 0
        for name, file in embeddings_named_in(text, folders).items():
            embedding = _usable(name, file, encoder, folders)
            ids = [piece.id for piece in tokenize(name)]
            if embedding is not None and ids:
                self._by_first.setdefault(ids[0], []).append((ids, file, embedding.count))
                self.longest = max(self.longest, len(ids))
        for candidates in self._by_first.values():
            candidates.sort(key=lambda candidate: -len(candidate[0]))

    def at(self, ids: Sequence[object]) -> tuple[str, int, int] | None:
        """Return the embedding whose name's tokens ``ids`` begin with: file, tokens of its name, vectors."""
        if not ids:
            return None
        for wanted, file, count in self._by_first.get(ids[0], ()) if isinstance(ids[0], int) else ():
            if list(ids[: len(wanted)]) == wanted:
                return file, len(wanted), count
        return None


def _usable(name: str, file: str, encoder: TextEncoder, folders: Folders | None) -> Embedding | None:
    try:
        return usable_embedding(file, folders, encoder.config.width, encoder.role.name)
    except UnusableEmbeddingError as error:
        warn(log, f"“{name}” stays a word of the prompt for {encoder.role.kind}: {error}")
        return None


def _merged(runs: Sequence[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    """Join neighbours of one weight, so that the tokenizer sees whole words."""
    text, before = "", 1.0
    for piece, weight in runs:
        if weight != before and text:
            yield text, before
            text = ""
        text, before = text + piece, weight
    yield text, before


def _check_depth(text: str) -> None:
    depths = {"(": 0, "[": 0}
    for bracket in _BRACKET.findall(text):
        if bracket in depths:
            depths[bracket] += 1
        elif bracket in (")", "]"):
            opener = "(" if bracket == ")" else "["
            depths[opener] = max(0, depths[opener] - 1)
        if max(depths.values()) > MOST_NESTED:
            raise PromptError(
                f"the prompt nests brackets more than {MOST_NESTED} deep; write (text:1.4) for a strong weight"
            )
