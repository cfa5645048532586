"""The error for a model whose extra input channels are missing says what it needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nodes.models.checkpoint import Fingerprint
from nodes.models.families import family_of
from nodes.models.handle import Model
from nodes.models.unet_config import SD1, SD2_UPSCALER, SDXL, UNetConfig
from nodes.models.weights import Weights
from nodes.sampling.extra_channels import MissingChannelsError, check_input_channels
from nodes.sampling.nodes import ksampler


def model(config: UNetConfig) -> Model:
    weights = Weights(Path("m.safetensors"), "", Fingerprint("m.safetensors", 1, 1), config, 1)
    return Model(weights, family=family_of(config))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (replace(SD1, in_channels=9), r"SD1 inpainting\) takes 9 input channels: the latent's 4 and 5 for a mask"),
        (replace(SDXL, in_channels=8), r"4 for the picture to edit, but got 4. The conditioning must supply them"),
        (SD2_UPSCALER, r"takes 7 .* 3 for the picture to enlarge, but got 4"),
    ],
)
def test_the_error_names_model_and_channels(config: UNetConfig, message: str) -> None:
    with pytest.raises(MissingChannelsError, match=message):
        check_input_channels(model(config), 4)
    check_input_channels(model(config), config.in_channels)


def test_sampling_without_them_is_that_error() -> None:
    context: Any = SimpleNamespace(progress=lambda *_: None, check_interrupted=lambda: None)
    conditioning = [[torch.zeros(1, 77, 1024), {}]]
    with pytest.raises(MissingChannelsError, match="3 for the picture to enlarge"):
        ksampler(
            context=context,
            model=model(SD2_UPSCALER),
            steps=1,
            sampler_name="euler",
            scheduler="normal",
            positive=conditioning,
            negative=conditioning,
            latent_image={"samples": torch.zeros(1, 4, 8, 8)},
        )
