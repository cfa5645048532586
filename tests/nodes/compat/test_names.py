"""Small functions that packs use from ComfyUI's modules."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from nodes.compat import provided
from nodes.model_folders import folders


def test_where_a_persons_files_are(tmp_path: Path) -> None:
    provided.install(folders(tmp_path))
    import folder_paths

    assert folder_paths.get_public_user_directory("default") == os.path.join(folder_paths.user_directory, "default")
    for name in ("__manager", "..", "", "a/../../b", "/etc"):
        assert folder_paths.get_public_user_directory(name) is None, name
    with folder_paths.cache_helper:
        assert folder_paths.cache_helper.active is False


def test_a_pack_may_teach_kinds_of_content(tmp_path: Path) -> None:
    provided.install(folders(tmp_path))
    import folder_paths

    names = ["a.png", "b.splat", "c.webp"]
    assert folder_paths.filter_files_content_types(names, ["image"]) == ["a.png", "c.webp"]
    folder_paths.extension_mimetypes_cache["splat"] = "model/splat"
    try:
        assert folder_paths.filter_files_content_types(names, ["model"]) == ["b.splat"]
    finally:
        folder_paths.extension_mimetypes_cache.clear()


def test_precisions_and_memory(tmp_path: Path) -> None:
    provided.install(folders(tmp_path))
    import comfy.model_management as management

    cpu = torch.device("cpu")
    assert management.unet_manual_cast(torch.float32, cpu) is None
    assert management.unet_manual_cast(torch.float8_e4m3fn, cpu) is torch.float32
    assert management.unet_manual_cast(torch.float16, torch.device("cuda")) is None
    assert management.supports_cast(cpu, torch.float8_e4m3fn)
    assert not management.supports_cast(torch.device("mps"), torch.float8_e4m3fn)
    weight = torch.ones(3)
    assert management.cast_to(weight, torch.float32, cpu) is weight
    assert management.cast_to(weight, torch.float32, cpu, copy=True) is not weight
    assert management.cast_to(weight, torch.float16).dtype is torch.float16
    assert 0 < management.maximum_vram_for_weights(cpu) < management.get_total_memory(cpu)
    assert management.total_ram == management.get_total_memory(cpu) / 1024**2
    assert isinstance(management.torch_version, str)
