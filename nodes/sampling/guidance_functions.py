"""Guidance that functions in a model's options make or change: what node packs hang on a model.

- ``sampler_cfg_function(arguments)`` takes ``cond`` and ``uncond`` as noise (``input`` minus the denoised latent)
  and gives the guided noise.
- each of ``sampler_post_cfg_function`` takes ``denoised`` and gives another in its place.

Arguments are a dict: ``input`` [B, C, h, w], ``sigma`` and ``timestep`` (both the noise level, [B]), ``cond_scale``,
``cond_denoised``, ``uncond_denoised``, ``model_options``, ``model``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nodes.sampling.denoiser import Sigma
from nodes.sampling.guidance import Guided


class GuidedByFunctions(Guided):
    """:class:`Guided` with the functions of ``options``. Both sides are always predicted."""

    def __init__(self, *parts: Any, options: Mapping[str, Any]):
        super().__init__(*parts)
        self._options = options

    def __call__(self, x: Tensor, sigma: Sigma) -> Tensor:
        return self.with_unconditional(x, sigma)[0]

    def with_unconditional(self, x: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        conditional, unconditional = self._predict(x, float(sigma), [self._positive, self._negative])
        level = x.new_full((len(x),), float(sigma))
        arguments = {
            "input": x,
            "sigma": level,
            "timestep": level,
            "cond_scale": self._scale,
            "cond_denoised": conditional,
            "uncond_denoised": unconditional,
            "model_options": dict(self._options),
            "model": self._network,
        }
        make = self._options.get("sampler_cfg_function")
        if make is None:
            denoised = unconditional + (conditional - unconditional) * self._scale
        else:
            denoised = x - make({**arguments, "cond": x - conditional, "uncond": x - unconditional})
        for change in self._options.get("sampler_post_cfg_function", ()):
            denoised = change({**arguments, "denoised": denoised, "cond": conditional, "uncond": unconditional})
        return denoised, unconditional
