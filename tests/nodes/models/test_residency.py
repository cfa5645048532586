"""Who stays in memory, and who leaves first."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from nodes.models.residency import Residency, memory_budget


def _net(width: int) -> nn.Module:
    """``width`` x 4 bytes."""
    return nn.Linear(width, 1, bias=False)


def _keys(residency: Residency) -> list[object]:
    return [entry.key for entry in residency.loaded()]


def test_a_network_is_built_once() -> None:
    residency = Residency(lambda device: 1000)
    first = residency.resident("a", lambda: _net(10))
    assert residency.resident("a", lambda: pytest.fail("built twice")) is first
    assert [entry.nbytes for entry in residency.loaded()] == [40]


def test_the_least_recently_used_leaves_first() -> None:
    residency = Residency(lambda device: 100)
    for key in "ab":
        residency.resident(key, lambda: _net(10))
    residency.resident("a", lambda: pytest.fail("a is loaded"))
    residency.resident("c", lambda: _net(10))
    assert _keys(residency) == ["a", "c"]


def test_room_is_made_before_building() -> None:
    residency = Residency(lambda device: 100)
    residency.resident("a", lambda: _net(20))
    there: list[list[object]] = []

    def build() -> nn.Module:
        there.append(_keys(residency))
        return _net(20)

    residency.resident("b", build, nbytes=80)
    assert there == [[]]


def test_a_network_larger_than_the_budget_is_loaded_alone() -> None:
    residency = Residency(lambda device: 100)
    residency.resident("small", lambda: _net(10))
    large = residency.resident("large", lambda: _net(1000))
    assert _keys(residency) == ["large"]
    assert residency.resident("large", lambda: pytest.fail("large is loaded")) is large


def test_devices_have_budgets_of_their_own() -> None:
    residency = Residency(lambda device: 40)
    residency.resident("a", lambda: _net(10), device="cpu")
    residency.resident("b", lambda: _net(10), device="cuda:0")
    assert _keys(residency) == ["a", "b"]


def test_a_build_that_fails_leaves_nothing() -> None:
    residency = Residency(lambda device: 100)
    with pytest.raises(ZeroDivisionError):
        residency.resident("a", lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    assert residency.loaded() == []


def test_a_gpu_that_runs_out_is_cleared_and_tried_once_more() -> None:
    residency = Residency(lambda device: 1000)
    residency.resident("a", lambda: _net(10))
    there: list[list[object]] = []

    def build() -> nn.Module:
        there.append(_keys(residency))
        if len(there) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return _net(10)

    residency.resident("b", build)
    assert there == [["a"], []]
    assert _keys(residency) == ["b"]


def test_what_is_loaded_can_be_asked_while_another_is_built() -> None:
    residency = Residency(lambda device: 1000)
    answers: list[int] = []

    def build() -> nn.Module:
        asking = threading.Thread(target=lambda: answers.append(len(residency.loaded())), daemon=True)
        asking.start()
        asking.join(timeout=10)
        return _net(1)

    residency.resident("a", build)
    assert answers == [0]


def test_freeing_forgets_all() -> None:
    residency = Residency(lambda device: 100)
    residency.resident("a", lambda: _net(10))
    residency.free()
    assert residency.loaded() == []


def test_the_budget_is_a_share_of_this_machine() -> None:
    assert 2**28 < memory_budget("cpu") < 2**50
