"""Packs' own controls in Sumi's runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nodes.compat.comfy._translate.controls import control_of_dict
from nodes.compat.comfy.model_base import base_model
from nodes.compat.missing.errors import parts_named
from nodes.control.handle import ControlHandle
from nodes.models.handle import Model
from nodes.models.noise_levels import NoiseLevels
from nodes.models.unet_config import skips
from nodes.sampling.areas import Area
from nodes.unet.control import Control


class RunningPackControl:
    """A pack's control in one run. ``seen`` is the run's model as packs see it."""

    def __init__(self, control: Any, model: Model, seen: Any):
        self._control = control
        self._count = len(skips(model.config))
        with parts_named():
            control.pre_run(seen, model.sampling.levels().sigma_at)

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
        """See :class:`nodes.sampling.condition_inputs.RunningControl`. The control finds the area by itself."""
        number = 1 if items is None else len(x) // items
        noisy = x / levels.network_input(x.new_ones(1, 1, 1, 1), sigma)
        cond: dict[str, Any] = {"c_crossattn": context, **({} if y is None else {"y": y})}
        with parts_named():
            made = self._control.get_control(noisy, x.new_full((len(x),), sigma), cond, number, {})
        return None if made is None else control_of_dict(made, self._count)


@dataclass(frozen=True, eq=False)
class PackControl(ControlHandle):
    """A pack's control as a handle, for Sumi's nodes that apply control networks."""

    control: Any

    @property
    def channels(self) -> int:
        """Return the channels of the picture."""
        return 3

    @property
    def pixels(self) -> int:
        """Pixels of the picture to a latent pixel."""
        return int(getattr(self.control, "compression_ratio", 8))

    def check(self, model: Model) -> None:
        """Accept every model: packs' controls know theirs."""

    def steering(self, model: Model) -> _PackSteering:
        """A copy of the control for one run."""
        return _PackSteering(self.control.copy(), model)


class _PackSteering:
    def __init__(self, control: Any, model: Model):
        self._control = control
        self._model = model
        self._levels = model.sampling.levels()

    def hint(self, picture: Tensor) -> RunningPackControl:
        """Return the control, set up with a picture [B, C, H, W]."""
        self._control.set_cond_hint(picture, 1.0, (0.0, 1.0))
        return RunningPackControl(self._control, self._model, base_model(self._model))

    def residuals(
        self, x: Tensor, hint: object, repeats: int, timesteps: Tensor, context: Tensor, y: Tensor | None
    ) -> Control:
        """See :class:`nodes.control.handle.Steering`."""
        assert isinstance(hint, RunningPackControl)
        sigma = float(self._levels.sigma(timesteps[0]))
        items = len(x) // repeats
        found = hint.residuals(x, timesteps, context, y, sigma=sigma, levels=self._levels, items=items)
        return found or Control()
