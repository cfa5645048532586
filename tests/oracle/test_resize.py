"""Resizing against Pillow, torch, and the definition of spherical interpolation written out."""

from __future__ import annotations

import math

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.resize import SizeError, bislerp, crop_to_aspect, resize

SIZES = [(8, 8, 16, 16), (7, 5, 13, 11), (16, 12, 6, 9), (6, 6, 6, 12), (5, 9, 5, 9), (3, 4, 1, 1)]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def pillow(picture: torch.Tensor, width: int, height: int, resample: PIL.Image.Resampling) -> torch.Tensor:
    """[C, H, W] through Pillow's float mode, channel by channel."""
    channels = [np.asarray(PIL.Image.fromarray(c.numpy(), "F").resize((width, height), resample)) for c in picture]
    return torch.from_numpy(np.stack(channels))


@pytest.mark.parametrize(("width", "height", "to_width", "to_height"), SIZES)
@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos", "bislerp"])
def test_the_size_is_the_one_asked_for(method: str, width: int, height: int, to_width: int, to_height: int) -> None:
    samples = random(2, 3, height, width)
    assert resize(samples, to_width, to_height, method).shape == (2, 3, to_height, to_width)


# Sizes at which no centre of a pixel falls on the border of two.
@pytest.mark.parametrize(
    ("width", "height", "to_width", "to_height"), [(8, 8, 16, 16), (7, 5, 13, 11), (10, 12, 7, 5), (9, 3, 3, 9)]
)
def test_nearest_exact_is_pillows_nearest(width: int, height: int, to_width: int, to_height: int) -> None:
    samples = random(1, 2, height, width)
    expected = pillow(samples[0], to_width, to_height, PIL.Image.Resampling.NEAREST)
    assert torch.equal(resize(samples, to_width, to_height, "nearest-exact")[0], expected)


@pytest.mark.parametrize("factor", [2, 3, 7])
def test_bilinear_enlarging_is_pillows(factor: int) -> None:
    samples = random(1, 2, 5, 7)
    expected = pillow(samples[0], 7 * factor, 5 * factor, PIL.Image.Resampling.BILINEAR)
    torch.testing.assert_close(resize(samples, 7 * factor, 5 * factor, "bilinear")[0], expected)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_area_is_the_mean_of_what_it_covers(factor: int) -> None:
    samples = random(1, 2, 15 * factor, 4 * factor)
    expected = pillow(samples[0], 4, 15, PIL.Image.Resampling.BOX)
    torch.testing.assert_close(resize(samples, 4, 15, "area")[0], expected)


def test_bicubic_has_the_kernel_of_keys_with_a_three_quarters() -> None:
    line = torch.tensor([0.0, 0.0, 1.0, 1.0]).reshape(1, 1, 1, 4)
    enlarged = resize(line.expand(1, 1, 4, 4), 12, 4, "bicubic")
    position = (5 + 0.5) / 3 - 0.5
    left, ratio = math.floor(position), position - math.floor(position)
    a = -0.75

    def weight(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a

    expected = sum(weight(ratio - k) * float(line[0, 0, 0, min(max(left + k, 0), 3)]) for k in (-1, 0, 1, 2))
    assert float(enlarged[0, 0, 0, 5]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_lanczos_is_pillows_on_bytes(channels: int) -> None:
    samples = random(2, channels, 12, 10)
    values = (samples * 255).to(torch.uint8)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    for ours, theirs in zip(resize(samples, 25, 7, "lanczos"), values, strict=True):
        array = theirs.movedim(0, -1).numpy()
        picture = PIL.Image.fromarray(array[..., 0] if channels == 1 else array, mode)
        resized = np.asarray(picture.resize((25, 7), PIL.Image.Resampling.LANCZOS)).reshape(7, 25, channels)
        assert torch.equal((ours * 255).round().to(torch.uint8), torch.tensor(resized).movedim(-1, 0))


def slerp_in_words(start: np.ndarray, end: np.ndarray, ratio: float) -> np.ndarray:
    """The great-circle arc between two directions, and the straight line between two lengths."""
    start_length, end_length = np.linalg.norm(start), np.linalg.norm(end)
    lengths = start_length * end_length
    cosine = float(start @ end / lengths) if lengths > 0 else 0.0
    if cosine > 1 - 1e-5:
        return start
    if cosine < -1 + 1e-5:
        return (1 - ratio) * start + ratio * end
    angle = math.acos(cosine)
    unit = [v / n if n else v for v, n in ((start, start_length), (end, end_length))]
    arc = (math.sin((1 - ratio) * angle) * unit[0] + math.sin(ratio * angle) * unit[1]) / math.sin(angle)
    return arc * ((1 - ratio) * start_length + ratio * end_length)


def bislerp_in_words(samples: np.ndarray, width: int, height: int) -> np.ndarray:
    """One pixel at a time: along the width, then along the height."""

    def along_last(values: np.ndarray, size: int) -> np.ndarray:
        channels, rows, old = values.shape
        result = np.zeros((channels, rows, size))
        for row in range(rows):
            for column in range(size):
                position = min(max((column + 0.5) * old / size - 0.5, 0), old - 1)
                left = int(position)
                right = min(left + 1, old - 1)
                result[:, row, column] = slerp_in_words(values[:, row, left], values[:, row, right], position - left)
        return result

    wide = along_last(samples, width)
    return along_last(wide.transpose(0, 2, 1), height).transpose(0, 2, 1)


@pytest.mark.parametrize(("width", "height", "to_width", "to_height"), SIZES)
def test_bislerp_is_spherical_interpolation(width: int, height: int, to_width: int, to_height: int) -> None:
    samples = torch.randn(1, 4, height, width, generator=torch.Generator().manual_seed(1))
    expected = bislerp_in_words(samples[0].double().numpy(), to_width, to_height)
    found = resize(samples, to_width, to_height, "bislerp")[0].double()
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-4, atol=1e-5)


def test_bislerp_survives_zeros_parallels_and_opposites() -> None:
    samples = torch.zeros(1, 4, 2, 6)
    samples[0, 0, 0] = torch.tensor([1.0, 2.0, -1.0, 0.0, 3.0, 3.0])
    expected = bislerp_in_words(samples[0].double().numpy(), 12, 4)
    torch.testing.assert_close(bislerp(samples, 12, 4)[0].double(), torch.from_numpy(expected), rtol=1e-4, atol=1e-5)


def test_bislerp_keeps_the_length_that_bilinear_loses() -> None:
    samples = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(2))
    samples = samples / samples.norm(dim=1, keepdim=True)
    torch.testing.assert_close(bislerp(samples, 40, 40).norm(dim=1), torch.ones(1, 40, 40), rtol=0, atol=1e-4)
    assert resize(samples, 40, 40, "bilinear").norm(dim=1).mean() < 0.9


def test_bislerp_is_the_identity_at_its_own_size() -> None:
    samples = torch.randn(1, 4, 5, 6, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(bislerp(samples, 6, 5), samples)


@settings(max_examples=200, deadline=None)
@given(*[st.integers(1, 60)] * 4)
def test_a_centre_crop_has_the_shape_asked_for(width: int, height: int, to_width: int, to_height: int) -> None:
    samples = torch.arange(float(width * height)).reshape(1, 1, height, width)
    cropped = crop_to_aspect(samples, to_width, to_height)
    rows, columns = cropped.shape[-2:]
    assert rows == height or columns == width
    # Margins are whole pixels, the same on both sides, and never all of the picture.
    assert abs(columns - max(1, min(width, height * to_width / to_height))) <= 1
    assert abs(rows - max(1, min(height, width * to_height / to_width))) <= 1
    # Centred: as much is gone on one side as on the other.
    assert float(cropped[..., 0, 0] + cropped[..., -1, -1]) == width * height - 1


def test_nothing_cannot_be_asked_for() -> None:
    with pytest.raises(SizeError, match="0×5"):
        resize(random(1, 4, 4, 4), 0, 5, "bilinear")
