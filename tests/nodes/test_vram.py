"""How much memory weights may take, by ComfyUI's flags."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from graph.machine_memory import memory_limit
from nodes import vram

GB = 1 << 30


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    yield
    vram.configure()


@pytest.mark.parametrize(
    ("mode", "available", "budget"),
    [
        ("normal", 8 * GB, 7 * GB),
        ("normal", GB // 2, 0),
        ("low", 8 * GB, int(3.2 * GB)),
        ("low", 3 * GB // 2, GB // 2),
        ("low", GB, 64 << 20),
        ("no", 8 * GB, 0),
    ],
)
def test_a_gpus_budget(mode: vram.Mode, available: int, budget: int) -> None:
    assert vram.budget_of(mode, available) == pytest.approx(budget, abs=1)


@pytest.mark.parametrize("mode", ["high", "gpu-only"])
def test_whole_models_stay_however_little_is_free(mode: vram.Mode) -> None:
    assert vram.budget_of(mode, 0) > 1 << 50


@pytest.mark.parametrize("mode", ["normal", "no", "low", "high"])
def test_on_a_cpu_the_flags_change_nothing(mode: vram.Mode) -> None:
    vram.configure(mode, 100 * GB)
    assert vram.weight_budget("cpu", 0) == int(0.6 * memory_limit())
    assert ("has no effect on cpu" in vram.describe("cpu")) == (mode != "normal")


def test_the_reserve_is_said() -> None:
    assert vram.reserved() in (400 << 20, 600 << 20)
    vram.configure("low", 2 * GB)
    assert vram.reserved() == 2 * GB
    assert vram.describe("cuda:0") == "--lowvram, 2.0 GB reserved"
