"""How well the embedded model draws what its prompt says.

    python benchmarks/model.py [--checkpoint NAME] [--pictures models/tiny/pictures] [--out FOLDER] [--seeds 4]

Draws through the engine with workflows/text_to_image.json (20 steps) and judges with benchmarks/likeness.py:
    concepts     the training picture nearest to the result shows the prompt's concept, in English and in Chinese
    colours      for concept × colour pairs that training never showed, the colour is nearest to that of a drawing
                 in the prompt's colour
    backgrounds  for concept × background pairs that training never showed, the background has the prompt's colour
    seeds        mean distance between a prompt's pictures, relative to that between the icon sets' drawings
    pairs        two things side by side: each half of the picture shows the right concept
    unseen       unknown words give a picture as near to a training picture as known ones do, or a plain one
How far to trust the judges is measured first, on drawings they have not seen, softened and with noise. Needs the
training pictures (models/tiny/make_pictures.py). Writes figures.json and contact sheets to --out.
--draw-only and --judge-only split the work between two machines.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.likeness import Look, Recogniser, look, shape_distance, worn  # noqa: E402
from models.tiny.colour import ZH  # noqa: E402
from models.tiny.concepts import Concept, concepts, drawings  # noqa: E402
from models.tiny.contact_sheet import contact_sheet  # noqa: E402
from models.tiny.make_pictures import compose  # noqa: E402
from models.tiny.scenes import COLOURS, Scene, Thing, holdouts  # noqa: E402
from models.tiny.unknown_words import HELD_OUT_PROMPTS  # noqa: E402

WORKFLOW = ROOT / "workflows" / "text_to_image.json"
KNOWN_EACH = 40  # training pictures of a concept that the recogniser keeps, each once clean and once worn
TIMED = 5
PAIRS = 60

Draw = Callable[[str, int], list[Image.Image]]


def main() -> None:
    options = arguments()
    prompts = parts(options.only)
    seconds = {} if options.judge_only else draw_all(prompts, options)
    if options.draw_only:
        return
    recogniser, judged = recogniser_of(options.pictures)
    figures: dict[str, Any] = {"judge": judged | colour_judge() | pair_judge(recogniser), "seconds": seconds}
    show("judge", figures["judge"])
    for name, listed in prompts.items():
        strips = [drawn(options.out / name / f"{index:03d}.png") for index in range(len(listed))]
        figures[name] = MEASURES[name](strips, [wanted for _, wanted in listed], recogniser, judged)
        show(name, figures[name])
        contact_sheet(strips, [[prompt] for prompt, _ in listed], 4, 64).save(options.out / f"{name}.png")
    (options.out / "figures.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False), encoding="utf-8")


def draw_all(prompts: dict[str, list[tuple[str, Any]]], options: argparse.Namespace) -> dict[str, float]:
    """Draw every prompt into a strip of `--seeds` pictures at OUT/measure/number.png; return seconds a picture."""
    with drawing(options) as (draw, seconds):
        for name, listed in prompts.items():
            (options.out / name).mkdir(parents=True, exist_ok=True)
            for index, (prompt, _) in enumerate(listed):
                pictures = draw(prompt, options.seeds)
                strip = Image.new("RGB", (sum(picture.width for picture in pictures), pictures[0].height))
                for place, picture in enumerate(pictures):
                    strip.paste(picture, (place * picture.width, 0))
                strip.save(options.out / name / f"{index:03d}.png")
            print(f"{name}: {len(listed)} prompts drawn", flush=True)
        figures = seconds()
        show("seconds", figures)
        return figures


def drawn(strip: Path) -> list[Image.Image]:
    """Cut a strip back into its square pictures."""
    with Image.open(strip) as picture:
        side = picture.height
        return [picture.crop((left, 0, left + side, side)) for left in range(0, picture.width, side)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkpoint", default="sumi-tiny.safetensors")
    parser.add_argument("--pictures", type=Path, default=ROOT / "models" / "tiny" / "pictures")
    parser.add_argument("--out", type=Path, default=ROOT / "output" / "model_quality")
    parser.add_argument("--seeds", type=int, default=4, help="pictures of each prompt")
    parser.add_argument("--threads", type=int, help="threads for torch (default: its own choice)")
    parser.add_argument("--draw-only", action="store_true", help="draw and stop; needs no training pictures")
    parser.add_argument("--judge-only", action="store_true", help="judge what an earlier run drew into --out")
    parser.add_argument("--only", nargs="*", choices=sorted(MEASURES), default=sorted(MEASURES))
    return parser.parse_args()


def show(name: str, figures: dict[str, Any]) -> None:
    print(f"{name:<12}", "  ".join(f"{key} {value}" for key, value in figures.items() if key != "wrong"), flush=True)


class drawing:
    """Opens an engine; gives functions that draw a prompt and that time single pictures."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options

    def __enter__(self) -> tuple[Draw, Callable[[], dict[str, float]]]:
        import torch

        import nodes
        from commands.overrides import set_inputs, set_prompt
        from graph import Engine, load
        from nodes.model_folders import folders

        if self.options.threads:
            torch.set_num_threads(self.options.threads)
        registry = nodes.registry()
        workflow = set_inputs(
            load(WORKFLOW, registry), [f"CheckpointLoaderSimple.ckpt_name={self.options.checkpoint}"], registry
        )
        self.engine = Engine(registry, folders=folders(ROOT)).__enter__()

        def draw(prompt: str, count: int, seed: int = 1) -> list[Image.Image]:
            asked = set_inputs(
                set_prompt(workflow, prompt, registry),
                [f"KSampler.seed={seed}", f"EmptyLatentImage.batch_size={count}"],
                registry,
            )
            decode = next(id_ for id_, node in asked.nodes.items() if node.class_type == "VAEDecode")
            (batch,) = self.engine.run(asked, targets=[decode]).values(decode)
            return [Image.fromarray((picture.numpy().clip(0, 1) * 255 + 0.5).astype(np.uint8)) for picture in batch]

        def seconds() -> dict[str, float]:
            draw("a red apple", 1, 100)
            spent = []
            for seed in range(TIMED):
                start = time.perf_counter()
                draw("a red apple", 1, 101 + seed)
                spent.append(time.perf_counter() - start)
            return {"a_picture": round(statistics.median(spent), 3), "threads": torch.get_num_threads()}

        return draw, seconds

    def __exit__(self, *error: Any) -> None:
        self.engine.__exit__(*error)


def parts(only: Sequence[str]) -> dict[str, list[tuple[str, Any]]]:
    """Measure → prompts, each with what it asks for."""
    known = concepts()
    prompts: dict[str, list[tuple[str, Any]]] = {
        "concepts": [(english(concept), name) for name, concept in known.items()],
        "chinese": [(f"一{concept.measure}{concept.zh[0]}", name) for name, concept in known.items()],
        "colours": [(english(known[name], colour), (name, colour)) for name, colour in sorted(holdouts().colours)],
        "colours_zh": [
            (f"一{known[name].measure}{ZH[colour]}色的{known[name].zh[0]}", (name, colour))
            for name, colour in sorted(holdouts().colours)
        ],
        "backgrounds": [
            (f"{english(known[name])} on {_a(colour)} background", (name, colour))
            for name, colour in sorted(holdouts().grounds)
        ],
        "pairs": [(f"{english(known[left])} and {english(known[right])}", (left, right)) for left, right in pairs()],
        "unseen": [(prompt, None) for prompt in HELD_OUT_PROMPTS],
    }
    return {name: listed for name, listed in prompts.items() if name in only}


def pairs() -> list[tuple[str, str]]:
    """Pairs of two different concepts, each drawn by lot."""
    rng = np.random.default_rng(2)
    names = list(concepts())
    return [(names[left], names[right]) for left, right in (rng.choice(len(names), 2, False) for _ in range(PAIRS))]


def english(concept: Concept, colour: str = "") -> str:
    noun = f"{colour} {concept.en[0]}".strip()
    return _a(noun) if concept.article else noun


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def recogniser_of(folder: Path) -> tuple[Recogniser, dict[str, Any]]:
    """Learn the feature space from the training pictures, and measure it on worn pictures that it has not seen."""
    rng = np.random.default_rng(0)
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").open(encoding="utf-8")]
    by_concept: dict[str, list[str]] = {name: [] for name in concepts()}
    for line in lines:
        if len(line["concepts"]) == 1:
            by_concept[line["concepts"][0]].append(line["file_name"])
    known, unseen = [], []
    for name, files in by_concept.items():
        mixed = [(name, files[index]) for index in rng.permutation(len(files))]
        known += mixed[:KNOWN_EACH]
        unseen += mixed[KNOWN_EACH : KNOWN_EACH + 5]
    clean = [Image.open(folder / file) for _, file in known]
    features = np.stack([look(picture).features for picture in [*clean, *(worn(picture, rng) for picture in clean)]])
    names = np.array([name for name, _ in known] * 2)
    recogniser = Recogniser(features, names)
    drawn = np.stack([look(worn(Image.open(folder / file), rng)).features for _, file in unseen])
    said, distances = recogniser.nearest(drawn)
    sets = {line["file_name"]: line["icon_sets"][0] for line in lines if len(line["concepts"]) == 1}
    of_set = np.array([sets[file] for _, file in known] * 2)
    other_sets = {
        str(name): share(
            Recogniser(features[of_set != name], names[of_set != name]).nearest(features[of_set == name])[0]
            == names[of_set == name]
        )
        for name in np.unique(of_set)
    }
    return recogniser, {
        "unseen_worn_pictures_right": share(said == np.array([name for name, _ in unseen])),
        "unseen_icon_set_right": other_sets,
        "familiar_below": round(float(np.percentile(distances, 95)), 3),
    }


def share(right: Any) -> float:
    return round(float(np.mean(right)), 3)


def colour_judge() -> dict[str, float]:
    """How often `colour_seen` is right on worn pictures of the held-out pairs."""
    rng = np.random.default_rng(1)
    right = []
    for name, colour in sorted(holdouts().colours):
        for index in _drawings_of(name):
            picture = worn(compose(Scene((Thing(index, colour),), "white"), rng), rng)
            right.append(colour_seen(look(picture), name, leave_out=index) == colour)
    return {"colour_right": share(right)}


def _drawings_of(name: str) -> list[int]:
    return [i for i, icon in enumerate(drawings()) if icon.concept == name and icon.colour is None]


def pair_judge(recogniser: Recogniser) -> dict[str, float]:
    """How often the halves of worn pictures of two things are recognised."""
    rng = np.random.default_rng(3)
    right = []
    for names in pairs():
        things = tuple(Thing(int(rng.choice(_drawings_of(name)))) for name in names)
        right.append(_halves_right(worn(compose(Scene(things, "white"), rng), rng), names, recogniser))
    return {"pair_halves_right": share(right)}


_palettes: dict[str, list[tuple[int, str, np.ndarray]]] = {}


def colour_seen(seen: Look, name: str, leave_out: int | None = None) -> str:
    """The colour, of all that the concept's drawings can be given, whose drawing has the most similar colours."""
    if name not in _palettes:
        _palettes[name] = [
            (i, colour, look(compose(Scene((Thing(i, colour),), "white", True), np.random.default_rng(0))).colours)
            for i in _drawings_of(name)
            for colour in COLOURS
            if colour != "white"
        ]
    others = [(colour, shares) for index, colour, shares in _palettes[name] if index != leave_out]
    return min(others, key=lambda other: float(np.abs(other[1] - seen.colours).sum()))[0]


def measure_concepts(
    pictures: list[list[Image.Image]], wanted: list[str], recogniser: Recogniser, judged: dict[str, Any]
) -> dict[str, Any]:
    looks = [[look(picture) for picture in strip] for strip in pictures]
    right = [[_shows(seen, name, recogniser) for seen in strip] for strip, name in zip(looks, wanted, strict=True)]
    apart = [_spread([seen.features for seen in strip]) for strip in looks]
    drawn = [_spread(_own_features(name)) for name in wanted]
    sound = [index for index, strip in enumerate(right) if all(strip)]
    return {
        "right": share(right),
        "seeds_apart": round(sum(apart) / sum(drawn), 3),
        "seeds_apart_where_all_right": round(sum(apart[i] for i in sound) / max(sum(drawn[i] for i in sound), 1e-6), 3),
        "wrong": {
            name: f"{len(strip) - sum(strip)} of {len(strip)}"
            for name, strip in zip(wanted, right, strict=True)
            if not all(strip)
        },
    }


def _shows(seen: Look, name: str, recogniser: Recogniser) -> bool:
    return not seen.plain and recogniser.nearest(seen.features)[0][0] == name


def _spread(features: list[np.ndarray]) -> float:
    return float(np.mean([shape_distance(one, other) for one, other in combinations(features, 2)] or [0]))


def _own_features(name: str) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [look(compose(Scene((Thing(i),), "white", centred=True), rng)).features for i in _drawings_of(name)]


def measure_colours(
    pictures: list[list[Image.Image]], wanted: list[tuple[str, str]], recogniser: Recogniser, judged: dict[str, Any]
) -> dict[str, Any]:
    colour, concept, wrong = [], [], {}
    for strip, (name, asked) in zip(pictures, wanted, strict=True):
        looks = [look(picture) for picture in strip]
        said = [None if seen.plain else colour_seen(seen, name) for seen in looks]
        colour.append([answer == asked for answer in said])
        concept.append([_shows(seen, name, recogniser) for seen in looks])
        if not all(colour[-1]):
            wrong[f"{asked} {name}"] = [str(answer) for answer in said]
    both = np.array(colour) & np.array(concept)
    return {"colour_right": share(colour), "concept_right": share(concept), "both": share(both), "wrong": wrong}


def measure_backgrounds(
    pictures: list[list[Image.Image]], wanted: list[tuple[str, str]], recogniser: Recogniser, judged: dict[str, Any]
) -> dict[str, Any]:
    ground, concept, wrong = [], [], {}
    for strip, (name, asked) in zip(pictures, wanted, strict=True):
        looks = [look(picture) for picture in strip]
        ground.append([seen.ground == asked for seen in looks])
        concept.append([_shows(seen, name, recogniser) for seen in looks])
        if not all(ground[-1]):
            wrong[f"{name} on {asked}"] = [seen.ground for seen in looks]
    both = np.array(ground) & np.array(concept)
    return {"background_right": share(ground), "concept_right": share(concept), "both": share(both), "wrong": wrong}


def measure_pairs(
    pictures: list[list[Image.Image]], wanted: list[tuple[str, str]], recogniser: Recogniser, judged: dict[str, Any]
) -> dict[str, Any]:
    right = [
        [_halves_right(picture, names, recogniser) for picture in strip]
        for strip, names in zip(pictures, wanted, strict=True)
    ]
    return {
        "halves_right": share(right),
        "both_right": share(np.array(right).all(-1)),
        "wrong": {
            " and ".join(names): f"{int(np.sum(strip))} of {2 * len(strip)} halves right"
            for names, strip in zip(wanted, right, strict=True)
            if not np.all(strip)
        },
    }


def _halves_right(picture: Image.Image, names: tuple[str, str], recogniser: Recogniser) -> list[bool]:
    middle = picture.width // 2
    halves = picture.crop((0, 0, middle, picture.height)), picture.crop((middle, 0, picture.width, picture.height))
    return [_shows(look(half), name, recogniser) for half, name in zip(halves, names, strict=True)]


def measure_unseen(
    pictures: list[list[Image.Image]], wanted: list[None], recogniser: Recogniser, judged: dict[str, Any]
) -> dict[str, Any]:
    looks = [look(picture) for strip in pictures for picture in strip]
    plain = [seen.plain for seen in looks]
    near = [recogniser.nearest(seen.features)[1][0] <= judged["familiar_below"] for seen in looks]
    return {"recognisable_or_plain": share(np.array(plain) | np.array(near)), "plain": share(plain)}


MEASURES = {
    "concepts": measure_concepts,
    "chinese": measure_concepts,
    "colours": measure_colours,
    "colours_zh": measure_colours,
    "backgrounds": measure_backgrounds,
    "pairs": measure_pairs,
    "unseen": measure_unseen,
}

if __name__ == "__main__":
    main()
