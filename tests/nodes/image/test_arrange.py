"""Pictures scaled, cropped, padded, pasted, stitched and put into batches."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nodes.allocation import TooLargeError
from nodes.image import nodes
from nodes.resize import SizeError


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def size(images: torch.Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[1]


@pytest.mark.parametrize(
    ("width", "height", "expected"), [(0, 0, (20, 10)), (0, 5, (10, 5)), (7, 0, (7, 4)), (1, 0, (1, 1)), (9, 9, (9, 9))]
)
def test_a_side_of_zero_follows_the_other(width: int, height: int, expected: tuple[int, int]) -> None:
    image = random(2, 10, 20, 3)
    scaled = nodes.image_scale(image=image, upscale_method="area", width=width, height=height, crop="disabled")
    assert size(scaled) == expected and scaled.shape[0] == 2


@pytest.mark.parametrize("method", nodes.METHODS)
def test_every_method_scales_by_a_factor(method: str) -> None:
    assert size(nodes.image_scale_by(image=random(1, 10, 20, 3), upscale_method=method, scale_by=1.5)) == (30, 15)
    assert size(nodes.image_scale_by(image=random(1, 10, 20, 3), upscale_method=method, scale_by=0.01)) == (1, 1)


def test_scaling_to_so_many_pixels_or_so_long_a_side() -> None:
    image = random(1, 10, 40, 3)
    total = nodes.image_scale_to_total_pixels(image=image, upscale_method="nearest-exact", megapixels=0.01)
    assert size(total) == (205, 51)
    longest: Any = nodes.image_scale_to_max_dimension
    assert size(longest(image=image, upscale_method="area", largest_size=20)) == (20, 5)
    assert size(longest(image=image.movedim(1, 2), upscale_method="area", largest_size=20)) == (5, 20)
    with pytest.raises(SizeError, match="0×0"):
        longest(image=image, upscale_method="area", largest_size=0)


def test_absurd_sizes_are_refused() -> None:
    batch = random(1, 8, 8, 3).expand(4096, 8, 8, 3)
    with pytest.raises(TooLargeError, match="16384×16384"):
        nodes.image_scale(image=batch, upscale_method="area", width=16384, height=16384, crop="disabled")
    with pytest.raises(TooLargeError, match="batch size 4096"):
        nodes.empty_image(width=16384, height=16384, batch_size=4096)


def test_an_empty_picture_has_its_colour() -> None:
    image = nodes.empty_image(width=3, height=2, batch_size=2, color=0xFF8001)
    assert image.shape == (2, 2, 3, 3)
    torch.testing.assert_close(image[1, 1, 2], torch.tensor([255, 128, 1]) / 255)


def test_a_crop_is_cut_off_at_the_edges() -> None:
    image = random(1, 5, 6, 3)
    assert torch.equal(nodes.image_crop(image=image, x=4, y=1, width=9, height=2), image[:, 1:3, 4:])
    assert torch.equal(nodes.image_crop(image=image, x=99, y=99), image[:, 4:, 5:])


def test_a_batch_takes_the_first_ones_size_and_the_most_channels() -> None:
    rgb, rgba = random(1, 8, 6, 3), random(2, 4, 4, 4)
    joined = nodes.image_batch(image1=rgb, image2=rgba)
    assert joined.shape == (3, 8, 6, 4) and joined[0, ..., 3].eq(1).all()
    assert torch.equal(joined[:1, ..., :3], rgb)


def test_batches_are_taken_apart_and_dealt_out() -> None:
    image = random(5, 2, 2, 3)
    assert torch.equal(nodes.image_from_batch(image=image, batch_index=3, length=9), image[3:])
    assert torch.equal(nodes.image_from_batch(image=image, batch_index=99), image[4:])
    assert torch.equal(nodes.repeat_image_batch(image=image, amount=2), torch.cat((image, image)))
    dealt: Any = nodes.rebatch_images(images=[image, image[:1]], batch_size=[4])  # type: ignore[arg-type]
    assert [batch.shape[0] for batch in dealt] == [4, 2]
    with pytest.raises(SizeError, match=r"2×2×3, 9×9×3"):
        nodes.rebatch_images(images=[image[:1], random(1, 9, 9, 3)], batch_size=[2])  # type: ignore[arg-type]


def test_pasting_where_the_mask_is_one() -> None:
    below, above = torch.zeros(2, 4, 4, 3), torch.ones(1, 2, 2, 4)
    mask = torch.tensor([[[0.0, 0.25], [0.5, 1.0]]])
    pasted = nodes.image_composite_masked(destination=below, source=above, x=3, y=2, mask=mask)
    assert pasted.shape == below.shape and pasted[1, 2:, 3, 0].tolist() == [0, 0.5]
    assert float(pasted.sum()) == 2 * 3 * 0.5 and not below.any()


@pytest.mark.parametrize(
    ("margins", "feathering"),
    [((8, 16, 0, 0), 3), ((0, 0, 8, 8), 4), ((1, 1, 1, 1), 0), ((8, 8, 8, 8), 99), ((0,) * 4, 2)],
)
def test_padding_leaves_the_picture_and_masks_the_margins(margins: tuple[int, ...], feathering: int) -> None:
    left, top, right, bottom = margins
    image = random(2, 9, 11, 3)
    padded, mask = nodes.image_pad_for_outpaint(
        image=image, left=left, top=top, right=right, bottom=bottom, feathering=feathering
    )
    assert padded.shape == (2, 9 + top + bottom, 11 + left + right, 3)
    assert torch.equal(padded[:, top : top + 9, left : left + 11], image)
    expected = torch.ones(padded.shape[1:3])
    for row in range(9):
        for column in range(11):
            distances = [
                distance
                for distance, margin in ((row, top), (9 - row, bottom), (column, left), (11 - column, right))
                if margin
            ]
            near = min(distances, default=99)
            fades = 2 * feathering < 9 and near < feathering
            expected[top + row, left + column] = ((feathering - near) / feathering) ** 2 if fades else 0
    torch.testing.assert_close(mask, expected.unsqueeze(0))
    assert padded[:, mask[0] == 1][..., 0].eq(0.5).any() or not any(margins)


def test_turning_is_clockwise_and_mirroring_is_named_by_its_axis() -> None:
    image = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).reshape(1, 2, 2, 1)
    assert nodes.image_rotate(image=image, rotation="90 degrees").flatten().tolist() == [2, 0, 3, 1]
    assert nodes.image_rotate(image=image, rotation="none").flatten().tolist() == [0, 1, 2, 3]
    assert nodes.image_flip(image=image, flip_method="x-axis: vertically").flatten().tolist() == [2, 3, 0, 1]
    assert nodes.image_flip(image=image, flip_method="y-axis: horizontally").flatten().tolist() == [1, 0, 3, 2]


@pytest.mark.parametrize(
    ("direction", "match", "expected"),
    [
        ("right", True, (6 + 2 + 8, 4)),
        ("left", False, (6 + 2 + 4, 4)),
        ("down", True, (6, 4 + 2 + 3)),
        ("up", False, (6, 4 + 2 + 2)),
    ],
)
def test_stitching(direction: Any, match: bool, expected: tuple[int, int]) -> None:
    first, second = torch.full((1, 4, 6, 3), 0.25), torch.ones(2, 2, 4, 4)
    stitched = nodes.image_stitch(
        image1=first, direction=direction, match_image_size=match, spacing_width=1, spacing_color="red", image2=second
    )
    assert size(stitched) == expected and stitched.shape[::3] == (2, 4)
    corner = stitched[0, 0, 0] if direction in ("right", "down") else stitched[0, -1, -1]
    assert corner.tolist() == [0.25, 0.25, 0.25, 1]
    assert int((stitched[0] == torch.tensor([1.0, 0, 0, 1])).all(-1).sum()) == 2 * (
        4 if direction in ("left", "right") else 6
    )


def test_stitching_nothing_changes_nothing() -> None:
    image = random(1, 3, 3, 3)
    assert nodes.image_stitch(image1=image) is image


def test_the_size_is_told(context: Any) -> None:
    assert nodes.get_image_size(image=random(3, 4, 6, 3), unique_id="1", context=context) == (6, 4, 3)
    assert "width: 6" in context.shown[0]


def test_inverting_twice_changes_nothing() -> None:
    image = torch.tensor([0.0, 0.25, 1.0]).reshape(1, 1, 1, 3)
    assert nodes.image_invert(image=image).flatten().tolist() == [1, 0.75, 0]


@pytest.mark.parametrize(
    ("width", "height", "box"), [(30, 12, (7, 0, 15, 12)), (15, 30, (0, 9, 15, 12)), (5, 4, (0, 0, 5, 4))]
)
def test_fitting_whole_into_a_size(width: int, height: int, box: tuple[int, ...]) -> None:
    options: Any = {"padding_color": "white", "interpolation": "area"}
    fitted = nodes.resize_and_pad_image(
        image=random(2, 12, 15, 3) * 0.9, target_width=width, target_height=height, **options
    )
    assert fitted.shape == (2, height, width, 3)
    x, y, inner_width, inner_height = box
    inside = torch.zeros(height, width, dtype=torch.bool)
    inside[y : y + inner_height, x : x + inner_width] = True
    assert torch.equal((fitted[0] < 1).all(-1), inside)
