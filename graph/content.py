"""A file's content hash: names and dates do not matter."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

_BLOCK: Final = 4 << 20


def content_hash(path: Path) -> str:
    """Return a hash of all bytes of the file (blake2b, 160 bits, hexadecimal). Raises OSError."""
    digest = new_hash()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def new_hash() -> hashlib.blake2b:
    """Return the hash object whose ``hexdigest`` is the content hash of the bytes it was given."""
    return hashlib.blake2b(digest_size=20)
