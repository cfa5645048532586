"""A model's network in one run: noisy latents at a noise level in, denoised latents out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from graph.context import warn
from nodes import device
from nodes.compiling import compiled_by_option
from nodes.models.changes import NetworkCall, NoiseLevel, RawCall, around
from nodes.models.handle import Model
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.condition_inputs import JoinedBoxes
from nodes.sampling.extra_channels import check_input_channels
from nodes.unet.patches import change_inside, with_part
from nodes.unet.projection import ProjectedTexts

log = logging.getLogger(__name__)


class DenoisingNetwork:
    """The network of a model, with the parts replaced by its changes; it is loaded at the first call.

    The projection of a text for cross-attention is kept while the text tensor exists, so that a run projects each
    text once, even if functions call the network.
    """

    def __init__(self, model: Model):
        self.model = model
        self._projected = ProjectedTexts()
        self._said: set[str] = set()

    @cached_property
    def levels(self) -> NoiseLevels:
        """The model's noise levels."""
        return self.model.sampling.levels()

    @cached_property
    def module(self) -> Any:
        """The network: a U-Net, or its replacement by a change."""
        parts = self.model.changes.parts
        if "" in parts:
            return parts[""]
        network: Any = self.model.network()
        for path, part in parts.items():
            network = with_part(network, path, part)
            network.has_foreign_parts = True
        return network

    @cached_property
    def _compiled(self) -> Any:
        """The function that runs the plain network: the module, or the compiled one."""
        compile = self.model.changes.compile
        return compiled_by_option(self.module, self.module) if compile is None else compile(self.module)

    @cached_property
    def _on_openvino(self) -> Any:
        """The network on OpenVINO, or None if torch has to compute it."""
        if device.backend() != "openvino":
            return None
        from nodes.unet.openvino_network import OpenVinoUNet, reason_for_torch

        reason = reason_for_torch(self.model)
        if reason is not None:
            self._say_torch(reason)
            return None
        return OpenVinoUNet(self.model)

    def _computes_on_openvino(self, call: RawCall) -> bool:
        if self._on_openvino is None:
            return False
        reason = change_inside(call.control, call.options)
        if reason is not None:
            self._say_torch(reason)
        return reason is None

    def _say_torch(self, reason: str) -> None:
        self._say_once("the model runs on torch instead of OpenVINO", reason)

    def _say_once(self, what: str, reason: str) -> None:
        """Report ``what`` once in a run, with the reason of its first time."""
        if what not in self._said:
            self._said.add(what)
            warn(log, f"{what}: {reason}")

    def _runs_compiled(self, call: RawCall) -> bool:
        if self.model.changes.compile is None and not device.compiles():
            return False
        replaced = "a node replaced parts of its network" if self.model.changes.parts else None
        reason = replaced or change_inside(call.control, call.options)
        if reason is not None:
            self._say_once("the model runs uncompiled", reason)
        return reason is None

    def denoise(self, call: NetworkCall) -> Tensor:
        """Return the denoised latents [N, C, h, w] of a batch, float32.

        Raises MissingChannelsError if the network's extra input channels are empty.
        """
        return around(call.changes.around_denoise, self._denoise)(call)

    def run(self, call: RawCall) -> Tensor:
        """Return the network's output [N, C, h, w] for its input, float32."""
        return around(call.changes.around_network, self._run)(call)

    def _denoise(self, call: NetworkCall) -> Tensor:
        levels, x, inputs = self.levels, call.x, call.inputs
        given = latent = _by_item(levels.network_input, call.sigma, x)
        if inputs.get("concat") is not None:
            given = torch.cat([given, inputs["concat"].to(given)], dim=1)
        if "" not in self.model.changes.parts:
            check_input_channels(self.model, given.shape[1])
        timesteps = self._timesteps(call.sigma, x)
        text, vector = inputs.get("text"), inputs.get("vector")
        control: Any = inputs.get("control")
        if hasattr(control, "residuals"):
            first = call.sigma[0] if isinstance(call.sigma, tuple) else call.sigma
            control_text = inputs.get("control_text", text)
            control = control.residuals(latent, timesteps, control_text, vector, sigma=first, levels=levels)
        options: Mapping[str, Any] = {**call.changes.inside.options, **call.options}
        boxes = inputs.get("boxes")
        if isinstance(boxes, JoinedBoxes):
            options = boxes.added_to(options)
        output = self.run(RawCall(given, timesteps, text, vector, control, options, call.predictor, call.changes))
        return _by_item(levels.denoised, call.sigma, x, output)

    def _timesteps(self, sigma: NoiseLevel, x: Tensor) -> Tensor:
        if isinstance(sigma, tuple):
            return torch.tensor([float(self.levels.timestep(level)) for level in sigma], device=x.device)
        return torch.full((len(x),), float(self.levels.timestep(sigma)), device=x.device)

    def _run(self, call: RawCall) -> Tensor:
        if self._computes_on_openvino(call):
            computed: Tensor = self._on_openvino(call.x, call.timesteps, call.text, call.vector)
            return computed
        module, text = self.module, call.text
        more: dict[str, Any] = {} if call.vector is None else {"y": call.vector}
        if isinstance(text, Tensor) and hasattr(module, "project_context"):
            more["projected"] = self._projected.of(module, text)
        output: Tensor
        if self._runs_compiled(call):
            output = self._compiled(call.x, call.timesteps, context=text, **more)
        else:
            output = module(
                call.x, call.timesteps, context=text, control=call.control, transformer_options=call.options, **more
            )
        return output.float()


def _by_item(function: Callable[..., Tensor], sigma: NoiseLevel, *tensors: Tensor) -> Tensor:
    """Call ``function(x, …, sigma)`` for a batch, one item at a time if their noise levels differ."""
    if not isinstance(sigma, tuple):
        return function(*tensors, sigma)
    items = zip(*(tensor.split(1) for tensor in tensors), strict=True)
    return torch.cat([function(*item, level) for item, level in zip(items, sigma, strict=True)])
