"""The folders of model files: ComfyUI's names, so that users need not move their models."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from graph.errors import InputFileError
from graph.folders import Folders, ModelFolder

WEIGHTS: Final = frozenset({".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl"})

SUBFOLDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "checkpoints": ("checkpoints",),
    "configs": ("configs",),
    "loras": ("loras",),
    "vae": ("vae",),
    "text_encoders": ("text_encoders", "clip"),
    "diffusion_models": ("unet", "diffusion_models"),
    "clip_vision": ("clip_vision",),
    "style_models": ("style_models",),
    "embeddings": ("embeddings",),
    "diffusers": ("diffusers",),
    "vae_approx": ("vae_approx",),
    "controlnet": ("controlnet", "t2i_adapter"),
    "gligen": ("gligen",),
    "upscale_models": ("upscale_models",),
    "hypernetworks": ("hypernetworks",),
    "photomaker": ("photomaker",),
    "classifiers": ("classifiers",),
    "model_patches": ("model_patches",),
    "audio_encoders": ("audio_encoders",),
}
"""Model folder → the subfolders of the models directory to search for it."""

ALIASES: Final[Mapping[str, str]] = {"unet": "diffusion_models", "clip": "text_encoders"}

SAVED: Final[Mapping[str, str]] = {
    **{"checkpoints": "checkpoints", "text_encoders": "clip", "vae": "vae", "loras": "loras"},
    "diffusion_models": "diffusion_models",
}
"""Model folder → the subfolder of the output folder into which nodes save such models. It is searched last."""

_ENDINGS: Final[Mapping[str, frozenset[str]]] = {
    "configs": frozenset({".yaml"}),
    "diffusers": frozenset(),
    "classifiers": frozenset(),
}


_SETS: Final[Mapping[str, Mapping[str, tuple[str, tuple[str, ...]]]]] = {
    "vae": {name: ("vae_approx", (f"{name}_encoder.", f"{name}_decoder.")) for name in ("taesd", "taesdxl")},
}
"""Tiny autoencoders are offered as VAEs while both of their files are in ``vae_approx``."""
_NO_SETS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {}
_MARKERS: Final[Mapping[str, str]] = {"diffusers": "model_index.json"}
"""A pipeline in diffusers' layout is a folder with this file."""


def folders(
    base: Path,
    *,
    input: Path | None = None,
    output: Path | None = None,
    temp: Path | None = None,
    user: Path | None = None,
    models: Path | None = None,
    extra_model_paths: Iterable[Path] = (),
) -> Folders:
    """Return the folders of an installation at ``base``; each folder can be given separately.

    ``extra_model_paths`` are files in the format of ComfyUI's extra_model_paths.yaml. Their folders are searched after
    the installation's own, or before them if a section has ``is_default``. Raises InputFileError if one cannot be read.
    """
    base = base.absolute()
    output = (output or base / "output").absolute()
    models = (models or base / "models").absolute()
    directories = {name: [models / sub for sub in subfolders] for name, subfolders in SUBFOLDERS.items()}
    for file in extra_model_paths:
        for name, path, first in _extra_directories(file):
            known = directories.setdefault(ALIASES.get(name, name), [])
            if path in known:
                known.remove(path)
            known.insert(0 if first else len(known), path)
    for name, subfolder in SAVED.items():
        directories[name].append(output / subfolder)
    return Folders(
        input=(input or base / "input").absolute(),
        output=output,
        temp=(temp or base / "temp").absolute(),
        user=(user or base / "user").absolute(),
        models={
            name: ModelFolder(
                tuple(paths), _ENDINGS.get(name, WEIGHTS), _MARKERS.get(name, ""), _SETS.get(name, _NO_SETS)
            )
            for name, paths in directories.items()
        },
        aliases=ALIASES,
    )


def _extra_directories(file: Path) -> list[tuple[str, Path, bool]]:
    """Read an extra_model_paths.yaml: (model folder, directory, whether to search it first)."""
    import yaml

    expected = "expected sections like `a111: {base_path: …, checkpoints: models/Stable-diffusion}`"
    try:
        sections = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputFileError(f"{file}: {error.strerror}; --extra-model-paths-config expects a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputFileError(f"{file}: is not valid YAML ({' '.join(str(error).split())}); {expected}") from error
    if sections is None:
        return []
    if not isinstance(sections, dict):
        raise InputFileError(f"{file}: holds a {type(sections).__name__}; {expected}")
    found: list[tuple[str, Path, bool]] = []
    for title, section in sections.items():
        if section is None:
            continue
        if not isinstance(section, dict):
            raise InputFileError(f"{file}, section '{title}': holds a {type(section).__name__}; {expected}")
        found += _section_directories(file, section)
    return found


def _section_directories(file: Path, section: dict[str, Any]) -> list[tuple[str, Path, bool]]:
    first = bool(section.get("is_default", False))
    base = Path(os.path.expandvars(os.path.expanduser(str(section.get("base_path") or ""))))
    base = file.absolute().parent / base
    found = []
    for name, lines in section.items():
        if name in ("base_path", "is_default") or lines is None:
            continue
        for line in str(lines).split("\n"):
            if line.strip():
                path = Path(os.path.expandvars(os.path.expanduser(line.strip())))
                found.append((str(name), Path(os.path.normpath(base / path)), first))
    return found
