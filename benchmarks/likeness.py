"""Recognises the thing in a small picture, with features that share nothing with the model that drew it.

A picture becomes numbers in three hand-made steps: separate the thing from its ground, scale it to a square, describe
its outline, edges (histograms of oriented gradients, Dalal and Triggs, 2005) and colours (OKLab). Linear discriminant
analysis (Fisher, 1936) over the training pictures then weighs the numbers that tell concepts apart. The nearest
training picture in that space says what a new picture shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from models.tiny.colour import COLOURS, name_of, oklab

CUT = 48  # px, side of the square that the thing is scaled to
STANDS_OUT = 0.06  # distance in OKLab from the ground over which a pixel comes to belong to the thing
PLAIN_BELOW = 0.015  # share of the picture under which there is no thing
ALLOWANCE = 0.25  # shrinkage of the covariance towards its diagonal mean


@dataclass(frozen=True)
class Look:
    """A picture, described: its ground's colour name, the thing's share, features and share of each named colour."""

    ground: str
    share: float
    features: np.ndarray
    colours: np.ndarray

    @property
    def plain(self) -> bool:
        return self.share < PLAIN_BELOW


def look(picture: Image.Image | np.ndarray) -> Look:
    """Describe an RGB picture (PIL, or float [H, W, 3] in 0..1)."""
    rgb = np.asarray(picture, np.float32)
    lab = oklab(rgb / 255 if isinstance(picture, Image.Image) else rgb).astype(np.float32)
    rim = np.concatenate([side.reshape(-1, 3) for side in (lab[:3], lab[-3:], lab[:, :3], lab[:, -3:])])
    ground = np.median(rim, 0)
    unrest = 2.5 * float(np.median(np.linalg.norm(rim - ground, axis=-1)))
    start = max(STANDS_OUT / 2, unrest)
    mask = np.clip((np.linalg.norm(lab - ground, axis=-1) - start) / STANDS_OUT, 0, 1)
    share = float((mask > 0.5).mean())
    return Look(list(COLOURS)[int(name_of(ground))], share, _features(lab, mask), _colour_shares(lab, mask))


def _features(lab: np.ndarray, mask: np.ndarray) -> np.ndarray:
    cut = _cut_out(np.concatenate([lab * mask[..., None], mask[..., None]], -1))
    outline = _shrink(cut[..., 3:], 4)
    paint = _shrink(cut[..., :3], 4) * np.array([1, 3, 3], np.float32)
    edges = np.concatenate([_oriented(cut[..., 0]), 0.7 * _oriented(cut[..., 3])], -1)
    return np.concatenate([outline.ravel(), 1.5 * paint.ravel(), edges.ravel()]).astype(np.float32)


def _cut_out(planes: np.ndarray) -> np.ndarray:
    """Scale the thing's bounding square to CUT × CUT. Specks outside 99 % of the thing do not move its bounds."""
    spans = []
    for axis in (1, 0):
        filled = np.cumsum(planes[..., 3].sum(axis))
        filled = filled / max(float(filled[-1]), 1e-6)
        spans.append((float(np.searchsorted(filled, 0.005)), float(np.searchsorted(filled, 0.995) + 1)))
    (top, bottom), (left, right) = spans
    half = max(bottom - top, right - left, 8) / 2 + 1
    y, x = (top + bottom) / 2, (left + right) / 2
    box = (x - half, y - half, x + half, y + half)
    cut = [
        Image.fromarray(plane).transform((CUT, CUT), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
        for plane in np.moveaxis(planes, -1, 0)
    ]
    return np.stack([np.asarray(plane) for plane in cut], -1)


def _shrink(planes: np.ndarray, by: int) -> np.ndarray:
    height, width, channels = planes.shape
    return planes.reshape(height // by, by, width // by, by, channels).mean((1, 3))


def _oriented(plane: np.ndarray, cell: int = 8, bins: int = 8) -> np.ndarray:
    """Histograms of edge direction (unsigned) in cells, normalised over the picture."""
    dy, dx = np.gradient(plane)
    strength = np.hypot(dx, dy)
    which = ((np.arctan2(dy, dx) % np.pi) / np.pi * bins).astype(int) % bins
    layers = np.stack([strength * (which == index) for index in range(bins)], -1)
    cells = np.sqrt(_shrink(layers, cell))
    return cells / (np.linalg.norm(cells) + 1e-6) * 4


def _colour_shares(lab: np.ndarray, mask: np.ndarray) -> np.ndarray:
    inside = lab[mask > 0.7]
    if not len(inside):
        return np.zeros(len(COLOURS), np.float32)
    return np.bincount(name_of(inside), minlength=len(COLOURS)).astype(np.float32) / len(inside)


def shape_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Distance of two pictures' plain features: how different two drawings of the same thing look."""
    return float(np.linalg.norm(one - other))


class Recogniser:
    """Names what a picture shows by its nearest training picture."""

    def __init__(self, features: np.ndarray, names: Sequence[str]) -> None:
        """`features` [pictures, numbers] of pictures that each show one thing; `names` their concepts."""
        self.names = np.asarray(names)
        self.mean = features.mean(0)
        self.axes = _discriminants(features - self.mean, self.names)
        self.known = self._place(features)

    def _place(self, features: np.ndarray) -> np.ndarray:
        placed = (features - self.mean) @ self.axes
        return placed / np.maximum(np.linalg.norm(placed, axis=-1, keepdims=True), 1e-6)

    def nearest(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return for each row of `features` the nearest training picture's concept and the distance, 0..2."""
        likeness = self._place(np.atleast_2d(features)) @ self.known.T
        best = likeness.argmax(-1)
        return self.names[best], np.sqrt(np.maximum(2 - 2 * likeness.max(-1), 0))


def _discriminants(centred: np.ndarray, names: np.ndarray) -> np.ndarray:
    groups = np.unique(names)
    means = np.stack([centred[names == name].mean(0) for name in groups])
    residual = centred - means[np.searchsorted(groups, names)]
    within = residual.T @ residual / len(residual)
    within = (1 - ALLOWANCE) * within + ALLOWANCE * np.eye(len(within)) * np.trace(within) / len(within)
    values, vectors = np.linalg.eigh(within.astype(np.float64))
    whiten = vectors / np.sqrt(values)
    _, strengths, directions = np.linalg.svd(means @ whiten, full_matrices=False)
    keep = strengths > strengths[0] * 1e-3
    return (whiten @ directions[keep].T).astype(np.float32)


def worn(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A picture as a small model would draw it: softened, with some noise and slightly wrong colours."""
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.8, 1.8))), np.float32) / 255
    noise = np.asarray(
        Image.fromarray(rng.normal(0, 1, (32, 32)).astype(np.float32)).resize(picture.size, Image.Resampling.BICUBIC)
    )
    soft = soft * rng.uniform(0.93, 1.04, 3) + 0.03 * noise[..., None] + rng.normal(0, 0.01, soft.shape)
    return Image.fromarray((np.clip(soft, 0, 1) * 255 + 0.5).astype(np.uint8))
