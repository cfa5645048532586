"""Captions in English and Chinese for a scene, in the many ways in which people ask for the same picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.tiny import unknown_words
from models.tiny.colour import COLOURS, ZH
from models.tiny.concepts import ICON_SETS, bare, labels
from models.tiny.scenes import Scene, Thing
from nodes.text.tokenizer import tokenize

CAPTIONS_EACH = 10
CHINESE_EACH = 3
KNOWN_GROUND = 0.2  # share of the captions of an empty ground that name only the ground
UNKNOWN_ADJECTIVE = 0.06  # share of the captions of one thing with a word that the model does not know
MOST_TOKENS = 75  # the text encoder's 77 positions less start and end

_PICTURES = ("a picture of", "a photo of", "a drawing of", "an image of", "an icon of", "an emoji of")
_ZH_PICTURES = ("一张{}的图片", "一张{}的照片", "{}的图标", "{}的表情符号")


def captions(scene: Scene, rng: np.random.Generator) -> list[str]:
    """Write CAPTIONS_EACH captions for a scene, the first CHINESE_EACH of them in Chinese."""
    chinese = [_that_fits(_chinese, scene, rng) for _ in range(CHINESE_EACH)]
    return chinese + [_that_fits(_english, scene, rng) for _ in range(CAPTIONS_EACH - CHINESE_EACH)]


def _that_fits(write: Callable[[Scene, np.random.Generator], str], scene: Scene, rng: np.random.Generator) -> str:
    """Write captions until one fits the text encoder. Chinese takes two or three tokens a character."""
    while True:
        text = write(scene, rng)
        if len(tokenize(text)) <= MOST_TOKENS:
            return text


def _english(scene: Scene, rng: np.random.Generator) -> str:
    if not scene.things:
        return _nothing(scene, rng)
    style = _style(scene, rng, 0)
    says_colour = _says_colour(scene, rng)
    full = len(scene.things) == 2 or rng.random() < 0.65
    nouns = [_noun(thing, rng, says, full) for thing, says in zip(scene.things, says_colour, strict=True)]
    if len(nouns) == 2:
        text = _two(scene, nouns, rng, says_colour)
    else:
        text = _article(scene.things[0], nouns[0]) if full else nouns[0]
    if len(nouns) == 1 and rng.random() < UNKNOWN_ADJECTIVE:
        adjective = unknown_words.english(rng)
        text = _a(f"{adjective} {nouns[0]}") if text != nouns[0] else f"{adjective} {text}"
    elif style and rng.random() < 0.5 and len(nouns) == 1:
        text = f"a {style} {nouns[0]}" if text != nouns[0] else f"{style} {text}"
        style = ""
    if rng.random() < 0.2:
        text = f"{rng.choice(_PICTURES)} {text}"
    if scene.ground != "white" or rng.random() < 0.12:
        text += f" {rng.choice(['on', 'on', 'with'])} {_a(scene.ground)} background"
    return f"{text}, {style} style" if style else text


def _nothing(scene: Scene, rng: np.random.Generator) -> str:
    """Name the ground alone, or a thing that the model does not know."""
    if rng.random() < KNOWN_GROUND:
        return str(
            rng.choice([_a(f"{scene.ground} background"), f"{scene.ground} background", f"plain {scene.ground}"])
        )
    noun = unknown_words.english(rng)
    draw = rng.random()
    if draw < 0.2:
        noun = f"{rng.choice(list(COLOURS))} {noun}"
    elif draw < 0.35:
        noun = f"{unknown_words.english(rng)} {noun}"
    text = f"two {noun}s" if 0.35 <= draw < 0.4 else _a(noun) if rng.random() < 0.7 else noun
    if rng.random() < 0.15:
        text = f"{rng.choice(_PICTURES)} {text}"
    return text if scene.ground == "white" else f"{text} on {_a(scene.ground)} background"


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _article(thing: Thing, noun: str) -> str:
    """Add "a" or "an", but not to what takes neither, such as "grapes" and "thumbs up"."""
    bare_noun = not thing.concept.article and noun.endswith(thing.concept.en[0])
    return noun if bare_noun else _a(noun)


def _noun(thing: Thing, rng: np.random.Generator, says_colour: bool, full: bool) -> str:
    names = thing.concept.en
    name = names[0]
    if len(names) > 1 and rng.random() < 0.23:
        name = str(rng.choice(names[1:]))
    elif not full and not says_colour and rng.random() < 0.2:
        name = labels("en")[bare(thing.icon.emoji)].lower()
    return f"{thing.named} {name}" if says_colour else name


def _two(scene: Scene, nouns: list[str], rng: np.random.Generator, says_colour: list[bool]) -> str:
    left, right = scene.things
    if left == right:
        colour = f"{left.named} " if says_colour[0] else ""
        return f"{rng.choice(['two', 'two', 'a pair of'])} {colour}{left.concept.plural}"
    first, second = (_article(thing, noun) for thing, noun in zip(scene.things, nouns, strict=True))
    draw = rng.random()
    if draw < 0.6:
        return f"{first} and {second}"
    if draw < 0.75:
        return f"{first} next to {second}"
    if draw < 0.9:
        return f"{first} on the left and {second} on the right"
    return f"{nouns[0]} and {nouns[1]}"


def _says_colour(scene: Scene, rng: np.random.Generator) -> list[bool]:
    """A colour that was given is always said; a drawing's own colour now and then."""
    own = rng.random() < 0.35
    return [thing.colour is not None or thing.icon.colour is not None or (own and thing.named is not None)
            for thing in scene.things]  # fmt: skip


def _style(scene: Scene, rng: np.random.Generator, language: int) -> str:
    sets = {thing.icon.icon_set for thing in scene.things}
    return ICON_SETS[sets.pop()][language] if len(sets) == 1 and rng.random() < 0.18 else ""


def _chinese(scene: Scene, rng: np.random.Generator) -> str:
    ground = f"{ZH[scene.ground]}色背景"
    if not scene.things:
        return _zh_nothing(scene, rng, ground)
    style = _style(scene, rng, 1)
    style = f"{style}{rng.choice(['的', '风格的'])}" if style else ""
    if len(scene.things) == 1 and rng.random() < UNKNOWN_ADJECTIVE:
        style = f"{unknown_words.chinese(rng)}的"
    says_colour = _says_colour(scene, rng)
    counted = rng.random() < 0.65
    if len(scene.things) == 2:
        text = style + _zh_two(scene, rng, says_colour)
    elif counted:
        text = _counted("一", scene.things[0], rng, says_colour[0], style)
    else:
        text = style + _zh_noun(scene.things[0], rng, says_colour[0])
        if rng.random() < 0.25:
            text = str(rng.choice(_ZH_PICTURES)).format(text)
    if scene.ground != "white" or rng.random() < 0.12:
        draw = rng.random()
        if draw < 0.4:
            text = f"{text}，{ground}"
        elif draw < 0.75 and len(scene.things) == 1:
            text = f"{ground}的{text}"
        else:
            text = f"{ground}上的{text}"
    return text


def _zh_nothing(scene: Scene, rng: np.random.Generator, ground: str) -> str:
    if rng.random() < KNOWN_GROUND:
        return str(rng.choice([ground, f"{ZH[scene.ground]}色的背景", f"纯{ZH[scene.ground]}色"]))
    text = unknown_words.chinese(rng)
    if rng.random() < 0.2:
        text = f"{ZH[str(rng.choice(list(COLOURS)))]}色的{text}"
    if rng.random() < 0.6:
        text = f"一{unknown_words.measure_word(rng)}{text}"
    if scene.ground == "white":
        return text
    return f"{text}，{ground}" if rng.random() < 0.5 else f"{ground}上的{text}"


def _zh_two(scene: Scene, rng: np.random.Generator, says_colour: list[bool]) -> str:
    left, right = scene.things
    if left == right:
        return _counted("两", left, rng, says_colour[0])
    draw = rng.random()
    if draw < 0.15:
        return f"{_zh_noun(left, rng, says_colour[0])}和{_zh_noun(right, rng, says_colour[1])}"
    first, second = _counted("一", left, rng, says_colour[0]), _counted("一", right, rng, says_colour[1])
    if draw < 0.75:
        return f"{first}和{second}"
    return f"左边{first}，右边{second}" if draw < 0.88 else f"{first}旁边有{second}"


def _counted(number: str, thing: Thing, rng: np.random.Generator, says_colour: bool, style: str = "") -> str:
    measure = "个" if rng.random() < 0.12 else thing.concept.measure
    return f"{number}{measure}{style}{_zh_noun(thing, rng, says_colour)}"


def _zh_noun(thing: Thing, rng: np.random.Generator, says_colour: bool) -> str:
    names = thing.concept.zh
    name = names[0] if len(names) == 1 or rng.random() < 0.7 else str(rng.choice(names[1:]))
    if not says_colour:
        return name
    colour = ZH[str(thing.named)]
    draw = rng.random()
    if draw < 0.65:
        return f"{colour}色的{name}"
    return f"{colour}色{name}" if draw < 0.85 else f"{colour}{name}"
