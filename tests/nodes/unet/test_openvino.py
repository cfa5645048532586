"""U-Nets on OpenVINO: the same numbers as on torch, a graph saved once, and torch for what OpenVINO cannot compute."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from graph.context import executing
from nodes import device
from nodes.changes import network_nodes
from nodes.changes.adding import with_changes
from nodes.device import DeviceError
from nodes.model_folders import folders
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.contents import model_in
from nodes.models.handle import Model
from nodes.models.unet_config import UNetConfig
from nodes.sampling.noise import initial_noise
from nodes.sampling.sample import sample
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.schedules import sigmas_for
from nodes.unet.timestep_embedding import timestep_embedding
from nodes.unet.unet import UNet
from tests.nodes.conftest import NodeContext
from tests.oracle.diffusers_unet import PREFIX, random_weights

openvino = pytest.importorskip("openvino", reason="needs the extra openvino")

SMALL = UNetConfig(
    model_channels=32, channel_mult=(1, 2), res_blocks=(1, 1), input_depth=(1, 1), output_depth=(1, 1, 1, 1)
)
VARIANTS = {
    "SD1": SMALL,
    "SDXL": dataclasses.replace(SMALL, adm_in_channels=20, linear_projections=True, head_count=4, context_width=48),
    "SD2 upscaler": dataclasses.replace(
        SMALL, classes=10, text_only=(False, True), linear_projections=True, head_count=4
    ),
    "Vega": dataclasses.replace(SMALL, middle_depth=None),
    "KOALA": dataclasses.replace(SMALL, middle_depth=None, has_middle=False),
}


@pytest.fixture
def on_openvino() -> Iterator[None]:
    device.configure("cpu", "fp32", "openvino")
    yield
    device.configure()


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """An fp16 file with a small SD1 U-Net."""
    tensors = {PREFIX + name: tensor.half() for name, tensor in random_weights(SMALL).items()}
    save_file(tensors, tmp_path / "small.safetensors")
    return model_in(Checkpoint.open(tmp_path / "small.safetensors"))


@pytest.fixture
def context(tmp_path: Path) -> Iterator[NodeContext]:
    made = NodeContext(folders(tmp_path))
    with executing(made):
        yield made


@pytest.mark.parametrize("name", VARIANTS)
def test_the_graph_computes_what_torch_computes(name: str) -> None:
    from nodes.unet.openvino_graph import unet_graph

    config = VARIANTS[name]
    weights = random_weights(config)
    unet = UNet(config)
    unet.load_state_dict(weights)
    compiled = openvino.Core().compile_model(
        unet_graph(config, weights.__getitem__), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    for batch, height, width, tokens in ((2, 8, 8, 77), (1, 7, 9, 5)):
        x, context = torch.randn(batch, 4, height, width), torch.randn(batch, tokens, config.context_width)
        timesteps, y = torch.full((batch,), 37.0), None
        if config.adm_in_channels is not None:
            y = torch.randn(batch, config.adm_in_channels)
        elif config.classes is not None:
            y = torch.arange(batch) + 3
        inputs = {"x": x, "embedding": timestep_embedding(timesteps, config.model_channels), "context": context}
        inputs |= {} if y is None else {"y": y}
        found = torch.from_numpy(compiled({each: tensor.numpy() for each, tensor in inputs.items()})[0])
        torch.testing.assert_close(found, unet(x, timesteps, context, y), rtol=1e-4, atol=1e-4)


def test_a_run_gives_the_same_latent_and_saves_the_graph_once(
    model: Model, context: NodeContext, on_openvino: None
) -> None:
    from nodes.models import residency

    found = latent(model)
    (saved,) = (context.folders.user / "openvino").iterdir()
    state = (saved / "unet.xml").stat().st_mtime_ns
    assert not [entry for entry in residency.loaded() if entry.source.weights == model.weights]
    residency.free()
    assert torch.equal(found, latent(model))
    assert (saved / "unet.xml").stat().st_mtime_ns == state
    assert context.warnings == []
    device.configure("cpu", "fp32")
    torch.testing.assert_close(found, latent(model), rtol=2e-3, atol=2e-3)


def test_other_sizes_need_no_other_graph(model: Model, context: NodeContext, on_openvino: None) -> None:
    latent(model)
    wide = latent(model, (6, 11))
    assert len(list((context.folders.user / "openvino").iterdir())) == 1
    device.configure("cpu", "fp32")
    torch.testing.assert_close(wide, latent(model, (6, 11)), rtol=2e-3, atol=2e-3)


def test_what_openvino_cannot_compute_runs_on_torch_with_a_warning(
    model: Model, context: NodeContext, on_openvino: None
) -> None:
    free_u = network_nodes.free_u(model=model, b1=1.3, b2=1.4, s1=0.9, s2=0.2)
    found = latent(free_u)
    assert context.warnings == ["the model runs on torch instead of OpenVINO: a node changes the inside of its network"]
    assert not (context.folders.user / "openvino").exists()
    device.configure("cpu", "fp32")
    assert torch.equal(found, latent(free_u))


def test_weight_patches_and_compilation_run_on_torch(model: Model, on_openvino: None) -> None:
    from nodes.unet.openvino_network import reason_for_torch

    patched = network_nodes.unet_self_attention_multiply(model=model, q=0.5, k=1.0, v=1.0, out=1.0)
    assert reason_for_torch(patched) == "its weights are patched (a LoRA, a merge)"
    compiled = with_changes(model, compile=lambda network: network)
    assert reason_for_torch(compiled) == "a node compiles it with torch"
    assert reason_for_torch(dataclasses.replace(model, storage="fp8_e5m2")) == "its weights are kept in fp8_e5m2"
    assert reason_for_torch(model) is None


def test_a_damaged_weight_is_named(tmp_path: Path, context: NodeContext, on_openvino: None) -> None:
    tensors = {PREFIX + name: tensor.half() for name, tensor in random_weights(SMALL).items()}
    tensors[PREFIX + "out.2.weight"][0, 0, 0, 0] = torch.nan
    save_file(tensors, tmp_path / "damaged.safetensors")
    with pytest.raises(CheckpointError, match=r"damaged.safetensors: tensor '.*out.2.weight' holds NaN"):
        latent(model_in(Checkpoint.open(tmp_path / "damaged.safetensors")))
    assert list((context.folders.user / "openvino").iterdir()) == []


def test_a_file_that_changed_is_refused(model: Model, context: NodeContext, on_openvino: None) -> None:
    latent(model)
    os.utime(model.weights.path, ns=(1, 1))
    with pytest.raises(CheckpointError, match="has changed"):
        latent(model)


def test_a_graph_that_openvino_cannot_read_is_reported(model: Model, context: NodeContext, on_openvino: None) -> None:
    from nodes.models import residency
    from nodes.unet.openvino_network import OpenVinoError

    latent(model)
    residency.free()
    (saved,) = (context.folders.user / "openvino").iterdir()
    (saved / "unet.xml").write_text("<net")
    with pytest.raises(OpenVinoError, match=r"cannot compile small.safetensors: .*delete .*openvino"):
        latent(model)


def test_graphs_unused_for_longest_are_deleted(model: Model, context: NodeContext, on_openvino: None) -> None:
    folder = context.folders.user / "openvino"
    for age in range(4):
        (folder / f"old{age}").mkdir(parents=True)
        os.utime(folder / f"old{age}", (1000 - age, 1000 - age))
    latent(model)
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 3 and names[1:] == ["old0", "old1"]


def test_the_backend_is_part_of_the_keys_of_results(on_openvino: None) -> None:
    assert f"openvino {openvino.__version__.split('-')[0]}" in device.tag()


def test_a_missing_package_and_another_device_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="computes on the CPU, and the device is cuda; add --cpu"):
        device.configure("cuda", backend="openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DeviceError, match="not installed; install it with: python install"):
        device.configure("cpu", backend="openvino")
    with pytest.raises(DeviceError, match="--backend onnx: expected one of torch, openvino"):
        device.configure("cpu", backend="onnx")
    assert device.backend() == "torch"


def latent(model: Model, size: tuple[int, int] = (8, 8)) -> Any:
    """Two steps with guidance."""
    shape = (1, 4, *size)

    def prompt(seed: int) -> list[list[Any]]:
        return [[torch.randn(1, 77, SMALL.context_width, generator=torch.Generator().manual_seed(seed)), {}]]

    sigmas = sigmas_for("normal", 2, model.sampling.levels())
    arguments: dict[str, Any] = {"sampler": SAMPLERS["euler"], "positive": prompt(1), "negative": prompt(2)}
    return sample(model, initial_noise(shape, 3), sigmas, scale=4.0, latent=torch.zeros(shape), seed=3, **arguments)
