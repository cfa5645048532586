"""Workflows in pictures, as Pillow writes them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from graph.errors import FormatError
from graph.formats import load
from graph.schema import Registry

API = {"5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}}
EDITOR = {
    "nodes": [{"id": 1, "type": "EmptyLatentImage", "inputs": [], "outputs": [], "widgets_values": [8, 16, 2]}],
    "links": [],
    "version": 0.4,
}
Texts = dict[str, Any]


def png(texts: Texts, add: Callable[[PngInfo, str, str], None] = PngInfo.add_text) -> bytes:
    info = PngInfo()
    for key, value in texts.items():
        add(info, key, value if isinstance(value, str) else json.dumps(value))
    made = BytesIO()
    Image.new("RGB", (8, 8), "red").save(made, "PNG", pnginfo=info)
    return made.getvalue()


def png_compressed(texts: Texts) -> bytes:
    return png(texts, lambda info, key, value: info.add_text(key, value, zip=True))


def png_international(texts: Texts) -> bytes:
    return png(texts, lambda info, key, value: info.add_itxt(key, value))


def png_international_compressed(texts: Texts) -> bytes:
    return png(texts, lambda info, key, value: info.add_itxt(key, value, "en", "schlüssel", zip=True))


def with_exif(kind: str, texts: Texts) -> bytes:
    exif = Image.Exif()
    tags = {"prompt": 0x0110, "workflow": 0x010F, "other": 0x010E}
    for key, value in texts.items():
        exif[tags[key]] = f"{key}:{json.dumps(value)}"
    made = BytesIO()
    Image.new("RGB", (8, 8), "red").save(made, kind, exif=exif)
    return made.getvalue()


def webp(texts: Texts) -> bytes:
    return with_exif("WEBP", texts)


def jpeg(texts: Texts) -> bytes:
    return with_exif("JPEG", texts)


EVERY_KIND = [png, png_compressed, png_international, png_international_compressed, webp, jpeg]


@pytest.mark.parametrize("make", EVERY_KIND)
def test_what_ran_is_preferred_and_the_canvas_kept(make: Callable[[Texts], bytes], registry: Registry) -> None:
    workflow = load(make({"prompt": API, "workflow": EDITOR}), registry)
    assert workflow.to_api() == API
    assert workflow.editor == EDITOR


@pytest.mark.parametrize("make", EVERY_KIND)
def test_a_picture_with_the_canvas_alone(make: Callable[[Texts], bytes], registry: Registry) -> None:
    workflow = load(make({"workflow": EDITOR}), registry)
    assert workflow.to_api()["1"]["inputs"] == {"width": 8, "height": 16, "batch_size": 2}
    assert workflow.editor == EDITOR


@pytest.mark.parametrize("make", EVERY_KIND)
def test_a_picture_with_what_ran_alone(make: Callable[[Texts], bytes], registry: Registry) -> None:
    workflow = load(make({"prompt": API}), registry)
    assert (workflow.to_api(), workflow.editor) == (API, None)


def test_a_picture_from_a_path_is_named_in_errors(tmp_path: Any, registry: Registry) -> None:
    path = tmp_path / "a picture.png"
    path.write_bytes(png({"prompt": API}))
    assert load(path, registry).to_api() == API
    path.write_bytes(png({}))
    with pytest.raises(FormatError, match=r"a picture\.png: the picture carries no workflow"):
        load(path, registry)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png({}), "carries no workflow"),
        (webp({}), "carries no workflow"),
        (jpeg({}), "carries no workflow"),
        (webp({"other": 1}), "only other"),
        (png({"parameters": "a cat, steps: 20"}), "only parameters"),
        (png({"prompt": "{'a'"}), "prompt in the picture, line 1 column 2"),
        (png({"prompt": "[1]"}), "the workflow: found a list of 1"),
        (png({"workflow": "7"}), "workflow in the picture: found 7"),
        (b"GIF89a...", "carries no workflow"),
        (b"BM......", "BMP pictures hold no workflow"),
        (b"\0\0\0\x14ftypavif\0\0\0\0avif", "carries no workflow"),
        (b"\x89PNG\r\n\x1a\n", "carries no workflow"),
        (b"RIFF\x04\0\0\0WEBP", "carries no workflow"),
        (b"\xff\xd8\xff", "carries no workflow"),
    ],
)
def test_pictures_without_a_workflow_say_so(data: bytes, message: str, registry: Registry) -> None:
    with pytest.raises(FormatError, match=message):
        load(data, registry)


def test_a_picture_cut_off_in_its_pixels_still_has_its_workflow(registry: Registry) -> None:
    data = png({"prompt": API})
    assert load(data[: data.index(b"IDAT") + 6], registry).to_api() == API


@pytest.mark.parametrize("make", EVERY_KIND)
def test_a_picture_cut_off_in_its_workflow_says_so(make: Callable[[Texts], bytes], registry: Registry) -> None:
    data = make({"prompt": {str(index): API["5"] for index in range(50)}})
    for length in (len(data) // 3, 40, 20):
        with pytest.raises(FormatError):
            load(data[:length] if make is not webp else data[: data.index(b"EXIF") + length], registry)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_damaged_and_exploding_text(registry: Registry) -> None:
    start = b"\x89PNG\r\n\x1a\n"
    flipped = bytearray(png({"prompt": API}))
    flipped[flipped.index(b"EmptyLatent")] ^= 1
    with pytest.raises(FormatError, match="checksum"):
        load(bytes(flipped), registry)
    with pytest.raises(FormatError, match="damaged"):
        load(start + chunk(b"zTXt", b"prompt\0\0rubbish"), registry)
    with pytest.raises(FormatError, match="cut off"):
        load(start + chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b"{}" * 500)[:-9]), registry)
    bomb = zlib.compressobj()
    packed = b"".join(bomb.compress(b" " * (1 << 20)) for _ in range(65)) + bomb.flush()
    with pytest.raises(FormatError, match="larger than 64 MiB"):
        load(start + chunk(b"zTXt", b"prompt\0\0" + packed), registry)


def test_both_byte_orders_of_exif(registry: Registry) -> None:
    text = f"prompt:{json.dumps(API)}\0".encode()
    for order, mark in (("<", b"II"), (">", b"MM")):
        tiff = mark + struct.pack(f"{order}HIHHHII", 42, 8, 1, 0x0110, 2, len(text), 26) + b"\0\0\0\0" + text
        # The offset field follows the two marks, 42, 8, one entry of 12 bytes and the end of the list.
        data = b"RIFF\0\0\0\0WEBPEXIF" + struct.pack("<I", len(tiff)) + tiff
        assert load(data, registry).to_api() == API
