"""A U-Net like the SD2 4× upscaler's: its first attentions attend to the text, and it takes class labels."""

from __future__ import annotations

import pytest
import torch

from nodes.models.unet_config import UNetConfig
from nodes.unet.unet import UNet, UNetInputError

CONFIG = UNetConfig(
    in_channels=7,
    model_channels=32,
    channel_mult=(1, 2),
    res_blocks=(1, 1),
    input_depth=(0, 1),
    output_depth=(1, 1, 0, 0),
    context_width=24,
    classes=10,
    linear_projections=True,
    text_only=(False, True),
    head_count=8,
)


@pytest.fixture(scope="module")
def unet() -> UNet:
    torch.manual_seed(0)
    return UNet(CONFIG)


def test_patches_without_effect_change_nothing(unet: UNet) -> None:
    x, text = torch.randn(2, 7, 8, 8), torch.randn(2, 77, 24)
    labels, timesteps = torch.tensor([3, 9]), torch.tensor([500.0, 20.0])
    plain = unet(x, timesteps, text, labels)
    unchanged = {f"attn{n}_output_patch": [lambda tokens, options: tokens] for n in (1, 2)}
    patched = unet(x, timesteps, text, labels, transformer_options={"patches": unchanged})
    torch.testing.assert_close(patched, plain, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(unet(x, timesteps, text, torch.tensor([4, 9])), plain)


def test_missing_labels_are_an_error(unet: UNet) -> None:
    x, text = torch.randn(1, 7, 8, 8), torch.randn(1, 77, 24)
    with pytest.raises(UNetInputError, match=r"none, this U-Net takes \[1\] class labels"):
        unet(x, torch.tensor([1.0]), text)
