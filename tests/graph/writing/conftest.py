"""Workflow files of many kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from graph import Registry
from nodes import registry as built_in_nodes

ROOT = Path(__file__).parents[3]
FILES = sorted(
    [
        *(ROOT / "workflows").rglob("*.json"),
        *(ROOT / "tests" / "graph" / "formats" / "files").glob("*.json"),
        *(ROOT / "tests" / "cases").glob("*.json"),
    ]
)


@pytest.fixture(scope="session")
def registry() -> Registry:
    return built_in_nodes()


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def file(request: pytest.FixtureRequest) -> Path:
    return request.param
