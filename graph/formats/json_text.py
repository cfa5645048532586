"""Reads untrusted JSON: limited depth, unique keys, and errors with line and column."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, Final

from graph.errors import FormatError
from graph.formats.shape import shown

MAX_DEPTH: Final = 200
"""Levels of lists and objects. Real workflows stay below 20; reading and hashing recurse this far at most."""

_MAX_INTEGER_BITS: Final = 4096
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def parse_json(source: str | bytes, name: str = "JSON") -> Any:
    """Parse the document in ``source``: UTF-8, or the encoding of its byte order mark.

    NaN and Infinity are read as numbers, because ComfyUI writes them into pictures;
    validation reports them where they matter.

    Raises FormatError with line and column for text that is not JSON. Also raises it for duplicate keys in an
    object, more than MAX_DEPTH levels, integers with thousands of digits and lone surrogates, which would fail later.
    """
    text = source if isinstance(source, str) else _decoded(source, name)
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise FormatError(f"{name} is empty; expected a workflow")
    try:
        document = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        hint = "; the text ends too early" if cut else ""
        raise FormatError(f"{name}, line {error.lineno} column {error.colno}: {error.msg}{hint}") from error
    except RecursionError as error:
        raise _too_deep(name) from error
    except ValueError as error:  # Python's limit on the digits of an integer
        raise FormatError(f"{name}{_position_of_digits(text)}: an integer with thousands of digits") from error
    return check_json(document, name)


def decoded_text(data: bytes) -> str:
    """Decode a text file, in UTF-8 or the encoding of its byte order mark. Damaged characters are replaced."""
    return data.decode(_encoding(data), "replace").removeprefix("\ufeff")


def check_json(document: Any, name: str = "the workflow") -> Any:
    """Return ``document`` if it is plain JSON within the limits. Keys of the outermost object may be integers.

    Raises FormatError otherwise.
    """
    if isinstance(document, dict) and not all(isinstance(key, str) for key in document):
        document = _with_text_keys(document, name)
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is str:
                if not value.isascii():
                    _check_text(value, name)
            elif kind is dict:
                for key in value:
                    if not isinstance(key, str):
                        raise FormatError(f"{name}: {shown(key)} is a key of an object; expected text")
                    if not key.isascii():
                        _check_text(key, name)
                below.extend(value.values())
            elif kind is list:
                below.extend(value)
            elif kind is int:
                if value.bit_length() > _MAX_INTEGER_BITS:
                    raise FormatError(f"{name}: an integer of {value.bit_length()} bits; expected a smaller number")
            elif value is not None and kind is not float and kind is not bool:
                raise FormatError(f"{name}: a Python {kind.__name__} cannot be written as JSON")
        if not below:
            return document
        level = below
    raise _too_deep(name)


def _check_text(value: str, name: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise FormatError(f"{name}: {value[:60]!a} holds a lone surrogate (half a character)") from error


def _with_text_keys(document: dict[Any, Any], name: str) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for key, value in document.items():
        text = str(key) if isinstance(key, int) and not isinstance(key, bool) else key
        if text in renamed:
            raise FormatError(f"{name}: the key {text!r} occurs twice in one object")
        renamed[text] = value
    return renamed


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise FormatError(f"the key {shown(key)} occurs twice in one object; remove one of them")
            seen.add(key)
    return made


def _encoding(data: bytes) -> str:
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")


def _decoded(data: bytes, name: str) -> str:
    encoding = _encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        raise FormatError(
            f"{name}, line {line} column {column}: byte 0x{data[error.start]:02x} is not {encoding.upper()}; "
            "expected JSON text, or a PNG, WebP or JPEG picture"
        ) from error


def _position_of_digits(text: str) -> str:
    found = re.search(r"\d{4000}", text)
    if found is None:
        return ""
    start = found.start()
    return f", line {text.count(chr(10), 0, start) + 1} column {start - text.rfind(chr(10), 0, start)}"


def _too_deep(name: str) -> FormatError:
    return FormatError(f"{name}: lists and objects are nested more than {MAX_DEPTH} deep")
