"""``comfy_extras.nodes_custom_sampler``: noise and guiders as objects, and the nodes of custom sampling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from nodes.compat.comfy import _guider, sample
from nodes.models.changes import Guider
from nodes.sampling import guiders


class Noise_EmptyNoise:
    """No noise."""

    def __init__(self) -> None:
        self.seed = 0

    def generate_noise(self, input_latent: Mapping[str, Any]) -> Tensor:
        """Zeros like the samples of a LATENT, on the CPU."""
        samples = input_latent["samples"]
        return torch.zeros(samples.shape, dtype=samples.dtype, layout=samples.layout, device="cpu")


class Noise_RandomNoise:
    """Gaussian noise of a seed."""

    def __init__(self, seed: int):
        self.seed = seed

    def generate_noise(self, input_latent: Mapping[str, Any]) -> Tensor:
        """Noise like the samples of a LATENT, on the CPU; ``batch_index`` chooses the noise of each item."""
        return sample.prepare_noise(input_latent["samples"], self.seed, input_latent.get("batch_index"))


class _Joined(_guider.CFGGuider):
    """A guider that joins its sides as one of Sumi's guiders does. Each has its own sides and strengths."""

    set_conds: Any
    set_cfg: Any

    def _native(self) -> Guider:
        """Return the guider; its own sides are not used."""
        raise NotImplementedError

    def predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: Mapping[str, Any] | None = None, seed: int | None = None
    ) -> Tensor:
        """Return the denoised latent."""
        return self._native().predict(self.inner_model.translation.step(self.conds, x, timestep, model_options))


class Guider_Basic(_Joined):
    """The prediction of one side, without guidance."""

    def set_conds(self, positive: Any) -> None:
        """Use this CONDITIONING."""
        self.inner_set_conds({"positive": positive})

    def _native(self) -> Guider:
        return guiders.BasicGuider(())


class Guider_DualCFG(_Joined):
    """Guidance between three sides."""

    cfg1: float = 1.0
    cfg2: float = 1.0
    style: Literal["regular", "nested"] = "regular"

    def set_cfg(self, cfg1: float, cfg2: float, nested: bool = False) -> None:
        """Set the strengths: ``cfg1`` from middle to positive, ``cfg2`` from negative to middle."""
        self.cfg1, self.cfg2 = cfg1, cfg2
        self.style = "nested" if nested else "regular"

    def set_conds(self, positive: Any, middle: Any, negative: Any) -> None:
        """Set the three sides, each a CONDITIONING."""
        self.inner_set_conds({"positive": positive, "middle": middle, "negative": negative})

    def _native(self) -> Guider:
        return guiders.DualCfgGuider((), (), (), self.cfg1, self.cfg2, self.style)


class Guider_PerpNeg(_Joined):
    """Guidance away from what the negative side adds perpendicularly to the positive one (arXiv:2304.04968)."""

    neg_scale: float = 1.0

    def set_cfg(self, cfg: float, neg_scale: float = 1.0) -> None:
        """Set the strength of guidance, and that of the negative side."""
        self.cfg, self.neg_scale = cfg, neg_scale

    def set_conds(self, positive: Any, negative: Any, empty_negative_prompt: Any) -> None:
        """Set the three sides, each a CONDITIONING."""
        self.inner_set_conds({"positive": positive, "negative": negative, "empty": empty_negative_prompt})

    def _native(self) -> Guider:
        return guiders.PerpNegGuider((), (), (), self.cfg, self.neg_scale)
