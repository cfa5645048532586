"""``latent_preview``: pictures of a run in progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from nodes.compat.comfy.cli_args import LatentPreviewMethod
from nodes.compat.comfy.taesd.taesd import TAESD
from nodes.compat.comfy.utils import ProgressBar
from nodes.sampling.latent_preview import latent_to_rgb

MAX_PREVIEW_RESOLUTION: Final = 512


class LatentPreviewer:
    """Makes a picture of a latent in the network's scale. A subclass defines ``decode_latent_to_preview``."""

    def decode_latent_to_preview(self, x0: Any) -> Any:
        """Return the first of ``x0`` [B, C, h, w] as a Pillow image."""
        raise NotImplementedError(f"{type(self).__qualname__} has no method 'decode_latent_to_preview'")

    def decode_latent_to_preview_image(self, preview_format: str, x0: Any) -> tuple[str, Any, int] | None:
        """Return the picture in the form that :class:`comfy.utils.ProgressBar` takes."""
        picture = self.decode_latent_to_preview(x0)
        return None if picture is None else (preview_format, picture, MAX_PREVIEW_RESOLUTION)


class Latent2RGBPreviewer(LatentPreviewer):
    """A linear map of the channels to colours: ``latent_rgb_factors`` [C, 3] and a bias [3], for colours in -1..1."""

    def __init__(
        self, latent_rgb_factors: Any, latent_rgb_factors_bias: Any = None, latent_rgb_factors_reshape: Any = None
    ):
        import torch

        self.latent_rgb_factors = torch.as_tensor(latent_rgb_factors, dtype=torch.float32)
        bias = [0.0, 0.0, 0.0] if latent_rgb_factors_bias is None else latent_rgb_factors_bias
        self.latent_rgb_factors_bias = torch.as_tensor(bias, dtype=torch.float32)

    def decode_latent_to_preview(self, x0: Any) -> Any:
        """Return the first of ``x0`` [B, C, h, w] as a Pillow image."""
        import torch
        from PIL import Image

        factors = torch.cat([self.latent_rgb_factors, self.latent_rgb_factors_bias[None]])
        return Image.fromarray(latent_to_rgb(x0[0], factors).numpy())


class TAESDPreviewerImpl(LatentPreviewer):
    """A small autoencoder's picture; ``taesd`` has a method ``decode``."""

    def __init__(self, taesd: Any):
        self.taesd = taesd

    def decode_latent_to_preview(self, x0: Any) -> Any:
        """Return the first of ``x0`` [B, C, h, w] as a Pillow image."""
        return preview_to_image(self.taesd.decode(x0[:1])[0].movedim(0, -1))


def preview_to_image(latent_image: Any) -> Any:
    """[H, W, 3] in -1..1 as a Pillow image."""
    from PIL import Image

    pixels = ((latent_image.float().cpu() + 1) * 127.5).clamp(0, 255).byte()
    return Image.fromarray(pixels.numpy())


def get_previewer(device: Any, latent_format: Any) -> LatentPreviewer | None:
    """Return the previewer of a latent format, or None if its colours are unknown."""
    factors = getattr(latent_format, "latent_rgb_factors", None)
    if factors is None:
        return None
    return Latent2RGBPreviewer(factors, getattr(latent_format, "latent_rgb_factors_bias", None))


def prepare_callback(
    model: Any, steps: int, x0_output_dict: dict[str, Any] | None = None
) -> Callable[[int, Any, Any, int], None]:
    """A callback for ``comfy.sample.sample`` that reports progress with previews."""
    previewer = get_previewer(model.load_device, model.model.latent_format)
    bar = ProgressBar(steps)

    def callback(step: int, x0: Any, x: Any, total_steps: int) -> None:
        if x0_output_dict is not None:
            x0_output_dict["x0"] = x0
        preview = None if previewer is None else previewer.decode_latent_to_preview_image("JPEG", x0)
        bar.update_absolute(step + 1, total_steps, preview)

    return callback


def set_preview_method(override: str | None = None) -> None:
    """Do nothing: the kind of previews is set when Sumi starts."""


__all__ = [
    "MAX_PREVIEW_RESOLUTION",
    "TAESD",
    "Latent2RGBPreviewer",
    "LatentPreviewMethod",
    "LatentPreviewer",
    "TAESDPreviewerImpl",
    "get_previewer",
    "prepare_callback",
    "preview_to_image",
    "set_preview_method",
]
