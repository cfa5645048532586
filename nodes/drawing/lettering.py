"""Text on cards, in a font that comes with Sumi, so that cards look the same on every machine.

The font joins Noto Sans SC (the characters of GB 2312 and Big5, kana, symbols) and Noto Sans (further Latin, Greek and
Cyrillic letters). Its license is in FONT-LICENSE.
"""

from __future__ import annotations

import gzip
import io
import unicodedata
from functools import cache
from pathlib import Path
from typing import Final

import PIL.Image
import PIL.ImageDraw
from PIL.ImageFont import FreeTypeFont, truetype

from nodes.drawing.style import BODY, INK, PAPER

_FONT: Final = Path(__file__).with_name("font.ttf.gz")
_ELLIPSIS: Final = "…"


@cache
def font(size: int) -> FreeTypeFont:
    """Return the font, ``size`` pixels high."""
    return truetype(io.BytesIO(_font_file()), size)


@cache
def _font_file() -> bytes:
    return gzip.decompress(_FONT.read_bytes())


def line_height(size: int) -> int:
    """Return the distance between two lines of text, in pixels."""
    return sum(font(size).getmetrics())


def text_width(text: str, size: int) -> int:
    """Return the width of one line of text in pixels."""
    return round(font(size).getlength(_drawn(text)))


@cache
def has_glyph(character: str) -> bool:
    """Whether the font can draw a printable character."""
    return _shape(character) != _shape("\U0010ffff")


def number_text(value: float, spec: str) -> str:
    """Return ``value`` in the format ``spec``, with a minus sign (−) instead of a hyphen, and 0 without a sign."""
    return format(value, f"z{spec}").replace("-", "−")


def _drawn(text: str) -> str:
    """Return the text that is drawn for ``text``.

    Emoji and other symbols that the font lacks are written as their names, such as :red apple:, and letters that it
    lacks as code points, such as U+D55C. Characters without a shape, such as joiners and variation selectors, are left
    out.
    """
    return "".join(_drawn_character(character) for character in text)


@cache
def _drawn_character(character: str) -> str:
    if character.isspace():
        return " "
    if not character.isprintable() or "\ufe00" <= character <= "\ufe0f":
        return ""
    if has_glyph(character):
        return character
    name = unicodedata.name(character, "") if unicodedata.category(character) == "So" else ""
    return f":{name.lower()}:" if name else f"U+{ord(character):04X}"


def _shape(character: str) -> bytes:
    return bytes(font(BODY).getmask(character))


def fitted(text: str, width: int, size: int) -> str:
    """Return ``text``, shortened with an ellipsis if it is wider than ``width`` pixels."""
    if text_width(text, size) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(text[:middle].rstrip() + _ELLIPSIS, size) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + _ELLIPSIS


def wrapped(text: str, width: int, size: int) -> list[str]:
    """Break ``text`` into lines of at most ``width`` pixels: at spaces, and between any two CJK characters."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _words(paragraph):
            if line and text_width((line + word).rstrip(), size) > width:
                lines.append(line.rstrip())
                line = ""
            line += word
            while text_width(line.rstrip(), size) > width and len(line) > 1:
                part = fitted(line, width, size).removesuffix(_ELLIPSIS) or line[0]
                lines.append(part)
                line = line[len(part) :]
        lines.append(line.rstrip())
    return lines


def _words(text: str) -> list[str]:
    """Split a line after each space and each CJK character."""
    words = [""]
    for character in text:
        words[-1] += character
        if character == " " or "\u2e80" <= character <= "\u9fff" or "\uff00" <= character <= "\uffef":
            words.append("")
    return [word for word in words if word]


def write(
    picture: PIL.Image.Image,
    place: tuple[float, float],
    text: str,
    size: int = BODY,
    colour: str = INK,
    anchor: str = "la",
    bold: bool = False,
) -> None:
    """Draw one line of text. ``anchor`` is Pillow's: ``la`` left and top, ``mm`` the centre, ``rs`` right and base."""
    pen = PIL.ImageDraw.Draw(picture)
    pen.text(place, _drawn(text), fill=colour, font=font(size), anchor=anchor, stroke_width=0.5 if bold else 0)


def upright(text: str, size: int, colour: str = INK, background: str = PAPER) -> PIL.Image.Image:
    """Return a picture of ``text`` that reads from bottom to top."""
    line = PIL.Image.new("RGB", (text_width(text, size) + 2, line_height(size)), background)
    write(line, (1, line.height / 2), text, size, colour, anchor="lm")
    return line.transpose(PIL.Image.Transpose.ROTATE_90)
