"""Small models of each family and runs with them, for the nodes that record sampling."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.models.handle import Clip, Model
from nodes.sampling.nodes import ksampler
from nodes.text.nodes import clip_text_encode
from tests.oracle.small_checkpoints import SD2, SDXL

EMBEDDED = Path(__file__).parents[3] / "models" / "checkpoints" / "sumi-tiny.safetensors"
FAMILIES = ("sd1", "sd2 v", "sdxl")


@dataclass(frozen=True)
class Family:
    """A model and its text encoders."""

    model: Model
    clip: Clip

    def run(self, prompt: str = "a red apple and a cat", **changes: Any) -> dict[str, Any]:
        """The inputs of KSampler for a short run."""
        given: dict[str, Any] = {
            "model": self.model,
            "seed": 5,
            "steps": 4,
            "cfg": 4.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "positive": clip_text_encode(text=prompt, clip=self.clip),
            "negative": clip_text_encode(text="", clip=self.clip),
            "latent_image": {"samples": torch.zeros(1, 4, 8, 8)},
            "denoise": 1.0,
        }
        return given | changes


def family(name: str, folder: Path) -> Family:
    """The embedded model (eps), or a small SD2 (v) or SDXL with random weights."""
    match name:
        case "sd1":
            path = EMBEDDED
        case "sd2 v":
            path = SD2.write(folder / "sd2.safetensors", {"v_pred": torch.zeros(0)})
        case _:
            path = SDXL.write(folder / "sdxl.safetensors")
    checkpoint = Checkpoint.open(path)
    return Family(contents.model_in(checkpoint), contents.text_encoder_in(checkpoint))


def plain_latent(context: Any, run: dict[str, Any]) -> torch.Tensor:
    """KSampler's latent."""
    return ksampler(context=context, **run)["samples"]
