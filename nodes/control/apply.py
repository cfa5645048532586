"""Applies a control network to a prompt, with a picture, a strength and a range of steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nodes.batches import repeat_to
from nodes.control.handle import ControlError, ControlHandle, Steering
from nodes.models.handle import Handle, Model
from nodes.models.noise_levels import NoiseLevels
from nodes.resize import resize
from nodes.sampling.areas import Area
from nodes.sampling.condition_inputs import running_control
from nodes.types import Conditioning
from nodes.unet.control import Control


@dataclass(frozen=True, eq=False)
class AppliedControl(Handle):
    """The value of the option ``control`` of a CONDITIONING's entry.

    ``picture`` [B, C, H, W], 0..1, of any size: it is resized (nearest-exact, centre-cropped) to the latent's size in
    pixels. ``mask`` [B, 1, H, W] is appended as one more channel for networks that take a mask. The control is
    active from ``start`` to ``end``, fractions (0..1) of the sampling, and is added to ``previous``.
    """

    control: ControlHandle
    picture: Tensor
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mask: Tensor | None = None
    previous: Any = None

    @property
    def nbytes(self) -> int:
        """Return the picture's size in bytes."""
        return self.picture.nbytes + (0 if self.mask is None else self.mask.nbytes)

    def for_run(self, model: Model, height: int, width: int) -> RunningControl:
        """Return the control for a run with latents of that size. Raises ControlError if it does not fit the model."""
        self.control.check(model)
        previous = None if self.previous is None else running_control(self.previous, model, height, width)
        return RunningControl(self, model, height, width, previous)


def applied(
    conditioning: Conditioning,
    make: Callable[[Any], AppliedControl],
    known: dict[int, AppliedControl],
    to_unconditional: bool,
) -> Conditioning:
    """Return the entries of ``conditioning``, each with the control ``make(its previous control)``.

    ``known`` caches the new controls by the previous control's identity, so that entries of several conditionings
    share them and go through the network together. With ``to_unconditional``, the other side of guidance uses the
    control too.
    """
    result = []
    for embedding, options in conditioning:
        previous = options.get("control")
        control = known.setdefault(id(previous), make(previous))
        result.append([embedding, {**options, "control": control, "control_apply_to_uncond": to_unconditional}])
    return result


@dataclass(eq=False)
class RunningControl:
    """An applied control in one run. Its network is loaded when first needed and kept until the run ends."""

    applied: AppliedControl
    model: Model
    height: int
    width: int
    previous: Any = None
    _steering: Steering | None = field(default=None, repr=False)
    _hints: dict[tuple[Area, int], object] = field(default_factory=dict, repr=False)

    def residuals(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None,
        *,
        sigma: float,
        levels: NoiseLevels,
        area: Area | None = None,
        items: int | None = None,
    ) -> Control | None:
        """See :class:`nodes.sampling.condition_inputs.RunningControl`."""
        place = {"sigma": sigma, "levels": levels, "area": area, "items": items}
        previous = None if self.previous is None else self.previous.residuals(x, timesteps, context, y, **place)
        applied = self.applied
        if not levels.sigma_at(applied.end) <= sigma <= levels.sigma_at(applied.start):
            return previous
        if self._steering is None:
            self._steering = applied.control.steering(self.model)
        items = len(x) if items is None else items
        hint = self._hint(self._steering, area or Area(x.shape[-2], x.shape[-1], 0, 0), items, x.device)
        control = self._steering.residuals(x, hint, len(x) // items, timesteps, context, y)
        if applied.strength != 1.0:
            control = control.changed(lambda residual: residual * applied.strength)
        return control if previous is None else previous.plus(control)

    def _hint(self, steering: Steering, area: Area, items: int, device: torch.device) -> object:
        if (area, items) not in self._hints:
            picture = self._picture(area)
            if len(picture) > 1:
                picture = repeat_to(picture, items)
            elif items > 1:
                picture = picture.expand(items, -1, -1, -1)
            self._hints[area, items] = steering.hint(picture.to(device))
        return self._hints[area, items]

    def _picture(self, area: Area) -> Tensor:
        """Return the part of the picture [B, channels, H, W] that belongs to an area of the latent."""
        control, mask = self.applied.control, self.applied.mask
        wanted = control.channels
        picture = self._resized(self.applied.picture)
        if mask is not None:
            picture, mask = with_channels(picture, wanted - 1), self._resized(mask)
            batch = max(len(picture), len(mask))
            picture = torch.cat([repeat_to(picture, batch), repeat_to(mask, batch)], dim=1)
        height, width, top, left = (side * control.pixels for side in area)
        return Area(height, width, top, left).crop(with_channels(picture, wanted))

    def _resized(self, picture: Tensor) -> Tensor:
        pixels = self.applied.control.pixels
        return resize(picture, self.width * pixels, self.height * pixels, "nearest-exact", "center")


def with_channels(picture: Tensor, channels: int) -> Tensor:
    """Convert the picture [B, C, H, W] to ``channels``: grey is repeated or made by averaging, alpha is dropped.

    Raises ControlError if the picture has too few.
    """
    have = picture.shape[1]
    if channels == 1:
        return picture[:, :3].mean(dim=1, keepdim=True)
    if have == 1:
        return picture.expand(-1, channels, -1, -1)
    if have < channels:
        raise ControlError(
            f"the control network takes a picture of {channels} channels, but got {have}. "
            "A network for inpainting needs a mask too: use ControlNetInpaintingAliMamaApply."
        )
    return picture[:, :channels]
