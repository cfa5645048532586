"""Float32 on the CPU, and a small model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nodes import device
from nodes.models.handle import Model
from tests.nodes.sampling.small_model import model_of, small_unet


@pytest.fixture(scope="module", autouse=True)
def precision() -> Iterator[None]:
    device.configure("cpu", "fp32")
    yield
    device.configure()


@pytest.fixture(scope="module")
def model() -> Model:
    return model_of(small_unet())
