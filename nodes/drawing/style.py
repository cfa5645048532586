"""Sizes and colours of cards.

A card is three times as wide as an ordinary node of the editor shows it, so that it is sharp when enlarged. Text of
27 pixels is then 9 pixels high on the node.
"""

from __future__ import annotations

from typing import Final

WIDTH: Final = 900
"""Width of a card in pixels."""
NODE_WIDTH: Final = 300
"""Width in pixels at which an ordinary node shows a card."""
MARGIN: Final = 24
"""Space around the content of a card, in pixels."""
GAP: Final = 12
"""Space between neighbouring parts, in pixels."""

TITLE: Final = 38
"""Text sizes in pixels, from the title to labels."""
BODY: Final = 30
SMALL: Final = 27

PAPER: Final = "#faf9f6"
INK: Final = "#1c1b1a"
MUTED: Final = "#5a5650"
"""Labels and captions."""
LINE: Final = "#d8d4cc"
"""Rules, grids and frames."""
STRIPE: Final = "#f0eee8"
"""Background of every second row of a table."""

SERIES: Final = (
    "#0b62a8",
    "#c2410c",
    "#0f766e",
    "#a21caf",
    "#8a6100",
    "#b3123c",
    "#3f6212",
    "#5b3fd0",
    "#4b5563",
)
"""Colours of lines in a chart, each with a contrast of at least 3 to the paper (WCAG 2.2, criterion 1.4.11)."""

FAINT: Final = "#868b94"
"""Lines behind others, with the same contrast."""


def luminance(colour: str) -> float:
    """Return the relative luminance of ``#rrggbb``, 0 to 1 (WCAG 2.2)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
