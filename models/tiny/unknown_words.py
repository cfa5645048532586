"""Words that name none of the concepts. Captions use them, so that the model learns to draw nothing for them.

A picture of nothing but its ground is captioned "a castle", and a picture of an apple now and then "a fluffy apple":
a word that the model does not know leaves the picture plain, and does not disturb the words that it knows.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from models.tiny.colour import COLOURS, ZH
from models.tiny.concepts import ICON_SETS, concepts, labels
from nodes.text.tokenizer import WORD_END, vocabulary

HELD_OUT_PROMPTS = (
    "a submarine", "a dinosaur", "a violin", "a castle", "a sandwich", "a bridge", "a xylophone", "qwertyuiop",
    "democracy", "a red dinosaur", "a computer on a blue background", "two lamps", "an astronaut riding a horse",
    "一条龙", "一座桥", "一台电脑", "一只孔雀", "红色的椅子", "春天", "一双鞋子",
)  # fmt: skip
"""Prompts with unknown words that no caption has; benchmarks/model.py draws them."""

_GRAMMAR = ("with", "next", "left", "right", "side", "pair", "style", "background", "plain", "picture", "photo",
            "drawing", "image", "icon", "emoji")  # fmt: skip
_MEASURES = "个只条座台双把张辆朵件块"


@cache
def _english() -> tuple[str, ...]:
    """Whole words of CLIP's vocabulary, four letters or more, that no caption and no held-out prompt uses otherwise."""
    known = {*COLOURS, *_GRAMMAR, *(style for styles in ICON_SETS.values() for style in styles)}
    texts = [*HELD_OUT_PROMPTS, *labels("en").values()]
    texts += [name for concept in concepts().values() for name in (*concept.en, concept.plural)]
    known |= {word for text in texts for word in text.lower().replace("-", " ").split()}
    words = (piece.removesuffix(WORD_END) for piece in vocabulary() if piece.endswith(WORD_END))
    return tuple(word for word in words if len(word) >= 4 and word.isascii() and word.isalpha() and word not in known)


@cache
def _chinese() -> tuple[str, ...]:
    """The 3,755 most common characters (GB 2312, level 1) without those that captions and held-out prompts use."""
    known = set("".join(ZH.values()) + "".join(HELD_OUT_PROMPTS) + _MEASURES)
    known |= {character for concept in concepts().values() for name in concept.zh for character in name}
    rows = (bytes((row, cell)) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF))
    characters = (code.decode("gb2312", "ignore") for code in rows)
    return tuple(character for character in characters if character and character not in known)


def english(rng: np.random.Generator) -> str:
    """Return an English word that names no concept; one in twelve is a row of random letters."""
    if rng.random() < 1 / 12:
        return "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), rng.integers(5, 11)))
    return str(rng.choice(_english()))


def chinese(rng: np.random.Generator) -> str:
    """Return one to three Chinese characters that name no concept."""
    return "".join(rng.choice(_chinese(), rng.choice([1, 2, 2, 2, 3])))


def measure_word(rng: np.random.Generator) -> str:
    """Return a Chinese measure word."""
    return str(rng.choice(list(_MEASURES)))
