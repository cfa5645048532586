"""UPSCALE_MODEL as packs use it, like spandrel's descriptors, and packs' own descriptors in Sumi's nodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodes import device as devices
from nodes.models.handle import Handle
from nodes.upscale.model import UpscaleModel


class SeenUpscaleModel:
    """A network that enlarges pictures. It holds no weights, and is loaded when it is called."""

    def __init__(self, handle: UpscaleModel):
        self.handle = handle
        self.scale = handle.scale
        self.input_channels = handle.channels
        self.device = devices.device()
        self.dtype = torch.float32

    @property
    def model(self) -> torch.nn.Module:
        """Return the network, loaded."""
        network: torch.nn.Module = self._descriptor().model
        return network

    @property
    def architecture(self) -> Any:
        """Spandrel's description of the kind of network."""
        return self._descriptor().architecture

    def to(self, device: Any = None, *_: Any, **__: Any) -> SeenUpscaleModel:
        """Compute on that device. A precision is ignored: the network computes in float32."""
        if isinstance(device, (str, torch.device)):
            self.device = torch.device(device)
        return self

    def cpu(self) -> SeenUpscaleModel:
        """Compute on the CPU."""
        return self.to("cpu")

    def eval(self) -> SeenUpscaleModel:
        """Do nothing: the network is not trained."""
        return self

    def float(self) -> SeenUpscaleModel:
        """Do nothing: the network computes in float32."""
        return self

    half = bfloat16 = float

    def parameters(self) -> Any:
        """Return the network's weights."""
        return self.model.parameters()

    def __call__(self, image: Tensor) -> Tensor:
        """[B, C, H, W], 0..1, to [B, C, H · scale, W · scale]."""
        with torch.no_grad():
            enlarged: Tensor = self._descriptor()(image)
        return enlarged

    def _descriptor(self) -> Any:
        return self.handle.network(self.device)


@dataclass(frozen=True, eq=False)
class PackUpscaleModel(Handle):
    """A descriptor of spandrel's that a pack has loaded, for Sumi's nodes."""

    descriptor: Any

    @property
    def path(self) -> Path:
        """Return the name for messages."""
        return Path(f"a node pack's {self.descriptor.architecture.name} model")

    @property
    def scale(self) -> int:
        """Return the factor by which it enlarges."""
        return int(self.descriptor.scale)

    @property
    def channels(self) -> int:
        """Return the channels of the pictures that it takes."""
        return int(self.descriptor.input_channels)

    def network(self, device: torch.device) -> Any:
        """Return the descriptor, on the device."""
        return self.descriptor.to(device)
