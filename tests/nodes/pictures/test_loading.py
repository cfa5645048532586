"""Pictures of every mode are loaded upright, with transparency as a mask; bad files give clear errors."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.features
import PIL.Image
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.errors import InputFileError
from nodes.image import nodes
from nodes.mask import nodes as mask_nodes
from nodes.pictures.loading import MAX_PIXELS, load_channel, load_image
from server.files.pictures import preview

GRADIENT = np.arange(4 * 6 * 4, dtype=np.uint8).reshape(4, 6, 4) * 2


def saved(tmp_path: Path, picture: PIL.Image.Image, name: str = "p.png", **options: Any) -> Path:
    picture.save(tmp_path / name, **options)
    return tmp_path / name


def test_colours_are_bytes_over_255(tmp_path: Path) -> None:
    image, mask = load_image(saved(tmp_path, PIL.Image.fromarray(GRADIENT[..., :3])))
    assert image.dtype == torch.float32 and image.shape == (1, 4, 6, 3)
    torch.testing.assert_close(image[0], torch.tensor(GRADIENT[..., :3]) / 255.0, rtol=0, atol=0)
    assert mask.shape == (1, 64, 64) and not mask.any()


def test_the_mask_is_what_is_transparent(tmp_path: Path) -> None:
    image, mask = load_image(saved(tmp_path, PIL.Image.fromarray(GRADIENT, "RGBA")))
    torch.testing.assert_close(image[0], torch.tensor(GRADIENT[..., :3]) / 255.0, rtol=0, atol=0)
    torch.testing.assert_close(mask[0], 1.0 - torch.tensor(GRADIENT[..., 3]) / 255.0, rtol=0, atol=0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F", "LAB"])
def test_every_mode_is_read(tmp_path: Path, mode: str) -> None:
    picture = PIL.Image.new(mode, (5, 3))
    image, mask = load_image(
        saved(tmp_path, picture, "p.tif" if mode in ("CMYK", "YCbCr", "F", "LAB", "I") else "p.png")
    )
    assert image.shape == (1, 3, 5, 3)
    assert mask.shape == ((1, 3, 5) if mode in ("LA", "RGBA") else (1, 64, 64))


def test_sixteen_bit_greys_keep_their_range(tmp_path: Path) -> None:
    values = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    image, _ = load_image(saved(tmp_path, PIL.Image.fromarray(values)))
    expected = torch.tensor([0.0, 257 / 65535, 32768 / 65535, 1.0])
    for channel in range(3):
        torch.testing.assert_close(image[0, 0, :, channel], expected)


def test_a_palette_with_transparency_has_a_mask(tmp_path: Path) -> None:
    picture = PIL.Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putdata([0, 1])
    image, mask = load_image(saved(tmp_path, picture, transparency=1))
    assert image[0, 0].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert mask[0, 0].tolist() == [0, 1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = torch.tensor([[0, 85], [170, 255]], dtype=torch.float32) / 255
    # How a camera held that way stores the upright picture (EXIF 2.3, tag 0x0112).
    stored = {
        1: upright,
        2: upright.flip(1),
        3: upright.flip(0, 1),
        4: upright.flip(0),
        5: upright.T,
        6: upright.rot90(1),
        7: upright.T.flip(0, 1),
        8: upright.rot90(-1),
    }[orientation]
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    picture = PIL.Image.fromarray((stored * 255).round().to(torch.uint8).numpy())
    image, _ = load_image(saved(tmp_path, picture, exif=exif))
    torch.testing.assert_close(image[0, ..., 0], upright)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_frames_are_a_batch(tmp_path: Path, name: str) -> None:
    frames = [PIL.Image.new("RGB", (8, 4), (shade, shade, shade)) for shade in (0, 128, 255)]
    options = {"lossless": True} if name.endswith("webp") else {}
    path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:], **options)
    image, mask = load_image(path)
    assert image.shape == (3, 4, 8, 3)
    assert image[:, 0, 0, 0].mul(255).round().tolist() == [0, 128, 255]
    assert mask.shape[0] == 3


def test_pages_of_another_size_are_left_out(tmp_path: Path) -> None:
    pages = [PIL.Image.new("RGB", size) for size in ((8, 4), (4, 8), (8, 4))]
    image, _ = load_image(saved(tmp_path, pages[0], "a.tif", save_all=True, append_images=pages[1:]))
    assert image.shape == (2, 4, 8, 3)


def test_a_channel_as_a_mask(tmp_path: Path) -> None:
    path = saved(tmp_path, PIL.Image.fromarray(GRADIENT, "RGBA"))
    for index, channel in enumerate(("red", "green", "blue")):
        torch.testing.assert_close(load_channel(path, channel)[0], torch.tensor(GRADIENT[..., index]) / 255.0)
    torch.testing.assert_close(load_channel(path, "alpha")[0], 1 - torch.tensor(GRADIENT[..., 3]) / 255.0)
    opaque = saved(tmp_path, PIL.Image.fromarray(GRADIENT[..., :3]), "opaque.png")
    assert load_channel(opaque, "alpha").tolist() == torch.zeros(1, 4, 6).tolist()


def test_nodes_read_annotated_names(context: Any) -> None:
    saved(context.folders.output, PIL.Image.fromarray(GRADIENT, "RGBA"))
    saved(context.folders.input, PIL.Image.new("RGB", (2, 2)), "q.png")
    assert nodes.load_image(image="q.png", context=context).IMAGE.shape == (1, 2, 2, 3)
    assert nodes.load_image(image="p.png [output]", context=context).IMAGE.shape == (1, 4, 6, 3)
    assert nodes.load_image_output(image="p.png", context=context).IMAGE.shape == (1, 4, 6, 3)
    assert nodes.load_image_output(image="p.png [output]", context=context).MASK.shape == (1, 4, 6)
    assert mask_nodes.load_image_mask(image="q.png", channel="red", context=context).shape == (1, 2, 2)


@pytest.mark.parametrize("load", [nodes.load_image, nodes.load_image_output, mask_nodes.load_image_mask])
def test_a_missing_file_is_said_before_the_run(context: Any, load: Any) -> None:
    node_type = load.node_type
    saved(context.folders.input, PIL.Image.new("RGB", (2, 2)), "cat.png")
    saved(context.folders.output, PIL.Image.new("RGB", (2, 2)), "cat.png")
    assert node_type.validate(image="cat.png", folders=context.folders) is True
    assert "cat.png" in node_type.validate(image="cta.png", folders=context.folders)
    assert "leads out" in node_type.validate(image="../cat.png", folders=context.folders)


def test_the_fingerprint_is_of_the_content(context: Any) -> None:
    fingerprint: Any = nodes.load_image.node_type.fingerprint  # type: ignore[attr-defined]
    for name, shade in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        saved(context.folders.input, PIL.Image.new("L", (2, 2), shade), name)
    a, b, c = (fingerprint(image=f"{name}.png", folders=context.folders) for name in "abc")
    assert a == b != c


def test_a_text_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_text("not a picture")
    with pytest.raises(InputFileError, match=r"p\.png is not a picture"):
        load_image(tmp_path / "p.png")


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [13_000, 60_000])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, side: int) -> None:
    assert side * side > MAX_PIXELS
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")
    )
    (tmp_path / "bomb.png").write_bytes(data)
    with pytest.raises(InputFileError, match=r"bomb\.png.*(The limit is|too large)"):
        load_image(tmp_path / "bomb.png")


def encoded(format_name: str) -> bytes:
    """Two frames of noise, one where the format has no more."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    file = io.BytesIO()
    frames = [PIL.Image.fromarray(noise), PIL.Image.fromarray(noise[::-1])]
    frames[0].save(file, format_name, save_all=format_name != "JPEG", append_images=frames[1:])
    return file.getvalue()


FORMATS = ["PNG", "JPEG", "GIF", "WEBP", "TIFF", *(["AVIF"] if PIL.features.check("avif") else [])]
FILES = {name: encoded(name) for name in FORMATS}


@pytest.mark.parametrize(("format_name", "kept"), [("PNG", 0.34), ("JPEG", 0.9), ("GIF", 0.9), ("TIFF", 0.9)])
def test_of_a_truncated_picture_what_is_there_is_read(
    tmp_path: Path, format_name: str, kept: float, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"p.{format_name.lower()}"
    path.write_bytes(FILES[format_name][: int(kept * len(FILES[format_name]))])
    image, _ = load_image(path)
    assert image.shape[1:] == (24, 24, 3)
    assert image[0, 0].std() > 0.1, "the first row is there"
    assert f"{path.name} is damaged" in caplog.text


@pytest.mark.parametrize("format_name", sorted(FILES.keys() & {"WEBP", "AVIF"}))
def test_a_truncated_picture_that_is_decoded_whole_or_not_at_all_is_refused(tmp_path: Path, format_name: str) -> None:
    path = tmp_path / f"p.{format_name.lower()}"
    path.write_bytes(FILES[format_name][: len(FILES[format_name]) // 3])
    with pytest.raises(InputFileError, match="p"):
        load_image(path)


@pytest.mark.parametrize(("white", "name"), [(1.0, "a.tif"), (255.0, "b.tif"), (65535.0, "c.tif")])
def test_floats_keep_their_range_whatever_white_is(tmp_path: Path, white: float, name: str) -> None:
    values = np.array([[0, 0.25, 0.5, 1]], dtype=np.float32)
    image, _ = load_image(saved(tmp_path, PIL.Image.fromarray(values * white), name))
    torch.testing.assert_close(image[0, ..., 2], torch.tensor(values))


def test_highlights_of_a_float_picture_are_clipped_and_nan_is_black(tmp_path: Path) -> None:
    values = np.array([[0.1, 0.2, 0.3, 3.0]], dtype=np.float32)
    image, _ = load_image(saved(tmp_path, PIL.Image.fromarray(values), "a.tif"))
    torch.testing.assert_close(image[0, 0, :, 0], torch.tensor([0.1, 0.2, 0.3, 1.0]))
    values[0, 1] = np.nan
    image, _ = load_image(saved(tmp_path, PIL.Image.fromarray(values), "b.tif"))
    torch.testing.assert_close(image[0, 0, :, 0], torch.tensor([0.1, 0.0, 0.3, 1.0]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    format_name=st.sampled_from(sorted(FILES)),
    damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    keep=st.floats(0, 1),
)
@pytest.mark.filterwarnings("ignore")
def test_damaged_pictures_are_read_or_refused_never_worse(
    tmp_path: Path, format_name: str, damage: list[tuple[float, int]], keep: float
) -> None:
    data = bytearray(FILES[format_name])
    for place, value in damage:
        data[int(place * len(data))] = value
    path = tmp_path / "damaged"
    path.write_bytes(data[: int(keep * len(data))])
    try:
        image, mask = load_image(path)
    except InputFileError as error:
        assert str(path) in str(error)
    else:
        assert image.ndim == 4 and mask.ndim == 3 and image.isfinite().all()


def ramp(top: float, dtype: str = "float32") -> np.ndarray[Any, Any]:
    return np.linspace(0, top, 64 * 64).reshape(64, 64).astype(dtype)


@pytest.mark.parametrize("top", [1.0, 1.4, 4.0, 255.0, 1000.0, 65535.0, 1e6])
def test_a_float_ramp_spans_black_to_white(tmp_path: Path, top: float) -> None:
    image, _ = load_image(saved(tmp_path, PIL.Image.fromarray(ramp(top)), "p.tif"))
    assert image.min() == 0 and image.max() > 0.99
    assert float(image.mean()) == pytest.approx(0.5, abs=0.15 if top == 1.4 else 0.01)


@pytest.mark.parametrize("outlier", [np.inf, 1e6, -np.inf, np.nan])
def test_a_single_value_far_outside_does_not_change_white(tmp_path: Path, outlier: float) -> None:
    values = ramp(1.0)
    values[5, 5] = outlier
    image, _ = load_image(saved(tmp_path, PIL.Image.fromarray(values), "p.tif"))
    assert image[0, 5, 5, 0] == (1.0 if outlier > 0 else 0.0)
    values[5, 5] = image[0, 5, 5, 0]
    assert torch.equal(image[0, ..., 0], torch.from_numpy(values))


def test_32_bit_integers_have_the_white_they_were_written_with(tmp_path: Path) -> None:
    image, _ = load_image(saved(tmp_path, PIL.Image.fromarray(ramp(255.0, "int32")), "p.tif"))
    assert float(image.mean()) == pytest.approx(0.5, abs=0.01)


def test_a_dark_16_bit_picture_stays_dark(tmp_path: Path) -> None:
    image, _ = load_image(saved(tmp_path, PIL.Image.fromarray(ramp(255.0, "uint16"))))
    assert float(image.max()) == pytest.approx(255 / 65535)


def still_png() -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(GRADIENT[..., :3]).save(file, "PNG")
    return file.getvalue()


def faulty_pngs() -> dict[str, tuple[bytes, str]]:
    """PNGs whose pixels are whole, by the part that is not, with the reason that is given."""
    whole = still_png()
    head, rest = whole[:33], whole[33:]
    bad_end = rest[:-12] + chunk(b"tEXt", b"key\0text")[:-4] + b"abcd" + rest[-12:]
    return {
        "eXIf": (head + chunk(b"eXIf", b"garbage!!") + rest, "EXIF data cannot be read"),
        "IDAT": (whole[:-16] + b"abcd" + whole[-12:], "the IDAT chunk has a wrong checksum"),
        "zTXt": (head + chunk(b"zTXt", b"key\0\0garbage") + rest, "the text in the zTXt chunk cannot be read"),
        "iTXt": (head + chunk(b"iTXt", b"key\0\1\0\0\0garbage") + rest, "the text in the iTXt chunk cannot be read"),
        "UTF-8": (head + chunk(b"iTXt", b"key\0\0\0\0\0\xff") + rest, "the text in the iTXt chunk cannot be read"),
        "tEXt": (head + bad_end, "the tEXt chunk has a wrong checksum"),
        "IEND": (whole[:-12], "the end of the file (IEND) is missing"),
    }


@pytest.mark.parametrize("part", faulty_pngs())
def test_a_png_with_whole_pixels_is_read_and_its_fault_reported(
    tmp_path: Path, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    data, reason = faulty_pngs()[part]
    (tmp_path / "whole.png").write_bytes(still_png())
    (tmp_path / "p.png").write_bytes(data)
    expected, _ = load_image(tmp_path / "whole.png")
    assert caplog.records == []
    image, _ = load_image(tmp_path / "p.png")
    assert torch.equal(image, expected)
    [record] = caplog.records
    assert "p.png is damaged" in record.getMessage() and reason in record.getMessage()
    caplog.clear()
    preview(tmp_path / "p.png", "webp", 90, False, 10**6)
    assert reason in caplog.text


def test_a_tiff_of_an_unknown_pixel_type_is_refused_with_what_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path, PIL.Image.fromarray(ramp(1.0)), "p.tif")
    bits = struct.pack("<HHIHH", 258, 3, 1, 32, 0)
    assert bits in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(bits, struct.pack("<HHIHH", 258, 3, 1, 24, 0)))
    with pytest.raises(InputFileError, match="8 or 16 bits a channel, or greys in float32"):
        load_image(path)
