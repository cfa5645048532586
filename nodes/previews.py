"""How pictures of a run in progress are made: a setting of the process, which changes no result."""

from __future__ import annotations

_method = "auto"


def configure(method: str = "auto") -> None:
    """Choose the method: ``taesd`` for tiny autoencoders, anything else for a linear map of the latent to colours."""
    global _method
    _method = method


def uses_tiny_autoencoders() -> bool:
    """Whether previews are made with a tiny autoencoder where its files are there."""
    return _method == "taesd"
