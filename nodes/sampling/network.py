"""A model's network as one run uses it: noisy latents at a noise level in, denoised latents out."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from nodes.models.changes import NetworkCall, NoiseLevel, RawCall, around
from nodes.models.handle import Model
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.extra_channels import check_input_channels
from nodes.unet.patches import with_part


class DenoisingNetwork:
    """The network of a model with the parts that its changes replace, loaded at the first call.

    The projection of a text for cross-attention is kept as long as the text tensor lives, so that a run projects each
    of its texts once, whatever functions call the network.
    """

    def __init__(self, model: Model):
        self.model = model
        self._projected: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    @cached_property
    def levels(self) -> NoiseLevels:
        """The model's noise levels."""
        return self.model.sampling.levels()

    @cached_property
    def module(self) -> Any:
        """The network: a U-Net, or what a change puts in its place."""
        parts = self.model.changes.parts
        if "" in parts:
            return parts[""]
        network: Any = self.model.network()
        for path, part in parts.items():
            network = with_part(network, path, part)
            network.has_foreign_parts = True
        return network

    def denoise(self, call: NetworkCall) -> Tensor:
        """The denoised latents [N, C, h, w] of a batch, float32.

        Raises MissingChannelsError if nothing fills the network's extra input channels.
        """
        return around(call.changes.around_denoise, self._denoise)(call)

    def run(self, call: RawCall) -> Tensor:
        """The network's output [N, C, h, w] for its input, float32."""
        return around(call.changes.around_network, self._run)(call)

    def _denoise(self, call: NetworkCall) -> Tensor:
        levels, x, inputs = self.levels, call.x, call.inputs
        given = _by_item(levels.network_input, call.sigma, x)
        if inputs.get("concat") is not None:
            given = torch.cat([given, inputs["concat"].to(given)], dim=1)
        if "" not in self.model.changes.parts:
            check_input_channels(self.model, given.shape[1])
        timesteps = self._timesteps(call.sigma, x)
        text, vector = inputs.get("text"), inputs.get("vector")
        control: Any = inputs.get("control")
        if hasattr(control, "residuals"):
            first = call.sigma[0] if isinstance(call.sigma, tuple) else call.sigma
            control = control.residuals(given, timesteps, text, vector, sigma=first, levels=levels)
        options = {**call.changes.inside.options, **call.options}
        output = self.run(RawCall(given, timesteps, text, vector, control, options, call.predictor, call.changes))
        return _by_item(levels.denoised, call.sigma, x, output)

    def _timesteps(self, sigma: NoiseLevel, x: Tensor) -> Tensor:
        if isinstance(sigma, tuple):
            return torch.tensor([float(self.levels.timestep(level)) for level in sigma], device=x.device)
        return torch.full((len(x),), float(self.levels.timestep(sigma)), device=x.device)

    def _run(self, call: RawCall) -> Tensor:
        module, text = self.module, call.text
        more: dict[str, Any] = {} if call.vector is None else {"y": call.vector}
        if isinstance(text, Tensor) and hasattr(module, "project_context"):
            more["projected"] = self._projection(text)
        output: Tensor = module(
            call.x, call.timesteps, context=text, control=call.control, transformer_options=call.options, **more
        )
        return output.float()

    def _projection(self, text: Tensor) -> Any:
        version, projection = self._projected.get(text, (None, None))
        if version != text._version:  # a function may have written into the tensor
            projection = self.module.project_context(text)
            self._projected[text] = text._version, projection
        return projection


def _by_item(function: Callable[..., Tensor], sigma: NoiseLevel, *tensors: Tensor) -> Tensor:
    """``function(x, …, sigma)`` for a batch, item by item where their noise levels differ."""
    if not isinstance(sigma, tuple):
        return function(*tensors, sigma)
    items = zip(*(tensor.split(1) for tensor in tensors), strict=True)
    return torch.cat([function(*item, level) for item, level in zip(items, sigma, strict=True)])
