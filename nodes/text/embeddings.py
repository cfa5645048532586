"""Textual inversion: files of vectors that represent words (Gal et al., arXiv:2208.01618).

A prompt names one by ``embedding:name``. Only a letter, digit or underscore before it makes it part of another word;
brackets and quotes around it are ordinary text.
The file is in safetensors or torch.save's format (.pt, .bin). Its vectors [n, width] are stored as
``string_to_param.*`` (the paper's code and AUTOMATIC1111), as ``emb_params``, as ``clip_l`` and
``clip_g`` (SDXL), or alone under the word's own name (diffusers).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graph.errors import InputFileError, SumiError
from graph.folders import Folders, relative_name
from nodes.file_identity import identity
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.text.prompt_weights import parse

if TYPE_CHECKING:
    import torch

FOLDER: Final = "embeddings"

ENDINGS: Final = ("", ".safetensors", ".pt", ".bin")
"""Endings that a prompt may leave out, in the order in which files are searched."""

_NAME = re.compile(r"(?<![A-Za-z0-9_])embedding:\s*([^\s,:;|\])}>，、；：。](?:(?![^\sA-Za-z0-9_]embedding:)\S)*)")
_CUT = re.compile(r"[][,:;|(){}<>\"“”„«»，、；：。]|['’!?](?!\w)|(?<!\.)\.+(?![\w./\\])")
"""A character that ends a name, unless a file has it in its name."""
_MOST_CUTS: Final = 32
"""Number of characters like this in a word after which no name is searched."""
_NUMBER = re.compile(r":[+-]?(\d+\.?\d*|\.\d+)(?![\w.])", re.ASCII)
_OF_ENCODER = re.compile(r"clip_\w+")


class UnusableEmbeddingError(SumiError):
    """An embedding that a prompt names does not exist or does not fit the model. The message says why."""


@dataclass(frozen=True)
class Embedding:
    """One file's vectors for one encoder: ``count`` of them, ``width`` wide."""

    checkpoint: Checkpoint
    key: str
    count: int
    width: int

    def vectors(self) -> torch.Tensor:
        """Return the vectors, float32 [count, width]. Raises CheckpointError if they hold NaN or infinity."""
        tensor = self.checkpoint.tensor(self.key).detach().float().reshape(self.count, self.width)
        if not tensor.isfinite().all():
            raise CheckpointError(f"{self.checkpoint.path}: tensor '{self.key}' holds NaN or infinity")
        return tensor.clone()


def embedding_names(folders: Folders | None) -> list[str]:
    """List the files of the embeddings folder, including subfolders; none if the installation has no such folder."""
    return [] if folders is None or FOLDER not in folders.models else folders.names(FOLDER)


def find_embedding(name: str, folders: Folders | None) -> Path | None:
    """Return the file in the embeddings folder with that name, with or without its ending; None if there is none.

    A name without a subfolder also finds a file in a subfolder, the one with the shortest path.
    """
    if folders is None:
        return None
    try:
        relative = relative_name(name, FOLDER)
    except InputFileError:
        return None
    names = embedding_names(folders)
    inside = sorted(names, key=len) if "/" not in relative else []
    for wanted in (relative + ending for ending in ENDINGS):
        if wanted in names:
            return folders.find(FOLDER, wanted)
    for wanted in (f"/{relative}{ending}" for ending in ENDINGS):
        for candidate in inside:
            if candidate.endswith(wanted):
                return folders.find(FOLDER, candidate)
    return None


def open_embedding(path: Path, encoder: str) -> Embedding | None:
    """Return the vectors for ``encoder`` ("l", "g", "h") in the file at ``path``; None if all are for other encoders.

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


def usable_embedding(name: str, folders: Folders | None, width: int, encoder: str) -> Embedding:
    """Return the vectors with that name for ``encoder`` ("l", "g", "h"), which takes vectors of ``width``.

    Raises UnusableEmbeddingError if there are none, or none of that width, CheckpointError if the file cannot be read.
    """
    path = find_embedding(name, folders)
    if path is None:
        raise UnusableEmbeddingError("the embeddings folder has no file with this name")
    embedding = open_embedding(path, encoder)
    if embedding is None:
        raise UnusableEmbeddingError(f"{path.name} has no vectors for this text encoder")
    if embedding.width != width:
        raise UnusableEmbeddingError(
            f"the vectors in {path.name} are {embedding.width} wide, this text encoder takes {width}"
        )
    return embedding


class Named(NamedTuple):
    """A word of a prompt that names an embedding: ``embedding:`` is left out of ``word``."""

    word: str

    def spellings(self) -> Iterator[tuple[str, str]]:
        """Yield the names that the word may mean, each with the text after it.

        The whole word comes first, then its beginnings, from the longest to the shortest. A comma, a colon, a bracket
        or a quote ends the name only if no file has it in its name.
        """
        yield self.word, ""
        cuts = [cut.start() for cut in _CUT.finditer(self.word) if cut.start() > 0]
        for cut in reversed(cuts[:_MOST_CUTS]):
            yield self.word[:cut], self.word[cut:]

    def found(self, folders: Folders | None) -> Found:
        """Return the first of :meth:`spellings` with a file, else the last."""
        spellings = list(self.spellings())
        name, behind = next((pair for pair in spellings if find_embedding(pair[0], folders)), spellings[-1])
        number = _NUMBER.match(behind)
        return Found(name, behind[number.end() :] if number else behind, number[0] if number else "")


class Found(NamedTuple):
    """An embedding's name and the ordinary text that follows it in the same word.

    ``ignored`` is a number such as ``:1.2`` between the two: without brackets it is not a weight.
    """

    name: str
    behind: str
    ignored: str


def split_embeddings(text: str) -> Iterator[str | Named]:
    """Yield the embeddings that ``text`` names and the texts between them, in order."""
    start = 0
    for match in _NAME.finditer(text):
        yield text[start : match.start()]
        yield Named(match[1])
        start = match.end()
    yield text[start:]


def embedding_fingerprint(text: str, folders: Folders) -> list[Any]:
    """Return the identity of each embedding file that ``text`` names: the tokens of ``text`` depend on these files."""
    parts = [part for run in parse(text) for part in split_embeddings(run.text)]
    names = {name for part in parts if isinstance(part, Named) for name, _ in part.spellings()}
    paths = ((name, find_embedding(name, folders)) for name in sorted(names))
    return [[name, identity(path, folders) if path else None] for name, path in paths]


def embeddings_named_in(text: str, folders: Folders | None) -> dict[str, str]:
    """Return the embeddings whose plain name occurs in ``text``: name without folder and ending → name of the file.

    Case and white space do not count, as they do not for tokens.
    """
    squeezed = _squeezed(text)
    found: dict[str, str] = {}
    for listed in sorted(embedding_names(folders), key=lambda name: (len(name), name)):
        name = listed.rpartition("/")[2].rpartition(".")[0]
        wanted = _squeezed(name)
        if wanted and wanted in squeezed:
            found.setdefault(name, listed)
    return found


def plain_embedding_fingerprint(text: str, folders: Folders) -> list[Any]:
    """Return the identity of each embedding file of :func:`embeddings_named_in`."""
    named = sorted(embeddings_named_in(text, folders).items())
    return [[name, file, identity(folders.find(FOLDER, file), folders)] for name, file in named]


def _squeezed(text: str) -> str:
    return "".join(unicodedata.normalize("NFC", text).lower().split())


def _key(checkpoint: Checkpoint, encoder: str) -> str | None:
    """Return the name of the tensor with vectors for ``encoder``, else the first one without an encoder's name.

    Returns None if the file has only other encoders' vectors, "" if it is empty.
    """
    names = list(checkpoint.shapes)
    known = [name for name in names if name.startswith("string_to_param") or name in ("emb_params", f"clip_{encoder}")]
    others = [name for name in names if not _OF_ENCODER.fullmatch(name)]
    return next(iter([*known, *others]), None if names else "")
