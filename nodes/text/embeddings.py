"""Textual inversion: files of vectors that stand for words (Gal et al., arXiv:2208.01618).

A prompt names one by ``embedding:name``, at its beginning, after a bracket or after white space.
The file is safetensors, or what torch.save wrote (.pt, .bin). Its vectors [n, width] are in it as
``string_to_param.*`` (the paper's code and AUTOMATIC1111), as ``emb_params``, as ``clip_l`` beside
``clip_g`` (SDXL), or alone under the word's own name (diffusers).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graph.errors import InputFileError
from graph.folders import Folders
from nodes.file_identity import identity
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.text.prompt_weights import parse

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

ENDINGS: Final = ("", ".safetensors", ".pt", ".bin")
"""What may be left out of a file's name, in the order in which files are looked for."""

_NAME = re.compile(r"(?<!\S)embedding:(\S+)")
_OF_ENCODER = re.compile(r"clip_\w+")


@dataclass(frozen=True)
class Embedding:
    """One file's vectors for one encoder: ``count`` of them, ``width`` wide."""

    checkpoint: Checkpoint
    key: str
    count: int
    width: int

    def vectors(self) -> torch.Tensor:
        """float32 [count, width]. Raises CheckpointError if they hold NaN or infinity."""
        tensor = self.checkpoint.tensor(self.key).detach().float().reshape(self.count, self.width)
        if not tensor.isfinite().all():
            raise CheckpointError(f"{self.checkpoint.path}: tensor '{self.key}' holds NaN or infinity")
        return tensor.clone()


def find_embedding(name: str, folders: Folders | None) -> Path | None:
    """The file that ``name``, with or without its ending, means; None if there is none in the embeddings folder."""
    if folders is None:
        return None
    for ending in ENDINGS:
        try:
            return folders.find("embeddings", name + ending)
        except InputFileError:
            continue
    return None


def open_embedding(path: Path, encoder: str) -> Embedding | None:
    """The vectors for ``encoder`` ("l", "g", "h") in the file at ``path``; None if all are for other encoders.

    Raises CheckpointError if the file cannot be read or holds no vectors.
    """
    checkpoint = Checkpoint.open(path)
    key = _key(checkpoint, encoder)
    if key is None:
        return None
    shape = checkpoint.shapes.get(key, ())
    if not 1 <= len(shape) <= 2 or 0 in shape:
        raise CheckpointError(
            f"{path}: tensor '{key}' has shape {list(shape)}; expected the vectors of a textual inversion, [n, width]"
        )
    return Embedding(checkpoint, key, shape[0] if len(shape) == 2 else 1, shape[-1])


def usable_embedding(name: str, folders: Folders | None, width: int, encoder: str) -> Embedding | None:
    """The vectors called ``name`` for ``encoder`` ("l", "g", "h"), which takes vectors ``width`` wide.

    None if there are none, or none of that width, which the log says.

    Raises CheckpointError if there is such a file but it cannot be read.
    """
    path = find_embedding(name, folders)
    if path is None:
        return None
    embedding = open_embedding(path, encoder)
    if embedding is None:
        return None
    if embedding.width != width:
        log.warning("%s: its vectors are %d wide, this text encoder takes %d", path, embedding.width, width)
        return None
    return embedding


class Named(NamedTuple):
    """The name of an embedding, as a prompt writes it."""

    name: str

    def spellings(self) -> Iterator[tuple[str, str]]:
        """What it may mean, as (name, text behind it): commas are punctuation unless a file is called so."""
        yield self.name, ""
        bare = self.name.rstrip(",")
        if bare and bare != self.name:
            yield bare, self.name[len(bare) :]


def split_embeddings(text: str) -> Iterator[str | Named]:
    """``text`` cut into the embeddings it names and the texts between them."""
    start = 0
    for match in _NAME.finditer(text):
        yield text[start : match.start()]
        yield Named(match[1])
        start = match.end()
    yield text[start:]


def embedding_fingerprint(text: str, folders: Folders) -> list[Any]:
    """The identity of each embedding file that ``text`` names: its tokens depend on these files."""
    parts = [part for run in parse(text) for part in split_embeddings(run.text)]
    names = {name for part in parts if isinstance(part, Named) for name, _ in part.spellings()}
    paths = ((name, find_embedding(name, folders)) for name in sorted(names))
    return [[name, identity(path, folders) if path else None] for name, path in paths]


def _key(checkpoint: Checkpoint, encoder: str) -> str | None:
    """The tensor that is known to hold vectors for ``encoder``, else the first that says nothing of an encoder.

    None if there are only other encoders' vectors, "" in an empty file.
    """
    names = list(checkpoint.shapes)
    known = [name for name in names if name.startswith("string_to_param") or name in ("emb_params", f"clip_{encoder}")]
    others = [name for name in names if not _OF_ENCODER.fullmatch(name)]
    return next(iter([*known, *others]), None if names else "")
