"""Latents scaled, composited, cut and mixed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from graph.context import executing
from nodes.allocation import TooLargeError
from nodes.feather import ramp
from nodes.latent import nodes
from nodes.latent.arithmetic import interpolate
from nodes.resize import SizeError


def latent(*shape: int, seed: int = 0, **more: Any) -> Any:
    return {"samples": torch.randn(shape, generator=torch.Generator().manual_seed(seed)), **more}


def test_an_empty_latent_is_an_eighth_as_large_and_zero() -> None:
    samples = nodes.empty_latent_image(width=512, height=264, batch_size=3)["samples"]
    assert samples.shape == (3, 4, 33, 64) and samples.dtype == torch.float32 and not samples.any()


def test_a_size_that_is_not_a_multiple_of_8_is_rounded_down_with_a_warning(context: Any) -> None:
    with executing(context):
        samples = nodes.empty_latent_image(width=519, height=20)["samples"]
    assert samples.shape == (1, 4, 2, 64)
    assert context.warnings == ["519×20 was rounded down to 512×16: sizes are multiples of 8"]


def test_a_side_below_8_is_an_error() -> None:
    with pytest.raises(SizeError, match="64×7 is too small"):
        nodes.empty_latent_image(width=64, height=7)


def test_an_absurd_size_is_refused_with_what_it_would_take() -> None:
    with pytest.raises(TooLargeError, match=r"16384×16384.*batch size 4096.*274\.9 GB"):
        nodes.empty_latent_image(width=16384, height=16384, batch_size=4096)


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [(0, 0, (10, 20)), (320, 0, (20, 40)), (0, 320, (40, 80)), (130, 250, (31, 16)), (1, 1, (8, 8))],
)
def test_a_side_of_zero_follows_the_other(width: int, height: int, shape: tuple[int, int]) -> None:
    scaled = nodes.latent_upscale(
        samples=latent(1, 4, 10, 20), upscale_method="bilinear", width=width, height=height, crop="disabled"
    )
    assert scaled["samples"].shape[2:] == shape


def test_scaling_keeps_what_else_a_latent_carries() -> None:
    given = latent(2, 4, 8, 8, noise_mask=torch.ones(1, 64, 64), batch_index=[4, 5])
    scaled = nodes.latent_upscale_by(samples=given, upscale_method="bislerp", scale_by=1.5)
    assert scaled["samples"].shape == (2, 4, 12, 12)
    assert scaled["batch_index"] == [4, 5] and scaled["noise_mask"] is given["noise_mask"]


def test_a_centre_crop_keeps_proportions() -> None:
    samples = torch.arange(8.0).expand(1, 4, 4, 8)
    scaled = nodes.latent_upscale(
        samples={"samples": samples}, upscale_method="nearest-exact", width=64, height=64, crop="center"
    )
    assert scaled["samples"][0, 0, 0].tolist() == [2, 2, 3, 3, 4, 4, 5, 5]


def test_pasting_cuts_off_what_lies_outside() -> None:
    below, above = {"samples": torch.zeros(2, 4, 4, 4)}, {"samples": torch.ones(1, 4, 3, 3)}
    pasted = nodes.latent_composite(samples_to=below, samples_from=above, x=16, y=24)["samples"]
    expected = torch.zeros(4, 4)
    expected[3, 2:] = 1
    assert torch.equal(pasted, expected.expand(2, 4, 4, 4))
    assert not below["samples"].any()
    outside = nodes.latent_composite(samples_to=below, samples_from=above, x=16384, y=0)["samples"]
    assert torch.equal(outside, below["samples"])


def test_a_feather_fades_in_from_inner_edges_only() -> None:
    below, above = {"samples": torch.zeros(1, 1, 8, 8)}, {"samples": torch.ones(1, 1, 8, 4)}
    pasted = nodes.latent_composite(samples_to=below, samples_from=above, x=16, y=0, feather=16)["samples"]
    assert pasted[0, 0].tolist() == [[0, 0, 0.5, 1, 1, 0.5, 0, 0]] * 8
    assert ramp(4, 4, True, False).tolist() == [0.25, 0.5, 0.75, 1]


def test_a_masked_paste_mixes_by_the_mask() -> None:
    below, above = {"samples": torch.zeros(1, 4, 4, 4)}, {"samples": torch.ones(1, 4, 2, 2)}
    mask = torch.tensor([[[0.0, 0.25], [0.5, 1.0]]])
    pasted = nodes.latent_composite_masked(destination=below, source=above, x=16, y=8, mask=mask)["samples"]
    assert pasted[0, 0, 1:3, 2:].tolist() == mask[0].tolist()
    assert float(pasted.sum()) == 4 * 1.75
    whole = nodes.latent_composite_masked(destination=below, source=above, resize_source=True)["samples"]
    assert torch.equal(whole, torch.ones(1, 4, 4, 4))


def test_sums_and_means_fit_the_second_to_the_first() -> None:
    first, second = latent(2, 4, 8, 8), latent(1, 4, 8, 8, seed=1)
    a, b = first["samples"], second["samples"].expand(2, -1, -1, -1)
    assert torch.equal(nodes.latent_add(samples1=first, samples2=second)["samples"], a + b)
    assert torch.equal(nodes.latent_subtract(samples1=first, samples2=second)["samples"], a - b)
    assert torch.equal(nodes.latent_multiply(samples=first, multiplier=-2.0)["samples"], a * -2)
    blended = nodes.latent_blend(samples1=first, samples2=second, blend_factor=0.25)["samples"]
    torch.testing.assert_close(blended, a * 0.25 + b * 0.75)
    assert nodes.latent_add(samples1=first, samples2=latent(5, 4, 3, 9))["samples"].shape == (2, 4, 8, 8)


def test_latents_of_different_models_do_not_mix() -> None:
    with pytest.raises(SizeError, match="16 and 4 channels"):
        nodes.latent_add(samples1=latent(1, 4, 8, 8), samples2=latent(1, 16, 8, 8))


def test_interpolation_mixes_directions_and_lengths_apart() -> None:
    along_x, along_y = torch.zeros(1, 2, 1, 1), torch.zeros(1, 2, 1, 1)
    along_x[0, 0], along_y[0, 1] = 2.0, 4.0
    half = interpolate(along_x, along_y, 0.5)
    torch.testing.assert_close(half.flatten(), torch.full((2,), 3 / 2**0.5))
    torch.testing.assert_close(interpolate(along_x, along_y, 1.0), along_x)
    assert not interpolate(along_x, -along_x, 0.5).any()


@pytest.mark.parametrize(
    ("index", "amount", "expected"),
    [(1, 2, [1, 2]), (3, 9, [3, 4]), (9, 1, [4]), (-2, 1, [3]), (-2, 9, [3, 4]), (-9, 2, [0, 1])],
)
def test_cuts_are_clipped_to_what_is_there(index: int, amount: int, expected: list[int]) -> None:
    samples = torch.arange(5.0).expand(1, 4, 3, 5)
    cut = nodes.latent_cut(samples={"samples": samples}, dim="x", index=index, amount=amount)["samples"]
    assert cut[0, 0, 0].tolist() == expected


def test_joining_along_a_side() -> None:
    first, second = latent(1, 4, 3, 5), latent(1, 4, 3, 2, seed=1)
    joined = nodes.latent_concat(samples1=first, samples2=second, dim="-x")["samples"]
    assert torch.equal(joined, torch.cat((second["samples"], first["samples"]), 3))
    with pytest.raises(SizeError, match="along y"):
        nodes.latent_concat(samples1=first, samples2=second, dim="y")


def test_a_crop_stays_inside() -> None:
    samples = torch.arange(16.0).expand(1, 4, 16, 16)
    cropped = nodes.latent_crop(samples={"samples": samples}, width=64, height=64, x=24, y=9999)["samples"]
    assert cropped.shape == (1, 4, 8, 8) and cropped[0, 0, 0].tolist() == list(range(3, 11))


def test_turning_is_clockwise_and_mirroring_is_named_by_its_axis() -> None:
    samples = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).expand(1, 4, 2, 2)

    def turned(rotation: Any) -> list[list[float]]:
        return nodes.latent_rotate(samples={"samples": samples}, rotation=rotation)["samples"][0, 0].tolist()

    assert turned("none") == [[0, 1], [2, 3]]
    assert turned("90 degrees") == [[2, 0], [3, 1]]
    assert turned("270 degrees") == [[1, 3], [0, 2]]
    vertically = nodes.latent_flip(samples={"samples": samples}, flip_method="x-axis: vertically")
    assert vertically["samples"][0, 0].tolist() == [[2, 3], [0, 1]]


def test_a_noise_mask_has_a_channel_axis() -> None:
    masked = nodes.set_latent_noise_mask(samples=latent(1, 4, 8, 8), mask=torch.ones(2, 64, 64))
    assert masked["noise_mask"].shape == (2, 1, 64, 64)
