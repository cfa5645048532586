"""Colours by name, and giving a drawing another colour while its shading stays.

Everything happens in OKLab (B. Ottosson, 2020, https://bottosson.github.io/posts/oklab/), where equal distances look
about equally large, so that a hue can change without the lightness changing with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

# Name → lightness 0..1, chroma, hue in degrees (OKLCH).
COLOURS = {
    "red": (0.59, 0.22, 27.0),
    "orange": (0.75, 0.17, 58.0),
    "yellow": (0.88, 0.175, 97.0),
    "green": (0.66, 0.185, 143.0),
    "blue": (0.57, 0.18, 257.0),
    "purple": (0.52, 0.21, 304.0),
    "pink": (0.78, 0.14, 353.0),
    "brown": (0.44, 0.09, 52.0),
    "black": (0.25, 0.0, 0.0),
    "gray": (0.66, 0.0, 0.0),
    "white": (0.96, 0.0, 0.0),
}
ZH = {
    "red": "红", "orange": "橙", "yellow": "黄", "green": "绿", "blue": "蓝", "purple": "紫",
    "pink": "粉", "brown": "棕", "black": "黑", "gray": "灰", "white": "白",
}  # fmt: skip
GREY_BELOW = 0.045  # chroma under which a pixel has no hue
SOLID_ALPHA = 0.5

_TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                    [0.2119034982, 0.6806995451, 0.1073969566],
                    [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
_TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                    [1.9779984951, -2.4285922050, 0.4505937099],
                    [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip
_FROM_LMS, _FROM_LAB = np.linalg.inv(_TO_LMS), np.linalg.inv(_TO_LAB)


@dataclass(frozen=True)
class Part:
    """The part of a drawing that takes a new colour: weight 0..1 per pixel and its mean colour (OKLCH)."""

    weight: np.ndarray
    lightness: float
    chroma: float
    hue: float
    share: float


def oklab(rgb: np.ndarray) -> np.ndarray:
    """sRGB [..., 3] in 0..1 → OKLab [..., 3]."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T


def srgb(lab: np.ndarray) -> np.ndarray:
    """OKLab [..., 3] → sRGB [..., 3], which leaves 0..1 for colours that a screen does not have."""
    linear = ((lab @ _FROM_LAB.T) ** 3) @ _FROM_LMS.T
    bright = 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, bright)


def lch(lab: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """OKLab → lightness, chroma, hue in degrees 0..360."""
    return lab[..., 0], np.hypot(lab[..., 1], lab[..., 2]), np.degrees(np.arctan2(lab[..., 2], lab[..., 1])) % 360


def from_lch(lightness: np.ndarray, chroma: np.ndarray, hue: np.ndarray) -> np.ndarray:
    """OKLCH → sRGB in 0..1. Chroma is reduced where a screen cannot show it; lightness and hue stay."""
    radians = np.radians(hue)
    axes = np.stack([np.cos(radians), np.sin(radians)], -1)
    rgb = _shown(lightness, chroma, axes)
    outside = ~_fits(rgb)
    if outside.any():
        rgb[outside] = _with_less_chroma(lightness[outside], chroma[outside], axes[outside])
    return np.clip(rgb, 0, 1)


def _with_less_chroma(lightness: np.ndarray, chroma: np.ndarray, axes: np.ndarray) -> np.ndarray:
    low, high = np.zeros_like(chroma), np.ones_like(chroma)
    for _ in range(7):
        middle = (low + high) / 2
        fits = _fits(_shown(lightness, chroma * middle, axes))
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return _shown(lightness, chroma * low, axes)


def _fits(rgb: np.ndarray) -> np.ndarray:
    return np.all((rgb > -0.002) & (rgb < 1.002), -1)


def _shown(lightness: np.ndarray, chroma: np.ndarray, axes: np.ndarray) -> np.ndarray:
    return srgb(np.concatenate([lightness[..., None], chroma[..., None] * axes], -1))


def ground(colour: str, rng: np.random.Generator) -> np.ndarray:
    """Draw a shade of a named colour as sRGB [3]. White is always pure white."""
    if colour == "white":
        return np.ones(3)
    lightness, chroma, hue = COLOURS[colour]
    lightness += rng.uniform(-0.04, 0.04)
    chroma *= rng.uniform(0.8, 1.05)
    return from_lch(np.array(lightness), np.array(chroma), np.array(hue + rng.uniform(-5, 5)))


def name_of(lab: np.ndarray) -> np.ndarray:
    """Return the index into COLOURS of the named colour nearest to each OKLab colour [..., 3]."""
    named = named_colours()
    return np.argmin((named**2).sum(-1) - 2 * (lab @ named.T), -1)


def clear_name(part: Part) -> str | None:
    """Name a part's colour, or return None where a person could call it by two names."""
    names = list(COLOURS)
    radians = np.radians(part.hue)
    lab = np.array([part.lightness, part.chroma * np.cos(radians), part.chroma * np.sin(radians)])
    distances = np.linalg.norm(named_colours() - lab, axis=-1)
    first, second = np.argsort(distances)[:2]
    chroma, hue = COLOURS[names[first]][1:]
    hue_agrees = _turn(np.array(part.hue), hue) < 16 and part.chroma > 0.5 * chroma
    if chroma == 0:
        hue_agrees = part.chroma < 0.03
    return names[first] if hue_agrees and distances[first] < min(0.14, 0.75 * distances[second]) else None


@cache
def named_colours() -> np.ndarray:
    """The named colours in OKLab, [names, 3] float32, in the order of COLOURS."""
    lightness, chroma, hue = np.array(list(COLOURS.values())).T
    radians = np.radians(hue)
    return np.stack([lightness, chroma * np.cos(radians), chroma * np.sin(radians)], -1).astype(np.float32)


def find_part(rgba: np.ndarray, rule: str) -> Part:
    """Find the part of a drawing [H, W, 4] that `rule` names (see concepts.toml)."""
    lab = oklab(rgba[..., :3])
    lightness, chroma, hue = lch(lab)
    solid = rgba[..., 3] > SOLID_ALPHA
    hued = solid & (chroma > GREY_BELOW)
    if rule == "light":
        return _part(_soft(lightness, 0.5, 0.6) * _soft(-chroma, -0.09, -0.06) * solid, lab, solid)
    if rule == "all":
        return _part(_soft(chroma, 0.03, 0.06) * solid, lab, solid)
    pale = solid & (chroma <= GREY_BELOW) & (lightness > 0.5)
    if rule == "main" and pale.sum() > 1.5 * hued.sum():
        return find_part(rgba, "light")
    centre = _main_hue(hue[hued], chroma[hued]) if rule == "main" else COLOURS[rule][2]
    if rule != "main":  # the hue that this drawing has in place of the named one
        near = hued & (_turn(hue, centre) < 45)
        centre = _main_hue(hue[near], chroma[near]) if near.any() else centre
    part = _part(_soft(-_turn(hue, centre), -50, -38) * _soft(chroma, 0.025, 0.05) * solid, lab, solid)
    return find_part(rgba, "main") if rule != "main" and part.share < 0.15 else part


def _main_hue(hue: np.ndarray, chroma: np.ndarray) -> float:
    bins, _ = np.histogram(hue, 36, (0, 360), weights=np.sqrt(chroma))
    smooth = sum(np.roll(bins, shift) for shift in (-2, -1, 0, 1, 2))
    rough = float(np.argmax(smooth)) * 10 + 5
    near = _turn(hue, rough) < 30
    offset = (hue[near] - rough + 180) % 360 - 180
    return float((rough + np.average(offset, weights=chroma[near])) % 360) if near.any() else rough


def _turn(hue: np.ndarray, centre: float) -> np.ndarray:
    return np.abs((hue - centre + 180) % 360 - 180)


def _soft(value: np.ndarray, start: float, end: float) -> np.ndarray:
    return np.clip((value - start) / (end - start), 0, 1)


def _part(weight: np.ndarray, lab: np.ndarray, solid: np.ndarray) -> Part:
    total = max(float(weight.sum()), 1e-6)
    lightness, chroma, hue = lch((weight[..., None] * lab).sum((0, 1)) / total)
    inside = weight > 0.5
    if inside.any():  # the median is the body's colour; highlights and outlines pull the mean
        lightness, chroma = np.median(lab[inside][:, 0]), np.median(np.hypot(lab[inside][:, 1], lab[inside][:, 2]))
    return Part(weight, float(lightness), float(chroma), float(hue), float(weight.sum() / max(solid.sum(), 1)))


def recolour(rgba: np.ndarray, part: Part, colour: str) -> np.ndarray:
    """Give a part the named colour. Its light and shade keep their order, and hues keep a third of their spread."""
    target_l, target_c, target_h = COLOURS[colour]
    touched = part.weight > 0
    lightness, chroma, hue = lch(oklab(rgba[touched][:, :3]))
    offset = lightness - part.lightness
    up = min(0.9, (0.985 - target_l) / max(1 - part.lightness, 0.05))
    down = min(0.9, (target_l - 0.08) / max(part.lightness, 0.05)) * (0.55 if colour == "white" else 1)
    new_l = np.clip(target_l + offset * np.where(offset > 0, up, down), 0.03, 0.99)
    if part.chroma > GREY_BELOW:
        new_c = target_c * np.clip(chroma / part.chroma, 0, 1.25)
    else:  # a grey body: full chroma at its own lightness, less in the highlights
        new_c = target_c * np.clip((1 - new_l) / max(1 - target_l, 0.02), 0, 1)
    spread = np.clip((hue - part.hue + 180) % 360 - 180, -40, 40) / 3 * (part.chroma > GREY_BELOW)
    weight = part.weight[touched][:, None]
    painted = rgba.copy()
    painted[touched, :3] *= 1 - weight
    painted[touched, :3] += weight * from_lch(new_l, new_c, target_h + spread)
    return painted
