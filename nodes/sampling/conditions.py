"""What the nodes say about a prompt (where in the picture, when, how strongly), made ready for one run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from graph.errors import SumiError
from nodes.models.noise_levels import NoiseLevels
from nodes.types import Conditioning

if TYPE_CHECKING:
    from nodes.unet.unet import Control

_RAMP = 8
"""Over how many latent pixels, at most, an area's weight rises from its inner edges."""
_SMALLEST_MASKED_AREA = 8

VectorFor = Callable[[Mapping[str, Any], int, int], Tensor | None]
"""The vector of a conditioning entry's options, for a latent of that height and width."""


class ConditionError(SumiError):
    """An area lies outside the picture; says where, and how large the picture is."""


class ControlSource(Protocol):
    """What steers a condition: a ControlNet, or several that add up."""

    def residuals(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None,
        *,
        sigma: float,
        levels: NoiseLevels,
    ) -> Control | None:
        """What to add to the U-Net call with these arguments, at noise level ``sigma``; None for nothing.

        ``x`` [B, 4, h, w] is the network's input, ``context`` [B, T, C] the text before projection.
        """


class Area(NamedTuple):
    """A rectangle of the latent, in latent pixels."""

    height: int
    width: int
    top: int
    left: int

    @property
    def size(self) -> int:
        return self.height * self.width

    def encloses(self, other: Area) -> bool:
        return (
            self.top <= other.top
            and self.left <= other.left
            and self.top + self.height >= other.top + other.height
            and self.left + self.width >= other.left + other.width
        )

    def crop(self, x: Tensor) -> Tensor:
        """The view of ``x`` [..., h, w] inside the area."""
        return x[..., self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True, eq=False)
class Condition:
    """One prompt of one side, ready to be given to the network.

    ``embedding`` [1 or B, T, C] and ``y`` [1 or B, V] are on the run's device. ``weight``
    [1 or B, 1, height, width] is how much its prediction counts, per latent pixel of its area.
    It is used while ``sigma_end <= sigma <= sigma_start``.
    """

    embedding: Tensor
    area: Area
    weight: Tensor
    explicit_area: bool = False
    """False: the whole picture because nothing else was said."""
    y: Tensor | None = None
    sigma_start: float = float("inf")
    sigma_end: float = 0.0
    control: ControlSource | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the CONDITIONING's entry says, as it says it."""
    is_partner: bool = False
    """Whether the text is another condition's; see :func:`with_partners`."""

    def is_active(self, sigma: float) -> bool:
        return self.sigma_end <= sigma <= self.sigma_start


class Place(NamedTuple):
    """Where in the picture a CONDITIONING's entry counts. ``mask`` [B, h, w] is the whole latent's."""

    area: Area
    explicit: bool
    mask: Tensor | None

    def weight(self, options: Mapping[str, Any], latent: Tensor) -> Tensor:
        """How much its prediction counts [1 or B, 1, height, width], per latent pixel of the area."""
        height, width = latent.shape[-2:]
        if self.mask is not None:
            weight = self.area.crop(self.mask).unsqueeze(1) * options.get("mask_strength", 1.0)
        elif self.explicit:
            weight = _ramped(self.area, height, width)
        else:
            weight = torch.ones(1, 1, height, width)
        return weight.to(latent.device) * options.get("strength", 1.0)


def place_of(options: Mapping[str, Any], latent: Tensor) -> Place:
    """Where an entry with these options counts in a latent [B, C, h, w]. Raises ConditionError."""
    height, width = latent.shape[-2:]
    mask = options.get("mask")
    area = _area(options.get("area"), height, width)
    if mask is not None:
        mask = _resized_mask(mask.to(latent.device), height, width)
        if options.get("set_area_to_bounds"):
            area = _bounds(mask)
    inside = Area(height, width, 0, 0) if area is None else _within(area, height, width)
    return Place(inside, area is not None, mask)


def resolve(
    conditioning: Conditioning,
    latent: Tensor,
    levels: NoiseLevels,
    vector: VectorFor | None = None,
) -> list[Condition]:
    """The entries of a CONDITIONING as conditions for latents like ``latent`` [B, C, h, w].

    ``vector`` makes the network's ``y``; None if it takes none. Raises ConditionError.
    """
    return [_resolve_one(embedding, options, latent, levels, vector) for embedding, options in conditioning]


def with_partners(conditions: Sequence[Condition], opposite: Sequence[Condition]) -> list[Condition]:
    """``conditions`` and a partner for every area of ``opposite`` that has none of the same area.

    The partner takes its text from the smallest condition that encloses the area, all else from
    the opposite: guidance compares two predictions of the same crop.
    """
    partners: list[Condition] = []
    for other in opposite:
        if not other.explicit_area:
            continue
        enclosing = [c for c in (*conditions, *partners) if not c.explicit_area or c.area.encloses(other.area)]
        if not enclosing:
            continue
        smallest = min(enclosing, key=lambda c: (not c.explicit_area, c.area.size))
        if not (smallest.explicit_area and smallest.area == other.area):
            partners.append(dataclasses.replace(other, embedding=smallest.embedding, y=smallest.y, is_partner=True))
    return [*conditions, *partners]


def share_control(positive: Sequence[Condition], negative: Sequence[Condition]) -> list[Condition]:
    """``negative``, steered like ``positive`` where nothing else steers it.

    Only conditions of the whole picture take part: the controls of positive ones go round to
    the negative ones.
    """
    controls = [c.control for c in positive if not c.explicit_area and c.control is not None]
    whole = [c for c in negative if not c.explicit_area]
    if not controls or not whole or any(c.control is not None for c in whole):
        return list(negative)
    given = {id(c): controls[i % len(controls)] for i, c in enumerate(whole)}
    return [dataclasses.replace(c, control=given.get(id(c), c.control)) for c in negative]


def repeat_to_batch(tensor: Tensor, batch: int) -> Tensor:
    """``tensor`` with its first dimension repeated, and cut, to ``batch``."""
    if tensor.shape[0] == batch:
        return tensor
    if tensor.shape[0] == 1:
        return tensor.expand(batch, *tensor.shape[1:])
    repeats = -(-batch // tensor.shape[0])
    return tensor.repeat(repeats, *[1] * (tensor.ndim - 1))[:batch]


def _resolve_one(
    embedding: Tensor,
    options: Mapping[str, Any],
    latent: Tensor,
    levels: NoiseLevels,
    vector: VectorFor | None,
) -> Condition:
    place = place_of(options, latent)
    y = None if vector is None else vector(options, *latent.shape[-2:])
    return Condition(
        embedding=embedding.to(latent.device),
        area=place.area,
        weight=place.weight(options, latent),
        explicit_area=place.explicit,
        y=None if y is None else y.to(latent.device),
        sigma_start=levels.sigma_at(options["start_percent"]) if "start_percent" in options else float("inf"),
        sigma_end=levels.sigma_at(options["end_percent"]) if "end_percent" in options else 0.0,
        control=options.get("control"),
        options=options,
    )


def _area(area: Sequence[Any] | None, height: int, width: int) -> Area | None:
    """``(h, w, y, x)`` in latent pixels, or ``("percentage", h, w, y, x)`` in fractions of the latent."""
    if area is None:
        return None
    if area[0] == "percentage":
        h, w, y, x = area[1:]
        return Area(max(1, round(h * height)), max(1, round(w * width)), round(y * height), round(x * width))
    return Area(*area)


def _within(area: Area, height: int, width: int) -> Area:
    """``area`` without what lies below or right of the latent. Raises ConditionError if nothing is left."""
    if not (0 <= area.top < height and 0 <= area.left < width and area.height > 0 and area.width > 0):
        raise ConditionError(
            f"a condition's area, {area.width * 8} by {area.height * 8} pixels at x {area.left * 8}, "
            f"y {area.top * 8}, lies outside the picture of {width * 8} by {height * 8} pixels"
        )
    return area._replace(height=min(area.height, height - area.top), width=min(area.width, width - area.left))


def _resized_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """A mask [H, W] or [B, H, W] of any size, as [B, height, width]."""
    mask = mask.reshape(-1, *mask.shape[-2:]).float()
    if mask.shape[-2:] != (height, width):
        mask = F.interpolate(mask.unsqueeze(1), size=(height, width), mode="bilinear").squeeze(1)
    return mask


def _bounds(mask: Tensor) -> Area:
    """The smallest area, 8 pixels a side or more, that holds all of a mask [B, h, w] above 0."""
    covered = mask.abs().amax(0) > 0
    rows, columns = covered.any(1).nonzero(), covered.any(0).nonzero()
    if len(rows) == 0:
        return Area(_SMALLEST_MASKED_AREA, _SMALLEST_MASKED_AREA, 0, 0)
    top, bottom = int(rows[0]), int(rows[-1])
    left, right = int(columns[0]), int(columns[-1])
    return Area(max(_SMALLEST_MASKED_AREA, bottom - top + 1), max(_SMALLEST_MASKED_AREA, right - left + 1), top, left)


def _ramped(area: Area, height: int, width: int) -> Tensor:
    """Weights [1, 1, area.height, area.width] that fall towards those edges that are not the picture's."""
    vertical = _ramp(area.height, area.top > 0, area.top + area.height < height)
    horizontal = _ramp(area.width, area.left > 0, area.left + area.width < width)
    return (vertical[:, None] * horizontal[None, :])[None, None]


def _ramp(side: int, at_start: bool, at_end: bool) -> Tensor:
    weights = torch.ones(side)
    length = min(_RAMP, side // 4)
    rise = torch.arange(1, length + 1) / length if length else torch.ones(0)
    if at_start:
        weights[:length] *= rise
    if at_end:
        weights[side - length :] *= rise.flip(0)
    return weights
