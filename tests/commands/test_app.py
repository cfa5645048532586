"""``main.py app NAME``: an app on the command line, with options made from its fields."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import main
from graph.builder import WorkflowBuilder
from nodes.rooms import registry


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Two apps without models: one that makes a picture of one colour, and one that inverts a picture."""
    folder = tmp_path / "user" / "default" / "workflows"
    (folder / "mine").mkdir(parents=True)
    w = WorkflowBuilder(registry())
    w.SaveImage(images=w.EmptyImage(width=16, height=8, color=255), filename_prefix="plain")
    (folder / "mine" / "plain.app.json").write_text(json.dumps(w.to_editor()))
    w = WorkflowBuilder(registry())
    w.SaveImage(images=w.ImageInvert(image=w.LoadImage(image="none.png").IMAGE), filename_prefix="inverted")
    (folder / "invert.json").write_text(json.dumps(w.to_editor()))
    return tmp_path


def run(base: Path, *arguments: str) -> int:
    return main.main(["app", *arguments, "--base-directory", str(base), "--cache-disk", "0", "--cpu"])


def test_an_app_runs_with_its_fields_as_options(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(base, "mine/plain", "--height", "24", "--batch-size=2") == 0
    files = [line for line in capsys.readouterr().out.splitlines() if line.endswith(".png")]
    with Image.open(files[0]) as image:
        assert image.size == (16, 24)
        saved = json.loads(image.text["workflow"])  # type: ignore[attr-defined]
    assert len(files) == 2 and 24 in saved["nodes"][0]["widgets_values"]


def test_a_picture_may_be_any_file(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = base / "elsewhere.png"
    Image.new("RGB", (4, 4), (255, 255, 255)).save(picture)
    assert run(base, "invert", "--image", str(picture)) == 0
    with Image.open(capsys.readouterr().out.splitlines()[-1]) as image:
        assert image.getpixel((0, 0)) == (0, 0, 0)


def test_the_help_is_made_from_the_fields(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(base, "text_to_image", "--help")
    text = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for part in ("--prompt TEXT", "--steps N", "1 to 10000 (default: 20)", "--output-directory DIR", "more fields"):
        assert part in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["text_to_image", "--stepz", "3"], "stepz: there is no such field"),
        (["text_to_image", "--stepz", "3"], "Did you mean 'steps'"),
        (["text_to_image", "--steps", "0"], "steps: 0 is too small; expected an integer from 1"),
        (["text_to_image", "--steps", "many"], "steps: "),
        (["invert", "--image", "nowhere.png"], "image: there is no file 'nowhere.png'; expected a picture's path"),
        (["invert", "--image", __file__], "is not a picture"),
        (["nowhere"], "there is no app 'nowhere'"),
    ],
)
def test_what_is_wrong_is_said_by_the_fields_name(
    base: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(base, *arguments) == 2
    assert said in capsys.readouterr().err


def test_without_a_name_the_apps_are_listed(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(base) == 2
    assert run(base, "--help") == 0
    listed = capsys.readouterr().out
    assert "mine/plain" in listed and "text_to_image  (example)" in listed
