"""Contact sheets: many small pictures with their captions on one page.

    python models/tiny/contact_sheet.py FOLDER SHEET.png [--count 120] [--seed 0]

draws training pictures of FOLDER at random, each with one English and one Chinese caption.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from nodes.drawing.lettering import font

GAP, LINE = 4, 13


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    lines = [json.loads(line) for line in (options.folder / "metadata.jsonl").open(encoding="utf-8")]
    drawn = np.random.default_rng(options.seed).choice(len(lines), options.count, replace=False)
    chosen = [lines[index] for index in drawn]
    rows = [[Image.open(options.folder / line["file_name"])] for line in chosen]
    contact_sheet(rows, [[line["texts"][-1], line["texts"][0]] for line in chosen], 10).save(options.sheet)


def contact_sheet(
    strips: Sequence[Sequence[Image.Image]], captions: Sequence[Sequence[str]], columns: int, side: int = 128
) -> Image.Image:
    """Lay out strips of pictures, each with its lines of caption under it, in `columns` columns."""
    letters = font(LINE - 2)
    width = max(len(strip) for strip in strips) * side + GAP
    height = side + max(len(lines) for lines in captions) * LINE + GAP
    page = Image.new("RGB", (columns * width + GAP, -(-len(strips) // columns) * height + GAP), (236, 236, 236))
    pen = ImageDraw.Draw(page)
    for place, (strip, lines) in enumerate(zip(strips, captions, strict=True)):
        left, top = GAP + place % columns * width, GAP + place // columns * height
        for index, picture in enumerate(strip):
            page.paste(
                picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS), (left + index * side, top)
            )
        for index, text in enumerate(lines):
            while len(text) > 1 and pen.textlength(text, letters) > width - GAP:
                text = text[:-2] + "…"
            pen.text((left, top + side + index * LINE), text, (0, 0, 0), letters)
    return page


if __name__ == "__main__":
    main()
