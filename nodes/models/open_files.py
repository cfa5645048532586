"""Model files that stay open while networks are loaded, so that each header is read once for many tensors."""

from __future__ import annotations

from pathlib import Path

from nodes.models.checkpoint import Checkpoint, CheckpointError, Fingerprint, fingerprint

_open: dict[Fingerprint, Checkpoint] = {}


def opened(path: Path, expected: Fingerprint) -> Checkpoint:
    """The file at ``path``, opened now or since the last :func:`close`.

    Raises CheckpointError if the file is no longer the one that ``expected`` describes.
    """
    if fingerprint(path) != expected:
        raise CheckpointError(f"{path}: has changed since the workflow named it; run the workflow again")
    checkpoint = _open.get(expected)
    if checkpoint is None:
        checkpoint = _open[expected] = Checkpoint.open(path)
    return checkpoint


def close() -> None:
    """Close the files. Whoever reads one at this moment finishes."""
    _open.clear()
