"""Converts a run's controls and their residuals between Sumi's form and the one that packs use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.areas import Area
from nodes.unet.control import Control


@dataclass(frozen=True, eq=False)
class SeenControl:
    """A control of a run, in the form in which packs find it in a condition's dict."""

    running: Any
    levels: NoiseLevels
    area: Area | None = None

    def get_control(
        self, x_noisy: Tensor, t: Tensor, cond: Mapping[str, Any], batched_number: int, transformer_options: Any = None
    ) -> Control | None:
        """The residuals for noisy latents [N, C, h, w] at the noise levels ``t`` [N], for the network's ``control``."""
        sigma = float(t.flatten()[0])
        timesteps = x_noisy.new_full((len(x_noisy),), float(self.levels.timestep(sigma)))
        text = cond.get("crossattn_controlnet", cond["c_crossattn"])
        found: Control | None = self.running.residuals(
            self.levels.network_input(x_noisy, sigma),
            timesteps,
            text,
            cond.get("y"),
            sigma=sigma,
            levels=self.levels,
            area=self.area,
            items=len(x_noisy) // batched_number,
        )
        return found


def control_of_dict(control: Any, count: int) -> Control:
    """Residuals as packs give them, for a U-Net with ``count`` input blocks.

    ``output`` is aligned with the last input block, ``input`` is in reverse order; only the last of ``middle`` is used.
    """
    if isinstance(control, Control):
        return control
    outputs, middle, inputs = (list(control.get(place) or ()) for place in ("output", "middle", "input"))
    return Control(
        skips=[None] * (count - len(outputs)) + outputs[max(0, len(outputs) - count) :],
        middle=middle[-1] if middle else None,
        inputs=inputs[::-1],
    )


def dict_of_control(control: Control) -> dict[str, list[Tensor | None]]:
    """Residuals in the form that packs give and take; see :func:`control_of_dict`."""
    return {"input": list(control.inputs)[::-1], "middle": [control.middle], "output": list(control.skips)}
