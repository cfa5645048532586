"""Make the embedded model's training pictures: emoji drawings, recoloured and composed, with captions.

    python models/tiny/make_pictures.py [--out models/tiny/pictures] [--seed 0] [--side 128]

Needs the npm packages of package.json (`npm ci` in this folder) and the Python package resvg-py. The result is
a folder of PNG files and a metadata.jsonl, one line a picture: file_name, text (a caption), texts (all captions), and
what the picture shows. The same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from models.tiny.captions import captions
from models.tiny.colour import ground as shade_of
from models.tiny.colour import recolour
from models.tiny.concepts import HERE, drawings
from models.tiny.scenes import Scene, Thing, choose_holdouts, holdouts, part_of, scenes

SIDE = 128  # px; shifts and margins below are for this side
CHUNK = 256


def main() -> None:
    options = arguments()
    if options.choose_holdouts:
        (HERE / "holdouts.json").write_text(_one_pair_a_line(choose_holdouts(options.seed)), encoding="utf-8")
        return
    options.out.mkdir(parents=True, exist_ok=True)
    plan = scenes(options.seed)
    tasks = [
        (options.out, options.seed, options.side, start, plan[start : start + CHUNK])
        for start in range(0, len(plan), CHUNK)
    ]
    holdouts(), drawings()  # before the workers start, so that they share them
    with (
        ProcessPoolExecutor(options.processes) as pool,
        (options.out / "metadata.jsonl").open("w", encoding="utf-8") as lines,
    ):
        for done, chunk in enumerate(pool.map(_write_chunk, tasks), 1):
            lines.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in chunk)
            print(f"\r{min(done * CHUNK, len(plan))} of {len(plan)} pictures", end="", flush=True, file=sys.stderr)
    print(f"\n{options.out}", file=sys.stderr)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=HERE / "pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=SIDE, help="width and height in px")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--choose-holdouts", action="store_true", help="rewrite holdouts.json and stop")
    return parser.parse_args()


def _one_pair_a_line(pairs: dict[str, list[list[str]]]) -> str:
    blocks = [f' "{kind}": [\n  ' + ",\n  ".join(map(json.dumps, listed)) + "\n ]" for kind, listed in pairs.items()]
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def _write_chunk(task: tuple[Path, int, int, int, list[Scene]]) -> list[dict]:
    out, seed, side, start, chunk = task
    lines = []
    for number, scene in enumerate(chunk, start):
        name = f"{number:06d}.png"
        compose(scene, np.random.default_rng([seed, number]), side).save(out / name)
        texts = captions(scene, np.random.default_rng([seed, number, 1]))
        lines.append({"file_name": name, "text": texts[-1], "texts": texts, **facts(scene)})
    return lines


def facts(scene: Scene) -> dict:
    """The content of a picture, for measuring."""
    return {
        "concepts": [thing.concept.name for thing in scene.things],
        "colours": [thing.named for thing in scene.things],
        "recoloured": any(thing.colour for thing in scene.things),
        "icon_sets": [thing.icon.icon_set for thing in scene.things],
        "ground": scene.ground,
    }


def compose(scene: Scene, rng: np.random.Generator, side: int = SIDE) -> Image.Image:
    """Draw a scene as an RGB picture. Places and sizes vary a little; `centred` scenes do not."""
    unit = side / SIDE
    canvas = np.broadcast_to(shade_of(scene.ground, rng), (side, side, 3)).astype(np.float32)
    for slot, thing in enumerate(scene.things):
        if len(scene.things) == 1:
            size, centre = (0.92, (64, 64)) if scene.centred else (rng.uniform(0.84, 0.96), 64 + rng.uniform(-4, 4, 2))
        else:
            size = rng.uniform(0.43, 0.48)
            centre = (32 + 64 * slot + rng.uniform(-1.5, 1.5), 64 + rng.uniform(-6, 6))
        canvas = _paste(canvas, thing, round(size * side), np.asarray(centre) * unit)
    return Image.fromarray((np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8))


def _paste(canvas: np.ndarray, thing: Thing, size: int, centre: np.ndarray) -> np.ndarray:
    """Put a drawing, `size` px wide, on the canvas. It is scaled premultiplied, so that no fringe appears."""
    small = np.asarray(_painted(thing).resize((size, size), Image.Resampling.LANCZOS), np.float32) / 255
    left, top = (round(float(c) - size / 2) for c in centre)
    side = canvas.shape[0]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + size, side), min(top + size, side)
    small = small[y0 - top : y1 - top, x0 - left : x1 - left]
    canvas = canvas.copy()
    canvas[y0:y1, x0:x1] = canvas[y0:y1, x0:x1] * (1 - small[..., 3:]) + small[..., :3]
    return canvas


@lru_cache(maxsize=2000)
def _painted(thing: Thing) -> Image.Image:
    """The drawing in its colour, as PIL's premultiplied RGBa."""
    rgba, part = thing.icon.rgba, part_of(thing.drawing)
    if thing.colour and part:
        rgba = recolour(rgba, part, thing.colour)
    return Image.fromarray((np.clip(rgba, 0, 1) * 255 + 0.5).astype(np.uint8), "RGBA").convert("RGBa")


if __name__ == "__main__":
    main()
