"""Facts about a model are read from its header, without torch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graph.formats.model_header import ModelHeader, family_in, notes, read_header, trigger_words

UNET = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
ATTENTION = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


def written(path: Path, header: object) -> Path:
    data = json.dumps(header).encode()
    path.write_bytes(len(data).to_bytes(8, "little") + data)
    return path


def test_shapes_and_texts_are_read(tmp_path: Path) -> None:
    header = {
        "__metadata__": {"modelspec.title": "Ink", "number": 3},
        "a.weight": {"dtype": "F16", "shape": [4, 768], "data_offsets": [0, 6144]},
        "broken": [],
    }
    found = read_header(written(tmp_path / "a.safetensors", header))
    assert found == ModelHeader({"a.weight": (4, 768)}, {"modelspec.title": "Ink"})


@pytest.mark.parametrize("data", [b"", b"\xff" * 20, (2).to_bytes(8, "little") + b"[]", b"PK\x03\x04 a pickle"])
def test_other_files_have_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(data)
    assert read_header(tmp_path / "a.safetensors") is None


@pytest.mark.parametrize(
    ("name", "shape", "family"),
    [
        (UNET, (320, 768), "SD1"),
        (UNET, (320, 1024), "SD2"),
        (UNET, (640, 2048), "SDXL"),
        (UNET, (768, 1280), "SDXL refiner"),
        (UNET, (64, 128), None),
        (f"{ATTENTION}.lora_down.weight", (8, 768), "SD1"),
        (f"{ATTENTION}.hada_w1_b", (8, 2048), "SDXL"),
        ("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight", (4, 2048), "SDXL"),
        ("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora.down.weight", (4, 768), "SD1"),
        ("control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", (320, 1024), "SD2"),
        ("text_model.embeddings.token_embedding.weight", (49408, 768), "CLIP ViT-L"),
        ("emb_params", (2, 1024), "SD2"),
        ("clip_g", (1, 1280), "SDXL"),
        ("double_blocks.0.img_attn.qkv.weight", (9216, 3072), "Flux"),
        ("decoder.conv_in.weight", (512, 4, 3, 3), None),
    ],
)
def test_the_width_of_the_text_tells_the_family(name: str, shape: tuple[int, ...], family: str | None) -> None:
    assert family_in(ModelHeader({name: shape}, {})) == family


def test_a_checkpoints_text_encoder_does_not_tell_its_family() -> None:
    shapes = {
        UNET: (640, 2048),
        "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight": (49408, 768),
    }
    assert family_in(ModelHeader(shapes, {})) == "SDXL"


@pytest.mark.parametrize(
    ("metadata", "family"),
    [
        ({"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, "SDXL"),
        ({"ss_base_model_version": "sd_v1"}, "SD1"),
        ({"ss_base_model_version": "something new"}, None),
    ],
)
def test_the_maker_tells_the_family_of_other_files(metadata: dict[str, str], family: str | None) -> None:
    assert family_in(ModelHeader({"lora_te_text_model_encoder.lora_down.weight": (4, 768)}, metadata)) == family


def test_words_are_counted_over_all_datasets() -> None:
    counted = {"5_ink": {"ink drawing": 30, "cat": 4, " ": 9}, "2_more": {"cat": 40, "broken": "x"}}
    metadata = {"ss_tag_frequency": json.dumps(counted), "modelspec.trigger_phrase": "in ink style"}
    assert trigger_words(metadata) == ["in ink style", "cat", "ink drawing"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": []}', "[" * 5000])
def test_broken_counts_are_no_words(text: str) -> None:
    assert trigger_words({"ss_tag_frequency": text}) == []


def test_notes_are_what_the_maker_wrote() -> None:
    metadata = {"modelspec.title": "Ink", "modelspec.author": "", "ss_network_dim": "8", "ss_sd_model_name": "None"}
    assert notes(metadata) == {"title": "Ink", "rank": "8"}
