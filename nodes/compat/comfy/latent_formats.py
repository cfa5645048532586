"""``comfy.latent_formats``: how latents are scaled."""

from __future__ import annotations

from nodes.compat.comfy.model_objects import LatentFormat


class SD15(LatentFormat):
    """SD1 and SD2."""

    def __init__(self, scale_factor: float = 0.18215):
        super().__init__(scale_factor, 4)


class SDXL(LatentFormat):
    """SDXL."""

    def __init__(self) -> None:
        super().__init__(0.13025, 4)


__all__ = ["SD15", "SDXL", "LatentFormat"]
