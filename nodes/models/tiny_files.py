"""Finds tiny autoencoders: in two files of ``vae_approx``, or both halves in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from graph.folders import Folders
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.handle import TinyVae, Vae
from nodes.models.latent_space import SD_LATENTS, SDXL_LATENTS
from nodes.models.stored_network import some_of
from nodes.models.tiny_config import (
    DECODER_PREFIX,
    ENCODER_PREFIX,
    Half,
    TinyConfig,
    UnknownTinyError,
    detect_tiny,
    expected_shapes,
)
from nodes.models.weights import Weights, weights_at

FOLDER: Final = "vae_approx"
SCALES: Final = {"taesd": SD_LATENTS.scale, "taesdxl": SDXL_LATENTS.scale}
"""The published tiny autoencoders, and the scale of the latents that each was trained on."""
SCALE, SHIFT = "vae_scale", "vae_shift"
"""Tensors in which saved files keep the scale and shift of the latents."""


def half_files(name: str, folders: Folders) -> dict[Half, Path] | None:
    """Return the files of the encoder and decoder of the tiny autoencoder ``name``, or None if one is missing."""
    listed = folders.names(FOLDER)
    found: dict[Half, Path] = {}
    halves: tuple[Half, Half] = ("encoder", "decoder")
    for half in halves:
        file = next((each for each in listed if Path(each).name.startswith(f"{name}_{half}.")), None)
        if file is None:
            return None
        found[half] = folders.find(FOLDER, file)
    return found


def tiny_vae(name: str, folders: Folders) -> TinyVae:
    """Return the tiny autoencoder ``name`` (``taesd``, ``taesdxl``) in ``vae_approx``.

    Raises CheckpointError if a file is missing or is not its half.
    """
    files = half_files(name, folders)
    if files is None:
        raise CheckpointError(f"{name}: put {name}_encoder and {name}_decoder into models/{FOLDER}")
    halves = {half: half_in(Checkpoint.open(path), half) for half, path in files.items()}
    return TinyVae(halves["decoder"], halves["encoder"], SCALES[name])


def tiny_vae_in(checkpoint: Checkpoint, prefix: str = "") -> TinyVae | None:
    """Return the tiny autoencoder in one file, as diffusers and Save VAE write it, or None for other files.

    The scale of the latents is the file's, if it states one, or SD's, or SDXL's if the path's last two names contain
    ``xl``.
    Raises CheckpointError for missing and misshapen tensors.
    """
    if prefix + DECODER_PREFIX + "1.weight" not in checkpoint.shapes:
        return None
    halves = [half_in(checkpoint, half, prefix + own) for half, own in _PREFIXES]
    is_xl = any("xl" in part.lower() for part in checkpoint.path.parts[-2:])
    scale, shift = (SDXL_LATENTS if is_xl else SD_LATENTS).scale, 0.0
    if prefix + SCALE in checkpoint.shapes:
        scale = float(checkpoint.tensor(prefix + SCALE))
    if prefix + SHIFT in checkpoint.shapes:
        shift = float(checkpoint.tensor(prefix + SHIFT))
    return TinyVae(halves[1], halves[0], scale, shift)


def half_in(checkpoint: Checkpoint, half: Half, prefix: str = "") -> Weights[TinyConfig]:
    """Return one half. Raises CheckpointError, naming the file and its tensors, if it is missing."""
    try:
        config = detect_tiny(checkpoint.shapes, half, prefix)
    except UnknownTinyError as error:
        listed = some_of(sorted(checkpoint.shapes))
        raise CheckpointError(f"{checkpoint.path}: {error}; it holds {listed}") from error
    return weights_at(checkpoint, prefix, config, expected_shapes(config))


def scale_markers(vae: Vae) -> dict[str, float]:
    """The tensors that state a tiny autoencoder's scale and shift in a saved file; none for an ordinary VAE."""
    return {SCALE: vae.scale, SHIFT: vae.shift} if isinstance(vae, TinyVae) else {}


_PREFIXES: Final[tuple[tuple[Half, str], ...]] = (("encoder", ENCODER_PREFIX), ("decoder", DECODER_PREFIX))
