"""Saved models are bit-identical when loaded again, and have the layout that other programs expect."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from nodes import device
from nodes.merging import nodes
from nodes.merging.saving_nodes import checkpoint_save, clip_save, model_save, vae_save
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.models.families import SD2 as SD2_FAMILY
from nodes.models.handle import Clip, Model, Vae
from nodes.models.model_sampling import ContinuousSampling, ModelSampling
from nodes.models.vae_config import VaeConfig, expected_shapes
from tests.nodes.conftest import NodeContext
from tests.oracle.small_checkpoints import REFINER, SD2, SDXL, Small

VAE = VaeConfig(encoder_widths=(32, 32), encoder_blocks=1, decoder_widths=(32, 32), decoder_blocks=2)
WORKFLOW = {"1": {"class_type": "CheckpointSave", "inputs": {}}}


def write(small: Small, path: Path, dtype: torch.dtype = torch.float16) -> tuple[Model, Clip, Vae]:
    small.write(path)
    generator = torch.Generator().manual_seed(4)
    tensors = load_file(path)
    for name, shape in expected_shapes(VAE).items():
        tensors["first_stage_model." + name] = torch.randn(shape, generator=generator) * 0.05
    save_file({name: tensor.to(dtype).contiguous() for name, tensor in tensors.items()}, path)
    opened = Checkpoint.open(path)
    return contents.model_in(opened), contents.text_encoder_in(opened), contents.vae_in(opened)


def save(context: NodeContext, node: Any, **inputs: Any) -> list[Path]:
    own = NodeContext(context.folders, node_id=node.__name__)
    result = node(**inputs, prompt=WORKFLOW, extra_pnginfo={"workflow": {"nodes": []}}, context=own)
    return [context.folders.output / file["subfolder"] / file["filename"] for file in result.ui["files"]]


def states(model: Model | None, clip: Clip | None, vae: Vae | None) -> dict[str, Tensor]:
    parts: dict[str, Any] = {} if model is None else {"model": model}
    parts |= {} if clip is None else {encoder.role.name: encoder for encoder in clip.encoders}
    parts |= {} if vae is None else {"vae": vae}
    return {f"{part}.{name}": t for part, each in parts.items() for name, t in each.network().state_dict().items()}


def same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in found.items())


@pytest.mark.parametrize("small", [SD2, SDXL, REFINER], ids=["sd2", "sdxl", "refiner"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_checkpoint_is_the_same_after_saving(
    small: Small, dtype: torch.dtype, context: NodeContext, tmp_path: Path
) -> None:
    model, clip, vae = write(small, tmp_path / "m.safetensors", dtype)
    (path,) = save(context, checkpoint_save, model=model, clip=clip, vae=vae)
    assert path == context.folders.output / "checkpoints" / "ComfyUI_00001_.safetensors"
    again = Checkpoint.open(path)
    loaded = contents.model_in(again), contents.text_encoder_in(again), contents.vae_in(again)
    assert (loaded[0].family, loaded[0].sampling, loaded[0].latent) == (model.family, model.sampling, model.latent)
    same(states(*loaded), states(model, clip, vae))
    # The file has the same tensors in the same layout and precision as the one that it came from.
    first, second = load_file(tmp_path / "m.safetensors"), load_file(path)
    left = {name for name in first if name.endswith("logit_scale")}
    assert first.keys() - left == second.keys()
    assert all(second[name].dtype == dtype and torch.equal(first[name], second[name]) for name in second)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_merge_is_the_same_after_saving(precision: str, context: NodeContext, tmp_path: Path) -> None:
    device.configure("cpu", precision)
    try:
        first, clip, vae = write(SDXL, tmp_path / "1.safetensors")
        second = contents.model_in(Checkpoint.open(SDXL.write(tmp_path / "2.safetensors")))
        other = contents.text_encoder_in(Checkpoint.open(tmp_path / "2.safetensors"))
        model = nodes.model_merge_simple(model1=first, model2=second, ratio=0.3)
        merged = nodes.clip_merge_simple(clip1=clip, clip2=other, ratio=0.6)
        (path,) = save(context, checkpoint_save, model=model, clip=merged, vae=vae, filename_prefix="a/b")
        again = Checkpoint.open(path)
        loaded = contents.model_in(again), contents.text_encoder_in(again), contents.vae_in(again)
        same(states(*loaded), states(model, merged, vae))
    finally:
        device.configure("cpu", "auto")


def test_the_workflow_is_in_the_metadata(context: NodeContext, tmp_path: Path) -> None:
    model, clip, vae = write(SDXL, tmp_path / "m.safetensors")
    (path,) = save(context, checkpoint_save, model=model, clip=clip, vae=vae)
    with safe_open(path, "pt") as file:
        texts = file.metadata()
    assert json.loads(texts["prompt"]) == WORKFLOW and json.loads(texts["workflow"]) == {"nodes": []}
    assert texts["modelspec.architecture"] == "stable-diffusion-xl-v1-base"
    assert texts["modelspec.prediction_type"] == "epsilon"


def test_parts_are_saved_alone(context: NodeContext, tmp_path: Path) -> None:
    model, clip, vae = write(SDXL, tmp_path / "m.safetensors")
    (unet,) = save(context, model_save, model=model)
    assert unet.parent.name == "diffusion_models"
    same(states(contents.model_in(Checkpoint.open(unet)), None, None), states(model, None, None))
    encoders = save(context, clip_save, clip=clip)
    assert [path.name for path in encoders] == [f"ComfyUI_clip_{name}_00001_.safetensors" for name in "lg"]
    for path, name in zip(encoders, "lg", strict=True):
        loaded = contents.text_encoder_in(Checkpoint.open(path)).encoders[0]
        assert loaded.config.width == clip.encoder(name).config.width
        found, wanted = loaded.network().state_dict(), clip.encoder(name).network().state_dict()
        same(found, wanted)
    (path,) = save(context, vae_save, vae=vae)
    assert path.name == "ComfyUI_vae_00001_.safetensors"
    same(states(None, None, contents.vae_in(Checkpoint.open(path))), states(None, None, vae))


@pytest.mark.parametrize(
    "sampling",
    [
        ModelSampling("v"),
        ModelSampling("v", zero_terminal_snr=True),
        ModelSampling("eps", zero_terminal_snr=True),
        ContinuousSampling("v", 0.002, 120.0),
    ],
)
@pytest.mark.parametrize("small", [SD2, SDXL], ids=["sd2", "sdxl"])
def test_how_a_model_is_sampled_is_saved(sampling: Any, small: Small, context: NodeContext, tmp_path: Path) -> None:
    model, _, _ = write(small, tmp_path / "m.safetensors")
    (path,) = save(context, model_save, model=replace(model, sampling=sampling))
    assert contents.model_in(Checkpoint.open(path)).sampling == sampling


def test_playgrounds_latents_are_saved(context: NodeContext, tmp_path: Path) -> None:
    markers = {"edm_mean": torch.tensor([1.0, 2, 3, 4]), "edm_std": torch.tensor([5.0, 6, 7, 8])}
    model = contents.model_in(Checkpoint.open(SDXL.write(tmp_path / "m.safetensors", markers)))
    (path,) = save(context, model_save, model=model)
    again = contents.model_in(Checkpoint.open(path))
    assert again.latent == model.latent and again.sampling == model.sampling


def test_sampling_that_no_file_can_state_is_a_warning(
    context: NodeContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, _, _ = write(SD2, tmp_path / "m.safetensors")
    assert model.family == SD2_FAMILY
    save(context, model_save, model=replace(model, sampling=ModelSampling("x0")))
    assert "no file can say how this model is sampled" in caplog.text


def test_float8_stays_float8(context: NodeContext, tmp_path: Path) -> None:
    path = SD2.write(tmp_path / "m.safetensors")
    tensors = {name: t.to(torch.float8_e4m3fn) if t.ndim == 2 else t for name, t in load_file(path).items()}
    save_file(tensors, path)
    model = contents.model_in(Checkpoint.open(path))
    (saved,) = save(context, model_save, model=model)
    assert {name: t.dtype for name, t in load_file(saved).items() if "attn1.to_q" in name}.popitem()[1] == (
        torch.float8_e4m3fn
    )
    same(states(contents.model_in(Checkpoint.open(saved)), None, None), states(model, None, None))
