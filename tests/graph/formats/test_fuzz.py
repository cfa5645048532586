"""Any bytes give a workflow or a FormatError, and validation always returns."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.errors import FormatError
from graph.formats import load
from graph.schema import Registry
from graph.validation.validate import validate_outputs

FILES = {path.name: path.read_text() for path in (Path(__file__).parent / "files").glob("*.json")}
KEYS = (
    *("nodes", "links", "inputs", "outputs", "class_type", "prompt", "workflow", "extra_data", "definitions"),
    *("subgraphs", "id", "type", "mode", "link", "widget", "name", "widgets_values", "properties", "proxyWidgets"),
    *("inputNode", "outputNode", "__value__", "_meta", "title", "1", "2", "version"),
)
WORDS = ("KSampler", "Reroute", "PrimitiveNode", "Note", "PreviewImage", "EmptyLatentImage", "*", "IMAGE", "randomize")
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([0, 1, 2, 4, -1, -10, -20, 2**64, *WORDS])
    | st.text(max_size=8)
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner),
    max_leaves=30,
)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LONG = settings(QUICK, max_examples=10_000)
SEEDS = st.integers(0, 2**64 - 1)


def reads_or_says_why(source: Any, registry: Registry) -> None:
    try:
        workflow = load(source, registry)
    except FormatError as error:
        assert str(error)
        return
    verdict = validate_outputs(workflow, registry)
    assert verdict.problems or verdict.valid_outputs
    assert all(str(problem) for problem in verdict.problems)
    json.dumps(workflow.to_api())


def anything(random: Random, depth: int = 4) -> Any:
    """The same values as the JSON strategy, a hundred times faster, for the long tests."""
    kind = random.randrange(10 if depth else 6)
    if kind >= 8:
        return [anything(random, depth - 1) for _ in range(random.randrange(6))]
    if kind >= 6:
        keys = [random.choice(KEYS) if random.random() < 0.8 else _text(random, 4) for _ in range(random.randrange(7))]
        return {key: anything(random, depth - 1) for key in keys}
    return (
        lambda: random.choice([None, True, False]),
        lambda: random.getrandbits(random.choice([3, 16, 70, 200])) * random.choice([1, -1]),
        lambda: struct.unpack("d", random.randbytes(8))[0],  # infinities and what is no number too
        lambda: random.choice([0, 1, 2, 4, -1, -10, -20, 2**64, 0.5, float("nan"), float("inf")]),
        lambda: random.choice(WORDS),
        lambda: _text(random, 8),
    )[kind]()


def _text(random: Random, longest: int) -> str:
    """Text from every plane of Unicode, without surrogates."""
    points = [random.randrange(random.choice([0x80, 0xD800, 0x110000])) for _ in range(random.randrange(longest + 1))]
    return "".join(chr(point) for point in points if not 0xD800 <= point < 0xE000)


def mutated(random: Random, value: Callable[[], Any]) -> Any:
    """A sample file with a few values replaced by others or by values from other places."""
    document = json.loads(FILES[random.choice(sorted(FILES))])
    for _ in range(random.randint(1, 3)):
        places = _places(document)
        holder, key = random.choice(places)
        other, other_key = random.choice(places)
        action = random.choice(["replace", "delete", "copy"])
        if action == "replace":
            holder[key] = value()
        elif action == "copy":
            holder[key] = copy.deepcopy(other[other_key])
        else:
            del holder[key]
    return document


def _places(document: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    stack = [document]
    while stack:
        holder = stack.pop()
        for key, value in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
            found.append((holder, key))
            if isinstance(value, (dict, list)):
                stack.append(value)
    return found


def random_json(document: Any, registry: Registry) -> None:
    reads_or_says_why(document, registry)
    reads_or_says_why(json.dumps(document).encode(), registry)


def truncated_json(name: str, fraction: float, registry: Registry) -> None:
    text = json.dumps(json.loads(FILES[name])).encode()
    part = text[: int(len(text) * fraction)]
    with pytest.raises(FormatError):
        load(part, registry)


def random_bytes(head: bytes, data: bytes, registry: Registry) -> None:
    reads_or_says_why(head + data, registry)


HEADS = [b"", b"{", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPEXIF", b"\xff\xd8\xff\xe1", b"\xff\xfe", b"GIF8"]


@QUICK
@given(document=JSON)
def test_random_json(document: Any, registry: Registry) -> None:
    random_json(document, registry)


@QUICK
@given(random=st.randoms(), data=st.data())
def test_changed_workflows(random: Random, data: st.DataObject, registry: Registry) -> None:
    reads_or_says_why(mutated(random, lambda: data.draw(JSON)), registry)


@QUICK
@given(name=st.sampled_from(sorted(FILES)), fraction=st.floats(0, 0.999))
def test_truncated_workflows(name: str, fraction: float, registry: Registry) -> None:
    truncated_json(name, fraction, registry)


@QUICK
@given(head=st.sampled_from(HEADS), data=st.binary(max_size=200))
def test_random_bytes(head: bytes, data: bytes, registry: Registry) -> None:
    random_bytes(head, data, registry)


@pytest.mark.slow
@LONG
@given(seed=SEEDS)
def test_random_json_for_long(seed: int, registry: Registry) -> None:
    random_json(anything(Random(seed)), registry)


@pytest.mark.slow
@LONG
@given(seed=SEEDS)
def test_changed_workflows_for_long(seed: int, registry: Registry) -> None:
    random = Random(seed)
    reads_or_says_why(mutated(random, lambda: anything(random)), registry)


@pytest.mark.slow
@LONG
@given(head=st.sampled_from(HEADS), data=st.binary(max_size=400))
def test_random_bytes_for_long(head: bytes, data: bytes, registry: Registry) -> None:
    random_bytes(head, data, registry)
