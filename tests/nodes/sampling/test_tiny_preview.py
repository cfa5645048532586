"""Previews by a tiny autoencoder, where it is chosen and its files are there."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nodes import model_folders, previews
from nodes.models.latent_space import EMBEDDED_LATENTS, SD_LATENTS
from nodes.models.tiny_config import TinyConfig, expected_shapes
from nodes.models.tiny_files import tiny_vae
from nodes.pictures.pixels import to_pillow
from nodes.sampling.latent_preview import previewer_for
from nodes.vae.nodes import vae_decode


@pytest.fixture(autouse=True)
def chosen() -> Iterator[None]:
    previews.configure("taesd")
    yield
    previews.configure()


def test_previews_are_decoded(tmp_path: Path) -> None:
    folders = model_folders.folders(tmp_path)
    context: Any = SimpleNamespace(folders=folders)
    generator = torch.Generator().manual_seed(0)
    (tmp_path / "models" / "vae_approx").mkdir(parents=True)
    halves: dict[str, TinyConfig] = {"encoder": TinyConfig("encoder"), "decoder": TinyConfig("decoder")}
    for name, config in halves.items():
        tensors = {
            key: torch.randn(shape, generator=generator) * 0.05 for key, shape in expected_shapes(config).items()
        }
        save_file(tensors, tmp_path / "models" / "vae_approx" / f"taesd_{name}.safetensors")
    make = previewer_for(SD_LATENTS, context)
    assert make is not None
    latents = torch.randn(2, 4, 8, 6, generator=generator)
    unscaled = SD_LATENTS.scaled_out(latents[:1])
    expected = vae_decode(samples={"samples": unscaled}, vae=tiny_vae("taesd", folders))
    stream = io.BytesIO()
    to_pillow(expected[0]).save(stream, "JPEG", quality=90)
    assert make(latents).data == stream.getvalue()


def test_without_files_previews_are_approximate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    context: Any = SimpleNamespace(folders=model_folders.folders(tmp_path))
    with caplog.at_level(logging.WARNING):
        make = previewer_for(SD_LATENTS, context)
    assert make is not None and make(torch.zeros(1, 4, 8, 8)).format == "JPEG"
    assert previewer_for(EMBEDDED_LATENTS, context) is not None
    previews.configure("none")
    assert previewer_for(SD_LATENTS, context) is not None
