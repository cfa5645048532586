"""Stored values are read back equal, and different values have different hashes."""

from __future__ import annotations

import json
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.cache.tree import Encoded, decode, digest, encode, measure
from graph.codec import Blob
from graph.results import Blocked


class ArrayCodec:
    name = "array"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, array)

    def nbytes(self, value: array[float]) -> int:
        return len(value) * 8

    def dump(self, value: array[float]) -> Blob:
        return Blob("F64", (len(value),), value.tobytes())

    def load(self, blob: Blob) -> array[float]:
        return array("d", bytes(blob.data))


CODECS = (ArrayCodec(),)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
leaves = scalars | st.binary(max_size=5) | st.builds(lambda xs: array("d", xs), st.lists(st.floats(allow_nan=False)))
values = st.recursive(
    leaves | st.builds(Blocked, st.none() | st.text(), st.booleans()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(scalars, inner, max_size=3)
    ),
    max_leaves=8,
)


def same(a: Any, b: Any) -> bool:
    """Equal, types included: 1, 1.0 and True differ here."""
    return repr(a) == repr(b)


@given(values)
def test_what_is_encoded_comes_back(value):
    encoded = encode(value, CODECS)
    assert encoded is not None
    tokens = json.loads(json.dumps(encoded.tokens))
    assert same(decode(Encoded(tokens, encoded.blobs), CODECS), value)


@given(values, values)
def test_digests_are_equal_exactly_when_values_are(a, b):
    assert (digest(a, CODECS) == digest(b, CODECS)) == same(a, b)


@pytest.mark.parametrize("value", [object(), [1, object()], {"a": {1, 2}}])
def test_what_has_no_codec_is_not_encoded(value):
    assert encode(value, CODECS) is None
    assert digest(value, CODECS) is None
    assert digest(value, CODECS, opaque=lambda leaf: "leaf") is not None


def test_depth_is_no_limit():
    value: Any = 1
    for _ in range(50_000):
        value = [value]
    encoded = encode(value, ())
    assert encoded is not None
    back = decode(encoded, ())
    depth = 0
    while isinstance(back, list):
        back, depth = back[0], depth + 1
    assert depth == 50_000
    assert measure(value, ()).plain > 50_000


def test_a_container_that_holds_itself_is_not_encoded():
    value: list[Any] = [1]
    value.append(value)
    assert encode(value, ()) is None
    assert measure(value, ()).plain > 0


def test_shared_leaves_are_measured_once():
    shared = array("d", [0.0] * 1000)
    assert sum(measure([shared, (shared, {"a": shared})], CODECS).leaves.values()) == 8000


@pytest.mark.parametrize(
    "tokens",
    [[], [1, 2], [["list", 1]], [["list", -1]], [["dict", 1]], [["what", 1]], [["bytes", 4]], [[]], [["list", "x"]]],
)
def test_tokens_that_make_no_value(tokens):
    with pytest.raises(ValueError, match=r"."):
        decode(Encoded(tokens, []), CODECS)


def test_a_missing_codec_is_not_damage():
    with pytest.raises(LookupError, match="no codec named 'torch'"):
        decode(Encoded([["leaf", "torch", 0]], [Blob("F32", (0,), b"")]), CODECS)
