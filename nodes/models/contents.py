"""Finds the models in a file by its tensors' names and shapes, never by the file's name."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar

from graph.folders import Folders
from graph.formats.model_kinds import kind_of_file
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.families import ModelFamily, UnknownFamilyError, family_of, with_heads
from nodes.models.file_sampling import MARKERS, latent_in, sampling_in
from nodes.models.handle import Clip, Model, TextEncoder, Vae
from nodes.models.stored_network import some_of
from nodes.models.text_config import TOKEN_EMBEDDING, UnknownTextEncoderError, detect_text, is_optional, text_prefixes
from nodes.models.text_config import expected_shapes as text_shapes
from nodes.models.text_roles import TextRole, encoder_names, role_alone
from nodes.models.unet_config import UNetConfig
from nodes.models.unet_config import expected_shapes as unet_shapes
from nodes.models.unet_detection import UnknownUNetError, detect_unet
from nodes.models.vae_config import UnknownVaeError, detect_vae
from nodes.models.vae_config import expected_shapes as vae_shapes
from nodes.models.weights import Weights, weights_at

log = logging.getLogger(__name__)

Config = TypeVar("Config")

UNET_PREFIXES: Final = ("model.diffusion_model.", "diffusion_model.", "")
VAE_PREFIXES: Final = ("first_stage_model.", "vae.", "")
_UNET_INPUT: Final = "input_blocks.0.0.weight"

_LEFT_BY_TRAINING: Final = re.compile(
    r"model_ema\.|(alphas_cumprod|betas|posterior_|sqrt_|log_one_minus|logvar|lvlb_weights|scale_factor$)"
    rf"|({'|'.join(re.escape(marker) for marker in MARKERS)})$"
    r"|denoiser\.|cond_stage_model\.(logit_scale|text_projection)|.*\.(loss|model_ema)\."
)
"""Names of training's tensors that sampling does not need: averages, buffers of the noise schedule."""


class AbsentModelError(CheckpointError):
    """A file is valid but does not hold the requested kind of model."""


def model_in(checkpoint: Checkpoint) -> Model:
    """Return the diffusion model in ``checkpoint``: from a full checkpoint, or a U-Net in a separate file.

    Raises AbsentModelError if there is none, CheckpointError naming missing tensors and tensors of the wrong shape.
    """
    prefix = _prefix(checkpoint, UNET_PREFIXES, _UNET_INPUT)
    if prefix is None:
        raise _absent(checkpoint, "diffusion model", UNET_PREFIXES[0] + _UNET_INPUT)
    _check_no_video(checkpoint, prefix)
    family, config = _family_and_config(checkpoint, prefix)
    weights = weights_at(checkpoint, prefix, config, unet_shapes(config))
    return Model(weights, sampling_in(checkpoint, prefix, family), family, latent_in(checkpoint, family))


def vae_in(checkpoint: Checkpoint) -> Vae:
    """Return the autoencoder in ``checkpoint``: from a full checkpoint, or a VAE in a separate file.

    Raises AbsentModelError if there is none, CheckpointError naming missing tensors and tensors of the wrong shape.
    """
    prefix = _prefix(checkpoint, VAE_PREFIXES, "decoder.conv_in.weight", "encoder.conv_in.weight")
    if prefix is None:
        absent = _absent(checkpoint, "VAE", f"{VAE_PREFIXES[0]}decoder.conv_in.weight")
        raise AbsentModelError(f"{absent}; choose another file, or load a VAE with Load VAE")
    _check_no_video(checkpoint, prefix)
    config = _read(checkpoint, lambda: detect_vae(checkpoint.shapes, prefix))
    return Vae(weights_at(checkpoint, prefix, config, vae_shapes(config), _is_left_by_vae_training))


def text_encoder_in(checkpoint: Checkpoint, folders: Folders | None = None) -> Clip:
    """Return the text encoders in ``checkpoint``: all of a full checkpoint's family, or the one in a separate file.

    ``embedding:name`` in a prompt is looked up in ``folders``.
    Raises AbsentModelError if there is none, CheckpointError naming missing tensors and tensors of the wrong shape.
    """
    unet = _prefix(checkpoint, UNET_PREFIXES, _UNET_INPUT)
    if unet is None:
        places = [_place_alone(checkpoint)]
    else:
        places = _places(checkpoint, _family_and_config(checkpoint, unet)[0])
    return Clip(tuple(_text_encoder(checkpoint, role, prefix) for role, prefix in places), folders=folders)


def text_encoders_in(checkpoints: Sequence[Checkpoint], roles: Sequence[TextRole], folders: Folders | None) -> Clip:
    """Return the text encoders in separate files, one for each role, with these roles in the family.

    Files in another order are sorted by width, the family's smaller encoder first.
    Raises AbsentModelError for a file without one, CheckpointError if the number or the widths do not fit.
    """
    places = [(checkpoint, _place_alone(checkpoint)[1]) for checkpoint in checkpoints]
    widths = [checkpoint.shapes[prefix + TOKEN_EMBEDDING][-1] for checkpoint, prefix in places]
    if len(places) != len(roles) or len(set(widths)) != len(widths):
        found = ", ".join(
            f"{checkpoint.path.name} ({width} wide)" for (checkpoint, _), width in zip(places, widths, strict=True)
        )
        raise CheckpointError(f"text encoders in {found}; expected {encoder_names(roles)}")
    ordered = sorted(zip(widths, places, strict=True), key=lambda each: each[0])
    by_width = {
        role.name: place for role, (_, place) in zip(sorted(roles, key=lambda r: r.width), ordered, strict=True)
    }
    encoders = (_text_encoder(by_width[role.name][0], role, by_width[role.name][1]) for role in roles)
    return Clip(tuple(encoders), folders=folders)


def warn_of_unused_tensors(checkpoint: Checkpoint, prefixes: Iterable[str]) -> None:
    """Log the tensors that belong neither to a model under ``prefixes`` nor to training."""
    known = tuple(prefixes)
    left = [name for name in checkpoint.shapes if not name.startswith(known) and not _LEFT_BY_TRAINING.match(name)]
    if left:
        log.warning("%s: unused tensors: %s", checkpoint.path, some_of(left))


class OneNetwork(Protocol):
    """A handle of a single network: a MODEL, VAE or CLIP_VISION."""

    @property
    def weights(self) -> Weights[Any]:
        """The weights of the network."""


def prefixes_of(handle: Clip | OneNetwork) -> list[str]:
    """Return the name prefixes of a handle's networks in their file."""
    if isinstance(handle, Clip):
        return [encoder.weights.prefix for encoder in handle.encoders]
    return [handle.weights.prefix]


def _family_and_config(checkpoint: Checkpoint, prefix: str) -> tuple[ModelFamily, UNetConfig]:
    config = _read(checkpoint, lambda: detect_unet(checkpoint.shapes, prefix))
    family = _read(checkpoint, lambda: family_of(config))
    return family, with_heads(config, family)


def _places(checkpoint: Checkpoint, family: ModelFamily) -> list[tuple[TextRole, str]]:
    """Return the family's text encoders and their prefixes. Raises AbsentModelError naming the missing ones."""
    found = text_prefixes(checkpoint.shapes)
    places = [(role, next((prefix for prefix in role.prefixes if prefix in found), None)) for role in family.text]
    if len(family.text) == len(found) == 1:  # with any prefix, it can only be this one
        return [(family.text[0], found[0])]
    missing = [role for role, prefix in places if prefix is None]
    if missing:
        where = " or ".join(repr(prefix + TOKEN_EMBEDDING) for prefix in missing[0].prefixes)
        raise AbsentModelError(
            f"{checkpoint.path}: holds no {encoder_names(missing)}, the text encoder of {family.label} "
            f"({where} is missing)"
        )
    return [(role, prefix) for role, prefix in places if prefix is not None]


def _place_alone(checkpoint: Checkpoint) -> tuple[TextRole, str]:
    """Return the text encoder of a file without a diffusion model. Raises AbsentModelError if there is none."""
    found = text_prefixes(checkpoint.shapes)
    if not found:
        raise _absent(checkpoint, "CLIP text encoder", TOKEN_EMBEDDING)
    prefix = min(found, key=len)
    shape = checkpoint.shapes[prefix + TOKEN_EMBEDDING]
    return role_alone(shape[-1] if shape else 0), prefix


def _text_encoder(checkpoint: Checkpoint, role: TextRole, prefix: str) -> TextEncoder:
    config = _read(checkpoint, lambda: detect_text(checkpoint.shapes, prefix, role.activation))
    return TextEncoder(weights_at(checkpoint, prefix, config, text_shapes(config), is_optional), role)


def _prefix(checkpoint: Checkpoint, prefixes: tuple[str, ...], *telling: str) -> str | None:
    """Return the first of ``prefixes`` with one of the ``telling`` tensors."""
    return next((prefix for prefix in prefixes if any(prefix + name in checkpoint.shapes for name in telling)), None)


def _check_no_video(checkpoint: Checkpoint, prefix: str) -> None:
    """Raise AbsentModelError if the network under ``prefix`` works on videos: it has layers along time."""
    along_time = re.compile(rf"{re.escape(prefix)}.*\.(time_stack|time_mixer|time_mix_conv|mix_factor)(\.|$)")
    name = next((name for name in checkpoint.shapes if along_time.match(name)), None)
    if name is not None:
        raise AbsentModelError(
            f"{checkpoint.path}: holds a model for videos (tensor {name}), which Sumi does not run; "
            "expected a Stable Diffusion model for pictures"
        )


def _read(checkpoint: Checkpoint, read: Callable[[], Config]) -> Config:
    """Return ``read()``; its errors about tensors get the file's path."""
    try:
        return read()
    except (UnknownUNetError, UnknownFamilyError, UnknownVaeError, UnknownTextEncoderError) as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error


def description_of(checkpoint: Checkpoint) -> str:
    """Describe a file for messages: "is a LoRA", or the tensors it holds."""
    kind = kind_of_file(checkpoint.shapes)
    return f"is {kind}" if kind else f"holds {some_of(sorted(checkpoint.shapes))}"


def _absent(checkpoint: Checkpoint, what: str, telling: str) -> AbsentModelError:
    kind = kind_of_file(checkpoint.shapes)
    found = description_of(checkpoint)
    layout = " in the original layout" if kind is not None and "diffusers" in kind else ""
    return AbsentModelError(
        f"{checkpoint.path}: holds no {what} (no tensor {telling}): it {found}; expected a {what}{layout}"
    )


def _is_left_by_vae_training(name: str) -> bool:
    return name.startswith(("loss.", "model_ema."))
