from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from nodes.models.unet_config import SD1, SDXL, UNetConfig, expected_shapes
from nodes.unet.timestep_embedding import timestep_embedding
from nodes.unet.unet import Control, UNet, UNetInputError

SMALL = UNetConfig(
    model_channels=64,
    channel_mult=(1, 2),
    res_blocks=(1, 1),
    input_depth=(1, 1),
    output_depth=(1, 1, 1, 1),
    context_width=24,
)


@pytest.fixture(scope="module")
def unet() -> UNet:
    torch.manual_seed(0)
    return UNet(SMALL)


def call(unet: UNet, batch: int = 2, side: int = 8, tokens: int = 77, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, unet.config.in_channels, side, side, generator=generator)
    context = torch.randn(batch, tokens, unet.config.context_width, generator=generator)
    return x, torch.full((batch,), 500.0), context


@pytest.mark.parametrize("config", [SD1, SDXL, replace(SMALL, middle_depth=None), replace(SMALL, middle_depth=0)])
def test_modules_and_expected_shapes_name_the_same_tensors(config):
    with torch.device("meta"):
        module = UNet(config)
    assert {name: tuple(t.shape) for name, t in module.state_dict().items()} == expected_shapes(config)


@pytest.mark.parametrize("tokens", [77, 80, 154, 1])
def test_a_projected_context_gives_what_the_context_gives(unet, tokens):
    x, timesteps, context = call(unet, tokens=tokens)
    assert torch.equal(unet(x, timesteps, unet.project_context(context)), unet(x, timesteps, context))


def test_a_batch_gives_what_its_items_give_alone(unet):
    x, timesteps, context = call(unet, batch=3)
    together = unet(x, timesteps, context)
    alone = torch.cat([unet(x[i : i + 1], timesteps[:1], context[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_a_repeated_text_counts_as_the_text(unet):
    x, timesteps, context = call(unet)
    torch.testing.assert_close(
        unet(x, timesteps, context.repeat(1, 2, 1)), unet(x, timesteps, context), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (9, 13), (3, 64)])
def test_any_latent_size(unet, height, width):
    x = torch.randn(1, 4, height, width)
    out = unet(x, torch.tensor([1.0]), torch.randn(1, 77, SMALL.context_width))
    assert out.shape == x.shape
    assert out.isfinite().all()


def test_inputs_are_left_as_they_were(unet):
    x, timesteps, context = call(unet)
    control = Control([torch.randn(2, 64, 8, 8)] * 2, torch.randn(2, 128, 4, 4))
    given = [x, timesteps, context, *control.skips, control.middle]
    before = copy.deepcopy(given)
    unet(x, timesteps, context, control=control)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


def test_control_residuals_are_added_where_they_are_given(unet):
    x, timesteps, context = call(unet)
    plain = unet(x, timesteps, context)
    assert torch.equal(unet(x, timesteps, context, control=Control([None] * 4)), plain)
    zero = torch.zeros(2, 64, 8, 8)
    assert torch.equal(unet(x, timesteps, context, control=Control([zero, None])), plain)
    assert not torch.equal(unet(x, timesteps, context, control=Control([None, zero + 1])), plain)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close_and_float32_comes_out(unet, dtype):
    x, timesteps, context = call(unet)
    half = copy.deepcopy(unet).to(dtype)
    out = half(x, timesteps, context)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, unet(x, timesteps, context), rtol=0.1, atol=0.05)


def test_the_result_may_be_written_to(unet):
    x, timesteps, context = call(unet)
    unet(x, timesteps, context).mul_(2)


def test_weights_survive_use_and_can_be_loaded_again():
    torch.manual_seed(1)
    unet = UNet(SMALL)
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    x, timesteps, context = call(unet)
    first = unet(x, timesteps, context)
    after = unet.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    unet.load_state_dict({name: torch.zeros_like(tensor) for name, tensor in before.items()})
    assert unet(x, timesteps, context).abs().max() == 0
    unet.load_state_dict(before, assign=True)
    assert torch.equal(unet(x, timesteps, context), first)


def test_another_size_after_the_first_gives_what_it_gives_alone():
    torch.manual_seed(1)
    unet = UNet(SMALL)
    fresh = copy.deepcopy(unet)
    unet(*call(unet, batch=2, side=16))
    wanted = call(unet, batch=1, side=6)
    torch.testing.assert_close(unet(*wanted), fresh(*wanted), rtol=1e-6, atol=1e-6)


def test_misfits_are_named(unet):
    x, timesteps, context = call(unet)
    with pytest.raises(UNetInputError, match=r"takes \[batch, 4, height, width\]"):
        unet(x[:, :3], timesteps, context)
    with pytest.raises(UNetInputError, match=r"takes \[batch, tokens, 24\]"):
        unet(x, timesteps, context[..., :20])
    with pytest.raises(UNetInputError, match="2 latents were given with texts for 1"):
        unet(x, timesteps, context[:1])
    with pytest.raises(UNetInputError, match="this U-Net takes none"):
        unet(x, timesteps, context, y=torch.zeros(2, 10))
    with torch.device("meta"):
        sdxl = UNet(SDXL)
    with pytest.raises(UNetInputError, match=r"takes \[2, 2816\]"):
        sdxl(x, timesteps, torch.zeros(2, 77, 2048))


def test_timestep_embedding_is_cosines_then_sines():
    found = timestep_embedding(torch.tensor([0.0, 10.0]), 5)
    assert found.tolist()[0] == [1, 1, 0, 0, 0]
    frequency = 10_000**-0.5
    expected = torch.tensor([10.0, 10 * frequency]).double()
    torch.testing.assert_close(found[1, :4].double(), torch.cat([expected.cos(), expected.sin()]), rtol=0, atol=1e-6)
