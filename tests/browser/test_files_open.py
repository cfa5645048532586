"""Opening workflows from JSON and pictures by button, drop and paste, and files that cannot be opened."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.browser.canvas_page import document

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "workflows" / "text_to_image.json"

WORKFLOW: dict[str, Any] = {
    "last_node_id": 1,
    "last_link_id": 0,
    "nodes": [
        {
            "id": 1,
            "type": "CLIPTokenize",
            "pos": [40, 60],
            "size": [320, 130],
            "flags": {},
            "order": 0,
            "mode": 0,
            "inputs": [{"name": "clip", "type": "CLIP", "link": None}],
            "outputs": [{"name": "TOKENS", "type": "TOKENS", "links": None}],
            "properties": {},
            "widgets_values": ["鲸 a whale"],
        }
    ],
    "links": [],
    "groups": [],
    "config": {},
    "extra": {"ds": {"scale": 1, "offset": [0, 0]}},
    "version": 0.4,
}
TEXT = json.dumps(WORKFLOW, ensure_ascii=False)
PROMPT = json.dumps({"1": {"class_type": "CLIPTokenize", "inputs": {"text": "only the prompt"}}})


def _open(page: Any, path: Path) -> None:
    page.locator("#open-file").set_input_files(str(path))


def _drop(page: Any, selector: str, path: Path, kind: str = "") -> None:
    page.evaluate(
        """([selector, name, bytes, type]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, {type}));
            for (const name of ["dragenter", "dragover", "drop"])
                document.querySelector(selector).dispatchEvent(
                    new DragEvent(name, {dataTransfer: data, bubbles: true, cancelable: true}));
        }""",
        [selector, path.name, list(path.read_bytes()), kind],
    )


def _tab(page: Any, name: str) -> Any:
    return page.get_by_role("tab", name=name, exact=True)


def _ordered(text: str) -> Any:
    """Convert objects to lists of pairs, so that the order of keys is compared."""
    return json.loads(text, object_pairs_hook=list)


FOLDERS = ("workflows", "tests/graph/formats/files", "web/src/format/files")


def _is_editors(path: Path) -> bool:
    """Return whether it is in the editor's format; a file in the API format is saved in the editor's."""
    return "nodes" in json.loads(path.read_text())


@pytest.mark.parametrize(
    "path",
    [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.json")) if _is_editors(path)],
    ids=lambda path: path.stem,
)
def test_a_file_comes_back_as_it_was(page: Any, server: Any, path: Path) -> None:
    name = f"back-{path.stem}"
    page.locator("#open-file").set_input_files(
        {"name": f"{name}.json", "mimeType": "application/json", "buffer": path.read_bytes()}
    )
    _tab(page, name).wait_for()
    page.keyboard.press("Control+a")
    page.keyboard.press("ArrowRight")
    page.get_by_role("tab", selected=True).and_(page.locator(f"[title^='{name} ·']")).wait_for()  # changed
    page.keyboard.press("Control+z")
    page.locator(f"[role=tab][title='{name}']").wait_for()
    page.keyboard.press("Control+s")
    page.locator(".dialog").get_by_role("button", name="Save", exact=True).click()
    page.locator(".notice", has_text="Saved").wait_for()
    (saved,) = (server.home / "user").rglob(f"{name}.json")
    assert _ordered(saved.read_text()) == _ordered(path.read_text())


def test_an_address_carries_a_workflow(page: Any, server: Any) -> None:
    """The link of a dry run: what an interface would run opens in the editor."""
    answer = server.post("/v1/images/generations?dry_run=1", {"prompt": "a 鲸 and a whale", "size": "64x128"})
    page.goto("about:blank")
    page.goto(server.url + answer["open"])
    _tab(page, "workflow").wait_for()
    opened = document(page)
    sizes = [node["widgets_values"] for node in opened["nodes"] if node["type"] == "EmptyLatentImage"]
    texts = [node["widgets_values"] for node in opened["nodes"] if node["type"] == "CLIPTextEncode"]
    assert sizes == [[64, 128, 1]] and ["a 鲸 and a whale"] in texts
    assert "#" not in page.url
    page.goto("about:blank")
    page.goto(f"{server.url}/#workflow=nonsense")
    page.locator(".notice", has_text="#workflow").wait_for()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return pack(">I", len(body)) + kind + body + pack(">I", zlib.crc32(kind + body))


def _png(*chunks: bytes) -> bytes:
    header = _chunk(b"IHDR", pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + _chunk(b"IEND", b"")


def _written_as(kind: str, path: Path) -> Path:
    """Return a picture with WORKFLOW in its metadata, as programs write it."""
    escaped = json.dumps(WORKFLOW).encode()
    text = TEXT.encode()
    picture = Image.new("RGB", (8, 8), (90, 120, 150))
    if kind == "tEXt":  # as ComfyUI's SaveImage does
        info = PngInfo()
        info.add_text("prompt", PROMPT)
        info.add_text("workflow", json.dumps(WORKFLOW))
        picture.save(path, "PNG", pnginfo=info)
    elif kind == "zTXt":
        path.write_bytes(_png(_chunk(b"zTXt", b"workflow\0\0" + zlib.compress(escaped))))
    elif kind == "iTXt":
        path.write_bytes(_png(_chunk(b"iTXt", b"workflow\0\0\0zh\0\xe5\x9b\xbe\0" + text)))
    elif kind == "iTXt compressed":
        path.write_bytes(_png(_chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(text))))
    else:  # as ComfyUI's SaveAnimatedWEBP does
        exif = picture.getexif()
        exif[0x0110] = f"prompt:{PROMPT}"
        exif[0x010F] = f"workflow:{json.dumps(WORKFLOW)}"
        picture.save(path, "WEBP", exif=exif, save_all=True, append_images=[Image.new("RGB", (8, 8))], lossless=True)
    return path


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "iTXt compressed", "WebP"])
def test_a_picture_brings_its_workflow(page: Any, tmp_path: Path, kind: str) -> None:
    path = _written_as(kind, tmp_path / ("whale.webp" if kind == "WebP" else "whale.png"))
    _open(page, path)
    _tab(page, "whale").wait_for()
    assert document(page) == WORKFLOW


def test_what_sumis_own_nodes_save(page: Any, server: Any) -> None:
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 2, "color": 255}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "own"}},
        "3": {
            "class_type": "SaveAnimatedWEBP",
            "inputs": {
                "images": ["1", 0],
                "filename_prefix": "own",
                "fps": 6.0,
                "lossless": True,
                "quality": 80,
                "method": "default",
            },
        },
    }
    workflow = {**WORKFLOW, "revision": 7}
    sent = server.post("/prompt", {"prompt": prompt, "extra_data": {"extra_pnginfo": {"workflow": workflow}}})
    server.get(f"/jobs/{sent['prompt_id']}?wait=60")
    saved = sorted(path for path in (server.home / "output").glob("own*") if path.suffix in (".png", ".webp"))
    assert {path.suffix for path in saved} == {".png", ".webp"}
    for path in (saved[0], saved[-1]):
        _open(page, path)
        _tab(page, path.stem).wait_for()
        page.get_by_role("textbox", name="text").and_(page.get_by_text("鲸 a whale")).wait_for()


def test_the_api_dialect_is_laid_out(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "api.json"
    path.write_text(
        json.dumps(
            {
                "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sumi-tiny.safetensors"}},
                "6": {
                    "class_type": "CLIPTextEncode",
                    "inputs": {"text": "a boat", "clip": ["4", 1]},
                    "_meta": {"title": "Say"},
                },
                "9": {"class_type": "NobodyKnows", "inputs": {"given": ["6", 0], "amount": 18446744073709551615}},
            }
        )
    )
    _open(page, path)
    _tab(page, "api").wait_for()
    opened = document(page)
    assert [(node["id"], node["type"]) for node in opened["nodes"]] == [
        (4, "CheckpointLoaderSimple"),
        (6, "CLIPTextEncode"),
        (9, "NobodyKnows"),
    ]
    assert opened["nodes"][1]["title"] == "Say"
    assert opened["nodes"][2]["widgets_values"] == [18446744073709551615]
    assert [link[1:5] for link in opened["links"]] == [[4, 1, 6, 0], [6, 0, 9, 0]]
    assert len({tuple(node["pos"]) for node in opened["nodes"]}) == 3


BAD = {
    "cut.json": (TEXT[:200].encode(), "cannot be read as a workflow", "cut.json"),
    "empty.json": (b"", "cannot be read as a workflow", "empty.json"),
    "other.json": (b'{"name": "x"}', "cannot be read as a workflow", "class_type"),
    "broken.json": (b'{"nodes": [{"id": 1}], "links": []}', "cannot be read as a workflow", "nodes[0].type"),
    "notes.txt": (b"hello", "cannot be read as a workflow", "notes.txt"),
    "bare.png": (_png(), "There is no workflow in this picture", "bare.png"),
    "other.png": (_png(_chunk(b"tEXt", b"parameters\0a castle")), "There is no workflow in this picture", "other.png"),
    "half.png": (_png(_chunk(b"tEXt", b"workflow\0" + TEXT.encode()))[:90], "cannot be read as a workflow", "cut off"),
    "movie.gif": (b"GIF89a" + bytes(40), "There is no workflow in this picture", "movie.gif"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_opened_is_said_so_and_nothing_is_lost(page: Any, tmp_path: Path, name: str) -> None:
    data, message, details = BAD[name]
    (tmp_path / name).write_bytes(data)
    page.get_by_role("textbox", name="text").first.fill("mine")
    before = document(page)
    _open(page, tmp_path / name)
    notice = page.locator(".notice[data-kind=error]")
    notice.filter(has_text=message).filter(has_text=details).wait_for()
    assert page.get_by_role("tab").count() == 1
    assert document(page) == before


PARAMETERS = (
    "a castle\nNegative prompt: fog\nSteps: 4, Sampler: Euler a, CFG scale: 7, Seed: 18446744073709551615, Tiling: True"
)


@pytest.mark.parametrize("name", ["theirs.png", "theirs.jpg", "theirs.txt"])
def test_a_picture_of_another_program_opens_with_a_note_on_what_is_not_converted(
    page: Any, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    if name.endswith("png"):
        path.write_bytes(_png(_chunk(b"tEXt", b"parameters\0" + PARAMETERS.encode())))
    elif name.endswith("jpg"):
        exif = Image.Exif()
        exif[0x0110] = "A camera"
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + PARAMETERS.encode("utf-16-be")
        Image.new("RGB", (8, 8)).save(path, exif=exif)
    else:
        path.write_text(PARAMETERS)
    _open(page, path)
    _tab(page, "theirs").wait_for()
    opened = {node["type"]: node for node in document(page)["nodes"]}
    assert opened["KSampler"]["widgets_values"][:6] == [
        18446744073709551615,
        "fixed",
        4,
        7,
        "euler_ancestral",
        "normal",
    ]
    assert opened["CheckpointLoaderSimple"]["widgets_values"] == ["sumi-tiny.safetensors"]
    assert "Not converted from this file" in opened["Note"]["widgets_values"][0]
    assert "Tiling: True is not converted." in opened["Note"]["widgets_values"][0]
    texts = [node["widgets_values"] for node in document(page)["nodes"] if node["type"] == "CLIPTextEncode"]
    assert texts == [["a castle"], ["fog"]]


def test_parameters_of_another_program_are_pasted_as_text(page: Any) -> None:
    page.evaluate("text => navigator.clipboard.writeText(text)", PARAMETERS)
    page.keyboard.press("Control+v")
    _tab(page, "pasted").wait_for()
    assert any(node["type"] == "KSampler" for node in document(page)["nodes"])


@pytest.mark.newcomer
@pytest.mark.parametrize(
    "selector", [".canvas", ".node-header", ".node textarea", ".field", ".top-bar", ".rail", ".welcome", ".minimap"]
)
def test_a_file_may_be_dropped_anywhere(page: Any, tmp_path: Path, selector: str) -> None:
    path = _written_as("tEXt", tmp_path / "dropped.png")
    page.wait_for_selector(selector)
    _drop(page, selector, path, "image/png")
    _tab(page, "dropped").wait_for()


def test_a_workflow_dropped_on_a_node_that_loads_pictures_opens(page: Any, tmp_path: Path) -> None:
    page.mouse.dblclick(700, 700)
    page.get_by_role("combobox", name="Search nodes").fill("Load Image")
    page.keyboard.press("Enter")
    page.wait_for_selector(".loaded-picture")
    path = tmp_path / "workflow.json"
    path.write_text(TEXT)
    _drop(page, ".loaded-picture", path, "application/json")
    _tab(page, "workflow").wait_for()


def test_a_workflow_is_pasted_as_text(page: Any) -> None:
    page.evaluate("text => navigator.clipboard.writeText(text)", TEXT)
    page.keyboard.press("Control+v")
    _tab(page, "pasted").wait_for()
    assert document(page) == WORKFLOW


def test_the_exported_api_dialect_is_what_the_engine_reads(page: Any, tmp_path: Path) -> None:
    from graph.formats import load
    from nodes import registry

    path = ROOT / "tests/graph/formats/files/late_2025_subgraphs.json"
    _open(page, path)
    _tab(page, path.stem).wait_for()
    page.mouse.click(74, 58, button="right")
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Export for the API").click()
    exported = json.loads(Path(download.value.path()).read_text())
    assert exported == load(path, registry()).to_api()
