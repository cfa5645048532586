from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.ray_nodes import RayNodes, ray_nodes

ROOT = Path(__file__).resolve().parents[2]
PACK = Path(__file__).parent / "packs" / "probe"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base directory with the probe nodes in it."""
    (tmp_path / "custom_nodes").symlink_to(PACK / "custom_nodes")
    return tmp_path


@pytest.fixture(scope="session")
def nodes() -> Iterator[RayNodes]:
    """A Ray cluster of a head and one more node."""
    with ray_nodes() as cluster:
        yield cluster


@pytest.fixture
def worker_command(base: Path) -> list[str]:
    """Starts a real worker process on ``base``."""
    options = ["--base-directory", str(base), "--cpu", "--no-warm-up", "--cache-disk", "0"]
    return [sys.executable, str(ROOT / "main.py"), "worker", *options]
