"""A1111's parameters and workflows in the places where programs write them: comments, EXIF, TIFF tags, text files."""

from __future__ import annotations

import contextlib
import json
import struct
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from graph.errors import FormatError
from graph.formats import load
from graph.schema import Registry

TEXT = "a café, 猫\nNegative prompt: dog\nSteps: 21, Sampler: Euler, CFG scale: 6, Seed: 5, Size: 64x64, Model: m"
PLAIN = TEXT.replace("é, 猫", "e")
API = {"5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}}


def picture(kind: str, **options: Any) -> bytes:
    made = BytesIO()
    Image.new("RGB", (16, 16), "red").save(made, kind, **options)
    return made.getvalue()


def prompt_in(data: bytes, registry: Registry) -> str:
    nodes = load(data, registry).nodes.values()
    assert [node.inputs["steps"] for node in nodes if node.class_type == "KSampler"] == [21]
    return next(node.inputs["text"] for node in nodes if node.class_type == "CLIPTextEncode")


def exif(comment: bytes) -> Image.Exif:
    made = Image.Exif()
    made[0x0131] = "a program"  # Pillow writes no EXIF data without a tag in the first directory
    made.get_ifd(0x8769)[0x9286] = comment
    return made


@pytest.mark.parametrize("kind", ["JPEG", "GIF"])
def test_comments(kind: str, registry: Registry) -> None:
    assert prompt_in(picture(kind, comment=TEXT.encode()), registry) == "a café, 猫"
    assert load(picture(kind, comment=f"prompt:{json.dumps(API)}".encode()), registry).to_api() == API
    assert load(picture(kind, comment=json.dumps(API).encode()), registry).to_api() == API
    with pytest.raises(FormatError, match="carries no workflow"):
        load(picture(kind, comment=b"CREATOR: gd-jpeg v1.0, quality = 90"), registry)


def test_a_comment_of_a_gif_with_several_pictures(registry: Registry) -> None:
    frames = [Image.new("P", (16, 16), number) for number in range(3)]
    made = BytesIO()
    long = TEXT.replace("dog", "dog " * 200)  # more than one block of 255 bytes
    frames[0].save(made, "GIF", save_all=True, append_images=frames[1:], comment=long.encode())
    assert prompt_in(made.getvalue(), registry) == "a café, 猫"
    data = picture("GIF", comment=TEXT.encode())
    assert prompt_in(data[:-20], registry) == "a café, 猫"
    for end in range(6, len(data)):
        with contextlib.suppress(FormatError):
            load(data[:end], registry)


@pytest.mark.parametrize("written", [TEXT.encode("utf-16-le"), TEXT.encode("utf-16-be"), TEXT.encode()])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "AVIF"])
def test_a_user_comment_named_unicode(kind: str, written: bytes, registry: Registry) -> None:
    assert prompt_in(picture(kind, exif=exif(b"UNICODE\0" + written)), registry) == "a café, 猫"


def test_the_description_of_a_tiff(registry: Registry) -> None:
    assert prompt_in(picture("TIFF", tiffinfo={0x010E: PLAIN}), registry) == "a cafe"
    assert load(picture("TIFF", tiffinfo={0x010E: f"prompt:{json.dumps(API)}"}), registry).to_api() == API
    with pytest.raises(FormatError, match="carries no workflow"):
        load(picture("TIFF"), registry)


def test_workflows_in_an_avif(registry: Registry) -> None:
    made = Image.Exif()
    made[0x0110] = f"prompt:{json.dumps(API)}"
    data = picture("AVIF", exif=made)
    assert load(data, registry).to_api() == API
    for end in range(12, len(data), 7):
        with contextlib.suppress(FormatError):
            load(data[:end], registry)


def test_damaged_boxes_of_an_avif(registry: Registry) -> None:
    start = b"\0\0\0\x14ftypavif\0\0\0\0avif"
    with pytest.raises(FormatError, match="the box at byte 20 is 3 bytes long"):
        load(start + struct.pack(">I4s", 3, b"meta"), registry)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
def test_text_files(encoding: str, registry: Registry) -> None:
    assert prompt_in(TEXT.encode(encoding), registry) == "a café, 猫"
    assert prompt_in(b"\xfe\xff" + TEXT.encode("utf-16-be"), registry) == "a café, 猫"
