"""Sumi's guidance functions in the form that packs call: one dict in, the result out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nodes.models.changes import GuidanceStep


@dataclass(frozen=True, eq=False)
class _Native:
    native: Callable[[GuidanceStep], Any]


class AsPostCfg(_Native):
    """After guidance."""

    def __call__(self, arguments: Mapping[str, Any]) -> Tensor:
        step = _step(arguments, arguments["cond_denoised"], arguments["uncond_denoised"], arguments["denoised"])
        guided: Tensor = self.native(step)
        return guided


class AsSamplerCfg(_Native):
    """Replaces guidance; packs expect the noise, x - denoised."""

    def __call__(self, arguments: Mapping[str, Any]) -> Tensor:
        step = _step(arguments, arguments["cond_denoised"], arguments["uncond_denoised"])
        noise: Tensor = arguments["input"] - self.native(step)
        return noise


class AsPreCfg(_Native):
    """Before guidance."""

    def __call__(self, arguments: Mapping[str, Any]) -> list[Tensor]:
        changed = self.native(_step(arguments, *arguments["conds_out"][:2]))
        return [changed["positive"], changed["negative"], *arguments["conds_out"][2:]]


def _step(arguments: Mapping[str, Any], cond: Tensor, uncond: Tensor, guided: Tensor | None = None) -> GuidanceStep:
    translation = arguments["model"].translation
    sides = arguments.get("conds") or (arguments.get("cond"), arguments.get("uncond"))
    if isinstance(sides[0], Tensor):  # of sampler_cfg_function, which has the noises under these names
        sides = (arguments.get("input_cond"), arguments.get("input_uncond"))
    step = translation.step(
        dict(zip(("positive", "negative"), sides, strict=False)),
        arguments["input"],
        arguments["sigma"],
        arguments.get("model_options"),
    )
    predictions = {"positive": cond, "negative": uncond}
    return GuidanceStep.of(step, predictions, arguments["cond_scale"], guided=guided)
