"""Makes the pictures in docs/lesson.md: what the lesson's workflows show with the embedded model.

    make lesson                                  # all
    .venv/bin/python -m workflows.make_lesson 5  # the pictures of one chapter

Runs lesson_1.json … lesson_6.json. Each node with the property ``lesson_picture`` gives a picture,
docs/images/lesson/lesson_N_NAME.webp. ``made_from.json`` beside them holds a hash of each workflow and its models, and
lesson.webp beside this file is the picture in the editor's start panel.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageOps

ROOT: Final = Path(__file__).parents[1]
WORKFLOWS: Final = tuple(ROOT / "workflows" / f"lesson_{number}.json" for number in range(1, 7))
PICTURES: Final = ROOT / "docs" / "images" / "lesson"
MADE_FROM: Final = PICTURES / "made_from.json"
COVER: Final = ROOT / "workflows" / "lesson.webp"
LARGEST: Final = (900, 1500)
"""The width and height into which pictures are reduced."""
CODING: Final[Mapping[str, Any]] = {"format": "webp", "quality": 88, "method": 6}
COVER_OF: Final = "lesson_4_steps"
"""The picture that the cover is cut from."""
_PARTS: Final = ("type", "inputs", "widgets_values", "mode")
"""The members of a node that decide its result."""


def source(workflow: Path) -> str:
    """Return a hash of what the results of ``workflow`` depend on: its nodes, links and model files.

    Positions, titles and notes do not count.
    """
    document = _read(workflow)
    nodes = [[node["id"], *(node[part] for part in _PARTS)] for node in document["nodes"] if "Note" not in node["type"]]
    digest = hashlib.blake2b(json.dumps([nodes, document["links"]]).encode(), digest_size=16)
    for path in _model_files(document):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def pictures_of(workflow: Path, folder: Path) -> dict[str, Image.Image]:
    """Run ``workflow`` with work folders in ``folder`` and return its lesson's pictures by name."""
    command: list[str | Path] = [sys.executable, ROOT / "main.py", "run", "--cpu", "--json"]
    command += [f"--{name}-directory={folder / name}" for name in ("input", "output", "user")]
    command += [f"--temp-directory={folder}"]  # files go into its subfolder temp
    run = subprocess.run([*command, workflow], stdout=subprocess.PIPE, text=True, encoding="utf-8", check=False)
    events = [json.loads(line) for line in run.stdout.splitlines()]
    if run.returncode:
        raise RuntimeError(f"{workflow.name} failed: {events[-1:]}")
    shown = {event["node_id"]: event["ui"]["images"] for event in events if event["event"] == "node_output"}
    names = {str(node["id"]): node["properties"].get("lesson_picture") for node in _read(workflow)["nodes"]}
    pictures = {}
    for node, name in names.items():
        if name is not None:
            first: Mapping[str, str] = shown[node][0]
            path = folder / first["type"] / first["subfolder"] / first["filename"]
            pictures[f"{workflow.stem}_{name}"] = ImageOps.contain(Image.open(path).convert("RGB"), LARGEST)
    return pictures


def _read(workflow: Path) -> Any:
    return json.loads(workflow.read_text(encoding="utf-8"))


def _model_files(document: Any) -> list[Path]:
    values = [value for node in document["nodes"] for value in node["widgets_values"]]
    named = {value for value in values if isinstance(value, str) and value.endswith(".safetensors")}
    return sorted(path for path in (ROOT / "models").rglob("*.safetensors") if path.name in named)


def _cover(steps: Image.Image) -> Image.Image:
    """Return the last two pictures of the film strip's first row, in which noise becomes a picture."""
    left, top, right, bottom = 0.6, 0.109, 0.968, 0.196
    box = (left * steps.width, top * steps.height, right * steps.width, bottom * steps.height)
    return ImageOps.fit(steps.crop(box), (256, 160), Image.Resampling.LANCZOS)


def main(numbers: Sequence[str]) -> None:
    chosen = [WORKFLOWS[int(number) - 1] for number in numbers] or WORKFLOWS
    PICTURES.mkdir(parents=True, exist_ok=True)
    made_from = json.loads(MADE_FROM.read_text()) if MADE_FROM.exists() else {}
    with tempfile.TemporaryDirectory() as folder:  # the chapters share results
        for workflow in chosen:
            for old in PICTURES.glob(f"{workflow.stem}_*.webp"):
                old.unlink()
            start = time.monotonic()
            for name, picture in pictures_of(workflow, Path(folder)).items():
                target = PICTURES / f"{name}.webp"
                picture.save(target, **CODING)
                print(f"{target.name}: {picture.width} × {picture.height}, {target.stat().st_size:,} bytes")
                if name == COVER_OF:
                    _cover(picture).save(COVER, quality=80, method=6)
            print(f"{workflow.name}: {time.monotonic() - start:.1f} s", flush=True)
            made_from[workflow.name] = source(workflow)
            MADE_FROM.write_text(json.dumps(made_from, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
