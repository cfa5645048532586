"""Modules that ComfyUI's modules import, which packs take from there: ``comfy.sample.np``, ``server.web``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

_SAME: Final = frozenset(
    {
        "aiohttp",
        "asyncio",
        "collections",
        "comfy",
        "contextlib",
        "copy",
        "execution",
        "folder_paths",
        "functools",
        "gc",
        "glob",
        "hashlib",
        "importlib",
        "inspect",
        "io",
        "itertools",
        "json",
        "latent_preview",
        "logging",
        "math",
        "mimetypes",
        "node_helpers",
        "nodes",
        "numpy",
        "os",
        "platform",
        "psutil",
        "random",
        "re",
        "safetensors",
        "scipy",
        "server",
        "shutil",
        "socket",
        "ssl",
        "struct",
        "subprocess",
        "sys",
        "threading",
        "time",
        "torch",
        "traceback",
        "typing",
        "urllib",
        "uuid",
        "warnings",
        "weakref",
        "yaml",
    }
)
"""Modules under their own names."""

_OTHER: Final[Mapping[str, tuple[str, str | None]]] = {
    "BytesIO": ("io", "BytesIO"),
    "F": ("torch.nn.functional", None),
    "Image": ("PIL.Image", None),
    "ImageOps": ("PIL.ImageOps", None),
    "ImageSequence": ("PIL.ImageSequence", None),
    "PngInfo": ("PIL.PngImagePlugin", "PngInfo"),
    "PngImagePlugin": ("PIL.PngImagePlugin", None),
    "Tensor": ("torch", "Tensor"),
    "einsum": ("torch", "einsum"),
    "model_management": ("comfy.model_management", None),
    "nn": ("torch.nn", None),
    "np": ("numpy", None),
    "rearrange": ("einops", "rearrange"),
    "repeat": ("einops", "repeat"),
    "tqdm": ("tqdm.auto", "tqdm"),
    "web": ("aiohttp.web", None),
}
"""Name → module, and what of it where that is not the module itself."""


def imported(name: str) -> Any:
    """The module or object that ComfyUI's modules import as ``name``; None if there is none, or it is not installed."""
    module, part = (name, None) if name in _SAME else _OTHER.get(name, (None, None))
    if module is None:
        return None
    try:
        found = importlib.import_module(module)
    except ImportError:
        return None
    return found if part is None else getattr(found, part, None)
