"""A small text encoder with random weights, in the layout of an SD1 checkpoint."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import text_encoder_in
from nodes.models.handle import Clip
from nodes.models.text_config import CHECKPOINT_PREFIX, TextConfig, expected_shapes

CONFIG = TextConfig(width=64, layers=3, mlp=128)


def random_weights(config: TextConfig, prefix: str = CHECKPOINT_PREFIX) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        prefix + name: torch.randn(shape, generator=generator) * 0.05 + ("norm" in name and "weight" in name)
        for name, shape in expected_shapes(config).items()
    }


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "small.safetensors"
    save_file(random_weights(CONFIG), path)
    return path


@pytest.fixture(scope="session")
def clip(checkpoint: Path) -> Clip:
    return text_encoder_in(Checkpoint.open(checkpoint))
