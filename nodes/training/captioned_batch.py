"""Writes a batch of pictures with captions as a dataset."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from graph.errors import OutputFileError
from nodes.pictures.pixels import to_pillow
from nodes.training.dataset import METADATA, Dataset, read_dataset
from nodes.training.errors import DatasetError


def write_captioned(folder: Path, pictures: Tensor, captions: Sequence[str]) -> Dataset:
    """Write pictures [B, H, W, 3] in 0..1 as PNG files beside a metadata.jsonl, and return them as a dataset.

    ``captions`` holds one caption for each picture, or one for all. A file that is already there is kept, so that
    the same pictures are the same dataset. Raises DatasetError for another number of captions, OutputFileError.
    """
    if len(captions) not in (1, len(pictures)):
        raise DatasetError(
            f"captions has {len(captions)} lines, but there are {len(pictures)} pictures; "
            "expected one line for each picture, or one for all"
        )
    lines = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for index, picture in enumerate(pictures):
            file = io.BytesIO()
            to_pillow(picture).save(file, "PNG")
            content = file.getvalue()
            path = folder / f"{hashlib.blake2b(content, digest_size=8).hexdigest()}.png"
            if not path.exists():
                path.write_bytes(content)
            lines.append(json.dumps({"file_name": path.name, "text": captions[index % len(captions)]}))
        (folder / METADATA).write_text("\n".join(lines), encoding="utf-8")
    except OSError as error:
        raise OutputFileError(f"cannot save pictures in {folder}: {error}") from error
    return read_dataset(folder)
