"""Masks made, grown, feathered and combined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.allocation import TooLargeError
from nodes.mask import nodes
from nodes.mask.shape import combine, feather, grow
from nodes.resize import SizeError

ndimage = pytest.importorskip("scipy.ndimage")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=60, deadline=None)
@given(
    expand=st.integers(-5, 5), tapered=st.booleans(), size=st.tuples(*[st.integers(1, 9)] * 3), seed=st.integers(0, 99)
)
def test_growing_is_scipys_grey_dilation(expand: int, tapered: bool, size: tuple[int, int, int], seed: int) -> None:
    mask = random(*size, seed=seed)
    corner = 0 if tapered else 1
    footprint = np.array([[corner, 1, corner], [1, 1, 1], [corner, 1, corner]])
    step = ndimage.grey_dilation if expand >= 0 else ndimage.grey_erosion
    expected = mask.numpy()
    for _ in range(abs(expand)):
        expected = np.stack([step(one, footprint=footprint) for one in expected])
    assert torch.equal(grow(mask, expand, tapered), torch.from_numpy(expected))


def test_a_grown_point_is_a_diamond_or_a_square() -> None:
    point = torch.zeros(1, 9, 9)
    point[0, 4, 4] = 1
    assert int(nodes.grow_mask(mask=point, expand=3).sum()) == 25
    assert int(nodes.grow_mask(mask=point, expand=3, tapered_corners=False).sum()) == 49
    assert nodes.grow_mask(mask=point, expand=16384).all()
    assert not nodes.grow_mask(mask=point, expand=-1).any()


def test_a_solid_mask_and_its_inverse() -> None:
    solid = nodes.solid_mask(value=0.25, width=3, height=2)
    assert solid.tolist() == [[[0.25] * 3] * 2]
    assert nodes.invert_mask(mask=solid).tolist() == [[[0.75] * 3] * 2]


def test_a_mask_too_large_for_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodes.allocation.memory_limit", lambda: 10**8)
    with pytest.raises(TooLargeError, match=r"16384×16384.*1\.1 GB"):
        nodes.solid_mask(width=16384, height=16384)


def test_a_crop_is_cut_off_at_the_edges() -> None:
    mask = random(2, 5, 6)
    assert torch.equal(nodes.crop_mask(mask=mask, x=4, y=1, width=9, height=2), mask[:, 1:3, 4:])
    with pytest.raises(SizeError, match="x 6, y 0"):
        nodes.crop_mask(mask=mask, x=6)


def test_a_feather_rises_from_each_edge_the_far_ones_a_pixel_out_as_in_comfyui() -> None:
    assert feather(torch.ones(1, 1, 6), left=2, top=0, right=0, bottom=0)[0, 0].tolist() == [0.5, 1, 1, 1, 1, 1]
    assert feather(torch.ones(1, 1, 6), left=0, top=0, right=4, bottom=0)[0, 0].tolist() == [0.25, 1, 1, 1, 0.75, 0.5]
    assert feather(torch.ones(1, 6, 1), left=0, top=0, right=0, bottom=2)[0, :, 0].tolist() == [0.5, 1, 1, 1, 1, 1]
    assert nodes.feather_mask(mask=torch.ones(4, 4), top=999).tolist() == [[[q] * 4 for q in (0.25, 0.5, 0.75, 1)]]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("multiply", [0.0, 0.16, 0.48]),
        ("add", [0.8, 1.0, 1.0]),
        ("subtract", [0.0, 0.0, 0.0]),
        ("and", [0, 0, 1]),
        ("or", [1, 1, 1]),
        ("xor", [1, 1, 0]),
    ],
)
def test_masks_combine(operation: Any, expected: list[float]) -> None:
    destination, source = torch.tensor([[[0.0, 0.2, 0.6, 0.6]]]), torch.full((1, 3, 3), 0.8)
    combined = nodes.mask_composite(destination=destination, source=source, x=0, y=0, operation=operation)
    torch.testing.assert_close(combined[0, 0], torch.tensor([*map(float, expected), 0.6]))
    assert destination[0, 0, 0] == 0


def test_what_lies_outside_changes_nothing() -> None:
    destination = random(1, 3, 3)
    assert torch.equal(combine(destination, torch.ones(1, 9, 9), 99, 0, "add"), destination)


def test_a_threshold_is_exclusive() -> None:
    mask = torch.tensor([[[0.4, 0.5, 0.6]]])
    assert nodes.threshold_mask(mask=mask, value=0.5).tolist() == [[[0, 0, 1]]]


def test_to_a_picture_and_back() -> None:
    mask = random(2, 3, 4)
    image = nodes.mask_to_image(mask=mask)
    assert image.shape == (2, 3, 4, 3)
    assert torch.equal(nodes.image_to_mask(image=image, channel="green"), mask)
    with pytest.raises(SizeError, match="no alpha; choose one of red, green, blue"):
        nodes.image_to_mask(image=image, channel="alpha")


def test_a_colour_is_matched_exactly() -> None:
    image = torch.tensor([[[[1.0, 0.5, 0.0], [1.0, 0.51, 0.0]]]])
    assert nodes.image_color_to_mask(image=image, color=0xFF8000).tolist() == [[[1, 0]]]


def test_a_preview_is_a_grey_picture_in_the_temp_folder(context: Any) -> None:
    ui = nodes.mask_preview(mask=random(4, 4), context=context).ui
    assert ui is not None and [path.name for path in context.folders.temp.iterdir()] == [ui["images"][0]["filename"]]
