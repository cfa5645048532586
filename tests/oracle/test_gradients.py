"""Gradients of our networks against diffusers and transformers, on the same weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from transformers import CLIPTextConfig, CLIPTextModel

from nodes.models.text_config import TextConfig
from nodes.models.unet_config import UNetConfig
from nodes.text.clip import ClipText
from nodes.unet.unet import UNet
from tests.oracle.diffusers_unet import PREFIX, diffusers_unet, random_weights

SD1_LIKE = UNetConfig(
    model_channels=64,
    channel_mult=(1, 2),
    res_blocks=(1, 1),
    input_depth=(1, 0),
    output_depth=(0, 0, 1, 1),
    context_width=48,
)
SD2_LIKE = replace(SD1_LIKE, linear_projections=True)


@pytest.mark.parametrize("recomputes_blocks", [False, True])
@pytest.mark.parametrize("config", [SD1_LIKE, SD2_LIKE], ids=["sd1", "sd2"])
def test_gradients_of_the_unet_agree_with_diffusers(config, recomputes_blocks):
    weights = random_weights(config)
    unet = UNet(config)
    unet.load_state_dict(weights)
    unet.requires_grad_(True)
    unet.recomputes_blocks = recomputes_blocks
    reference = diffusers_unet(config, weights).requires_grad_(True)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, 8, 12, generator=generator)
    context = torch.randn(2, 77, config.context_width, generator=generator, requires_grad=True)
    expected_context = context.detach().clone().requires_grad_(True)
    timesteps = torch.tensor([981, 20])
    target = torch.randn(2, 4, 8, 12, generator=generator)

    (unet(x, timesteps, context) - target).square().mean().backward()
    (reference(x, timesteps, expected_context).sample - target).square().mean().backward()

    found = {f"{PREFIX}{name}": parameter.grad for name, parameter in unet.named_parameters()}
    found = convert_ldm_unet_checkpoint(found, dict(reference.config))
    for name, parameter in reference.named_parameters():
        scale = parameter.grad.abs().max().item()
        torch.testing.assert_close(found[name], parameter.grad, rtol=0, atol=2e-4 * scale + 1e-7, msg=name)
    scale = expected_context.grad.abs().max().item()
    torch.testing.assert_close(context.grad, expected_context.grad, rtol=0, atol=2e-4 * scale)


def test_a_unet_that_has_been_run_can_be_trained():
    """The packed weights of inference give way to ordinary ones, with the same numbers."""
    unet = UNet(SD1_LIKE)
    unet.load_state_dict(random_weights(SD1_LIKE))
    x, context = torch.randn(1, 4, 8, 8), torch.randn(1, 77, 48)
    before = unet(x, torch.tensor([500]), context)
    assert not before.requires_grad
    trained = unet(x, torch.tensor([500]), context.requires_grad_(True))
    trained.sum().backward()
    assert context.grad.abs().max() > 0
    torch.testing.assert_close(trained.detach(), before, rtol=1e-4, atol=1e-5)


def test_gradients_of_the_text_encoder_agree_with_transformers():
    config = TextConfig(width=64, layers=2, mlp=128, vocabulary=49408)
    ours = ClipText(config)
    reference = CLIPTextModel(
        CLIPTextConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=1, intermediate_size=128)
    )
    names = {name.removeprefix("text_model."): name for name in ours.state_dict()}
    state = {name.removeprefix("text_model."): tensor for name, tensor in reference.state_dict().items()}
    ours.load_state_dict({names[name]: tensor for name, tensor in state.items() if name in names})
    ids = torch.tensor([[49406, 320, 736, 3055, 49407, 49407], [49406, 1125, 49407, 49407, 49407, 49407]])
    ours(ids).hidden.square().mean().backward()
    reference(ids).last_hidden_state.square().mean().backward()
    expected = {n.removeprefix("text_model."): p.grad for n, p in reference.named_parameters()}
    for name, parameter in ours.named_parameters():
        wanted = expected[name.removeprefix("text_model.")]
        torch.testing.assert_close(parameter.grad, wanted, rtol=1e-3, atol=1e-7, msg=name)
