"""The lists that A1111's clients read: models, samplers, schedules, upscalers."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final

from graph.folders import Folders
from graph.formats.a1111.samplers import LATENT_UPSCALERS, sampler_choices, schedule_choices
from graph.formats.model_header import read_header
from server.interfaces.a1111.control import MODULES
from server.interfaces.a1111.resources import Resources
from server.interfaces.a1111.styles import read_styles

_PIXEL_UPSCALERS: Final = ("None", "Lanczos", "Nearest")
_LATENT_UPSCALERS: Final = (
    *("Latent", "Latent (antialiased)", "Latent (bicubic)", "Latent (bicubic antialiased)", "Latent (nearest)"),
    "Latent (nearest-exact)",
)
_RHO: Final = {"karras": 7.0, "polyexponential": 1.0}


def checkpoints(folders: Folders) -> list[dict[str, Any]]:
    """Return the checkpoints. A large file's hash is known after a request or a picture has named it by hash."""
    resources = Resources(folders)
    found = []
    for name in resources.files.names("checkpoints"):
        hashes = resources.files.known_hashes("checkpoints", name)
        found.append(
            {
                "title": resources.title("checkpoints", name),
                "model_name": _stem(name),
                "hash": hashes.whole[:10] if hashes else None,
                "sha256": hashes.whole if hashes else None,
                "filename": str(folders.expected("checkpoints", name)),
                "config": None,
            }
        )
    return found


def files_of(folders: Folders, folder: str) -> list[tuple[str, Path]]:
    """Return names and paths of the files of a model folder; files on other machines have no file at their path."""
    names = Resources(folders).files.names(folder)
    return [(name, folders.expected(folder, name)) for name in names]


def vaes(folders: Folders) -> list[dict[str, Any]]:
    """Return the VAE files."""
    return [{"model_name": name, "filename": str(path)} for name, path in files_of(folders, "vae")]


def hypernetworks(folders: Folders) -> list[dict[str, Any]]:
    """Return the hypernetworks."""
    return [{"name": _stem(name), "path": str(path)} for name, path in files_of(folders, "hypernetworks")]


def loras(folders: Folders) -> list[dict[str, Any]]:
    """Return the LoRAs with the metadata in their files; the name is for ``<lora:name:1>``."""
    found = []
    for name, path in files_of(folders, "loras"):
        metadata = _metadata(path)
        alias = str(metadata.get("ss_output_name") or _stem(name))
        found.append({"name": _stem(name), "alias": alias, "path": str(path), "metadata": metadata})
    return found


def embeddings(folders: Folders) -> dict[str, Any]:
    """Return the textual inversions by their names."""
    loaded = {}
    for name, path in files_of(folders, "embeddings"):
        shape = _embedding_shape(path)
        loaded[_stem(name)] = {
            "step": None,
            "sd_checkpoint": None,
            "sd_checkpoint_name": None,
            "shape": shape[-1] if shape else None,
            "vectors": (shape[0] if len(shape) > 1 else 1) if shape else None,
        }
    return {"loaded": loaded, "skipped": {}}


def samplers() -> list[dict[str, Any]]:
    """Return the samplers by A1111's names."""
    return [
        {"name": name, "aliases": [sumi, f"k_{sumi}"], "options": {"scheduler": schedule}}
        for name, sumi, schedule in sampler_choices()
    ]


def schedulers() -> list[dict[str, Any]]:
    """Return the schedules."""
    return [
        {
            "name": name,
            "label": label,
            "aliases": [sumi] if sumi != name else None,
            "default_rho": _RHO.get(name, -1.0),
            "need_inner_model": name in ("sgm_uniform", "simple", "normal", "beta", "ddim", "ddim_uniform"),
        }
        for name, label, sumi in schedule_choices()
    ]


def upscalers(folders: Folders) -> list[dict[str, Any]]:
    """Return the upscalers that need no model, and the files in models/upscale_models."""
    plain = [
        {"name": name, "model_name": None, "model_path": None, "model_url": None, "scale": 4}
        for name in _PIXEL_UPSCALERS
    ]
    return plain + [
        {"name": _stem(name), "model_name": _stem(name), "model_path": str(path), "model_url": None, "scale": 4}
        for name, path in files_of(folders, "upscale_models")
    ]


def latent_upscalers() -> list[dict[str, Any]]:
    """Return the upscalers that resize latents, for hires fix."""
    assert {name.lower() for name in _LATENT_UPSCALERS} == LATENT_UPSCALERS.keys()
    return [{"name": name} for name in _LATENT_UPSCALERS]


def styles(folders: Folders) -> list[dict[str, Any]]:
    """Return the prompt styles."""
    found = read_styles(folders.user).values()
    return [{"name": style.name, "prompt": style.prompt, "negative_prompt": style.negative} for style in found]


def control_models(folders: Folders) -> list[str]:
    """Return the titles of the ControlNet models."""
    resources = Resources(folders)
    return [resources.title("controlnet", name) for name in resources.files.names("controlnet")]


def control_modules() -> list[str]:
    """Return the preprocessors of ControlNet."""
    return list(MODULES)


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


def _metadata(path: Path) -> dict[str, Any]:
    if path.suffix.lower() != ".safetensors":
        return {}
    try:
        header = read_header(path)
    except (OSError, ValueError, struct.error):
        return {}
    return dict(header.metadata) if header is not None else {}


def _embedding_shape(path: Path) -> tuple[int, ...]:
    if path.suffix.lower() != ".safetensors":
        return ()
    try:
        header = read_header(path)
    except (OSError, ValueError, struct.error):
        return ()
    return next(iter(header.shapes.values()), ()) if header is not None else ()
