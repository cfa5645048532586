"""Prepares a process that will make pictures: imports what the first picture would otherwise wait for."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

from graph.garbage import uncollected
from nodes.torch_import import import_torch

ROOMS: Final = (
    "nodes.pictures",
    "nodes.models",
    "nodes.text",
    "nodes.unet",
    "nodes.vae",
    "nodes.sampling",
    "nodes.latent",
    "nodes.image",
)
"""The rooms that a picture passes through."""


def warm_up() -> None:
    """Import torch and the mathematics of the rooms that a picture passes through, and build the tokenizer.

    Loads no model. Raises whatever an import raises: ImportError, OSError for a library, and others.
    """
    import_torch()
    with uncollected():
        for room in ROOMS:
            package = importlib.import_module(room)
            for module in pkgutil.walk_packages(package.__path__, f"{room}."):
                importlib.import_module(module.name)

        from nodes.text.tokenizer import tokenize

        tokenize("")
