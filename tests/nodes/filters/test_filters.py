"""Filters against scipy, Pillow and their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from nodes.filters import nodes
from nodes.filters.blend import MODES
from nodes.filters.edges import canny
from nodes.filters.morphology import OPERATIONS, dilate, erode
from nodes.filters.quantize import bayer
from nodes.gaussian import kernel, sharpening_kernel
from nodes.resize import SizeError


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


IMAGE = random(2, 12, 15, 3)


def scipy_convolve(weights: torch.Tensor) -> torch.Tensor:
    planes = [
        [ndimage.convolve(plane.numpy(), weights.numpy(), mode="mirror") for plane in image.movedim(-1, 0)]
        for image in IMAGE
    ]
    return torch.tensor(np.array(planes)).movedim(1, -1)


def test_a_blur_is_a_convolution_mirrored_at_the_edges() -> None:
    blurred = nodes.image_blur(image=IMAGE, blur_radius=3, sigma=0.7)
    torch.testing.assert_close(blurred, scipy_convolve(kernel(3, 0.7)))


def test_a_gaussian_is_measured_in_radii() -> None:
    weights = kernel(4, 1.0)
    assert float(weights.sum()) == pytest.approx(1.0)
    assert float(weights[4, 8] / weights[4, 4]) == pytest.approx(np.exp(-0.5))


def test_sharpening_keeps_flat_colours_and_takes_the_blur_away() -> None:
    flat = torch.full((1, 8, 8, 3), 0.3)
    torch.testing.assert_close(nodes.image_sharpen(image=flat, sharpen_radius=2), flat)
    expected = scipy_convolve(sharpening_kernel(2, 1.0, 0.5)).clamp(0, 1)
    torch.testing.assert_close(
        nodes.image_sharpen(image=IMAGE, sharpen_radius=2, alpha=0.5), expected, rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(nodes.image_sharpen(image=IMAGE, alpha=0.0), IMAGE)


def test_a_radius_larger_than_the_picture_is_said() -> None:
    with pytest.raises(SizeError, match=r"radius of 12.*less than 12"):
        nodes.image_blur(image=IMAGE, blur_radius=12)


@pytest.mark.parametrize("size", [3, 4, 7])
def test_dilation_and_erosion_are_scipys(size: int) -> None:
    for ours, theirs in ((dilate, ndimage.grey_dilation), (erode, ndimage.grey_erosion)):
        expected = np.stack([theirs(image.numpy(), size=(size, size, 1), mode="nearest") for image in IMAGE])
        # scipy centres an even square one pixel further for dilation.
        found = ours(IMAGE, size).numpy()
        if size % 2 == 0:
            found, expected = found[:, 4:-4, 4:-4], None
            windows = np.lib.stride_tricks.sliding_window_view(IMAGE.numpy(), (size, size), (1, 2))
            reduce = np.max if ours is dilate else np.min
            expected = reduce(windows, (-1, -2))[:, 4 - size // 2 :, 4 - size // 2 :][
                :, : found.shape[1], : found.shape[2]
            ]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_leaves_flat_colours_flat(operation: str) -> None:
    flat = torch.full((1, 8, 8, 3), 0.5)
    result = nodes.image_morphology(image=flat, operation=operation, kernel_size=3)
    wanted = 0.5 if operation in ("erode", "dilate", "open", "close") else 0.0
    assert torch.equal(result, torch.full_like(flat, wanted))


def test_hats_and_gradients_are_differences() -> None:
    def run(operation: str) -> torch.Tensor:
        return nodes.image_morphology(image=IMAGE, operation=operation, kernel_size=3)

    assert torch.equal(run("gradient"), run("dilate") - run("erode"))
    assert torch.equal(run("top_hat"), IMAGE - run("open"))
    assert torch.equal(run("bottom_hat"), run("close") - IMAGE)
    assert (run("open") <= IMAGE).all() and (run("close") >= IMAGE).all()


@pytest.mark.parametrize("mode", MODES)
def test_blending_by_nothing_changes_nothing(mode: str) -> None:
    above = random(2, 12, 15, 3, seed=1)
    torch.testing.assert_close(nodes.image_blend(image1=IMAGE, image2=above, blend_factor=0.0, blend_mode=mode), IMAGE)
    blended = nodes.image_blend(image1=IMAGE, image2=above, blend_factor=1.0, blend_mode=mode)
    assert blended.min() >= 0 and blended.max() <= 1


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("normal", [0.25, 0.75]),
        ("multiply", [0.125, 0.5625]),
        ("screen", [0.625, 0.9375]),
        ("overlay", [0.25, 0.875]),
        ("soft_light", [0.375, 0.75 + 0.5 * (0.75**0.5 - 0.75)]),
        ("difference", [0.25, 0.0]),
    ],
)
def test_blend_modes_by_hand(mode: str, expected: list[float]) -> None:
    below, above = torch.tensor([[[[0.5], [0.75]]]]), torch.tensor([[[[0.25], [0.75]]]])
    found = nodes.image_blend(image1=below, image2=above, blend_factor=1.0, blend_mode=mode).flatten()
    torch.testing.assert_close(found, torch.tensor(expected))


def test_blending_fits_the_second_to_the_first() -> None:
    for above in (random(1, 5, 9, 4), random(3, 12, 15, 3), random(2, 12, 15, 1)):
        if above.shape[-1] == 1:
            continue
        blended = nodes.image_blend(image1=IMAGE, image2=above, blend_mode="screen")
        assert blended.shape == IMAGE.shape


@pytest.mark.parametrize("dither", nodes.DITHER.values)
def test_quantizing_leaves_so_many_colours(dither: str) -> None:
    quantized = nodes.image_quantize(image=random(1, 32, 32, 3), colors=8, dither=dither)
    assert quantized.shape == (1, 32, 32, 3)
    assert len(torch.unique(quantized.reshape(-1, 3), dim=0)) <= 8


def test_dithering_keeps_the_mean_that_rounding_loses() -> None:
    ramp = torch.linspace(0, 1, 64).reshape(1, 1, 64, 1).expand(1, 64, 64, 3)
    middle = slice(24, 40)

    def error(dither: str) -> float:
        quantized = nodes.image_quantize(image=ramp, colors=4, dither=dither)
        return float((quantized - ramp)[:, :, middle].mean((0, 1, 3)).abs().mean())

    assert error("floyd-steinberg") < 0.5 * error("none")


@pytest.mark.parametrize("order", [2, 4, 8, 16])
def test_a_bayer_matrix_has_every_level_once(order: int) -> None:
    levels = np.sort(bayer(order).flatten()) * order**2
    np.testing.assert_allclose(levels, np.arange(order**2) - (order**2 - 1) / 2, atol=1e-4)


def test_canny_finds_the_border_of_a_square() -> None:
    image = torch.zeros(1, 24, 24, 3)
    image[:, 8:16, 8:16] = 1
    edges = canny(image, 0.4, 0.8)
    assert edges.shape == (1, 24, 24, 3) and set(edges.unique().tolist()) == {0.0, 1.0}
    lines = edges[0, ..., 0]
    assert not lines[:6].any() and not lines[18:].any() and not lines[10:14, 10:14].any()
    # A line one pixel wide on each of the four sides.
    for across, down in zip(lines[10:14], lines.T[10:14], strict=True):
        assert int(across.sum()) == int(down.sum()) == 2


def test_a_weak_edge_counts_where_it_touches_a_strong_one() -> None:
    image = torch.zeros(1, 20, 40, 3)
    image[:, 10:] = torch.linspace(0.05, 1, 40).reshape(1, 1, 40, 1)
    image[:, 10:, 30:] = 1
    strong = canny(image, 0.9, 0.9)[0, ..., 0].sum()
    linked = canny(image, 0.3, 0.9)[0, ..., 0].sum()
    assert linked > strong > 0
    assert canny(image, 0.3, 0.99)[0, :, :2].sum() == 0


def test_flat_pictures_have_no_edges() -> None:
    assert not canny(torch.full((1, 9, 9, 3), 0.5), 0.01, 0.02).any()


def test_luma_and_chroma_come_apart_and_together() -> None:
    planes = nodes.image_rgb_to_yuv(image=IMAGE)
    torch.testing.assert_close(nodes.image_yuv_to_rgb(**planes._asdict()), IMAGE, rtol=0, atol=2e-3)
    grey = nodes.image_rgb_to_yuv(image=torch.full((1, 2, 2, 3), 0.25))
    assert [float(plane.mean()) for plane in grey] == pytest.approx([0.25, 0.5, 0.5])


def test_noise_is_the_seeds() -> None:
    grey = torch.full((1, 64, 64, 3), 0.5)
    noisy = nodes.image_add_noise(image=grey, seed=7, strength=0.1)
    assert torch.equal(noisy, nodes.image_add_noise(image=grey, seed=7, strength=0.1))
    assert not torch.equal(noisy, nodes.image_add_noise(image=grey, seed=8, strength=0.1))
    assert float((noisy - 0.5).std()) == pytest.approx(0.1, rel=0.05)
    torch.manual_seed(7)
    torch.testing.assert_close(noisy, (grey + 0.1 * torch.randn(grey.shape)).clamp(0, 1))
