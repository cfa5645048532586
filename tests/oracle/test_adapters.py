"""T2I-Adapters and ControlLoras against diffusers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import T2IAdapter as TheirAdapter
from safetensors.torch import save_file
from torch import Tensor

from nodes import device
from nodes.control.adapter_config import AdapterConfig, detect_adapter, expected_shapes
from nodes.control.controlnet_config import ControlNetConfig
from nodes.control.handle import ControlError, ControlLora, ControlNet, T2IAdapter
from nodes.control.loading import control_in
from nodes.control.nodes import controlnet_apply_advanced, diff_controlnet_loader, set_union_controlnet_type
from nodes.models import unet_config
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import model_in
from nodes.models.handle import Model
from nodes.models.unet_config import UNetConfig
from nodes.models.weight_changes import Difference
from nodes.models.weight_patches import WeightPatch
from nodes.sampling.areas import Area
from nodes.sampling.condition_inputs import running_control
from nodes.unet.control import Control
from tests.nodes.control.small_control import CONTROL, SIDE, UNET, picture, sampled, small_control, small_model, text
from tests.oracle.control_networks import random_controlnet, random_tensors
from tests.oracle.diffusers_unet import diffusers_unet, random_weights

SD = UNetConfig(
    model_channels=32,
    channel_mult=(1, 2, 4, 4),
    res_blocks=(2, 2, 2, 2),
    input_depth=(1, 1, 1, 1, 1, 1, 0, 0),
    output_depth=(0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    context_width=16,
)
XL = UNetConfig(
    model_channels=64,
    channel_mult=(1, 2, 4),
    res_blocks=(2, 2, 2),
    input_depth=(0, 0, 1, 1, 2, 2),
    middle_depth=2,
    output_depth=(2, 2, 2, 1, 1, 1, 0, 0, 0),
    context_width=48,
    adm_in_channels=16 + 6 * 256,
    linear_projections=True,
)


@pytest.fixture(autouse=True)
def precision():
    device.configure("cpu", "fp32")
    yield
    device.configure()


def their_adapter(kind: str, channels: list[int], in_channels: int) -> Any:
    adapter = TheirAdapter(
        in_channels=in_channels,
        channels=channels,
        num_res_blocks=4 if kind == "light_adapter" else 2,
        downscale_factor=16 if kind == "full_adapter_xl" else 8,
        adapter_type=kind,
    )
    shapes = {name: tuple(tensor.shape) for name, tensor in adapter.state_dict().items()}
    adapter.load_state_dict(random_tensors(shapes))
    return adapter.eval().requires_grad_(False)


def original_layout(state: dict[str, Tensor], is_light: bool) -> dict[str, Tensor]:
    """TencentARC's names, which count full adapters' blocks in one row."""
    found = {}
    for name, tensor in state.items():
        parts = name.removeprefix("adapter.").split(".")
        if "resnets" in parts:
            level, block = int(parts[1]), int(parts[3])
            place = [str(level), "body", str(block)] if is_light else [str(2 * level + block)]
            parts = ["body", *place, *parts[4:]]
        elif parts[0] == "body" and not is_light:
            parts[1] = str(2 * int(parts[1]))
        found[".".join(parts)] = tensor
    return found


KINDS = [
    ("full_adapter", [32, 64, 128, 128], SD),
    ("light_adapter", [32, 64, 128], SD),
    ("full_adapter_xl", [64, 128, 256, 256], XL),
]


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("layout", ["diffusers", "original"])
@pytest.mark.parametrize(("kind", "channels", "unet"), KINDS, ids=[kind for kind, *_ in KINDS])
@torch.no_grad()
def test_adapters_agree_with_diffusers(
    kind: str, channels: list[int], unet: UNetConfig, layout: str, in_channels: int, tmp_path: Path
) -> None:
    theirs = their_adapter(kind, channels, in_channels)
    state = theirs.state_dict()
    stored = state if layout == "diffusers" else original_layout(state, kind == "light_adapter")
    save_file({name: tensor.contiguous() for name, tensor in stored.items()}, tmp_path / "a.safetensors")
    control = control_in(Checkpoint.open(tmp_path / "a.safetensors"))
    assert isinstance(control, T2IAdapter) and control.channels == in_channels
    model = small_model(tmp_path, unet)
    image = picture()
    given = image.movedim(-1, 1)
    features = theirs(given if in_channels == 3 else given.mean(dim=1, keepdim=True))
    steered = controlnet_apply_advanced(
        positive=text(1), negative=text(2), control_net=control, image=image, strength=0.7
    )
    running: Any = running_control(steered.positive[0][1]["control"], model, SIDE, SIDE)
    x, t = torch.randn(2, 4, SIDE, SIDE), torch.tensor([40.0, 40.0])
    context = torch.randn(2, 77, unet.context_width)
    levels = model.sampling.levels()
    found = running.residuals(x, t, context, None, sigma=1.0, levels=levels)
    ours = [residual for residual in (*found.inputs, found.middle) if residual is not None]
    for residual, feature in zip(ours, features, strict=True):
        torch.testing.assert_close(residual, 0.7 * feature.repeat(2, 1, 1, 1), rtol=1e-4, atol=1e-4)
    y, more = None, {}
    if unet.adm_in_channels is not None:
        y = torch.zeros(2, 16)
        more = {"added_cond_kwargs": {"text_embeds": y, "time_ids": torch.zeros(2, 6)}}
    network: Any = model.network()
    reference = diffusers_unet(unet, random_weights(unet))
    if y is not None:
        y = torch.cat([y, reference.add_time_proj(torch.zeros(12)).reshape(2, -1)], dim=1)
    residuals = [(0.7 * feature).repeat(2, 1, 1, 1) for feature in features]
    expected = reference(x, t, context, down_intrablock_additional_residuals=residuals, **more).sample
    result = network(x, t, context, y, found)
    torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert (result - network(x, t, context, y)).abs().max() > 0.01


def test_published_adapters_are_read_from_their_shapes() -> None:
    for config in (
        AdapterConfig(),
        AdapterConfig(picture_channels=1),
        AdapterConfig(3, 8, (320, 640, 1280, 1280), 4, light=True),
        AdapterConfig(3, 16, is_xl=True),
        AdapterConfig(1, 16, is_xl=True),
        AdapterConfig(kernel=3, convolves=True),
        AdapterConfig(projects=True),
    ):
        from nodes.control.adapter import Adapter

        with torch.device("meta"):
            network = Adapter(config)
        shapes = expected_shapes(config)
        assert {name: tuple(t.shape) for name, t in network.state_dict().items()} == shapes
        assert detect_adapter(shapes) == config
        assert detect_adapter({f"adapter.{name}": shape for name, shape in shapes.items()}, "adapter.") == config


def test_adapters_of_another_family_are_an_error(tmp_path: Path) -> None:
    theirs = their_adapter("full_adapter", [32, 64, 128, 128], 3)
    save_file(dict(theirs.state_dict()), tmp_path / "a.safetensors")
    control = control_in(Checkpoint.open(tmp_path / "a.safetensors"))
    with pytest.raises(ControlError, match=r"a.safetensors is a T2I-Adapter.*\[32, 64, 128, 128\].*but the model is"):
        control.check(small_model(tmp_path, XL))


def control_lora(tensors: dict[str, Tensor], model_weights: dict[str, Tensor], rank: int = 2) -> Any:
    """A ControlNet's tensors as a ControlLora's file, and the weights that it stands for."""
    generator = torch.Generator().manual_seed(2)
    stored: dict[str, Tensor] = {"lora_controlnet": torch.zeros(0)}
    meant = {}
    for name, tensor in tensors.items():
        is_norm = tensor.ndim == 1
        if name not in model_weights or is_norm:
            stored[name] = meant[name] = tensor
            continue
        out, inner = tensor.shape[0], tensor.shape[1]
        up = torch.randn(out, rank, *(1 for _ in tensor.shape[2:]), generator=generator) * 0.2
        down = torch.randn(rank, inner, *tensor.shape[2:], generator=generator) * 0.2
        base = name.removesuffix(".weight")
        stored |= {f"{base}.up": up, f"{base}.down": down}
        meant[name] = model_weights[name] + (up.flatten(1) @ down.flatten(1)).reshape(tensor.shape)
    return stored, meant


def residuals(control: Any, model: Model) -> Control:
    steered = controlnet_apply_advanced(positive=text(1), negative=text(2), control_net=control, image=picture())
    running: Any = running_control(steered.positive[0][1]["control"], model, SIDE, SIDE)
    generator = torch.Generator().manual_seed(11)
    x = torch.randn(2, 4, SIDE, SIDE, generator=generator)
    context = torch.randn(2, 77, 16, generator=generator)
    levels = model.sampling.levels()
    found: Control = running.residuals(x, torch.tensor([3.0, 3.0]), context, None, sigma=1.0, levels=levels)
    return found


def same(ours: Control, theirs: Control) -> None:
    for a, b in zip((*ours.skips, ours.middle), (*theirs.skips, theirs.middle), strict=True):
        assert a is not None and b is not None
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().max()))


@torch.no_grad()
def test_a_control_lora_is_the_controlnet_of_the_summed_weights(tmp_path: Path) -> None:
    model = small_model(tmp_path)
    stored, meant = control_lora(random_controlnet(CONTROL), random_weights(UNET))
    save_file({name: t.contiguous() for name, t in stored.items()}, tmp_path / "lora.safetensors")
    save_file(meant, tmp_path / "whole.safetensors")
    control = control_in(Checkpoint.open(tmp_path / "lora.safetensors"))
    whole = control_in(Checkpoint.open(tmp_path / "whole.safetensors"))
    assert isinstance(control, ControlLora) and isinstance(whole, ControlNet)
    same(residuals(control, model), residuals(whole, model))
    before = sampled(model, text(1), text(2))
    both = controlnet_apply_advanced(positive=text(1), negative=text(2), control_net=control, image=picture())
    steered = sampled(model, *both)
    assert torch.equal(sampled(model, *both), steered) and not torch.allclose(steered, before)
    assert torch.equal(sampled(model, text(1), text(2)), before)  # the model's own weights are as they were
    name = "input_blocks.1.0.in_layers.2.weight"
    patch = WeightPatch(name, Difference(torch.full(random_weights(UNET)[name].shape, 0.05)))
    # A LoRA of the model counts in its ControlLora too.
    assert not torch.allclose(
        residuals(control, replace(model, patches=(patch,))).skips[-1],  # type: ignore[arg-type]
        residuals(control, model).skips[-1],  # type: ignore[arg-type]
    )
    with pytest.raises(ControlError, match=r"lora.safetensors is a ControlLora for text 16 wide"):
        control.check(small_model(tmp_path, replace(UNET, context_width=24, linear_projections=True)))


@torch.no_grad()
def test_a_difference_is_added_to_the_models_weights(tmp_path: Path) -> None:
    model = small_model(tmp_path)
    tensors, own = random_controlnet(CONTROL, seed=12), random_weights(UNET)
    difference = {f"control_model.{name}": tensor - own.get(name, 0) for name, tensor in tensors.items()}
    save_file({**difference, "difference": torch.zeros(1)}, tmp_path / "diff.safetensors")
    save_file(tensors, tmp_path / "whole.safetensors")
    context: Any = SimpleNamespace(
        folders=SimpleNamespace(find=lambda folder, name: tmp_path / name)  # the loaders ask for no more
    )
    control = diff_controlnet_loader(model=model, control_net_name="diff.safetensors", context=context)
    whole = control_in(Checkpoint.open(tmp_path / "whole.safetensors"))
    same(residuals(control, model), residuals(whole, model))
    plain = diff_controlnet_loader(model=model, control_net_name="whole.safetensors", context=context)
    same(residuals(plain, model), residuals(whole, model))
    other = small_model(tmp_path, replace(UNET, context_width=24, linear_projections=True))
    with pytest.raises(ControlError, match=r"diff.safetensors is a ControlNet for text 16 wide"):
        diff_controlnet_loader(model=other, control_net_name="diff.safetensors", context=context)


def test_union_types_are_chosen_by_name(tmp_path: Path) -> None:
    from nodes.control.controlnet_config import UnionConfig

    control = small_control(tmp_path, 31, ControlNetConfig(CONTROL.unet, union=UnionConfig(6, 1)))
    model = small_model(tmp_path)
    chosen = set_union_controlnet_type(control_net=control, type="canny/lineart/anime_lineart/mlsd")
    assert chosen.types == (3,)
    found = [residuals(each, model).skips[0] for each in (control, chosen)]
    assert found[0] is not None and found[1] is not None and not torch.allclose(found[0], found[1])
    assert set_union_controlnet_type(control_net=chosen, type="auto") == control
    with pytest.raises(ControlError, match=r"control_31.safetensors knows 6 types of control, but number 7 was asked"):
        set_union_controlnet_type(control_net=control, type="tile")
    single = small_control(tmp_path, 32)
    assert set_union_controlnet_type(control_net=single, type="depth") is single


def test_sizes_that_real_files_have() -> None:
    from nodes.control.handle import adapter_places

    assert adapter_places(AdapterConfig(), unet_config.SD1) == (2, 5, 8, 11)
    assert adapter_places(AdapterConfig(factor=16, is_xl=True), unet_config.SDXL) == (3, 5, 8, None)
    assert adapter_places(AdapterConfig(), unet_config.SDXL) is None
    assert adapter_places(AdapterConfig(factor=16, is_xl=True), unet_config.SD1) is None


def test_an_adapter_works_on_areas_of_odd_sizes(tmp_path: Path) -> None:
    theirs = their_adapter("full_adapter_xl", [64, 128, 256, 256], 3)
    save_file(dict(theirs.state_dict()), tmp_path / "a.safetensors")
    control = control_in(Checkpoint.open(tmp_path / "a.safetensors"))
    model = model_in(Checkpoint.open(small_model(tmp_path, XL).weights.path))
    steered = controlnet_apply_advanced(positive=text(1), negative=text(2), control_net=control, image=picture())
    running: Any = running_control(steered.positive[0][1]["control"], model, SIDE, SIDE)
    area, levels = Area(7, 9, 2, 3), model.sampling.levels()
    x, context = torch.randn(1, 4, 7, 9), torch.randn(1, 77, 48)
    found = running.residuals(x, torch.tensor([3.0]), context, None, sigma=1.0, levels=levels, area=area, items=1)
    network: Any = model.network()
    assert network(x, torch.tensor([3.0]), context, torch.zeros(1, 16 + 6 * 256), found).isfinite().all()
