"""The VAE from inside, and extracted from a checkpoint, against diffusers' AutoencoderKL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from safetensors.torch import load_file, save_file

from graph.folders import ModelFolder
from nodes import device, model_folders
from nodes.explain.extraction import parts_of
from nodes.explain.vae_cards import vae_card
from nodes.explain.vae_look import look
from nodes.explain.vae_nodes import explain_vae, extract_vae
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import AbsentModelError, vae_in
from nodes.models.handle import Vae
from nodes.models.nodes import vae_loader
from nodes.models.tiny_config import TinyConfig
from nodes.models.tiny_config import expected_shapes as tiny_shapes
from nodes.models.tiny_files import tiny_vae
from nodes.models.vae_config import VaeConfig, expected_shapes
from nodes.vae.coding import VaeInputError
from tests.nodes.conftest import NodeContext
from tests.nodes.explain.models import EMBEDDED, checkpoint
from tests.nodes.explain.tables import cells, column, numbers

SMALL = VaeConfig(encoder_widths=(32, 64, 64, 64), decoder_widths=(32, 64, 64, 64))


@pytest.fixture(scope="module", autouse=True)
def precision():  # type: ignore[no-untyped-def]
    device.configure("cpu", "fp32")
    yield
    device.configure()


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    found = {}
    for name, shape in expected_shapes(SMALL).items():
        values = torch.randn(shape, generator=generator)
        if len(shape) == 4:
            values /= (shape[1] * shape[2] * shape[3]) ** 0.5
        else:
            values = 0.1 * values + (1.0 if "norm" in name and name.endswith("weight") else 0.0)
        found[name] = values
    return found


def oracle() -> AutoencoderKL:
    network = AutoencoderKL(
        block_out_channels=SMALL.encoder_widths,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        layers_per_block=2,
    )
    network.load_state_dict(convert_ldm_vae_checkpoint(weights(), network.config))
    return network.eval().requires_grad_(False)


def picture(height: int = 40, width: int = 64) -> torch.Tensor:
    return torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def vae(tmp_path: Path) -> Vae:
    save_file(weights(), tmp_path / "small_vae.safetensors")
    return vae_in(Checkpoint.open(tmp_path / "small_vae.safetensors"))


def test_mean_and_spread_are_those_of_diffusers_posterior(vae: Vae) -> None:
    found = look(vae, picture()[0])
    theirs = oracle()
    posterior = theirs.encode(picture().movedim(-1, 1) * 2 - 1).latent_dist
    assert torch.allclose(found.mean, posterior.mean[0], atol=2e-4)
    assert torch.allclose(found.deviation, posterior.std[0], rtol=1e-3, atol=2e-4)
    decoded = (theirs.decode(posterior.mean).sample[0].movedim(0, -1) / 2 + 0.5).clamp(0, 1)
    assert (found.decoded - decoded).abs().max() <= 1.5 / 255


def test_the_tables_hold_sizes_ratio_and_statistics(vae: Vae, context: NodeContext) -> None:
    result = explain_vae(vae=vae, image=picture(), context=context)
    sizes, channels = result.values[1].split("\n\n")
    found = look(vae, picture()[0])
    facts = {row[0]: row[1:] for row in cells(sizes)[1:]}
    assert facts["picture"] == ["64×40×3", "7,680"] and facts["latent"] == ["8×5×4", "160"]
    assert facts["ratio"] == ["", "48×"]
    assert float(facts["PSNR, dB"][1]) == pytest.approx(
        -10 * torch.nn.functional.mse_loss(found.decoded, picture()[0]).log10().item(), abs=0.01
    )
    assert numbers(channels, "mean") == pytest.approx(found.mean.mean((1, 2)).tolist(), abs=1e-3)
    assert numbers(channels, "std") == pytest.approx(found.mean.std((1, 2), correction=0).tolist(), abs=1e-3)
    assert numbers(channels, "encoder's spread") == pytest.approx(found.deviation.mean((1, 2)).tolist(), rel=1e-2)
    assert result.values[0].shape[2] == 900 and result.ui["text"] == [result.values[1]]


@pytest.mark.slow
def test_the_sizes_of_the_articles(context: NodeContext) -> None:
    """512×512×3 = 786,432 → 64×64×4 = 16,384: 48×."""
    table = explain_vae(vae=vae_in(checkpoint("embedded")), image=picture(512, 512), context=context).values[1]
    assert column(table.split("\n\n")[0], "numbers")[:3] == ["786,432", "16,384", "48×"]


def test_a_picture_is_cropped_to_multiples_of_8_and_its_alpha_dropped(vae: Vae) -> None:
    odd = torch.rand(45, 67, 4, generator=torch.Generator().manual_seed(3))
    found = look(vae, odd)
    assert torch.equal(found.picture, odd[2:42, 1:65, :3]) and found.mean.shape == (4, 5, 8)
    assert found.uncropped == (67, 45) and found.factor == 8
    even = look(vae, odd[2:42, 1:65])
    assert vae_card(found)[0].shape[1] > vae_card(even)[0].shape[1], "the card says that it was cropped"
    with pytest.raises(VaeInputError):
        look(vae, torch.rand(4, 4, 3))


def test_a_tiny_autoencoder_has_no_spread(tmp_path: Path) -> None:
    folders = model_folders.folders(tmp_path)
    (tmp_path / "models" / "vae_approx").mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for half in ("encoder", "decoder"):
        shapes = tiny_shapes(TinyConfig(half))
        tensors = {name: torch.randn(shape, generator=generator) * 0.05 for name, shape in shapes.items()}
        save_file(tensors, tmp_path / "models" / "vae_approx" / f"taesd_{half}.safetensors")
    found = look(tiny_vae("taesd", folders), picture()[0])
    assert found.mean.shape == (4, 5, 8) and found.deviation.max() < 1e-6 and found.ratio == 48


def full_checkpoint(folder: Path, kind: str) -> Path:
    """A model.ckpt as training wrote it: other networks, the VAE's loss, everything in a state_dict."""
    tensors = {f"first_stage_model.{name}": values for name, values in weights().items()}
    tensors |= {
        "first_stage_model.loss.logvar": torch.zeros(1),
        "model.diffusion_model.time_embed.0.weight": torch.ones(4, 4),
        "cond_stage_model.transformer.text_model.final_layer_norm.weight": torch.ones(6).half(),
        "model_ema.decay": torch.tensor(0.5),
        "alphas_cumprod": torch.ones(1000),
    }
    path = folder / f"model.{kind}"
    if kind == "ckpt":
        torch.save({"state_dict": tensors, "global_step": 470000}, path)
    else:
        save_file(tensors, path)
    return path


@pytest.fixture
def context(context: NodeContext, tmp_path: Path) -> NodeContext:
    folders = {name: tmp_path / name for name in ("checkpoints", "vae")}
    for folder in folders.values():
        folder.mkdir()
    found = {name: ModelFolder((folder,)) for name, folder in folders.items()}
    found["vae"] = ModelFolder((folders["vae"], context.folders.output / "vae"))
    context.folders = replace(context.folders, models=found)
    return context


@pytest.mark.parametrize("kind", ["ckpt", "safetensors"])
@pytest.mark.parametrize("format", ["safetensors", "pt"])
def test_an_extracted_vae_opens_in_load_vae_and_in_diffusers(
    kind: str, format: str, context: NodeContext, tmp_path: Path
) -> None:
    full_checkpoint(tmp_path / "checkpoints", kind)
    result = extract_vae(ckpt_name=f"model.{kind}", format=format, context=context)  # type: ignore[arg-type]
    [file] = result.ui["files"]
    assert file == {"filename": f"extracted_00001_.{format}", "subfolder": "vae", "type": "output"}
    path = context.folders.output / "vae" / file["filename"]
    state = load_file(path) if format == "safetensors" else torch.load(path, weights_only=True)["state_dict"]
    assert state.keys() == weights().keys()
    assert all(torch.equal(state[name], values) for name, values in weights().items())

    loaded = look(vae_loader(vae_name=file["filename"], context=context), picture()[0])
    config = tmp_path / "config"
    oracle().save_config(config)
    single = AutoencoderKL.from_single_file(str(path), config=str(config), local_files_only=True)
    posterior = single.encode(picture().movedim(-1, 1) * 2 - 1).latent_dist
    assert torch.allclose(loaded.mean, posterior.mean[0].detach(), atol=2e-4)
    assert column(result.values[1], "part") == [
        "diffusion model (U-Net)",
        "text encoder (CLIP)",
        "VAE",
        "averages and buffers of training",
    ]


@pytest.mark.parametrize("kind", ["ckpt", "safetensors"])
def test_load_vae_opens_a_whole_checkpoint(kind: str, context: NodeContext, tmp_path: Path) -> None:
    full_checkpoint(tmp_path / "vae", kind)
    loaded = look(vae_loader(vae_name=f"model.{kind}", context=context), picture()[0])
    posterior = oracle().encode(picture().movedim(-1, 1) * 2 - 1).latent_dist
    assert torch.allclose(loaded.mean, posterior.mean[0], atol=2e-4)


def test_half_precision_stays_half(context: NodeContext, tmp_path: Path) -> None:
    halves = {f"first_stage_model.{name}": values.half() for name, values in weights().items()}
    save_file(halves, tmp_path / "checkpoints" / "half.safetensors")
    extract_vae(ckpt_name="half.safetensors", filename_prefix="mine", context=context)
    saved = load_file(context.folders.output / "mine_00001_.safetensors")
    assert {values.dtype for values in saved.values()} == {torch.float16}


def test_a_checkpoint_without_a_vae_is_refused(context: NodeContext, tmp_path: Path) -> None:
    save_file({"model.diffusion_model.out.2.bias": torch.ones(4)}, tmp_path / "checkpoints" / "unet.safetensors")
    with pytest.raises(AbsentModelError, match=r"unet\.safetensors: holds no VAE.*choose another file.*Load VAE"):
        extract_vae(ckpt_name="unet.safetensors", context=context)
    assert not (context.folders.output / "vae").exists()


def test_parts_of_the_embedded_model_are_all_of_its_file() -> None:
    file = checkpoint("embedded")
    parts = parts_of(file, vae_in(file))
    assert [part.name for part in parts] == ["diffusion model (U-Net)", "text encoder (CLIP)", "VAE"]
    assert sum(part.tensors for part in parts) == len(file.shapes)
    assert sum(part.bytes for part in parts) == sum(tensor.nbytes for tensor in load_file(EMBEDDED).values())


def test_a_vae_alone_is_all_vae(vae: Vae, tmp_path: Path) -> None:
    [part] = parts_of(Checkpoint.open(tmp_path / "small_vae.safetensors"), vae)
    assert part.name == "VAE" and part.numbers == sum(values.numel() for values in weights().values())
