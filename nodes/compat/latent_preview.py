"""``latent_preview``: pictures of a run at work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from nodes.compat.comfy.cli_args import LatentPreviewMethod
from nodes.compat.comfy.utils import ProgressBar
from nodes.compat.values import from_pack
from nodes.sampling.latent_preview import factors_for, latent_to_rgb

MAX_PREVIEW_RESOLUTION: Final = 512


class LatentPreviewer:
    """Makes a picture of a latent in the network's scale."""

    def __init__(self, model: Any):
        self._factors = factors_for(from_pack(model).latent)

    def decode_latent_to_preview(self, x0: Any) -> Any:
        """The first of ``x0`` [B, C, h, w] as a Pillow image; None if the family's colours are unknown."""
        if self._factors is None:
            return None
        from PIL import Image

        return Image.fromarray(latent_to_rgb(x0[0], self._factors).numpy())

    def decode_latent_to_preview_image(self, preview_format: str, x0: Any) -> tuple[str, Any, int] | None:
        """What :class:`comfy.utils.ProgressBar` takes as a preview."""
        picture = self.decode_latent_to_preview(x0)
        return None if picture is None else (preview_format, picture, MAX_PREVIEW_RESOLUTION)


def get_previewer(device: Any, latent_format: Any) -> None:
    """None: of a latent's format alone no picture is made. See :func:`prepare_callback`."""


def prepare_callback(
    model: Any, steps: int, x0_output_dict: dict[str, Any] | None = None
) -> Callable[[int, Any, Any, int], None]:
    """A callback for ``comfy.sample.sample`` that reports progress with previews."""
    previewer = LatentPreviewer(model)
    bar = ProgressBar(steps)

    def callback(step: int, x0: Any, x: Any, total_steps: int) -> None:
        if x0_output_dict is not None:
            x0_output_dict["x0"] = x0
        bar.update_absolute(step + 1, total_steps, previewer.decode_latent_to_preview_image("JPEG", x0))

    return callback


__all__ = [
    "MAX_PREVIEW_RESOLUTION",
    "LatentPreviewMethod",
    "LatentPreviewer",
    "get_previewer",
    "prepare_callback",
]
