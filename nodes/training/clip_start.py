"""Makes a small CLIP with random weights, to train from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import torch

from nodes.models.text_config import TextConfig
from nodes.models.vision_config import VisionConfig
from nodes.text.clip import ClipText
from nodes.training.errors import TrainingError
from nodes.training.state import write_tensors
from nodes.training.text_start import random_text_encoder
from nodes.vision.clip import ClipVision

HEAD_WIDTH: Final = 64


@dataclass(frozen=True)
class ClipSizes:
    """The sizes of a small CLIP.

    ``text_width`` and ``image_width`` are multiples of 64, ``image_size`` (pixels) is a multiple of ``patch_size``.
    ``projection`` is the width of the vectors that are compared. The feed-forward layers of the text encoder are four
    times its width, those of the image encoder ``image_mlp``.
    """

    text_width: int = 64
    text_layers: int = 4
    image_width: int = 128
    image_layers: int = 4
    image_mlp: int = 256
    patch_size: int = 8
    image_size: int = 64
    projection: int = 64

    def text(self) -> TextConfig:
        """Return the text encoder's sizes."""
        return TextConfig(self.text_width, self.text_layers, 4 * self.text_width, projection=self.projection)

    def vision(self) -> VisionConfig:
        """Return the image encoder's sizes."""
        return VisionConfig(
            self.image_width, self.image_layers, self.image_mlp, self.patch_size, self.image_size, self.projection
        )


class ClipFiles(NamedTuple):
    """The files of a CLIP's two encoders, in transformers' layout."""

    text: Path
    image: Path

    @classmethod
    def in_folder(cls, folder: Path, prefix: str = "") -> ClipFiles:
        """Return the paths of both files in ``folder``."""
        return cls(folder / f"{prefix}text_encoder.safetensors", folder / f"{prefix}image_encoder.safetensors")


def write_random_clip(files: ClipFiles, sizes: ClipSizes, seed: int) -> None:
    """Write both encoders with random weights of those sizes. Raises TrainingError for impossible sizes."""
    for name, width in (("text_width", sizes.text_width), ("image_width", sizes.image_width)):
        if width % HEAD_WIDTH:
            raise TrainingError(f"{name} is {width}; expected a multiple of {HEAD_WIDTH}")
    if sizes.image_size % sizes.patch_size:
        raise TrainingError(
            f"image_size is {sizes.image_size}; expected a multiple of patch_size, which is {sizes.patch_size}"
        )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed % 2**63)
        text, image = _random_text(sizes.text()), random_image_encoder(sizes.vision())
    write_tensors(files.text, text.state_dict(), {"format": "pt"})
    write_tensors(files.image, image.state_dict(), {"format": "pt"})


def _random_text(config: TextConfig) -> ClipText:
    encoder = random_text_encoder(config)
    assert encoder.text_projection is not None
    torch.nn.init.normal_(encoder.text_projection.weight, std=config.width**-0.5)
    return encoder


def random_image_encoder(config: VisionConfig) -> ClipVision:
    """Make an image encoder with CLIP's initial weights (arXiv:2103.00020): smaller where residual branches end."""
    encoder = ClipVision(config)
    width, branch_end = config.width, (config.width * 2 * config.layers) ** -0.5
    spreads = {
        "class_embedding": width**-0.5,
        "patch_embedding.weight": 0.02,
        "position_embedding.weight": 0.02,
        "q_proj.weight": branch_end,
        "k_proj.weight": branch_end,
        "v_proj.weight": branch_end,
        "out_proj.weight": width**-0.5,
        "fc1.weight": (2 * width) ** -0.5,
        "fc2.weight": branch_end,
        "visual_projection.weight": width**-0.5,
    }
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            spread = next((value for ending, value in spreads.items() if name.endswith(ending)), None)
            if spread is not None:
                parameter.normal_(std=spread)
            elif name.endswith(("proj.bias", "fc1.bias", "fc2.bias")):
                parameter.zero_()
    return encoder
