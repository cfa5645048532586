"""A result as a safetensors file.

Its tensors are the blobs that codecs made of the result's leaves; the rest is JSON in its metadata, with a checksum
over both.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from graph.cache.entry import Entry, FileRecord
from graph.cache.tree import Encoded, decode, encode
from graph.codec import Blob, Codec

ENDING: Final = ".safetensors"
DAMAGED: Final = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""The errors that :func:`unpack` raises for data that :func:`pack` did not write."""

_FORMAT: Final = "sumi-result-1"


def pack(entry: Entry, codecs: Sequence[Codec]) -> list[bytes | bytearray | memoryview] | None:
    """Return ``entry`` as the parts of a safetensors file, or None if one of its values must stay in memory."""
    encoded = encode([entry.outputs, entry.ui], codecs)
    if encoded is None:
        return None
    files = [[file.folder, file.path, file.size, file.mtime] for file in entry.files]
    result = json.dumps({"tokens": encoded.tokens, "files": files})
    checksum = zlib.crc32(result.encode())
    header: dict[str, Any] = {}
    offset = 0
    for index, blob in enumerate(encoded.blobs):
        end = offset + memoryview(blob.data).nbytes
        header[str(index)] = {"dtype": blob.dtype, "shape": blob.shape, "data_offsets": [offset, end]}
        checksum = _checksum(blob, checksum)
        offset = end
    header["__metadata__"] = {"format": _FORMAT, "result": result, "crc32": str(checksum)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little"), text, *(blob.data for blob in encoded.blobs)]


def unpack(data: memoryview, codecs: Sequence[Codec]) -> Entry:
    """Undo :func:`pack`. Raises ValueError, KeyError, TypeError or AttributeError for data that :func:`pack` did
    not write, LookupError if a codec is missing."""
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= len(data) - 8:
        raise ValueError("it is cut short")
    header = json.loads(bytes(data[8 : 8 + length]))
    metadata = header.pop("__metadata__")
    if metadata["format"] != _FORMAT:
        raise ValueError(f"its format is {metadata['format']!r}")
    blobs = [_blob(header[str(index)], data[8 + length :]) for index in range(len(header))]
    checksum = zlib.crc32(metadata["result"].encode())
    for blob in blobs:
        checksum = _checksum(blob, checksum)
    if str(checksum) != metadata["crc32"]:
        raise ValueError("its checksum is wrong")
    result = json.loads(metadata["result"])
    outputs, ui = decode(Encoded(result["tokens"], blobs), codecs)
    return Entry(outputs, ui, tuple(FileRecord(*record) for record in result["files"]))


def _blob(described: Mapping[str, Any], data: memoryview) -> Blob:
    begin, end = described["data_offsets"]
    if not 0 <= begin <= end <= len(data):
        raise ValueError("it is cut short")
    return Blob(described["dtype"], tuple(described["shape"]), data[begin:end])


def _checksum(blob: Blob, before: int) -> int:
    described = zlib.crc32(f"{blob.dtype}{list(blob.shape)}".encode(), before)
    return zlib.crc32(blob.data, described)
