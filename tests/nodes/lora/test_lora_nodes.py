"""The LoRA nodes: strength, order, files that do not fit, and messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graph.context import executing
from graph.folders import Folders
from nodes import model_folders
from nodes.lora.errors import LoraError
from nodes.lora.key_names import unet_layers
from nodes.lora.nodes import lora_loader, lora_loader_model_only
from nodes.models import contents, residency, unet_config
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.diffusers_names import diffusers_names
from nodes.models.handle import Clip, Model
from nodes.models.unet_config import UNetConfig, expected_shapes
from tests.oracle.small_checkpoints import OPENCLIP, SD2

QUERY = "input_blocks.1.1.transformer_blocks.0.attn1.to_q"
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1"
WIDTH = 64


class Place:
    """A context: folders, and the warnings that are shown on the node."""

    def __init__(self, folders: Folders):
        self.folders = folders
        self.shown: list[str] = []

    def show_warning(self, text: str) -> None:
        self.shown.append(text)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "models" / "loras").mkdir(parents=True)
    return Place(model_folders.folders(tmp_path))


@pytest.fixture
def models(tmp_path: Path) -> tuple[Model, Clip]:
    checkpoint = Checkpoint.open(SD2.write(tmp_path / "model.safetensors"))
    return contents.model_in(checkpoint), contents.text_encoder_in(checkpoint)


def write(place: Place, tensors: dict[str, Tensor], name: str = "a.safetensors") -> str:
    save_file(tensors, place.folders.input.parent / "models" / "loras" / name)
    return name


def layer(key: str, out: int, inner: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        f"{key}.lora_up.weight": torch.randn(out, 2, generator=generator),
        f"{key}.lora_down.weight": torch.randn(2, inner, generator=generator),
        f"{key}.alpha": torch.tensor(1.0),
    }


def kohya(config: UNetConfig, name: str) -> str:
    return "lora_unet_" + diffusers_names(config)[name].replace(".", "_")


def product(tensors: dict[str, Tensor], key: str) -> Tensor:
    return tensors[f"{key}.lora_up.weight"] @ tensors[f"{key}.lora_down.weight"] / 2


def both(place: Place, models: tuple[Model, Clip], name: str, strength: float = 1.0, text: float = 1.0) -> Any:
    context: Any = place
    with executing(context):
        return lora_loader(
            model=models[0],
            clip=models[1],
            lora_name=name,
            strength_model=strength,
            strength_clip=text,
            context=context,
        )


def query(model: Model) -> Tensor:
    return model.network().state_dict()[f"{QUERY}.weight"]


def test_both_parts_change_with_their_own_strength(place: Place, models: tuple[Model, Clip]) -> None:
    key = kohya(SD2.unet, QUERY)
    tensors = {**layer(key, WIDTH, WIDTH), **layer(TEXT, OPENCLIP.mlp, OPENCLIP.width)}
    model, clip = both(place, models, write(place, tensors), 0.5, -2.0)
    torch.testing.assert_close(query(model), query(models[0]) + 0.5 * product(tensors, key))
    name = "text_model.encoder.layers.0.mlp.fc1.weight"
    plain, changed = (each.encoder("h").network().state_dict()[name] for each in (models[1], clip))
    torch.testing.assert_close(changed, plain - 2 * product(tensors, TEXT))
    assert place.shown == []


def test_strength_0_reads_nothing(place: Place, models: tuple[Model, Clip]) -> None:
    model, clip = both(place, models, "there is no such file.safetensors", 0.0, 0.0)
    assert model is models[0] and clip is models[1]
    context: Any = place
    assert lora_loader_model_only(model=model, lora_name="../x", strength_model=0.0, context=context) is model
    fingerprint = lora_loader.node_type.fingerprint  # type: ignore[attr-defined]
    assert fingerprint(lora_name="none", strength_model=0.0, strength_clip=0, folders=place.folders) is None


def test_a_part_at_strength_0_is_not_held_against_the_file(place: Place, models: tuple[Model, Clip]) -> None:
    """The U-Net's layers are another family's; at strength 0 that does not matter."""
    name = write(place, {**layer("lora_unet_nowhere", 8, 8), **layer(TEXT, OPENCLIP.mlp, OPENCLIP.width)})
    model, clip = both(place, models, name, 0.0)
    assert model == models[0] and clip != models[1]
    with pytest.raises(LoraError):
        both(place, models, name)


def test_loras_add_up_in_any_order(place: Place, models: tuple[Model, Clip]) -> None:
    key = kohya(SD2.unet, QUERY)
    first, second = layer(key, WIDTH, WIDTH, seed=1), layer(key, WIDTH, WIDTH, seed=2)
    names = write(place, first, "1.safetensors"), write(place, second, "2.safetensors")
    model: Model = models[0]
    for name in names:
        model = both(place, (model, models[1]), name)[0]
    expected = query(models[0]) + product(first, key) + product(second, key)
    torch.testing.assert_close(query(model), expected)


def test_the_same_lora_again_shares_the_patched_layers(place: Place, models: tuple[Model, Clip]) -> None:
    """Handles are compared by value: a node that runs again costs no second copy of the layers."""
    name = write(place, layer(kohya(SD2.unet, QUERY), WIDTH, WIDTH))
    first, second = (both(place, models, name)[0] for _ in range(2))
    assert first == second and first != models[0]
    assert query(first) is query(second) or query(first).data_ptr() == query(second).data_ptr()
    assert sum(patch.nbytes for patch in first.patches) == 0


def test_taking_a_lora_back_gives_the_same_bits(place: Place, models: tuple[Model, Clip]) -> None:
    before = query(models[0]).clone()
    changed = both(place, models, write(place, layer(kohya(SD2.unet, QUERY), WIDTH, WIDTH)))[0]
    assert not torch.equal(query(changed), before)
    assert torch.equal(query(models[0]), before)
    residency.free()
    assert torch.equal(query(models[0]), before)


@pytest.mark.parametrize(
    ("config", "label"), [(unet_config.SD1, "SD1"), (unet_config.SDXL, "SDXL")], ids=["sd1", "sdxl"]
)
def test_a_lora_of_another_family_is_refused(
    config: UNetConfig, label: str, place: Place, models: tuple[Model, Clip]
) -> None:
    shapes = expected_shapes(config)
    tensors: dict[str, Tensor] = {}
    for name in diffusers_names(config):
        if name.endswith(("attn2.to_k", "attn1.to_q")):
            tensors |= layer(kohya(config, name), *shapes[f"{name}.weight"])
    with pytest.raises(LoraError, match=rf"a\.safetensors: is a LoRA for {label}; the model is "):
        both(place, models, write(place, tensors))


def test_a_lora_of_a_family_that_sumi_does_not_run(place: Place, models: tuple[Model, Clip]) -> None:
    name = write(place, layer("lora_unet_double_blocks_0_img_attn_proj", 8, 8))
    with pytest.raises(LoraError, match="is a LoRA for Flux, which Sumi does not run"):
        both(place, models, name)


def test_a_text_encoder_of_another_width_is_refused(place: Place, models: tuple[Model, Clip]) -> None:
    name = write(place, layer(TEXT, 3072, 768))
    with pytest.raises(LoraError, match="is for another text encoder than OpenCLIP ViT-H"):
        both(place, models, name)


def test_a_lora_of_the_part_that_is_not_connected_is_a_warning(place: Place, models: tuple[Model, Clip]) -> None:
    context: Any = place
    name = write(place, layer(TEXT, OPENCLIP.mlp, OPENCLIP.width))
    with executing(context):
        model = lora_loader_model_only(model=models[0], lora_name=name, strength_model=1.0, context=context)
    assert model == models[0]
    assert len(place.shown) == 1 and "changes only the text encoder" in place.shown[0]


def test_tensors_left_over_are_counted(place: Place, models: tuple[Model, Clip]) -> None:
    tensors = {
        **layer(kohya(SD2.unet, QUERY), WIDTH, WIDTH),
        **layer("lora_unet_down_blocks_7_proj_in", 4, 4),
        "mystery": torch.zeros(2),
    }
    model, _ = both(place, models, write(place, tensors))
    assert model != models[0]
    assert len(place.shown) == 1
    assert "4 of 7 tensors have no effect" in place.shown[0] and "mystery" in place.shown[0]


def test_bundled_embeddings_and_empty_alphas_are_no_reason_for_a_warning(
    place: Place, models: tuple[Model, Clip]
) -> None:
    tensors = layer(kohya(SD2.unet, QUERY), WIDTH, WIDTH)
    both(place, models, write(place, {**tensors, "bundle_emb.cat.string_to_param.*": torch.zeros(1, 8)}))
    assert place.shown == []


def test_a_file_that_is_not_a_lora_says_what_it_is(place: Place, models: tuple[Model, Clip], tmp_path: Path) -> None:
    SD2.write(tmp_path / "models" / "loras" / "b.safetensors")
    with pytest.raises(LoraError, match=r"b\.safetensors: is a checkpoint with a diffusion model; expected a LoRA"):
        both(place, models, "b.safetensors")


def test_an_incomplete_layer_names_what_is_missing(place: Place, models: tuple[Model, Clip]) -> None:
    tensors = layer(kohya(SD2.unet, QUERY), WIDTH, WIDTH)
    del tensors[f"{kohya(SD2.unet, QUERY)}.lora_down.weight"]
    with pytest.raises(LoraError, match=r"attn1_to_q': LoRA layer with the tensors .*lora_down\.weight is missing"):
        both(place, models, write(place, tensors))


def test_nan_in_a_lora_names_the_tensor(place: Place, models: tuple[Model, Clip]) -> None:
    key = kohya(SD2.unet, QUERY)
    tensors = layer(key, WIDTH, WIDTH)
    tensors[f"{key}.lora_up.weight"][0, 0] = float("nan")
    model, _ = both(place, models, write(place, tensors))
    with pytest.raises(LoraError, match=rf"'{key}\.lora_up\.weight' holds NaN"):
        model.network()


def test_a_file_that_changes_is_noticed(place: Place, models: tuple[Model, Clip]) -> None:
    key = kohya(SD2.unet, QUERY)
    model, _ = both(place, models, write(place, layer(key, WIDTH, WIDTH)))
    write(place, {**layer(key, WIDTH, WIDTH, seed=3), "extra": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="has changed"):
        model.network()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_half_precision_files(dtype: torch.dtype, place: Place, models: tuple[Model, Clip]) -> None:
    key = kohya(SD2.unet, QUERY)
    tensors = {name: t.to(dtype) if t.ndim else t for name, t in layer(key, WIDTH, WIDTH).items()}
    model, _ = both(place, models, write(place, tensors))
    exact = {name: t.float() for name, t in tensors.items()}
    torch.testing.assert_close(query(model), query(models[0]) + product(exact, key))


def test_a_pickled_lora(place: Place, models: tuple[Model, Clip]) -> None:
    key = kohya(SD2.unet, QUERY)
    tensors = layer(key, WIDTH, WIDTH)
    torch.save(tensors, place.folders.input.parent / "models" / "loras" / "a.pt")
    model, _ = both(place, models, "a.pt")
    torch.testing.assert_close(query(model), query(models[0]) + product(tensors, key))


def test_biases_and_norms(place: Place, models: tuple[Model, Clip]) -> None:
    """LyCORIS trains biases and norms too; full differences have the weight's own shape."""
    norm, out = "input_blocks.1.1.transformer_blocks.0.norm1", "input_blocks.1.1.transformer_blocks.0.attn1.to_out.0"
    tensors = {
        f"{kohya(SD2.unet, norm)}.w_norm": torch.full((WIDTH,), 2.0),
        f"{kohya(SD2.unet, norm)}.b_norm": torch.full((WIDTH,), 3.0),
        f"{kohya(SD2.unet, out)}.diff": torch.full((WIDTH, WIDTH), 4.0),
        f"{kohya(SD2.unet, out)}.diff_b": torch.full((WIDTH,), 5.0),
    }
    model, _ = both(place, models, write(place, tensors), 0.5)
    before, after = models[0].network().state_dict(), model.network().state_dict()
    for name, difference in ((f"{norm}.weight", 1), (f"{norm}.bias", 1.5), (f"{out}.weight", 2), (f"{out}.bias", 2.5)):
        torch.testing.assert_close(after[name], before[name] + difference)
    assert place.shown == []


def test_names_are_unique_in_every_published_network() -> None:
    for config in (unet_config.SD1, unet_config.SD2, unet_config.SDXL, unet_config.SDXL_REFINER, unet_config.SSD_1B):
        layers = {name.rpartition(".")[0] for name in expected_shapes(config)}
        assert set(diffusers_names(config)) == layers
        assert len(set(diffusers_names(config).values())) == len(layers)
        assert set(unet_layers(config).values()) == layers
