"""``comfy.latent_formats``: how latents are scaled."""

from __future__ import annotations

from typing import Any, Final

from torch import Tensor

from nodes.models.latent_space import LatentSpace


class LatentFormat:
    """The scale of latents."""

    latent_dimensions: Final = 2

    def __init__(self, scale_factor: float = 1.0, latent_channels: int = 4):
        self.scale_factor = scale_factor
        self.latent_channels = latent_channels
        self.latent_rgb_factors: list[list[float]] | None = None
        self.latent_rgb_factors_bias: list[float] | None = None
        self.taesd_decoder_name: str | None = None

    def process_in(self, latent: Tensor) -> Tensor:
        """From the VAE's scale to the network's."""
        return latent * self.scale_factor

    def process_out(self, latent: Tensor) -> Tensor:
        """From the network's scale to the VAE's."""
        return latent / self.scale_factor


class FamilyLatents(LatentFormat):
    """The latents of one of Sumi's families."""

    def __init__(self, space: LatentSpace):
        super().__init__(space.scale, space.channels)
        self._space = space
        if space.preview is not None:
            self.latent_rgb_factors = [list(row) for row in space.preview.channels]
            self.latent_rgb_factors_bias = list(space.preview.bias)

    def process_in(self, latent: Tensor) -> Tensor:
        """From the VAE's scale to the network's."""
        return self._space.scaled_in(latent)

    def process_out(self, latent: Tensor) -> Tensor:
        """From the network's scale to the VAE's."""
        return self._space.scaled_out(latent)


class SD15(LatentFormat):
    """SD1 and SD2."""

    def __init__(self, scale_factor: float = 0.18215):
        super().__init__(scale_factor, 4)


class SDXL(LatentFormat):
    """SDXL."""

    def __init__(self) -> None:
        super().__init__(0.13025, 4)


class SD_X4(LatentFormat):
    """The SD2 4× upscaler."""

    def __init__(self) -> None:
        super().__init__(0.08333, 4)


class FormatScaling:
    """A pack's latent format, which replaces the model's; see :class:`nodes.models.changes.LatentScaling`."""

    def __init__(self, latent_format: Any):
        self.latent_format = latent_format

    def scaled_in(self, latent: Tensor) -> Tensor:
        """From the VAE's scale to the network's."""
        scaled: Tensor = self.latent_format.process_in(latent)
        return scaled

    def scaled_out(self, latent: Tensor) -> Tensor:
        """From the network's scale to the VAE's."""
        scaled: Tensor = self.latent_format.process_out(latent)
        return scaled


__all__ = ["SD15", "SDXL", "SD_X4", "LatentFormat"]
