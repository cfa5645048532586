"""Engines with a few test nodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from graph.codec import Codec
from graph.engine import Engine
from graph.schema import Registry


@pytest.fixture
def make_engine() -> Iterator[Callable[..., Engine]]:
    """``make_engine(node functions…, version="1", codecs=…, environment=…, **Engine arguments)``."""
    engines: list[Engine] = []

    def make(
        *functions: Any,
        version: str | None = "1",
        codecs: tuple[Codec, ...] = (),
        environment: str = "",
        check_values: bool = True,
        **arguments: Any,
    ) -> Engine:
        types = {
            function.node_type.name: dataclasses.replace(function.node_type, version=version) for function in functions
        }
        engine = Engine(Registry(types, codecs, environment), check_values=check_values, **arguments)
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.close()
