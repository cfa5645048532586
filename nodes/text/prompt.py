"""Turns a prompt into tokens: weights, embeddings, word groups, chunks."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from graph.context import warn
from graph.folders import Folders
from nodes.models.handle import Clip, TextEncoder
from nodes.text.embeddings import (
    Named,
    UnusableEmbeddingError,
    embedding_names,
    find_embedding,
    split_embeddings,
    usable_embedding,
)
from nodes.text.prompt_weights import parse
from nodes.text.tokenizer import PromptError, check, tokenize
from nodes.text.tokens import Token, Tokens, chunked

log = logging.getLogger(__name__)


def tokenize_prompt(clip: Clip, prompt: str) -> Tokens:
    """Return the chunks of ``prompt`` for each text encoder of ``clip``. Loads no weights.

    ``embedding:name`` is looked up in the embeddings folder; a file that does not exist, or has no vectors for the
    encoder, is left out with a warning. Raises PromptError for prompts that are too long, nested too deep or not valid
    Unicode, CheckpointError for an embedding file that cannot be read.
    """
    groups = word_groups(clip, prompt)
    return {encoder.role.name: chunked(groups[encoder.role.name], encoder.role.padding) for encoder in clip.encoders}


def tokenize_for_each(clip: Clip, prompts: Mapping[str, str]) -> Tokens:
    """Tokenize another prompt for each text encoder of ``clip``, by the encoder's key; shorter ones get empty chunks.

    Raises PromptError if the encoders of ``clip`` are not those of ``prompts``, and the errors of
    :func:`tokenize_prompt`.
    """
    encoders = {encoder.role.name for encoder in clip.encoders}
    if encoders != prompts.keys():
        raise PromptError(
            f"the prompts are for the text encoders {sorted(prompts)}, this CLIP has {sorted(encoders)}; "
            "expected the CLIP of an SDXL model"
        )
    tokens = {name: tokenize_prompt(clip, prompt)[name] for name, prompt in prompts.items()}
    longest = max(map(len, tokens.values()))
    empty = tokenize_prompt(clip, "")
    return {name: chunks + empty[name] * (longest - len(chunks)) for name, chunks in tokens.items()}


def word_groups(clip: Clip, prompt: str) -> dict[str, list[list[Token]]]:
    """Return the tokens of each run of text and of each embedding of ``prompt``, for each text encoder.

    Raises the same errors as :func:`tokenize_prompt`.
    """
    check(prompt)
    parts = list(_parts(prompt, clip.folders))
    return {encoder.role.name: list(_word_groups(parts, encoder, clip.folders)) for encoder in clip.encoders}


class _Part(NamedTuple):
    """A run of text, or the name of an embedding, and its weight."""

    text: str
    weight: float
    is_embedding: bool = False


def _parts(prompt: str, folders: Folders | None) -> Iterator[_Part]:
    """Split the prompt where its weight changes and around embeddings, and warn about ignored parts."""
    for text, weight in parse(prompt):
        behind = ""
        for piece in split_embeddings(text):
            if not isinstance(piece, Named):
                yield _Part(behind + piece, weight)
                continue
            name, behind, ignored = piece.found(folders)
            if ignored:
                warn(log, f"'embedding:{name}{ignored}': {ignored} is ignored; write (embedding:{name}{ignored})")
            if find_embedding(name, folders):
                yield _Part(name, weight, is_embedding=True)
            else:
                warn(log, f"embedding '{name}' is left out of the prompt: {_not_found(name, folders)}")


def _not_found(name: str, folders: Folders | None) -> str:
    names = embedding_names(folders)
    if not names:
        return "the embeddings folder is empty"
    stems = [listed.rpartition(".")[0] for listed in names]
    near = difflib.get_close_matches(name, stems, n=1)
    return "the embeddings folder has no file with this name" + (f"; did you mean '{near[0]}'?" if near else "")


def _word_groups(parts: Iterable[_Part], encoder: TextEncoder, folders: Folders | None) -> Iterator[list[Token]]:
    """Yield the tokens of each part."""
    for part in parts:
        if part.is_embedding:
            yield _vectors(part, encoder, folders)
        else:
            yield [(piece.id, part.weight, piece.word) for piece in tokenize(part.text)]


def _vectors(part: _Part, encoder: TextEncoder, folders: Folders | None) -> list[Token]:
    try:
        embedding = usable_embedding(part.text, folders, encoder.config.width, encoder.role.name)
    except UnusableEmbeddingError as error:
        warn(log, f"embedding '{part.text}' is left out of the prompt for {encoder.role.kind}: {error}")
        return []
    return [
        ({"embedding": part.text, "vector": number}, part.weight, f"embedding:{part.text}[{number}]")
        for number in range(embedding.count)
    ]
