"""The small pictures that the editor's start page shows: what each workflow here makes as it stands.

    .venv/bin/python workflows/make_pictures.py

Runs every workflow beside this file that draws (not train_*.json and lesson_*.json) with the embedded model and writes
NAME.webp beside NAME.json: what it loads and what it saves, side by side, on 256 × 160 pixels.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageOps

HERE = Path(__file__).parent
SIZE = (256, 160)
GAP = 4


def made_by(workflow: Path, folder: Path) -> list[Image.Image]:
    """The pictures that ``workflow`` loads and those that it saves, in order."""
    nodes = json.loads(workflow.read_text(encoding="utf-8"))["nodes"]
    loaded = [HERE / "pictures" / node["widgets_values"][0] for node in nodes if node["type"] == "LoadImage"]
    folders = [f"--{name}-directory={folder / name}" for name in ("input", "output", "temp", "user")]
    subprocess.run(
        [sys.executable, HERE.parent / "main.py", "run", "--cpu", *folders, workflow],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    saved = sorted((folder / "output").rglob("*.png"))
    return [Image.open(path).convert("RGB") for path in (*loaded, *saved)]


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    """Cut to fill SIZE in equal columns with a gap between them; four become two rows."""
    rows = 2 if len(pictures) == 4 else 1
    columns = len(pictures) // rows
    width = (SIZE[0] - GAP * (columns - 1)) // columns
    height = (SIZE[1] - GAP * (rows - 1)) // rows
    sheet = Image.new("RGB", SIZE, (128, 128, 128))
    for index, picture in enumerate(pictures[: rows * columns]):
        cut = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
        sheet.paste(cut, (index % columns * (width + GAP), index // columns * (height + GAP)))
    return sheet


def main() -> None:
    for workflow in sorted(path for path in HERE.glob("*.json") if not path.stem.startswith(("train_", "lesson_"))):
        with tempfile.TemporaryDirectory() as folder:
            pictures = made_by(workflow, Path(folder))
        target = workflow.with_suffix(".webp")
        side_by_side(pictures).save(target, quality=80, method=6)
        print(f"{target.name}: {len(pictures)} picture(s), {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
