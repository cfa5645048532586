"""Captioned pictures in a folder.

A folder holds pictures and either a text file beside each (``cat.png``, ``cat.txt``; every line is one caption) or
one ``metadata.jsonl`` with a line per picture, in the format of Hugging Face's "imagefolder":
``{"file_name": "cat.png", "text": "a cat"}``. ``texts`` may add a list of captions; training draws one each
time. ``weight`` is how often a picture is drawn compared with others (default 1).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nodes.training.errors import DatasetError

PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
METADATA: Final = "metadata.jsonl"


@dataclass(frozen=True)
class Example:
    """A picture and its captions. Without captions, training uses the empty text."""

    picture: Path
    captions: tuple[str, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True)
class Dataset:
    """Captioned pictures. ``fingerprint`` is a hash of names, sizes, times and captions."""

    folder: Path
    examples: tuple[Example, ...]
    fingerprint: str


def read_dataset(folder: Path) -> Dataset:
    """Read the captioned pictures of ``folder``, in the order of metadata.jsonl or of their names.

    Raises DatasetError for a folder without pictures, or for a wrong line of metadata.jsonl.
    """
    metadata = folder / METADATA
    examples = tuple(_listed(metadata) if metadata.is_file() else _beside(folder))
    if not examples:
        raise DatasetError(f"{folder}: holds no pictures; expected files ending in {', '.join(sorted(PICTURES))}")
    return Dataset(folder, examples, _fingerprint(examples))


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures at the top level of ``folder``, by name. Raises DatasetError if the folder cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.is_file())
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read: {error.strerror}") from error


def _beside(folder: Path) -> Iterator[Example]:
    for path in pictures_in(folder):
        text = path.with_suffix(".txt")
        yield Example(path, _lines(text) if text.is_file() else ())


def _lines(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: is not a UTF-8 text file: {error}") from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _listed(metadata: Path) -> Iterator[Example]:
    for number, line in enumerate(_lines(metadata), start=1):
        where = f"{metadata}, line {number}"
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise DatasetError(f"{where}: is not JSON: {error}") from error
        if not isinstance(entry, Mapping) or not isinstance(entry.get("file_name"), str):
            raise DatasetError(f'{where}: expected {{"file_name": "picture.png", "text": "caption"}}')
        picture = metadata.parent / entry["file_name"]
        if not picture.resolve().is_relative_to(metadata.parent.resolve()):
            raise DatasetError(f"{where}: '{entry['file_name']}' is outside the dataset's folder")
        if not picture.is_file():
            raise DatasetError(f"{where}: the picture '{entry['file_name']}' does not exist")
        yield Example(picture, _captions(entry, where), _weight(entry.get("weight", 1), where))


def _captions(entry: Mapping[str, Any], where: str) -> tuple[str, ...]:
    text, texts = entry.get("text", ""), entry.get("texts", [])
    if not isinstance(text, str) or not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise DatasetError(f"{where}: expected a caption as 'text', and a list of captions as 'texts'")
    return tuple(caption for caption in (text, *texts) if caption)


def _weight(weight: Any, where: str) -> float:
    if not isinstance(weight, int | float) or not weight > 0:
        raise DatasetError(f"{where}: 'weight' is {weight!r}; expected a number above 0")
    return float(weight)


def _fingerprint(examples: tuple[Example, ...]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for example in examples:
        state = example.picture.stat()
        entry = [str(example.picture), state.st_size, state.st_mtime_ns, example.captions, example.weight]
        digest.update(json.dumps(entry).encode())
    return digest.hexdigest()
