"""Computing in tiles gives the same result as computing at once, for functions that use no more than the overlap."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nodes.tiles import spans, tiled, tiled_thrice


def _pointwise_up(x: Tensor) -> Tensor:
    return F.interpolate(x * 2 + 1, scale_factor=4, mode="nearest")


def _pointwise_down(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 4).repeat(1, 2, 1, 1)


@given(size=st.integers(1, 200), tile=st.integers(1, 64), overlap=st.integers(0, 63))
def test_spans_cover_a_side_and_share_the_overlap(size: int, tile: int, overlap: int) -> None:
    if overlap >= tile:
        with pytest.raises(ValueError, match="cannot overlap"):
            spans(size, tile, overlap)
        return
    found = spans(size, tile, overlap)
    assert found[0].start == 0
    assert found[-1].stop == size
    assert all(0 <= span.start < span.stop <= size for span in found)
    assert all(span.stop - span.start == min(tile, size) for span in found[:-1])
    for left, right in itertools.pairwise(found):
        assert left.start < right.start == left.stop - overlap


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(height=st.integers(1, 40), width=st.integers(1, 40), tile=st.integers(2, 16), overlap=st.integers(0, 4))
def test_tiles_of_a_local_function_are_the_whole(height: int, width: int, tile: int, overlap: int) -> None:
    overlap = min(overlap, tile // 2)
    x = torch.randn(2, 3, height, width)
    up = tiled(_pointwise_up, x, (tile, tile + 3), overlap, Fraction(4))
    torch.testing.assert_close(up, _pointwise_up(x))
    torch.testing.assert_close(tiled_thrice(_pointwise_up, x, tile, overlap, Fraction(4)), _pointwise_up(x))
    x = torch.randn(1, 3, 4 * height, 4 * width)
    down = tiled(_pointwise_down, x, (4 * tile, 4 * tile), 4 * overlap, Fraction(1, 4))
    torch.testing.assert_close(down, _pointwise_down(x))
    down = tiled_thrice(_pointwise_down, x, 4 * tile, 4 * overlap, Fraction(1, 4), unit=4)
    torch.testing.assert_close(down, _pointwise_down(x))


def test_seams_are_feathered() -> None:
    """Two tiles of constants 0 and 1: the result rises steadily from one to the other."""
    constants = iter([0.0, 1.0])
    out = tiled(lambda x: torch.full_like(x, next(constants)), torch.zeros(1, 1, 1, 12), (8, 8), 4, Fraction(1))
    assert out.flatten()[:4].tolist() == [0.0] * 4
    assert out.flatten()[8:].tolist() == [1.0] * 4
    torch.testing.assert_close(out.flatten()[4:8], torch.tensor([0.2, 0.4, 0.6, 0.8]))


def test_every_tile_ticks_first() -> None:
    ticks: list[tuple[int, int]] = []
    tiled(lambda x: x, torch.zeros(2, 1, 4, 8), (4, 4), 0, Fraction(1), lambda done, total: ticks.append((done, total)))
    assert ticks == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_three_tilings_are_averaged_so_that_no_seam_is_alone() -> None:
    """Each tile answers with its own size: the mean of the three tilings says which sizes there were."""
    areas = tiled_thrice(lambda x: torch.full_like(x, x[0, 0].numel()), torch.zeros(1, 1, 16, 16), 8, 0, Fraction(1))
    assert areas.unique().tolist() == [(16 * 4 + 4 * 16 + 8 * 8) / 3]
    ticks: list[tuple[int, int]] = []
    x = torch.zeros(1, 1, 16, 16)
    tiled_thrice(lambda x: x, x, 8, 0, Fraction(1), tick=lambda done, total: ticks.append((done, total)))
    assert ticks == [(done, 12) for done in range(12)]
