"""LoRAs extracted from differences: the largest singular vectors, in files that load again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nodes.lora.application import apply
from nodes.lora.extraction import ExtractionError, low_rank
from nodes.lora.extraction_nodes import lora_save
from nodes.lora.sources import LoraFile
from nodes.merging import nodes as merging
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from tests.nodes.conftest import NodeContext
from tests.oracle.small_checkpoints import SDXL


@pytest.mark.parametrize("shape", [(40, 24), (24, 40), (24, 10, 3, 3), (40, 6, 1, 1)])
@pytest.mark.parametrize("rank", [1, 5, 100])
def test_the_factors_are_the_best_of_their_rank(shape: tuple[int, ...], rank: int) -> None:
    difference = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    up, down = low_rank(difference, rank)
    kept = min(rank, shape[0], difference[0].numel())
    assert up.shape == (shape[0], kept, *(1 for _ in shape[2:])) and down.shape == (kept, *shape[1:])
    left, values, right = torch.linalg.svd(difference.flatten(1), full_matrices=False)
    best = left[:, :kept] * values[:kept] @ right[:kept]
    torch.testing.assert_close(up.flatten(1) @ down.flatten(1), best, rtol=1e-4, atol=1e-4)


def write(path: Path, seed: int) -> Checkpoint:
    SDXL.write(path)
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: t + torch.randn(t.shape, generator=generator) * 0.1 if t.ndim else t
        for name, t in load_file(path).items()
    }
    save_file(tensors, path)
    return Checkpoint.open(path)


def state(handle: Any) -> dict[str, Tensor]:
    found: dict[str, Tensor] = handle.network().state_dict()
    return found


@pytest.mark.parametrize("kind", ["standard", "full_diff"])
def test_a_lora_of_full_rank_turns_one_model_into_the_other(kind: str, context: NodeContext, tmp_path: Path) -> None:
    files = [write(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2)]
    models, clips = [contents.model_in(file) for file in files], [contents.text_encoder_in(file) for file in files]
    difference = merging.model_merge_subtract(model1=models[1], model2=models[0], multiplier=1.0)
    text = merging.clip_merge_subtract(clip1=clips[1], clip2=clips[0], multiplier=1.0)
    result = lora_save(
        rank=4096, lora_type=kind, model_diff=difference, text_encoder_diff=text, prompt={}, context=context
    )
    (file,) = result.ui["files"]
    path = context.folders.output / file["subfolder"] / file["filename"]
    assert path.name == "ComfyUI_extracted_lora_00001_.safetensors" and path.parent.name == "loras"
    assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float16}
    applied = apply(LoraFile.open(Checkpoint.open(path)), models[0], clips[0], 1.0, 1.0)
    assert applied.model is not None and applied.clip is not None
    for name, weight in state(applied.model).items():
        torch.testing.assert_close(weight, state(models[1])[name], rtol=0, atol=2e-3)
    embeddings = {"text_model.embeddings.token_embedding", "text_model.embeddings.position_embedding"}
    for encoder in "lg":
        for name, weight in state(applied.clip.encoder(encoder)).items():
            if name.rpartition(".")[0] not in embeddings:
                torch.testing.assert_close(weight, state(clips[1].encoder(encoder))[name], rtol=0, atol=2e-3)
    assert applied.warnings == ()


def test_biases_are_left_out_on_request_and_layers_that_do_not_differ_always(
    context: NodeContext, tmp_path: Path
) -> None:
    first = write(tmp_path / "1.safetensors", 1)
    tensors = load_file(tmp_path / "1.safetensors")
    changed = "input_blocks.1.0.emb_layers.1"
    for ending in ("weight", "bias"):
        tensors[f"model.diffusion_model.{changed}.{ending}"] += 1
    save_file(tensors, tmp_path / "2.safetensors")
    second = contents.model_in(Checkpoint.open(tmp_path / "2.safetensors"))
    difference = merging.model_merge_subtract(model1=second, model2=contents.model_in(first), multiplier=1.0)
    for with_biases, endings in ((False, {"lora_up.weight", "lora_down.weight"}), (True, {"diff_b"})):
        own = NodeContext(context.folders, node_id=str(with_biases))
        result = lora_save(rank=1, lora_type="standard", bias_diff=with_biases, model_diff=difference, context=own)
        names = set(load_file(context.folders.output / "loras" / result.ui["files"][0]["filename"]))
        assert {f"diffusion_model.{changed}.{ending}" for ending in endings} <= names
        assert len(names) == 2 + with_biases


def test_nothing_to_extract_from(context: NodeContext) -> None:
    with pytest.raises(ExtractionError, match="connect model_diff or text_encoder_diff"):
        lora_save(rank=1, lora_type="standard", context=context)
