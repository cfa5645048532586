"""``main.py diff`` in words and as JSON, for workflows and for pictures that carry one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import main
from graph import load
from nodes import registry

ROOT = Path(__file__).parent.parent.parent
DEFAULT = ROOT / "workflows" / "text_to_image.json"


@pytest.fixture
def api() -> dict[str, Any]:
    return load(DEFAULT, registry()).to_api()


def saved(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def picture(path: Path, colour: tuple[int, int, int], api: Any, size: tuple[int, int] = (8, 4)) -> Path:
    """Save a picture with a workflow in it, as its kind of file carries it."""
    image = Image.new("RGB", size, colour)
    if path.suffix == ".png":
        info = PngInfo()
        if api is not None:
            info.add_text("prompt", json.dumps(api))
        image.save(path, pnginfo=info)
    else:
        exif = Image.Exif()
        exif[0x0110] = "prompt:" + json.dumps(api)
        image.save(path, exif=exif, quality=100, **({"lossless": True} if path.suffix == ".webp" else {}))
    return path


def diff(*arguments: Path | str) -> int:
    return main.main(["diff", *map(str, arguments), "--disable-all-custom-nodes"])


def test_what_differs_is_said_in_words(api: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diff(DEFAULT, saved(tmp_path / "same.json", api)) == 0
    assert capsys.readouterr().out == "The workflows are the same.\n"
    api["7"]["inputs"] |= {"steps": 30, "positive": ["5", 0], "sampler_name": "heun"}
    api["2"]["inputs"]["text"] = "a blue car"
    api["8"]["_meta"]["title"] = "Latent to picture"
    api["20"] = {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
    del api["9"]
    assert diff(DEFAULT, saved(tmp_path / "other.json", api)) == 1
    assert capsys.readouterr().out.splitlines() == [
        "Removed: node 9 “Save” (SaveImage)",
        "Added: node 20 (PreviewImage)",
        'Changed: node 2 “Prompt” (CLIPTokenize): text "a red apple" → "a blue car"',
        'Changed: node 7 “Sample” (KSampler): steps 20 → 30, sampler_name "euler" → "heun", positive CONDITIONING of '
        "node 4 “Encode the prompt” (CLIPEncodeTokens) → CONDITIONING of node 5 “Encode what to avoid” "
        "(CLIPEncodeTokens)",
        'Changed: node 8 “Latent to picture” (VAEDecode): title "Decode" → "Latent to picture"',
    ]


def test_the_same_is_said_as_json(api: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(DEFAULT.read_text(encoding="utf-8"))
    document["nodes"][0]["pos"] = [1, 2]
    document["groups"].pop()
    assert diff(DEFAULT, saved(tmp_path / "moved.json", document), "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["same"], found["moved"], found["groups"]) == (False, 1, {"removed": 1, "added": 0})
    api["7"]["inputs"]["positive"] = ["5", 0]
    del api["7"]["inputs"]["cfg"]
    diff(DEFAULT, saved(tmp_path / "other.json", api), "--json")
    [change] = json.loads(capsys.readouterr().out)["changed"]
    assert change["inputs"] == {"positive": {"before": ["4", 0], "after": ["5", 0]}, "cfg": {"before": 5}}
    assert (change["id"], change["before_id"], change["class_type"]) == ("7", "7", "KSampler")


@pytest.mark.parametrize("ending", ["png", "webp", "jpg"])
def test_pictures_are_compared_by_workflow_and_pixels(
    ending: str, api: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    red = picture(tmp_path / f"a.{ending}", (200, 0, 0), api)
    assert diff(red, red) == 0
    assert capsys.readouterr().out == "The pictures have the same pixels.\nThe workflows are the same.\n"
    assert diff(red, DEFAULT) == 0
    assert capsys.readouterr().out == "The workflows are the same.\n"
    api["7"]["inputs"]["seed"] = 2
    other = picture(tmp_path / f"b.{ending}", (100, 0, 0), api)
    assert diff(red, other) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("The pictures differ in 32 pixels (100 %), by at most ")
    assert second == "Changed: node 7 “Sample” (KSampler): seed 1 → 2"
    wide = picture(tmp_path / f"c.{ending}", (100, 0, 0), api, size=(16, 4))
    assert diff(other, wide) == 1
    assert capsys.readouterr().out.startswith("The pictures have different sizes: 8×4 and 16×4 pixels.\n")


def test_pictures_without_a_workflow_are_compared_by_pixels(
    api: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = picture(tmp_path / "a.png", (1, 2, 3), None)
    assert diff(bare, bare) == 0
    assert "Neither picture carries a workflow." in capsys.readouterr().out
    assert diff(bare, picture(tmp_path / "b.png", (1, 2, 3), api)) == 2
    assert "the picture carries no workflow" in capsys.readouterr().err


def test_files_that_cannot_be_compared_give_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diff(DEFAULT, tmp_path / "missing.json") == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'missing.json'}: no such file\n"
    (tmp_path / "text.json").write_text("{", encoding="utf-8")
    assert diff(tmp_path / "text.json", DEFAULT) == 2


def test_of_long_texts_only_the_change_is_shown(
    api: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api["2"]["inputs"]["text"] = "word " * 50 + "red" + " word" * 50
    first = saved(tmp_path / "a.json", api)
    api["2"]["inputs"]["text"] = "word " * 50 + "blue" + " word" * 50
    assert diff(first, saved(tmp_path / "b.json", api)) == 1
    assert '"…word word red word word…" → "…word word blue word word…"' in capsys.readouterr().out


def test_a_muted_node_is_said_to_be_muted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(DEFAULT.read_text(encoding="utf-8"))
    document["nodes"][-1]["mode"] = 2
    muted = saved(tmp_path / "muted.json", document)
    assert diff(DEFAULT, muted) == 1
    assert capsys.readouterr().out == "Removed: node 9 “Save” (SaveImage), muted in the second file\n"
    assert diff(muted, DEFAULT) == 1
    assert capsys.readouterr().out == "Added: node 9 “Save” (SaveImage), muted in the first file\n"
