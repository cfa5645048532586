"""ControlNets against diffusers, in both layouts of names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel
from safetensors.torch import save_file
from torch import Tensor

from nodes.control.controlnet import ControlNet, hint_of, residuals
from nodes.control.controlnet_config import ControlNetConfig, UnionConfig
from nodes.control.handle import ControlNet as ControlNetHandle
from nodes.control.loading import control_in
from nodes.models.checkpoint import Checkpoint
from nodes.models.unet_config import UNetConfig
from nodes.unet.control import Control
from tests.oracle.control_networks import SD1_LIKE, SD2_LIKE, SDXL_LIKE, diffusers_controlnet, random_tensors

HINTS = (16, 16, 32, 32, 96, 96, 256)


def load(path: Path) -> ControlNet:
    handle = control_in(Checkpoint.open(path))
    assert isinstance(handle, ControlNetHandle)
    network: Any = handle.weights.resident(ControlNet, torch.float32, torch.device("cpu"))
    return network


def inputs(unet: UNetConfig, height: int, width: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    adm = unet.adm_in_channels
    y = None
    if adm is not None:
        y = torch.cat([torch.randn(2, adm - 6 * 256, generator=generator), torch.zeros(2, 6 * 256)], dim=1)
    return {
        "x": torch.randn(2, 4, height, width, generator=generator),
        "picture": torch.rand(2, 3, 8 * height, 8 * width, generator=generator),
        "timesteps": torch.tensor([17.0, 901.0]),
        "context": torch.randn(2, 77, unet.context_width, generator=generator),
        "y": y,
    }


def ours(network: ControlNet, given: dict[str, Any], types: tuple[int, ...] = ()) -> Control:
    hint = hint_of(network, given["picture"], types)
    context = network.project_context(given["context"])
    return residuals(network, network, given["x"], hint, given["timesteps"], context, given["y"])


def theirs(model: Any, given: dict[str, Any], types: tuple[int, ...] = ()) -> tuple[Any, Tensor]:
    more: dict[str, Any] = {"controlnet_cond": given["picture"]}
    if types:
        chosen = torch.zeros(2, model.config.num_control_type)
        chosen[:, list(types)] = 1
        more = {"controlnet_cond": [given["picture"]] * len(types), "control_type": chosen}
        more["control_type_idx"] = list(types)
    if given["y"] is not None:
        pooled = given["y"][:, : -6 * 256]
        # Sizes of 0 embed as cosines of 0 and sines of 0.
        ids = torch.zeros(2, 6)
        given["y"] = torch.cat([pooled, model.add_time_proj(ids.flatten()).reshape(2, -1)], dim=1)
        more["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": ids}
    found = model(given["x"], given["timesteps"], given["context"], **more)
    return found.down_block_res_samples, found.mid_block_res_sample


def agree(control: Control, expected: tuple[Any, Tensor]) -> None:
    skips, middle = expected
    assert len(control.skips) == len(skips)
    for found, wanted in zip((*control.skips, control.middle), (*skips, middle), strict=True):
        assert found is not None and wanted.std() > 0.01
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("size", [(8, 8), (9, 13)])
@pytest.mark.parametrize("unet", [SD1_LIKE, SD2_LIKE, SDXL_LIKE], ids=["sd1", "sd2", "sdxl"])
@torch.no_grad()
def test_residuals_agree_with_diffusers(unet: UNetConfig, size: tuple[int, int], tmp_path: Path) -> None:
    model = diffusers_controlnet(ControlNetConfig(unet, hint_widths=HINTS))
    save_file({name: t.contiguous() for name, t in model.state_dict().items()}, tmp_path / "c.safetensors")
    network, given = load(tmp_path / "c.safetensors"), inputs(unet, *size)
    expected = theirs(model, given)
    agree(ours(network, given), expected)


@torch.no_grad()
def test_sdxls_small_controlnets_have_no_attention(tmp_path: Path) -> None:
    """As in diffusers/controlnet-canny-sdxl-1.0-small."""
    model: Any = ControlNetModel(
        down_block_types=("DownBlock2D", "DownBlock2D"),
        mid_block_type="UNetMidBlock2D",
        block_out_channels=(64, 128),
        layers_per_block=1,
        transformer_layers_per_block=0,
        attention_head_dim=(1, 2),
        cross_attention_dim=48,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=16 + 6 * 256,
        conditioning_embedding_out_channels=(16, 32, 96, 256),
    )
    model.load_state_dict(random_tensors({name: tuple(t.shape) for name, t in model.state_dict().items()}))
    save_file({name: t.contiguous() for name, t in model.state_dict().items()}, tmp_path / "s.safetensors")
    network, given = load(tmp_path / "s.safetensors"), inputs(SDXL_LIKE, 8, 8)
    assert network.config.context_width == 0
    expected = theirs(model.eval(), given)
    agree(ours(network, given), expected)


@pytest.mark.parametrize("prefix", ["control_model.", ""])
@torch.no_grad()
def test_the_original_layout_is_the_same_network(prefix: str, tmp_path: Path) -> None:
    model = diffusers_controlnet(ControlNetConfig(SD1_LIKE))
    save_file({name: t.contiguous() for name, t in model.state_dict().items()}, tmp_path / "d.safetensors")
    network = load(tmp_path / "d.safetensors")
    original = {prefix + name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(original, tmp_path / "o.safetensors")
    given = inputs(SD1_LIKE, 8, 8)
    agree(ours(load(tmp_path / "o.safetensors"), given), theirs(model, given))


@pytest.mark.parametrize("types", [(0,), (3,), (1, 4)])
@torch.no_grad()
def test_union_controlnets_agree_with_diffusers(types: tuple[int, ...], tmp_path: Path) -> None:
    config = ControlNetConfig(SDXL_LIKE, union=UnionConfig(6, 2))
    model: Any = diffusers_controlnet(config)
    for layer in model.transformer_layes:
        # diffusers' attention runs across the batch here, so that pictures of one batch would depend on each other;
        # ComfyUI's runs across the pictures and the latent of one item, and so does ours.
        layer.attn.batch_first = True
    save_file({name: t.contiguous() for name, t in model.state_dict().items()}, tmp_path / "u.safetensors")
    network = load(tmp_path / "u.safetensors")
    assert network.control_config.union == config.union
    given = inputs(SDXL_LIKE, 8, 8)
    expected = theirs(model, given, types)
    agree(ours(network, given, types), expected)
