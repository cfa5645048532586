"""Families are recognised by shapes, and a file's sampling markers are read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nodes.models import families, unet_config
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.families import FAMILIES, UnknownFamilyError, family_of, with_heads
from nodes.models.file_sampling import latent_in, sampling_in
from nodes.models.latent_space import SDXL_LATENTS, LatentSpace
from nodes.models.model_sampling import ContinuousSampling, ModelSampling
from nodes.models.unet_config import UNetConfig
from nodes.models.vector_kinds import REFINER_SIZES, SDXL_SIZES, ImageVector, NoiseClass

EDIT, INPAINTING = 8, 9
UNCLIP_H = replace(unet_config.SD2, adm_in_channels=2048)
UNCLIP_L = replace(unet_config.SD2, adm_in_channels=1536)
SMALL = UNetConfig(
    model_channels=64,
    channel_mult=(1, 2),
    res_blocks=(1, 1),
    input_depth=(1, 1),
    output_depth=(1, 1, 1, 1),
    context_width=64,
)
SMALL_SDXL = replace(
    SMALL, input_depth=(0, 1), output_depth=(1, 1, 0, 0), adm_in_channels=1600, linear_projections=True
)
SMALL_REFINER = replace(
    SMALL_SDXL,
    channel_mult=(1, 1, 1),
    res_blocks=(1, 1, 1),
    input_depth=(0, 1, 0),
    output_depth=(0, 0, 1, 1, 0, 0),
)


@pytest.mark.parametrize(
    ("config", "label"),
    [
        (unet_config.SD1, "SD1"),
        (replace(unet_config.SD1, in_channels=INPAINTING), "SD1 inpainting"),
        (replace(unet_config.SD1, in_channels=EDIT), "SD1 InstructPix2Pix"),
        (unet_config.SD2, "SD2"),
        (replace(unet_config.SD2, in_channels=INPAINTING), "SD2 inpainting"),
        (UNCLIP_H, "SD2 unCLIP H"),
        (UNCLIP_L, "SD2 unCLIP L"),
        (unet_config.SD2_UPSCALER, "the SD2 4× upscaler"),
        (unet_config.SDXL, "SDXL"),
        (replace(unet_config.SDXL, in_channels=INPAINTING), "SDXL inpainting"),
        (replace(unet_config.SDXL, in_channels=EDIT), "SDXL InstructPix2Pix"),
        (unet_config.SDXL_REFINER, "SDXL's refiner"),
        (replace(unet_config.SDXL_REFINER, in_channels=INPAINTING), "SDXL's refiner inpainting"),
        (unet_config.SSD_1B, "SDXL"),
        (unet_config.VEGA, "SDXL"),
        (unet_config.KOALA_1B, "SDXL"),
        (unet_config.KOALA_700M, "SDXL"),
        (SMALL, families.EMBEDDED.label),
        (replace(SMALL, linear_projections=True), "SD2"),
        (SMALL_SDXL, "SDXL"),
        (SMALL_REFINER, "SDXL's refiner"),
        (replace(SMALL, linear_projections=True, adm_in_channels=1024), "SD2 unCLIP H"),
    ],
)
def test_the_family_follows_from_the_shapes(config: UNetConfig, label: str) -> None:
    assert family_of(config).label == label


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (replace(unet_config.SD1, classes=1000), "1000 class labels; expected SD1"),
        (replace(unet_config.SD1, in_channels=5), "5 input and 4 output channels, convolutional projections"),
        (replace(unet_config.SD2, out_channels=8), "8 output"),
    ],
)
def test_a_network_of_no_family_says_what_sets_it_apart(config: UNetConfig, message: str) -> None:
    with pytest.raises(UnknownFamilyError, match=message):
        family_of(config)


def test_an_entry_says_what_differs() -> None:
    assert {family.latent.scale for family in FAMILIES if family.name.startswith("sdxl")} == {0.13025}
    assert (families.SD1.latent.scale, families.SD2.latent.scale, families.SD2_UPSCALER.latent.scale) == (
        0.18215,
        0.18215,
        0.08333,
    )
    assert families.SD2_UPSCALER.latent.factor == 4
    assert [role.name for role in families.SDXL.text] == ["l", "g"]
    assert sum(role.width for role in families.SDXL.text) == unet_config.SDXL.context_width
    assert [[role.name for role in family.text] for family in (families.SD1, families.SD2, families.SDXL_REFINER)] == [
        ["l"],
        ["h"],
        ["g"],
    ]
    assert families.SDXL.vector == SDXL_SIZES and families.SDXL_REFINER.vector == REFINER_SIZES
    assert families.SD2_UNCLIP_H.vector == ImageVector() and families.SD2_UPSCALER.vector == NoiseClass(350)
    assert families.SD1.vector is None


def test_heads_that_shapes_do_not_tell_come_from_the_family() -> None:
    found = with_heads(replace(unet_config.SD2_UPSCALER, head_count=None), families.SD2_UPSCALER)
    assert [found.heads(channels) for channels in (512, 1024)] == [8, 8]
    assert with_heads(unet_config.SD2, families.SD2) == unet_config.SD2


def _file(tmp_path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Checkpoint:
    save_file(tensors, tmp_path / "m.safetensors", metadata)
    return Checkpoint.open(tmp_path / "m.safetensors")


def _marked(tmp_path: Path, *names: str, metadata: dict[str, str] | None = None) -> Checkpoint:
    return _file(tmp_path, {name: torch.zeros(1) for name in ("w", *names)}, metadata)


def test_what_the_network_predicts(tmp_path: Path) -> None:
    plain = _marked(tmp_path)
    assert sampling_in(plain, "", families.SD1) == ModelSampling("eps")
    assert sampling_in(plain, "", families.SDXL) == ModelSampling("eps")
    assert sampling_in(plain, "", families.SD2) == ModelSampling("v")
    sd2_inpainting = family_of(replace(unet_config.SD2, in_channels=INPAINTING))
    assert sampling_in(plain, "", sd2_inpainting) == ModelSampling("eps")
    upscaler = sampling_in(plain, "", families.SD2_UPSCALER)
    assert upscaler == ModelSampling("v", linear_start=0.0001, linear_end=0.02)


def test_markers_and_metadata_say_more_than_the_family(tmp_path: Path) -> None:
    assert sampling_in(_marked(tmp_path, "v_pred"), "", families.SDXL) == ModelSampling("v")
    marked = _marked(tmp_path, "v_pred", "ztsnr")
    assert sampling_in(marked, "", families.SDXL) == ModelSampling("v", zero_terminal_snr=True)
    stated = _marked(tmp_path, metadata={"modelspec.prediction_type": "epsilon"})
    assert sampling_in(stated, "", families.SD2) == ModelSampling("eps")
    stated = _marked(tmp_path, metadata={"modelspec.prediction_type": "v"})
    assert sampling_in(stated, "", families.SD1) == ModelSampling("v")


@pytest.mark.parametrize(("spread", "prediction"), [(0.02, "eps"), (0.2, "v")])
def test_weights_of_sd2_tell_its_two_kinds_apart(tmp_path: Path, spread: float, prediction: str) -> None:
    bias = torch.randn(320, generator=torch.Generator().manual_seed(0)) * spread
    checkpoint = _file(tmp_path, {"u.output_blocks.11.1.transformer_blocks.0.norm1.bias": bias})
    assert sampling_in(checkpoint, "u.", families.SD2) == ModelSampling(prediction)


def test_cosxl_says_its_noise_levels(tmp_path: Path) -> None:
    checkpoint = _file(tmp_path, {"edm_vpred.sigma_max": torch.tensor(120.0)})
    assert sampling_in(checkpoint, "", families.SDXL) == ContinuousSampling("v", 0.002, 120.0, 1.0)
    both = {"edm_vpred.sigma_max": torch.tensor(80.0), "edm_vpred.sigma_min": torch.tensor([0.01])}
    assert sampling_in(_file(tmp_path, both), "", families.SDXL) == ContinuousSampling("v", pytest.approx(0.01), 80.0)


def test_playground_says_how_its_latents_are_normalized(tmp_path: Path) -> None:
    mean, std = [-1.6574, 1.886, -1.383, 2.5155], [8.4927, 5.9022, 6.5498, 5.2299]
    checkpoint = _file(
        tmp_path, {"edm_mean": torch.tensor(mean).view(1, 4, 1, 1), "edm_std": torch.tensor(std).view(1, 4, 1, 1)}
    )
    assert sampling_in(checkpoint, "", families.SDXL) == ContinuousSampling("edm", 0.002, 80.0, 0.5)
    space = latent_in(checkpoint, families.SDXL)
    latent = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0)) * 8
    centre, deviation = (torch.tensor(numbers).view(1, 4, 1, 1) for numbers in (mean, std))
    torch.testing.assert_close(space.scaled_in(latent), (latent - centre) * 0.5 / deviation)
    torch.testing.assert_close(space.scaled_out(space.scaled_in(latent)), latent, rtol=1e-5, atol=1e-5)
    assert latent_in(_marked(tmp_path), families.SDXL) == SDXL_LATENTS


def test_previews_of_normalized_latents_show_the_same_colours(tmp_path: Path) -> None:
    from nodes.sampling.latent_preview import factors_for

    checkpoint = _file(tmp_path, {"edm_mean": torch.tensor([1.0, 2, 3, 4]), "edm_std": torch.tensor([5.0, 6, 7, 8])})
    space = latent_in(checkpoint, families.SDXL)
    latent = torch.randn(1, 4, 1, 1, generator=torch.Generator().manual_seed(0))
    plain, normalized = factors_for(SDXL_LATENTS), factors_for(space)
    assert plain is not None and normalized is not None
    colours = SDXL_LATENTS.scaled_in(latent).flatten() @ plain[:-1] + plain[-1]
    torch.testing.assert_close(space.scaled_in(latent).flatten() @ normalized[:-1] + normalized[-1], colours)


def test_a_shift_is_taken_off_before_scaling() -> None:
    space = LatentSpace(scale=2.0, shift=0.5, channels=1)
    latent = torch.full((1, 1, 1, 1), 3.0)
    assert space.scaled_in(latent).item() == 5.0 and space.scaled_out(space.scaled_in(latent)).item() == 3.0


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"edm_vpred.sigma_max": torch.tensor(float("nan"))}, "'edm_vpred.sigma_max' is empty, or holds NaN"),
        ({"edm_vpred.sigma_max": torch.zeros(2)}, "holds 2 numbers; expected one"),
        ({"edm_vpred.sigma_max": torch.zeros(1)}, "expected a range above 0"),
    ],
)
def test_markers_that_hold_nonsense_are_errors(tmp_path: Path, tensors: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        sampling_in(_file(tmp_path, tensors), "", families.SDXL)


def test_a_mean_for_other_channels_is_an_error(tmp_path: Path) -> None:
    checkpoint = _file(tmp_path, {"edm_mean": torch.zeros(3), "edm_std": torch.ones(4)})
    with pytest.raises(CheckpointError, match="3 and 4 numbers; expected 4"):
        latent_in(checkpoint, families.SDXL)
