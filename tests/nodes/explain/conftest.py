"""Float32 on the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nodes import device


@pytest.fixture(scope="module", autouse=True)
def precision() -> Iterator[None]:
    device.configure("cpu", "fp32")
    yield
    device.configure()
