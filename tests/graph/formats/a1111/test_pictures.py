"""A1111's parameters in files of every kind: PNG texts, EXIF comments in any encoding, text files."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from graph.errors import FormatError
from graph.formats import load
from graph.workflow import Workflow
from nodes import registry

REGISTRY = registry()
TEXT = """一只猫, a café
second line
Negative prompt: dog
Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 77, Size: 64x64"""
API = {"5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}}


def png(add: Callable[[PngInfo], None], **options: object) -> bytes:
    info = PngInfo()
    add(info)
    made = BytesIO()
    Image.new("RGB", (8, 8)).save(made, "PNG", pnginfo=info, **options)  # type: ignore[arg-type]
    return made.getvalue()


def with_comment(kind: str, comment: bytes | str, tag: int = 0x9286, endian: str = "<") -> bytes:
    exif = Image.Exif()
    exif.endian = endian
    exif[0x0110] = "A camera"
    if tag == 0x9286:
        exif.get_ifd(0x8769)[tag] = comment
    else:
        exif[tag] = comment
    made = BytesIO()
    Image.new("RGB", (8, 8)).save(made, kind, exif=exif)
    return made.getvalue()


def check(workflow: Workflow, prompt: str = "一只猫, a café\nsecond line") -> None:
    texts = [node.inputs["text"] for node in workflow.nodes.values() if node.class_type == "CLIPTextEncode"]
    assert texts == [prompt, "dog"]
    [sampler] = [node.inputs for node in workflow.nodes.values() if node.class_type == "KSampler"]
    assert (sampler["seed"], sampler["sampler_name"]) == (77, "euler_ancestral")


def test_png_texts_of_every_kind() -> None:
    for compressed in (False, True):
        check(load(png(lambda info: info.add_itxt("parameters", TEXT, zip=compressed)), REGISTRY))  # noqa: B023
        check(load(png(lambda info: info.add_text("parameters", TEXT, zip=compressed)), REGISTRY))  # noqa: B023
    latin = TEXT.replace("一只猫", "a cat")
    check(load(png(lambda info: info.add_text("parameters", latin)), REGISTRY), "a cat, a café\nsecond line")


def test_png_with_exif() -> None:
    exif = Image.Exif()
    exif[0x0110] = "A camera"
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + TEXT.encode("utf-16-be")
    check(load(png(lambda info: None, exif=exif), REGISTRY))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + TEXT.encode("utf-16-be"),
        b"UNICODE\0" + TEXT.encode("utf-16-le"),
        b"UNICODE\0" + b"\xff\xfe" + TEXT.encode("utf-16-le"),
        b"UNICODE\0" + b"\xfe\xff" + TEXT.encode("utf-16-be"),
        b"UNICODE\0" + TEXT.encode("utf-16-le") + b"\0\0",
        b"ASCII\0\0\0" + TEXT.encode(),
        b"\0\0\0\0\0\0\0\0" + TEXT.encode(),
        b"\0\0\0\0\0\0\0\0" + TEXT.encode("utf-16-be"),
        TEXT.encode(),
    ],
)
def test_exif_comments_in_every_encoding(kind: str, endian: str, comment: bytes) -> None:
    check(load(with_comment(kind, comment, endian=endian), REGISTRY))


def test_other_exif_texts() -> None:
    latin = TEXT.replace("一只猫", "a cat").replace("é", "e")
    check(load(with_comment("JPEG", latin, tag=0x010E), REGISTRY), "a cat, a cafe\nsecond line")
    check(load(with_comment("JPEG", TEXT.encode("utf-16-le"), tag=0x9C9C), REGISTRY))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_text_file(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "00001.txt").write_text(TEXT, encoding=encoding)
    check(load(tmp_path / "00001.txt", REGISTRY))


def test_comfyuis_workflow_is_preferred() -> None:
    def add(info: PngInfo) -> None:
        info.add_text("parameters", TEXT)
        info.add_text("prompt", json.dumps(API))

    found = load(png(add), REGISTRY)
    assert found.to_api() == API and found.notes == ()


def test_another_programs_prompt_is_no_obstacle() -> None:
    def add(info: PngInfo) -> None:
        info.add_text("prompt", "a cat")
        info.add_text("parameters", TEXT)

    check(load(png(add), REGISTRY))


def test_a_damaged_text_is_skipped_where_another_is_sound() -> None:
    def add(info: PngInfo) -> None:
        info.add_text("parameters", TEXT)
        info.add_text("Software", "DAMAGED")

    data = png(add)
    check(load(data.replace(b"DAMAGED", b"damaged"), REGISTRY))
    place = data.index(b"Steps: 20")
    with pytest.raises(FormatError, match="wrong checksum"):
        load(data[:place] + b"steps" + data[place + 5 :], REGISTRY)


def test_text_that_is_neither_json_nor_parameters_is_an_error() -> None:
    with pytest.raises(FormatError, match="line 1"):
        load(b"a cat\nNegative prompt: dog", REGISTRY)
    with pytest.raises(FormatError, match="only parameters"):
        load(png(lambda info: info.add_text("parameters", "only a prompt")), REGISTRY)
