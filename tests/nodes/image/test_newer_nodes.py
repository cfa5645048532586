"""Resizing, batching, tiles, comparison and saving in more formats."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor

import graph
from graph.errors import OutputFileError
from nodes import model_folders, registry
from nodes.image.batches import BatchError, joined, joined_latents
from nodes.image.newer_nodes import image_compare, image_crop_v2, primitive_bounding_box
from nodes.image.tile_list import merged, split
from nodes.latent.newer_nodes import get_latent_size, latent_cut_to_batch
from nodes.pictures.fitting import scale
from nodes.resize import SizeError
from tests.nodes.conftest import NodeContext

REGISTRY = registry()
PROMPT = {"1": {"class_type": "SaveImageAdvanced", "inputs": {}}}


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> Tensor:
    return torch.rand(1, height, width, channels, generator=torch.Generator().manual_seed(seed))


def called(name: str, **inputs: Any) -> Any:
    """The node's function with inputs as the engine gives them: flat, with dots in their names."""
    return REGISTRY[name].function(**inputs)


def resize(value: Tensor, kind: str, method: str = "bilinear", **inputs: Any) -> Tensor:
    own = {f"resize_type.{name}": each for name, each in inputs.items()}
    result: Tensor = called("ResizeImageMaskNode", input=value, resize_type=kind, scale_method=method, **own)
    return result


@pytest.mark.parametrize(
    ("kind", "inputs", "size"),
    [
        ("scale dimensions", {"width": 50, "height": 30}, (30, 50)),
        ("scale dimensions", {"width": 50, "height": 0}, (25, 50)),
        ("scale by multiplier", {"multiplier": 0.5}, (20, 40)),
        ("scale longer dimension", {"longer_size": 100}, (50, 100)),
        ("scale shorter dimension", {"shorter_size": 100}, (100, 200)),
        ("scale width", {"width": 20}, (10, 20)),
        ("scale height", {"height": 20}, (20, 40)),
        ("scale total pixels", {"megapixels": 0.01, "multiple": 8}, (72, 144)),
        ("match size", {"match": torch.zeros(1, 7, 9, 3)}, (7, 9)),
        ("match size", {"match": torch.zeros(1, 7, 9)}, (7, 9)),
        ("scale to multiple", {"multiple": 32}, (32, 64)),
        ("scale longer dimension", {}, (256, 512)),
    ],
)
def test_a_picture_and_a_mask_are_resized(kind: str, inputs: dict[str, Any], size: tuple[int, int]) -> None:
    found = resize(picture(40, 80), kind, **inputs)
    assert found.shape == (1, *size, 3) and found.is_contiguous()
    assert resize(torch.rand(2, 40, 80), kind, **inputs).shape == (2, *size)


@pytest.mark.parametrize(
    ("height", "width", "scaled", "size"),
    [
        (1024, 1023, (1024, 1023), (1024, 960)),  # one side fits: only cropped
        (700, 1000, (672, 960), (640, 960)),
        (1000, 700, (960, 672), (960, 640)),
        (650, 1300, (640, 1280), (640, 1280)),
        (100, 30, (100, 30), (100, 30)),  # a side below the multiple: unchanged
        (128, 192, (128, 192), (128, 192)),
    ],
)
@pytest.mark.parametrize("method", ["area", "lanczos"])
def test_a_multiple_is_covered_and_cropped(
    height: int, width: int, scaled: tuple[int, int], size: tuple[int, int], method: str
) -> None:
    image = picture(height, width)
    found = resize(image, "scale to multiple", method, multiple=64)
    whole = image if scaled == (height, width) else scale(image, scaled[1], scaled[0], method)
    y, x = (scaled[0] - size[0]) // 2, (scaled[1] - size[1]) // 2
    assert torch.equal(found, whole[:, y : y + size[0], x : x + size[1]])


def test_resizing_crops_to_the_new_sides() -> None:
    image = picture(40, 80)
    torch.testing.assert_close(
        resize(image, "scale dimensions", width=20, height=20), scale(image, 20, 20, "bilinear", "center")
    )
    torch.testing.assert_close(
        resize(image, "scale dimensions", width=20, height=20, crop="disabled"), scale(image, 20, 20, "bilinear")
    )


def test_total_pixels_round_to_steps() -> None:
    found = called(
        "ImageScaleToTotalPixels", image=picture(40, 80), upscale_method="area", megapixels=0.02, resolution_steps=64
    )
    assert found.shape == (1, 128, 192, 3)


def test_batches_take_the_first_ones_size() -> None:
    first, second = picture(8, 12), picture(16, 10, 4)
    images = called("BatchImagesNode", **{"images.image0": first, "images.image3": second})
    assert images.shape == (2, 8, 12, 4) and torch.equal(images[0, ..., 3], torch.ones(8, 12))
    masks = called("BatchMasksNode", **{"masks.mask0": torch.zeros(8, 8), "masks.mask1": torch.ones(2, 4, 4)})
    assert masks.shape == (3, 8, 8) and masks[1:].min() == 1
    assert joined([first, first]).shape[0] == 2
    with pytest.raises(BatchError, match="images and masks cannot be joined"):
        joined([first, torch.zeros(1, 4, 4)])


def test_latents_keep_masks_and_indices() -> None:
    plain = {"samples": torch.ones(2, 4, 8, 8)}
    masked = {"samples": torch.zeros(1, 4, 4, 4), "noise_mask": torch.zeros(1, 32, 32), "batch_index": [7]}
    found = joined_latents([plain, masked])
    assert found["samples"].shape == (3, 4, 8, 8)
    assert (
        found["noise_mask"].shape[0] == 3 and found["noise_mask"][:2].min() == 1 and found["noise_mask"][2].max() == 0
    )
    assert found["batch_index"] == [0, 1, 7]
    with pytest.raises(BatchError, match="4 and 16 channels"):
        joined_latents([plain, {"samples": torch.zeros(1, 16, 8, 8)}])


@pytest.mark.parametrize(("height", "width"), [(64, 64), (100, 130), (257, 64), (40, 30)])
@pytest.mark.parametrize("overlap", [0, 16, 40])
def test_tiles_join_to_the_picture_they_came_from(height: int, width: int, overlap: int) -> None:
    image = torch.rand(2, height, width, 3)
    tiles = split(image, 64, 64, overlap)
    assert {tuple(tile.shape) for tile in tiles} == {(2, min(64, height), min(64, width), 3)}
    torch.testing.assert_close(merged(tiles, width, height, overlap), image)
    enlarged = [scale(tile, tile.shape[2] * 2, tile.shape[1] * 2, "nearest-exact") for tile in tiles]
    whole = scale(image, width * 2, height * 2, "nearest-exact")
    torch.testing.assert_close(merged(enlarged, width * 2, height * 2, overlap * 2), whole)


def test_the_wrong_number_of_tiles_is_said() -> None:
    with pytest.raises(SizeError, match=r"1 tiles of 64×64 .* a picture of 200×64 has"):
        merged([torch.zeros(1, 64, 64, 3)], 200, 64, 8)


def test_a_box_crops() -> None:
    image = picture(10, 10)
    box = primitive_bounding_box(x=2, y=3, width=4, height=5)
    assert torch.equal(image_crop_v2(image=image, crop_region=box), image[:, 3:8, 2:6])


def test_latent_size_and_slices() -> None:
    latent: Any = {"samples": torch.arange(2 * 4 * 3 * 5.0).reshape(2, 4, 3, 5)}
    assert get_latent_size(samples=latent) == (40, 24)
    found = latent_cut_to_batch(samples=latent, dim="x", slice_size=2)["samples"]
    assert found.shape == (4, 4, 3, 2)
    assert torch.equal(found[1], latent["samples"][0, :, :, 2:4])
    assert latent_cut_to_batch(samples=latent, dim="t") == latent
    shortened = latent_cut_to_batch(samples=latent, dim="y", slice_size=4)
    assert torch.equal(shortened["samples"], latent["samples"])
    assert get_latent_size(samples={**latent, "downscale_ratio_spacial": 4}) == (20, 12)


@pytest.mark.parametrize("shape", [(2, 24, 40), (1, 24, 40), (2, 1, 24, 40), (1, 1, 48, 80), (2, 3, 5)])
def test_slices_take_their_part_of_the_mask(shape: tuple[int, ...]) -> None:
    samples = torch.arange(2 * 4 * 3 * 5.0).reshape(2, 4, 3, 5)
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(4))
    latent: Any = {"samples": samples, "noise_mask": mask, "batch_index": [4, 7]}
    found = latent_cut_to_batch(samples=latent, dim="x", slice_size=2)
    assert "batch_index" not in found and "batch_index" in latent
    factor = shape[-1] // 5
    masks = mask.reshape(-1, 1, *shape[-2:])
    for item in range(2):
        for number in range(2):
            expected = masks[item % len(masks), :, :, number * 2 * factor : (number + 1) * 2 * factor]
            assert torch.equal(found["noise_mask"][item * 2 + number], expected)


def test_a_mask_of_another_size_is_scaled_to_the_picture_before_it_is_cut() -> None:
    mask = torch.rand(1, 7, 11, generator=torch.Generator().manual_seed(4))
    latent: Any = {"samples": torch.zeros(2, 4, 3, 5), "noise_mask": mask}
    found = latent_cut_to_batch(samples=latent, dim="y", slice_size=1)["noise_mask"]
    scaled = torch.nn.functional.interpolate(mask[None], size=(24, 40), mode="bilinear")[0]
    assert found.shape == (6, 1, 8, 40)
    torch.testing.assert_close(found[4, 0], scaled[0, 8:16])


def test_time_is_cut_with_its_mask() -> None:
    samples = torch.arange(2 * 4 * 5 * 3 * 3.0).reshape(2, 4, 5, 3, 3)
    found = latent_cut_to_batch(samples={"samples": samples, "noise_mask": samples[:, :1, 0] / 360}, dim="t")
    assert found["samples"].shape == (10, 4, 1, 3, 3) and torch.equal(found["samples"][7, :, 0], samples[1, :, 2])
    assert torch.equal(found["noise_mask"][7], samples[1, :1, 0] / 360)


def test_two_pictures_to_compare(context: NodeContext) -> None:
    ui = image_compare(image_a=picture(4, 4), context=context).ui
    assert len(ui["a_images"]) == 1 and ui["b_images"] == [] and ui["a_images"][0]["type"] == "temp"


def saved(context: NodeContext, images: Tensor, kind: str, **settings: Any) -> Path:
    own = {f"format.{name}": each for name, each in settings.items()}
    result = called(
        "SaveImageAdvanced", images=images, format=kind, prompt=PROMPT, extra_pnginfo={}, context=context, **own
    )
    return context.folders.output / result.ui["images"][0]["filename"]


def test_png_of_8_and_16_bits(context: NodeContext) -> None:
    image = picture(5, 7)
    with PIL.Image.open(saved(context, image, "png")) as found:
        assert found.size == (7, 5) and json.loads(found.text["prompt"]) == PROMPT
    path = saved(NodeContext(context.folders, node_id="2"), image, "png", bit_depth="16-bit")
    with PIL.Image.open(path) as found:
        found.load()
        assert json.loads(found.text["prompt"]) == PROMPT
        # Pillow reads the high bytes of the 16.
        high = (image[0] * 65535 + 0.5).numpy().astype(np.uint16) >> 8
        assert np.abs(np.asarray(found).astype(int) - high).max() <= 1
    assert path.read_bytes()[24:26] == b"\x10\x02"


def hlg(linear: Tensor) -> Tensor:
    """The OETF of ITU-R BT.2100, table 5."""
    a = 0.17883277
    return torch.where(linear <= 1 / 12, (3 * linear).sqrt(), a * (12 * linear - (1 - 4 * a)).log() + 0.55991073)


def test_hdr_is_hybrid_log_gamma_with_rec_2020_colours(context: NodeContext) -> None:
    linear = torch.cat([picture(3, 4), torch.full((1, 3, 4, 1), 0.5)], dim=-1)
    encoded = torch.cat([hlg(linear[..., :3]), linear[..., 3:]], dim=-1)
    data = saved(context, encoded, "exr", input_color_space="HDR").read_bytes()
    at = data.index(b"chromaticities\0chromaticities\0") + 34
    assert struct.unpack("<8f", data[at : at + 32]) == pytest.approx(
        (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
    )
    line = 8 + 4 * 4 * 4
    pixels = [np.frombuffer(data[-3 * line :][n * line + 8 : (n + 1) * line], "<f4").reshape(4, 4) for n in range(3)]
    found = torch.tensor(np.stack(pixels)).movedim(1, -1)[..., [3, 2, 1, 0]]
    torch.testing.assert_close(found, linear[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("space", ["sRGB", "linear"])
def test_exr_holds_linear_floats(space: str, context: NodeContext) -> None:
    image = picture(3, 4)
    data = saved(context, image, "exr", input_color_space=space).read_bytes()
    assert struct.unpack("<II", data[:8]) == (20000630, 2) and b"prompt\0string\0" in data
    linear = (
        torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4) if space == "sRGB" else image
    )
    line = 8 + 4 * 3 * 4
    pixels = [np.frombuffer(data[-3 * line :][n * line + 8 : (n + 1) * line], "<f4").reshape(3, 4) for n in range(3)]
    found = torch.tensor(np.stack(pixels)).movedim(1, -1).flip(-1)  # blue, green, red
    torch.testing.assert_close(found, linear[0])


def test_avif_still_and_animated(context: NodeContext) -> None:
    images = torch.cat([torch.zeros(1, 16, 16, 3), torch.ones(1, 16, 16, 3)])
    path = saved(context, images, "avif", crf=1)
    with PIL.Image.open(path) as found:
        assert found.format == "AVIF" and np.asarray(found).max() < 8
        assert "prompt" in str(found.getexif().get(0x0110))
    own = NodeContext(context.folders, node_id="2")
    path = saved(own, images, "avif", save_mode="animated", **{"save_mode.fps": 4.0})
    with PIL.Image.open(path) as found:
        assert found.n_frames == 2
    with pytest.raises(OutputFileError, match="10-bit YUV420 and sRGB is not supported here"):
        saved(own, images, "avif", bit_depth="10-bit YUV420")


def test_a_workflow_with_groups_runs(tmp_path: Path) -> None:
    folders = model_folders.folders(tmp_path)
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 128, "height": 64, "batch_size": 1, "color": 255}},
        "2": {
            "class_type": "ResizeImageMaskNode",
            "inputs": {
                "input": ["1", 0],
                "resize_type": "scale width",
                "resize_type.width": 16,
                "scale_method": "area",
            },
        },
        "3": {"class_type": "BatchImagesNode", "inputs": {"images.image0": ["2", 0], "images.image1": ["1", 0]}},
        "4": {
            "class_type": "SaveImageAdvanced",
            "inputs": {"images": ["3", 0], "filename_prefix": "x", "format": "png", "format.bit_depth": "8-bit"},
        },
        "5": {
            "class_type": "SplitImageToTileList",
            "inputs": {"image": ["1", 0], "tile_width": 64, "tile_height": 64, "overlap": 0},
        },
        "6": {
            "class_type": "ImageMergeTileList",
            "inputs": {"image_list": ["5", 0], "final_width": 128, "final_height": 64, "overlap": 0},
        },
        "7": {"class_type": "ImageCompare", "inputs": {"image_a": ["6", 0], "image_b": ["1", 0]}},
    }
    workflow = graph.load(prompt, REGISTRY)
    assert graph.validate(workflow, REGISTRY, folders=folders) == []
    with graph.Engine(REGISTRY, folders=folders) as engine:
        outputs = engine.run(workflow).outputs
    assert len(outputs["4"]["images"]) == 2 and len(outputs["7"]["b_images"]) == 1
    with PIL.Image.open(tmp_path / "output" / outputs["4"]["images"][1]["filename"]) as found:
        assert found.size == (16, 8)


@pytest.mark.parametrize(
    ("settings", "faulty"),
    [
        ({"format": "exr", "format.bit_depth": "32-bit float", "format.input_color_space": "HDR"}, []),
        ({"format": "avif", "format.bit_depth": "auto", "format.input_color_space": "HDR PQ"}, []),
        ({"format": "png", "format.bit_depth": "32-bit float"}, ["format.bit_depth"]),
        ({"format": "exr", "format.bit_depth": "8-bit"}, ["format.bit_depth"]),
    ],
)
def test_each_format_has_its_own_settings(settings: dict[str, Any], faulty: list[str]) -> None:
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 255}},
        "2": {"class_type": "SaveImageAdvanced", "inputs": {"images": ["1", 0], "filename_prefix": "x", **settings}},
    }
    assert [each.input_name for each in graph.validate(graph.load(prompt, REGISTRY), REGISTRY)] == faulty
