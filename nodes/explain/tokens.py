"""A prompt's tokens as a person can read them: pieces of words, and where chunks cut or split the prompt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from nodes.models.checkpoint import Checkpoint
from nodes.models.handle import Clip, TextEncoder
from nodes.models.text_config import TOKEN_EMBEDDING
from nodes.text.embeddings import Named, UnusableEmbeddingError, split_embeddings, usable_embedding
from nodes.text.prompt import word_groups
from nodes.text.prompt_weights import parse
from nodes.text.tokenizer import END_WORD, START_WORD, WORD_END, bytes_of
from nodes.text.tokens import LARGE_GROUP, ROOM, Chunk, Token, chunked, text_of

_OTHER_DIALECTS: Final = (
    (re.compile(r"\bBREAK\b"), "BREAK is an ordinary word here and starts no new chunk."),
    (
        re.compile(r"(?<!\\)\[[^][]+\]"),
        "Square brackets are ordinary characters here; (word:0.9) gives a word less weight.",
    ),
    (re.compile(r"<lora:[^<>]*>"), "<lora:…> is ordinary text here; the node Load LoRA loads a LoRA."),
)
"""Spellings with a meaning in other programs, such as AUTOMATIC1111's, and what to say about them."""


@dataclass(frozen=True)
class ReadToken:
    """One token of a prompt.

    ``chunk`` and ``position`` count from 1; position 1 is the first after the start token. ``piece`` is its text, or
    its bytes in hexadecimal if it holds parts of characters. ``word`` is the whole word, ``part`` of ``parts`` the
    piece's place in it. ``id`` is None for a vector of a textual inversion. ``known``: the encoder has a vector for the
    token, not only zeros.
    """

    chunk: int
    position: int
    piece: str
    id: int | None
    weight: float
    word: str
    part: int = 1
    parts: int = 1
    known: bool = True

    @property
    def note(self) -> str:
        """Say what is special about the token; empty for an ordinary one."""
        if self.id is None:
            return "textual inversion"
        part = f"part {self.part} of {self.parts} of '{self.word}'" if self.parts > 1 else ""
        return ", ".join(filter(None, [part, "" if self.known else "no vector"]))


@dataclass(frozen=True)
class ReadPrompt:
    """A prompt's tokens for one text encoder.

    ``left_out`` names the embeddings that were left out, and why. ``remarks`` begin with them, and say what was moved
    to another chunk or split between two, and which tokens mean something else in other programs.
    """

    encoder: TextEncoder
    tokens: tuple[ReadToken, ...]
    chunks: int
    left_out: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def encoder_name(self) -> str:
        """The name of the published encoder, or the width of an encoder that is smaller."""
        role, width = self.encoder.role, self.encoder.config.width
        return role.kind if width == role.width else f"Text encoder ({width:,} wide)"

    def in_chunk(self, number: int) -> list[ReadToken]:
        """Return the tokens of a chunk, counted from 1."""
        return [token for token in self.tokens if token.chunk == number]


def read_prompt(clip: Clip, text: str) -> list[ReadPrompt]:
    """Tokenize ``text`` for each text encoder of ``clip`` as the prompt nodes do, and name its pieces.

    Raises PromptError and CheckpointError as :func:`nodes.text.prompt.tokenize_prompt` does.
    """
    groups = word_groups(clip, text)
    found = []
    for encoder in clip.encoders:
        own = groups[encoder.role.name]
        chunks = chunked(own, encoder.role.padding)
        tokens = tuple(_with_known(list(_read(chunks)), encoder))
        left_out = tuple(_left_out(clip, encoder, text))
        remarks = (*left_out, *_cuts(tokens), *_splits(own, chunks), *_of_other_dialects(text))
        found.append(ReadPrompt(encoder, tokens, len(chunks), left_out, remarks))
    return found


def piece_text(word: str) -> str:
    """Return a word piece as text; its bytes in hexadecimal, such as ‹E8 8B›, if they are not whole characters.

    A piece that another one continues ends in a hyphen: ``photo-`` in photorealistic.
    """
    if word in (START_WORD, END_WORD):
        return word
    raw = bytes_of(word)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return f"‹{raw.hex(' ').upper()}›"
    return text if word.endswith(WORD_END) else f"{text}-"


def _read(chunks: Sequence[Chunk]) -> Iterator[ReadToken]:
    """Yield the tokens of all chunks, with the words that they belong to. A word may continue in the next chunk."""
    word: list[ReadToken] = []
    raw = b""
    for number, chunk in enumerate(chunks, start=1):
        for position, (identity, weight, piece) in enumerate(text_of(chunk), start=1):
            if not isinstance(identity, int):
                yield from _joined(word, raw)
                word, raw = [], b""
                yield ReadToken(number, position, piece, None, weight, piece)
                continue
            word.append(ReadToken(number, position, piece_text(piece), identity, weight, ""))
            if piece in (START_WORD, END_WORD):
                raw += piece.encode()
            else:
                raw += bytes_of(piece)
            if piece.endswith(WORD_END) or piece in (START_WORD, END_WORD):
                yield from _joined(word, raw)
                word, raw = [], b""
    yield from _joined(word, raw)


def _joined(pieces: list[ReadToken], raw: bytes) -> Iterator[ReadToken]:
    text = raw.decode("utf-8", errors="replace")
    for part, token in enumerate(pieces, start=1):
        yield replace(token, word=text, part=part, parts=len(pieces))


def _with_known(tokens: Sequence[ReadToken], encoder: TextEncoder) -> Iterator[ReadToken]:
    """Yield the tokens, with ``known`` from the file's table of vectors."""
    table = Checkpoint.open(encoder.weights.path).tensor(encoder.weights.prefix + TOKEN_EMBEDDING)
    for token in tokens:
        yield token if token.id is None or table[token.id].any() else replace(token, known=False)


def _left_out(clip: Clip, encoder: TextEncoder, text: str) -> Iterator[str]:
    """Name the embeddings that have no file, or no vectors for ``encoder``."""
    named = [part for run in parse(text) for part in split_embeddings(run.text) if isinstance(part, Named)]
    for name in dict.fromkeys(each.found(clip.folders).name for each in named):
        try:
            usable_embedding(name, clip.folders, encoder.config.width, encoder.role.name)
        except UnusableEmbeddingError as error:
            yield f"embedding:{name} was left out: {error}"


def _of_other_dialects(text: str) -> Iterator[str]:
    """Say which parts of ``text`` other programs read differently."""
    return (remark for spelling, remark in _OTHER_DIALECTS if spelling.search(text))


def _cuts(tokens: Sequence[ReadToken]) -> Iterator[str]:
    """Say where a text encoder alone, which reads one chunk, would cut the prompt."""
    behind = [token for token in tokens if token.chunk > 1]
    if behind:
        yield (
            f"CLIP alone reads {ROOM} tokens and would cut the prompt before '{behind[0].word}': "
            f"{len(behind):,} {'token' if len(behind) == 1 else 'tokens'} would be lost. "
            f"Here {'it is in another chunk' if len(behind) == 1 else 'they are in further chunks'}."
        )


def _splits(groups: Sequence[Sequence[Token]], chunks: Sequence[Chunk]) -> Iterator[str]:
    """Say where a run of equal weight was split between chunks, or moved to the next one because it did not fit."""
    ends = []
    filled = 0
    for chunk in chunks:
        filled += len(text_of(chunk))
        ends.append(filled)
    start = 0
    for group in groups:
        end = start + len(group)
        for number, border in enumerate(ends[:-1], start=1):
            if start < border < end:
                before, after = (_word_at(groups, place) for place in (border - 1, border))
                yield f"Split between chunks {number} and {number + 1}, after '{before}' and before '{after}'."
            elif start == border and len(group) < LARGE_GROUP and len(text_of(chunks[number - 1])) < ROOM:
                text = " ".join(piece_text(token[2]) if isinstance(token[0], int) else token[2] for token in group)
                yield f"'{text}' did not fit in chunk {number} and moved whole to chunk {number + 1}."
        start = end


def _word_at(groups: Sequence[Sequence[Token]], place: int) -> str:
    token = [token for group in groups for token in group][place]
    return piece_text(token[2]) if isinstance(token[0], int) else token[2]
