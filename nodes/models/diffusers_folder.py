"""A pipeline in diffusers' layout: a folder with ``model_index.json`` and a folder for each network.

https://huggingface.co/docs/diffusers/using-diffusers/other-formats
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from graph.folders import Folders
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.handle import Clip, Model, Vae
from nodes.models.model_sampling import ModelSampling, PredictionName

_UNET_FILES: Final = ("diffusion_pytorch_model",)
_TEXT_FILES: Final = ("model", "pytorch_model")
_ENDINGS: Final = (".fp16.safetensors", ".safetensors", ".fp16.bin", ".bin")
"""File names in order of preference: half precision first, since most programs use it."""
_PREDICTIONS: Final[dict[str, PredictionName]] = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
_TEXT_FOLDERS: Final = ("text_encoder", "text_encoder_2")


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files of the pipeline in ``folder`` by their networks' names (``unet``, ``vae``, ``text_encoder``)."""
    found: dict[str, Path] = {}
    for network, names in (
        *((name, _UNET_FILES) for name in ("unet", "vae")),
        *((name, _TEXT_FILES) for name in _TEXT_FOLDERS),
    ):
        candidates = [folder / network / (name + ending) for ending in _ENDINGS for name in names]
        file = next((path for path in candidates if path.is_file()), None)
        if file is not None:
            found[network] = file
    scheduler = folder / "scheduler" / "scheduler_config.json"
    return found | ({"scheduler": scheduler} if scheduler.is_file() else {})


def model_in_folder(folder: Path) -> Model:
    """Return the diffusion model, with the sampling of the folder's scheduler. Raises CheckpointError."""
    model = contents.model_in(_opened(folder, "unet"))
    scheduler = files_of(folder).get("scheduler")
    return model if scheduler is None else _sampled_as(model, scheduler)


def text_encoders_in_folder(folder: Path, folders: Folders) -> Clip:
    """Return the text encoders of the model's family. Raises CheckpointError naming a folder without one."""
    roles = contents.model_in(_opened(folder, "unet")).family.text
    # The refiner has only the second encoder.
    names: tuple[str, ...] = (
        _TEXT_FOLDERS if len(roles) > 1 or "text_encoder" not in files_of(folder) else _TEXT_FOLDERS[:1]
    )
    names = names[-len(roles) :]
    return contents.text_encoders_in([_opened(folder, name) for name in names], roles, folders)


def vae_in_folder(folder: Path) -> Vae:
    """Return the VAE. Raises CheckpointError naming a folder without one."""
    return contents.vae_in(_opened(folder, "vae"))


def _opened(folder: Path, network: str) -> Checkpoint:
    """Return the network's file. Raises AbsentModelError if there is none, CheckpointError if there are several."""
    file = files_of(folder).get(network)
    if file is not None:
        return Checkpoint.open(file)
    if any((folder / network).glob("*.index.json")):
        raise CheckpointError(f"{folder / network}: the network is split into several files; expected a single one")
    raise contents.AbsentModelError(
        f"{folder}: holds no {network} (a file such as {network}/{_UNET_FILES[0]}.safetensors or {_TEXT_FILES[0]})"
    )


def _sampled_as(model: Model, scheduler: Path) -> Model:
    """``model`` with the prediction and noise levels of a scheduler's configuration. Raises CheckpointError."""
    try:
        settings: Any = json.loads(scheduler.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{scheduler}: cannot be read as JSON: {error}") from error
    if not isinstance(settings, dict) or not isinstance(model.sampling, ModelSampling):
        return model
    sampling = model.sampling
    prediction = _PREDICTIONS.get(str(settings.get("prediction_type")))
    if prediction is not None:
        sampling = replace(sampling, prediction=prediction)
    if settings.get("rescale_betas_zero_snr") is True:
        sampling = replace(sampling, zero_terminal_snr=True)
    start, end = settings.get("beta_start"), settings.get("beta_end")
    if isinstance(start, float) and isinstance(end, float) and settings.get("beta_schedule") == "scaled_linear":
        sampling = replace(sampling, linear_start=start, linear_end=end)
    return replace(model, sampling=sampling)
