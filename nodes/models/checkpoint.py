"""Reads files of named tensors, without running code in them and without loading them completely.

The first bytes decide the kind of file, not its name: safetensors
(https://huggingface.co/docs/safetensors), or the format of ``torch.save`` (a zip archive, or
before PyTorch 1.6 a bare pickle). Opening reads only the header; for safetensors that needs
no torch, so a file can be checked, and refused, at once.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from graph.errors import SumiError
from nodes.models.adapter_names import original_adapter_names
from nodes.models.diffusers_names import original_controlnet_names, original_unet_names
from nodes.models.diffusers_vae_names import translated_names
from nodes.models.openclip_names import Source, translated
from nodes.models.pickled_data import plain_globals
from nodes.models.tiny_config import original_tiny_names

if TYPE_CHECKING:
    import torch

BITS: Mapping[str, int] = MappingProxyType(
    {
        **{"F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32},
        **{"F16": 16, "BF16": 16, "I16": 16, "U16": 16, "BOOL": 8, "I8": 8, "U8": 8},
        **{"F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8},
        **{"F6_E2M3": 6, "F6_E3M2": 6, "F4": 4},
    }
)
"""Bits of one element, by safetensors dtype name."""

_HEADER_LIMIT = 100_000_000
"""The format's limit on the header's length, in bytes."""

_OLDER_TEXT_ENCODER = re.compile(r"^(cond_stage_model\.transformer\.)(?=embeddings\.|encoder\.|final_layer_norm\.)")
"""Some early SD1 checkpoints lack ``text_model.`` in tensor names; it is added here, so other code can rely on it."""

_RELEASE_AFTER = 96 * 2**20
"""Bytes after which a mapped file is unmapped. Until then, its pages count as resident memory; unmapping it regularly
limits the memory for converting a checkpoint to its converted weights."""


class CheckpointError(SumiError):
    """A model file cannot be used. The message names the file, what was found, and what was expected."""


class Fingerprint(NamedTuple):
    """Identifies the state of a file without reading its content."""

    path: str
    size: int
    mtime_ns: int


def fingerprint(path: Path) -> Fingerprint:
    """Return the fingerprint of the current file at ``path``. Raises CheckpointError if it does not exist."""
    try:
        status = path.stat()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    return Fingerprint(str(path), status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """An open file of named tensors: its header, and tensors on request.

    ``shapes`` and ``dtypes`` (safetensors names: ``F16``, ``BF16``) hold every tensor, in the
    file's order. ``metadata`` is safetensors' ``__metadata__``, empty for other files. Text encoders have
    transformers' names, VAEs and ControlNets those of the original code, whichever names are in the file.
    """

    path: Path
    fingerprint: Fingerprint
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    metadata: Mapping[str, str]
    _source: _Safetensors | _Pickled = field(repr=False)
    _places: Mapping[str, Source] = field(repr=False)

    @classmethod
    def open(cls, path: Path | str) -> Checkpoint:
        """Read the header of the file at ``path``.

        Raises CheckpointError if the file does not exist, is truncated, is not a model file, or
        holds code.
        """
        path = Path(path)
        state = fingerprint(path)
        header, source = _read(path, state.size)
        places = {
            _OLDER_TEXT_ENCODER.sub(r"\1text_model.", name): place for name, place in translated(header.shapes).items()
        }
        for original in _TRANSLATIONS:
            places = {name: places[stored] for stored, name in original(places).items()}
        return cls(
            path,
            state,
            MappingProxyType({name: place.shape(header.shapes[place.name]) for name, place in places.items()}),
            MappingProxyType({name: header.dtypes[place.name] for name, place in places.items()}),
            MappingProxyType(header.metadata),
            source,
            places,
        )

    def tensor(self, name: str) -> torch.Tensor:
        """Return the tensor ``name`` on the CPU, in the file's dtype. It is mapped from the file: treat it as
        read-only and release it soon. Raises CheckpointError if the tensor does not exist."""
        if name not in self.shapes:
            raise CheckpointError(f"{self.path}: holds no tensor named '{name}'")
        place = self._places[name]
        tensor = self._source.tensor(place.name)
        if place.third is not None:
            tensor = tensor.chunk(3)[place.third]
        return tensor.T if place.transposed else tensor


_TRANSLATIONS: Final = (
    original_controlnet_names,
    original_adapter_names,
    original_unet_names,
    translated_names,
    original_tiny_names,
)
"""Each gives the original code's name for each tensor of a network with other names, and leaves all others."""


class _Header(NamedTuple):
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    metadata: dict[str, str]


def _read(path: Path, size: int) -> tuple[_Header, _Safetensors | _Pickled]:
    """Read the header with the reader for the file's first bytes. Returns its content and the reader."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
            if _is_safetensors(start):
                return _safetensors_header(path, file, start, size), _Safetensors(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    if start.startswith((b"PK\x03\x04", b"\x80")):
        source = _Pickled(path, is_zip=start.startswith(b"PK"))
        return source.header(), source
    raise CheckpointError(f"{path}: {_foreign(start)}; expected a .safetensors file or a PyTorch checkpoint")


def _is_safetensors(start: bytes) -> bool:
    return len(start) >= 9 and start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] <= _HEADER_LIMIT


def _foreign(start: bytes) -> str:
    """Describe a file that is not a model file by its first bytes."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        return "is empty (0 bytes), probably after an interrupted download"
    if not start.strip(b"\0"):
        return "begins with zeros, probably after an interrupted download"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page, not a model (did the download need a login?)"
    if text.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the model (run `git lfs pull`)"
    if start.startswith(b"GGUF"):
        return "is a GGUF file, which is not supported"
    if len(start) < 9:
        return f"is {len(start)} bytes long, too short for a model file"
    return f"is not a model file (it begins with {start[:8]!r})"


def _safetensors_header(path: Path, file: BinaryIO, start: bytes, size: int) -> _Header:
    """Read shapes, dtypes and metadata. ``start`` are the bytes of ``file`` read so far."""
    (length,) = struct.unpack("<Q", start[:8])
    if 8 + length > size:
        raise CheckpointError(f"{path}: is truncated: its header is {length} bytes long, the file {size}")
    raw = (start[8:] + file.read(max(0, length - len(start) + 8)))[:length]
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: the safetensors header is damaged: {error}") from error
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{path}: the safetensors header is damaged: __metadata__ is not an object")
    shapes: dict[str, tuple[int, ...]] = {}
    dtypes: dict[str, str] = {}
    spans: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        dtype, shape, begin, end = _entry(path, name, entry)
        shapes[name], dtypes[name] = shape, dtype
        spans.append((begin, end, name))
    _check_spans(path, spans, size - 8 - length)
    return _Header(shapes, dtypes, {str(key): str(value) for key, value in metadata.items()})


def _entry(path: Path, name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    """Return dtype, shape, begin and end of one tensor in the header, and check that they agree."""
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path}: the safetensors header is damaged: the entry of '{name}' lacks a dtype, shape or two offsets"
        ) from error
    if not isinstance(dtype, str) or dtype not in BITS:
        raise CheckpointError(f"{path}: tensor '{name}' has the unknown dtype {dtype!r}")
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise CheckpointError(
            f"{path}: tensor '{name}' has shape {list(shape)} at [{begin}, {end}], which are not sizes"
        )
    if (end - begin) * 8 != math.prod(shape) * BITS[dtype]:
        raise CheckpointError(
            f"{path}: tensor '{name}', {dtype} of shape {list(shape)}, takes "
            f"{math.prod(shape) * BITS[dtype] // 8} bytes, but its offsets span {end - begin}"
        )
    return dtype, shape, begin, end


def _check_spans(path: Path, spans: list[tuple[int, int, str]], available: int) -> None:
    """Check that the tensors fill the ``available`` bytes after the header without gaps or overlaps."""
    position, previous = 0, ""
    for begin, end, name in sorted(spans):
        if begin < position:
            raise CheckpointError(f"{path}: tensors '{previous}' and '{name}' overlap")
        if begin > position:
            raise CheckpointError(f"{path}: {begin - position} bytes before tensor '{name}' belong to no tensor")
        position, previous = end, name
        if end > available:
            raise CheckpointError(
                f"{path}: is truncated: tensor '{name}' ends {end - available} bytes after the end of the file"
            )
    if position != available:
        raise CheckpointError(f"{path}: {available - position} bytes at the end belong to no tensor")


class _Safetensors:
    """Tensors of a safetensors file, mapped."""

    def __init__(self, path: Path):
        self._path = path
        self._mapped: Any = None
        self._read = 0

    def tensor(self, name: str) -> torch.Tensor:
        from safetensors import SafetensorError, safe_open

        try:
            if self._mapped is None or self._read > _RELEASE_AFTER:
                self._mapped, self._read = safe_open(self._path, framework="pt"), 0
            tensor: torch.Tensor = self._mapped.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{self._path}: tensor '{name}' cannot be read: {error}") from error
        self._read += tensor.nbytes
        return tensor


class _Pickled:
    """Tensors of a ``torch.save`` file. Its pickle is restricted to tensors and plain data."""

    def __init__(self, path: Path, is_zip: bool):
        import torch

        self._path = path
        content = _flat(_unpickle(path, is_zip))
        self._tensors = {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}
        if not self._tensors:
            raise CheckpointError(f"{path}: is a PyTorch file without tensors; expected a state dict")

    def header(self) -> _Header:
        return _Header(
            {name: tuple(tensor.shape) for name, tensor in self._tensors.items()},
            {name: dtype_name(tensor.dtype) for name, tensor in self._tensors.items()},
            {},
        )

    def tensor(self, name: str) -> torch.Tensor:
        return self._tensors[name]


def unpickled(path: Path) -> Mapping[Any, Any]:
    """The dictionary in a ``torch.save`` file, with tensors and plain data only.

    Raises CheckpointError if the file is not there, is another kind of file, is damaged, or holds code.
    """
    fingerprint(path)
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    if _is_safetensors(start):
        return {}
    if not start.startswith((b"PK\x03\x04", b"\x80")):
        raise CheckpointError(f"{path}: {_foreign(start)}; expected a PyTorch file")
    return _unpickle(path, is_zip=start.startswith(b"PK"))


def _unpickle(path: Path, is_zip: bool) -> Mapping[Any, Any]:
    """Read the state dict of a ``torch.save`` file, also from inside ``{"state_dict": …}``."""
    import pickle
    import warnings

    import torch

    # torch maps files only by path, and reads every path that ends in .safetensors as a safetensors file.
    mapped = is_zip and path.suffix != ".safetensors"
    try:
        with (
            path.open("rb") as file,
            torch.serialization.safe_globals(plain_globals()),
            warnings.catch_warnings(),
        ):
            # torch warns about pickles that torch.save did not write. They are read or refused here anyway.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            content = torch.load(path if mapped else file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: {_refusal(error)}; it was not executed. Ask for the model as a .safetensors file"
        ) from error
    except Exception as error:  # a damaged pickle can raise almost any error (IndexError, KeyError…)
        raise CheckpointError(f"{path}: is a truncated or damaged PyTorch file: {_first_line(error)}") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}; expected a state dict")
    return content


def _flat(content: Mapping[Any, Any]) -> dict[str, Any]:
    """Flatten ``content`` by one level, with names ``outer.inner``: textual inversions store vectors there."""
    import torch

    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, torch.nn.Module):
            value = dict(value.named_parameters())
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": tensor for inner, tensor in value.items()}
        else:
            flat[str(name)] = value
    return flat


def _refusal(error: Exception) -> str:
    """Explain why the restricted unpickler stopped: usually a function or class that is not plain data."""
    text = str(error)
    for marker in ("Unsupported global: GLOBAL ", "Unsupported class ", "GLOBAL "):
        if marker in text:
            return f"holds code ({text.split(marker, 1)[1].split()[0]})"
    # The text before this is torch's advice to load the file unsafely.
    reason = text.rpartition("WeightsUnpickler error:")[2].strip().splitlines() or [type(error).__name__]
    return f"holds more than tensors and plain data ({reason[0]})"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def dtype_name(dtype: torch.dtype) -> str:
    """safetensors' name of a dtype; torch's own for one that safetensors lacks."""
    return _dtype_names().get(dtype, str(dtype))


def dtype_named(name: str) -> torch.dtype:
    """The dtype that safetensors calls ``name``. Raises KeyError for one that torch lacks."""
    return {named: dtype for dtype, named in _dtype_names().items()}[name]


@cache
def _dtype_names() -> dict[torch.dtype, str]:
    import torch

    return {
        **{torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"},
        **{torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8"},
        **{torch.bool: "BOOL", torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2"},
        **{torch.complex64: "C64"},
    }
