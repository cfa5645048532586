"""OpenCLIP's layout of text encoders is read as transformers'."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nodes.models.checkpoint import Checkpoint
from nodes.models.openclip_names import Source, translated
from nodes.models.text_config import TextConfig, detect_text, expected_shapes


def openclip_shapes(prefix: str, width: int, layers: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes as open_clip's CLIP has them."""
    shapes: dict[str, tuple[int, ...]] = {
        "positional_embedding": (77, width),
        "text_projection": (width, width),
        "token_embedding.weight": (49408, width),
        "logit_scale": (),
        "ln_final.weight": (width,),
        "ln_final.bias": (width,),
    }
    for number in range(layers):
        block = f"transformer.resblocks.{number}."
        shapes |= {
            f"{block}attn.in_proj_weight": (3 * width, width),
            f"{block}attn.in_proj_bias": (3 * width,),
            f"{block}attn.out_proj.weight": (width, width),
            f"{block}attn.out_proj.bias": (width,),
            f"{block}mlp.c_fc.weight": (4 * width, width),
            f"{block}mlp.c_fc.bias": (4 * width,),
            f"{block}mlp.c_proj.weight": (width, 4 * width),
            f"{block}mlp.c_proj.bias": (width,),
        }
        shapes |= {f"{block}ln_{n}.{part}": (width,) for n in (1, 2) for part in ("weight", "bias")}
    return {prefix + name: shape for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("prefix", "width", "layers"),
    [("cond_stage_model.model.", 1024, 24), ("conditioner.embedders.1.model.", 1280, 32), ("", 1280, 32)],
)
def test_published_sizes_come_out_in_transformers_names(prefix: str, width: int, layers: int) -> None:
    shapes = openclip_shapes(prefix, width, layers) | {"first_stage_model.quant_conv.bias": (8,)}
    places = translated(shapes)
    found = {name: place.shape(shapes[place.name]) for name, place in places.items()}
    config = detect_text(found, prefix, "gelu")
    assert config == TextConfig(width, layers, 4 * width, activation="gelu", projection=width)
    expected = {prefix + name: shape for name, shape in expected_shapes(config).items()}
    assert found == {**expected, prefix + "logit_scale": (), "first_stage_model.quant_conv.bias": (8,)}


def test_other_files_keep_their_names() -> None:
    vision = {"visual.transformer.resblocks.0.attn.in_proj_weight": (96, 32), "visual.class_embedding": (32,)}
    assert translated(vision) == {name: Source(name) for name in vision}


def test_thirds_and_transposes_are_read_from_the_file(tmp_path: Path) -> None:
    packed, projection = torch.arange(6 * 2.0).view(6, 2), torch.arange(8.0).view(2, 4)
    shapes = openclip_shapes("m.", 2, 1)
    tensors = {name: torch.zeros(shape) for name, shape in shapes.items() if "token" not in name}
    tensors |= {
        "m.token_embedding.weight": torch.zeros(4, 2),
        "m.transformer.resblocks.0.attn.in_proj_weight": packed,
        "m.text_projection": projection,
    }
    save_file(tensors, tmp_path / "m.safetensors")
    checkpoint = Checkpoint.open(tmp_path / "m.safetensors")
    layer = "m.text_model.encoder.layers.0.self_attn."
    for third, name in enumerate(("q_proj", "k_proj", "v_proj")):
        assert torch.equal(checkpoint.tensor(f"{layer}{name}.weight"), packed[2 * third : 2 * third + 2])
    assert checkpoint.shapes["m.text_projection.weight"] == (4, 2)
    assert torch.equal(checkpoint.tensor("m.text_projection.weight"), projection.T)
