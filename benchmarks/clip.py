"""Measures how well the small CLIP ranks captions for held-out pictures of models/tiny, in English and in Chinese.

    python benchmarks/clip.py [PICTURES] [--text FILE] [--vision FILE]

The held-out pictures are the ones that models/tiny/hold_out.py leaves out of training. Each is compared with one of its
captions and with 19 captions of other held-out pictures that show other things; then one of its captions is
compared with 20 pictures in the same way. For recoloured pictures, a caption is also compared with the same caption
with every other colour's name. By chance 5 % would be right (colours: 1 in their number).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from models.tiny.colour import COLOURS, ZH  # noqa: E402
from models.tiny.hold_out import is_held_out  # noqa: E402
from nodes.explain.clip_similarity import matching_encoder, text_vector  # noqa: E402
from nodes.models import contents  # noqa: E402
from nodes.models.checkpoint import Checkpoint  # noqa: E402
from nodes.training.pictures import load_picture  # noqa: E402
from nodes.vision.encoding import encode_pictures  # noqa: E402
from nodes.vision.handle import clip_vision_in  # noqa: E402

CANDIDATES: Final = 20
CHINESE_EACH: Final = 3
NAME: Final = "sumi-tiny-clip.safetensors"
LANGUAGES: Final[dict[str, slice]] = {"English": slice(CHINESE_EACH, None), "Chinese": slice(0, CHINESE_EACH)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="?", default=ROOT / "models" / "tiny" / "pictures")
    parser.add_argument("--text", type=Path, default=ROOT / "models" / "text_encoders" / NAME)
    parser.add_argument("--vision", type=Path, default=ROOT / "models" / "clip_vision" / NAME)
    arguments = parser.parse_args()
    lines = (arguments.pictures / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [entry for entry in map(json.loads, lines) if is_held_out(entry["file_name"]) and entry["concepts"]]
    vision = clip_vision_in(Checkpoint.open(arguments.vision))
    encoder = matching_encoder(contents.text_encoder_in(Checkpoint.open(arguments.text)), vision)
    loaded = torch.stack([load_picture(arguments.pictures / entry["file_name"]) for entry in entries])
    pictures = F.normalize(encode_pictures(vision, loaded).image_embeds, dim=1)

    def vectors(texts: Sequence[str]) -> torch.Tensor:
        return F.normalize(torch.cat([text_vector(encoder, text) for text in texts]), dim=1)

    print(f"{len(entries)} held-out pictures")
    for language, captions in LANGUAGES.items():
        rng = np.random.default_rng(0)
        texts = [str(rng.choice(entry["texts"][captions])) for entry in entries]
        similarity = pictures @ vectors(texts).T
        print(f"{language}: right caption of {CANDIDATES}: {_ranked(similarity, entries, rng):.3f}")
        print(f"{language}: right picture of {CANDIDATES}: {_ranked(similarity.T, entries, rng):.3f}")
        names = list(COLOURS) if language == "English" else [ZH[name] for name in COLOURS]
        right, count = _colours(entries, captions, names, pictures, vectors)
        print(f"{language}: right colour of {len(names)}: {right:.3f} ({count} recoloured pictures)")


def _ranked(similarity: torch.Tensor, entries: Sequence[dict[str, Any]], rng: np.random.Generator) -> float:
    """Return the share of rows whose own column is the most similar among CANDIDATES, the others of other things."""
    right = 0
    for row, entry in enumerate(entries):
        own = set(entry["concepts"])
        others = [at for at, other in enumerate(entries) if not own & set(other["concepts"])]
        chosen = rng.choice(others, CANDIDATES - 1, replace=False)
        right += bool(similarity[row, row] > similarity[row, torch.from_numpy(chosen)].max())
    return right / len(entries)


def _colours(
    entries: Sequence[dict[str, Any]],
    captions: slice,
    names: Sequence[str],
    pictures: torch.Tensor,
    vectors: Callable[[Sequence[str]], torch.Tensor],
) -> tuple[float, int]:
    """Return the share of recoloured pictures of one thing on white whose colour's name fits best, and their number."""
    right = count = 0
    for row, entry in enumerate(entries):
        if not entry["recoloured"] or len(entry["concepts"]) != 1 or entry["ground"] != "white":
            continue
        own = names[list(COLOURS).index(entry["colours"][0])]
        caption = next((text for text in entry["texts"][captions] if text.count(own) == 1), None)
        if caption is None:
            continue
        similarity = vectors([caption.replace(own, name) for name in names]) @ pictures[row]
        right += names[int(similarity.argmax())] == own
        count += 1
    return right / max(1, count), count


if __name__ == "__main__":
    main()
