"""Walks over a value: plain data, with leaves that only codecs understand.

Plain data is None, bool, int, float, str, bytes, list, tuple and dict, of exactly these types,
and :class:`graph.results.Blocked`. Everything else is a leaf: a registered codec's, or opaque.
The walks do not recurse, so depth is not limited, and they detect a container that holds itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from graph.codec import Blob, Codec
from graph.results import Blocked

SCALARS: Final = frozenset({type(None), bool, int, float, str})

_CONTAINERS: Final = frozenset({list, tuple, dict})


class Size(NamedTuple):
    """Bytes of plain data, and the leaves by identity: a leaf that several values share counts once."""

    plain: int
    leaves: dict[int, int]


class Encoded(NamedTuple):
    """A value as JSON data and bytes.

    ``tokens`` rebuild the value on a stack: a scalar is pushed, ``["list", n]`` pops n items and pushes their list.
    """

    tokens: list[Any]
    blobs: list[Blob]


class _Close(NamedTuple):
    container: Any
    token: list[Any]


def measure(value: Any, codecs: Sequence[Codec]) -> Size:
    """Return how much memory ``value`` takes."""
    plain = 0
    leaves: dict[int, int] = {}
    seen: set[int] = set()
    stack = [value]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind in _CONTAINERS:
            if id(item) in seen:
                continue
            seen.add(id(item))
            plain += sys.getsizeof(item)
            if kind is dict:
                stack.extend(item.keys())
                stack.extend(item.values())
            else:
                stack.extend(item)
        elif kind in SCALARS or kind is Blocked:
            plain += sys.getsizeof(item)
        elif id(item) not in leaves:
            codec = codec_for(item, codecs)
            leaves[id(item)] = codec.nbytes(item) if codec else sys.getsizeof(item)
    return Size(plain, leaves)


def encode(value: Any, codecs: Sequence[Codec], opaque: Callable[[Any], str] | None = None) -> Encoded | None:
    """Return ``value`` as JSON data and bytes, or None if a part of it cannot leave memory.

    With ``opaque``, such a part is written as the name that ``opaque`` returns for it. The result can then
    be hashed, but not decoded.
    """
    tokens: list[Any] = []
    blobs: list[Blob] = []
    open_containers: set[int] = set()
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind in SCALARS:
            tokens.append(item)
        elif kind is _Close:
            open_containers.discard(id(item.container))
            tokens.append(item.token)
        elif kind in _CONTAINERS:
            if id(item) in open_containers:
                return None
            open_containers.add(id(item))
            stack.append(_Close(item, [kind.__name__, len(item)]))
            if kind is dict:
                for key in reversed(item):
                    stack.append(item[key])
                    stack.append(key)
            else:
                stack.extend(reversed(item))
        elif kind is Blocked:
            tokens.append(["blocked", item.message, item.fails])
        elif kind is bytes:
            tokens.append(["bytes", len(blobs)])
            blobs.append(Blob("U8", (len(item),), item))
        else:
            codec = codec_for(item, codecs)
            blob = codec.dump(item) if codec else None
            if codec is not None and blob is not None:
                tokens.append(["leaf", codec.name, len(blobs)])
                blobs.append(blob)
            elif opaque is not None:
                tokens.append(["opaque", opaque(item)])
            else:
                return None
    return Encoded(tokens, blobs)


def decode(encoded: Encoded, codecs: Sequence[Codec]) -> Any:
    """Undo :func:`encode`. Raises ValueError for data that :func:`encode` did not write,
    LookupError if a leaf's codec is not registered."""
    by_name = {codec.name: codec for codec in codecs}
    stack: list[Any] = []
    for token in encoded.tokens:
        if type(token) is not list:
            stack.append(token)
            continue
        try:
            operation, *arguments = token
            if operation in ("list", "tuple", "dict"):
                stack.append(_container(operation, stack, *arguments))
            elif operation == "blocked":
                stack.append(Blocked(*arguments))
            elif operation == "bytes":
                stack.append(bytes(encoded.blobs[arguments[0]].data))
            elif operation == "leaf":
                name, index = arguments
                if name not in by_name:
                    raise LookupError(f"no codec named {name!r}")
                stack.append(by_name[name].load(encoded.blobs[index]))
            else:
                raise ValueError(f"unknown token {operation!r}")
        except (IndexError, TypeError) as error:
            raise ValueError(f"malformed token {token!r}") from error
    if len(stack) != 1:
        raise ValueError(f"{len(stack)} values left on the stack; expected one")
    return stack[0]


def _container(operation: str, stack: list[Any], length: int) -> Any:
    count = 2 * length if operation == "dict" else length
    if not 0 <= count <= len(stack):
        raise ValueError(f"a {operation} of {length} with only {len(stack)} values on the stack")
    items = stack[len(stack) - count :]
    del stack[len(stack) - count :]
    if operation == "dict":
        return dict(zip(items[::2], items[1::2], strict=True))
    return items if operation == "list" else tuple(items)


def digest(value: Any, codecs: Sequence[Codec], opaque: Callable[[Any], str] | None = None) -> bytes | None:
    """Return a hash of ``value``'s content, or None if a part of it has no content to hash.

    ``opaque`` has the same meaning as in :func:`encode`.
    """
    encoded = encode(value, codecs, opaque)
    return None if encoded is None else digest_of(encoded)


def digest_of(encoded: Encoded) -> bytes:
    """Return the hash of an encoded value."""
    hasher = blake2b(digest_size=20)
    for token in encoded.tokens:
        hasher.update(repr(token).encode())
        hasher.update(b"\n")
    for blob in encoded.blobs:
        hasher.update(f"{blob.dtype}{blob.shape}".encode())
        hasher.update(blob.data)
    return hasher.digest()


def codec_for(leaf: Any, codecs: Sequence[Codec]) -> Codec | None:
    """Return the first codec that accepts ``leaf``."""
    for codec in codecs:
        if codec.accepts(leaf):
            return codec
    return None
